"""minidl/functional/normalization.py."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl as md
import minidl.functional as F
from minidl import backend
from tests.arrays import device, host, tensor
from tests.factory import Operand, check, examples, operand
from tests.pytorch import TF, torch

MEAN, VARIANCE = np.array([0.5, -1, 2, 0]), np.array([1, 0.25, 4, 2.5])  # running ones, of up to four channels


@st.composite
def batches(draw, min_places=0):
    """x (N, C, ...) with at least two values a channel, a weight and a bias (C,)."""
    channels = draw(st.integers(1, 4))
    places = draw(st.sampled_from([(), (3,), (2, 3), (1, 2), (5,)][min_places:]))
    x = draw(operand((draw(st.integers(2, 4)), channels, *places)))
    return [x, draw(operand((channels,))), draw(operand((channels,)))]


def smooth(xs, axis):
    """Whether finite differences may be asked: not where all that is normalised is equal, and 1/s is 1/sqrt(eps)."""
    return xs[0].values.var(axis=axis).min() > 0.1


# ---- batch_norm


@examples(40)
@given(batches(), st.sampled_from([1e-5, 1e-3, 0.5]))
def test_batch_norm_in_training(xs, eps):
    check(
        lambda x, w, b: F.batch_norm(x, None, None, w, b, True, eps=eps),
        lambda x, w, b: TF.batch_norm(x, None, None, w, b, True, eps=eps),
        xs,
        mixed=False,
        numeric=smooth(xs, (0, *range(2, xs[0].values.ndim))),
        recomputed=True,
    )


@examples(40)
@given(batches(), st.sampled_from([1e-5, 0.5]))
def test_batch_norm_in_evaluation(xs, eps):
    channels = len(xs[1].values)
    m, v = MEAN[:channels], VARIANCE[:channels]
    check(
        lambda x, w, b: F.batch_norm(x, device(m.astype(x.dtype)), device(v.astype(x.dtype)), w, b, eps=eps),
        lambda x, w, b: TF.batch_norm(x, torch.tensor(m), torch.tensor(v), w, b, eps=eps),
        xs,
        mixed=False,
    )


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("affine", [(False, False), (True, False), (False, True)])
def test_batch_norm_without_weight_or_bias(training, dtype, affine):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((4, 3, 2)).astype(dtype)
    arrays = [rng.uniform(0.5, 2, 3).astype(dtype) for _ in range(4)]
    arrays[2:] = [array if there else None for array, there in zip(arrays[2:], affine, strict=True)]
    ours = F.batch_norm(tensor(x), *[None if a is None else tensor(a) for a in arrays], training)
    wide = [None if a is None else torch.tensor(a.astype(float)) for a in (x, *arrays)]
    tolerance = {"float16": 4e-3, "float32": 1e-6, "float64": 1e-14}[dtype]
    assert ours.dtype == dtype
    np.testing.assert_allclose(host(ours), TF.batch_norm(*wide, training), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("momentum", [0.1, 1, 0])
@pytest.mark.parametrize("shape", [(5, 3), (2, 3, 4), (3, 3, 2, 2)])
def test_running_statistics_follow_the_batches(dtype, momentum, shape):
    rng = np.random.default_rng(0)
    ours = [tensor(np.zeros(3, dtype)), tensor(np.ones(3, dtype))]
    theirs = [torch.zeros(3, dtype=torch.float64), torch.ones(3, dtype=torch.float64)]
    raw = [ours[0]._data, ours[1]._data]
    for _ in range(4):
        x = rng.normal(3, 2, shape).astype(dtype)
        F.batch_norm(tensor(x, True), *ours, training=True, momentum=momentum)
        TF.batch_norm(torch.tensor(x.astype(float)), *theirs, training=True, momentum=momentum)
    for mine, their, memory in zip(ours, theirs, raw, strict=True):
        assert mine._data is memory
        assert mine.dtype == dtype
        assert not mine.requires_grad
        np.testing.assert_allclose(host(mine), their, rtol={"float16": 5e-3, "float32": 1e-6, "float64": 1e-13}[dtype])


def test_evaluation_leaves_the_running_statistics():
    running = [tensor(MEAN), tensor(VARIANCE)]
    F.batch_norm(tensor(np.ones((2, 4))), *running)
    np.testing.assert_array_equal(host(running[0]), MEAN)
    np.testing.assert_array_equal(host(running[1]), VARIANCE)


def test_raw_running_statistics_are_followed_too():
    running = [device(np.zeros(2)), device(np.ones(2))]
    y = F.batch_norm(device(np.array([[1.0, 2], [3, 4]])), *running, training=True, momentum=0.5)
    assert backend.is_array(y)
    np.testing.assert_allclose(host(running[0]), [1, 1.5])
    np.testing.assert_allclose(host(running[1]), [1.5, 1.5])


def test_following_the_batch_is_a_write_that_backward_notices():
    running = [tensor(np.zeros(2)), tensor(np.ones(2))]
    x = tensor(np.array([[1.0, 2], [3, 5]]), True)
    y = (x * running[0]).sum()
    F.batch_norm(x, *running, training=True)
    with pytest.raises(md.GraphError):
        y.backward()


@pytest.mark.parametrize("shape", [(0, 3), (0, 3, 4), (2, 3, 0), (0, 3, 2, 2), (2, 0)])
def test_a_batch_of_nothing(shape):
    running = [tensor(np.zeros(shape[1])), tensor(np.ones(shape[1]))]
    x, weight = tensor(np.ones(shape), True), tensor(np.ones(shape[1]), True)
    for training in (True, False):
        y = F.batch_norm(x, *running, weight, training=training)
        assert y.shape == shape
        y.backward(device(np.ones(shape)))
        assert x.grad.shape == shape
        np.testing.assert_array_equal(host(weight.grad), 0)
    np.testing.assert_array_equal(host(running[0]), 0)
    np.testing.assert_array_equal(host(running[1]), 1)


@pytest.mark.parametrize("shape", [(1, 3), (1, 3, 1), (1, 3, 1, 1)])
def test_one_value_a_channel_cannot_be_trained_with(shape):
    running = [tensor(np.zeros(3)), tensor(np.ones(3))]
    x = tensor(np.ones(shape))
    with pytest.raises(md.ShapeError, match=r"more than one value per channel in training; got x \(1, 3.*eval\(\)"):
        F.batch_norm(x, *running, training=True)
    np.testing.assert_allclose(host(F.batch_norm(x, *running)), 1, rtol=1e-4)


def test_running_statistics_elsewhere_are_refused(standin):
    x, running = md.Tensor(backend.to_device(np.ones((2, 3)), "cupy")), [md.Tensor(np.ones(3)) for _ in range(2)]
    with pytest.raises(md.DeviceError, match=r"running statistics on one device; got .*cupy.*to\('numpy'\)"):
        F.batch_norm(x, *running, training=True)


@pytest.mark.parametrize("shape", [(7, 3, 4, 5), (5, 6, 9), (300, 4)])
def test_batch_norm_of_channels_that_lie_last_in_memory(shape):
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal(s).astype(np.float32) for s in (shape, shape, shape[1:2], shape[1:2])]
    results = []
    for last in (False, True):
        x, grad, weight, bias = [
            a if not last or a.ndim == 1 else np.moveaxis(np.moveaxis(a, 1, -1).copy(), -1, 1) for a in arrays
        ]
        x, weight, bias = tensor(x, True), tensor(weight, True), tensor(bias, True)
        y = F.batch_norm(x, None, None, weight, bias, True)
        y.backward(device(grad))
        results.append([host(a) for a in (y, x.grad, weight.grad, bias.grad)])
    for plain, last in zip(*results, strict=True):
        np.testing.assert_allclose(last, plain, rtol=1e-5, atol=1e-5)


def test_in_a_layer_behind_data_only_what_is_learnt_gets_a_gradient():
    x = tensor(np.random.default_rng(0).standard_normal((6, 3)))
    weight, bias = tensor(np.ones(3), True), tensor(np.zeros(3), True)
    y = F.batch_norm(x, None, None, weight, bias, True)
    weight.data[...] = 2  # which only dL/dx would read
    y.backward(device(np.ones((6, 3))))
    np.testing.assert_allclose(host(weight.grad), 0, atol=1e-12)
    np.testing.assert_array_equal(host(bias.grad), 6)


# ---- layer_norm and group_norm


@examples(60)
@given(st.sampled_from([((4,), 1), ((2, 3), 1), ((2, 3), 2), ((2, 2, 3), 2), ((0, 3), 1), ((2, 0), 1)]), st.data())
def test_layer_norm(case, data):
    shape, axes = case
    last = shape[-axes:]
    xs = [data.draw(operand(s)) for s in (shape, last, last)]
    check(
        lambda x, w, b: F.layer_norm(x, last, w, b, eps=1e-3),
        lambda x, w, b: TF.layer_norm(x, last, w, b, eps=1e-3),
        xs,
        mixed=False,
        numeric=xs[0].values.size > 0 and smooth(xs, tuple(range(-axes, 0))),
        recomputed=True,
    )


@examples(40)
@given(batches(), st.data())
def test_group_norm(xs, data):
    channels = len(xs[1].values)
    groups = data.draw(st.sampled_from([g for g in (1, 2, 3, 4) if channels % g == 0]))
    per_group = xs[0].values.reshape(len(xs[0].values), groups, -1)
    check(
        lambda x, w, b: F.group_norm(x, groups, w, b, eps=1e-3),
        lambda x, w, b: TF.group_norm(x, groups, w, b, eps=1e-3),
        xs,
        mixed=False,
        numeric=smooth([Operand(per_group)], 2),
        recomputed=True,
    )


def test_the_default_eps_and_no_weight():
    x = np.random.default_rng(0).standard_normal((3, 4, 5))
    x[0] = 7  # its variance is 0, so only eps is left
    theirs = torch.tensor(x)
    for ours, expected in (
        (F.layer_norm(tensor(x), (4, 5)), TF.layer_norm(theirs, (4, 5))),
        (F.layer_norm(tensor(x), 5), TF.layer_norm(theirs, (5,))),
        (F.group_norm(tensor(x), 2), TF.group_norm(theirs, 2)),
        (F.batch_norm(tensor(x), None, None, training=True), TF.batch_norm(theirs, None, None, training=True)),
    ):
        np.testing.assert_allclose(host(ours), expected, atol=1e-12)


@pytest.mark.parametrize("shape", [(0, 4), (2, 4, 0), (0, 4, 2), (2, 0)])
def test_group_norm_of_nothing(shape):
    x = tensor(np.ones(shape), True)
    y = F.group_norm(x, 2, tensor(np.ones(shape[1])))
    y.backward(device(np.ones(shape)))
    assert y.shape == x.grad.shape == shape


# ---- numbers


@pytest.mark.parametrize(
    "normalise",
    [
        lambda x: F.batch_norm(x, None, None, training=True),
        lambda x: F.group_norm(x, 2),
        lambda x: F.layer_norm(x, x.shape[1:]),
    ],
)
def test_large_means_do_not_cancel(normalise):
    """The mean of x^2 less the mean's square would leave nothing of a variance of 1 in float32."""
    noise = np.random.default_rng(0).standard_normal((64, 4, 8)).astype(np.float32)
    x = noise + np.float32(1e4)
    exact = host(normalise(tensor(x.astype(np.float64))))
    np.testing.assert_allclose(host(normalise(tensor(x))), exact, atol=2e-3)  # 1e4 itself is rounded to 1e-3


def test_float16_is_computed_in_float32():
    x = np.array([[200.0], [-200], [600], [-600]], np.float16)  # their squares are infinite in float16
    running = [tensor(np.zeros(1, np.float16)), tensor(np.ones(1, np.float16))]
    y = F.batch_norm(tensor(x), *running, training=True, momentum=0.1)
    assert y.dtype == np.float16
    np.testing.assert_allclose(host(y)[:, 0], np.array([1, -1, 3, -3]) / np.sqrt(5), rtol=1e-3)
    np.testing.assert_allclose(host(running[1]), 0.9 + 0.1 * 800_000 / 3, rtol=1e-3)  # the batch's could not be kept
    for z in (F.layer_norm(tensor(x.T), 4), F.group_norm(tensor(x.T), 1)):
        np.testing.assert_array_equal(host(z)[0], host(y)[:, 0])
    z = F.local_response_norm(tensor(x[:, :, None]), 1, alpha=1.0, beta=0.5)
    np.testing.assert_allclose(host(z)[:, 0, 0], [1, -1, 1, -1], rtol=1e-3)
    still = tensor(np.zeros(1, np.float16))  # 1e-8 is 0 in float16
    np.testing.assert_allclose(host(F.batch_norm(tensor(x / 100), still, still, eps=1e-8)), x * 100.0, rtol=1e-3)
    far, wide = tensor(np.array([-6e4], np.float16)), tensor(np.array([3.6e4], np.float16))
    np.testing.assert_allclose(host(F.batch_norm(-far[None], far, wide)), 12e4 / np.sqrt(3.6e4), rtol=1e-3)


def test_integers_are_normalised_in_float64():
    x = tensor(np.array([[1, 3], [10, 30]]))
    y = F.layer_norm(x, 2, eps=0)
    assert y.dtype == np.float64
    np.testing.assert_allclose(host(y), [[-1, 1], [-1, 1]])


def test_no_warning_about_nan_and_infinity():
    x = np.array([[np.inf, 1, 1e300], [2, np.nan, -1e300]])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for y in (
            F.batch_norm(device(x), None, None, training=True),
            F.batch_norm(device(x), device(np.full(3, np.inf)), device(np.zeros(3)), eps=0),
            F.layer_norm(device(x), 3),
            F.local_response_norm(device(x[:, :, None]), 3),
        ):
            assert np.isnan(host(y)).any()


def test_nothing_waits_for_the_device(standin):
    rng = np.random.default_rng(0)

    def leaf(*shape, requires_grad=True):
        return md.Tensor(backend.to_device(rng.random(shape).astype(np.float32), "cupy"), requires_grad)

    x, weight, bias, flat = leaf(2, 4, 3, 3), leaf(4), leaf(4), leaf(9)
    running = [leaf(4, requires_grad=False), leaf(4, requires_grad=False)]
    count = md.Tensor(backend.to_device(np.array(2), "cupy"))
    standin.reset_synchronizations()
    h = F.batch_norm(x, *running, weight, bias, training=True, momentum=1 / count)
    h = h + F.batch_norm(x, *running, weight, bias) + F.group_norm(x, 2, weight, bias)
    h = F.layer_norm(F.reshape(h, (2, 4, 9)), 9, flat, flat)
    h = F.reshape(F.dropout1d(h, 0.3), (2, 4, 3, 3))
    h = F.local_response_norm(h, 3) + F.local_response_norm(F.dropout2d(h, 0.3), 3, within_channel=True)
    grads = md.grad((h * h).sum(), [x, weight, bias, flat], create_graph=True)
    F.sum(F.concatenate([F.reshape(g, -1) for g in grads]) ** 2).backward()
    assert x.grad.shape == (2, 4, 3, 3)
    assert standin.synchronizations() == ()


# ---- what does not fit


def ones(*shape, dtype=np.float64):
    return tensor(np.ones(shape, dtype))


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: F.batch_norm(ones(3), None, None, training=True), md.ShapeError, r"\(N, C, ...\); got Tensor.*\(3,\)"),
        (lambda: F.batch_norm(None, None, None, training=True), md.ShapeError, "got None"),
        (lambda: F.batch_norm(ones(2, 3), ones(2), ones(2)), md.ShapeError, r"running_mean of shape \(3,\) for x"),
        (lambda: F.batch_norm(ones(2, 3), ones(3), ones(4)), md.ShapeError, r"running_var of shape \(3,\).*\(4,\)"),
        (lambda: F.batch_norm(ones(2, 3), ones(3), ones(3), ones(1)), md.ShapeError, "weight of shape"),
        (lambda: F.batch_norm(ones(2, 3), ones(3), ones(3), None, [1, 2]), md.ShapeError, "bias of shape.*list"),
        (lambda: F.batch_norm(ones(2, 3), None, None), ValueError, "expected running_mean and running_var"),
        (lambda: F.batch_norm(ones(2, 3), ones(3), None, training=True), ValueError, "in training None for both"),
        (
            lambda: F.batch_norm(ones(2, 3), ones(3), ones(3), eps=-1),
            ValueError,
            "eps: expected a number of at least 0",
        ),
        (lambda: F.batch_norm(ones(2, 3), ones(3), ones(3), eps=None), ValueError, "batch_norm: eps: .*None"),
        (
            lambda: F.batch_norm(ones(2, 3), ones(3), ones(3), ones(3, dtype=np.float32)),
            md.DTypeError,
            r"x and weight of one dtype; got float64, float32.*astype\('float32'\)",
        ),
        (lambda: F.layer_norm(ones(2, 3), (2,)), md.ShapeError, r"last axes are normalized_shape \(2,\).*\(2, 3\)"),
        (lambda: F.layer_norm(ones(2, 3), (1, 2, 3)), md.ShapeError, "normalized_shape"),
        (lambda: F.layer_norm(ones(2, 3), ()), md.ShapeError, r"normalized_shape \(\)"),
        (lambda: F.layer_norm(ones(2, 3), "three"), md.ShapeError, "three"),
        (lambda: F.layer_norm(ones(2, 3), 3, ones(2)), md.ShapeError, r"weight of shape \(3,\)"),
        (lambda: F.layer_norm(3.0, 3), md.ShapeError, "got 3.0"),
        (lambda: F.group_norm(ones(2, 4), 3), md.ShapeError, "num_groups to divide the 4 channels; got 3"),
        (lambda: F.group_norm(ones(2, 4), 0), md.ShapeError, "got 0"),
        (lambda: F.group_norm(ones(2, 4), 2.0), md.ShapeError, "got 2.0"),
        (lambda: F.group_norm(ones(4), 2), md.ShapeError, r"\(N, C, ...\)"),
        (lambda: F.group_norm(ones(2, 4), 2, ones(2)), md.ShapeError, r"weight of shape \(4,\)"),
    ],
)
def test_what_does_not_fit(call, error, words):
    with pytest.raises(error, match=words):
        call()


# ---- squares that overflow

NORMALISATIONS = {
    "batch_norm": lambda x: F.batch_norm(x, None, None, training=True),
    "layer_norm": lambda x: F.layer_norm(x, (4, 3)),
    "group_norm": lambda x: F.group_norm(x, 2),
}


@pytest.mark.parametrize(("dtype", "large"), [("float32", 1e20), ("float32", 1e36), ("float64", 1e200)])
@pytest.mark.parametrize("name", NORMALISATIONS)
def test_numbers_whose_squares_overflow_are_normalised(name, dtype, large):
    """As the same numbers, made smaller: z does not depend on how large x is, and dz/dx is so many times less."""
    if dtype == "float64" and md.backend.current() != "numpy":
        pytest.skip("the kernels compute the squares of float64 numbers in float64")
    normalize, rng = NORMALISATIONS[name], np.random.default_rng(0)
    values, grad_out = rng.normal(size=(4, 4, 4, 3)), device(rng.normal(size=(4, 4, 4, 3)).astype(dtype))
    values[0] /= large  # an ordinary sample beside them: by itself in layer_norm and group_norm
    x, small = tensor((values * large).astype(dtype), True), tensor(values, True)
    y, expected = normalize(x), normalize(small)
    rows = slice(None) if name == "batch_norm" else slice(1, None)
    np.testing.assert_allclose(host(y)[rows], host(expected)[rows], rtol=1e-3, atol=1e-4)
    for create_graph in (False, True):
        slope = host(md.grad(y, x, grad_out, create_graph=create_graph, retain_graph=True))
        same = host(md.grad(expected, small, device(host(grad_out).astype(np.float64)), retain_graph=True))
        flushed = float(np.finfo(dtype).tiny) * large  # a GPU takes numbers below the smallest normal one for 0
        np.testing.assert_allclose(slope[rows] * large, same[rows], rtol=2e-3, atol=max(2e-4, flushed))
    if name != "batch_norm":
        alone = normalize(tensor((values[:1] * large).astype(dtype)))
        np.testing.assert_allclose(host(y)[:1], host(alone), rtol=1e-5)
