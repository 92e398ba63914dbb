from __future__ import annotations

import inspect

import numpy as np
import pytest

import minidl as md
from minidl import nn
from tests.arrays import device, host, tensor
from tests.pytorch import torch

RNG = np.random.default_rng(0)
SCORES = RNG.standard_normal((4, 3)).astype(np.float32)
INSIDE = RNG.uniform(0.1, 0.9, (4, 3)).astype(np.float32)
LABELS = np.array([0, 2, 1, 2])
WEIGHT = np.array([0.5, 1, 2], np.float32)

CASES = [
    ("CrossEntropyLoss", {}, SCORES, LABELS),
    ("CrossEntropyLoss", {"weight": WEIGHT, "label_smoothing": 0.2, "ignore_index": 1}, SCORES, LABELS),
    ("CrossEntropyLoss", {"weight": WEIGHT, "label_smoothing": 0.2}, SCORES, INSIDE),
    ("NLLLoss", {}, np.log(INSIDE), LABELS),
    ("NLLLoss", {"weight": WEIGHT, "ignore_index": 0}, np.log(INSIDE), LABELS),
    ("MultiMarginLoss", {}, SCORES, LABELS),
    ("MultiMarginLoss", {"p": 2, "margin": 0.5, "weight": WEIGHT}, SCORES, LABELS),
    ("BCELoss", {}, INSIDE, (SCORES > 0).astype(np.float32)),
    ("BCELoss", {"weight": WEIGHT}, INSIDE, (SCORES > 0).astype(np.float32)),
    ("BCEWithLogitsLoss", {}, SCORES, INSIDE),
    ("BCEWithLogitsLoss", {"weight": WEIGHT, "pos_weight": WEIGHT + 1}, SCORES, INSIDE),
    ("MSELoss", {}, SCORES, INSIDE),
    ("L1Loss", {}, SCORES, INSIDE),
    ("SmoothL1Loss", {"beta": 0.5}, SCORES, INSIDE),
    ("HuberLoss", {"delta": 0.5}, SCORES, INSIDE),
    ("KLDivLoss", {}, np.log(INSIDE), INSIDE),
    ("KLDivLoss", {"log_target": True, "reduction": "batchmean"}, np.log(INSIDE), SCORES),
]
NAMES = sorted({name for name, *_ in CASES})
WEIGHTS = {"weight", "pos_weight"}


def pair_of(name, options):
    """The loss of minidl and that of PyTorch, made with the same options."""
    ours = {key: device(value) if key in WEIGHTS else value for key, value in options.items()}
    theirs = {key: torch.tensor(value) if key in WEIGHTS else value for key, value in options.items()}
    return getattr(nn, name)(**ours), getattr(torch.nn, name)(**theirs)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize(("name", "options", "x", "target"), CASES)
@pytest.mark.filterwarnings("ignore:reduction.*batchmean")
def test_it_equals_pytorch_forward_and_backward(name, options, x, target, reduction):
    loss, theirs = pair_of(name, {"reduction": reduction, **options})
    ours, other = tensor(x, True), torch.tensor(x, requires_grad=True)
    value, their_value = loss(ours, device(target)), theirs(other, torch.tensor(target))
    assert value.dtype == np.float32
    np.testing.assert_allclose(host(value), their_value.detach().numpy(), rtol=1e-5, atol=1e-6)
    value.sum().backward()
    their_value.sum().backward()
    np.testing.assert_allclose(host(ours.grad), other.grad.numpy(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_the_arguments_are_pytorchs(name):
    ours, theirs = (inspect.signature(getattr(module, name)).parameters for module in (nn, torch.nn))
    expected = {key: value.default for key, value in theirs.items() if key not in ("size_average", "reduce")}
    assert [(key, value.default) for key, value in ours.items()] == list(expected.items())


@pytest.mark.parametrize(("name", "options", "x", "target"), CASES)
def test_only_weights_that_are_given_are_in_the_state(name, options, x, target):
    loss, theirs = pair_of(name, options)
    state = loss.state_dict()
    assert list(state) == list(theirs.state_dict())
    for key, value in theirs.state_dict().items():
        np.testing.assert_array_equal(state[key], value.numpy())
    loss.load_state_dict(theirs.state_dict())
    assert loss.parameters() == []


def test_hinge_loss():
    loss = nn.HingeLoss("sum")
    assert loss(tensor(np.array([0.5, -2.0, 3.0])), device(np.array([1, 1, 1]))).item() == 3.5
    assert repr(loss) == "HingeLoss(reduction=sum)"


def test_weights_move_with_the_module(standin):
    with md.using("numpy"):
        linear, loss = nn.Linear(2, 3), nn.BCEWithLogitsLoss(weight=[1, 2, 3], pos_weight=np.array([1.0, 2, 3]))
        both = nn.ModuleList([linear, loss])
        assert [name for name, _ in both.named_buffers()] == ["1.weight", "1.pos_weight"]
        both.to("cupy", dtype="float32")
        assert loss.weight.device == loss.pos_weight.device == "cupy"
        assert loss.pos_weight.dtype == np.float32
        x = md.Tensor(np.ones((4, 2), np.float32)).to("cupy")
        target = md.Tensor(np.ones((4, 3), np.float32)).to("cupy")
        standin.reset_synchronizations()
        loss(linear(x), target).backward()
        assert standin.synchronizations() == ()


def test_weights_as_a_list_take_the_dtype_of_the_scores():
    loss = nn.CrossEntropyLoss(weight=[1, 2, 3])
    for dtype in ("float16", "float32", "float64"):
        assert loss(tensor(SCORES.astype(dtype)), device(LABELS)).dtype == dtype


@pytest.mark.parametrize("name", [*NAMES, "HingeLoss"])
def test_an_unknown_reduction_is_refused_when_the_loss_is_made(name):
    with pytest.raises(ValueError, match=f"{name}: reduction: expected 'mean' or 'sum' or 'none'.*; got 'average'"):
        getattr(nn, name)(reduction="average")
    if name != "KLDivLoss":
        with pytest.raises(ValueError, match="got 'batchmean'"):
            getattr(nn, name)(reduction="batchmean")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: nn.HuberLoss(delta=-1), "HuberLoss: delta: expected a number above 0; got -1"),
        (lambda: nn.SmoothL1Loss(beta=-1), "SmoothL1Loss: beta: expected a number of at least 0; got -1"),
        (lambda: nn.MultiMarginLoss(p=3), "MultiMarginLoss: p: expected 1 or 2; got 3"),
        (lambda: nn.MultiMarginLoss(margin="wide"), "MultiMarginLoss: margin: expected a number; got 'wide'"),
        (lambda: nn.CrossEntropyLoss(label_smoothing=2), "CrossEntropyLoss: label_smoothing: expected a number from 0"),
        (lambda: nn.CrossEntropyLoss(None, 0.5), "CrossEntropyLoss: ignore_index: expected a whole number; got 0.5"),
        (lambda: nn.NLLLoss(ignore_index="a"), "NLLLoss: ignore_index: expected a whole number; got 'a'"),
    ],
)
def test_an_option_out_of_range_is_refused_when_the_loss_is_made(make, words):
    with pytest.raises(ValueError, match=words):
        make()


def test_options_are_shown():
    assert repr(nn.MSELoss()) == "MSELoss()"
    assert repr(nn.KLDivLoss("batchmean")) == "KLDivLoss(reduction=batchmean)"
    assert repr(nn.CrossEntropyLoss(weight=[1, 2], label_smoothing=0.1)) == "CrossEntropyLoss(label_smoothing=0.1)"
