"""The report's text as blocks, and the blocks as GitHub's markdown and as a web page that needs nothing beside it.

Text is plain, with `**bold**`, `code` in backquotes and `[links](target)`; both forms are made from the same blocks.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from minidl.errors import printable
from minidl.experiments.reproduce.picture import Picture


@dataclass(frozen=True)
class Heading:
    """A heading of order `level`; `anchor` is where links lead."""

    level: int
    text: str
    anchor: str = ""


@dataclass(frozen=True)
class Text:
    """A paragraph; `kind` "answer" and "note" stand out."""

    text: str
    kind: str = ""


@dataclass(frozen=True)
class Points:
    """A list."""

    items: Sequence[str]


@dataclass(frozen=True)
class Table:
    """A table: the first column names the row; the others hold numbers, or `words`."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    words: bool = False


@dataclass(frozen=True)
class Shown:
    """A picture with its caption."""

    picture: Picture


@dataclass(frozen=True)
class Folded:
    """What is shown when its summary is opened."""

    summary: str
    blocks: Sequence[Block]


Block = Heading | Text | Points | Table | Shown | Folded


# ---- markdown


def as_markdown(blocks: Sequence[Block], images: str = "") -> str:
    """The page as GitHub shows it; pictures are the PNG files of their names in the folder `images`."""
    return "\n\n".join(_markdown(block, images) for block in blocks) + "\n"


def _markdown(block: Block, images: str) -> str:
    match block:
        case Heading(level, text, _):
            return f"{'#' * level} {_line(text)}"
        case Text(text, kind):
            return f"> {_line(text)}" if kind else _line(text)
        case Points(items):
            return "\n".join(f"- {_line(item)}" for item in items)
        case Table(head, rows, words):
            lines = [head, ["---", *["---" if words else "---:"] * (len(head) - 1)], *rows]
            return "\n".join(f"| {' | '.join(_cell(cell) for cell in row)} |" for row in lines)
        case Shown(picture):
            alt = re.sub(r"[\[\]]", "", _line(picture.caption.split(". ")[0]))
            return f"![{alt}]({images}{picture.name}.png)\n\n{_line(picture.caption)}"
        case Folded(summary, inside):
            shown = html.escape(printable(summary))
            return f"<details>\n<summary>{shown}</summary>\n\n{as_markdown(inside, images)}\n</details>"
    raise TypeError(f"no block of a page: {block!r}")


def _line(text: str) -> str:
    """A text on one line in which GitHub finds no mark-up but ours: `<` would begin a tag, `|g|` is left alone."""
    return re.sub(r"(?<!`)[<]", "&lt;", " ".join(printable(text, keep="\n").split()))


def _cell(text: str) -> str:
    return _line(text).replace("|", "\\|")


# ---- a web page


def as_html(title: str, blocks: Sequence[Block], svg: Callable[[Picture, int], str]) -> str:
    """The page as one HTML file; `svg` gives a picture's panel as SVG text."""
    body = "\n".join(_html(block, svg) for block in blocks)
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{STYLE}</style></head>\n'
        f"<body><main>\n{body}\n</main></body></html>\n"
    )


def _html(block: Block, svg: Callable[[Picture, int], str]) -> str:
    match block:
        case Heading(level, text, anchor):
            name = f' id="{html.escape(anchor)}"' if anchor else ""
            return f"<h{level}{name}>{_inline(text)}</h{level}>"
        case Text(text, kind):
            return f"<p{f' class={chr(34)}{kind}{chr(34)}' if kind else ''}>{_inline(text)}</p>"
        case Points(items):
            return f"<ul>{''.join(f'<li>{_inline(item)}</li>' for item in items)}</ul>"
        case Table(head, rows, words):
            return _html_table(head, rows, words)
        case Shown(picture):
            panels = "".join(f'<div class="panel">{svg(picture, k)}</div>' for k in range(len(picture.panels)))
            caption = _inline(picture.caption)
            return f'<figure><div class="panels">{panels}</div><figcaption>{caption}</figcaption></figure>'
        case Folded(summary, inside):
            within = "\n".join(_html(one, svg) for one in inside)
            return f"<details><summary>{html.escape(printable(summary))}</summary>\n{within}\n</details>"
    raise TypeError(f"no block of a page: {block!r}")


def _html_table(head: Sequence[str], rows: Sequence[Sequence[str]], words: bool) -> str:
    top = "".join(f'<th scope="col">{_inline(cell)}</th>' for cell in head)
    lines = []
    for first, *others in rows:
        cells = "".join(
            f'<td data-of="{html.escape(_unmarked(name))}">{_inline(cell)}</td>'
            for name, cell in zip(head[1:], others, strict=True)
        )
        lines.append(f'<tr><th scope="row">{_inline(first)}</th>{cells}</tr>')
    kind = ' class="words"' if words else ""
    return f"<table{kind}><thead><tr>{top}</tr></thead><tbody>{''.join(lines)}</tbody></table>"


def _unmarked(text: str) -> str:
    return re.sub(r"\*\*|`", "", text)


def _inline(text: str) -> str:
    """The marks of a text as HTML."""
    safe = html.escape(printable(text, keep="\n"), quote=True)
    safe = re.sub(r"`([^`]+)`", r"<code>\1</code>", safe)
    safe = re.sub(r"\*\*([^*]+)\*\*", r"<b>\1</b>", safe)
    return re.sub(r"\[([^\]]+)\]\(([^)\s]+)\)", r'<a href="\2">\1</a>', safe)


STYLE = """
:root { color-scheme: light dark; --ink: #222; --quiet: #595959; --line: #ddd; --page: #fff; --accent: #1b5e9b;
  --answer: #f0f5fa; --note: #fbf7ec; --note-edge: #8a6508; --code: #f3f3f3; }
@media (prefers-color-scheme: dark) { :root { --ink: #ddd; --quiet: #a5a5a5; --line: #3a3a3a; --page: #141517;
  --accent: #7ab8f5; --answer: #1b242e; --note: #2a2517; --note-edge: #d8ac3f; --code: #242629; }
  .panel svg { filter: invert(.91) hue-rotate(180deg); } }
body { margin: 0; background: var(--page); color: var(--ink); font: 17px/1.55 system-ui, sans-serif; }
main { max-width: 74rem; margin: 0 auto; padding: 1rem 1rem 4rem; }
p, li, figcaption, details > p { max-width: 46rem; overflow-wrap: break-word; }
h1 { font-size: 1.7rem; line-height: 1.2; } h2 { font-size: 1.35rem; margin-top: 2.6rem; }
h3 { font-size: 1.1rem; margin-top: 1.8rem; }
h1, h2, h3 { overflow-wrap: break-word; }
a { color: var(--accent); }
.answer { border-left: .3rem solid var(--accent); background: var(--answer); padding: .7rem 1rem; font-size: 1.1rem; }
.note { border-left: .3rem solid var(--note-edge); background: var(--note); padding: .5rem 1rem; }
.panels { display: flex; flex-wrap: wrap; gap: .4rem; }
.panel { flex: 0 1 auto; min-width: 0; max-width: 100%; } .panel svg { display: block; max-width: 100%; height: auto; }
figure { margin: 1.4rem 0; } figcaption { font-size: .88rem; color: var(--quiet); margin-top: .4rem; }
table { border-collapse: collapse; font-size: .86rem; font-variant-numeric: tabular-nums; margin: 1rem 0; }
th, td { padding: .3rem .6rem; text-align: right; border-bottom: 1px solid var(--line); vertical-align: top;
  font-weight: normal; overflow-wrap: anywhere; }
thead th { border-bottom: 2px solid var(--quiet); font-weight: 600; }
tbody th, thead th:first-child { text-align: left; padding-left: 0; } .words th, .words td { text-align: left; }
details { border-top: 1px solid var(--line); padding: .45rem 0; } summary { cursor: pointer; font-weight: 600; }
code { font-size: .9em; background: var(--code); padding: 0 .2em; overflow-wrap: anywhere; }
@media (max-width: 44rem) {
  thead { position: absolute; left: -200vw; } table, tbody { display: block; }
  tr { display: block; padding: .5rem 0; border-bottom: 1px solid var(--line); }
  td, tbody th { display: block; text-align: left; border: 0; padding: .05rem 0; } tbody th { font-weight: 600; }
  td:not(:empty)::before { content: attr(data-of) ": "; color: var(--quiet); }
}
@media print { .panels { break-inside: avoid; } details { display: block; } }
"""
