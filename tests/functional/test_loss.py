"""minidl/functional/loss.py."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as TF
from hypothesis import given
from hypothesis import strategies as st

import minidl as md
import minidl.functional as F
from minidl import backend
from tests.arrays import device, host, tensor
from tests.factory import assert_close, check, check_special, examples, operand

REDUCTIONS = st.sampled_from(["mean", "sum", "none"])
SMOOTHINGS = st.sampled_from([0.0, 0.1, 1.0])


@st.composite
def scores(draw):
    """Logits: (C,), (N, C), or with further axes."""
    classes = draw(st.sampled_from([3, 2, 5, 1]))
    further = draw(st.lists(st.sampled_from([2, 1, 3]), max_size=2))
    batch = draw(st.sampled_from([3, 2, 1]))
    shape = draw(st.sampled_from([(batch, classes), (classes,), (batch, classes, *further)]))
    return draw(operand(shape))


def without_classes(shape):
    return shape[:1] + shape[2:] if len(shape) > 1 else ()


@examples(240)
@given(st.data())
def test_cross_entropy_with_labels(data):
    x = data.draw(scores())
    classes = x.values.shape[0 if x.values.ndim == 1 else 1]
    dtype = data.draw(st.sampled_from(["int64", "int32", "uint8", "int16"]))
    ignored = data.draw(st.sampled_from([-100, 0, 255]))
    seed = data.draw(st.integers(0, 10**6))
    labels = np.random.default_rng(seed).integers(0, classes, without_classes(x.values.shape))
    if ignored == -100 and dtype not in ("uint8",):
        labels = np.where(np.random.default_rng(seed + 1).random(labels.shape) < 0.2, -100, labels)
    if (labels == ignored).all():
        labels = labels * 0 + classes - 1
        ignored = -100
    labels = np.asarray(labels).astype(dtype)
    reduction, smoothing = data.draw(REDUCTIONS), data.draw(SMOOTHINGS)
    check(
        lambda t: F.cross_entropy(t, device(labels), ignored, reduction, smoothing),
        lambda t: TF.cross_entropy(
            t,
            torch.tensor(labels.astype(np.int64)),
            ignore_index=ignored,
            reduction=reduction,
            label_smoothing=smoothing,
        ),
        x,
        slack=2,
    )


@examples(120)
@given(st.data())
def test_cross_entropy_with_probabilities(data):
    x = data.draw(scores())
    target = data.draw(operand(x.values.shape, low=0, high=1))
    reduction, smoothing = data.draw(REDUCTIONS), data.draw(SMOOTHINGS)
    check(
        lambda t, q: F.cross_entropy(t, q, reduction=reduction, label_smoothing=smoothing),
        lambda t, q: TF.cross_entropy(t, q, reduction=reduction, label_smoothing=smoothing),
        [x, target],
        slack=2,
    )


def test_labels_in_every_form():
    x = np.array([[1.0, 2.0, 0.5], [0.1, 0.2, 0.3]])
    expected = TF.cross_entropy(torch.tensor(x), torch.tensor([2, 0])).item()
    for labels in ([2, 0], (2, 0), device(np.array([2, 0])), tensor(np.array([2, 0]))):
        assert F.cross_entropy(tensor(x), labels).item() == pytest.approx(expected)
    assert F.cross_entropy(tensor(x[0]), 2).shape == ()
    assert float(F.cross_entropy(x.tolist(), [2, 0])) == pytest.approx(expected)


def test_every_sample_ignored():
    x = tensor(np.ones((2, 3)), True)
    labels = device(np.array([-100, -100]))
    loss = F.cross_entropy(x, labels)
    assert np.isnan(loss.item())
    loss.backward()
    np.testing.assert_array_equal(host(x.grad), 0)
    assert F.cross_entropy(x, labels, reduction="sum").item() == 0
    np.testing.assert_array_equal(host(F.cross_entropy(x, labels, reduction="none")), 0)


def test_no_samples():
    x = tensor(np.ones((0, 3)), True)
    labels = device(np.zeros(0, int))
    loss = F.cross_entropy(x, labels)
    assert np.isnan(loss.item())
    loss.backward()
    assert x.grad.shape == (0, 3)
    assert F.cross_entropy(x, labels, reduction="sum").item() == 0
    assert F.cross_entropy(x, labels, reduction="none").shape == (0,)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_extreme_logits(dtype):
    rows = np.array([[6e4, -6e4, 0.0], [-np.inf, 1.0, 2.0], [1e3, 1e3, -1e3]])
    for label in (0, 1, 2):
        labels = np.full(3, label)
        check_special(
            lambda t, y=labels: F.cross_entropy(t, device(y), reduction="none"),
            lambda t, y=labels: TF.cross_entropy(t, torch.tensor(y), reduction="none"),
            [rows],
            [dtype],
        )


def test_a_large_float16_batch_loses_nothing():
    x = np.zeros((100_000, 2), np.float16)  # its losses add up to 69,315 and its samples to 100,000: beyond float16
    logits = tensor(x, True)
    loss = F.cross_entropy(logits, device(np.zeros(100_000, int)))
    assert loss.dtype == np.float16
    np.testing.assert_allclose(loss.item(), np.log(2), rtol=1e-3)
    loss.backward(device(np.array(1024, np.float16)))
    np.testing.assert_allclose(host(logits.grad)[:, 1], 512 / 100_000, rtol=1e-3)
    assert F.mse_loss(tensor(x), tensor(x + 1)).item() == 1


def test_the_label_array_may_be_written_to_afterwards():
    labels = device(np.array([0, 1]))
    x = tensor(np.array([[1.0, 2], [3, 5]]), True)
    loss = F.cross_entropy(x, labels)
    expected = host(md.grad(loss, x, retain_graph=True))
    labels[...] = 0
    np.testing.assert_array_equal(host(md.grad(loss, x)), expected)


@pytest.mark.parametrize("bad", [3, -1, 100])
def test_labels_that_are_no_class(bad):
    x = tensor(np.zeros((2, 3)), True)
    labels = device(np.array([0, bad]))
    if backend.current() == "numpy":
        with pytest.raises(ValueError, match=f"from 0 to 2 for 3 classes; label {bad} at position 1"):
            F.cross_entropy(x, labels)
    else:  # looking would make the program wait
        loss = F.cross_entropy(x, labels)
        loss.backward()
        assert np.isnan(loss.item())
        assert np.isnan(host(x.grad)).any()
        assert np.isnan(F.cross_entropy(x, labels, reduction="sum").item())


def test_softmax_before_cross_entropy_is_noticed():
    with pytest.warns(UserWarning, match="raw scores"):
        F.cross_entropy(F.softmax(tensor(np.ones((2, 3)), True)), device(np.array([0, 1])))


@pytest.mark.parametrize(
    ("logits", "target", "error", "words"),
    [
        ((2, 3), np.zeros(3, int), md.ShapeError, r"need labels of shape \(2,\)"),
        ((2, 3), np.zeros((2, 3), int), md.ShapeError, "not one-hot"),
        ((2, 3), np.zeros(2), md.ShapeError, r"Labels must be integers: target.astype\(int\)"),
        ((2, 3), np.zeros((2, 2)), md.ShapeError, r"shape of the logits \(2, 3\)"),
        ((2, 3), np.zeros(2, bool), md.DTypeError, "integer labels"),
        ((), np.array(0), md.ShapeError, "single number"),
    ],
)
def test_targets_that_do_not_fit(logits, target, error, words):
    with pytest.raises(error, match=words):
        F.cross_entropy(tensor(np.ones(logits)), device(target))


def test_options_that_are_none():
    x, y = tensor(np.ones((2, 3))), device(np.zeros(2, int))
    with pytest.raises(ValueError, match="mean, sum, none"):
        F.cross_entropy(x, y, reduction="average")
    with pytest.raises(ValueError, match="label_smoothing"):
        F.cross_entropy(x, y, label_smoothing=1.5)
    with pytest.raises(ValueError, match="mean, sum, none"):
        F.mse_loss(x, x, reduction="average")
    with pytest.raises(md.DTypeError, match="floating logits"):
        F.cross_entropy(tensor(np.ones((2, 3), int)), y)


def test_labels_on_another_device(standin):
    logits = md.Tensor(backend.to_device(np.ones((2, 3)), "cupy"))
    with pytest.raises(md.DeviceError, match="one device"):
        F.cross_entropy(logits, np.zeros(2, int))
    assert np.isfinite(F.cross_entropy(logits, [0, 1]).item())


@examples(80)
@given(st.data())
def test_mse_loss(data):
    x = data.draw(operand())
    y = data.draw(operand(x.values.shape))
    reduction = data.draw(REDUCTIONS)
    check(
        lambda a, b: F.mse_loss(a, b, reduction),
        lambda a, b: TF.mse_loss(a, b, reduction=reduction),
        [x, y],
        numeric=x.values.size > 0,
        slack=2,
    )


def test_mse_loss_refuses_to_broadcast():
    with pytest.raises(md.ShapeError, match=r"got \(3,\) and \(3, 1\)"):
        F.mse_loss(tensor(np.ones(3)), tensor(np.ones((3, 1))))
    assert_close(F.mse_loss(tensor(np.ones(2)), [0.0, 2.0]), 1.0)
    assert_close(F.mse_loss(tensor(np.array(1.0)), 3), 4.0)
