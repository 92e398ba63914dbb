"""A tape as a page: one html file that opens from the disk, with nothing from a network."""

from __future__ import annotations

import base64
import gzip
import hashlib
import html
import json
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from os import PathLike
from typing import Any

from minidl.errors import describe, printable
from minidl.files.writing import path_of, write_atomically
from minidl.stepper.checking import fill_checks
from minidl.stepper.contents import TapeContents
from minidl.stepper.kept import ELEMENTS
from minidl.stepper.quiz import questions_of
from minidl.stepper.saving import as_json
from minidl.stepper.worked import EVERY, explained

MOST_BYTES = 650_000  # of a page
FEWEST = 64  # numbers of an array that are always kept: what is written out as numbers
_NOTHING_ELSE = "default-src 'none'; base-uri 'none'; form-action 'none'"
_SPARE = 2_000  # of the page, for what changes with the number of elements besides the numbers


def save_html(tape: TapeContents, path: str | PathLike[str], other: TapeContents | None = None) -> None:
    """Write the tape, or two of them side by side in lockstep, as one page.

    Args:
        tape: the recording.
        path: the file; its name ends in .html.
        other: a second recording, to be laid beside the first.

    Raises:
        ValueError: the name does not end in .html; or there is nothing on a tape.
        OSError: the file cannot be written. There is all of it or nothing.
    """
    name = str(path_of(path))
    if not name.lower().endswith((".html", ".htm")):
        raise ValueError(f"{name}: expected a name that ends in .html (for .npz and .json: tape.save)")
    write_atomically(path, html_of(tape, other).encode())


def html_of(tape: TapeContents, other: TapeContents | None = None) -> str:
    """The page of a tape, or of two side by side, as text; it needs no other file.

    The page stays below 650 KB where that can be: of large arrays it holds samples, and says so. Some gradients are
    held to finite differences, if none was yet and the tape's program is still there. What the user's program puts into
    it (names, lines of source) is text in it, never markup.

    Raises:
        TypeError: `tape` or `other` is no tape.
        ValueError: there is nothing on a tape.
    """
    tapes = [tape] if other is None else [tape, other]
    for one in tapes:
        if not isinstance(one, TapeContents):
            raise TypeError(f"expected a tape, as `with md.record() as tape:` makes it; got {describe(one)}")
        if not one.events:
            raise ValueError("expected a tape with events on it; this one is empty: nothing ran inside md.record()")
    for one in tapes:
        fill_checks(one)
    shell, script, style = (_part(name) for name in ("page.html", "step.js", "step.css"))
    frame = len(shell) + len(script) + len(style)
    parts = {
        "policy": f"{_NOTHING_ELSE}; script-src {_hash(script)}; style-src {_hash(style)}",
        "title": html.escape(" | ".join(printable(one.title) for one in tapes) or "a recorded step"),
        "tapes": "\n".join(_data(one, MOST_BYTES // len(tapes) - frame // len(tapes)) for one in tapes),
        "script": script,
        "style": style,
    }
    before, *rest = shell.split("{{")
    page = [before]
    for piece in rest:  # all at once: what is put in is not looked through again
        name, _, text = piece.partition("}}")
        page += [parts[name], text]
    return "".join(page)


@cache
def _part(name: str) -> str:
    """A file of the page."""
    return (files("minidl.stepper") / "page" / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    """The hash by which the policy allows a script or a style, and no other."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _data(tape: TapeContents, most: int) -> str:
    """The script element that holds a tape in at most about `most` bytes; what needs more is compressed in it.

    What needs less is left as it is, to be read by whoever looks at the page's source.
    """
    data = as_json(tape, FEWEST)
    data["quiz"] = _questions(tape)
    _explain(tape, data, EVERY)
    data = _written_out(data)
    sizes = [(kept.values.size, 4 if kept.values.dtype.itemsize <= 4 else 8) for kept in _arrays(tape)]
    element = _plain if len(_plain(data)) + _SPARE <= most else _compressed
    left = most - len(element(data)) - _SPARE
    elements = next((n for n in _candidates() if sum(_more(size, n) * b * 4 / 3 for size, b in sizes) <= left), FEWEST)
    if elements > FEWEST:
        data["arrays"] = as_json(tape, elements)["arrays"]
    if any(size > elements for size, _ in sizes):
        data["sampled"] = elements
    return element(data)


def _plain(data: dict[str, Any]) -> str:
    return f'<script type="application/json">{_embedded(data)}</script>'


def _compressed(data: dict[str, Any]) -> str:
    packed = base64.b64encode(gzip.compress(_embedded(data).encode(), 6, mtime=0)).decode()
    return f'<script type="application/json" data-packed="gzip">"{packed}"</script>'


def _explain(tape: TapeContents, data: dict[str, Any], every: int) -> None:
    """Give the events their worked lines and the numbers of their formulas, of which many share one."""
    numbers: dict[str, int] = {}
    formulas: list[Any] = []
    for event, more in zip(data["events"], explained(tape, every), strict=True):
        event["worked"] = more["worked"]
        formula = more["formula"]
        key = json.dumps(formula)
        if key not in numbers:
            numbers[key] = len(formulas)
            formulas.append(formula)
        event["formula"] = numbers[key]
    data["formulas"] = formulas


def _questions(tape: TapeContents) -> list[dict[str, Any]]:
    """The questions about what a backward sends, which are those that the page asks."""
    return [said for said in questions_of(tape) if said["kind"] == "addend"]


def _candidates() -> Iterator[int]:
    """How many elements to keep of an array: 4096, a fifth less each time."""
    elements = float(ELEMENTS)
    while elements > FEWEST:
        yield int(elements)
        elements *= 0.8


def _more(size: int, elements: int) -> int:
    """How many numbers of an array of `size` are kept beyond FEWEST."""
    return max(0, min(size, elements) - FEWEST)


def _arrays(tape: TapeContents) -> list[Any]:
    """Every array of a tape once."""
    found: dict[int, Any] = {}
    for event in tape.events:
        several = [a for addend in event.addends for a in (addend.grad, addend.total)]
        found.update(
            {id(kept): kept for kept in (event.gradient, event.before, event.after, *several) if kept is not None}
        )
    for value in tape.values:
        found.update({id(kept): kept for _, kept in value.contents})
    return list(found.values())


def _written_out(data: Any, keep: str = "") -> Any:
    """The same with what no page should be sent (control characters) written out in all texts."""
    if isinstance(data, str):
        return data if data.isascii() and data.isprintable() else printable(data, keep)
    if isinstance(data, dict):
        return {key: _written_out(value, "\n\t" if key == "text" else "") for key, value in data.items()}
    if isinstance(data, list):
        return [_written_out(value, keep) for value in data]
    return data


def _embedded(data: Any) -> str:
    """JSON that may stand in a script element: nothing in it ends the element or begins another."""
    text = json.dumps(data, allow_nan=False, separators=(",", ":"))  # ASCII: no U+2028 either
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
