"""minidl's docstrings, which are plain sentences, as reStructuredText that means the same.

In a docstring `|x|` is an absolute value, `*args` a name, `xavier_` a function, and lines that stand further in are a
formula or a program. In reStructuredText all of these have other meanings; here each is marked as what it is.
"""

from __future__ import annotations

import ast
import re
import textwrap
from collections.abc import Iterator

SECTION = re.compile(r"(Args|Attributes|Returns|Raises|Yields|Note|Notes|Example|Examples):$")
LIST = re.compile(r"\s*([-*]|\d+\.) ")
CODE = re.compile(r"(`+)(.+?)\1", re.DOTALL)


def escaped(text: str) -> str:
    """A line or paragraph in which only what stands in backticks is special, and that is code."""
    parts = []
    end = 0
    for match in CODE.finditer(text):
        parts += [_plain(text[end : match.start()]), _code(match.group(2))]
        if text[match.end() : match.end() + 1].isalnum():
            parts.append("\\ ")  # `Tensor`s
        end = match.end()
    return "".join([*parts, _plain(text[end:])])


def _plain(text: str) -> str:
    text = text.replace("\\", "\\\\")
    return re.sub(r"(?<![\\])([*|`])|(?<=\w)(_)(?!\w)", lambda m: "\\" + m.group(), text)


def _code(text: str) -> str:
    """A literal; one that ends with a backslash or space would not be one."""
    return f"``{text.strip()}``"


def restructured(lines: list[str]) -> list[str]:
    """The docstring's lines, for Sphinx."""
    out: list[str] = []
    inside = False  # a section such as "Args:"
    for block, indented in _blocks(lines):
        if SECTION.match(block[0]):
            inside = True
            out += [block[0], *_entries(block[1:])]
        elif inside and indented:
            out += _entries(block)
        elif indented:
            out += _literal(block)
        else:
            inside = False
            out += _paragraph(block)
        out.append("")
    return out


def _blocks(lines: list[str]) -> Iterator[tuple[list[str], bool]]:
    """What empty lines separate, and where a paragraph's indentation changes: with whether it stands further in."""
    block: list[str] = []
    for line in [*lines, ""]:
        further = line.startswith("    ")
        cut = block and further != block[0].startswith("    ") and not SECTION.match(block[0])
        if (not line.strip() or (cut and not _listed(block))) and block:
            yield block, block[0].startswith("    ")
            block = []
        if line.strip():
            block.append(line)


def _listed(block: list[str]) -> bool:
    return bool(LIST.match(block[0]))


def _entries(block: list[str]) -> list[str]:
    """`name: words` with its further lines; the name stays as it is, for napoleon."""
    out = []
    for line in block:
        name, colon, rest = line.partition(": ")
        entry = re.match(r" {4}\*{0,2}[\w.]+(, \*{0,2}[\w.]+)*$", name) if colon else None
        out.append(f"{name}: {escaped(rest)}" if entry else escaped(line))
    return out


def _literal(block: list[str]) -> list[str]:
    text = textwrap.dedent("\n".join(block))
    try:
        ast.parse(text)
        language = "python" if re.search(r"[(=.]", text) else "text"
    except SyntaxError:
        language = "text"
    return [f".. code-block:: {language}", "", *textwrap.indent(text, "    ").split("\n")]


def _paragraph(block: list[str]) -> list[str]:
    if LIST.match(block[0]):
        out: list[str] = []
        for line in block:
            mark = LIST.match(line)
            if mark and out:
                out.append("")
            head = mark.group() if mark else ""
            out.append(head + escaped(line[len(head) :]))
        return out
    return escaped("\n".join(block)).split("\n")
