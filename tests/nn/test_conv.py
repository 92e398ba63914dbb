"""minidl/nn/conv.py."""

import inspect

import numpy as np
import pytest

from minidl import nn
from minidl.errors import DTypeError, ShapeError
from tests.arrays import host, tensor
from tests.pytorch import torch

CASES = [
    ("Conv1d", {}),
    ("Conv1d", {"stride": 2, "padding": 1, "dilation": 2, "groups": 2}),
    ("Conv1d", {"padding": "same", "bias": False}),
    ("Conv2d", {}),
    ("Conv2d", {"padding": 1}),
    ("Conv2d", {"stride": 2, "padding": (1, 0)}),
    ("Conv2d", {"dilation": 2}),
    ("Conv2d", {"groups": 2, "bias": False}),
    ("Conv2d", {"stride": (2, 1), "groups": 4}),
    ("Conv2d", {"padding": "same", "dilation": (1, 2)}),
    ("Conv2d", {"padding": "valid", "stride": 2}),
]


@pytest.mark.parametrize(("kind", "options"), CASES)
@pytest.mark.filterwarnings("ignore:Using padding='same'")  # PyTorch's, of its even kernels
def test_it_equals_pytorch_forward_and_backward(kind, options):
    check_against_pytorch(kind, options)


def check_against_pytorch(kind, options):
    sizes = {"1": ((3,), (7,)), "2": ((3, 2), (7, 6))}[kind[-2]]
    layer, theirs = getattr(nn, kind)(4, 8, sizes[0], **options), getattr(torch.nn, kind)(4, 8, sizes[0], **options)
    layer.load_state_dict(theirs.state_dict())
    x = np.random.default_rng(0).standard_normal((2, 4, *sizes[1])).astype(np.float32)
    ours, other = tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    y, z = layer(ours), theirs(other)
    np.testing.assert_allclose(host(y), z.detach().numpy(), rtol=1e-4, atol=1e-5)
    (y * y).sum().backward()
    (z * z).sum().backward()
    np.testing.assert_allclose(host(ours.grad), other.grad.numpy(), rtol=1e-4, atol=1e-4)
    for (name, p), (their_name, q) in zip(layer.named_parameters(), theirs.named_parameters(), strict=True):
        assert name == their_name
        assert p.shape == tuple(q.shape)
        np.testing.assert_allclose(host(p.grad), q.grad.numpy(), rtol=1e-4, atol=1e-4)
    theirs.load_state_dict({name: torch.tensor(values) for name, values in layer.state_dict().items()})


@pytest.mark.parametrize("kind", ["Conv1d", "Conv2d"])
def test_arguments_have_pytorchs_order(kind):
    ours, theirs = (list(inspect.signature(getattr(room, kind)).parameters) for room in (nn, torch.nn))
    assert ours[:-1] == theirs[: len(ours) - 1]
    assert ours[-1] == "init"


def test_it_starts_uniform_within_one_over_the_root_of_its_own_fan_in():
    layer = nn.Conv2d(16, 64, 5, groups=4)  # each output sums 4 channels x 25 places
    for values in (host(layer.weight), host(layer.bias)):
        assert 0.09 < np.abs(values).max() <= 0.1
    assert host(layer.weight).var() == pytest.approx(0.1**2 / 3, rel=0.03)


@pytest.mark.parametrize("kind", ["Conv1d", "Conv2d"])
def test_init_leaves_the_bias_zero(kind):
    layer = getattr(nn, kind)(1, 2, 3, init=nn.init.he_uniform_)
    assert host(layer.weight).any()
    assert not host(layer.bias).any()


def test_bad_sizes_are_named():
    with pytest.raises(ValueError, match="Conv2d: groups=2 must divide the channels; got 3->4"):
        nn.Conv2d(3, 4, 3, groups=2)
    with pytest.raises(ValueError, match="Conv2d: in_channels"):
        nn.Conv2d(0, 4, 3)
    with pytest.raises(ShapeError, match="Conv2d: kernel_size: expected a whole number of at least 1"):
        nn.Conv2d(1, 4, 0)
    with pytest.raises(ShapeError, match="Conv2d: padding"):
        nn.Conv2d(1, 4, 3, padding=-1)
    with pytest.raises(
        ShapeError, match="Conv1d: padding: expected a whole number of at least 0, 'same' or 'valid'; got 'full'"
    ):
        nn.Conv1d(1, 4, 3, padding="full")
    with pytest.raises(ShapeError, match=r"Conv2d: padding: 'same' is not supported for strided.*got stride \(2, 2\)"):
        nn.Conv2d(1, 4, 3, 2, padding="same")


def test_what_is_no_array_is_named():
    with pytest.raises(DTypeError, match="expected Tensors or arrays; got 5"):
        nn.Conv2d(3, 4, 3)(5)


def test_one_image_needs_a_batch_axis():
    with pytest.raises(ShapeError, match=r"got \(1, 8, 8\) .* add a batch axis, x\[None\]"):
        nn.Conv2d(1, 4, 3)(tensor(np.ones((1, 8, 8), np.float32)))


def test_it_says_what_it_is():
    assert repr(nn.Conv2d(3, 8, 3)) == "Conv2d(3->8, 3x3)"
    text = repr(nn.Conv2d(4, 8, (3, 5), stride=2, padding=1, dilation=2, groups=2, bias=False))
    assert text == "Conv2d(4->8, 3x5, stride=2x2, padding=1x1, dilation=2x2, groups=2, bias=False)"
    assert repr(nn.Conv1d(4, 8, 3, padding="same")) == "Conv1d(4->8, 3, padding=same)"
