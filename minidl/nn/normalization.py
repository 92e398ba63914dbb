"""BatchNorm1d, BatchNorm2d, LayerNorm, GroupNorm and LocalResponseNorm.

BatchNorm is two layers in one. In training it uses the statistics of the batch, in evaluation those it has followed
while it was trained, and each in the place of the other is a common mistake:

* A model left in training mode, `model.train()`, answers differently about a sample in other company, goes on changing
  its running statistics, also inside `no_grad`, and refuses a sample alone.
* A model left in evaluation mode, `model.eval()`, trains against statistics that no longer follow its weights.

`md.fit` and `md.evaluate` set the mode themselves. LayerNorm and GroupNorm do the same in both modes.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from minidl import functional as F
from minidl.autograd.function import writes_of
from minidl.checks import number, whole
from minidl.errors import ShapeError, describe
from minidl.functional.response import neighbours
from minidl.nn.display import options_text, sizes_text
from minidl.nn.module import Module
from minidl.nn.parameter import Parameter
from minidl.tensors.creation import ones, zeros
from minidl.tensors.tensor import Tensor


class _Normalization(Module):
    """What all share that learn how to scale and to shift what they normalised."""

    weight: Parameter | None
    bias: Parameter | None

    def __init__(self, shape: tuple[int, ...], eps: float, weight: bool, bias: bool) -> None:
        super().__init__()
        self.eps = number(eps, f"{type(self).__name__}: eps", 0)
        self.weight = Parameter(ones(*shape)) if weight else None
        self.bias = Parameter(zeros(*shape)) if bias else None


class BatchNorm(_Normalization):
    """What the batch normalisations share; they differ in the inputs they accept."""

    inputs: ClassVar[dict[int, str]]  # how many axes they may have, and which
    running_mean: Tensor | None
    running_var: Tensor | None
    num_batches_tracked: Tensor | None

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
    ) -> None:
        kind = type(self).__name__
        super().__init__((whole(num_features, f"{kind}: num_features"),), eps, affine, affine)
        self.num_features = num_features
        self.momentum = None if momentum is None else number(momentum, f"{kind}: momentum", 0, 1)
        self.affine = affine
        self.track_running_stats = track_running_stats
        if track_running_stats:
            self.register_buffer("running_mean", zeros(num_features))
            self.register_buffer("running_var", ones(num_features))
            self.register_buffer("num_batches_tracked", zeros(dtype=np.int64))
        else:
            self.running_mean = self.running_var = self.num_batches_tracked = None

    def forward(self, x: Any) -> Any:
        if getattr(x, "ndim", None) not in self.inputs or x.shape[1] != self.num_features:
            shape = f"{' or '.join(self.inputs.values())} with C = {self.num_features}"
            raise ShapeError(f"{type(self).__name__}: expected x of shape {shape}; got {describe(x)}")
        momentum: Any = self.momentum
        count = self.num_batches_tracked if self.training else None
        if momentum is None and count is not None:
            momentum = 1 / (count + 1)
        training, running = self.training or self.running_mean is None, (self.running_mean, self.running_var)
        y = F.batch_norm(x, *running, self.weight, self.bias, training, momentum, self.eps)
        if count is not None:  # only now: a batch that was refused does not count
            count._data += 1  # a Tensor's own += would add and then copy, which on a GPU are two launches
            writes_of(count).bump()
        return y

    def extra_repr(self) -> str:
        return options_text(self, str(self.num_features))


class BatchNorm1d(BatchNorm):
    """Batch normalisation of (N, C) or (N, C, L); the formula is at `functional.batch_norm`.

    In training with the statistics of the batch, which must have more than one value a channel; in evaluation with the
    running ones. What goes wrong in the wrong mode is said at the top of this file.

    Attributes:
        weight, bias: (C,), at first 1 and 0; None without `affine`.
        running_mean, running_var: (C,), at first 0 and 1.
        num_batches_tracked: how many batches these have followed, a 0-d int64. The three are buffers.

    Args:
        num_features: C.
        eps: added to the variance, so that a constant channel is not divided by 0.
        momentum: how much of each batch the running statistics take; None for the plain average of all batches.
        affine: whether there are weight and bias.
        track_running_stats: whether there are running statistics; without them (None) evaluation uses the batch's too.
    """

    inputs: ClassVar = {2: "(N, C)", 3: "(N, C, L)"}


class BatchNorm2d(BatchNorm):
    """Batch normalisation of images (N, C, H, W): as BatchNorm1d, with the places of a channel as further samples."""

    inputs: ClassVar = {4: "(N, C, H, W)"}


class LayerNorm(_Normalization):
    """Each sample normalised over its last axes; the formula is at `functional.layer_norm`.

    Attributes:
        weight, bias: of shape normalized_shape, at first 1 and 0, or None.

    Args:
        normalized_shape: the lengths of the last axes, or the length of the last one.
        eps: added to the variance, so that constant numbers are not divided by 0.
        elementwise_affine: whether there is a weight, and, unless `bias` is False, a bias.
    """

    def __init__(
        self,
        normalized_shape: int | tuple[int, ...] | list[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
    ) -> None:
        lengths = normalized_shape if isinstance(normalized_shape, (tuple, list)) else (normalized_shape,)
        shape = tuple(whole(n, "LayerNorm: normalized_shape") for n in lengths)
        super().__init__(shape, eps, elementwise_affine, elementwise_affine and bias)
        self.normalized_shape = shape
        self.elementwise_affine = elementwise_affine

    def forward(self, x: Any) -> Any:
        return F.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return options_text(self, sizes_text(self.normalized_shape))


class GroupNorm(_Normalization):
    """Each group of channels of each sample (N, C, ...) normalised; the formula is at `functional.group_norm`.

    Attributes:
        weight, bias: (num_channels,), at first 1 and 0; None without `affine`.

    Args:
        num_groups, num_channels: how many groups the C channels are cut into; the one must divide the other.
        eps: added to the variance, so that a constant group is not divided by 0.
        affine: whether there are weight and bias.
    """

    def __init__(self, num_groups: int, num_channels: int, eps: float = 1e-5, affine: bool = True) -> None:
        super().__init__((whole(num_channels, "GroupNorm: num_channels"),), eps, affine, affine)
        if num_channels % whole(num_groups, "GroupNorm: num_groups"):
            raise ValueError(f"GroupNorm: num_groups={num_groups} must divide the channels; got {num_channels}")
        self.num_groups = num_groups
        self.num_channels = num_channels
        self.affine = affine

    def forward(self, x: Any) -> Any:
        if getattr(x, "ndim", 0) < 2 or x.shape[1] != self.num_channels:
            raise ShapeError(
                f"GroupNorm: expected x of shape (N, C, ...) with C = {self.num_channels}; got {describe(x)}"
            )
        return F.group_norm(x, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return options_text(self, f"{self.num_channels} in {self.num_groups} groups")


class LocalResponseNorm(Module):
    """Each number divided by the size of its neighbours; formula and arguments: `functional.local_response_norm`."""

    def __init__(
        self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0, within_channel: bool = False
    ) -> None:
        super().__init__()
        self.size = neighbours(size, within_channel, "LocalResponseNorm")
        self.alpha = number(alpha, "LocalResponseNorm: alpha")
        self.beta = number(beta, "LocalResponseNorm: beta")
        self.k = number(k, "LocalResponseNorm: k")
        self.within_channel = within_channel

    def forward(self, x: Any) -> Any:
        return F.local_response_norm(x, self.size, self.alpha, self.beta, self.k, self.within_channel)

    def extra_repr(self) -> str:
        return options_text(self, str(self.size))
