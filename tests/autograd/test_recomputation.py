"""The Checkpoint node: its inputs are the edges of what it stands for. That gradients are the same: F.checkpoint's."""

from __future__ import annotations

import weakref
from typing import Any

import numpy as np
import pytest

import minidl as md
import minidl.functional as F
from minidl.autograd.recomputation import Checkpoint, near, sums
from minidl.errors import GraphError


def leaf(*numbers: float) -> md.Tensor:
    return md.tensor([float(n) for n in numbers], requires_grad=True)


def test_a_checkpoint_has_an_input_for_every_edge_in_the_order_of_the_walk() -> None:
    x, w, v = leaf(1, 2), leaf(3, 4), leaf(5, 6)
    y = F.checkpoint(lambda h: (h * w + v) * w, x)
    node: Any = y._op
    assert type(node) is Checkpoint
    operands, edges = node.inputs[: node.operands], node.inputs[node.operands :]
    assert {id(a) for a in operands} == {id(a) for a in (x, w, v)}
    assert [id(a) for a in edges] == [id(a) for a in (w, v, x, w)]
    assert [node.needs(i) for i in range(7)] == [False] * 3 + [True] * 4


def test_what_was_computed_inside_is_gone() -> None:
    inside: list[Any] = []

    def function(h: md.Tensor) -> md.Tensor:
        h = F.tanh(h)
        inside.append(weakref.ref(h))
        return F.exp(h)

    y = F.checkpoint(function, leaf(1, 2))
    assert inside[0]() is None
    y.sum().backward()
    assert len(inside) == 2
    assert inside[1]() is None


def test_constants_made_inside_are_not_kept() -> None:
    x, c = leaf(1, 2), md.ones(2)
    y = F.checkpoint(lambda h: h * md.ones(2) * c, x)
    assert {id(a) for a in y._op.inputs[: y._op.operands]} == {id(x), id(c)}


def test_only_what_is_near_is_taken_for_the_same() -> None:
    a = np.random.default_rng(0).standard_normal(1000).astype(np.float32)
    assert near(sums(a), sums(a * np.float32(1 + 2e-7)), a.dtype)
    assert not near(sums(a), sums(a * np.float32(1.001)), a.dtype)
    assert near(sums(np.array([np.nan])), sums(np.array([1.0])), np.dtype(float))


def test_a_checkpoint_is_made_by_its_function_alone() -> None:
    with pytest.raises(GraphError, match=r"F\.checkpoint\(function, \*inputs\) makes one"):
        Checkpoint(None)(md.ones(2))  # type: ignore[arg-type]
