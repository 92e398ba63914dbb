"""minidl/autograd/odd_operands.py: what is no operand, and what may have been meant."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minidl as md
import minidl.functional as F
from minidl import nn
from minidl.functional.arithmetic import Mul
from tests.arrays import tensor

X = [[1.0, 2.0]]


@pytest.mark.parametrize(
    ("odd", "said"),
    [
        (None, r"None.*\. A function gives None if its `return` is missing, as in a model's forward"),
        (nn.ReLU(), r"ReLU.*\. ReLU is a layer that was not called: ReLU\(\.\.\.\)\(x\)"),
        (Mul(), r"Mul.*\. Mul is an op that was not called: Mul\(\.\.\.\)\(x\)"),
        (nn.ReLU, r"\. ReLU is a class: make one, and call it with its input"),
        (F.relu, r"\. relu is a function: call it, relu\(x\)"),
        (md.data.xor(8), r"\. Of a Dataset take the batches: for inputs, labels in md\.data\.Loader\("),
        ("text", "'text'"),
    ],
)
def test_what_is_no_operand_is_named_and_what_was_meant(odd: Any, said: str) -> None:
    for compute in (F.exp, F.sum, F.relu, lambda x: tensor(X) * x, lambda x: F.linear(x, tensor(X))):
        with pytest.raises(md.DTypeError, match=f"expected Tensors, arrays or numbers; got .*{said}"):
            compute(odd)


def test_an_operand_that_may_be_left_out_is_not_taken_for_the_fault() -> None:
    with pytest.raises(md.ShapeError, match="in_features"):
        F.linear(tensor(X), tensor([[1.0, 2.0, 3.0]]), None)


@pytest.mark.parametrize("loss", [F.mse_loss, F.cross_entropy, F.binary_cross_entropy, F.huber_loss, F.nll_loss])
def test_a_loss_of_a_model_without_return(loss: Callable[..., Any]) -> None:
    with pytest.raises(md.DTypeError, match=rf"{loss.__name__}: .*got None\. .* `return` is missing"):
        loss(None, np.array([0]))


def test_a_batch_given_whole() -> None:
    inputs, labels = np.ones((3, 2), np.float32), np.zeros(3)
    with pytest.raises(md.DTypeError, match=r"tuple of arrays of shapes \(3, 2\), \(3,\)\. A batch of a Loader is"):
        nn.Linear(2, 1)((inputs, labels))
    assert F.sum([inputs, inputs]) == 12
