"""The picture of runs that begin at a saddle point."""

import numpy as np

from minidl.experiments.reproduce.evidence import arms_of
from minidl.experiments.reproduce.saddle_drawing import escape_picture


def test_it_draws_when_each_run_left_and_its_curvature(collected_case):
    collected = collected_case("clear gain", recipe="saddle", saddle="larger rate")
    picture = escape_picture(collected, "sgd")
    runs = arms_of(collected, "sgd")["ln"]
    assert picture.numbers["left_at"]["ln"] == {seed: run["saddle"]["left_at"] for seed, run in runs.items()}
    middle = np.median([run["saddle"]["left_at"] for run in runs.values()])
    assert f"a rate per layer {middle:.0f}" in picture.caption
    assert picture.numbers["smallest"]["ln"]["median"][0] == runs[0]["saddle"]["curvature"]["smallest"][0]
    assert len(picture.panels) == 4
    texts = [text.get_text() for text in picture.alone(1).axes[0].texts]
    assert {"at the saddle", "one rate", "a rate per layer"} <= set(texts)


def test_runs_that_never_leave_are_counted(collected_case):
    picture = escape_picture(collected_case("clear gain", recipe="saddle", saddle="never"), "sgd")
    assert "a rate per layer never" in picture.caption
    texts = [text.get_text() for text in picture.alone(3).axes[0].texts]
    assert texts.count("5 never") == 3


def test_without_such_runs_there_is_no_picture(collected_case):
    assert escape_picture(collected_case("clear gain"), "sgd") is None
