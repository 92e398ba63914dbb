"""The report as files: results.json, and a folder with the page in two forms and its pictures."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.text import Text
from PIL import Image

from minidl.experiments.reproduce.collected import file_name, save
from minidl.experiments.reproduce.judging import judge_all
from minidl.experiments.reproduce.page import as_html, as_markdown
from minidl.experiments.reproduce.picture import Picture
from minidl.experiments.reproduce.report import QUESTION, ordered, pictures_of, report
from minidl.experiments.reproduce.results import rounded
from minidl.files.writing import write_atomically
from minidl.plot.style import plain

_ID = re.compile(r' id="([^"]+)"')


def write(found: dict[str, Any], out: Path) -> None:
    """Write the results of the reproduction in `out`, and their report: `out`/results.json and `out`/report/.

    Args:
        found: what `collect` returned.
        out: the folder.

    Raises:
        OSError: a file cannot be written.
    """
    save(found, Path(out) / "results.json")
    folder = Path(out) / "report"
    save(found, folder / file_name(found))
    write_report([found], folder, everything=True)


def write_report(
    collections: Sequence[dict[str, Any]], folder: Path, everything: bool = False, remarks: Sequence[str] = ()
) -> list[Path]:
    """Write the report of collected results into a folder.

    Args:
        collections: what `collect` or `load` returned.
        folder: gets README.md and the pictures as PNG.
        everything: also index.html, and of each picture an SVG and a JSON file with its numbers; findings.json.
        remarks: paragraphs on how these runs came about (`report`).

    Returns:
        The files.
    """
    files = render_report(collections, everything, remarks)
    for name, content in files.items():
        write_atomically(folder / name, content)
    return [folder / name for name in files]


def render_report(
    collections: Sequence[dict[str, Any]], everything: bool = False, remarks: Sequence[str] = ()
) -> dict[str, bytes]:
    """The files of `write_report`, by name, before any is written."""
    blocks = report(collections, remarks)
    files = {"README.md": as_markdown(blocks).encode()}
    drawn: dict[tuple[str, int], str] = {}
    for picture in pictures_of(blocks):
        files[f"{picture.name}.png"] = png_of(picture)
        if everything:
            for k in range(len(picture.panels)):
                drawn[picture.name, k] = svg_of(picture, k)
                files[f"{picture.name}-{k + 1}.svg"] = drawn[picture.name, k].encode()
            numbers = {"caption": picture.caption, "numbers": rounded(plain(picture.numbers), 5)}
            files[f"{picture.name}.json"] = _json(numbers)
    if everything:
        page = as_html(QUESTION, blocks, lambda picture, k: drawn[picture.name, k])
        files["index.html"] = page.encode(errors="xmlcharrefreplace")
        findings = [one.as_dict() for collected in ordered(collections) for one in judge_all(collected)]
        files["findings.json"] = _json(rounded(findings, 5))
    return files


def _json(value: Any) -> bytes:
    return (json.dumps(value, allow_nan=False, separators=(",", ":")) + "\n").encode()


def png_of(picture: Picture) -> bytes:
    """All panels in one image of few colours, which is small."""
    figure, buffer = picture.together(), io.BytesIO()
    figure.savefig(buffer, format="png", dpi=150, metadata={"Software": None})
    few = Image.open(buffer).convert("RGB").quantize(128, dither=Image.Dither.NONE)
    small = io.BytesIO()
    few.save(small, "png", optimize=True)
    return small.getvalue()


def svg_of(picture: Picture, k: int) -> str:
    """One panel as SVG for a page: its text stays text, and its ids are not those of another panel."""
    figure, buffer = picture.alone(k), io.StringIO()
    for label in figure.findobj(Text):
        label.set_path_effects([])  # with one a text is outlines, 50 times the room
    with matplotlib.rc_context({"svg.hashsalt": f"{picture.name}-{k}", "svg.fonttype": "none"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    used = set(re.findall(r'url\(#([^)]+)\)|href="#([^"]+)"', text))
    needed = {name for pair in used for name in pair if name}
    own = f"{picture.name}-{k}-"
    text = _ID.sub(lambda m: f' id="{own}{m[1]}"' if m[1] in needed else "", text)
    text = re.sub(r"url\(#", f"url(#{own}", text)
    text = re.sub(r'href="#', f'href="#{own}', text)
    return text.replace("<svg ", '<svg role="img" aria-label="see the caption" ', 1)
