"""minidl/nn/conv_transpose.py."""

import inspect

import numpy as np
import pytest

from minidl import nn
from minidl.errors import ShapeError
from tests.arrays import host, tensor
from tests.nn.test_conv import check_against_pytorch
from tests.pytorch import torch

CASES = [
    ("ConvTranspose1d", {}),
    ("ConvTranspose1d", {"stride": 3, "padding": 1, "output_padding": 2, "groups": 2}),
    ("ConvTranspose2d", {"bias": False}),
    ("ConvTranspose2d", {"stride": 2, "padding": 1, "output_padding": 1}),
    ("ConvTranspose2d", {"stride": (2, 1), "padding": (1, 0), "dilation": (1, 2), "groups": 4}),
]


@pytest.mark.parametrize(("kind", "options"), CASES)
def test_it_equals_pytorch_forward_and_backward(kind, options):
    check_against_pytorch(kind, options)


@pytest.mark.parametrize("kind", ["ConvTranspose1d", "ConvTranspose2d"])
def test_arguments_have_pytorchs_order(kind):
    ours, theirs = (list(inspect.signature(getattr(room, kind)).parameters) for room in (nn, torch.nn))
    assert ours[:-1] == theirs[: len(ours) - 1]
    assert ours[-1] == "init"


def test_it_starts_within_one_over_the_root_of_filters_times_window_as_pytorchs():
    layer = nn.ConvTranspose2d(64, 16, 5, groups=4)  # 16 / 4 filters x 25 places
    theirs = torch.nn.ConvTranspose2d(64, 16, 5, groups=4)
    assert layer.weight.shape == tuple(theirs.weight.shape) == (64, 4, 5, 5)
    for values in (host(layer.weight), theirs.weight.detach().numpy()):
        assert 0.09 < np.abs(values).max() <= 0.1
    assert 0 < np.abs(host(layer.bias)).max() <= 0.1


@pytest.mark.parametrize("kind", ["ConvTranspose1d", "ConvTranspose2d"])
def test_init_leaves_the_bias_zero(kind):
    layer = getattr(nn, kind)(1, 2, 3, init=nn.init.he_uniform_)
    assert host(layer.weight).any()
    assert not host(layer.bias).any()


def test_bad_sizes_are_named():
    with pytest.raises(ValueError, match="ConvTranspose1d: groups=2 must divide the channels; got 4->3"):
        nn.ConvTranspose1d(4, 3, 3, groups=2)
    with pytest.raises(ShapeError, match=r"ConvTranspose2d: padding: expected a whole number.*got 'same'"):
        nn.ConvTranspose2d(4, 3, 3, padding="same")
    with pytest.raises(ShapeError, match="ConvTranspose2d: output_padding"):
        nn.ConvTranspose2d(4, 3, 3, output_padding=-1)
    with pytest.raises(
        ShapeError, match="ConvTranspose2d: output_padding: expected numbers smaller than stride or dil"
    ):
        nn.ConvTranspose2d(2, 2, 3, output_padding=1)


def test_one_sequence_needs_a_batch_axis():
    with pytest.raises(ShapeError, match="add a batch axis"):
        nn.ConvTranspose1d(1, 4, 3)(tensor(np.ones((1, 8), np.float32)))


def test_it_says_what_it_is():
    text = repr(nn.ConvTranspose2d(4, 8, 3, stride=2, output_padding=1))
    assert text == "ConvTranspose2d(4->8, 3x3, stride=2x2, output_padding=1x1)"
