"""An op says what it is: before it is called, as a node of the graph, and when it has been freed."""

from __future__ import annotations

from typing import Any

import numpy as np

import minidl as md
import minidl.functional as F
from minidl import nn
from tests.arrays import tensor


def leaf(*shape: int, name: str | None = None) -> md.Tensor:
    x = tensor(np.ones(shape, np.float32), requires_grad=True)
    if name:
        x.name = name
    return x


def test_an_op_shows_its_options_and_a_node_what_it_is_of() -> None:
    w, x = leaf(3, name="w"), leaf(2, 3)
    assert repr(md.ops.Mul()) == "Mul()"
    h = w * F.exp(x)
    assert repr(h._op) == "Mul() of 'w' (3,), Exp (2, 3)"
    assert repr((h * 2)._op) == "Mul() of Mul (2, 3), 2"
    assert repr((h + 2)._op) == "Add(x_shape=(2, 3), y_shape=()) of Mul (2, 3), a constant"
    loss = h.sum(axis=1)
    assert repr(loss._op).startswith("Sum(axis=(1,), ")


def test_a_freed_node_says_so() -> None:
    x = leaf(3)
    y = x * x
    y.sum().backward()
    assert repr(y._op) == "Mul(), freed by a backward"


def test_in_anomaly_mode_it_says_where_it_was_called() -> None:
    layer = nn.Linear(3, 2)
    x = leaf(1, 3)
    with md.detect_anomaly():
        y = layer(x)  # here
    assert "in layer 'Linear', at " in repr(y._op)
    assert repr(y._op).endswith("y = layer(x)  # here")


def test_it_is_short_has_no_control_characters_and_never_raises() -> None:
    class Own(md.Function):
        def __init__(self) -> None:
            self.text = "\x1b[31m" + "long " * 100
            self.table = [leaf(3)] * 50

        def forward(self, x: Any) -> Any:
            return x * 1

        def backward(self, grad_out: Any) -> Any:
            return grad_out

    y = Own()(leaf(3, name="\x1b[31mred"))
    assert len(repr(y._op)) < 120
    assert "\x1b" not in repr(y._op)
    assert repr(md.ops.Mul.__new__(md.ops.Mul)) == "Mul()"
    joined = F.concatenate([leaf(1) for _ in range(100)])
    assert len(repr(joined._op)) < 400
