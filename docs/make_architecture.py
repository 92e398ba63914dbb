"""Write docs/architecture.md: the floors of the house, its rooms and their files, from the code.

python docs/make_architecture.py            write it
python docs/make_architecture.py --check    only say whether it is up to date (a test does)
"""

from __future__ import annotations

import sys
from pathlib import Path

from house import FLOORS, INNER, ROOT, first_sentence, graph, room_of
from pages import table, write_or_check

HEAD = """\
# The house

Made from the code by `python docs/make_architecture.py`; a test fails when it is out of date. The floors are written
down in [house.py](house.py); what stands beside a room or a file is the first sentence of its docstring.

**In a minute.** `errors`, `backend`, `autograd`, `functional`, `tensors`, `nn` and `optim` are the spine: each stands
on the one before. An op of `functional` computes with arrays of NumPy or CuPy (`backend`) and leaves a node of a graph
behind (`autograd`); a Tensor (`tensors`) holds an array and its node; a layer (`nn`) holds Tensors that are learned,
and an optimizer (`optim`) moves them. `training`, `observe`, `plot` and `experiments` use all that. `fast` replaces
single ops by faster versions of them, for some operands: nothing of what it contains has to be known to understand the
rest ([fast.md](fast.md)), and `with md.plain():` runs without it.

Imports run downward only, never in a circle, and only the package's `__init__.py` imports `fast`
(`tests/test_structure.py`).
"""


def path_of(room: str) -> Path:
    """Where a room's docstring is: in its `__init__.py`, or in the file that it is."""
    folder = ROOT / room
    return folder / "__init__.py" if folder.is_dir() else ROOT / f"{room}.py"


def link(path: Path, text: str) -> str:
    """A link to a file of the package, from docs/."""
    return f"[{text}](../{path.relative_to(ROOT.parent).as_posix()})"


def shown(room: str) -> str:
    """`nn/` for a folder, `cli.py` for a file."""
    return f"{room}/" if (ROOT / room).is_dir() else f"{room}.py"


def drawing() -> str:
    """The floors, the highest first."""
    rows = []
    for number, rooms in reversed(list(enumerate(FLOORS))):
        for room in rooms:
            place = path_of(room).parent if (ROOT / room).is_dir() else path_of(room)
            rows.append((str(number), link(place, f"`{shown(room)}`"), first_sentence(path_of(room))))
    return table(("floor", "room", "what it holds"), rows)


def used_by(room: str, needed: dict[str, set[str]]) -> list[str]:
    """The rooms that a room imports, from the ground up."""
    used = {room_of(other) for module, others in needed.items() if room_of(module) == room for other in others}
    return [other for rooms in FLOORS for other in rooms if other in used - {room}]


def section(room: str, needed: dict[str, set[str]]) -> str:
    """A room's files, each with its first sentence."""
    folder = ROOT / room
    below = ", ".join(f"`{other}`" for other in used_by(room, needed)) or "nothing else of minidl"
    parts = [f"## {shown(room)}\n", f"{first_sentence(path_of(room))}. Uses {below}.\n"]
    if room in INNER:
        order = "; above them ".join(" and ".join(f"`{name}`" for name in floor) for floor in INNER[room])
        parts.append(f"It has floors of its own: {order}.\n")
    rows = []
    for path in sorted(folder.rglob("*.py")):
        name = path.relative_to(folder).as_posix()
        if name == "__init__.py":
            continue
        rows.append((link(path, f"`{name.removesuffix('__init__.py')}`"), first_sentence(path)))
    parts.append(table(("file", "what it holds"), rows) + "\n")
    return "\n".join(parts)


def architecture() -> str:
    """The whole page."""
    needed = graph()
    rooms = [room for floor in reversed(FLOORS) for room in floor if (ROOT / room).is_dir()]
    return "\n".join([HEAD, drawing() + "\n", *[section(room, needed) for room in rooms]])


if __name__ == "__main__":
    sys.exit(write_or_check(__file__, architecture()))
