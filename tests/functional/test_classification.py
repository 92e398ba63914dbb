"""minidl/functional/classification.py."""

from __future__ import annotations

from types import ModuleType

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
def scores(draw, max_dims=4):
    """Logits: (C,), (N, C), or with further axes."""
    classes = draw(st.sampled_from([3, 2, 5, 1]))
    further = draw(st.lists(st.sampled_from([2, 1, 3]), max_size=max_dims - 2))
    batch = draw(st.sampled_from([3, 2, 1]))
    shape = draw(st.sampled_from([(batch, classes), (classes,), (batch, classes, *further)]))
    return draw(operand(shape))


def class_count(x):
    return x.values.shape[0 if x.values.ndim == 1 else 1]


def without_classes(shape):
    return shape[:1] + shape[2:] if len(shape) > 1 else ()


@st.composite
def labels_of(draw, x):
    """(labels of some integer dtype, ignore_index): some samples are ignored, but never all."""
    dtype = draw(st.sampled_from(["int64", "int32", "uint8", "int16"]))
    ignored = draw(st.sampled_from([-100, 0, 255]))
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    labels = np.asarray(rng.integers(0, class_count(x), without_classes(x.values.shape)))
    if ignored == -100 and dtype != "uint8":
        labels = np.where(rng.random(labels.shape) < 0.2, -100, labels)
    if (labels == ignored).all():
        labels, ignored = labels * 0 + class_count(x) - 1, -100
    return labels.astype(dtype), ignored


@st.composite
def weights_of(draw, x):
    """No class weights, or some: exact in every dtype."""
    eighths = draw(st.lists(st.integers(1, 20), min_size=class_count(x), max_size=class_count(x)))
    return np.array(eighths) / 8 if draw(st.booleans()) else None


def ours_of(weight):
    return None if weight is None else device(weight)


def theirs_of(weight):
    return None if weight is None else torch.tensor(weight)


@examples(150)
@given(st.data())
def test_cross_entropy_with_labels(data):
    x = data.draw(scores())
    (labels, ignored), weight = data.draw(labels_of(x)), data.draw(weights_of(x))
    reduction, smoothing = data.draw(REDUCTIONS), data.draw(SMOOTHINGS)
    check(
        lambda t: F.cross_entropy(t, device(labels), ours_of(weight), ignored, reduction, smoothing),
        lambda t: TF.cross_entropy(
            t,
            torch.tensor(labels.astype(np.int64)),
            theirs_of(weight),
            ignore_index=ignored,
            reduction=reduction,
            label_smoothing=smoothing,
        ),
        x,
        slack=2,
    )


@examples(80)
@given(st.data())
def test_cross_entropy_with_probabilities(data):
    x = data.draw(scores())
    target, weight = data.draw(operand(x.values.shape, low=0, high=1)), data.draw(weights_of(x))
    reduction, smoothing = data.draw(REDUCTIONS), data.draw(SMOOTHINGS)
    check(
        lambda t, q: F.cross_entropy(t, q, ours_of(weight), reduction=reduction, label_smoothing=smoothing),
        lambda t, q: TF.cross_entropy(t, q, theirs_of(weight), reduction=reduction, label_smoothing=smoothing),
        [x, target],
        slack=2,
    )


@examples(60)
@given(st.data())
def test_nll_loss(data):
    x = data.draw(scores())
    (labels, ignored), weight, reduction = data.draw(labels_of(x)), data.draw(weights_of(x)), data.draw(REDUCTIONS)
    check(
        lambda t: F.nll_loss(t, device(labels), ours_of(weight), ignored, reduction),
        lambda t: TF.nll_loss(
            t.contiguous(),
            torch.tensor(labels.astype(np.int64)),
            theirs_of(weight),
            ignore_index=ignored,
            reduction=reduction,
        ),
        x,
    )


@examples(60)
@given(st.data())
def test_multi_margin_loss(data):
    x = data.draw(scores(max_dims=2))
    weight, reduction = data.draw(weights_of(x)), data.draw(REDUCTIONS)
    p, margin = data.draw(st.sampled_from([1, 2])), data.draw(st.sampled_from([1.0, 0.25, 2.0]))
    seed = data.draw(st.integers(0, 10**6))
    labels = np.asarray(np.random.default_rng(seed).integers(0, class_count(x), without_classes(x.values.shape)))

    def plain(t):  # PyTorch's own has no second derivative
        y = torch.tensor(labels)
        own = TF.one_hot(y, t.shape[-1]).bool()
        missing = torch.relu(margin - t[own].reshape(y.shape)[..., None] + t).masked_fill(own, 0)
        loss = (missing**p).mean(-1) * (1 if weight is None else theirs_of(weight)[y])
        return {"mean": loss.mean(), "sum": loss.sum(), "none": loss}[reduction]

    def ours(t):
        return F.multi_margin_loss(t, device(labels), p, margin, ours_of(weight), reduction)

    def theirs(t):
        return TF.multi_margin_loss(t, torch.tensor(labels), p, margin, theirs_of(weight), reduction=reduction)

    check(ours, theirs, x, second=False, numeric=False, slack=2)
    check(ours, plain, x, slack=2)


def test_labels_and_weights_in_every_form():
    x = np.array([[1.0, 2.0, 0.5], [0.1, 0.2, 0.3]])
    expected = TF.cross_entropy(torch.tensor(x), torch.tensor([2, 0])).item()
    for labels in ([2, 0], (2, 0), device(np.array([2, 0])), tensor(np.array([2, 0]))):
        assert F.cross_entropy(tensor(x), labels).item() == pytest.approx(expected)
    assert F.cross_entropy(tensor(x[0]), 2).shape == ()
    assert float(F.cross_entropy(x.tolist(), [2, 0])) == pytest.approx(expected)

    expected = TF.cross_entropy(torch.tensor(x), torch.tensor([2, 0]), torch.tensor([1.0, 2, 3]).double()).item()
    for weight in ([1, 2, 3], [1.0, 2.0, 3.0], device(np.array([1, 2, 3], np.float32)), tensor(np.array([1, 2, 3]))):
        loss = F.cross_entropy(tensor(x), [2, 0], weight=weight)
        assert loss.dtype == np.float64
        assert loss.item() == pytest.approx(expected)


def test_arguments_stand_in_pytorchs_order():
    x, y, weight = np.array([[1.0, 2.0, 0.5], [0.1, 0.2, 0.3]]), np.array([2, 0]), np.array([1.0, 2, 3])
    ours = F.cross_entropy(tensor(x), device(y), device(weight), 0, "sum", 0.1)
    options = {"ignore_index": 0, "reduction": "sum", "label_smoothing": 0.1}
    theirs = TF.cross_entropy(torch.tensor(x), torch.tensor(y), torch.tensor(weight), **options)
    assert ours.item() == pytest.approx(theirs.item())
    assert F.cross_entropy(input=tensor(x), target=device(y)).item() > 0


def test_nll_loss_of_log_softmax_is_cross_entropy():
    x, labels, weight = tensor(np.random.default_rng(0).standard_normal((4, 3, 2))), np.ones((4, 2), int), [1, 0.5, 2]
    labels[0, 1] = 2
    assert_close(
        F.nll_loss(F.log_softmax(x, 1), device(labels), weight), host(F.cross_entropy(x, device(labels), weight=weight))
    )


@pytest.mark.parametrize("loss", [F.cross_entropy, F.nll_loss])
def test_every_sample_ignored(loss):
    x = tensor(np.ones((2, 3)), True)
    labels = device(np.array([-100, -100]))
    for weight in (None, [1.0, 2.0, 3.0]):
        x.zero_grad()
        mean = loss(x, labels, weight=weight)
        assert np.isnan(mean.item())
        mean.backward()
        np.testing.assert_array_equal(host(x.grad), 0)
    assert loss(x, labels, reduction="sum").item() == 0
    np.testing.assert_array_equal(host(loss(x, labels, reduction="none")), 0)


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


def test_a_class_of_weight_0_and_an_ignored_sample_of_infinite_loss():
    x = np.array([[1.0, 2.0, 3.0], [-np.inf, 0.0, 1.0], [2.0, 1.0, 0.0]])
    labels, weight = np.array([0, -100, 2]), np.array([0.0, 1.0, 0.5])
    check_special(
        lambda t: F.cross_entropy(t, device(labels), weight=device(weight)),
        lambda t: TF.cross_entropy(t, torch.tensor(labels), torch.tensor(weight).to(t.dtype)),
        [x],
    )


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize(("ours", "theirs"), [(F.cross_entropy, TF.cross_entropy), (F.nll_loss, TF.nll_loss)])
def test_extreme_scores(ours, theirs, dtype):
    rows = np.array([[6e4, -6e4, 0.0], [-np.inf, 1.0, 2.0], [1e3, 1e3, -1e3], [1e4, -1e4, -1e4]])
    for label in (0, 1, 2):
        labels = np.full(4, label)
        check_special(
            lambda t, y=labels: ours(t, device(y), reduction="none"),
            lambda t, y=labels: theirs(t, torch.tensor(y), reduction="none"),
            [rows],
            [dtype],
        )


def test_a_large_float16_batch_loses_nothing():
    x = np.zeros((100_000, 2), np.float16)  # its losses add up to 69,315 and its samples to 100,000: beyond float16
    for weight in (None, [1.0, 1.0]):
        logits = tensor(x, True)
        loss = F.cross_entropy(logits, device(np.zeros(100_000, int)), weight=weight)
        assert loss.dtype == np.float16
        np.testing.assert_allclose(loss.item(), np.log(2), rtol=1e-3)
        loss.backward(device(np.array(1024, np.float16)))
        np.testing.assert_allclose(host(logits.grad)[:, 1], 512 / 100_000, rtol=1e-3)


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


def test_softmax_before_the_loss_is_noticed():
    probabilities, labels = F.softmax(tensor(np.ones((2, 3)), True)), device(np.array([0, 1]))
    with pytest.warns(UserWarning, match="raw scores") as caught:
        F.cross_entropy(probabilities, labels)
    assert caught[0].filename == __file__
    with pytest.warns(UserWarning, match="result of softmax: use log_softmax"):
        F.nll_loss(probabilities, labels)


@pytest.mark.parametrize(
    ("logits", "target", "error", "words"),
    [
        ((2, 3), np.zeros(3, int), md.ShapeError, r"need labels of shape \(2,\)"),
        ((2, 3), np.zeros((2, 3), int), md.ShapeError, r"not one-hot: of one-hot rows take target.argmax\(1\)"),
        ((2, 3), np.zeros(2), md.ShapeError, r"Labels must be integers: target.astype\(int\)"),
        ((2, 3), np.zeros((2, 2)), md.ShapeError, r"shape of the logits \(2, 3\)"),
        ((2, 3), np.zeros(2, bool), md.DTypeError, "integer labels"),
        ((), np.array(0), md.ShapeError, "single number"),
    ],
)
def test_targets_that_do_not_fit(logits, target, error, words):
    with pytest.raises(error, match=words):
        F.cross_entropy(tensor(np.ones(logits)), device(target))


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


def test_on_a_gpu_cross_entropy_is_one_launch_each_way(standin: ModuleType) -> None:
    if not hasattr(standin.cupy, "RawModule"):
        pytest.skip("kernels without a GPU need a C++ compiler")
    logits, labels = (backend.to_device(a, "cupy") for a in (np.ones((6, 4), np.float32), np.arange(6) % 4))
    x = md.Tensor(logits, requires_grad=True)
    F.cross_entropy(x, labels)  # makes the counter
    standin.reset_launches()
    standin.reset_synchronizations()
    loss = F.cross_entropy(x, labels)
    assert standin.launches() == ("astype", "cross_entropy")  # the labels are copied: somebody may write to them
    loss.backward()
    assert standin.launches()[2:] == ("ones_like", "cross_entropy_gradient")
    assert standin.synchronizations() == ()
