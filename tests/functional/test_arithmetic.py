"""minidl/functional/arithmetic.py."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given

import minidl as md
import minidl.functional as F
from tests.arrays import assert_same, device, host, tensor
from tests.factory import (
    SPECIAL,
    check,
    check_against_numpy,
    check_special,
    check_with_numbers,
    examples,
    operand,
    operands,
    shapes,
)
from tests.pytorch import torch

GRID = np.meshgrid(SPECIAL, SPECIAL)  # every pair of special values


@examples(120)
@given(operands(2))
def test_add(xs):
    check(F.add, torch.add, xs)


@examples(120)
@given(operands(2))
def test_subtract(xs):
    check(F.subtract, torch.sub, xs)


@examples(120)
@given(operands(2))
def test_multiply(xs):
    check(F.multiply, torch.mul, xs)


@examples(120)
@given(operands(2, zero=False))
def test_divide(xs):
    check(F.divide, torch.div, xs, slack=4)


@examples(60)
@given(operand())
def test_negative(x):
    check(F.negative, torch.neg, x)


@examples(60)
@given(operand())
def test_absolute(x):
    check(F.absolute, torch.abs, x)
    check(F.abs, torch.abs, x, numeric=False)


@examples(10)
@given(operand())
def test_sign(x):
    check(F.sign, torch.sign, x)


@examples(120)
@given(operands(2, low=0.125, high=2.5))
def test_power_of_two_tensors(xs):
    check(F.power, torch.pow, xs, slack=8)


@examples(60)
@given(operand(low=0.125, high=2.5))
def test_power_with_a_number_as_exponent(x):
    for n in (0.5, 1.5, -1, -0.5, 0, 1, 2, 3):
        check(lambda t, n=n: F.power(t, n), lambda t, n=n: torch.pow(t, n), x, slack=8)


@examples(60)
@given(operand(zero=False))
def test_whole_powers_of_negative_numbers(x):
    for n in (0, 1, 2, 3, -1, -2, 2.0):
        check(lambda t, n=n: F.power(t, n), lambda t, n=n: torch.pow(t, n), x, slack=8, numeric=n not in (-1, -2))


@examples(30)
@given(operands(2, low=0.125, high=2))
def test_power_with_an_array_on_one_side(xs):
    """An array is a constant: what a backward makes of it and of Tensors has all derivatives."""
    array, values = device(xs[0].values), torch.tensor(xs[0].values)
    check(lambda t: F.power(array.astype(t.dtype), t), lambda t: torch.pow(values, t), xs[1], slack=4)
    check(lambda t: F.power(t, array.astype(t.dtype)), lambda t: torch.pow(t, values), xs[1], slack=4)


@examples(60)
@given(operand())
def test_power_with_a_number_as_base(y):
    for base in (2, 0.5, 1, 3.0):
        check(lambda t, b=base: F.power(b, t), lambda t, b=base: torch.pow(b, t), y, slack=4)


@pytest.mark.parametrize("n", [0, 1, 2, 3, 0.5, -1, -0.5, 1.5])
def test_powers_of_zero_and_of_special_numbers(n):
    values = SPECIAL[np.isfinite(SPECIAL)] if n == 0 else SPECIAL
    if abs(n) in (0.5, 1.5):  # PyTorch takes the square root, and C's pow differs from it at -0 and -infinity
        values = values[(values != 0) & (values != -np.inf)]
    check_special(lambda t: F.power(t, n), lambda t: torch.pow(t, n), [values], ["float64", "float32"])


@pytest.mark.parametrize("base", [0, 1, 2, -2, 0.0])
def test_special_exponents_of_a_number(base):
    check_special(lambda t: F.power(base, t), lambda t: torch.pow(base, t), [SPECIAL], ["float64", "float32"])


@pytest.mark.parametrize("base", [0, 0.0, np.array([0.0, 0.0, 2.0])])
def test_the_second_derivative_of_a_power_of_zero_is_zero(base):
    y = tensor([0.5, 2.0, 0.0], True)
    left = device(base) if isinstance(base, np.ndarray) else base
    (first,) = md.grad((left**y).sum(), [y], create_graph=True)
    (second,) = md.grad(first.sum(), [y])
    np.testing.assert_array_equal(host(second)[:2], 0)
    np.testing.assert_allclose(host(second)[2], 0 if np.ndim(base) == 0 else np.log(2) ** 2)


def test_power_of_special_pairs():
    x, y = GRID
    check_special(F.power, torch.pow, GRID, ["float64", "float32"], gradients=False)
    limits = (abs(y) == np.inf) | ((abs(x) == np.inf) & (y < 0))  # where PyTorch has NaN; see LIMITS
    check_special(F.power, torch.pow, [x[~limits], y[~limits]], ["float64", "float32"])


def test_the_square_has_a_second_derivative_at_zero():
    x = tensor(np.zeros(3), True)
    (first,) = md.grad(F.power(x, 2), [x], device(np.ones(3)), create_graph=True)
    (second,) = md.grad(first, [x], device(np.ones(3)), create_graph=True)
    np.testing.assert_array_equal(host(second), 2)
    (third,) = md.grad(second, [x], device(np.ones(3)))
    np.testing.assert_array_equal(host(third), 0)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [(F.add, torch.add), (F.subtract, torch.sub), (F.multiply, torch.mul), (F.divide, torch.div)],
)
def test_special_values(ours, theirs):
    check_special(ours, theirs, GRID)


def test_special_values_of_one_operand():
    check_special(F.negative, torch.neg, [SPECIAL])
    check_special(F.absolute, torch.abs, [SPECIAL[1:]])
    check_special(F.absolute, torch.abs, [SPECIAL], gradients=False)


@examples(4)
@given(operand(shapes(1, 2), low=0.125, high=2.5))
def test_numbers_do_not_promote(x):
    check_with_numbers(F.add, torch.add, x)
    check_with_numbers(F.subtract, torch.sub, x)
    check_with_numbers(F.multiply, torch.mul, x)
    check_with_numbers(F.divide, torch.div, x)
    check_with_numbers(F.power, torch.pow, x)


def test_numbers_do_not_promote_under_the_operators():
    x = tensor(np.ones(3, np.float32), True)
    y = (2 * x / np.sqrt(3) + np.float64(1)) ** np.float64(2) - np.int64(1)
    y.sum().backward()
    assert y.dtype == np.float32
    assert x.grad.dtype == np.float32


def test_a_list_takes_the_dtype_of_the_tensor_beside_it():
    x = tensor(np.ones(2, np.float32), True)
    assert F.add(x, [0.5, 1.5]).dtype == np.float32
    assert F.multiply([0.1, 0.2], tensor(np.ones(2))).dtype == np.float64
    np.testing.assert_array_equal(host(F.multiply([0.1, 0.2], tensor(np.ones(2)))), [0.1, 0.2])
    assert F.add(tensor(np.arange(2)), [1, 2]).dtype == np.int64


TWO_OPERANDS = [F.add, F.subtract, F.multiply, F.divide, F.power, F.maximum, F.minimum, F.outer]


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize(
    "other", [2, 2.5, True, np.float64(2.5), np.int64(2), [1, 2], (0.5, 2.5), [np.float64(0.5), 2]]
)
@pytest.mark.parametrize("function", TWO_OPERANDS, ids=lambda function: function.__name__)
def test_neither_a_number_nor_a_list_promotes(function, other, dtype):
    """On either side, of a Tensor and of a raw array; and the values are those of the array of them."""
    values = np.array([1.5, 0.5], dtype)
    for x in (tensor(values, True), device(values)):
        there, back = function(x, other), function(other, x)
        assert there.dtype == back.dtype == dtype
        same = device(np.asarray(other, dtype))
        np.testing.assert_allclose(host(there), host(function(device(values), same)), rtol=2e-3)
        np.testing.assert_allclose(host(back), host(function(same, device(values))), rtol=2e-3)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_no_list_among_other_operands_promotes(dtype):
    x = tensor(np.array([1.5, 0.5], dtype), True)
    for y in (
        F.stack([x, [1, 2]]),
        F.stack([(1.0, 2.0), x]),
        F.concatenate([x, [1.0, 2.0]]),
        F.clip(x, [0, 1], [1.0, 2.0]),
        F.where([True, False], x, [1, 2]),
        F.where(x > 1, 2, x),
        F.prelu(x, [1, 2]),
        F.matmul(x, [1, 2]),
        F.mse_loss([1, 2], x),
        F.hinge_loss([1, -1], [1, -1] * F.sign(x)),
    ):
        assert y.dtype == dtype
    assert F.stack([tensor(np.array(1, dtype)), 2.5, np.float64(3)]).dtype == dtype


def test_numbers_alone_are_arrays():
    assert F.add(1, 2.5) == 3.5
    assert F.power(2, 3).shape == ()
    assert F.exp(np.float32(0)).dtype == np.float32


@pytest.mark.parametrize("dtype", ["int64", "int32", "uint8", "int8", "bool"])
def test_integers_follow_numpy(dtype):
    x, y = np.array([1, 2, 3, 0], dtype), np.array([[3], [1]], dtype)
    check_against_numpy(F.add, np.add, x, y)
    check_against_numpy(F.multiply, np.multiply, x, y)
    check_against_numpy(F.divide, np.divide, x, y)
    if dtype != "bool":
        check_against_numpy(F.subtract, np.subtract, x, y)
        check_against_numpy(F.power, np.power, x, y)
        check_against_numpy(F.negative, np.negative, x)
        check_against_numpy(lambda t: F.power(t, 2), lambda a: a**2, x)


def test_an_integer_has_no_negative_power():
    x = tensor(np.array([2, 3]))
    with pytest.raises(md.DTypeError, match="astype"):
        F.power(x, -1)
    exponents = tensor(np.array([-1, 2]))
    if x.device == "cupy":  # it would have to wait to see them
        assert_same(F.power(x, exponents), [0, 9])
    else:
        with pytest.raises(md.DTypeError, match="astype"):
            F.power(x, exponents)
    assert_same(F.power(x, -1.0), [1 / 2, 1 / 3])


def test_shapes_that_do_not_broadcast_are_named():
    with pytest.raises(md.ShapeError, match=r"Mul.*\(2, 3\).*\(4,\)"):
        F.multiply(tensor(np.ones((2, 3))), tensor(np.ones(4)))


def test_a_gradient_has_the_dtype_of_its_tensor_where_float32_meets_float64():
    x = tensor(np.ones(3, np.float32), True)
    y = F.exp(x)
    seen = []
    y.register_hook(lambda grad: seen.append(grad.dtype))
    F.multiply(y, tensor(np.ones(3))).sum().backward()
    assert seen == [np.float32]
    assert x.grad.dtype == np.float32


def test_float16_sums_over_broadcast_axes_keep_what_is_small():
    bias = tensor(np.zeros(2, np.float16), True)
    F.add(tensor(np.zeros((5000, 2), np.float16)), bias).backward(device(np.ones((5000, 2), np.float16)))
    np.testing.assert_array_equal(host(bias.grad), 5000)  # a running sum in float16 ends at 2048


# ---- powers at 0 and infinity

INF = np.inf
LIMITS = [  # x, y, dz/dx = y x^(y-1), dz/dy = x^y ln x, d2z/dx2 = y (y-1) x^(y-2)
    (INF, 2.0, INF, INF, 2.0),
    (INF, 1.0, 1.0, INF, 0.0),
    (INF, 0.5, 0.0, INF, 0.0),
    (INF, 0.0, 0.0, INF, 0.0),
    (INF, -1.0, 0.0, 0.0, 0.0),
    (INF, -INF, 0.0, 0.0, 0.0),
    (0.0, 2.0, 0.0, 0.0, 2.0),
    (0.0, 3.0, 0.0, 0.0, 0.0),
    (0.0, INF, 0.0, 0.0, 0.0),
    (0.0, -1.0, -INF, -INF, INF),
    (0.5, INF, 0.0, 0.0, 0.0),
    (2.0, -INF, 0.0, 0.0, 0.0),
    (2.0, INF, INF, INF, INF),
]


@pytest.mark.parametrize(("x", "y", "by_x", "by_y", "twice"), LIMITS)
def test_the_slopes_of_a_power_are_its_limits(x, y, by_x, by_y, twice):
    a, b = tensor(np.array([x]), True), tensor(np.array([y]), True)
    slope = md.grad(F.power(a, b), [a, b], create_graph=True)
    np.testing.assert_array_equal([host(s).item() for s in slope], [by_x, by_y])
    np.testing.assert_array_equal(host(md.grad(slope[0], a)), [twice])


@pytest.mark.parametrize(("base", "slopes"), [(INF, [0, INF, INF]), (0, [-INF, 0, 0])])
def test_the_slopes_of_a_power_of_zero_or_infinity(base, slopes):
    y = tensor(np.array([-1.0, 0.0, 1.0]), True)
    np.testing.assert_array_equal(host(md.grad(F.sum(F.power(base, y)), y)), slopes)
    again = md.grad(F.sum(md.grad(F.sum(F.power(base, y)), y, create_graph=True)), y)
    np.testing.assert_array_equal(host(again), 0 if base == 0 else slopes)


@pytest.mark.parametrize("x", [0.5, 2.0])
def test_a_power_of_0_has_a_mixed_derivative(x):
    """d2z/dx dy = x^(y-1) (1 + y ln x), for y = 0 that is 1/x, in whichever order; PyTorch gives 0 for dz/dx by y."""
    a, b = tensor(np.array([x]), True), tensor(np.array([0.0]), True)
    by_x, by_y = md.grad(F.power(a, b), [a, b], create_graph=True)
    assert by_x.item() == 0
    assert md.grad(by_x, b).item() == pytest.approx(1 / x, rel=1e-15)  # CuPy's x ** -1 may be a unit off
    assert md.grad(by_y, a).item() == pytest.approx(1 / x, rel=1e-15)


@pytest.mark.parametrize("n", [INF, -INF])
def test_a_number_is_an_exponent_as_an_array_is_one(n):
    values = np.array([0.0, 0.5, 1.0, 2.0, INF])
    slopes = []
    for exponent in (n, tensor(np.full(5, n))):
        x = tensor(values, True)
        F.power(x, exponent).sum().backward()
        slopes.append(host(x.grad))
    np.testing.assert_array_equal(*slopes)
    np.testing.assert_array_equal(slopes[0], [0, 0, INF, INF, INF] if n > 0 else [-INF, -INF, -INF, 0, 0])
