"""minidl/functional/response.py: each number divided by the size of its neighbours."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl as md
import minidl.functional as F
from tests.arrays import host, tensor
from tests.factory import check, examples, operand
from tests.pytorch import TF


def within_channel_plain(x, size, alpha, beta, k):
    """The definition: each number over the mean square of the window around it, in which zeros count."""
    y = np.zeros_like(x)
    half = size // 2
    for n, c, i, j in np.ndindex(x.shape):
        window = x[n, c, max(0, i - half) : i + half + 1, max(0, j - half) : j + half + 1]
        y[n, c, i, j] = x[n, c, i, j] * (k + alpha * (window**2).sum() / size**2) ** -beta
    return y


@examples(40)
@given(
    st.sampled_from([(2, 1, 3), (1, 5, 2), (2, 4, 2, 3), (1, 3, 1, 2, 2), (0, 2, 3), (2, 3, 0)]),
    st.sampled_from([1, 2, 3, 4, 5, 7]),
    st.sampled_from([{}, {"alpha": 0.5, "beta": 0.75, "k": 2.0}, {"alpha": 1.0, "beta": 2.0}]),
    st.data(),
)
def test_local_response_norm_across_channels(shape, size, options, data):
    x = data.draw(operand(shape))
    check(
        lambda t: F.local_response_norm(t, size, **options),
        lambda t: TF.local_response_norm(t.contiguous(), size, **options),
        x,
    )


@examples(30)
@given(
    st.tuples(st.integers(1, 2), st.integers(1, 2), st.integers(1, 5), st.integers(1, 5)),
    st.sampled_from([1, 3, 5]),
    st.sampled_from([{"alpha": 5e-5, "beta": 0.75, "k": 1.0}, {"alpha": 2.0, "beta": 0.5, "k": 0.5}]),
    st.data(),
)
def test_local_response_norm_within_channels(shape, size, options, data):
    x = data.draw(operand(shape))

    def of_pytorch(t):
        mean = TF.avg_pool2d(t * t, size, 1, size // 2)
        return t * (options["k"] + options["alpha"] * mean) ** -options["beta"]

    check(lambda t: F.local_response_norm(t, size, **options, within_channel=True), of_pytorch, x)
    ours = F.local_response_norm(tensor(x.values), size, **options, within_channel=True)
    np.testing.assert_allclose(host(ours), within_channel_plain(x.values, size, **options), rtol=1e-12)


def ones(*shape):
    return tensor(np.ones(shape))


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: F.local_response_norm(ones(2, 3), 3), md.ShapeError, r"\(N, C, L, ...\)"),
        (lambda: F.local_response_norm(ones(2, 3, 4), 3, within_channel=True), md.ShapeError, r"\(N, C, H, W\)"),
        (
            lambda: F.local_response_norm(ones(2, 3, 4), 0),
            ValueError,
            "size: expected a whole number of at least 1; got 0",
        ),
        (lambda: F.local_response_norm(ones(1, 1, 4, 4), 2, within_channel=True), ValueError, "odd number.*got 2"),
    ],
)
def test_what_does_not_fit_is_refused(call, error, words):
    with pytest.raises(error, match=words):
        call()


@pytest.mark.skipif(md.backend.current() != "numpy", reason="on a device no values are looked at")
@pytest.mark.parametrize("within_channel", [False, True])
@pytest.mark.parametrize("large", [1e20, 1e30])
def test_numbers_whose_squares_overflow(within_channel, large):
    values = np.random.default_rng(0).normal(size=(2, 4, 5, 5)) * large
    x, exact = tensor(values.astype(np.float32), True), tensor(values, True)
    y, expected = (F.local_response_norm(a, 3, within_channel=within_channel) for a in (x, exact))
    assert y.dtype == np.float32
    np.testing.assert_allclose(host(y), host(expected), rtol=1e-5)
    for create_graph in (False, True):
        slope, same = (
            host(md.grad(z.sum(), a, create_graph=create_graph, retain_graph=True))
            for z, a in ((y, x), (expected, exact))
        )
        np.testing.assert_allclose(slope, same, rtol=1e-3, atol=1e-3 * abs(same).max())
