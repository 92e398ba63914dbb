"""What the code of a function does, as far as Python's bytecode says it: the same for the same source in any process.

Where it stands in its file, comments, docstrings and the names of local variables do not count. Every version of Python
has bytecode of its own, so that `PYTHON` belongs beside what is compared.
"""

from __future__ import annotations

import dis
import functools
import hashlib
import inspect
import os
import sys
import sysconfig
from types import CodeType
from typing import Any, NamedTuple

PYTHON = f"Python {sys.version_info.major}.{sys.version_info.minor}"
_INSTALLED = tuple(sysconfig.get_paths()[key] + os.sep for key in ("stdlib", "platstdlib", "purelib", "platlib"))
_KINDS = (
    inspect.CO_VARARGS
    | inspect.CO_VARKEYWORDS
    | inspect.CO_GENERATOR
    | inspect.CO_COROUTINE
    | inspect.CO_ASYNC_GENERATOR
)
# Methods of lists, dicts, sets, queues and arrays.
_CHANGING = {
    "append",
    "appendleft",
    "extend",
    "insert",
    "pop",
    "popleft",
    "popitem",
    "remove",
    "clear",
    "sort",
    "reverse",
}
_CHANGING |= {"update", "setdefault", "add", "discard", "fill", "put", "itemset", "resize", "rotate"}


class Instructions(NamedTuple):
    """What a function does, with the functions that are written inside it.

    Attributes:
        checksum: over all of it.
        read: the names that it reads from the module it stands in, or from the function around it, in that order.
        attributes: the names it reads after a dot, and texts that could be such, as in `getattr(x, "scale")`.
        written: the names that it writes in its module or in the function around it (`global`, `nonlocal`), or after a
            dot.
        changes: whether it seems to change what lists, dicts and arrays hold, by an index or a method such as `append`.
    """

    checksum: str
    read: tuple[str, ...]
    attributes: frozenset[str]
    written: frozenset[str]
    changes: bool


@functools.lru_cache(1024)
def instructions_of(code: CodeType) -> Instructions:
    """What `code` does. What is found out is kept: a run looks at the same code whenever it writes a checkpoint."""
    lines: list[str] = []
    read: dict[str, None] = {}
    attributes: set[str] = set()
    written: set[str] = set()
    texts: set[str] = set()
    changes = False
    for step in dis.get_instructions(code):
        name, value = step.opname, step.argval
        if name in ("EXTENDED_ARG", "NOP", "CACHE", "RESUME"):
            continue
        if isinstance(value, CodeType):
            inner = instructions_of(value)
            lines.append(f"{name} {inner.checksum}")
            read.update(dict.fromkeys(name for name in inner.read if name not in code.co_cellvars))
            attributes |= inner.attributes
            written |= inner.written - set(code.co_cellvars)
            changes |= inner.changes
        elif step.opcode in dis.hasconst:
            lines.append(f"{name} {_constant(value)}")
            if isinstance(value, str) and value.isidentifier():
                texts.add(value)
        elif step.opcode in dis.hasname or step.opcode in dis.hasfree:
            lines.append(f"{name} {value}")
            if name.startswith("STORE"):
                written |= {value} - set(code.co_cellvars)
            elif "ATTR" in name or "METHOD" in name:
                attributes.add(value)
            elif name.startswith("LOAD") and value not in code.co_cellvars:
                read[value] = None
        else:
            lines.append(f"{name} {step.arg}")
            changes |= name in ("STORE_SUBSCR", "DELETE_SUBSCR", "STORE_SLICE")
    changes |= not attributes.isdisjoint(_CHANGING)
    text = "\n".join((f"{code.co_argcount} {code.co_kwonlyargcount} {code.co_flags & _KINDS}", *lines))
    return Instructions(checksum_of(text), tuple(read), frozenset(attributes | texts), frozenset(written), changes)


def checksum_of(text: str) -> str:
    """16 letters that are others for another text."""
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:16]


def is_installed(file: str) -> bool:
    """Whether a file of code belongs to Python, or to a package that was installed: it changes with its version."""
    return file.startswith(("<frozen ", *_INSTALLED))


def _constant(value: Any) -> str:
    if isinstance(value, frozenset):  # its order is another in every process
        return f"{{{', '.join(sorted(map(_constant, value)))}}}"
    return f"({', '.join(map(_constant, value))})" if isinstance(value, tuple) else repr(value)
