"""Pooling on a GPU: one launch each, where a loop over the places of a window would take several for each place."""

from __future__ import annotations

import math

import numpy as np

from minidl.fast.gpu import kernels
from minidl.fast.versions import Faster
from minidl.functional import pooling
from minidl.functional.geometry import Sizes, Window
from minidl.types import Array


class MaxPool(Faster, pooling.MaxPool):
    """`chosen` is of int16."""

    __slots__ = ()
    where = "on a GPU, windows of fewer than 2^15 places"

    def fits(self, x: Array) -> bool:
        return kernels.on_device(x) and math.prod(self.window.kernel) <= kernels.MOST_PLACES

    def forward(self, x: Array) -> Array:
        best, self.chosen = kernels.max_pool(x, *_moves(self.window), self.window.out)
        return best


class PutChosen(Faster, pooling.PutChosen):
    """A thread for each place of x adds up what it gets."""

    __slots__ = ()
    where = "on a GPU, of what a kernel chose"

    def fits(self, grad_out: Array) -> bool:
        return kernels.on_device(grad_out) and self.chosen.dtype == np.int16

    def forward(self, grad_out: Array) -> Array:
        x_shape = (*grad_out.shape[:2], *self.window.size)
        return kernels.put_chosen(grad_out, self.chosen, x_shape, *_moves(self.window))


class TakeChosen(Faster, pooling.TakeChosen):
    """A thread for each window."""

    __slots__ = ()
    where = "on a GPU, of what a kernel chose"

    def fits(self, x: Array) -> bool:
        return kernels.on_device(x) and self.chosen.dtype == np.int16

    def forward(self, x: Array) -> Array:
        return kernels.take_chosen(x, self.chosen, *_moves(self.window))


class AvgPool(Faster, pooling.AvgPool):
    """A thread for each window."""

    __slots__ = ()
    where = "on a GPU"

    def fits(self, x: Array) -> bool:
        return kernels.on_device(x)

    def forward(self, x: Array) -> Array:
        return kernels.mean_pool(x, *_moves(self.window), self.window.out, self.count_padding)


class SpreadMean(Faster, pooling.SpreadMean):
    """A thread for each place of x adds up what it gets."""

    __slots__ = ()
    where = "on a GPU"

    def fits(self, grad_out: Array) -> bool:
        return kernels.on_device(grad_out)

    def forward(self, grad_out: Array) -> Array:
        x_shape = (*grad_out.shape[:2], *self.window.size)
        return kernels.spread_mean(grad_out, x_shape, *_moves(self.window), self.count_padding)


def _moves(window: Window) -> tuple[Sizes, Sizes, Sizes]:
    """What the kernels are told of how a window moves."""
    return window.kernel, window.stride, window.padding
