"""minidl/functional/reduction.py."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl as md
import minidl.functional as F
from minidl import backend
from tests.arrays import device, host, tensor
from tests.factory import Operand, axes_of, check, check_against_numpy, check_special, examples, operand, shapes
from tests.pytorch import torch


def dims(t, axis):
    return tuple(range(t.ndim)) if axis is None else axis


@st.composite
def reduced(draw, **limits):
    """An operand, the axes to reduce, and keepdims."""
    x = draw(operand(**limits))
    return x, draw(axes_of(x.values.ndim)), draw(st.booleans())


@examples(160)
@given(reduced())
def test_mean(drawn):
    x, axis, keepdims = drawn
    check(
        lambda t: F.mean(t, axis, keepdims),
        lambda t: torch.mean(t, dims(t, axis), keepdims),
        x,
        numeric=x.values.size > 0,
    )


@examples(160)
@given(reduced(shape=shapes(min_side=1)), st.sampled_from([0, 1, 2]))
def test_var(drawn, ddof):
    x, axis, keepdims = drawn
    ddof = min(ddof, count(x.values, axis) - 1)
    check(
        lambda t: F.var(t, axis, keepdims, ddof),
        lambda t: torch.var(t, dims(t, axis), correction=ddof, keepdim=keepdims),
        x,
        slack=4,
    )


def count(values, axis):
    """How many numbers go into each result."""
    return values.size // max(values.sum(axis if values.ndim else None).size, 1)


@pytest.mark.parametrize(("ours", "theirs"), [(F.max, torch.amax), (F.min, torch.amin)])
@examples(120)
@given(reduced(shape=shapes(min_side=1)))
def test_max_and_min(ours, theirs, drawn):
    x, axis, keepdims = drawn
    check(lambda t: ours(t, axis, keepdims), lambda t: theirs(t, dims(t, axis), keepdims), x, slack=2)


@examples(160)
@given(reduced())
def test_logsumexp(drawn):
    x, axis, keepdims = drawn
    empty = x.values.size == 0
    check(
        lambda t: F.logsumexp(t, axis, keepdims),
        lambda t: torch.logsumexp(t, dims(t, axis), keepdims),
        x,
        numeric=not empty,
        second=not empty,
        slack=4,
    )


@pytest.mark.parametrize(("ours", "theirs"), [(F.max, torch.amax), (F.min, torch.amin)])
def test_ties_share_the_gradient_evenly(ours, theirs):
    x = Operand(np.array([[1.0, 3, 3, 1], [2, 2, 2, 2]]))
    for axis in (None, 0, 1, (0, 1)):
        check(lambda t, a=axis: ours(t, a), lambda t, a=axis: theirs(t, dims(t, a)), x, numeric=False)


def test_nan_and_infinity():
    nan, inf = np.nan, np.inf
    for row in ([1.0, nan, 2], [inf, 1, 2], [-inf, 1, inf], [-inf, -inf, -inf], [-inf, 0, 1], [nan, nan, 1]):
        x = [np.array(row)]
        check_special(F.logsumexp, lambda t: torch.logsumexp(t, 0), x, gradients=inf not in row)
        check_special(F.sum, torch.sum, x)
        check_special(F.mean, torch.mean, x)
        check_special(F.var, lambda t: torch.var(t, correction=0), x)
        if not np.isnan(row).any():
            check_special(F.max, torch.amax, x)
            check_special(F.min, torch.amin, x)
    assert np.isnan(F.max(tensor(np.array([1, nan]))).item())
    assert np.isnan(F.min(tensor(np.array([1, nan]))).item())


def test_the_slope_of_logsumexp_is_all_that_of_an_infinite_number():
    """As softplus, which is the logsumexp of 0 and x; PyTorch's slope is NaN."""
    x = tensor(np.array([[np.inf, 1.0, 2.0], [-np.inf, 0.0, np.inf]]), True)
    s = F.logsumexp(x, axis=1)
    np.testing.assert_array_equal(host(s), np.inf)
    slope = md.grad(s.sum(), x, create_graph=True)
    np.testing.assert_array_equal(host(slope), [[1, 0, 0], [0, 0, 1]])
    np.testing.assert_array_equal(host(md.grad((slope * slope).sum(), x)), 0)


def test_logsumexp_without_overflow():
    for dtype in ("float16", "float32", "float64"):
        x = tensor(np.array([6e4, 6e4], dtype))
        np.testing.assert_allclose(host(F.logsumexp(x)), 6e4 + np.log(2), rtol=1e-3)
        assert F.logsumexp(x).dtype == dtype


def test_of_no_numbers():
    for dtype in ("float16", "float32", "float64"):
        x = tensor(np.ones((0, 3), dtype), True)
        for result in (F.sum(x, 0), F.mean(x, 0), F.var(x, 0), F.logsumexp(x, 0)):
            assert result.dtype == dtype
            assert result.shape == (3,)
        assert F.sum(x).item() == 0
        assert np.isnan(F.mean(x).item())
        assert np.isnan(F.var(x).item())
        assert F.logsumexp(x).item() == -np.inf
        F.mean(x).backward()
        assert x.grad.shape == (0, 3)
        assert F.max(x, 1).shape == (0,)
        for extreme in (F.max, F.min):
            with pytest.raises(md.ShapeError, match="zero-size"):
                extreme(x, 0)


@pytest.mark.filterwarnings("ignore:var")
def test_var_without_degrees_of_freedom():
    for values, ddof in (([3.0], 1), ([1.0, 2.0], 2), ([1.0, 2.0], 3), ([1.0, 1.0], 2)):
        x = tensor(np.array(values), True)
        expected = torch.var(torch.tensor(values), correction=ddof).item()
        result = F.var(x, ddof=ddof)
        np.testing.assert_equal(result.item(), expected)
        result.backward()
        assert np.isnan(host(x.grad)).all()


def test_float16_is_added_up_in_float32():
    x = tensor(np.ones((5000, 2), np.float16), True)
    np.testing.assert_array_equal(host(F.sum(x, 0)), 5000)
    np.testing.assert_array_equal(host(F.mean(x, 0)), 1)
    np.testing.assert_array_equal(host(F.mean(tensor(np.full(5000, 100, np.float16)))), 100)
    np.testing.assert_allclose(host(F.logsumexp(x, 0)), 1 + np.log(5000), rtol=1e-3)
    y = tensor(np.zeros((5000, 2), np.float16), True)
    F.max(y, 0).backward(device(np.ones(2, np.float16)))
    np.testing.assert_allclose(host(y.grad), 1 / 5000, rtol=2e-3)
    assert F.sum(tensor(np.full(3, 6e4, np.float16))).item() == np.inf


@pytest.mark.parametrize("dtype", ["int64", "int32", "uint8", "bool"])
@pytest.mark.parametrize("axis", [None, 0, -1, (0, 1)])
def test_integers_follow_numpy(dtype, axis):
    x = np.array([[1, 0, 3], [1, 5, 0]]).astype(dtype)
    check_against_numpy(lambda t: F.sum(t, axis), lambda a: a.sum(axis), x)
    check_against_numpy(lambda t: F.mean(t, axis), lambda a: a.mean(axis), x)
    check_against_numpy(lambda t: F.max(t, axis), lambda a: a.max(axis), x)
    check_against_numpy(lambda t: F.min(t, axis, keepdims=True), lambda a: a.min(axis, keepdims=True), x)
    if dtype != "bool":
        check_against_numpy(lambda t: F.var(t, axis), lambda a: a.var(axis), x)


OPS = [F.sum, F.mean, F.var, F.max, F.min, F.logsumexp]


@pytest.mark.parametrize("function", OPS)
def test_axes_that_are_not_there_or_named_twice(function):
    x = tensor(np.ones((2, 3)))
    with pytest.raises(md.ShapeError, match=r"axis from -2 to 1; got 2"):
        function(x, 2)
    with pytest.raises(IndexError):
        function(x, (0, -3))
    with pytest.raises(md.ShapeError, match="each axis once"):
        function(x, (0, -2))
    with pytest.raises(md.DTypeError, match="whole number"):
        function(x, 0.5)
    with pytest.raises(md.ShapeError, match="shape"):
        function(tensor(np.array(1.0)), 1)


@pytest.mark.parametrize("function", OPS)
def test_forms_of_axis(function):
    x = tensor(np.arange(6.0).reshape(2, 3))
    whole = host(function(x, (0, 1)))
    for axis in ([0, 1], (np.int64(0), -1), None):
        np.testing.assert_allclose(host(function(x, axis)), whole)
    np.testing.assert_array_equal(host(function(x, np.int64(1))), host(function(x, 1)))
    assert function(x, ()).shape == (2, 3)
    assert function(tensor(np.array(2.0)), 0).shape == ()
    assert function(tensor(np.array(2.0)), (-1,), keepdims=True).shape == ()


def test_gradients_of_one_axis_on_a_single_number():
    for function in OPS:
        x = tensor(np.array(2.0), True)
        function(x, -1).backward()
        assert x.grad.shape == ()


def test_methods_are_the_functions():
    x = tensor(np.arange(6.0).reshape(2, 3), True)
    for name in ("sum", "mean", "var", "max", "min"):
        np.testing.assert_array_equal(
            host(getattr(x, name)(axis=1, keepdims=True)), host(getattr(F, name)(x, 1, keepdims=True))
        )


def test_long_sums_over_the_first_axis_lose_nothing():
    """NumPy adds row after row to one total, which gives 100,958 for a million times 0.1; CuPy to 16 totals or more."""
    x = tensor(np.full((200_001, 2), 0.1, np.float32), True)
    for result, expected in ((F.sum(x, 0), 20000.1), (F.mean(x, 0), 0.1), (F.sum(x, 0, keepdims=True), 20000.1)):
        assert result.shape in ((2,), (1, 2))
        np.testing.assert_allclose(host(result), expected, rtol=3e-6)
    np.testing.assert_allclose(host(F.var(x, 0)), 0, atol=1e-12)
    bias = tensor(np.zeros(2, np.float32), True)
    (x + bias).backward(x)
    np.testing.assert_allclose(host(bias.grad), 20000.1, rtol=3e-6)
    for axis, shape in (((0, 2), (800, 3, 250)), (None, (250, 800))):  # no axis of its own, and not in one piece
        turned = np.full(shape, 0.1, np.float32)
        turned = device(turned).T if axis is None else device(turned)
        np.testing.assert_allclose(host(F.sum(turned, axis)), 20000, rtol=3e-6)
    numbers = np.arange(5001.0 * 3).reshape(5001, 3)
    np.testing.assert_array_equal(host(F.sum(tensor(numbers), 0)), numbers.sum(0))


def test_float16_means_over_more_numbers_than_float16_reaches():
    x = tensor((np.arange(100_000) % 8).astype(np.float16), True)
    F.mean(x).backward(device(np.array(1024, np.float16)))
    np.testing.assert_allclose(host(x.grad), 0.01024, rtol=1e-3)
    np.testing.assert_allclose(F.mean(x).item(), 3.5, rtol=1e-3)
    x.zero_grad()
    F.var(x).backward(device(np.array(1024, np.float16)))
    np.testing.assert_allclose(host(x.grad), 2048 * (host(x).astype(float) - 3.5) / 100_000, rtol=1e-3)
    y = tensor(np.zeros(100_000, np.float16), True)
    F.max(y).backward(device(np.array(1024, np.float16)))
    np.testing.assert_allclose(host(y.grad), 0.01024, rtol=1e-3)


@pytest.mark.parametrize("function", [F.max, F.min])
def test_the_gradient_of_an_extreme_that_is_nan_goes_to_the_nans(function):
    x = tensor(np.array([1, np.nan, 2, np.nan]), True)
    function(x).backward()
    np.testing.assert_array_equal(host(x.grad), [0, 0.5, 0, 0.5])


# ---- norm


@examples(160)
@given(reduced(zero=False), st.sampled_from([None, 2, 1, 3, 1.5, 0.5, np.inf, -np.inf]))
def test_norm(drawn, order):
    x, axis, keepdims = drawn
    if len(np.atleast_1d(axis) if axis is not None else x.values.shape) == 2:
        order = None
    if x.values.size == 0 and np.isinf(order or 2):
        order = 2
    check(
        lambda t: F.norm(t, order, axis, keepdims),
        lambda t: torch.linalg.vector_norm(t, order or 2, dims(t, axis), keepdims),
        x,
        numeric=x.values.size > 0,
        second=x.values.size > 0,  # PyTorch's is NaN then
        slack=4,
    )


@pytest.mark.parametrize("axis", [None, (0, 1), (1, -2)])
def test_the_frobenius_norm(axis):
    x = np.arange(-3.0, 3).reshape(2, 3)
    for order in (None, "fro"):
        check_against_numpy(lambda t, o=order: F.norm(t, o, axis), lambda a, o=order: np.linalg.norm(a, o, axis), x)
    check_against_numpy(F.norm, np.linalg.norm, np.array([[3, 0], [0, 4]]))


@pytest.mark.parametrize("order", [1, 2, 2.5, np.float64(2), np.inf, -np.inf])
def test_norms_of_integers_follow_numpy(order):
    check_against_numpy(lambda t: F.norm(t, order), lambda a: np.linalg.norm(a, order), np.array([3, -4, 1]))
    assert F.norm(tensor(np.ones(3, np.float32)), order).dtype == np.float32


@pytest.mark.parametrize("order", [1, 2, 3, 0.5, np.inf, -np.inf])
def test_the_gradient_of_a_norm_is_zero_at_zero(order):
    """There it has no slope (or an infinite one): PyTorch takes 0; and where only some elements are 0, 0 for those."""
    check_special(
        lambda t: F.norm(t, order, -1),
        lambda t: torch.linalg.vector_norm(t, order, -1),
        [np.array([[0.0, 0.0], [3.0, 0.0], [0.0, -2.0], [3.0, -4.0]])],
    )


def test_second_derivatives_of_norms_at_zero_are_finite():
    for order, expected in ((2, [[0, 0], [0, 1 / 3]]), (3, [[0, 0], [0, 0]]), (2.5, [[0, 0], [0, 0]])):
        x = tensor(np.array([[0.0, 0.0], [3.0, 0.0]]), True)
        slope = md.grad(F.norm(x, order, 1).sum(), x, create_graph=True)
        np.testing.assert_allclose(host(md.grad(slope.sum(), x)), expected, atol=1e-15)


def count_as_0(x):
    """Whether numbers as small as these are 0 for what computes: CuPy compiles its kernels so, for float32."""
    return x.dtype == np.float32 and not (host(x._data * 1) != 0).any()


def test_only_on_a_device_small_numbers_count_as_0():
    """NumPy has them all; of a device README.md says which count as 0."""
    normal = tensor(np.array([1.2e-38], np.float32))
    assert not count_as_0(normal)
    assert not count_as_0(tensor(np.array([5e-324])))
    if backend.current() == "numpy":
        assert not count_as_0(tensor(np.array([1.4e-45], np.float32)))


@pytest.mark.parametrize(
    ("dtype", "size"), [("float32", 1e30), ("float32", 1e-30), ("float32", 1e-38), ("float64", 1e300), ("float16", 2e4)]
)
@pytest.mark.parametrize("order", [None, 2, 3, 0.5])
def test_norms_without_overflow_or_underflow(dtype, size, order):
    x = tensor(np.full(4, size, dtype) if order != 0.5 else np.full(1, size, dtype), True)
    y = F.norm(x, order)
    y.backward()
    if count_as_0(x):
        assert (y.item(), *host(x.grad)) == (0,) * (1 + len(x))
        return
    exact = host(x).astype(np.float64)[0] * len(x) ** (1 / (order or 2))
    assert y.dtype == dtype
    np.testing.assert_allclose(y.item(), exact, rtol=2e-3)
    np.testing.assert_allclose(host(x.grad), len(x) ** (1 / (order or 2) - 1), rtol=2e-3)


def test_norms_of_infinity_and_nan():
    for row in ([np.inf, 1.0], [-np.inf, np.inf], [np.nan, 1.0], [np.nan, np.inf]):
        # Beside infinity PyTorch's slope is NaN; ours is the limit (see below).
        check_special(F.norm, torch.linalg.vector_norm, [np.array(row)], gradients=bool(np.isnan(row).any()))


def test_what_is_no_norm():
    x = tensor(np.ones((2, 3)))
    for order in (2, 1, np.inf, "nuc"):
        with pytest.raises(ValueError, match=r"over two axes .* 'fro'; got .*norm\(x\.flatten"):
            F.norm(x, order)
        with pytest.raises(ValueError, match="over two axes"):
            F.norm(tensor(np.ones((2, 3, 4))), order, (0, -1))
    for order in (0, -1, np.nan, "fro", "two", [2]):
        with pytest.raises(ValueError, match="expected ord as None, inf, -inf or a number above 0; got"):
            F.norm(x, order, 1)
    with pytest.raises(md.ShapeError, match="zero-size"):
        F.norm(tensor(np.ones(0)), np.inf)
    with pytest.raises(md.ShapeError, match="from -2 to 1; got 2"):
        F.norm(x, axis=2)


# ---- cumsum


@examples(80)
@given(st.data())
def test_cumsum(data):
    x = data.draw(operand())
    axis = data.draw(st.one_of(st.none(), st.integers(-x.values.ndim, x.values.ndim - 1))) if x.values.ndim else None
    check(
        lambda t: F.cumsum(t, axis),
        lambda t: torch.cumsum(t.reshape(-1), 0) if axis is None else torch.cumsum(t, axis),
        x,
    )


@pytest.mark.parametrize("dtype", ["int64", "int32", "uint8", "bool", "float32"])
def test_cumsum_follows_numpy(dtype):
    x = np.array([[1, 0, 3], [1, 5, 0]]).astype(dtype)
    for axis in (None, 0, 1, -1):
        check_against_numpy(lambda t, a=axis: F.cumsum(t, a), lambda v, a=axis: np.cumsum(v, a), x)
        np.testing.assert_array_equal(host(tensor(x).cumsum(axis)), np.cumsum(x, axis))
    for axis in (None, 0, -1):
        check_against_numpy(lambda t, a=axis: F.cumsum(t, a), lambda v, a=axis: np.cumsum(v, a), np.array(3))
    np.testing.assert_array_equal(host(F.cumsum([1.0, 2.0])), [1, 3])


def test_a_running_total_loses_nothing():
    x = tensor(np.ones(5000, np.float16), True)
    assert host(F.cumsum(x))[-1] == 5000
    F.cumsum(x).backward(device(np.ones(5000, np.float16)))
    assert host(x.grad)[0] == 5000
    np.testing.assert_allclose(host(F.cumsum(tensor(np.full(1_000_000, 0.1, np.float32))))[-1], 1e5, rtol=1e-6)


def test_cumsum_along_an_axis_that_is_not_there():
    with pytest.raises(md.ShapeError, match="from -2 to 1; got 2"):
        F.cumsum(tensor(np.ones((2, 3))), 2)
    with pytest.raises(md.ShapeError, match="got 1"):
        F.cumsum(tensor(np.array(3.0)), 1)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize(
    ("order", "row", "slopes"),
    [
        (2, [np.inf, 1, -2], [1, 0, 0]),
        (2, [0, -np.inf, 0], [0, -1, 0]),
        (2, [np.inf, -np.inf, 3], [0.5**0.5, -(0.5**0.5), 0]),
        (3, [1, -np.inf, 2], [0, -1, 0]),
        (3, [np.inf, np.inf, 2], [0.25 ** (1 / 3), 0.25 ** (1 / 3), 0]),
        (1, [-np.inf, 2, 0], [-1, 1, 0]),
        (2, [np.nan, 1, np.inf], [np.nan, np.nan, np.nan]),
    ],
)
def test_the_slope_of_a_norm_beside_infinity_is_the_limit(order, row, slopes, dtype):
    x = tensor(np.array([row, [3.0, 0.0, -4.0]], dtype), True)
    slope = md.grad(F.norm(x, order, axis=1).sum(), x, create_graph=True)
    np.testing.assert_allclose(host(slope)[0], slopes, rtol=2e-3)
    assert slope.dtype == dtype
    again = host(md.grad(slope.sum(), x))
    assert np.isfinite(again[1]).all()  # the row beside it
    assert order == 1 or np.isnan(row).any() or not again[0].any()


@pytest.mark.parametrize(("dtype", "large"), [("float16", 5e4), ("float32", 3e38), ("float64", 1.7e308)])
@pytest.mark.parametrize("order", [2, 3])
def test_the_slope_of_a_norm_that_overflows(order, dtype, large):
    x = tensor(np.array([large, -large], dtype), True)
    slope = md.grad(F.norm(x, order), x)
    size = 0.5 ** ((order - 1) / order)
    np.testing.assert_allclose(host(slope), [size, -size], rtol=1e-3)


@pytest.mark.parametrize("function", [F.max, F.min])
def test_what_is_no_extreme_has_no_slope_also_of_an_infinite_gradient(function):
    x = tensor(np.array([[1.0, 1.0, 2.0], [0.5, 3.0, 3.0]]), True)
    chosen = host(x) == getattr(np, function.__name__)(host(x), axis=1, keepdims=True)
    for create_graph in (False, True):
        slope = md.grad(function(x, axis=1), x, device(np.array([np.inf, -np.inf])), create_graph=create_graph)
        np.testing.assert_array_equal(host(slope), np.where(chosen, [[np.inf], [-np.inf]], 0))


@examples(100)
@given(reduced(shape=shapes(min_side=2)), st.sampled_from([0, 1]))
def test_std(drawn, ddof):
    x, axis, keepdims = drawn
    if count(x.values, axis) > 1 and np.std(host(x.raw("float64")), axis).min() > 0.1:
        check(
            lambda t: F.std(t, axis, keepdims, ddof),
            lambda t: torch.std(t, dims(t, axis), correction=ddof, keepdim=keepdims),
            x,
            slack=16,
        )


def test_the_gradient_of_a_deviation_of_0_is_0():
    x = tensor([2.0, 2.0, 2.0], True)
    F.std(x).backward()
    np.testing.assert_array_equal(host(x.grad), 0)


@examples(100)
@given(reduced(low=-2, high=2))
def test_prod(drawn):
    x, axis, keepdims = drawn

    def theirs(t):
        for i in sorted(
            range(t.ndim) if axis is None else {a % (t.ndim or 1) for a in np.atleast_1d(axis)}, reverse=True
        ):
            t = t.prod(i, keepdim=keepdims) if t.ndim else t
        return t

    check(lambda t: F.prod(t, axis, keepdims), theirs, x, slack=8, numeric=x.values.size > 0)


def test_the_gradient_of_a_product_with_zeros_is_the_product_of_the_others():
    for values, expected in (([2.0, 0.0, 5.0], [0, 10, 0]), ([0.0, 0.0, 5.0], [0, 0, 0])):
        x = tensor(values, True)
        x.prod().backward()
        np.testing.assert_array_equal(host(x.grad), expected)
        assert md.gradgradcheck(F.prod, [tensor(np.array(values), True)])


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32", "bool"])
def test_a_product_of_narrow_integers_does_not_wrap_around(dtype):
    check_against_numpy(F.prod, np.prod, np.array([100, 100, 7]).astype(dtype))


def test_products_follow_numpy():
    for values in (np.arange(1, 7).reshape(2, 3), np.array([True, False]), np.ones((0, 3)), np.arange(1.0, 6.0)):
        for axis in (None, 0):
            check_against_numpy(lambda t, a=axis: F.prod(t, a), lambda v, a=axis: np.prod(v, a), values)


@examples(40)
@given(reduced(shape=shapes(min_side=1)))
def test_ptp(drawn):
    x, axis, keepdims = drawn
    check(
        lambda t: F.ptp(t, axis, keepdims),
        lambda t: torch.amax(t, dims(t, axis), keepdims) - torch.amin(t, dims(t, axis), keepdims),
        x,
        slack=4,
        numeric=False,
    )


@pytest.mark.parametrize("p", [None, 3])
@pytest.mark.parametrize(("dtype", "least"), [("float16", 6e-8), ("float32", 1.4e-45), ("float64", 5e-324)])
def test_the_gradient_of_the_norm_of_the_smallest_numbers(p, dtype, least):
    """The norm itself has one or two digits there. Where a device takes such numbers for 0, so is the gradient."""
    x, ordinary = tensor(np.array([3, 4, 0], dtype) * np.array(least, dtype), True), tensor(np.array([3.0, 4, 0]), True)
    F.norm(x, p).backward()
    F.norm(ordinary, p).backward()
    expected = np.zeros(3) if count_as_0(x) else host(ordinary.grad)
    np.testing.assert_allclose(host(x.grad), expected, rtol=2e-3)
