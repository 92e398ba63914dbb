"""minidl/fast/cpu/pooling.py: the same as the plain ops, block by block."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl as md
import minidl.functional as F
from minidl.fast.cpu import pooling as versions
from minidl.fast.cpu import threads as parallel
from minidl.functional.geometry import Window, pooling_window
from minidl.functional.pooling import AvgPool, MaxPool, PutChosen, SpreadMean, TakeChosen
from tests.factory import examples
from tests.fast.cpu.test_conv import in_some_order, run_plain


def run(op, *arrays):
    """What the op makes of the arrays; and that it was the version that made it."""
    result = op(*arrays)
    assert type(op) is getattr(versions, type(op).plain.__name__)
    return result


@st.composite
def cases(draw):
    """x, however it lies in memory, and a window on it."""
    n = draw(st.sampled_from([1, 2]))
    kernel = tuple(draw(st.integers(1, 4)) for _ in range(n))
    padding = tuple(draw(st.integers(0, k // 2)) for k in kernel)
    sizes = [draw(st.integers(max(1, k - 2 * p), 9)) for k, p in zip(kernel, padding, strict=True)]
    order = (0, *draw(st.sampled_from(list(itertools.permutations(range(1, n + 2))))))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    x = rng.integers(-3, 4, (draw(st.integers(0, 5)), draw(st.integers(0, 3)), *sizes)).astype(float)
    kind = draw(st.sampled_from(["any", "any", "nan", "low"]))
    if kind == "nan":
        x[x == 2] = np.nan
        x[x == 3] = np.inf
    elif kind == "low":
        x[x < 3] = -np.inf
    stride = tuple(draw(st.integers(1, 4)) for _ in range(n))
    return in_some_order(x, order), pooling_window(n, x, kernel, stride, padding, draw(st.booleans()))


BLOCKS = st.sampled_from([1, 200, 1 << 20])


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16, np.int8])
@examples(60)
@given(case=cases(), block=BLOCKS)
def test_max_pooling_agrees_with_the_plain_ops(threads, dtype, case, block):
    x, window = case
    x = np.nan_to_num(x, posinf=5, neginf=-9).astype(dtype) if dtype == np.int8 else x.astype(dtype)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parallel, "BLOCK", block)
        ours, plain = MaxPool(window), MaxPool(window)
        np.testing.assert_array_equal(run(ours, x), run_plain(plain, x), strict=True)
        np.testing.assert_array_equal(ours.chosen, plain.chosen)
        if dtype == np.int8:
            return
        grad = np.cos(np.arange(ours.chosen.size)).reshape(ours.chosen.shape).astype(dtype)
        grad[grad > 0.99] = np.inf
        for op, array in ((PutChosen, grad), (TakeChosen, x)):
            found, expected = run(op(window, ours.chosen), array), run_plain(op(window, plain.chosen), array)
            np.testing.assert_array_equal(found, expected, strict=True)


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16, np.int8])
@examples(60)
@given(case=cases(), block=BLOCKS, count_padding=st.booleans())
def test_average_pooling_agrees_with_the_plain_ops(threads, dtype, case, block, count_padding):
    x, window = case
    x = np.nan_to_num(x, posinf=5, neginf=-9).astype(dtype)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parallel, "BLOCK", block)
        mean = run(AvgPool(window, count_padding), x)
        np.testing.assert_array_equal(mean, run_plain(AvgPool(window, count_padding), x), strict=True)
        if dtype != np.int8:
            found, expected = (way(SpreadMean(window, count_padding), mean) for way in (run, run_plain))
            np.testing.assert_array_equal(found, expected, strict=True)


@pytest.mark.parametrize("pool", [lambda x: F.max_pool2d(x, 3, 2, 1), lambda x: F.avg_pool2d(x, 3, 2, 1)])
def test_second_gradients_agree(pool):
    x = np.random.default_rng(1).integers(-4, 5, (2, 3, 7, 6)).astype(float)

    def second():
        leaf = md.Tensor(x, True)
        grad = md.grad((pool(leaf) ** 3).sum(), leaf, create_graph=True)
        return md.grad((grad * grad).sum(), leaf).numpy()

    found = second()
    with md.plain():
        np.testing.assert_allclose(found, second(), rtol=1e-12)


@pytest.mark.parametrize(("places", "kind"), [(127, np.int8), (128, np.int16), (32768, np.int32)])
def test_the_numbers_of_places_have_the_smallest_dtype_that_holds_them(places, kind):
    op = MaxPool(Window((places,), (1,), (0,), (1,), (places,), (1,)))
    run(op, np.arange(float(places)).reshape(1, 1, places))
    assert op.chosen.dtype == kind
    assert op.chosen.item() == places - 1


@pytest.mark.parametrize("pool", [F.max_pool2d, F.avg_pool2d])
def test_results_lie_in_memory_as_the_input_does(pool):
    """So that after a convolution the channels stay last."""
    x = md.Tensor(np.ones((2, 6, 6, 3)).transpose(0, 3, 1, 2), True)
    y = pool(x, 2)
    y.backward(np.ones((2, 3, 3, 3)).transpose(0, 3, 1, 2))
    assert y._data.transpose(0, 2, 3, 1).flags.c_contiguous
    assert x.grad._data.transpose(0, 2, 3, 1).flags.c_contiguous


def test_truth_values_are_left_to_the_plain_lines():
    op = MaxPool(Window((2,), (2,), (0,), (1,), (4,), (2,)))
    np.testing.assert_array_equal(op(np.array([[[False, True, False, False]]])), [[[True, False]]], strict=True)
    assert type(op) is MaxPool
