"""minidl/functional/targets.py, by way of the losses that compare numbers."""

from __future__ import annotations

import numpy as np
import pytest

import minidl as md
import minidl.functional as F
from minidl import backend
from tests.arrays import device, host, tensor

LOSSES = [
    F.mse_loss,
    F.l1_loss,
    F.smooth_l1_loss,
    F.huber_loss,
    F.hinge_loss,
    F.binary_cross_entropy,
    F.binary_cross_entropy_with_logits,
    F.kl_div,
]


by_name = pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.__name__)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "int64", "bool"])
@pytest.mark.parametrize("loss", [F.mse_loss, F.l1_loss, F.smooth_l1_loss, F.huber_loss])
def test_integers_are_compared_in_float64(loss, dtype):
    """In uint8 0 - 1 is 255, and 16 * 16 is 0."""
    least, most = (0, 1) if dtype == "bool" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    x, y = np.array([least, most, 0, 1], dtype), np.array([most, least, 1, 0], dtype)
    for reduction in ("none", "sum", "mean"):
        expected = host(loss(tensor(x.astype("float64")), device(y.astype("float64")), reduction))
        for found in (loss(device(x), device(y), reduction), loss(tensor(x), tensor(y), reduction)):
            assert found.dtype == np.float64
            np.testing.assert_array_equal(host(found), expected)
    if loss in (F.mse_loss, F.l1_loss):
        np.testing.assert_allclose(
            host(loss(device(x), device(y), weight=device(np.array([1, 1, 1, 1], dtype)))), expected
        )


def test_integers_beside_floats_do_not_wrap_around():
    whole, half = np.array([-100, 100], np.int8), np.array([100, -100], np.float16)
    for x, y in ((whole, half), (half, whole)):
        loss = F.l1_loss(tensor(x), device(y), "none")
        assert loss.dtype == np.float16
        np.testing.assert_array_equal(host(loss), [200, 200])


def test_a_margin_of_integers_does_not_wrap_around():
    x, side = np.array([-128, 127], np.int8), np.array([-1, 1], np.int8)
    np.testing.assert_array_equal(host(F.hinge_loss(tensor(x), device(-side), "none")), [129, 128])


@by_name
def test_no_numbers(loss):
    for dtype in ("float16", "float32"):
        x, y = tensor(np.ones((0, 3), dtype), True), device(np.ones((0, 3), dtype))
        mean = loss(x, y)
        assert np.isnan(mean.item())
        mean.backward()
        assert x.grad.shape == (0, 3)
        assert loss(x, y, reduction="sum").item() == 0
        assert loss(x, y, reduction="none").shape == (0, 3)


@by_name
def test_targets_in_every_form(loss):
    x = tensor(np.array([0.5, 0.25], np.float32), True)
    expected = host(loss(x, device(np.array([1, 1], np.float32))))
    for target in ([1, 1], [1.0, 1.0], (1, 1), device(np.array([1, 1])), device(np.array([True, True]))):
        result = loss(x, target)
        assert result.dtype == np.float32
        np.testing.assert_array_equal(host(result), expected)
    assert loss(tensor(np.array(0.5, np.float32)), 1).dtype == np.float32
    assert loss(tensor(np.array(0.5, np.float32)), np.float64(1)).dtype == np.float32
    plain = loss([0.5, 0.25], [1.0, 1.0])
    assert backend.is_array(plain)
    np.testing.assert_allclose(host(plain), expected, rtol=1e-6)


@by_name
def test_nothing_is_broadcast(loss):
    with pytest.raises(md.ShapeError, match=rf"{loss.__name__}: .*of one shape; got \(3,\) and \(3, 1\)"):
        loss(tensor(np.ones(3)), tensor(np.ones((3, 1))))
    with pytest.raises(md.ShapeError):
        loss(tensor(np.ones(2)), 1.0)


@by_name
def test_options_that_are_none(loss):
    x = tensor(np.ones(3))
    with pytest.raises(ValueError, match=rf"{loss.__name__}: reduction: expected 'mean' or 'sum' or 'none'.*'average'"):
        loss(x, x, reduction="average")
    if loss is not F.kl_div:
        with pytest.raises(ValueError, match="got 'batchmean'"):
            loss(x, x, reduction="batchmean")


@by_name
def test_two_devices_are_named_and_one_is_not_waited_for(loss, standin):
    x = md.Tensor(backend.to_device(np.full((2, 3), 0.5), "cupy"), requires_grad=True)
    with pytest.raises(md.DeviceError, match="input and target on one device"):
        loss(x, np.ones((2, 3)))
    y = md.Tensor(backend.to_device(np.ones((2, 3)), "cupy"))
    weights = {}
    if loss in (F.binary_cross_entropy, F.binary_cross_entropy_with_logits, F.mse_loss, F.l1_loss):
        weights["weight"] = y
        with pytest.raises(md.DeviceError, match="input and weight on one device"):
            loss(x, y, weight=np.ones((2, 3)))
    if loss is F.binary_cross_entropy_with_logits:
        weights["pos_weight"] = y
    assert np.isfinite(loss(x, [[1, 1, 1], [1, 1, 1]]).item())
    standin.reset_synchronizations()
    for reduction in ("mean", "sum", "none"):
        grad = md.grad(F.sum(loss(x, y, reduction=reduction, **weights)), x, create_graph=True)
        if grad.requires_grad:
            F.sum(grad * grad).backward()
    assert standin.synchronizations() == ()


def test_probabilities_and_logits_mixed_up():
    x, y = tensor(np.array([-1.5, 0.5])), device(np.array([0.0, 1.0]))
    if backend.current() == "numpy":
        with pytest.raises(ValueError, match=r"from 0 to 1; got values from -1.5 to 0.5. .*_with_logits"):
            F.binary_cross_entropy(x, y)
        for loss in (F.binary_cross_entropy, F.binary_cross_entropy_with_logits):
            with pytest.raises(ValueError, match=f"{loss.__name__}: expected target from 0 to 1; got .* -1 to 1"):
                loss(F.sigmoid(x).detach(), [-1.0, 1.0])
    with pytest.warns(UserWarning, match="was given the result of sigmoid") as caught:
        F.binary_cross_entropy_with_logits(F.sigmoid(tensor(np.ones(2), True)), y)
    assert caught[0].filename == __file__


def test_weights_that_do_not_fit():
    x = tensor(np.full((2, 3), 0.5))
    for weight in (np.ones((2, 2)), np.ones((4, 2, 3)), np.ones((2, 1, 1))):
        with pytest.raises(md.ShapeError, match=r"expected weight of shape \(2, 3\); got \("):
            F.binary_cross_entropy(x, x, device(weight))
        with pytest.raises(md.ShapeError, match=r"expected pos_weight of shape \(2, 3\)"):
            F.binary_cross_entropy_with_logits(x, x, pos_weight=device(weight))
    with pytest.raises(md.GraphError, match="pos_weight as a constant"):
        F.binary_cross_entropy_with_logits(x, x, pos_weight=tensor(np.ones(3), True))
    with pytest.raises(md.ShapeError, match=r"mse_loss: expected input and weight of one shape"):
        F.mse_loss(x, x, weight=[1.0, 2.0, 3.0])
    for loss in (F.binary_cross_entropy, F.binary_cross_entropy_with_logits):
        with pytest.raises(md.DTypeError, match=r"expected floating .*got int64"):
            loss([0, 1], [0, 1])


def test_labels_of_classes_are_no_numbers_to_hit():
    scores, labels = tensor(np.ones((4, 3), np.float32)), tensor(np.array([0, 1, 2, 0]))
    with pytest.raises(md.ShapeError, match=r"got \(4, 3\) and \(4,\)\. For labels .* F.one_hot\(labels, 3\)$"):
        F.mse_loss(scores, labels)
    with pytest.raises(md.ShapeError, match=r"got \(4, 3\) and \(4,\)$"):
        F.mse_loss(scores, tensor(np.ones(4, np.float32)))
