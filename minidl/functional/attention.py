"""Attention: every query looks at all keys, and takes from their values the more, the better the key fits.

The rows of Q (L, E) are L queries, those of K (S, E) and V (S, Ev) S keys with their values. Query i fits key j by the
score q_i k_j / sqrt(E); a softmax makes weights of a query's scores, which add up to 1; its result is the mean of the
values with these weights (Vaswani et al., arXiv:1706.03762, section 3.2):

    Z = P V  with  P = softmax(Q K^T / sqrt(E))

The scores are divided by sqrt(E) since a sum of E products of numbers of variance 1 has the variance E: without that,
the longer the vectors, the nearer a softmax comes to choosing one key alone, where its gradient vanishes.

>>> import numpy as np, minidl.functional as F
>>> F.scaled_dot_product_attention(np.array([[9.0]]), np.array([[9.0], [-9.0]]), np.array([[1.0, 2.0], [3.0, 4.0]]))
array([[1., 2.]])
"""

from __future__ import annotations

import math

import numpy as np

from minidl.autograd.function import Function
from minidl.backend import module_of
from minidl.checks import number, yes_or_no
from minidl.errors import DTypeError, ShapeError, describe
from minidl.functional.arithmetic import add, divide
from minidl.functional.masking import masked
from minidl.functional.probabilities import Softmax
from minidl.functional.products import matmul
from minidl.functional.regularization import dropout
from minidl.functional.reshaping import array_like
from minidl.functional.selection import where
from minidl.functional.shape import astype, swapaxes
from minidl.types import Array, ArrayOrTensor, TensorLike


class Causal(Function):
    """z_ij = x_ij where j <= i, else -infinity: query i looks at key i and back. The gradient passes where x does."""

    __slots__ = ("seen",)
    unseen = -math.inf  # no anomaly

    def forward(self, x: Array) -> Array:
        xp = module_of(x)
        queries, keys = x.shape[-2:]
        self.seen = xp.arange(queries)[:, None] >= xp.arange(keys)
        return xp.where(self.seen, x, self.unseen)

    def backward(self, grad_out: ArrayOrTensor) -> ArrayOrTensor:
        return masked(grad_out, self.seen)


class AttentionWeights(Softmax):
    """The softmax of scores, but all p_i are 0 where all x_i are -infinity: a query that may look at no key at all.

    The derivative is that of the softmax, p_i (dL/dp_i - sum_j dL/dp_j p_j), which is 0 there.
    """

    __slots__ = ()

    def forward(self, x: Array) -> Array:
        p = Softmax.forward(self, x)
        nowhere = (x == -math.inf).all(axis=self.axis, keepdims=True)
        return module_of(x).where(nowhere, 0, p)


def scaled_dot_product_attention(
    query: TensorLike,
    key: TensorLike,
    value: TensorLike,
    attn_mask: TensorLike = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
) -> ArrayOrTensor:
    """softmax(query @ key^T / sqrt(E) + attn_mask) @ value: each query's mean of the values, weighted by how keys fit.

        F.scaled_dot_product_attention(q, k, v, is_causal=True)         # no query looks at keys after its own place

    Further axes in front, such as samples and heads, are batches and broadcast.

    Args:
        query: (..., L, E), L queries.
        key: (..., S, E), S keys.
        value: (..., S, Ev), their values.
        attn_mask: what broadcasts to (..., L, S): booleans, where True lets the query look at the key (in
            `nn.MultiheadAttention` True hides the key, both as in PyTorch); or numbers to add to the scores, which may
            require a gradient. -infinity hides a key.
        dropout_p: the probability with which each weight is dropped. Always: pass 0 when not training.
        is_causal: whether query i may look at keys 0 to i alone. With a mask too, both count.

    Returns:
        (..., L, Ev), in the dtype of the arguments: a mask in another dtype is rounded. A query that may look at no key
        at all gets zeros, and gives the gradient 0.

    Raises:
        ShapeError: the shapes do not fit together.
        DTypeError: the mask is neither booleans nor floating numbers.
        ValueError: dropout_p is not from 0 to 1.
    """
    number(dropout_p, "scaled_dot_product_attention: dropout_p", 0, 1)
    if np.ndim(value) < 2 or np.shape(value)[-2:-1] != np.shape(key)[-2:-1]:
        raise _unfit(query, key, value)
    weights = attention_weights(query, key, attn_mask, is_causal)
    return matmul(dropout(weights, dropout_p), value)


def attention_weights(
    query: TensorLike, key: TensorLike, attn_mask: TensorLike = None, is_causal: bool = False
) -> ArrayOrTensor:
    """P (..., L, S), what `scaled_dot_product_attention` multiplies the values with: each row adds up to 1."""
    if min(np.ndim(query), np.ndim(key)) < 2 or np.shape(query)[-1] != np.shape(key)[-1]:
        raise _unfit(query, key)
    scores = matmul(divide(query, math.sqrt(np.shape(query)[-1])), swapaxes(key, -1, -2))
    if yes_or_no(is_causal, "attention: is_causal"):
        scores = Causal()(scores)
    if attn_mask is not None:
        scores = masked_scores(scores, array_like(attn_mask))
    return AttentionWeights(-1)(scores)


def masked_scores(scores: ArrayOrTensor, mask: ArrayOrTensor) -> ArrayOrTensor:
    """The scores (..., L, S) where a mask of booleans is True, else -infinity; or with a mask of numbers added."""
    try:
        fits = np.broadcast_shapes(mask.shape, scores.shape) == scores.shape
    except ValueError:
        fits = False
    if not fits:
        raise ShapeError(f"attention: expected a mask that broadcasts to {scores.shape}, (..., L, S); got {mask.shape}")
    if mask.dtype.kind == "b":
        return where(mask, scores, -math.inf)
    if mask.dtype.kind != "f":
        raise DTypeError(
            f"attention: expected a mask of booleans, or of floating numbers to add to the scores; got {mask.dtype}: "
            f"for example mask.astype(bool)"
        )
    return add(scores, astype(mask, scores.dtype))


def _unfit(*operands: TensorLike) -> ShapeError:
    """An error for shapes that do not fit together."""
    shapes = ", ".join(describe(x) for x in operands)
    return ShapeError(f"attention: expected query (..., L, E), key (..., S, E) and value (..., S, Ev); got {shapes}")
