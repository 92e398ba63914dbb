"""What the pages of the reference say of one class or function: signature, first sentence, methods, examples."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import numpy as np
from pages import table

import minidl as md
from minidl.autograd.function import Function
from minidl.autograd.variable import Variable
from minidl.data import transforms
from minidl.derivatives import curvature
from minidl.examples.reading import examples_of
from minidl.nn import init

# The pages of docs/reference/, by the files of minidl/examples/; each with the words its names are called by.
PACKAGES: dict[str, tuple[ModuleType, str]] = {
    "minidl": (md, "md."),
    "functional": (md.functional, "F."),
    "nn": (md.nn, "nn."),
    "init": (init, "nn.init."),
    "curvature": (curvature, "md.curvature."),
    "optim": (md.optim, "md.optim."),
    "training": (md.training, "md.training."),
    "data": (md.data, "md.data."),
    "transforms": (transforms, "md.data.transforms."),
    "models": (md.models, "md.models."),
    "observe": (md.observe, "md.observe."),
    "plot": (md.plot, "md.plot."),
    "stepper": (md.stepper, "md.stepper."),
    "backend": (md.backend, "md.backend."),
    "fast": (md.fast, "md.fast."),
}


def is_described(thing: Any) -> bool:
    """Whether something is a class or function of minidl's own."""
    own = str(getattr(thing, "__module__", "")).startswith("minidl.")
    return own and callable(thing) and hasattr(thing, "__name__")


def first_sentence(thing: Any) -> str:
    """What the docstring begins with, on one line."""
    text = (inspect.getdoc(thing) or "").split("\n\n")[0]
    line = " ".join(text.split())
    for end in re.finditer(r"[.;](?= |$)", line):
        if not line[: end.start()].endswith((" eq", " al", " sec", " ch", ".")):
            return line[: end.start()]
    return line.rstrip(":")


def signature(thing: Callable[..., Any], name: str = "") -> str:
    """`name(x, axis=None)`, without types; under `name` if it is an alias."""
    name = name or thing.__name__
    if getattr(thing, "_is_protocol", False) or (isinstance(thing, type) and issubclass(thing, BaseException)):
        return name
    parts: list[str] = []
    for p in inspect.signature(thing).parameters.values():
        if p.name == "unknown":  # where options of PyTorch's are answered
            continue
        if p.kind is p.KEYWORD_ONLY and "*" not in parts and not any(part.startswith("*") for part in parts):
            parts.append("*")
        star = {p.VAR_POSITIONAL: "*", p.VAR_KEYWORD: "**"}.get(p.kind, "")
        default = "" if p.default is p.empty else f"={_default(p.default)}"
        parts.append(f"{star}{p.name}{default}")
    return f"{name}({', '.join(parts)})"


def _default(value: Any) -> str:
    if isinstance(value, np.dtype):
        return repr(value.name)
    return getattr(value, "__name__", None) or repr(value)


def ops_of(function: Callable[..., Any]) -> list[type[Function]]:
    """The op classes of its own file that a function of minidl.functional uses, itself or through a helper there."""
    file = inspect.getmodule(function)
    found: list[type[Function]] = []
    for name in function.__code__.co_names:
        used = getattr(file, name, None)
        if getattr(used, "__module__", None) != function.__module__:
            continue
        if isinstance(used, type) and issubclass(used, Function):
            found.append(used)
        elif inspect.isfunction(used) and name.startswith("_"):
            found += ops_of(used)
    return list(dict.fromkeys(found))


def words(name: str, thing: Any) -> str:
    """The first sentence; of an alias, whose name it is."""
    return first_sentence(thing) if name == thing.__name__ else f"The same as `{thing.__name__}`"


def anchors(file: str) -> dict[str, str]:
    """The anchor of each name in its page, as GitHub makes them: in lower case, numbered where one comes twice."""
    seen: dict[str, int] = {}
    found = {}
    for name in described(file):
        key = name.lower()
        found[name] = f"{key}-{seen[key]}" if key in seen else key
        seen[key] = seen.get(key, 0) + 1
    return found


def described(file: str) -> dict[str, Any]:
    """What a page describes: the public names of its package that have an example there, or are aliases of such."""
    room, _ = PACKAGES[file]
    own = {id(getattr(room, name)) for name in examples_of(file)}
    return {name: getattr(room, name) for name in room.__all__ if id(getattr(room, name)) in own}


def rows(file: str, names: list[str] | None = None) -> list[tuple[str, str]]:
    """A row for each name: its signature, which leads to its place in the page, and its first sentence."""
    things, places = described(file), anchors(file)
    return [
        (f"[`{signature(things[name], name)}`](reference/{file}.md#{places[name]})", words(name, things[name]))
        for name in (things if names is None else names)
    ]


def methods(cls: type) -> Iterator[tuple[str, str]]:
    """The public methods and attributes of a class, each with its first sentence; those of minidl's own bases too."""
    for name in dir(cls):
        thing = inspect.getattr_static(cls, name)
        if isinstance(thing, (staticmethod, classmethod)):
            thing = thing.__func__
        if name.startswith("_") or not first_sentence(thing) or name in vars(Variable):
            continue  # of a Variable is what only the engine uses
        if isinstance(thing, property):
            yield f"`{name}`", first_sentence(thing)
        elif inspect.isfunction(thing):
            text = re.sub(r"\((self|cls)(, )?", "(", signature(thing, name))
            yield f"`{text}`", first_sentence(thing)


def page(file: str) -> str:
    """docs/reference/FILE.md: everything of one package, with its examples."""
    room, prefix = PACKAGES[file]
    things, places = described(file), anchors(file)
    listing = " · ".join(f"[{name}](#{place})" for name, place in places.items())
    parts = [f"# `{room.__name__}`, with examples\n", "Made from the code, as is [what there is](../reference.md).\n"]
    parts.append(f"{listing}\n")
    examples = {id(getattr(room, name)): text for name, text in examples_of(file).items()}
    for name, thing in things.items():
        parts.append(f"### {name}\n")
        if name != thing.__name__:
            parts.append(f"`{prefix}{name}` is the same as [`{thing.__name__}`](#{places[thing.__name__]}).\n")
            continue
        parts.append(f"`{prefix}{signature(thing)}`\n")
        about = inspect.cleandoc(thing.__doc__ or "").split("\n\nExamples:")[0].split("\n\n")[0]
        parts.append(f"{about}\n" if about != "Examples:" else "")
        parts.append(f"{fenced(examples[id(thing)])}\n")
        told = list(methods(thing)) if isinstance(thing, type) and not issubclass(thing, BaseException) else []
        if told and not (issubclass(thing, md.nn.Module) and thing is not md.nn.Module):
            parts.append(table(("method or attribute", "what it does"), told) + "\n")
    return "\n".join(parts)


def fenced(example: str) -> str:
    """An example for a page: what is typed and seen between fences, the words around it as they are."""
    parts, code = [], False
    for line in example.split("\n"):
        if line.startswith("    ") and not code:
            parts.append("```pycon" if line.startswith("    >>>") else "```python")
        elif code and line and not line.startswith("    "):
            parts[-1:] = ["```", ""] if not parts[-1] else [parts[-1], "```", ""]
        code = line.startswith("    ") or (code and not line)
        parts.append(line.removeprefix("    ") if code else line)
    return "\n".join([*parts, "```"] if code else parts)
