"""Pages that scripts of this folder make from the code: tables in markdown, and `--check`."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

import minidl


def table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """A table in markdown."""
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def write_or_check(script: str, page: str, further: Mapping[str, str] | None = None) -> int:
    """Write docs/NAME.md for docs/make_NAME.py, or with --check only compare it; 1 if it is out of date.

    Likewise docs/KEY.md for each of the `further` pages.
    """
    here, described = Path(script).resolve().parents[1], Path(minidl.__file__).resolve().parents[1]
    if here != described:
        sys.exit(f"{script} would describe the minidl in {described}: install the one beside it, pip install -e {here}")
    folder = Path(script).parent
    name = Path(script).stem.removeprefix("make_")
    stale = []
    for key, text in {name: page, **(further or {})}.items():
        target = folder / f"{key}.md"
        if "--check" not in sys.argv[1:]:
            target.parent.mkdir(exist_ok=True)
            target.write_text(text, encoding="utf-8")
        elif not target.exists() or target.read_text(encoding="utf-8") != text:
            stale.append(key)
    if "--check" in sys.argv[1:]:
        says = f"out of date ({', '.join(stale)}): python docs/{Path(script).name}" if stale else "up to date"
        print(f"{name}.md is {says}")
    return 1 if stale else 0
