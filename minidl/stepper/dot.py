"""A tape's graph in Graphviz's language, for those who have it; the page needs none."""

from __future__ import annotations

from collections.abc import Iterator

from minidl.errors import printable
from minidl.stepper.contents import TapeContents
from minidl.stepper.events import FORWARD, LOSS, Event, Value

_INDENT = "  "


def dot_of(tape: TapeContents) -> str:
    """The ops of a tape as a graph in the language of Graphviz.

    Ops are boxes inside frames, one a layer; a leaf (a weight, an input) stands once beside each op that uses it; an
    edge bears the value's shape, and x * x has two.
    """
    ops = [event for event in tape.events if event.phase in (FORWARD, LOSS)]
    made = {event.output: event.number for event in ops}
    lines = ["digraph tape {", '  graph [rankdir=TB, fontname="sans-serif"];']
    lines += ['  node [shape=box, fontname="sans-serif"];', '  edge [fontname="sans-serif", fontsize=10];']
    lines += _frames(tape, ops, None, _INDENT)
    for event in ops:
        for place, number in enumerate(event.inputs):
            value = tape.values[number]
            if value.missing:
                continue
            source = made.get(number)
            if source is not None:
                lines.append(f"  e{source} -> e{event.number} [label={_quoted(str(value.shape))}];")
                continue
            first = event.inputs.index(number)  # a leaf that is used twice by one op is one box with two edges
            if place == first:
                lines.append(f"  l{event.number}_{first} [shape=ellipse, label={_quoted(_named(value))}];")
            lines.append(f"  l{event.number}_{first} -> e{event.number};")
    return "\n".join([*lines, "}", ""])


def _frames(tape: TapeContents, ops: list[Event], call: int | None, indent: str) -> Iterator[str]:
    """The ops of a module's call, and the frames of the calls inside it, in the order in which they happened."""
    inside: dict[int, list[Event]] = {}  # by call in here: its ops
    for event in ops:
        chain = _chain(tape, event)
        depth = chain.index(call) + 1 if call is not None else 0
        if depth < len(chain):
            inside.setdefault(chain[depth], []).append(event)
            continue
        output = tape.values[event.output] if event.output is not None else None
        label = event.op if output is None else f"{event.op}\n{_named(output)}"
        yield f"{indent}e{event.number} [label={_quoted(label)}];"
    for child, within in inside.items():
        yield f"{indent}subgraph cluster_{child} {{"
        yield f"{indent}{_INDENT}label={_quoted(f'{tape.calls[child].path}: {tape.calls[child].label}')};"
        yield from _frames(tape, within, child, indent + _INDENT)
        yield f"{indent}}}"


def _chain(tape: TapeContents, event: Event) -> list[int]:
    """The calls an event happened in, the outermost first."""
    chain: list[int] = []
    call = event.call
    while call is not None:
        chain.insert(0, call)
        call = tape.calls[call].parent
    return chain


def _named(value: Value) -> str:
    return f"{value.key} {value.shape}"


def _quoted(text: str) -> str:
    r"""A text as Graphviz reads it letter by letter: in quotes, with `\n` only where a line ends."""
    written = printable(text, keep="\n").replace("\\", "\\\\").replace('"', '\\"')
    return '"' + written.replace("\n", "\\n") + '"'
