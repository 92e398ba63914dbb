"""minidl/functional/labels.py, by way of the losses that have labels."""

from __future__ import annotations

import numpy as np
import pytest

import minidl as md
import minidl.functional as F
from minidl import backend
from tests.arrays import device, host, tensor


@pytest.mark.parametrize("loss", [F.cross_entropy, F.nll_loss, F.multi_margin_loss])
def test_no_samples(loss):
    x = tensor(np.ones((0, 3)), True)
    labels = device(np.zeros(0, int))
    mean = loss(x, labels, weight=[1.0, 2.0, 3.0])
    assert np.isnan(mean.item())
    mean.backward()
    assert x.grad.shape == (0, 3)
    assert loss(x, labels, reduction="sum").item() == 0
    assert loss(x, labels, reduction="none").shape == (0,)


@pytest.mark.parametrize("loss", [F.cross_entropy, F.nll_loss, F.multi_margin_loss])
def test_labels_before_scores_are_said_to_be_the_wrong_way_round(loss):
    scores, labels = tensor(np.ones((2, 3))), device(np.array([0, 1]))
    with pytest.raises(md.DTypeError, match=r"and then the target; got .*\(2,\).* and then .*\(2, 3\).*the other way"):
        loss(labels, scores)
    with pytest.raises(md.DTypeError, match="expected floating"):
        loss(device(np.ones((2, 3), int)), labels)


def test_labels_and_weights_may_be_written_to_afterwards():
    labels, weight = device(np.array([0, 1])), device(np.array([1.0, 2.0]))
    for loss_of in (F.cross_entropy, F.nll_loss, F.multi_margin_loss):
        x = tensor(np.array([[1.0, 2], [3, 3.5]]), True)
        loss = loss_of(x, labels, weight=weight)
        expected = host(md.grad(loss, x, retain_graph=True))
        labels[...] = 0
        weight[...] = 7
        np.testing.assert_array_equal(host(md.grad(loss, x)), expected)
        labels[...] = device(np.array([0, 1]))
        weight[...] = device(np.array([1.0, 2.0]))


@pytest.mark.parametrize("loss_of", [F.cross_entropy, F.nll_loss, F.multi_margin_loss])
@pytest.mark.parametrize("bad", [3, -1, 100])
def test_labels_that_are_no_class(loss_of, bad):
    x = tensor(np.zeros((2, 3)), True)
    labels = device(np.array([0, bad]))
    if backend.current() == "numpy":
        with pytest.raises(ValueError, match=f"from 0 to 2 for 3 classes; label {bad} at position 1"):
            loss_of(x, labels)
    else:  # looking would make the program wait
        loss = loss_of(x, labels, weight=[1.0, 2.0, 3.0])
        loss.backward()
        assert np.isnan(loss.item())
        assert np.isnan(host(x.grad)).any()
        assert np.isnan(loss_of(x, labels, reduction="sum").item())


def test_only_multi_margin_loss_ignores_nothing():
    x, labels = tensor(np.zeros((2, 3))), device(np.array([0, -100]))
    assert np.isfinite(F.cross_entropy(x, labels).item())
    if backend.current() == "numpy":
        with pytest.raises(ValueError, match="label -100"):
            F.multi_margin_loss(x, labels)
    else:
        assert np.isnan(F.multi_margin_loss(x, labels).item())


@pytest.mark.parametrize("loss", [F.nll_loss, F.multi_margin_loss])
def test_labels_as_floats(loss):
    with pytest.raises(md.DTypeError, match=r"expected integer labels; got .*float64.*target.astype\(int\)"):
        loss(tensor(np.ones((2, 3))), device(np.zeros(2)))


@pytest.mark.parametrize("loss", [F.cross_entropy, F.nll_loss, F.multi_margin_loss])
def test_options_that_are_none(loss):
    x, y = tensor(np.ones((2, 3))), device(np.zeros(2, int))
    with pytest.raises(
        ValueError, match=rf"{loss.__name__}: reduction: expected 'mean' or 'sum' or 'none'; got 'average'"
    ):
        loss(x, y, reduction="average")
    with pytest.raises(md.DTypeError, match=rf"{loss.__name__}: expected floating"):
        loss(tensor(np.ones((2, 3), int)), y)
    with pytest.raises(md.ShapeError, match=rf"{loss.__name__}: expected weight of shape \(3,\); got \(2,\)"):
        loss(x, y, weight=[1.0, 2.0])
    with pytest.raises(md.GraphError, match=rf"{loss.__name__} takes its weight as a constant.*detach\(\)"):
        loss(x, y, weight=tensor(np.ones(3), True))


def test_more_options_that_are_none():
    x, y = tensor(np.ones((2, 3))), device(np.zeros(2, int))
    for loss in (F.cross_entropy, F.nll_loss):
        with pytest.raises(ValueError, match=f"{loss.__name__}: ignore_index: expected a whole number; got 1.5"):
            loss(x, y, ignore_index=1.5)
    with pytest.raises(ValueError, match="label_smoothing"):
        F.cross_entropy(x, y, label_smoothing=1.5)
    with pytest.raises(ValueError, match="multi_margin_loss: p: expected 1 or 2; got 3"):
        F.multi_margin_loss(x, y, p=3)
    with pytest.raises(md.ShapeError, match=r"\(N, C\) or \(C,\); got \(2, 3, 1\)"):
        F.multi_margin_loss(tensor(np.ones((2, 3, 1))), y)


@pytest.mark.parametrize("loss", [F.cross_entropy, F.nll_loss, F.multi_margin_loss])
def test_two_devices_are_named_and_one_is_not_waited_for(loss, standin):
    x = md.Tensor(backend.to_device(np.ones((2, 3)), "cupy"), requires_grad=True)
    with pytest.raises(md.DeviceError, match="input and target on one device"):
        loss(x, np.zeros(2, int))
    labels, weight = (backend.to_device(np.array(a), "cupy") for a in ([0, 1], [1.0, 2.0, 3.0]))
    with pytest.raises(md.DeviceError, match="input and weight on one device"):
        loss(x, labels, weight=np.ones(3))
    assert np.isfinite(loss(x, [0, 1], weight=[1, 2, 3]).item())
    standin.reset_synchronizations()
    for reduction in ("mean", "sum", "none"):
        grad = md.grad(F.sum(loss(x, labels, weight=weight, reduction=reduction)), x, create_graph=True)
        if grad.requires_grad:
            F.sum(grad * grad).backward()
    assert standin.synchronizations() == ()
