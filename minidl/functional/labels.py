"""Scores of C classes and the integer labels that belong to them.

Scores have shape (N, C), labels (N,); with further axes (N, C, ...) and (N, ...); of a single sample (C,) and ().
"""

from __future__ import annotations

import numpy as np

from minidl.backend import found_outside, module_of
from minidl.errors import DTypeError, ShapeError, describe
from minidl.functional.targets import check_floating, on_one_device, raw
from minidl.types import Array, TensorLike


def class_axis(ndim: int) -> int:
    """The axis of the classes: 1 of (N, C, ...), 0 of (C,)."""
    return 0 if ndim == 1 else 1


def along_classes(values: Array, ndim: int) -> Array:
    """One value for each class, (C,), in the shape in which it broadcasts with scores of `ndim` axes."""
    return values.reshape((-1, *[1] * (ndim - class_axis(ndim) - 1)))


def scores_and_target(name: str, what: str, input: TensorLike, target: TensorLike) -> tuple[TensorLike, TensorLike]:
    """Both as Tensors or arrays on one device.

    Raises:
        DTypeError, ShapeError: `input` is not floating, or a single number.
    """
    input, target = on_one_device(name, input, target)
    kind = input.dtype.kind
    if kind in "iu" and target.dtype.kind == "f" and target.ndim > input.ndim:
        raise DTypeError(
            f"{name}: expected {what} and then the target; got {describe(input)} and then {describe(target)}: "
            f"give them the other way round"
        )
    if kind != "f":
        check_floating(name, what, input)
    if input.ndim == 0:
        raise ShapeError(f"{name}: expected {what} of shape (N, C); got a single number, shape ()")
    return input, target


def checked_labels(name: str, scores: TensorLike, target: TensorLike, ignored: int | None = None) -> Array:
    """The labels as a new raw array, int64.

    Raises:
        DTypeError, ShapeError: they do not fit the scores.
        ValueError: a label is no class, and not `ignored`. On a device, where looking at the labels would make the
            program wait at every step, that is not noticed: see `counts_of`.
    """
    shape = scores.shape
    axis = class_axis(len(shape))
    if target.dtype.kind not in "iu":
        raise DTypeError(f"{name}: expected integer labels; got {describe(target)}. Convert them: target.astype(int)")
    expected = shape[:axis] + shape[axis + 1 :]
    if target.shape != expected:
        raise ShapeError(
            f"{name}: scores {shape} need labels of shape {expected} (one integer per sample, not one-hot: "
            f"of one-hot rows take target.argmax(1)); got {target.shape}"
        )
    labels = raw(target).astype(np.int64)
    classes = shape[axis]
    if found_outside(labels, classes) is not None:
        _refuse_unknown(name, labels, classes, ignored)
    return labels


def _refuse_unknown(name: str, labels: Array, classes: int, ignored: int | None) -> None:
    unknown = (labels < 0) | (labels >= classes)
    if ignored is not None:
        unknown &= labels != ignored
    if unknown.any():
        place = tuple(int(i) for i in np.argwhere(unknown)[0])
        raise ValueError(
            f"{name}: labels must lie from 0 to {classes - 1} for {classes} classes; label {int(labels[place])} at "
            f"position {place[0] if len(place) == 1 else place} does not. If your labels start at 1, subtract 1"
        )


def counts_of(labels: Array, classes: int, ignored: int | None = None) -> tuple[Array, Array]:
    """(labels that can be looked up, what each sample counts): 1, but 0 if its label is `ignored`.

    It counts NaN if the label is no class, so that the loss says what could not be said on a device (`checked_labels`).
    Where it does not count 1 the label becomes 0.
    """
    xp = module_of(labels)
    counts = xp.where((labels >= 0) & (labels < classes), 1, np.nan)
    if ignored is not None:
        counts = xp.where(labels == ignored, 0, counts)
    return xp.where(counts == 1, labels, 0), counts
