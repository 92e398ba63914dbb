"""minidl/functional/classification.py."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl as md
import minidl.functional as F
from minidl import backend
from minidl.functional.classification import CrossEntropy
from minidl.functional.likelihood import GeneralCrossEntropy
from tests.arrays import device, host, tensor
from tests.factory import assert_close, check, examples
from tests.functional.samples import labels_of, ours_of, scores, theirs_of, weights_of
from tests.pytorch import TF, torch

REDUCTIONS = st.sampled_from(["mean", "sum", "none"])
SMOOTHINGS = st.sampled_from([0.0, 0.1, 1.0])


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


def test_a_large_float16_batch_loses_nothing():
    x = np.zeros((100_000, 2), np.float16)  # its losses add up to 69,315 and its samples to 100,000: beyond float16
    for weight in (None, [1.0, 1.0]):
        logits = tensor(x, True)
        loss = F.cross_entropy(logits, device(np.zeros(100_000, int)), weight=weight)
        assert loss.dtype == np.float16
        np.testing.assert_allclose(loss.item(), np.log(2), rtol=1e-3)
        loss.backward(device(np.array(1024, np.float16)))
        np.testing.assert_allclose(host(logits.grad)[:, 1], 512 / 100_000, rtol=1e-3)


def test_softmax_before_the_loss_is_noticed():
    probabilities, labels = F.softmax(tensor(np.ones((2, 3)), True)), device(np.array([0, 1]))
    with pytest.warns(UserWarning, match="raw scores") as caught:
        F.cross_entropy(probabilities, labels)
    assert caught[0].filename == __file__
    with pytest.warns(UserWarning, match="result of softmax: use log_softmax"):
        F.nll_loss(probabilities, labels)
    with pytest.warns(UserWarning, match="raw scores") as caught:
        md.nn.CrossEntropyLoss()(probabilities, labels)
    assert caught[0].filename == __file__


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


COMMON = {"reduction": "mean"}, {"reduction": "sum"}, {"ignore_index": 255}
BEYOND = {"reduction": "none"}, {"label_smoothing": 0.1}, {"weight": [1.0, 2.0, 3.0]}, {"ignore_index": 1}


@pytest.mark.parametrize("options", [*COMMON, *BEYOND])
def test_the_common_case_has_a_class_of_its_own(options):
    x, labels = tensor(np.array([[1.0, 2.0, 0.5], [0.1, 0.2, 0.3]]), True), device(np.array([2, 1]))
    op = F.cross_entropy(x, labels, **options)._op
    common = options in COMMON and backend.current() == "numpy"  # on a device nobody looks whether a label is ignored
    assert type(op).plain is (CrossEntropy if common else GeneralCrossEntropy)
    further_axes = F.cross_entropy(tensor(np.ones((2, 3, 4)), True), device(np.zeros((2, 4), int)))
    assert type(further_axes._op).plain is GeneralCrossEntropy


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_both_classes_compute_the_same(dtype, reduction):
    x, labels = np.random.default_rng(0).standard_normal((6, 4)).astype(dtype), device(np.arange(6) % 4)
    found = []
    for op in (CrossEntropy(labels, reduction), GeneralCrossEntropy(labels, -100, None, reduction)):
        logits = tensor(x, True)
        loss = op(logits)
        slope = md.grad(loss, logits, create_graph=True)
        found.append([loss, slope, md.grad((slope * slope).sum(), logits)])
    for common, general in zip(*found, strict=True):
        assert common.dtype == general.dtype == dtype
        assert_close(common, host(general), dtype)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("options", [{}, {"weight": [1.0, 2.0, 0.5]}, {"ignore_index": 1}])
def test_a_certain_and_right_score_costs_nothing_and_a_wrong_one_infinity(options, dtype):
    x = tensor(np.array([[np.inf, 0.0, 1.0]], dtype), True)
    right = F.cross_entropy(x, device(np.array([0])), **options)
    slope = md.grad(right, x, create_graph=True)
    assert right.item() == 0
    np.testing.assert_array_equal(host(slope), 0)
    np.testing.assert_array_equal(host(md.grad((slope * slope).sum(), x)), 0)
    wrong = F.cross_entropy(x, device(np.array([2])), **options)
    wrong.backward()
    assert wrong.item() == np.inf
    np.testing.assert_array_equal(host(x.grad), [[1, 0, -1]])


@pytest.mark.parametrize("wrong", [[np.nan, 0.0], [-np.inf, -np.inf], [np.inf, np.inf]])
@pytest.mark.parametrize("options", [{}, {"reduction": "sum"}, {"label_smoothing": 0.1}, {"weight": [1.0, 2.0]}])
def test_an_ignored_sample_gets_no_gradient_whatever_its_scores(wrong, options):
    x = tensor(np.array([[0.0, 0.0], wrong]), True)
    loss = F.cross_entropy(x, device(np.array([0, -100])), **options)
    loss.backward()
    assert np.isfinite(host(loss))
    np.testing.assert_array_equal(host(x.grad)[1], 0)
    assert np.all(host(x.grad)[0] != 0)
