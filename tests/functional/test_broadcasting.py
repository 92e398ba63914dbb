"""minidl/functional/broadcasting.py."""

from __future__ import annotations

import gc
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl as md
import minidl.functional as F
from minidl.functional.broadcasting import Sum, repeated, unbroadcast
from tests.arrays import device, host, tensor
from tests.factory import axes_of, check, examples, operand, operands
from tests.pytorch import torch

NUMPY = str(Path(np.__file__).parent)


def dims(t, axis):
    return tuple(range(t.ndim)) if axis is None else axis


@st.composite
def reduced(draw):
    """An operand, the axes to add up over, and keepdims."""
    x = draw(operand())
    return x, draw(axes_of(x.values.ndim)), draw(st.booleans())


@examples(160)
@given(reduced())
def test_sum(drawn):
    x, axis, keepdims = drawn
    check(lambda t: F.sum(t, axis, keepdims), lambda t: torch.sum(t, dims(t, axis), keepdims), x)


@given(operands(2))
@examples(80)
def test_unbroadcast_is_the_transpose_of_broadcasting(xs):
    x, y = (o.values for o in xs)
    whole = np.broadcast_shapes(x.shape, y.shape)
    grad = np.arange(float(np.prod(whole))).reshape(whole)
    summed = host(unbroadcast(device(grad), x.shape))
    assert summed.shape == x.shape
    np.testing.assert_allclose((summed * x).sum(), (grad * np.broadcast_to(x, whole)).sum())
    np.testing.assert_allclose(host(unbroadcast(tensor(grad), x.shape)), summed)


@pytest.mark.parametrize(
    ("shape", "full"), [((), (2, 3)), ((1,), (4,)), ((2, 1), (2, 3)), ((1, 1), (0, 3)), ((2, 3), (2, 3))]
)
def test_repeated_is_an_array_of_its_own(shape, full):
    x = device(np.arange(1.0, 1 + np.prod(shape, dtype=int)).reshape(shape))
    found = repeated(x, full)
    np.testing.assert_array_equal(host(found), np.broadcast_to(host(x), full), strict=True)
    if found.size:
        found[...] = 7
        assert (host(x) != 7).all()


def test_of_a_tensor_repeated_is_recorded():
    x = tensor(np.ones((1, 3)), True)
    y = repeated(x, (4, 3))
    assert isinstance(y, md.Tensor)
    y.sum().backward()
    np.testing.assert_array_equal(host(x.grad), [[4, 4, 4]])


@pytest.mark.parametrize("shape", [(5,), (2, 3), ()])
def test_the_plain_gradient_of_a_full_sum_is_a_few_lines_of_minidls_own(shape):
    """Who steps from loss.backward() to the op before sees the formula, and nothing of NumPy's Python code."""
    op = Sum(None, False)
    x, grad = np.ones(shape, np.float32), np.ones((), np.float32)
    op.forward(x)
    events = []

    def trace(frame, event, argument):
        events.append((event, frame.f_code.co_filename))
        return trace

    gc.disable()  # hypothesis asks to be told of collections
    sys.settrace(trace)
    try:
        Sum.backward(op, grad)
    finally:
        sys.settrace(None)
        gc.enable()
    assert len(events) <= 13
    assert not [file for _, file in events if file.startswith(NUMPY)]


@pytest.mark.parametrize("name", ["sum", "mean", "max", "prod", "norm", "logsumexp", "argmax", "argmin", "any", "all"])
def test_every_reduction_refuses_keepdims_that_are_neither_true_nor_false(name):
    with pytest.raises(ValueError, match=r"keepdims: expected True or False; got 'no'"):
        getattr(F, name)(tensor(np.ones(3)), keepdims="no")
