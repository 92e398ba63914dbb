import copy

import numpy as np
import pytest

import minidl as md
import minidl.functional as F
from minidl import nn
from tests.arrays import device, host, tensor
from tests.factory import assert_close
from tests.pytorch import TF, torch

SAMPLES, STEPS, LENGTH, HEADS, WIDTH = 2, 3, 6, 2, 5
HIDDEN = np.array([[False, True, False], [True, False, False], [False] * 3])
PADDING = np.array([[False, False, True], [False, False, False]])


def random(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


X = random(SAMPLES, STEPS, LENGTH)


def block_pair(**options):
    """A block, and PyTorch's with the same weights, none of them as at first."""
    options = {"dropout": 0.0, "batch_first": True, **options}
    theirs = torch.nn.TransformerEncoderLayer(LENGTH, HEADS, WIDTH, **options)
    for i, parameter in enumerate(theirs.parameters()):
        parameter.data = torch.tensor(random(*parameter.shape, seed=50 + i) / 2 + (parameter.ndim == 1))
    layer = nn.TransformerEncoderLayer(LENGTH, HEADS, WIDTH, **options)
    layer.load_state_dict(theirs.state_dict())
    return layer, theirs


def compare(layer, theirs, array, masks=(), their_masks=()):
    """The output, and the gradients of input and parameters."""
    x, their_x = tensor(array, requires_grad=True), torch.tensor(array, requires_grad=True)
    y, their_y = layer(x, *masks), theirs(their_x, *their_masks)
    assert_close(y, their_y, "float32", slack=2)
    weights = random(*y.shape, seed=9)
    (y * device(weights)).sum().backward()
    (their_y * torch.tensor(weights)).sum().backward()
    assert_close(x.grad, their_x.grad, "float32", slack=8)
    for (name, p), (their_name, their_p) in zip(layer.named_parameters(), theirs.named_parameters(), strict=True):
        assert name == their_name
        assert_close(p.grad, their_p.grad, "float32", slack=8, what=name)


# ---- equal to PyTorch's


@pytest.mark.parametrize("norm_first", [False, True])
@pytest.mark.parametrize("activation", ["relu", "gelu"])
@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("bias", [False, True])
def test_it_equals_pytorch(norm_first, activation, batch_first, bias):
    layer, theirs = block_pair(norm_first=norm_first, activation=activation, batch_first=batch_first, bias=bias)
    compare(layer, theirs, X)


@pytest.mark.parametrize("norm_first", [False, True])
def test_with_masks_it_equals_pytorch(norm_first):
    layer, theirs = block_pair(norm_first=norm_first)
    compare(layer, theirs, X, (device(HIDDEN), device(PADDING)), (torch.tensor(HIDDEN), torch.tensor(PADDING)))
    layer.zero_grad()
    theirs.zero_grad()
    ahead = torch.nn.Transformer.generate_square_subsequent_mask(STEPS)
    compare(layer, theirs, X, (None, None, True), (ahead, None, True))


def test_with_a_function_as_its_activation():
    layer, theirs = block_pair(activation="relu")
    layer.activation, theirs.activation = F.silu, TF.silu
    compare(layer, theirs, X)
    assert nn.TransformerEncoderLayer(LENGTH, HEADS, WIDTH, activation=F.tanh).activation is F.tanh


# ---- what it is


def test_its_layers():
    assert [name for name, _ in nn.TransformerEncoderLayer(4, 2, 8).named_layers()] == [
        *("self_attn", "self_attn.out_proj", "linear1", "linear2", "norm1", "norm2")
    ]


def test_a_causal_block_sees_nothing_of_what_comes():
    layer, x = nn.TransformerEncoderLayer(LENGTH, HEADS, WIDTH, 0.0, batch_first=True), X.copy()
    y = host(layer(tensor(x), is_causal=True))
    x[:, 2] += 5
    z = host(layer(tensor(x), is_causal=True))
    np.testing.assert_array_equal(z[:, :2], y[:, :2])
    assert (z[:, 2] != y[:, 2]).any()


def test_dropout_is_for_training():
    layer = nn.TransformerEncoderLayer(LENGTH, HEADS, WIDTH, dropout=0.5)
    assert [m.p for m in (layer.dropout, layer.dropout1, layer.dropout2)] == [0.5] * 3
    assert layer.self_attn.dropout == 0.5
    assert (host(layer(tensor(X))) != host(layer(tensor(X)))).any()
    layer.eval()
    np.testing.assert_array_equal(host(layer(tensor(X))), host(layer(tensor(X))))


@pytest.mark.parametrize("norm_first", [False, True])
def test_second_derivatives(norm_first):
    layer = nn.TransformerEncoderLayer(4, 2, 3, 0.0, "gelu", norm_first=norm_first).to(dtype="float64")
    x = tensor(random(2, 1, 4).astype(np.float64), requires_grad=True)
    assert md.gradcheck(layer, [x])
    assert md.gradgradcheck(layer, [x])


@pytest.mark.parametrize("dtype", ["float16", "float64"])
def test_dtypes_are_kept_and_copies_compute_the_same(dtype):
    layer = nn.TransformerEncoderLayer(LENGTH, HEADS, WIDTH, 0.0).to(dtype=dtype)
    x = tensor(X.astype(dtype))
    assert layer(x).dtype == dtype
    np.testing.assert_array_equal(host(copy.deepcopy(layer)(x)), host(layer(x)))
    assert layer(x[:, :0]).shape == (SAMPLES, 0, LENGTH)


def test_it_says_what_it_is_and_what_it_wants():
    shown = repr(nn.TransformerEncoderLayer(4, 2, 8, activation="gelu", norm_first=True))
    assert shown.startswith("TransformerEncoderLayer(\n  activation=gelu, norm_first=True\n  (self_attn): Multihead")
    with pytest.raises(
        ValueError, match=r"activation: expected 'gelu' or 'relu', or a function such as F.silu; got 's"
    ):
        nn.TransformerEncoderLayer(4, 2, activation="silu")
    with pytest.raises(ValueError, match="Linear: out_features: expected a whole number of at least 1; got 0"):
        nn.TransformerEncoderLayer(4, 2, 0)
