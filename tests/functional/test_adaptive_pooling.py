"""minidl/functional/adaptive_pooling.py."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl as md
import minidl.functional as F
from tests.arrays import device, host, tensor
from tests.factory import Operand, check, check_special, examples, operand
from tests.pytorch import TF, torch

ADAPTIVE = {
    ("avg", 1): (F.adaptive_avg_pool1d, TF.adaptive_avg_pool1d),
    ("avg", 2): (F.adaptive_avg_pool2d, TF.adaptive_avg_pool2d),
    ("max", 1): (F.adaptive_max_pool1d, TF.adaptive_max_pool1d),
    ("max", 2): (F.adaptive_max_pool2d, TF.adaptive_max_pool2d),
}
ALL_FOUR = pytest.mark.parametrize(("kind", "n"), ADAPTIVE)


def adaptive_plain(x, out, reduce):
    """The definition: window i of o, of L places, is those from floor(i L / o) to ceil((i + 1) L / o)."""
    y = np.zeros((*x.shape[:2], *out))
    for n, c, *place in np.ndindex(y.shape):
        window = [
            slice(math.floor(i * length / o), math.ceil((i + 1) * length / o))
            for i, length, o in zip(place, x.shape[2:], out, strict=True)
        ]
        y[n, c, *place] = reduce(x[n, c, *window])
    return y


@st.composite
def cases(draw, n):
    """An input with n spatial axes and a number of windows for each; fewer than places, as many, or more."""
    sides = [draw(st.integers(1, 7)) for _ in range(n)]
    out = tuple(draw(st.sampled_from([1, 2, 3, side, side + 2])) for side in sides)
    return draw(operand((draw(st.sampled_from([1, 2])), draw(st.sampled_from([2, 1])), *sides))), out


@ALL_FOUR
@examples(60)
@given(data=st.data())
def test_against_pytorch(kind, n, data):
    x, out = data.draw(cases(n))
    ours, theirs = ADAPTIVE[kind, n]
    check(lambda t: ours(t, out), lambda t: theirs(t, out), x)


@ALL_FOUR
@examples(30)
@given(data=st.data())
def test_against_the_plain_definition(kind, n, data):
    x, out = data.draw(cases(n))
    expected = adaptive_plain(x.values, out, np.mean if kind == "avg" else np.max)
    np.testing.assert_allclose(host(ADAPTIVE[kind, n][0](tensor(x.values), out)), expected, atol=1e-12)


def test_where_the_lengths_divide_it_is_plain_pooling():
    x = tensor(np.random.default_rng(0).standard_normal((2, 3, 6, 8)))
    np.testing.assert_array_equal(host(F.adaptive_avg_pool2d(x, (3, 2))), host(F.avg_pool2d(x, (2, 4))))
    np.testing.assert_array_equal(host(F.adaptive_max_pool2d(x, 2)), host(F.max_pool2d(x, (3, 4))))


def test_none_keeps_a_length():
    x = Operand(np.random.default_rng(0).standard_normal((2, 1, 5, 4)))
    for out in ((None, 2), (3, None), (None, None)):
        for kind in ("avg", "max"):
            ours, theirs = ADAPTIVE[kind, 2]
            check(lambda t, f=ours, o=out: f(t, o), lambda t, f=theirs, o=out: f(t, o), x)
    assert F.adaptive_avg_pool2d(tensor(x.values), None).shape == (2, 1, 5, 4)


def test_the_first_of_equal_maxima_in_reading_order_gets_the_gradient():
    x = Operand(np.ones((1, 1, 5, 5)))
    for out in (1, 2, 3, (2, 5), 7):
        check(
            lambda t, o=out: F.adaptive_max_pool2d(t, o),
            lambda t, o=out: TF.adaptive_max_pool2d(t, o),
            x,
            numeric=False,
        )


@ALL_FOUR
def test_nan_and_infinity_stay_in_their_windows(kind, n):
    nan, inf = np.nan, np.inf
    image = np.array([[1, nan, 2, 3, 4], [nan, 5, -inf, inf, 0], [-inf, -inf, 0, 1, nan], [-inf, -inf, 1, 1, nan]])
    x = image.reshape((1, 1, 4, 5) if n == 2 else (1, 4, 5))
    ours, theirs = ADAPTIVE[kind, n]
    for out in (1, 2, 3):
        check_special(lambda t, o=out: ours(t, o), lambda t, o=out: theirs(t, o), [x], gradients=kind == "max")


@ALL_FOUR
@pytest.mark.parametrize("shape", [(0, 2), (2, 0)])
def test_no_images_and_no_channels(kind, n, shape):
    x = tensor(np.ones((*shape, *[5] * n)), True)
    y = ADAPTIVE[kind, n][0](x, 2)
    assert y.shape == (*shape, *[2] * n)
    y.backward(device(np.ones(y.shape)))
    assert x.grad.shape == x.shape


@given(cases(2))
@examples(30)
def test_global_average(case):
    x, _ = case
    check(F.global_avg_pool, lambda t: t.mean((2, 3)), x)
    sequences = Operand(x.values[:, :, 0])
    check(F.global_avg_pool, lambda t: t.mean(2), sequences)


def test_global_average_of_integers_and_of_nothing():
    assert host(F.global_avg_pool(tensor(np.arange(6).reshape(1, 1, 2, 3)))) == 2.5
    assert F.global_avg_pool(tensor(np.ones((0, 3, 2, 2)))).shape == (0, 3)
    expected = torch.ones((1, 3, 0)).mean(2).numpy()
    np.testing.assert_array_equal(host(F.global_avg_pool(tensor(np.ones((1, 3, 0))))), expected)


def test_what_does_not_fit():
    x = tensor(np.ones((1, 2, 4, 4)))
    with pytest.raises(md.ShapeError, match=r"\(N, C, L\); got Tensor of shape \(1, 2, 4, 4\)"):
        F.adaptive_avg_pool1d(x, 2)
    with pytest.raises(md.ShapeError, match="add a batch axis"):
        F.adaptive_max_pool2d(x[0], 2)
    with pytest.raises(
        md.ShapeError, match=r"output_size: expected a whole number of at least 1, or two of them; got 0"
    ):
        F.adaptive_avg_pool2d(x, 0)
    with pytest.raises(md.ShapeError, match=r"output_size: expected a whole number of at least 1; got \(1, 2\)"):
        F.adaptive_avg_pool1d(x[0], (1, 2))
    with pytest.raises(md.ShapeError, match=r"at least one number along each spatial axis; got \(1, 2, 0, 4\)"):
        F.adaptive_avg_pool2d(x[:, :, :0], 1)
    with pytest.raises(
        md.ShapeError, match=r"global_avg_pool: expected x \(N, C, L\) or \(N, C, H, W\); got Tensor of shape \(4, 4\)"
    ):
        F.global_avg_pool(x[0, 0])
