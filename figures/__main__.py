"""python -m figures [NAME ...]: make the gallery, or some figures of it."""

from __future__ import annotations

import argparse
import importlib
import io
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from PIL import Image

from figures import GALLERY
from minidl import using
from minidl.files.writing import write_atomically
from minidl.plot import save_figure

HERE = Path(__file__).parent
README = """\
# Figures

Every figure of `md.plot` on a small example. `python -m figures` makes all of them again, `python -m figures NAME` one;
`--style slides` for a projector. Under each stands its claim, as it stands in its caption; the numbers it draws are in
the json file beside it, and tests hold the claims to them. [docs/figures.md](../docs/figures.md) says how to read each,
and how it misleads.

What came out when the experiments of the paper on layer-specific rates were done again, with controls, is in
[reproduction](reproduction/README.md).
Steps of a training, recorded to be walked through op by op, are in [stepper](stepper/README.md).
`checkpoint.png` is made by `python -m benchmarks.checkpointing`: [what it shows](../docs/checkpoint.md).
`vanishing.png` is made by the first lines of the [README](../README.md).
`scaling.png` is made by `python -m benchmarks.scaling`:
[what it shows](../benchmarks/README.md#how-time-and-memory-grow).
"""


def main(arguments: list[str] | None = None) -> int:
    """Make the figures that are named, or all; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m figures", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"out of {', '.join(GALLERY)} (default: all)")
    parser.add_argument("--style", choices=("paper", "slides"), default="paper", help="for what (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=HERE, metavar="DIR", help="the folder (default: figures)")
    options = parser.parse_args(arguments)
    unknown = [name for name in options.names if name not in GALLERY]
    if unknown:
        parser.error(f"there is no figure {unknown[0]!r}; there are {', '.join(GALLERY)}")
    options.out.mkdir(parents=True, exist_ok=True)
    names = options.names or list(GALLERY)
    for number, name in enumerate(names, start=1):
        print(f"[{number}/{len(names)}] {name:<18}", end="", flush=True)
        begin = time.perf_counter()
        with using("numpy"):  # small examples, the same everywhere
            figure = importlib.import_module(f"figures.{name}").make(options.style)
        write(figure, options.out / name)
        print(f"{time.perf_counter() - begin:5.1f} s  {figure.caption}")
    if options.out == HERE:
        write_atomically(HERE / "README.md", readme().encode())
    return 0


def write(figure: Any, base: Path) -> None:
    """base.png, and base.json with the caption and the numbers, to six digits. (An svg of each would be large.)"""
    with tempfile.TemporaryDirectory() as folder:
        drawn = save_figure(figure, Path(folder) / base.name)[0].read_bytes()
    image = Image.open(io.BytesIO(drawn)).convert("RGB")
    few = image.quantize(256, dither=Image.Dither.NONE)  # half as large, and looks the same
    png = io.BytesIO()
    few.save(png, "png", optimize=True)
    write_atomically(base.with_suffix(".png"), png.getvalue())
    content = {"caption": figure.caption, "numbers": short(figure.numbers)}
    text = json.dumps(content, allow_nan=False, separators=(",", ":"))
    write_atomically(base.with_suffix(".json"), f"{text}\n".encode())


def short(value: Any) -> Any:
    """Plain data with its numbers to six digits."""
    if isinstance(value, dict):
        return {key: short(item) for key, item in value.items()}
    if isinstance(value, list):
        return [short(item) for item in value]
    return float(f"{value:.6g}") if isinstance(value, float) else value


def readme() -> str:
    """The page that shows the figures that have been made."""
    parts = [README]
    for name, question in GALLERY.items():
        path = HERE / f"{name}.json"
        if path.exists():
            claim = json.loads(path.read_text(encoding="utf-8"))["caption"]
            parts.append(f"## {question}\n\n![{name}]({name}.png)\n\n{claim} ([`{name}.py`]({name}.py))\n")
    return "\n".join(parts)


if __name__ == "__main__":
    sys.exit(main())
