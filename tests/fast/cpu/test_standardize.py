"""minidl/fast/cpu/standardize.py: layer and group normalisation in blocks are what the plain lines give."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl as md
import minidl.functional as F
from minidl.fast.cpu import rows, standardize
from minidl.functional import normalization as plain
from tests.fast.gpu.kernels.agreement import assert_close, few, numbers

COLUMNS = [((5, 7), 1), ((3, 4, 33), 2), ((2, 3, 5, 7), 1), ((40, 513), 1), ((3, 2100), 1), ((6, 1), 1), ((9,), 0)]
RUNS = [  # shape (N, groups, channels of a group, ...)
    (4, 2, 3, 5),
    (3, 2, 1, 4, 4),
    (5, 1, 6, 3),
    (2, 3, 4),
    (2, 2, 3, 300),
    (2, 2, 2, 40, 33),
    (3, 1, 1, 7),
]


def results(versions, axis, x, weight, bias, grad, needed=7):
    found = []
    for version in versions:
        op = version(axis, 1e-5)
        op.needed = needed
        with np.errstate(all="ignore"):  # as the call of an op has it
            found.append([op.forward(x, weight, bias), *op.backward(grad, x, weight, bias)])
    return found


def assert_alike(found, expected):
    for ours, theirs in zip(found, expected, strict=True):
        assert (ours is None) == (theirs is None)
        if theirs is not None:
            assert_close(ours, theirs)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize(("shape", "first"), COLUMNS)
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("block", [1, 100, 1 << 17])
def test_a_weight_for_each_number(threads, shape, first, bias, dtype, block, monkeypatch):
    monkeypatch.setattr(rows, "BLOCK", block)
    x, grad, axis = numbers(shape, dtype), numbers(shape, dtype, 1), tuple(range(first, len(shape)))
    weight, added = numbers(shape[first:], dtype, 2), numbers(shape[first:], dtype, 3) if bias else None
    op = plain.Standardize(axis, 1e-5)
    assert standardize.StandardizeColumns.fits(op, x, weight, added)
    found, expected = results(
        (standardize.StandardizeColumns, plain.Standardize), axis, x, weight, added, grad, 7 if bias else 3
    )
    assert_alike(found[: 4 if bias else 3], expected[: 4 if bias else 3])


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("shape", RUNS)
@pytest.mark.parametrize("affine", [(True, True), (True, False), (False, True), (False, False)])
@pytest.mark.parametrize("block", [1, 100, 1 << 17])
def test_a_weight_for_each_run(threads, shape, affine, dtype, block, monkeypatch):
    monkeypatch.setattr(rows, "BLOCK", block)
    x, grad, axis = numbers(shape, dtype), numbers(shape, dtype, 1), tuple(range(2, len(shape)))
    beside = (*shape[1:3], *(1,) * (len(shape) - 3))
    weight, bias = (numbers(beside, dtype, 2 + i) if there else None for i, there in enumerate(affine))
    assert standardize.Standardize.fits(plain.Standardize(axis, 1e-5), x, weight, bias)
    assert_alike(*results((standardize.Standardize, plain.Standardize), axis, x, weight, bias, grad))


@few(20)
@given(mean=st.sampled_from([0, -300, 1e4]), length=st.sampled_from([3, 64, 700, 3000]), seed=st.integers(0, 99))
def test_a_large_mean_costs_no_more_than_its_own_rounding(mean, length, seed):
    """In float32, against float64: m can be no nearer than half a unit in its last place."""
    x = (numbers((8, length), "float64", seed) + mean).astype("float32")
    ones, grad = np.ones(length, "float32"), numbers((8, length), "float32", seed + 1)
    exact = [x.astype("float64"), ones.astype("float64"), None, grad.astype("float64")]
    found = results([standardize.StandardizeColumns], (1,), x, ones, None, grad)[0]
    expected = results([plain.Standardize], (1,), *exact)[0]
    unit = max(np.spacing(np.float32(abs(mean))), 1e-6)
    for ours, theirs in zip(found[:2], expected[:2], strict=True):
        scale = max(1.0, float(np.abs(theirs).max()))
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=3 * unit * scale * (20 if length == 3 else 1))


@pytest.mark.parametrize("length", [9, 64, 768, 3000])
@pytest.mark.parametrize("mean", [30, -300, 1e4, 1e5])
def test_of_a_large_mean_z_is_as_exact_as_the_plain_one(mean, length):
    x = (numbers((32, length), "float64") + mean).astype("float32")
    exact = plain.Standardize((1,), 1e-5).forward(x.astype("float64"), None, None)
    unit = np.spacing(np.float32(abs(mean)))
    for version, weight in ((standardize.Standardize, None), (standardize.StandardizeColumns, np.ones_like(x[0]))):
        z = version((1,), 1e-5).forward(x, weight, None)
        scale = max(1.0, float(np.abs(exact).max()))
        np.testing.assert_allclose(z, exact, rtol=0, atol=unit * scale / np.std(x, axis=1).min())


@pytest.mark.parametrize("number", [0.1, -80.3, 1e4, 123456.7])
@pytest.mark.parametrize("length", [3, 9, 768, 3000])
def test_equal_numbers_are_all_0(number, length):
    """Their mean, rounded, is another number: divided by sqrt(eps), that would be more than a trace."""
    x = np.full((4, length), number, "float32")
    for version, weight in ((standardize.Standardize, None), (standardize.StandardizeColumns, np.ones_like(x[0]))):
        np.testing.assert_array_equal(version((1,), 1e-5).forward(x, weight, None), 0)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e30])
@pytest.mark.parametrize("weighted", [False, True])
def test_what_is_no_number_or_too_large_to_be_squared_is_left_to_the_plain_lines(value, weighted):
    x, grad = numbers((4, 6), "float32"), numbers((4, 6), "float32", 1)
    x[1, 2] = value
    weight = numbers((6,), "float32", 2) if weighted else None
    version = standardize.StandardizeColumns if weighted else standardize.Standardize
    found, expected = results((version, plain.Standardize), (1,), x, weight, None, grad)
    for ours, theirs in zip(found[:3], expected[:3], strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_arrays_that_lie_otherwise_in_memory():
    x, grad = numbers((6, 5, 4), "float32").transpose(2, 0, 1), numbers((6, 5, 4), "float32", 1).transpose(2, 0, 1)
    weight, bias = numbers((10,), "float32", 2)[::2], numbers((5,), "float32", 3)
    assert_alike(*results((standardize.StandardizeColumns, plain.Standardize), (2,), x, weight, bias, grad))
    same = np.broadcast_to(np.float32(1), x.shape)  # the gradient of a sum
    assert_alike(*results((standardize.StandardizeColumns, plain.Standardize), (2,), x, weight, bias, same))


@pytest.mark.parametrize("threads", [1, 2])
def test_threads_share_it_out(threads):
    x, grad = numbers((64, 16, 33, 33), "float32"), numbers((64, 16, 33, 33), "float32", 1)
    found, before = [], md.get_num_threads()
    try:
        for plainly in (True, False):
            md.set_num_threads(threads)
            with md.using("numpy"), md.plain() if plainly else md.enable_grad():
                weight, bias = (md.Tensor(numbers((16,), "float32", i), requires_grad=True) for i in (2, 3))
                tensor = md.Tensor(x, requires_grad=True)
                y = F.group_norm(tensor, 4, weight, bias)
                y.backward(md.Tensor(grad))
                found.append([a.numpy() for a in (y, tensor.grad, weight.grad, bias.grad)])
    finally:
        md.set_num_threads(before)
    assert_alike(*found)


@pytest.mark.parametrize("version", [standardize.Standardize, standardize.StandardizeColumns])
def test_no_rows_bits_hang_on_what_the_other_rows_are(version):
    """Also where another row lies so far from 0 that its mean is made more exact."""
    shape = (9, 6) if version is standardize.StandardizeColumns else (9, 2, 6)
    x, weight = numbers(shape, "float32"), numbers((6,), "float32", 2)
    apart = x.copy()
    apart[3] += 1000
    op = version(tuple(range(len(shape) - 1, len(shape))), 1e-5)
    weight = weight if version is standardize.StandardizeColumns else None
    y, z = op.forward(x, weight, None), op.forward(apart, weight, None)
    others = np.arange(9) != 3
    np.testing.assert_array_equal(z[others], y[others])
