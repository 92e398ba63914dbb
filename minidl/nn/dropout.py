"""Dropout, and Dropout1d and Dropout2d of whole channels."""

from __future__ import annotations

from typing import Any

from minidl import functional as F
from minidl.checks import number
from minidl.nn.module import Module


class Dropout(Module):
    """In training: each number is 0 with probability p, the others are divided by 1 - p. In evaluation: x itself.

    Srivastava et al., JMLR 15 (2014), scaled in training ("inverted") as everywhere today.

    Raises:
        ValueError: p is not from 0 to 1.
    """

    def __init__(self, p: float = 0.5) -> None:
        super().__init__()
        self.p = number(p, f"{type(self).__name__}: p", 0, 1)

    def forward(self, x: Any) -> Any:
        return F.dropout(x, self.p, self.training)

    def extra_repr(self) -> str:
        return f"p={self.p:g}"


class Dropout1d(Dropout):
    """Dropout of whole channels of (N, C, L): see `functional.dropout1d`."""

    def forward(self, x: Any) -> Any:
        return F.dropout1d(x, self.p, self.training)


class Dropout2d(Dropout):
    """Dropout of whole channels of images (N, C, H, W): see `functional.dropout1d`."""

    def forward(self, x: Any) -> Any:
        return F.dropout2d(x, self.p, self.training)
