"""Breakpoints: what they fit, and what is said where nothing could."""

from __future__ import annotations

import numpy as np
import pytest

import minidl as md
import minidl.functional as F
from minidl.stepper.stops import break_of
from minidl.stepper.tape import Tape


@pytest.fixture(scope="module")
def tape() -> Tape:
    layer = md.nn.Linear(2, 2)
    with md.record() as tape:
        h = F.exp(layer(md.tensor([[1.0, 2.0]])))
        loss = F.sum(h * 1e30 * 1e30)
        loss.backward()
    return tape


@pytest.mark.parametrize(
    ("text", "ops"),
    [
        ("op Exp", ["Exp", "Exp"]),
        ("Exp", ["Exp", "Exp"]),
        ("value h", ["Exp", "Mul", "Mul", "Exp"]),
        ("phase accumulate", ["accumulate", "accumulate"]),
        ("event 1", ["Exp"]),
        ("1", ["Exp"]),
    ],
)
def test_it_fits_what_it_names(tape: Tape, text: str, ops: list[str]) -> None:
    new = break_of(tape, text)
    assert [event.op for event in tape if new.fits(tape, event)] == ops


def test_it_fits_layers_and_what_is_inside(tape: Tape) -> None:
    name = tape.calls[0].path
    assert {tape.layer(event) for event in tape if break_of(tape, f"layer {name}").fits(tape, event)} >= {name}


def test_nan_is_where_a_number_is_none(tape: Tape) -> None:
    new = break_of(tape, "nan")
    first = next(event for event in tape if new.fits(tape, event))
    assert first.op == "Mul"
    assert not np.isfinite(tape.content(tape.values[first.output]).values).all()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("op Tan", "there are Linear, Exp, Mul, Sum"),
        ("value z", "no value of this tape"),
        ("", "break op"),
        ("99", "break op"),
    ],
)
def test_what_is_not_there_is_said(tape: Tape, text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        break_of(tape, text)
