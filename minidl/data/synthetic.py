"""Points in the plane whose classes are known: spirals, moons, xor, and blobs in any number of dimensions.

All give a Dataset with float32 inputs and int64 labels. Row i belongs to class i mod K, so the classes are balanced to
within one row and take turns. The points depend on `seed` and nothing else: one seed to train with and another to test
with give new points of the same shape. `noise` is the standard deviation of a normal number added to each coordinate.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minidl.data.dataset import Dataset, is_whole
from minidl.errors import ShapeError

SPREAD = 10.0  # blobs: centres are drawn from -SPREAD to SPREAD


def spirals(n: int, classes: int = 2, noise: float = 0.02, turns: float = 1.0, seed: int = 0) -> Dataset:
    """n points on spiral arms that wind around each other: no straight line separates them.

    Class k: (r cos a, r sin a) + noise with r ~ U(0.1, 1) and a = 2 pi (turns r + k / classes). After the two-spirals
    task of Lang and Witbrock, Learning to tell two spirals apart, 1988, which has three turns.

    Args:
        n: points in all.
        classes: arms.
        noise: see above; neighbouring arms are 1 / (turns * classes) apart.
        turns: how often an arm winds around the middle while r grows by 1.
        seed: a non-negative integer.
    """
    random = _generator("spirals", n, noise, seed)
    if not is_whole(classes) or classes < 2:
        raise ValueError(f"spirals: expected at least 2 classes; got {classes!r}")
    if not _is_number(turns):
        raise ValueError(f"spirals: expected turns as a number; got {turns!r}")
    labels = np.arange(n) % classes
    radius = random.uniform(0.1, 1, n)
    angle = 2 * np.pi * (turns * radius + labels / classes)
    points = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
    return _noisy(points, labels, noise, random)


def moons(n: int, noise: float = 0.1, seed: int = 0) -> Dataset:
    """n points on two half circles that reach into each other.

    Class 0: (cos a, sin a), class 1: (1 - cos a, 1/2 - sin a), both + noise, with a ~ U(0, pi); the two of
    scikit-learn's `make_moons`.
    """
    random = _generator("moons", n, noise, seed)
    labels = np.arange(n) % 2
    angle = random.uniform(0, np.pi, n)
    upper = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return _noisy(np.where(labels[:, None] == 0, upper, (1.0, 0.5) - upper), labels, noise, random)


def xor(n: int, noise: float = 0.2, seed: int = 0) -> Dataset:
    """n points around the four corners (+-1, +-1), + noise; class 1 where the two signs differ.

    A straight line has at most three of the corners right, 75%: Minsky and Papert, Perceptrons, 1969.
    """
    random = _generator("xor", n, noise, seed)
    corners = np.array([(-1.0, -1.0), (-1.0, 1.0), (1.0, 1.0), (1.0, -1.0)])  # around the square: classes take turns
    return _noisy(corners[np.arange(n) % 4], np.arange(n) % 2, noise, random)


def blobs(n: int, centers: Any = 3, std: float = 1.0, features: int = 2, seed: int = 0) -> Dataset:
    """n points in round clouds, one a class: centers[k] + std N(0, 1) in every coordinate.

    Args:
        n: points in all.
        centers: (K, features) the middle of each class; or their number, and they are drawn from U(-10, 10). Another
            seed then draws other centres: to test, `split` what was drawn.
        std: the standard deviation.
        features: the length of a point.
        seed: a non-negative integer.
    """
    random = _generator("blobs", n, std, seed)
    if is_whole(centers):
        if centers < 1 or not is_whole(features) or features < 1:
            raise ValueError(f"blobs: expected at least 1 center and 1 feature; got {centers!r} and {features!r}")
        centers = random.uniform(-SPREAD, SPREAD, (centers, features))
    centers = np.asarray(centers, dtype=np.float64)
    if centers.ndim != 2 or len(centers) == 0 or centers.shape[1] != features:
        raise ShapeError(f"blobs: expected centers of shape (K, features) = (K, {features}); got {centers.shape}")
    labels = np.arange(n) % len(centers)
    return _noisy(centers[labels], labels, std, random)


def _noisy(points: Any, labels: Any, noise: float, random: np.random.Generator) -> Dataset:
    points = points + noise * random.standard_normal(points.shape)
    return Dataset(points.astype(np.float32), labels.astype(np.int64))


def _generator(name: str, n: int, noise: float, seed: int) -> np.random.Generator:
    """A generator of its own, once the arguments that all share are known to be good."""
    if not is_whole(n) or n < 1:
        raise ValueError(f"{name}: expected n, the number of points, as a whole number of at least 1; got {n!r}")
    if not _is_number(noise) or noise < 0:
        raise ValueError(f"{name}: expected {'std' if name == 'blobs' else 'noise'} of at least 0; got {noise!r}")
    if not is_whole(seed) or seed < 0:
        raise ValueError(f"{name}: expected a non-negative integer as the seed; got {seed!r}")
    return np.random.Generator(np.random.PCG64(seed))


def _is_number(value: object) -> bool:
    number = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
    return number and math.isfinite(value)  # type: ignore[arg-type]
