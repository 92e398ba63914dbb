"""Dropout: of single elements, and of whole channels (Dropout1d, Dropout2d)."""

from __future__ import annotations

from minidl import functional as F
from minidl.checks import number
from minidl.nn.module import Module
from minidl.settings import Setting
from minidl.types import TensorLike


class Dropout(Module):
    """In training mode each element is set to 0 with probability p, and the others are divided by 1 - p.

    In evaluation mode the output is x itself. Srivastava et al., JMLR 15 (2014), there without the division in training
    but with a multiplication by 1 - p in evaluation; the expected values are the same.

    Args:
        p: the probability, from 0 to 1.

    Raises:
        ValueError: p is not from 0 to 1.
    """

    p = Setting(number, 0, 1)

    def __init__(self, p: float = 0.5) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: TensorLike) -> TensorLike:
        return F.dropout(x, self.p, self.training)

    def extra_repr(self) -> str:
        return f"p={self.p:g}"


class Dropout1d(Dropout):
    """Dropout of whole channels of (N, C, L): see `functional.dropout1d`."""

    def forward(self, x: TensorLike) -> TensorLike:
        return F.dropout1d(x, self.p, self.training)


class Dropout2d(Dropout):
    """Dropout of whole channels of images (N, C, H, W): see `functional.dropout1d`."""

    def forward(self, x: TensorLike) -> TensorLike:
        return F.dropout2d(x, self.p, self.training)
