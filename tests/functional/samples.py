"""Scores of classes with labels and class weights, drawn for the tests of losses."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from tests.arrays import device
from tests.factory import operand
from tests.pytorch import torch


@st.composite
def scores(draw, max_dims=4):
    """Logits: (C,), (N, C), or with further axes."""
    classes = draw(st.sampled_from([3, 2, 5, 1]))
    further = draw(st.lists(st.sampled_from([2, 1, 3]), max_size=max_dims - 2))
    batch = draw(st.sampled_from([3, 2, 1]))
    shape = draw(st.sampled_from([(batch, classes), (classes,), (batch, classes, *further)]))
    return draw(operand(shape))


def class_count(x):
    return x.values.shape[0 if x.values.ndim == 1 else 1]


def without_classes(shape):
    return shape[:1] + shape[2:] if len(shape) > 1 else ()


@st.composite
def labels_of(draw, x):
    """(labels of some integer dtype, ignore_index): some samples are ignored, but never all."""
    dtype = draw(st.sampled_from(["int64", "int32", "uint8", "int16"]))
    ignored = draw(st.sampled_from([-100, 0, 255]))
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    labels = np.asarray(rng.integers(0, class_count(x), without_classes(x.values.shape)))
    if ignored == -100 and dtype != "uint8":
        labels = np.where(rng.random(labels.shape) < 0.2, -100, labels)
    if (labels == ignored).all():
        labels, ignored = labels * 0 + class_count(x) - 1, -100
    return labels.astype(dtype), ignored


@st.composite
def weights_of(draw, x):
    """No class weights, or some: exact in every dtype."""
    eighths = draw(st.lists(st.integers(1, 20), min_size=class_count(x), max_size=class_count(x)))
    return np.array(eighths) / 8 if draw(st.booleans()) else None


def ours_of(weight):
    return None if weight is None else device(weight)


def theirs_of(weight):
    return None if weight is None else torch.tensor(weight)
