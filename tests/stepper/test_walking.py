"""`md.walk`: a backward, op by op, with the same gradients as `backward()`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import minidl as md
import minidl.functional as F
from tests.arrays import tensor


def test_a_line_for_each_op() -> None:
    w, x = tensor(2.0, requires_grad=True), tensor([3.0, 4.0], requires_grad=True)
    w.name, x.name = "w", "x"
    lines = [repr(step) for step in md.walk(F.sum(w * x * 2.0))]
    assert lines == [
        "Sum(mul): 1. -> mul [1. 1.]",
        "Mul(mul, 2): [1. 1.] -> mul [2. 2.]",
        "Mul(w, x): [2. 2.] -> w 14., x [4. 4.]",
    ]


def models() -> list[Any]:
    md.seed(0)
    images = tensor(np.random.default_rng(0).standard_normal((2, 1, 28, 28)).astype(np.float32))
    mlp, lenet = md.models.mlp((784, 8, 10)), md.models.lenet()
    return [(mlp, images.reshape(2, 784)), (lenet, images)]


@pytest.mark.parametrize("which", [0, 1])
def test_gradients_are_those_of_backward(which: int) -> None:
    model, x = models()[which]
    with md.plain():
        F.cross_entropy(model(x), tensor(np.array([3, 1]))).backward()
        expected = {name: p.grad.numpy() for name, p in model.named_parameters()}
        model.zero_grad()
        steps = list(md.walk(F.cross_entropy(model(x), tensor(np.array([3, 1])))))
    assert steps[0].op.endswith("CrossEntropy")
    for name, p in model.named_parameters():
        np.testing.assert_array_equal(p.grad.numpy(), expected[name])


def test_a_walk_that_is_left_fills_no_grad() -> None:
    x = tensor([1.0], requires_grad=True)
    for _ in md.walk(F.sum(F.exp(x))):
        break
    assert x.grad is None
    assert md.is_grad_enabled()


def test_a_graph_can_be_kept() -> None:
    x = tensor([1.0], requires_grad=True)
    loss = F.sum(F.exp(x))
    list(md.walk(loss, retain_graph=True))
    list(md.walk(loss))
    with pytest.raises(md.GraphError, match="already walked and freed"):
        list(md.walk(loss))
    assert x.grad is not None
    np.testing.assert_allclose(x.grad.numpy(), 2 * np.exp([1.0]), rtol=1e-6)


def test_what_is_no_loss_is_refused() -> None:
    with pytest.raises(TypeError, match=r"md\.walk: expected a loss"):
        md.walk(3)  # type: ignore[arg-type]
    with pytest.raises(md.GraphError, match="only a single number"):
        list(md.walk(tensor([1.0, 2.0], requires_grad=True) * 2))
    with pytest.raises(md.GraphError, match="does not require a gradient"):
        list(md.walk(tensor(1.0)))
