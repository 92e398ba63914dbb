import itertools
import math

import numpy as np
import pytest

import minidl as md
import minidl.functional as F
from minidl import nn
from tests.arrays import device, host, tensor
from tests.factory import assert_close
from tests.pytorch import torch

SAMPLES, QUERIES, KEYS, LENGTH, HEADS = 2, 3, 4, 6, 2


def random(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def pair(**options):
    """A layer, and PyTorch's with the same weights, none of them as at first."""
    layer = nn.MultiheadAttention(LENGTH, HEADS, **options)
    theirs = torch.nn.MultiheadAttention(LENGTH, HEADS, **options)
    for i, parameter in enumerate(theirs.parameters()):
        parameter.data = torch.tensor(random(*parameter.shape, seed=50 + i) / 2)
    layer.load_state_dict(theirs.state_dict())
    return layer, theirs


def inputs(batch_first=True, lengths=(LENGTH, LENGTH, LENGTH)):
    """Query, key and value."""
    order = (0, 1, 2) if batch_first else (1, 0, 2)
    steps = (QUERIES, KEYS, KEYS)
    return [
        random(SAMPLES, step, length, seed=i).transpose(order)
        for i, (step, length) in enumerate(zip(steps, lengths, strict=True))
    ]


def compare(layer, theirs, arrays, options=None, their_options=None):
    """Output, weights, and the gradients of inputs and parameters."""
    xs = [tensor(x, requires_grad=True) for x in arrays]
    their_xs = [torch.tensor(x, requires_grad=True) for x in arrays]
    found, weights = layer(*xs, **(options or {}))
    expected, their_weights = theirs(*their_xs, **(their_options or {}))
    assert_close(found, expected, "float32")
    assert (weights is None) == (their_weights is None)
    total, their_total = (found * found).sum(), (expected * expected).sum()
    if weights is not None:
        assert_close(weights, their_weights, "float32")
        total, their_total = total + (weights**3).sum(), their_total + (their_weights**3).sum()
    total.backward()
    their_total.backward()
    for x, their_x in zip(xs, their_xs, strict=True):
        assert_close(x.grad, their_x.grad, "float32", slack=4)
    for (name, p), (their_name, their_p) in zip(layer.named_parameters(), theirs.named_parameters(), strict=True):
        assert name == their_name
        assert_close(p.grad, their_p.grad, "float32", slack=8, what=name)


def as_theirs(options):
    return {k: torch.tensor(v) if isinstance(v, np.ndarray) else v for k, v in options.items()}


def as_ours(options):
    return {k: device(v) if isinstance(v, np.ndarray) else v for k, v in options.items()}


HIDDEN = np.array([[False, True, False, False], [True, False, False, False], [False] * 4])
PADDING = np.array([[False, False, True, True], [False, False, False, True]])
BY_HEAD = np.random.default_rng(0).random((SAMPLES * HEADS, QUERIES, KEYS)) < 0.4
BY_HEAD[..., 0] = False


# ---- equal to PyTorch's


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("lengths", [None, (5, 7), (5, None), (None, 7)])
def test_it_equals_pytorch(batch_first, bias, lengths):
    options = {} if lengths is None else {"kdim": lengths[0], "vdim": lengths[1]}
    layer, theirs = pair(batch_first=batch_first, bias=bias, **options)
    compare(layer, theirs, inputs(batch_first, (LENGTH, *(n or LENGTH for n in lengths or (None, None)))))


@pytest.mark.parametrize(
    "options",
    [
        {"need_weights": False},
        {"average_attn_weights": False},
        {"attn_mask": HIDDEN},
        {"attn_mask": random(QUERIES, KEYS)},
        {"attn_mask": BY_HEAD},
        {"attn_mask": random(SAMPLES * HEADS, QUERIES, KEYS)},
        {"key_padding_mask": PADDING},
        {"key_padding_mask": random(SAMPLES, KEYS)},
        {"key_padding_mask": PADDING, "attn_mask": HIDDEN},
        {"key_padding_mask": PADDING, "attn_mask": HIDDEN, "need_weights": False},
        {"key_padding_mask": PADDING, "attn_mask": BY_HEAD, "average_attn_weights": False},
        {"key_padding_mask": random(SAMPLES, KEYS), "attn_mask": random(QUERIES, KEYS)},
    ],
    ids=lambda options: "-".join(f"{k}{getattr(v, 'dtype', '')}{getattr(v, 'ndim', '')}" for k, v in options.items()),
)
def test_with_masks_it_equals_pytorch(options):
    compare(*pair(batch_first=True), inputs(), as_ours(options), as_theirs(options))


@pytest.mark.parametrize("need_weights", [False, True])
def test_causal_it_equals_pytorch_with_the_mask_that_says_so(need_weights):
    ahead = ~np.tri(QUERIES, KEYS, dtype=bool)
    layer, theirs = pair(batch_first=True)
    for options in ({"is_causal": True}, {"is_causal": True, "attn_mask": ahead}, {"attn_mask": ahead}):
        layer.zero_grad()
        theirs.zero_grad()
        compare(
            layer,
            theirs,
            inputs(),
            {"need_weights": need_weights, **as_ours(options)},
            {"need_weights": need_weights, "attn_mask": torch.tensor(ahead)},
        )


def test_one_sample_without_a_batch_axis():
    options = {"key_padding_mask": PADDING[0], "attn_mask": HIDDEN}
    for batch_first, average in itertools.product((False, True), (False, True)):
        layer, theirs = pair(batch_first=batch_first)
        options["average_attn_weights"] = average
        compare(layer, theirs, [x[0] for x in inputs()], as_ours(options), as_theirs(options))


# ---- what it is


def test_it_starts_as_pytorchs():
    md.seed(0)
    layer = nn.MultiheadAttention(64, 4)
    assert [name for name, _ in layer.named_parameters()] == [
        *("in_proj_weight", "in_proj_bias", "out_proj.weight", "out_proj.bias")
    ]
    bound = math.sqrt(6 / (64 + 3 * 64))
    values = host(layer.in_proj_weight)
    assert bound * 0.99 < np.abs(values).max() <= bound
    assert not host(layer.in_proj_bias).any()
    assert not host(layer.out_proj.bias).any()
    assert 0.99 / 8 < np.abs(host(layer.out_proj.weight)).max() <= 1 / 8


def test_its_layers_are_its_own_and_the_output_projection():
    model = nn.Sequential([("attention", nn.MultiheadAttention(4, 2, kdim=3))])
    assert [name for name, _ in model.layers()] == ["attention", "attention.out_proj"]


def test_self_attention_does_not_know_the_order():
    layer = nn.MultiheadAttention(LENGTH, HEADS, batch_first=True)
    x = tensor(random(SAMPLES, QUERIES, LENGTH))
    output, weights = layer(x, x, x)
    turned = x[:, ::-1]
    np.testing.assert_allclose(host(layer(turned, turned, turned)[0])[:, ::-1], host(output), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(host(weights).sum(-1), 1, rtol=1e-6)


def test_a_query_without_any_key_finds_zeros():
    layer, hidden = nn.MultiheadAttention(LENGTH, HEADS, batch_first=True), np.ones((SAMPLES, KEYS), bool)
    hidden[1] = False
    for need_weights in (False, True):
        xs = [tensor(x, requires_grad=True) for x in inputs()]
        output, _ = layer(*xs, key_padding_mask=device(hidden), need_weights=need_weights)
        assert not host(output)[0].any()  # the bias of out_proj is 0 at first
        output.sum().backward()
        assert all(np.isfinite(host(x.grad)).all() for x in xs)


def test_dropout_is_for_training():
    layer, (q, k, v) = nn.MultiheadAttention(LENGTH, HEADS, dropout=0.5, batch_first=True), map(tensor, inputs())
    _, weights = layer(q, k, v, average_attn_weights=False)
    assert (host(weights) == 0).any()
    trained = host(layer(q, k, v, need_weights=False)[0])
    layer.eval()
    output, weights = layer(q, k, v)
    assert not (host(weights) == 0).any()
    assert (trained != host(output)).any()
    np.testing.assert_allclose(host(layer(q, k, v, need_weights=False)[0]), host(output), rtol=1e-5)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_dtypes_are_kept(dtype):
    layer = nn.MultiheadAttention(LENGTH, HEADS, batch_first=True).to(dtype=dtype)
    x = tensor(random(SAMPLES, QUERIES, LENGTH).astype(dtype), requires_grad=True)
    hidden = device(np.array([[False, False, True]] * SAMPLES))
    for y in layer(x, x, x, hidden, is_causal=True):
        assert y.dtype == dtype
    y.sum().backward()
    assert x.grad.dtype == dtype


def test_zero_samples_and_zero_queries():
    layer = nn.MultiheadAttention(LENGTH, HEADS, batch_first=True)
    nobody = tensor(random(0, QUERIES, LENGTH))
    assert layer(nobody, nobody, nobody)[0].shape == (0, QUERIES, LENGTH)
    keys = tensor(random(SAMPLES, KEYS, LENGTH))
    output, weights = layer(keys[:, :0], keys, keys)
    assert (output.shape, weights.shape) == ((SAMPLES, 0, LENGTH), (SAMPLES, 0, KEYS))


def test_second_derivatives():
    layer = nn.MultiheadAttention(4, 2, batch_first=True).to(dtype="float64")
    hidden = device(np.array([[False, True]]))
    x = tensor(random(1, 2, 4).astype(np.float64), requires_grad=True)

    def output(x, bias):
        return F.concatenate([y.reshape(-1) for y in layer(x, x, x, hidden)])

    assert md.gradcheck(output, [x, layer.in_proj_bias])
    assert md.gradgradcheck(output, [x, layer.in_proj_bias])


def test_it_says_what_it_is():
    shown = repr(nn.MultiheadAttention(4, 2))
    assert shown == "MultiheadAttention(\n  4, 2 heads\n  (out_proj): Linear(4->4)\n)"
    shown = repr(nn.MultiheadAttention(4, 2, 0.1, bias=False, kdim=3, batch_first=True))
    assert "4, 2 heads, kdim=3, dropout=0.1, batch_first=True\n" in shown


def test_errors_say_what_was_expected():
    with pytest.raises(ValueError, match="MultiheadAttention: num_heads=4 must divide embed_dim; got 6"):
        nn.MultiheadAttention(6, 4)
    with pytest.raises(ValueError, match="MultiheadAttention: dropout: expected a number from 0 to 1; got 2"):
        nn.MultiheadAttention(6, 2, dropout=2)
    layer, (q, k, v) = nn.MultiheadAttention(LENGTH, HEADS), map(tensor, inputs(batch_first=False))
    for wrong in ((q, k, v[1:]), (q[:, :1], k, v), (q[..., :5], k, v), (q, k[0], v[0]), (q, k, tensor(random(4)))):
        with pytest.raises(md.ShapeError, match=r"expected query \(L, N, 6\), key \(S, N, 6\) and value .* got Tensor"):
            layer(*wrong)
    with pytest.raises(md.ShapeError, match=r"attn_mask of shape \(3, 4\) or \(4, 3, 4\); got .*\(4, 3\)"):
        layer(q, k, v, attn_mask=device(HIDDEN.T))
    with pytest.raises(md.ShapeError, match=r"key_padding_mask of shape \(2, 4\); got .*\(4, 2\)"):
        layer(q, k, v, device(PADDING.T))
    with pytest.raises(md.DTypeError, match=r"key_padding_mask as booleans, of which True hides, or .*int64"):
        layer(q, k, v, device(PADDING.astype(np.int64)))


@pytest.mark.parametrize("option", ["need_weights", "average_attn_weights", "is_causal"])
def test_what_is_true_or_false_is_nothing_else(option):
    x = tensor(np.ones((2, 1, 4), np.float32))
    with pytest.raises(ValueError, match=rf"{option}: expected True or False; got 'no'"):
        nn.MultiheadAttention(4, 2)(x, x, x, **{option: "no"})
