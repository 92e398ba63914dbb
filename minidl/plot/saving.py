"""save_figure: a figure as png, svg and json, each complete or not there at all."""

from __future__ import annotations

import io
import json
from os import PathLike
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure

from minidl.files.writing import path_of, write_atomically

ENLARGED = 2  # dots of a png for each dot of the figure as a notebook shows it


def save_figure(figure: Figure, path: str | PathLike[str]) -> list[Path]:
    """Write `path`.png, `path`.svg and `path`.json: the figure twice, then its caption and numbers.

    Each file is written beside its place and then moved there, so that an interruption leaves the old one. The same
    figure gives the same bytes.

    Args:
        figure: what a function of `minidl.plot` returned.
        path: where, without a suffix (one of the three is taken off); folders are made.

    Returns:
        The three paths.

    Raises:
        ValueError: the figure carries no caption and numbers.
    """
    if not hasattr(figure, "numbers") or not hasattr(figure, "caption"):
        raise ValueError("expected a figure of minidl.plot, which carries .caption and .numbers; got a plain Figure")
    base = Path(path_of(path))
    if base.suffix in (".png", ".svg", ".json"):
        base = base.with_suffix("")
    text = json.dumps({"caption": figure.caption, "numbers": figure.numbers}, indent=1, allow_nan=False)
    contents = {".png": _drawn(figure, "png"), ".svg": _drawn(figure, "svg"), ".json": f"{text}\n".encode()}
    paths = []
    for suffix, content in contents.items():
        target = base.with_name(base.name + suffix)
        write_atomically(target, content)
        paths.append(target)
    return paths


def _drawn(figure: Any, kind: str) -> bytes:
    buffer = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "minidl"}):  # the ids inside an svg are random otherwise
        figure.savefig(
            buffer,
            format=kind,
            dpi=ENLARGED * figure.dpi,
            metadata={"Date": None} if kind == "svg" else {"Software": None},
        )
    return buffer.getvalue()
