"""The figure of memory with F.checkpoint: its claim on its numbers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import minidl as md
from benchmarks.checkpointing import DEPTHS, main, measure
from benchmarks.checkpointing_figure import claim, draw

MEASURED = {
    "figure": "checkpoint", "measured": "", "rounds": 1, "layer_mebibytes": 1.0, "depths": list(DEPTHS),
    "mebibytes": {"without": [5 + d for d in DEPTHS], "with": [5 + 2 * d**0.5 for d in DEPTHS]},
}  # fmt: skip


def test_the_claim_is_true_of_the_numbers() -> None:
    figure = draw(MEASURED)
    exponents = figure.numbers["exponents"]
    assert exponents["without"] == pytest.approx(1, abs=0.1)
    assert exponents["with"] == pytest.approx(0.5, abs=0.15)
    assert "256 layers need 37 MiB in place of 261, 7.1 times less" in figure.caption


def test_the_published_figure_has_the_caption_of_its_numbers() -> None:
    published = json.loads((Path(__file__).parents[2] / "figures" / "checkpoint.json").read_text(encoding="utf-8"))[
        "numbers"
    ]
    mebibytes = published["mebibytes"]
    assert mebibytes["with"][-1] < mebibytes["without"][-1] / 4
    assert published["exponents"]["with"] < 0.75 < 0.95 < published["exponents"]["without"]
    assert "times less" in claim(published)


def test_a_process_measures_one_depth(capsys: pytest.CaptureFixture[str]) -> None:
    with md.using("numpy"):
        assert measure("with", 2) >= 0
    with pytest.raises(SystemExit):
        main(["with"])
    assert "a depth for 'with' too" in capsys.readouterr().err
