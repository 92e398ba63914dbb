"""BatchNorm1d, BatchNorm2d, LayerNorm, GroupNorm and LocalResponseNorm.

BatchNorm computes differently in its two modes: in training mode with the mean and variance of the batch, in evaluation
mode with the running ones, which it has updated during training. To be in the wrong mode is a common mistake:

* A model left in training mode, `model.train()`, gives an output for a sample that depends on the other samples of the
  batch, goes on updating its running statistics, also inside `no_grad`, and refuses a batch of one sample.
* A model left in evaluation mode, `model.eval()`, is trained with running statistics that no longer follow its weights.

`md.fit` and `md.evaluate` set the mode themselves. To keep the statistics of one BatchNorm in `md.fit`, as for
fine-tuning, put it alone into evaluation mode before: `model.norm1.eval()`. LayerNorm and GroupNorm do the same in both
modes.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from minidl import functional as F
from minidl.autograd.modes import is_again
from minidl.autograd.variable import writes_of
from minidl.checks import number, whole, yes_or_no
from minidl.errors import ShapeError, describe
from minidl.functional.response import neighbours
from minidl.nn.display import options_text, sizes_text
from minidl.nn.module import Module
from minidl.nn.parameter import Parameter
from minidl.nn.shape import lengths
from minidl.settings import Setting
from minidl.tensors.creation import ones, zeros
from minidl.tensors.tensor import Tensor
from minidl.types import TensorLike


def share_or_none(value: Any, name: str) -> Any:
    """A number from 0 to 1, or None."""
    return None if value is None else number(value, name, 0, 1)


class _Normalization(Module):
    """The parameters that normalisations learn: after normalising they multiply by `weight` and add `bias`."""

    weight: Parameter | None
    bias: Parameter | None
    eps = Setting(number, 0)

    def __init__(self, shape: tuple[int, ...], eps: float, weight: bool, bias: bool) -> None:
        super().__init__()
        self.eps = eps
        self.weight = Parameter(ones(*shape)) if weight else None
        self.bias = Parameter(zeros(*shape)) if bias else None


class BatchNorm(_Normalization):
    """What BatchNorm1d and BatchNorm2d have in common; they differ in the inputs that they accept."""

    inputs: ClassVar[dict[int, str]]  # how many axes they may have, and which
    running_mean: Tensor | None
    running_var: Tensor | None
    num_batches_tracked: Tensor | None
    num_features = Setting(whole)
    momentum = Setting(share_or_none)

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
    ) -> None:
        kind = type(self).__name__
        affine = yes_or_no(affine, f"{kind}: affine")
        super().__init__((whole(num_features, f"{kind}: num_features"),), eps, affine, affine)
        self.num_features = num_features
        self.momentum = momentum
        self.affine = affine
        self.track_running_stats = yes_or_no(track_running_stats, f"{kind}: track_running_stats")
        if track_running_stats:
            self.register_buffer("running_mean", zeros(num_features))
            self.register_buffer("running_var", ones(num_features))
            self.register_buffer("num_batches_tracked", zeros(dtype=np.int64))
        else:
            self.running_mean = self.running_var = self.num_batches_tracked = None

    def forward(self, x: TensorLike) -> TensorLike:
        if getattr(x, "ndim", None) not in self.inputs or x.shape[1] != self.num_features:
            shape = f"{' or '.join(self.inputs.values())} with C = {self.num_features}"
            raise ShapeError(f"{type(self).__name__}: expected x of shape {shape}; got {describe(x)}")
        momentum = self.momentum
        count = self.num_batches_tracked if self.training else None
        if momentum is None and count is not None:
            momentum = 1 / (count + 1)
        training, running = self.training or self.running_mean is None, (self.running_mean, self.running_var)
        y = F.batch_norm(x, *running, self.weight, self.bias, training, momentum, self.eps)
        if count is not None and not is_again():  # only now: a batch that was refused does not count
            count._data += 1  # in place
            writes_of(count).bump()
        return y

    def extra_repr(self) -> str:
        return options_text(self, str(self.num_features))


class BatchNorm1d(BatchNorm):
    """Batch normalisation of (N, C) or (N, C, L); the formula is at `functional.batch_norm`.

    In training mode with the statistics of the batch, which must have more than one value a channel; in evaluation mode
    with the running ones. The top of this file says what goes wrong in the wrong mode.

    Attributes:
        weight, bias: (C,), at first 1 and 0; None without `affine`.
        running_mean, running_var: (C,), at first 0 and 1.
        num_batches_tracked: how many batches these have been updated with, a 0-d int64. The three are buffers.

    Args:
        num_features: C.
        eps: added to the variance, so that a constant channel is not divided by 0.
        momentum: m in running = (1 - m) running + m batch; None for the plain average over all batches.
        affine: whether there are weight and bias.
        track_running_stats: whether there are running statistics; without them (None) both modes use the batch's.
    """

    inputs: ClassVar = {2: "(N, C)", 3: "(N, C, L)"}


class BatchNorm2d(BatchNorm):
    """Batch normalisation of images (N, C, H, W): as BatchNorm1d, where each pixel of a channel counts as a sample."""

    inputs: ClassVar = {4: "(N, C, H, W)"}


class LayerNorm(_Normalization):
    """Each sample normalised over its last axes; the formula is at `functional.layer_norm`.

    Attributes:
        weight, bias: of shape normalized_shape, at first 1 and 0, or None.

    Args:
        normalized_shape: the lengths of the last axes, or the length of the last one.
        eps: added to the variance, so that a constant sample is not divided by 0.
        elementwise_affine: whether there is a weight, and, unless `bias` is False, a bias.
    """

    normalized_shape = Setting(lengths)

    def __init__(
        self,
        normalized_shape: int | tuple[int, ...] | list[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
    ) -> None:
        shape = lengths(normalized_shape, "LayerNorm: normalized_shape")
        affine = yes_or_no(elementwise_affine, "LayerNorm: elementwise_affine")
        super().__init__(shape, eps, affine, affine and yes_or_no(bias, "LayerNorm: bias"))
        self.normalized_shape = shape
        self.elementwise_affine = affine

    def forward(self, x: TensorLike) -> TensorLike:
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

    num_groups = Setting(whole)
    num_channels = Setting(whole)

    def __init__(self, num_groups: int, num_channels: int, eps: float = 1e-5, affine: bool = True) -> None:
        affine = yes_or_no(affine, "GroupNorm: affine")
        super().__init__((whole(num_channels, "GroupNorm: num_channels"),), eps, affine, affine)
        self.num_groups = num_groups
        self.num_channels = num_channels
        self.affine = affine
        self.check_settings()

    def check_settings(self) -> None:
        """Refuse groups of different sizes."""
        if self.num_channels % self.num_groups:
            raise ValueError(
                f"GroupNorm: num_groups={self.num_groups} must divide the channels; got {self.num_channels}"
            )

    def forward(self, x: TensorLike) -> TensorLike:
        if getattr(x, "ndim", 0) < 2 or x.shape[1] != self.num_channels:
            raise ShapeError(
                f"GroupNorm: expected x of shape (N, C, ...) with C = {self.num_channels}; got {describe(x)}"
            )
        return F.group_norm(x, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return options_text(self, f"{self.num_channels} in {self.num_groups} groups")


class LocalResponseNorm(Module):
    """Divides each element by a power of the mean square around it; see `functional.local_response_norm`."""

    size = Setting(whole)
    alpha = Setting(number)
    beta = Setting(number)
    k = Setting(number)
    within_channel = Setting(yes_or_no)

    def __init__(
        self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0, within_channel: bool = False
    ) -> None:
        super().__init__()
        self.size = size
        self.alpha = alpha
        self.beta = beta
        self.k = k
        self.within_channel = within_channel
        self.check_settings()

    def check_settings(self) -> None:
        """Refuse a window of an even size where it has to have a middle."""
        neighbours(self.size, self.within_channel, "LocalResponseNorm")

    def forward(self, x: TensorLike) -> TensorLike:
        return F.local_response_norm(x, self.size, self.alpha, self.beta, self.k, self.within_channel)

    def extra_repr(self) -> str:
        return options_text(self, str(self.size))
