"""minidl/checks.py."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minidl as md
import minidl.functional as F
from minidl import nn
from minidl.checks import choice, fraction, nonnegative, number, real, share, whole, yes_or_no


@pytest.mark.parametrize("value", [0, 3, np.int16(2), -5])
def test_whole_numbers(value):
    result = whole(value, "n", -5)
    assert result == value
    assert type(result) is int


@pytest.mark.parametrize("value", [True, 1.0, "1", None, 0, np.nan])
def test_what_is_no_whole_number_of_at_least_1(value):
    with pytest.raises(ValueError, match=r"Layer: n: expected a whole number of at least 1; got "):
        whole(value, "Layer: n")


def test_numbers_are_pythons():
    for value in (0, 0.5, np.float32(0.25), 1, np.int64(1)):
        found = number(value, "p", 0, 1)
        assert (found, type(found)) == (value, int if isinstance(value, (int, np.integer)) else float)
    assert number(-np.pi, "alpha") == -np.pi


@pytest.mark.parametrize(
    ("value", "limits", "words"),
    [
        ("a", {}, "p: expected a number; got 'a'"),
        (True, {}, "p: expected a number; got True"),
        (np.nan, {}, "p: expected a number; got nan"),
        (-1, {"least": 0}, "p: expected a number of at least 0; got -1"),
        (1.5, {"least": 0, "most": 1}, "p: expected a number from 0 to 1; got 1.5"),
        (0, {"above": 0}, "p: expected a number above 0; got 0"),
    ],
)
def test_what_is_no_number_within_the_limits(value, limits, words):
    with pytest.raises(ValueError, match=words):
        number(value, "p", **limits)


def test_a_choice():
    assert choice("relu", "f", ("tanh", "relu")) == "relu"
    with pytest.raises(ValueError, match="f: expected 'tanh' or 'relu'; got 3"):
        choice(3, "f", ("tanh", "relu"))


class Quarter:
    """A number of somebody else's library."""

    def __float__(self):
        return 0.25


@pytest.mark.parametrize("value", [0.25, np.float32(0.25), np.array(0.25), Quarter()])
def test_one_number_becomes_a_plain_float(value):
    for check in (real, nonnegative, fraction, share):
        assert check(value, "p") == 0.25
        assert type(check(value, "p")) is float


NO_NUMBERS = ["0.5", b"0.5", bytearray(b"0.5"), True, np.True_, None, [0.5], 1j, 10**400]
NO_NUMBERS += [np.str_("0.5"), np.array("0.5"), np.array(True), np.array([0.5]), np.complex64(0.5)]


@pytest.mark.parametrize("value", NO_NUMBERS)
@pytest.mark.parametrize("check", [real, nonnegative, fraction, share])
def test_texts_and_truth_values_are_no_numbers(check, value):
    with pytest.raises(ValueError, match=r"SGD: lr: expected a number; got"):
        check(value, "SGD: lr")


@pytest.mark.parametrize("value", ["0.5", True, np.complex64(0.5), None])
def test_nor_are_they_in_an_option_that_keeps_its_kind(value):
    with pytest.raises(ValueError, match="p: expected a number"):
        number(value, "p")


@pytest.mark.parametrize(
    ("check", "value", "words"),
    [
        (nonnegative, -0.1, "expected a finite number of at least 0; got -0.1"),
        (nonnegative, np.nan, "expected a finite number of at least 0; got nan"),
        (nonnegative, np.inf, "expected a finite number of at least 0; got inf"),
        (fraction, 1, "expected a number of at least 0 and below 1; got 1"),
        (fraction, np.nan, "expected a number of at least 0 and below 1; got nan"),
        (share, 1.01, "expected a number from 0 to 1; got 1.01"),
        (share, np.nan, "expected a number from 0 to 1; got nan"),
        (yes_or_no, "no", "expected True or False; got 'no'"),
        (yes_or_no, 1, "expected True or False; got 1"),
    ],
)
def test_numbers_out_of_range(check, value, words):
    with pytest.raises(ValueError, match=words):
        check(value, "option")


def test_the_ends_of_a_share_count():
    assert share(0, "p") == 0.0
    assert share(1, "p") == 1.0
    assert yes_or_no(np.True_, "p") is True


# ---- whatever takes yes or no

BATCH = np.ones((2, 3, 4, 4), np.float32)
DATA = md.data.Dataset(np.ones((4, 3), np.float32), np.zeros(4, np.int64))
NUMBER = md.tensor(2.0, requires_grad=True)
LINE = md.Tensor(np.ones(3, np.float32))


def fitted(**options: Any) -> Any:
    model = md.models.mlp((3, 2))
    return md.fit(model, md.optim.SGD(model, lr=0.1), md.data.Loader(DATA, 2), epochs=1, **options)


OPTIONS: dict[str, Callable[[Any], Any]] = {
    "Linear: bias": lambda v: nn.Linear(2, 3, bias=v),
    "Conv2d: bias": lambda v: nn.Conv2d(3, 2, 1, bias=v),
    "ConvTranspose1d: bias": lambda v: nn.ConvTranspose1d(3, 2, 1, bias=v),
    "LSTMCell: bias": lambda v: nn.LSTMCell(2, 3, bias=v),
    "GRU: bias": lambda v: nn.GRU(2, 3, bias=v),
    "RNN: batch_first": lambda v: nn.RNN(2, 3, batch_first=v),
    "BatchNorm1d: affine": lambda v: nn.BatchNorm1d(3, affine=v),
    "BatchNorm2d: track_running_stats": lambda v: nn.BatchNorm2d(3, track_running_stats=v),
    "LayerNorm: elementwise_affine": lambda v: nn.LayerNorm(3, elementwise_affine=v),
    "LayerNorm: bias": lambda v: nn.LayerNorm(3, bias=v),
    "GroupNorm: affine": lambda v: nn.GroupNorm(1, 3, affine=v),
    "LocalResponseNorm: within_channel": lambda v: nn.LocalResponseNorm(3, within_channel=v),
    "AvgPool2d: count_include_pad": lambda v: nn.AvgPool2d(2, count_include_pad=v),
    "MaxPool2d: ceil_mode": lambda v: nn.MaxPool2d(2, ceil_mode=v),
    "KLDivLoss: log_target": lambda v: nn.KLDivLoss(log_target=v),
    "train(mode)": lambda v: nn.Linear(2, 3).train(v),
    "strict": lambda v: nn.Linear(2, 3).load_state_dict(nn.Linear(2, 3).state_dict(), strict=v),
    "requires_grad": lambda v: md.tensor([1.0], requires_grad=v),
    "Loader: shuffle": lambda v: md.data.Loader(DATA, 2, shuffle=v),
    "Loader: drop_last": lambda v: md.data.Loader(DATA, 2, drop_last=v),
    "fit: allow_changes": lambda v: fitted(allow_changes=v),
    "progress": lambda v: fitted(progress=v),
    "SGD: nesterov": lambda v: md.optim.SGD(nn.Linear(2, 3), lr=0.1, momentum=0.5, nesterov=v),
    "RMSprop: centered": lambda v: md.optim.RMSprop(nn.Linear(2, 3), lr=0.1, centered=v),
    "grad: create_graph": lambda v: md.grad(F.sum(NUMBER * 2), NUMBER, create_graph=v),
    "grad: allow_unused": lambda v: md.grad(F.sum(NUMBER * 2), NUMBER, allow_unused=v),
    "Sum: keepdims": lambda v: F.sum(LINE, keepdims=v),
    "Mean: keepdims": lambda v: LINE.mean(keepdims=v),
    "Max: keepdims": lambda v: F.norm(LINE, np.inf, keepdims=v),
    "dropout: training": lambda v: F.dropout(LINE, training=v),
    "dropout2d: training": lambda v: F.dropout2d(BATCH, training=v),
    "batch_norm: training": lambda v: F.batch_norm(BATCH, np.zeros(3, "f4"), np.ones(3, "f4"), training=v),
    "local_response_norm: within_channel": lambda v: F.local_response_norm(BATCH, 3, within_channel=v),
    "average pooling: count_include_pad": lambda v: F.avg_pool2d(BATCH, 2, count_include_pad=v),
    "kl_div: log_target": lambda v: F.kl_div(LINE, LINE, log_target=v),
}


@pytest.mark.parametrize("name", OPTIONS)
def test_what_takes_yes_or_no_takes_nothing_else(name: str) -> None:
    with md.using("numpy"):
        for wrong in ("no", "false", "", 0, 1, 0.5, [True]):
            said = rf"{re.escape(name)}: expected True or False.*; got {re.escape(repr(wrong))}"
            with pytest.raises(ValueError, match=said):
                OPTIONS[name](wrong)
        for right in (True, False, np.True_, np.False_):
            OPTIONS[name](right)
