"""The outputs of an executed cell without what differs from machine to machine: paths, addresses, times of day."""

from __future__ import annotations

import base64
import html
import re
from pathlib import Path
from typing import Any

from tutorials.pictures import with_palette

ROOT = Path(__file__).parents[1]
_CAPTION = re.compile(r"<figcaption>(.*?)</figcaption>", re.DOTALL)
_WIDTH = re.compile(r'<img [^>]*width="(\d+)"')
KEPT = ("image/png", "text/html", "text/latex", "text/markdown", "text/plain")
REPLACED = (
    (re.compile(r"\x1b\[[0-9;]*m"), ""),
    (re.compile(r"\S*ipykernel_\d+[\\/]\d+\.py"), "<cell>"),
    (re.compile(r"0x[0-9a-f]{6,}"), "0x..."),
    (re.compile(r"\b\d+:\d\d(:\d\d)?(?= |$)", re.MULTILINE), "-:--"),  # a progress line's time
)


def tidied(cell: dict[str, Any], colours: int) -> dict[str, Any]:
    """A cell, its outputs made alike everywhere. Nothing of standard error is kept."""
    found = {key: value for key, value in cell.items() if key != "metadata"}
    found["metadata"] = {key: value for key, value in cell["metadata"].items() if key != "execution"}
    found["source"] = _lines(cell["source"])
    if cell["cell_type"] == "code":
        kept = [o for o in cell["outputs"] if not (o["output_type"] == "stream" and o["name"] == "stderr")]
        found["outputs"] = _joined([part for output in kept for part in _output(output, colours)])
    return found


def _output(output: dict[str, Any], colours: int) -> list[dict[str, Any]]:
    if output["output_type"] == "stream":
        return [{"output_type": "stream", "name": output["name"], "text": cleaned(_text(output["text"]))}]
    if output["output_type"] == "error":
        lines = [cleaned(line) for line in output["traceback"]]
        return [{**output, "evalue": cleaned(output["evalue"]), "traceback": lines}]
    data = {kind: _text(value) for kind, value in output["data"].items() if kind in KEPT}
    if "image/png" in data:
        return _picture(output, data, colours)
    return [{**output, "data": {kind: _lines(cleaned(text)) for kind, text in data.items()}, "metadata": {}}]


def _picture(output: dict[str, Any], data: dict[str, str], colours: int) -> list[dict[str, Any]]:
    """A figure as one picture, its caption as words below: its html would hold the picture a second time."""
    picture = with_palette(base64.b64decode(data["image/png"]), colours)
    about: dict[str, Any] = {}
    caption = _CAPTION.search(data.get("text/html", ""))
    width = _WIDTH.search(data.get("text/html", ""))
    if width:
        about["width"] = int(width[1])
    if caption:
        about["alt"] = html.unescape(caption[1])
    shown = {
        **output,
        "data": {"image/png": base64.b64encode(picture).decode("ascii") + "\n"},
        "metadata": {"image/png": about} if about else {},
    }
    if not caption:
        return [shown]
    words = {"text/html": [f"<p>{cleaned(caption[1])}</p>"], "text/plain": _lines(cleaned(about["alt"]))}
    return [shown, {"output_type": "display_data", "data": words, "metadata": {}}]


def cleaned(text: str) -> str:
    """Text without the machine's paths, addresses and times."""
    text = text.replace(str(ROOT) + "/", "").replace(str(ROOT), ".").replace(str(Path.home()), "~")
    for pattern, instead in REPLACED:
        text = pattern.sub(instead, text)
    return text


def _joined(outputs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Printed lines that follow each other as one output: how they arrive depends on the moment."""
    found: list[dict[str, Any]] = []
    for output in outputs:
        if output["output_type"] == "stream" and found and found[-1]["output_type"] == "stream":
            found[-1]["text"] += output["text"]
        else:
            found.append(output)
    for output in found:
        if output["output_type"] == "stream":
            output["text"] = _lines(output["text"])
    return found


def _text(value: str | list[str]) -> str:
    return value if isinstance(value, str) else "".join(value)


def _lines(value: str | list[str]) -> list[str]:
    return _text(value).splitlines(keepends=True)
