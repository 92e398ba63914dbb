"""What is known of a tape's values at any moment."""

from __future__ import annotations

import pytest

import minidl as md
import minidl.functional as F
from minidl.stepper.tape import Tape
from tests.arrays import tensor


@pytest.fixture(scope="module")
def tape() -> Tape:
    x = tensor([1.0, 2.0], requires_grad=True)
    with md.record() as tape:
        h = x * 3
        loss = F.sum(h * h)
        loss.backward()
    return tape


def test_what_was_not_computed_yet_is_unknown_and_not_zero(tape: Tape) -> None:
    assert tape.content("h", 0) is not None
    assert tape.content("loss", 1) is None
    assert tape.content("loss", 2) is not None
    assert tape.content("x", 0) is not None
    assert tape.gradient("h", 3).total is None


def test_a_gradient_is_partial_then_complete(tape: Tape) -> None:
    moments = [tape.gradient("h", i) for i in range(len(tape))]
    assert [len(g.addends) for g in moments] == [0, 0, 0, 0, 0, 2, 2, 2]
    assert [g.complete for g in moments] == [False] * 6 + [True, True]


def test_going_back_gives_the_same(tape: Tape) -> None:
    for i in reversed(range(len(tape))):
        assert tape.gradient("x", i).complete == (i == len(tape) - 1)


def test_events_are_found(tape: Tape) -> None:
    assert [e.number for e in tape.find(op="Mul")] == [0, 1, 5, 6]
    assert [e.number for e in tape.find(op="Mul", phase="backward")] == [5, 6]
    assert tape.find(layer="fc1") == []
    assert len(tape.find(step=0)) == len(tape) == 8
    assert tape[-1] is list(tape)[-1]
    assert tape.made_by(tape.value("loss")) is tape[2]
    assert tape.made_by(tape.value("x")) is None


def test_an_unknown_value_is_named_with_those_there_are(tape: Tape) -> None:
    with pytest.raises(KeyError, match="no value is called 'y'; there are x, 3, h"):
        tape.value("y")


def test_its_repr_counts(tape: Tape) -> None:
    assert repr(tape) == "Tape(8 events: 2 forward, 1 loss, 4 backward, 1 accumulate; 5 values)"
    assert repr(Tape()) == "Tape(0 events; 0 values)"
