"""Observers see every op, forward and backward, and change nothing."""

from __future__ import annotations

from typing import Any

import pytest

import minidl as md
import minidl.functional as F
from minidl.autograd.modes import OBSERVED, mode
from minidl.autograd.observing import Observer, leave, observe
from tests.arrays import tensor


class Notes(Observer):
    def __init__(self) -> None:
        self.seen: list[str] = []

    def before_forward(self, op: Any, inputs: tuple[Any, ...]) -> None:
        self.seen.append(f"> {op.plain.__name__}")

    def after_forward(self, op: Any, inputs: tuple[Any, ...], result: Any) -> None:
        self.seen.append(f"< {op.plain.__name__}{'' if result._op is op else ' without history'}")

    def before_backward(self, node: Any, grad_out: Any) -> None:
        self.seen.append(f">> {node.plain.__name__}")

    def after_backward(self, node: Any, grad_out: Any, input_grads: tuple[Any, ...]) -> None:
        self.seen.append(f"<< {node.plain.__name__} {len(input_grads)}")


@pytest.fixture
def notes() -> Any:
    notes = Notes()
    observe(notes)
    yield notes
    leave(notes)


@pytest.mark.parametrize("plain", [False, True])
def test_all_that_is_told(notes: Notes, plain: bool) -> None:
    x = tensor([1.0, 2.0], requires_grad=True)
    with md.plain() if plain else md.enable_grad():
        (F.sum(x * 2)).backward()
        with md.no_grad():
            F.exp(x)
    assert notes.seen == [
        *("> Mul", "< Mul", "> Sum", "< Sum"),
        *(">> Sum", "<< Sum 1", ">> Mul", "<< Mul 2"),
        *("> Exp", "< Exp without history"),
    ]


def test_what_an_op_calls_itself_is_not_told(notes: Notes) -> None:
    x = tensor([1.0, 2.0], requires_grad=True)
    F.elu(x).backward(tensor([1.0, 0.0]))  # its backward computes with where(), on arrays
    assert [line for line in notes.seen if line.startswith("> ")] == ["> ELU"]


def test_an_op_that_fails_has_begun_and_not_ended(notes: Notes) -> None:
    with pytest.raises(md.ShapeError):
        tensor([1.0, 2.0]) @ tensor([1.0])
    assert notes.seen == ["> MatMul"]
    assert mode.get() & OBSERVED


def test_nobody_is_told_after_leaving() -> None:
    notes = Notes()
    observe(notes)
    leave(notes)
    leave(notes)
    F.exp(tensor([1.0]))
    assert notes.seen == []
    assert not mode.get() & OBSERVED


def test_one_leaves_and_another_stays(notes: Notes) -> None:
    other = Notes()
    observe(other)
    leave(other)
    F.exp(tensor([1.0]))
    assert (notes.seen, other.seen) == (["> Exp", "< Exp without history"], [])


def test_anomaly_mode_goes_on_when_an_observer_leaves() -> None:
    notes = Notes()
    with md.detect_anomaly():
        observe(notes)
        leave(notes)
        assert mode.get() & OBSERVED
    assert not mode.get() & OBSERVED
