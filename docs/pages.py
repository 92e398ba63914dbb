"""Pages that scripts of this folder make from the code: tables in markdown, and `--check`."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

import minidl


def table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """A table in markdown."""
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def write_or_check(script: str, page: str) -> int:
    """Write docs/NAME.md for docs/make_NAME.py, or with --check only compare it; 1 if it is out of date."""
    here, described = Path(script).resolve().parents[1], Path(minidl.__file__).resolve().parents[1]
    if here != described:
        sys.exit(f"{script} would describe the minidl in {described}: install the one beside it, pip install -e {here}")
    target = Path(script).with_name(Path(script).stem.removeprefix("make_") + ".md")
    if "--check" in sys.argv[1:]:
        fresh = target.exists() and target.read_text(encoding="utf-8") == page
        print(f"{target.name} is {'up to date' if fresh else f'out of date: python docs/{Path(script).name}'}")
        return 0 if fresh else 1
    target.write_text(page, encoding="utf-8")
    return 0
