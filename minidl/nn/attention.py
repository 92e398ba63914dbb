"""MultiheadAttention: several attentions side by side, each in a part of the vector."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minidl import functional as F
from minidl.checks import number, whole, yes_or_no
from minidl.errors import DTypeError, ShapeError, describe
from minidl.functional.attention import attention_weights
from minidl.functional.reshaping import array_like
from minidl.nn import init
from minidl.nn.linear import Linear
from minidl.nn.module import Module
from minidl.nn.parameter import Parameter
from minidl.settings import Setting
from minidl.tensors.creation import zeros
from minidl.types import DType, Shape, TensorLike


class MultiheadAttention(Module):
    """Queries, keys and values projected, attention in each of h heads, and what they found projected once more.

        q, k, v = query W_q^T + b_q, key W_k^T + b_k, value W_v^T + b_v         each cut into h heads of length E / h
        output = concatenate(attention(q_i, k_i, v_i) for each head i) W_o^T + b_o

        attention = nn.MultiheadAttention(64, 4, batch_first=True)
        output, weights = attention(x, x, x)                # self-attention: x (N, T, 64) looks at itself

    Vaswani et al., arXiv:1706.03762, section 3.2.2; the formula of a head is at
    `functional.scaled_dot_product_attention`. Parameters are PyTorch's, so weights go both ways. PyTorch's
    `add_bias_kv` and `add_zero_attn` are not supported.

    Attributes:
        in_proj_weight: (3 E, E), the rows of W_q, W_k and W_v one below the other. With kdim or vdim it is None, and
            q_proj_weight (E, E), k_proj_weight (E, kdim) and v_proj_weight (E, vdim) stand in its place. All are drawn
            by Glorot's rule at first.
        in_proj_bias: (3 E,), at first 0, or None.
        out_proj: the Linear with W_o; its bias is 0 at first.

    Args:
        embed_dim: E, the length of the query and of the output.
        num_heads: h, which divides E.
        dropout: in training, the probability with which a weight is dropped.
        bias: whether there are biases.
        kdim, vdim: the lengths of key and value; None for E.
        batch_first: inputs and output are (N, T, E), samples first. As in PyTorch they are (T, N, E) if it is False.

    Raises:
        ValueError: a size is no whole number of at least 1, num_heads does not divide E, or dropout is out of range.
    """

    in_proj_weight: Parameter | None
    q_proj_weight: Parameter | None
    k_proj_weight: Parameter | None
    v_proj_weight: Parameter | None
    in_proj_bias: Parameter | None
    dropout = Setting(number, 0, 1)
    batch_first = Setting(yes_or_no)

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        kdim: int | None = None,
        vdim: int | None = None,
        batch_first: bool = False,
    ) -> None:
        super().__init__()
        self.embed_dim = whole(embed_dim, "MultiheadAttention: embed_dim")
        self.num_heads = whole(num_heads, "MultiheadAttention: num_heads")
        if embed_dim % num_heads:
            raise ValueError(f"MultiheadAttention: num_heads={num_heads} must divide embed_dim; got {embed_dim}")
        self.dropout = dropout
        self.kdim = whole(embed_dim if kdim is None else kdim, "MultiheadAttention: kdim")
        self.vdim = whole(embed_dim if vdim is None else vdim, "MultiheadAttention: vdim")
        self.batch_first = batch_first
        if self.kdim == self.vdim == embed_dim:
            self.in_proj_weight = init.glorot_uniform_(Parameter(zeros(3 * embed_dim, embed_dim)))
            self.q_proj_weight = self.k_proj_weight = self.v_proj_weight = None
        else:
            self.in_proj_weight = None
            self.q_proj_weight = init.glorot_uniform_(Parameter(zeros(embed_dim, embed_dim)))
            self.k_proj_weight = init.glorot_uniform_(Parameter(zeros(embed_dim, self.kdim)))
            self.v_proj_weight = init.glorot_uniform_(Parameter(zeros(embed_dim, self.vdim)))
        self.in_proj_bias = Parameter(zeros(3 * embed_dim)) if bias else None
        self.out_proj = Linear(embed_dim, embed_dim, bias)
        if self.out_proj.bias is not None:
            init.zeros_(self.out_proj.bias)

    def forward(
        self,
        query: TensorLike,
        key: TensorLike,
        value: TensorLike,
        key_padding_mask: TensorLike = None,
        need_weights: bool = True,
        attn_mask: TensorLike = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[TensorLike, TensorLike | None]:
        """What each query finds, and the weights with which it looked at the keys.

        Args:
            query: (L, N, E), or with batch_first (N, L, E); or (L, E), one sample without a batch axis.
            key: (S, N, kdim), (N, S, kdim) or (S, kdim).
            value: (S, N, vdim), (N, S, vdim) or (S, vdim).
            key_padding_mask: (N, S), or (S,): booleans, where True hides the key, as it should where a sequence has
                been filled up; or numbers to add to the scores.
            need_weights: whether to return the weights; without them a faster version of attention may be taken.
            attn_mask: (L, S), or (N h, L, S) for each head its own: booleans, where True hides the key from the query
                (in `functional.scaled_dot_product_attention` it shows it, both as in PyTorch); or numbers to add.
            average_attn_weights: whether to return the mean of the heads' weights.
            is_causal: whether query i may look at keys 0 to i alone. (PyTorch only takes it as a promise that attn_mask
                says so. Here no mask is needed.)

        Returns:
            The output, in the shape of the query; and the weights, those in use after dropout, as (N, L, S), or without
            averaging as (N, h, L, S), both without N if there is no batch axis; or None. A query that may look at no
            key at all finds zeros, where PyTorch has NaN if it needs the weights.

        Raises:
            ShapeError, DTypeError: what is given does not fit together.
        """
        batched = np.ndim(query) == 3
        inputs = self._samples_first(query, key, value)
        q, k, v = (
            self._heads(F.linear(x, weight, bias)) for x, weight, bias in zip(inputs, *self._projections(), strict=True)
        )
        mask = self._added_mask(attn_mask, key_padding_mask, (*q.shape[:3], k.shape[2]), q.dtype, batched)
        dropout = self.dropout if self.training else 0.0
        weights = None
        average = yes_or_no(average_attn_weights, "MultiheadAttention: average_attn_weights")
        if yes_or_no(need_weights, "MultiheadAttention: need_weights"):
            weights = F.dropout(attention_weights(q, k, mask, is_causal), dropout)
            found = F.matmul(weights, v)
            weights = F.mean(weights, axis=1) if average else weights
            weights = weights if batched else weights[0]
        else:
            found = F.scaled_dot_product_attention(q, k, v, mask, dropout, is_causal)
        output = self.out_proj(F.reshape(F.swapaxes(found, 1, 2), (len(q), q.shape[2], self.embed_dim)))
        if not batched:
            return output[0], weights
        return (output if self.batch_first else F.swapaxes(output, 0, 1)), weights

    def _samples_first(self, *inputs: TensorLike) -> list[TensorLike]:
        """Query, key and value as (N, T, length), in whatever order their axes are.

        Raises:
            ShapeError: they do not fit together.
        """
        axes = [np.ndim(x) for x in inputs]
        if axes == [2] * 3:
            found = [F.expand_dims(x, 0) for x in inputs]
        elif axes == [3] * 3:
            found = [x if self.batch_first else F.swapaxes(x, 0, 1) for x in inputs]
        else:
            raise self._unfit(inputs)
        query, key, value = (np.shape(x) for x in found)
        lengths = [query[2], key[2], value[2]]
        if lengths != [self.embed_dim, self.kdim, self.vdim] or query[0] != key[0] or key[:2] != value[:2]:
            raise self._unfit(inputs)
        return found

    def _unfit(self, inputs: tuple[TensorLike, ...]) -> ShapeError:
        query, key = ("N, L", "N, S") if self.batch_first else ("L, N", "S, N")
        return ShapeError(
            f"MultiheadAttention: expected query ({query}, {self.embed_dim}), key ({key}, {self.kdim}) and value "
            f"({key}, {self.vdim}), or all three without N; got {', '.join(describe(x) for x in inputs)}"
        )

    def _projections(self) -> tuple[Any, Any]:
        """W_q, W_k and W_v; and b_q, b_k and b_v, or None for each."""
        if self.in_proj_weight is None:
            weights: Any = (self.q_proj_weight, self.k_proj_weight, self.v_proj_weight)
        else:
            weights = F.split(self.in_proj_weight, 3)
        return weights, (None,) * 3 if self.in_proj_bias is None else F.split(self.in_proj_bias, 3)

    def _heads(self, x: TensorLike) -> TensorLike:
        """(N, T, E) as (N, h, T, E / h): a head is a batch of its own."""
        samples, steps, length = x.shape
        return F.swapaxes(F.reshape(x, (samples, steps, self.num_heads, length // self.num_heads)), 1, 2)

    def _added_mask(
        self, attn_mask: Any, key_padding_mask: Any, shape: Shape, dtype: DType, batched: bool
    ) -> TensorLike | None:
        """Both masks as one of numbers, which are added to the scores of `shape` (N, h, L, S)."""
        samples, heads, queries, keys = shape
        mask = None
        if attn_mask is not None:
            mask = added("attn_mask", attn_mask, dtype, (queries, keys), (samples * heads, queries, keys))
            mask = mask if mask.ndim == 2 else F.reshape(mask, shape)
        if key_padding_mask is not None:
            hidden = added("key_padding_mask", key_padding_mask, dtype, (samples, keys) if batched else (keys,))
            hidden = F.reshape(hidden, (samples, 1, 1, keys))
            mask = hidden if mask is None else F.add(mask, hidden)
        return mask

    def extra_repr(self) -> str:
        lengths = {"kdim": self.kdim, "vdim": self.vdim}
        others = [f"{name}={length}" for name, length in lengths.items() if length != self.embed_dim]
        options = {"dropout": self.dropout, "batch_first": self.batch_first}
        set_options = [f"{name}={value}" for name, value in options.items() if value]
        return ", ".join([f"{self.embed_dim}", f"{self.num_heads} heads", *others, *set_options])


def added(name: str, mask: TensorLike, dtype: DType, *shapes: Shape) -> TensorLike:
    """A mask as numbers to add to scores: -infinity where one of booleans is True, and one of numbers as it is.

    Raises:
        DTypeError: it is neither.
        ShapeError: it has none of the `shapes`.
    """
    mask = array_like(mask)
    if mask.shape not in shapes:
        raise ShapeError(
            f"MultiheadAttention: expected {name} of shape {' or '.join(map(str, shapes))}; got {describe(mask)}"
        )
    if mask.dtype.kind == "b":
        return F.astype(F.where(mask, -math.inf, 0.0), dtype)
    if mask.dtype.kind != "f":
        raise DTypeError(
            f"MultiheadAttention: expected {name} as booleans, of which True hides, or as floating numbers to add; "
            f"got {describe(mask)}"
        )
    return mask
