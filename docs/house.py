"""The house: which rooms of minidl there are, floor by floor, and what its files import. Read from the source.

docs/make_architecture.py draws it; tests/test_structure.py holds the imports to it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1] / "minidl"

# From the ground up. A file imports from its own room and from the floors below, never from a room beside its own.
FLOORS: tuple[tuple[str, ...], ...] = (
    ("version", "types", "errors", "checks", "settings", "tables", "habits", "examples"),
    ("backend",),
    ("files",),
    ("autograd", "data"),
    ("functional",),
    ("tensors",),
    ("nn",),
    ("optim", "models"),
    ("derivatives",),
    ("fast",),
    ("observe",),
    ("plot", "stepper"),
    ("training",),
    ("experiments", "check"),
    ("classroom",),
    ("cli",),
    ("__main__",),
)

# Rooms that have floors of their own. (Files directly in such a room stand on no floor: they may not run in a circle.)
INNER: dict[str, tuple[tuple[str, ...], ...]] = {"fast": (("versions",), ("cpu", "gpu"), ("graph",))}


def sources() -> list[Path]:
    """Every Python file of the package."""
    return sorted(ROOT.rglob("*.py"))


def module_of(path: Path) -> str:
    """`minidl/nn/linear.py` is `minidl.nn.linear`, `minidl/nn/__init__.py` is `minidl.nn`."""
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def room_of(module: str) -> str:
    """`minidl.nn.linear` is in room nn, `minidl.cli` in room cli, and `minidl`, the front door, in none: ""."""
    return module.split(".")[1] if "." in module else ""


def floor_of(room: str, floors: tuple[tuple[str, ...], ...] = FLOORS) -> int | None:
    """On which floor a room is, counted from the ground; None if on none."""
    return next((number for number, rooms in enumerate(floors) if room in rooms), None)


@cache
def tree_of(path: Path) -> ast.Module:
    """A file, parsed once."""
    return ast.parse(path.read_text(encoding="utf-8"))


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Line and dotted name of everything a file imports, wherever it does: `numpy`, `minidl.nn.linear.Linear`.

    Under `if TYPE_CHECKING:` and inside functions too.
    """
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, name.name) for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((node.lineno, f"{'.' * node.level}{node.module or ''}.{name.name}") for name in node.names)


def graph() -> dict[str, set[str]]:
    """Which modules of the package each of them needs.

    What is imported runs the `__init__.py` of every package around it: these count, except those around the importer
    itself, which run already.
    """
    modules = {module_of(path): path for path in sources()}
    needed: dict[str, set[str]] = {module: set() for module in modules}
    for module, path in modules.items():
        around = set(_around(module)) if path.name != "__init__.py" else {*_around(module), module}
        for _, name in imports(path):
            chain = [other for other in (name, *_around(name)) if other in modules]
            if chain:
                found, *packages = chain  # the import itself, and the packages around it
                needed[module] |= {found} | {package for package in packages if package not in around}
    return {module: others - {module} for module, others in needed.items()}


def _around(name: str) -> list[str]:
    """`a.b.c` is in `a.b`, and that in `a`."""
    parts = name.split(".")
    return [".".join(parts[:i]) for i in range(len(parts) - 1, 0, -1)]


def circle(needed: dict[str, set[str]]) -> list[str]:
    """Modules that need each other in a circle, the first once more at the end; empty if there is none."""
    done: set[str] = set()
    for start in needed:
        path: list[str] = []
        stack = [(start, iter(sorted(needed[start])))] if start not in done else []
        while stack:
            module, others = stack[-1]
            if not path or path[-1] != module:
                path.append(module)
            for other in others:
                if other in path:
                    return [*path[path.index(other) :], other]
                if other not in done:
                    stack.append((other, iter(sorted(needed[other]))))
                    break
            else:
                done.add(path.pop())
                stack.pop()
    return []


def first_sentence(path: Path) -> str:
    """What the docstring of a module or package begins with, on one line; empty if it has none."""
    text = ast.get_docstring(tree_of(path)) or ""
    paragraph = " ".join(text.split("\n\n")[0].split())
    for i, letter in enumerate(paragraph):
        if letter == "." and paragraph[i + 1 : i + 2] in ("", " "):
            return paragraph[:i]
    return paragraph.rstrip(":.")
