"""minidl/functional/attention.py."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl as md
import minidl.functional as F
from minidl import backend
from minidl.functional.attention import attention_weights
from tests.arrays import device, host, tensor
from tests.factory import assert_close, check, examples, operand
from tests.pytorch import TF, torch


def their_attention(*arrays, **options):
    """PyTorch's, by its formula: its faster kernels have no second derivatives."""
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        return TF.scaled_dot_product_attention(*arrays, **options)


@st.composite
def attended(draw):
    """Query, key and value, with batches that broadcast, and axes of length 0 and 1 among them."""
    queries, keys = draw(st.integers(0, 4)), draw(st.integers(0, 4))
    length, of_values = draw(st.integers(0, 3)), draw(st.integers(0, 3))
    batch = draw(st.sampled_from([(), (2,), (2, 3), (1, 2), (0,)]))
    less = draw(st.sampled_from([batch, batch, batch, tuple(min(n, 1) for n in batch), ()]))
    shapes = [(*batch, queries, length), (*less, keys, length), (*batch, keys, of_values)]
    return [draw(operand(shape)) for shape in shapes]


def random(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def mask_of(queries, keys, seed=0):
    """Some places where a query may look at a key; the first query may look at none."""
    mask = np.random.default_rng(seed).random((queries, keys)) < 0.6
    mask[:1] = False
    return mask


# ---- the same as PyTorch's: values, first and second derivatives, in all dtypes


@examples(60)
@given(attended())
def test_without_a_mask(xs):
    check(F.scaled_dot_product_attention, their_attention, xs, slack=4, multiplies=True)


@examples(40)
@given(attended())
def test_causal(xs):
    check(
        lambda *args: F.scaled_dot_product_attention(*args, is_causal=True),
        lambda *args: their_attention(*args, is_causal=True),
        xs,
        slack=4,
        multiplies=True,
    )


@examples(40)
@given(attended())
def test_with_a_mask_of_booleans(xs):
    mask = mask_of(xs[0].values.shape[-2], xs[1].values.shape[-2])
    check(
        lambda *args: F.scaled_dot_product_attention(*args, attn_mask=device(mask)),
        lambda *args: their_attention(*args, attn_mask=torch.tensor(mask)),
        xs,
        slack=4,
        multiplies=True,
    )


@examples(40)
@given(attended(), st.data())
def test_with_a_mask_that_is_added_and_learned(xs, data):
    mask = data.draw(operand((xs[0].values.shape[-2], xs[1].values.shape[-2])))

    def theirs(q, k, v, bias):
        scores = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1] or 1) + bias
        return torch.softmax(scores, -1) @ v

    check(F.scaled_dot_product_attention, theirs, [*xs, mask], slack=4, multiplies=True)


def test_it_is_the_formula():
    q, k, v = (tensor(random(*shape, seed=i)) for i, shape in enumerate([(2, 3), (4, 3), (4, 5)]))
    weights = F.softmax(q @ k.T / math.sqrt(3))
    np.testing.assert_allclose(host(F.scaled_dot_product_attention(q, k, v)), host(weights @ v), rtol=1e-12)
    np.testing.assert_allclose(host(attention_weights(q, k)), host(weights), rtol=1e-12)


# ---- masks


def test_a_query_that_may_look_nowhere_gets_zeros_and_gives_no_gradient():
    mask = np.ones((3, 4), bool)
    mask[1] = False
    for hidden in (mask, np.where(mask, 0.0, -np.inf)):
        q, k, v = (tensor(random(*shape), True) for shape in [(3, 2), (4, 2), (4, 5)])
        z = F.scaled_dot_product_attention(q, k, v, device(hidden))
        assert not host(z)[1].any()
        grads = md.grad((z * z).sum(), [q, k, v], create_graph=True)
        assert not host(grads[0])[1].any()
        sum((g * g).sum() for g in grads).backward()
        assert all(np.isfinite(host(x.grad)).all() for x in (q, k, v))


def test_a_causal_query_sees_nothing_of_later_keys():
    q, k, v = (tensor(random(2, 4, 3, seed=i)) for i in range(3))
    z = F.scaled_dot_product_attention(q, k, v, is_causal=True)
    k.data[:, 2:], v.data[:, 2:] = 50.0, -50.0
    after = F.scaled_dot_product_attention(q, k, v, is_causal=True)
    np.testing.assert_array_equal(host(z)[:, :2], host(after)[:, :2])
    assert (host(z)[:, 2:] != host(after)[:, 2:]).any()


def test_is_causal_and_a_mask_count_together():
    q, k, v = (tensor(random(3, 4, 2, seed=i)) for i in range(3))
    mask = np.random.default_rng(0).random((3, 4, 4)) < 0.7
    both = F.scaled_dot_product_attention(q, k, v, device(mask & np.tri(4, dtype=bool)))
    together = F.scaled_dot_product_attention(q, k, v, device(mask), is_causal=True)
    np.testing.assert_array_equal(host(together), host(both))


def test_what_is_hidden_may_be_infinite():
    """A score of infinity, or none at all, at a place that a mask of booleans hides."""
    q = tensor(np.ones((2, 1)), True)
    k = tensor(np.array([[1.0], [np.inf], [np.nan]]), True)
    weights = attention_weights(q, k, device(np.array([True, False, False])))
    np.testing.assert_array_equal(host(weights), [[1, 0, 0]] * 2)


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_a_mask_in_another_dtype_does_not_promote(dtype):
    x = tensor(random(3, 2).astype(dtype))
    mask = np.where(np.tri(3, dtype=bool), 0.0, -np.inf)
    z = F.scaled_dot_product_attention(x, x, x, device(mask))
    assert z.dtype == dtype
    assert_close(z, host(F.scaled_dot_product_attention(x, x, x, is_causal=True)), dtype)


def test_lists_and_raw_arrays():
    x, mask = random(3, 2), [[True, False, False]] * 3
    with md.using("numpy"):
        z = F.scaled_dot_product_attention(x.tolist(), x.tolist(), x.tolist(), mask)
    assert isinstance(z, np.ndarray)
    np.testing.assert_allclose(z, np.tile(x[0], (3, 1)))


# ---- dropout


def test_dropout_drops_weights_and_keeps_their_mean():
    md.seed(0)
    q, v = tensor(np.zeros((1, 1))), tensor(np.ones((1, 1)))
    keys = tensor(np.zeros((20_000, 1)))
    values = tensor(np.ones((20_000, 1)))
    assert host(F.scaled_dot_product_attention(q, keys, values, dropout_p=0.25)).item() == pytest.approx(1, abs=0.02)
    found = {host(F.scaled_dot_product_attention(q, q, v, dropout_p=0.5)).item() for _ in range(40)}
    assert found == {0.0, 2.0}
    assert not host(F.scaled_dot_product_attention(q, q, v, dropout_p=1.0)).any()


def test_no_waiting_for_a_device(standin):
    q, k, v = (
        md.Tensor(backend.to_device(random(2, 3, 4, seed=i).astype(np.float32), "cupy"), requires_grad=True)
        for i in range(3)
    )
    mask = backend.to_device(mask_of(3, 3), "cupy")
    standin.reset_synchronizations()
    z = F.scaled_dot_product_attention(q, k, v, mask, dropout_p=0.3, is_causal=True)
    grads = md.grad(z.sum(), [q, k, v], create_graph=True)
    F.sum(F.stack([(g * g).sum() for g in grads])).backward()
    assert standin.synchronizations() == ()


# ---- what does not fit


@pytest.mark.parametrize(
    ("shapes", "words"),
    [
        ([(2, 3), (4, 2), (4, 2)], r"query \(\.\.\., L, E\), key .* got Tensor of shape \(2, 3\).*\(4, 2\)"),
        ([(2, 3), (4, 3), (5, 3)], r"key \(\.\.\., S, E\) and value .* \(5, 3\)"),
        ([(3,), (4, 3), (4, 3)], "query"),
        ([(2, 3), (3,), (3,)], "key"),
    ],
)
def test_shapes_that_do_not_fit(shapes, words):
    with pytest.raises(md.ShapeError, match=words):
        F.scaled_dot_product_attention(*[tensor(np.ones(shape)) for shape in shapes])


def test_what_is_no_mask():
    x = tensor(np.ones((2, 3, 4)))
    with pytest.raises(md.DTypeError, match=r"mask of booleans.*got int64: for example mask\.astype\(bool\)"):
        F.scaled_dot_product_attention(x, x, x, device(np.ones((3, 3), np.int64)))
    for shape in ((2, 3), (4, 3, 3), (1, 1, 3, 3), (2,)):
        with pytest.raises(md.ShapeError, match=r"a mask that broadcasts to \(2, 3, 3\), \(\.\.\., L, S\); got"):
            F.scaled_dot_product_attention(x, x, x, device(np.ones(shape, bool)))
    with pytest.raises(ValueError, match="scaled_dot_product_attention: dropout_p: expected a number from 0 to 1"):
        F.scaled_dot_product_attention(x, x, x, dropout_p=1.5)


def test_is_causal_is_true_or_false():
    x = tensor(np.ones((1, 2, 3)))
    with pytest.raises(ValueError, match=r"attention: is_causal: expected True or False; got 'no'"):
        F.scaled_dot_product_attention(x, x, x, is_causal="no")
