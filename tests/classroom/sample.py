"""The sample of a tutorial as a set for a class, answered in several ways."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from minidl.classroom.handout import written
from minidl.classroom.source import sources

FOLDER = Path(__file__).parents[1] / "tutorials" / "sample"
RIGHT = "return 2 * x"
SQUARED = "return x * x"

Maker = Callable[[Mapping[str, Path], int | None], Mapping[str, str | bytes]]


def sample_set(make: Maker, folder: Path, seed: int | None = None) -> Path:
    """The set of one sample in a folder, its exercises beside it."""
    written(make(sources(FOLDER), seed), folder)
    return folder


def answered(path: Path, function: str = "", slope: str = "", choice: str = "", stub: str = "") -> None:
    """Fill in answers, as a student does: lines for the stub, values for the dots."""
    text = path.read_text(encoding="utf-8")
    quote = '\\"' if path.suffix == ".ipynb" else '"'
    if function:
        stub = stub or f"raise NotImplementedError({quote}your lines here{quote})"
        assert stub in text
        text = text.replace(stub, function)
    for name, value in (("slope", slope), ("choice", choice.replace('"', quote))):
        if value:
            assert f"{name} = ..." in text
            text = text.replace(f"{name} = ...", f"{name} = {value}")
    path.write_text(text, encoding="utf-8")
