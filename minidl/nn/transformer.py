"""TransformerEncoderLayer: the block of a Transformer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from minidl import functional as F
from minidl.nn.attention import MultiheadAttention
from minidl.nn.display import options_text
from minidl.nn.dropout import Dropout
from minidl.nn.linear import Linear
from minidl.nn.module import Module
from minidl.nn.normalization import LayerNorm
from minidl.types import TensorLike

ACTIVATIONS: dict[str, Callable[[TensorLike], TensorLike]] = {"gelu": F.gelu, "relu": F.relu}


class TransformerEncoderLayer(Module):
    """The block of a Transformer: self-attention, then a small network for each position, both added to their input.

        norm_first=True ("pre-norm")                 norm_first=False ("post-norm", the default)
        x = x + attention(norm1(x))                  x = norm1(x + attention(x))
        x = x + network(norm2(x))                    x = norm2(x + network(x))

        network(x) = linear2(activation(linear1(x)))

    With dropout behind the attention, behind the activation, and behind linear2. Post-norm is the original (Vaswani et
    al., arXiv:1706.03762, section 3.1). Pre-norm leaves a way from the last block to the first on which nothing
    multiplies the gradient, so that deep stacks train without a warm-up (Xiong et al., arXiv:2002.04745): what GPT-2
    and most since have. With `is_causal=True` it is the block of a GPT:

        block = nn.TransformerEncoderLayer(64, 4, 256, activation="gelu", batch_first=True, norm_first=True)
        y = block(x, is_causal=True)                # x and y (N, T, 64)

    Parameters are named as PyTorch's, so weights go both ways.

    Attributes:
        self_attn: the MultiheadAttention.
        linear1, linear2: the network's Linears, d_model -> dim_feedforward -> d_model.
        norm1, norm2: the LayerNorms.
        dropout, dropout1, dropout2: the Dropouts: in the network, behind the attention, behind the network.

    Args:
        d_model: E, the length of the vectors.
        nhead: the number of heads, which divides E.
        dim_feedforward: the width of the network.
        dropout: the probability with which a number is dropped in training.
        activation: 'relu', 'gelu', or a function such as F.silu.
        layer_norm_eps: eps of the LayerNorms.
        batch_first: x is (N, T, E), samples first. As in PyTorch it is (T, N, E) if this is False.
        norm_first: pre-norm instead of post-norm.
        bias: whether Linears, attention and LayerNorms have biases.

    Raises:
        ValueError: a number is out of range, or the activation is unknown.
    """

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: str | Callable[[TensorLike], TensorLike] = "relu",
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
    ) -> None:
        super().__init__()
        if not callable(activation) and activation not in ACTIVATIONS:
            raise ValueError(
                f"TransformerEncoderLayer: activation: expected {' or '.join(map(repr, ACTIVATIONS))}, or a function "
                f"such as F.silu; got {activation!r}"
            )
        self.self_attn = MultiheadAttention(d_model, nhead, dropout, bias, batch_first=batch_first)
        self.linear1 = Linear(d_model, dim_feedforward, bias)
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(dim_feedforward, d_model, bias)
        self.norm1 = LayerNorm(d_model, layer_norm_eps, bias=bias)
        self.norm2 = LayerNorm(d_model, layer_norm_eps, bias=bias)
        self.dropout1 = Dropout(dropout)
        self.dropout2 = Dropout(dropout)
        self.activation = activation
        self.norm_first = bool(norm_first)

    def forward(
        self,
        src: TensorLike,
        src_mask: TensorLike = None,
        src_key_padding_mask: TensorLike = None,
        is_causal: bool = False,
    ) -> TensorLike:
        """The block's output, in the shape of its input `src`; the masks are those of `nn.MultiheadAttention`.

        Raises:
            ShapeError, DTypeError: they do not fit together.
        """
        x, masks = src, (src_mask, src_key_padding_mask, is_causal)
        if self.norm_first:
            x = x + self._attention(self.norm1(x), *masks)
            return x + self._network(self.norm2(x))
        x = self.norm1(x + self._attention(x, *masks))
        return self.norm2(x + self._network(x))

    def _attention(self, x: TensorLike, mask: Any, padding: Any, is_causal: bool) -> TensorLike:
        found, _ = self.self_attn(x, x, x, padding, need_weights=False, attn_mask=mask, is_causal=is_causal)
        return self.dropout1(found)

    def _network(self, x: TensorLike) -> TensorLike:
        activation = self.activation if callable(self.activation) else ACTIVATIONS[self.activation]
        return self.dropout2(self.linear2(self.dropout(activation(self.linear1(x)))))

    def extra_repr(self) -> str:
        return options_text(self)
