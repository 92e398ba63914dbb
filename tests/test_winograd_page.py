"""docs/winograd.md: its lines run, print what it says, and its words about minidl are true."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minidl as md
from minidl.fast.cpu import winograd

PAGE = (Path(__file__).parents[1] / "docs" / "winograd.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```(?:\n\n```text\n(.*?)```)?", PAGE, re.DOTALL)


@pytest.fixture(scope="module")
def ran() -> tuple[dict[str, Any], list[str]]:
    """What the lines define, and what each block prints."""
    names: dict[str, Any] = {}
    printed = []
    for lines, _ in BLOCKS:
        with contextlib.redirect_stdout(io.StringIO()) as out:
            exec(compile(lines, "docs/winograd.md", "exec"), names)
        printed.append(out.getvalue())
    return names, printed


def test_the_lines_print_what_it_says(ran: Any) -> None:
    for (_, said), found in zip(BLOCKS, ran[1], strict=True):
        assert not said or found == said
    assert sum(bool(said) for _, said in BLOCKS) == 4


def test_its_points_are_the_more_exact_ones(ran: Any) -> None:
    one_side, common, ours = (ran[0]["error"](p) for p in ([0, 1, 2, 3, 4], [0, 1, -1, 2, -2], winograd.POINTS[3]))
    assert one_side > common > ours
    assert ours < 4e-6


@pytest.mark.parametrize("kernel", [3, 5])
def test_its_matrices_are_those_of_the_version_but_for_the_scale_of_rows(ran: Any, kernel: int) -> None:
    outputs, weights, inputs = ran[0]["matrices"](winograd.POINTS[kernel], winograd.TILE, kernel)
    ours = winograd.transforms(kernel)
    np.testing.assert_array_equal(outputs, ours.outputs)
    scale = np.abs(ours.inputs).max(axis=1, keepdims=True) / np.abs(inputs).max(axis=1, keepdims=True)
    np.testing.assert_allclose(np.abs(inputs * scale), np.abs(ours.inputs), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(np.abs(weights / scale), np.abs(ours.weights), rtol=1e-6)


def test_the_numbers_in_its_words_are_those_of_the_version() -> None:
    words = " ".join(PAGE.split())
    channels, runs = winograd.CHANNELS, winograd.RUN
    assert f"are at least {channels[3]} (3x3) or {channels[5]} (5x5)" in words
    assert f"at least {winograd.TILES} tiles" in words
    assert f"fit into {winograd.LARGEST >> 20} MiB" in words
    assert f"in runs of {runs[5]} (5x5) or {runs[3]} (3x3)" in words
    for kernel, points in winograd.POINTS.items():
        row = re.search(rf"\| {kernel}x{kernel} \| 4x4 \| ([^|]+) \|", PAGE)
        assert row is not None
        fractions = [p.split("/") for p in row[1].split(", ")]
        assert sorted(float(p[0]) / float(p[1]) if len(p) == 2 else float(p[0]) for p in fractions) == sorted(points)


def test_it_is_on_again(ran: Any) -> None:
    assert winograd.WinogradConv in md.functional.conv.Conv.versions
