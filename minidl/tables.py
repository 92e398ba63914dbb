"""Tables in plain text: columns under each other, folded where the terminal is narrower than they are."""

from __future__ import annotations

import re
import sys
from collections.abc import Collection, Sequence

GAP = "  "  # between two columns
NARROWEST = 12  # letters, of a column that is folded


def text_table(rows: Sequence[Sequence[str]], numbers: Collection[int] = (), rule: bool = True) -> str:
    """The rows in aligned columns, of which the first is the head; a column that is empty throughout is left out.

    Args:
        rows: as many cells in each.
        numbers: which columns, from 0, hold numbers: they stand to the right and are never folded.
        rule: draw a line under the head and one at the end.
    """
    columns = [i for i in range(len(rows[0])) if any(row[i] for row in rows)]
    widths = {i: max(len(row[i]) for row in rows) for i in columns}
    _narrow(widths, [i for i in columns if i not in numbers], terminal_width())
    lines = []
    for row in rows:
        cells = {i: _folded(row[i], widths[i]) for i in columns}
        for k in range(max(len(cell) for cell in cells.values())):
            texts = {i: cell[k] if k < len(cell) else "" for i, cell in cells.items()}
            parts = [text.rjust(widths[i]) if i in numbers else text.ljust(widths[i]) for i, text in texts.items()]
            lines.append(GAP.join(parts).rstrip())
        if row is rows[0]:
            head = len(lines)
    if not rule:
        return "\n".join(lines)
    line = "-" * max(len(line) for line in lines)
    return "\n".join([*lines[:head], line, *lines[head:], line])


def terminal_width() -> int | None:
    """How many letters a line of the terminal has; None where standard output is none, and lines may be longer."""
    try:
        shown = sys.stdout is not None and sys.stdout.isatty()
    except ValueError:  # it was closed
        shown = False
    if not shown:
        return None
    import shutil  # loads what reads archives too, which `import minidl` need not wait for

    return shutil.get_terminal_size().columns


def _narrow(widths: dict[int, int], foldable: list[int], room: int | None) -> None:
    """Take from the widest of the columns that can be folded until all have room, or none can give more."""
    while room is not None and sum(widths.values()) + len(GAP) * (len(widths) - 1) > room:
        widest = max(foldable, key=lambda i: widths[i], default=None)
        if widest is None or widths[widest] <= NARROWEST:
            return
        widths[widest] -= 1


def _folded(text: str, width: int) -> list[str]:
    """`text` in lines of at most `width` letters, broken after a space, a comma, a dot or a slash where that goes."""
    lines = [""]
    for piece in re.findall(r"[^ ,./]*[ ,./]*", text):
        if len((lines[-1] + piece).rstrip()) > width and lines[-1]:
            lines.append("")
        lines[-1] += piece
        while len(lines[-1].rstrip()) > width:
            lines[-1:] = [lines[-1][:width], lines[-1][width:]]
    return [line.rstrip() for line in lines]


class Text(str):
    """A text that shows itself as it is, without quotes and escapes: at Python's prompt, and as a cell's last line."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)
