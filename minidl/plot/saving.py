"""save_figure: a figure as png, svg and json, each complete or not there at all."""

from __future__ import annotations

import io
import json
import os
from errno import EISDIR
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
        TypeError: the figure and the path are the other way round.
        OSError: a file cannot be written, or `path` is a folder.
    """
    if isinstance(figure, (str, PathLike)):
        raise TypeError("save_figure: expected a figure and then the path; got a path first: save_figure(figure, path)")
    base = figure_path(path)
    if not hasattr(figure, "numbers") or not hasattr(figure, "caption"):
        raise ValueError("expected a figure of minidl.plot, which carries .caption and .numbers; got a plain Figure")
    text = json.dumps({"caption": figure.caption, "numbers": figure.numbers}, indent=1, allow_nan=False)
    contents = {".png": _drawn(figure, "png"), ".svg": _drawn(figure, "svg"), ".json": f"{text}\n".encode()}
    paths = []
    for suffix, content in contents.items():
        target = base.with_name(base.name + suffix)
        write_atomically(target, content)
        paths.append(target)
    return paths


def figure_path(path: str | PathLike[str]) -> Path:
    """Where a figure is written, without the suffix: `path`, if it names a file and no folder.

    Raises:
        IsADirectoryError: it is a folder.
    """
    text = path_of(path)
    base = Path(text)
    if base.is_dir() or base.name in ("", "..") or text.endswith(("/", os.sep)):
        raise IsADirectoryError(
            EISDIR, f"This is a folder; name the figure in it, such as {base / 'figure'}", str(base)
        )
    return base.with_suffix("") if base.suffix in (".png", ".svg", ".json") else base


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
