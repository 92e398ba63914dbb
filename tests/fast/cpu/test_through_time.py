"""minidl/fast/cpu/through_time.py: the plain lines' numbers, however the steps are cut into blocks and shared out."""

from __future__ import annotations

import numpy as np
import pytest

import minidl as md
from minidl.autograd.modes import PLAIN, mode, plain
from minidl.fast.cpu import threads as parallel
from minidl.fast.cpu import through_time
from minidl.fast.cpu.through_time import GRUThroughTime, LSTMThroughTime, RNNThroughTime
from tests.fast.test_through_time import KINDS, every_kind, operands_of, whole

VERSIONS = {"tanh": RNNThroughTime, "relu": RNNThroughTime, "lstm": LSTMThroughTime, "gru": GRUThroughTime}


@pytest.fixture(autouse=True)
def on_the_cpu_and_faster():
    """Versions for the CPU are used, whatever the backend under test, and also with `pytest --plain`."""
    before = mode.set(mode.get() & ~PLAIN)
    try:
        with md.using("numpy"):
            yield
    finally:
        mode.reset(before)


def results(kind, arrays, weights=None):
    """The states, and the gradients of a weighted sum of all of them, those of the cells among them."""
    xs = [md.tensor(array, requires_grad=True) for array in arrays]
    states = whole(kind)(*xs)
    if weights is None:
        weights = np.random.default_rng(1).standard_normal(states.shape)
    (states * weights.astype(states.dtype)).sum().backward()
    return [states.numpy(), *(x.grad.numpy() for x in xs)]


def plainly(kind, arrays, weights=None):
    with plain():
        return results(kind, arrays, weights)


def assert_close(found, expected, rounding=1e-12):
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.dtype == theirs.dtype
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=rounding * max(1, np.abs(theirs).max(initial=0)))


@pytest.mark.parametrize(("dtype", "rounding"), [("float64", 1e-12), ("float32", 1e-5)])
@pytest.mark.parametrize("sizes", [(13, 5, 20), (1, 5, 20), (13, 1, 20), (13, 5, 1), (13, 0, 20), (2, 33, 130)])
@every_kind
def test_it_is_the_plain_op(kind, sizes, dtype, rounding):
    arrays = operands_of(kind, *sizes, dtype=dtype, scale=0.3)
    assert_close(results(kind, arrays), plainly(kind, arrays), rounding)


@pytest.mark.parametrize("at_once", [1, 2, 5, 12, 13])
@every_kind
def test_the_steps_of_the_backward_are_cut_anywhere(kind, at_once, monkeypatch):
    arrays = operands_of(kind, 13, 5, 20, scale=0.3)
    expected = results(kind, arrays)
    monkeypatch.setattr(parallel, "BLOCK", at_once * through_time.WORKED_ON * 5 * 20 * 8)
    for ours, theirs in zip(results(kind, arrays), expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("number", [1, 2, 3])
@every_kind
def test_large_products_are_shared_out(kind, number, monkeypatch):
    pytest.importorskip("threadpoolctl")
    arrays = operands_of(kind, 4, 5, 20, scale=0.3)
    expected, parts, matmul = plainly(kind, arrays), [], np.matmul
    monkeypatch.setattr(parallel, "_threads", parallel._Threads())
    monkeypatch.setattr(parallel, "WORTH", 0)
    monkeypatch.setattr(through_time, "WORTH", 0)
    monkeypatch.setattr(np, "matmul", lambda x, y, out: parts.append(out.shape) or matmul(x, y, out=out))
    parallel.set_num_threads(number)
    assert_close(results(kind, arrays), expected)
    parallel.set_num_threads(1)
    gates = KINDS[kind][1]
    assert sum(shape[1] for shape in parts if shape[0] == gates and len(shape) == 3) == 2 * 4 * 5  # each way, each step
    assert len([shape for shape in parts if len(shape) == 3]) == 2 * 4 * number


@every_kind
def test_arrays_may_lie_in_memory_as_they_like(kind):
    arrays = operands_of(kind, 7, 5, 6, scale=0.3)
    backwards = [np.ascontiguousarray(array[::-1].T).T[::-1] for array in arrays]
    assert_close(results(kind, backwards), results(kind, arrays))
    ones = np.ones((KINDS[kind][2], 7, 5, 6))
    assert_close(results(kind, arrays, np.broadcast_to(1.0, ones.shape)), plainly(kind, arrays, ones))


@every_kind
def test_what_is_not_wanted_is_left_out(kind):
    """The weights' gradients: then only those of what comes from below are computed."""
    arrays = operands_of(kind, 3, 2, 4)
    expected = plainly(kind, arrays)
    xs = [md.tensor(array, requires_grad=i == 0) for i, array in enumerate(arrays)]
    states = whole(kind)(*xs)
    op = states._op
    assert type(op) is VERSIONS[kind]
    grad = np.random.default_rng(1).standard_normal(states.shape)
    found = op.backward(grad, *[x._data for x in (xs[0], *xs[-2:], *xs[1:-2])], states._data)
    np.testing.assert_allclose(found[0], expected[1], atol=1e-12)
    assert found[1] is None
    assert found[2] is None


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kind", ["lstm", "gru"])
def test_a_gate_that_is_almost_shut_keeps_its_digits(kind, dtype):
    """Gates of 1e-9 and less let through 1e-9 and less, and not 0: gradients that vanish can be drawn on a log axis."""
    arrays = operands_of(kind, 1, 3, 5, dtype=dtype, scale=0.1)
    arrays[0].reshape((1, 3, KINDS[kind][1], 5))[:, :, :2] -= 30  # i and f, or r and z
    for ours, theirs in zip(results(kind, arrays), plainly(kind, arrays), strict=True):
        assert (ours != 0).all()
        np.testing.assert_allclose(ours, theirs, rtol=1e-3 if dtype == "float32" else 1e-11)


@every_kind
def test_infinity_and_nan_go_where_they_go_in_plain_lines(kind):
    for bad in (np.inf, -np.inf, np.nan, 1e300):
        arrays = operands_of(kind, 5, 3, 4, scale=0.3)
        arrays[0][2, 1] = bad
        for ours, theirs in zip(results(kind, arrays), plainly(kind, arrays), strict=True):
            np.testing.assert_array_equal(np.isfinite(ours), np.isfinite(theirs))
            np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-12)


@every_kind
def test_nothing_that_is_handed_in_is_written_to(kind):
    arrays = operands_of(kind, 4, 3, 5)
    for array in arrays:
        array.flags.writeable = False
    op, (from_input, *state, weight, bias) = VERSIONS[kind].plain.__new__(VERSIONS[kind].plain), arrays
    if kind in ("tanh", "relu"):
        op.nonlinearity = kind
    op.__class__ = VERSIONS[kind]
    op.needed = 0b11111
    out = op.forward(from_input, weight, bias, *state)
    grad = np.ones_like(out)
    grad.flags.writeable = out.flags.writeable = False
    first = op.backward(grad, from_input, weight, bias, *state, out)
    for once, again in zip(first, op.backward(grad, from_input, weight, bias, *state, out), strict=True):
        np.testing.assert_array_equal(once, again)
        assert not np.shares_memory(once, again)


@every_kind
def test_it_fits_arrays_of_numpy_in_float32_and_float64(kind):
    version = VERSIONS[kind]
    arrays = operands_of(kind, 2, 2, 3)
    op = KINDS[kind][0]()
    assert version in op.versions
    for dtype, fits in (("float32", True), ("float64", True), ("float16", False)):
        assert version.fits(op, *(array.astype(dtype) for array in arrays)) == fits
    assert version.fits(op, *arrays[:-1], None)
    assert not version.fits(op, *arrays[:-1], np.ma.array(arrays[-1]))


def test_the_parts_of_a_step_are_those_of_the_plain_lines():
    for kind in ("lstm", "gru"):
        from_input, *state, weight, bias = operands_of(kind, 3, 2, 4, scale=0.5)
        found = []
        for cls in (VERSIONS[kind], VERSIONS[kind].plain):
            op = KINDS[kind][0]()
            op.__class__ = cls
            op.forward(from_input, weight, bias, *state)
            found.append(op.kept)
        assert len(found[0]) == len(found[1]) == 3
        for t in range(3):
            for ours, theirs in zip(found[0][t], found[1][t], strict=True):
                np.testing.assert_allclose(ours, theirs, atol=1e-14)
