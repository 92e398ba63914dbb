"""What is computed: sizes, first weights and data of each workload, as plain arrays that all peers get alike.

Weights have PyTorch's shapes and come in the order of PyTorch's `parameters()`: weight and bias of each layer, from the
input to the output. A step of a network is forward, mean softmax cross-entropy, backward and plain SGD, on one batch.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

CHAIN = 5_000  # x*a + b so often
VOCABULARY, HIDDEN, TIME = 65, 128, 50  # of the LSTM and the GRU
GROUPS, EPS = 8, 1e-5  # of group normalisation; of all three
WIDTH, HEADS, WIDE = 128, 4, 512  # of the block with attention, WIDE: inside of its feed-forward network
GPT = {"width": 64, "depth": 4, "heads": 4, "context": 64}  # what char_transformer has if nothing is said

MLP = (784, 256, 128, 10)
DEEP = (784, *[64] * 20, 10)
LENET = ((20, 1, 5, 5), (50, 20, 5, 5), (500, 800), (10, 500))
CIFAR10_QUICK = ((32, 3, 5, 5), (32, 32, 5, 5), (64, 32, 5, 5), (64, 1024), (10, 64))


@dataclass(frozen=True)
class Arrays:
    """What a peer starts from. `inputs` and `labels` are the batch; of a layer, x and dL/dy."""

    weights: list[Any]
    inputs: Any
    labels: Any


@dataclass(frozen=True)
class Workload:
    """One thing that is timed.

    Attributes:
        name: as in `--only`.
        about: what is computed, in words.
        make: the arrays it starts from.
        steps: after how many steps all peers must have the same result.
        parts: the time of a step is divided by this (the operations in the chain).
        rate: of plain SGD, so large that a gradient that is missing changes the losses (but for the first layers of
            W2, whose gradients vanish).
        padding: of a convolution.
    """

    name: str
    about: str
    make: Callable[[np.random.Generator], Arrays]
    steps: int = 5
    parts: int = 1
    rate: float = 0.0
    padding: int = 0

    def arrays(self) -> Arrays:
        """The same arrays every time."""
        return self.make(np.random.default_rng(0))


def _normal(rng: np.random.Generator, shape: Sequence[int], scale: float = 1.0) -> Any:
    return rng.standard_normal(shape, dtype=np.float32) * np.float32(scale)


def _layers(rng: np.random.Generator, shapes: Sequence[Sequence[int]]) -> list[Any]:
    """For each shape a weight ~ N(0, 1 / inputs) and a small bias."""
    return [
        array
        for shape in shapes
        for array in (_normal(rng, shape, math.prod(shape[1:]) ** -0.5), _normal(rng, shape[:1], 0.01))
    ]


def _network(shapes: Sequence[Sequence[int]], batch: tuple[int, ...]) -> Callable[[np.random.Generator], Arrays]:
    return lambda rng: Arrays(_layers(rng, shapes), _normal(rng, batch), rng.integers(0, 10, batch[0]))


def _dense(sizes: Sequence[int]) -> list[tuple[int, int]]:
    return [(outputs, inputs) for inputs, outputs in itertools.pairwise(sizes)]


def _convolution(x: tuple[int, ...], weight: tuple[int, ...], padding: int) -> Callable[[np.random.Generator], Arrays]:
    size = x[2] + 2 * padding - weight[2] + 1
    y = (x[0], weight[0], size, size)
    return lambda rng: Arrays(_layers(rng, [weight]), _normal(rng, x), _normal(rng, y))


def _chain(rng: np.random.Generator) -> Arrays:
    return Arrays([1 - 1e-4 * rng.random(8, dtype=np.float32), _normal(rng, (8,), 1e-3)], _normal(rng, (8,)), None)


def _characters(gates: int) -> Callable[[np.random.Generator], Arrays]:
    def make(rng: np.random.Generator) -> Arrays:
        rows = gates * HIDDEN
        cell = [_normal(rng, shape, HIDDEN**-0.5) for shape in ((rows, VOCABULARY), (rows, HIDDEN), (rows,), (rows,))]
        text = rng.integers(0, VOCABULARY, (32, TIME + 1))
        return Arrays(cell + _layers(rng, [(VOCABULARY, HIDDEN)]), text[:, :-1].copy(), text[:, 1:].copy())

    return make


def _scale_and_shift(rng: np.random.Generator, size: int) -> list[Any]:
    return [1 + _normal(rng, (size,), 0.1), _normal(rng, (size,), 0.1)]


def _normalisation(shape: tuple[int, ...], axis: int) -> Callable[[np.random.Generator], Arrays]:
    def make(rng: np.random.Generator) -> Arrays:
        return Arrays(_scale_and_shift(rng, shape[axis]), _normal(rng, shape) + np.float32(0.5), _normal(rng, shape))

    return make


def _block(rng: np.random.Generator) -> Arrays:
    shapes = ((3 * WIDTH, WIDTH), (WIDTH, WIDTH), (WIDE, WIDTH), (WIDTH, WIDE))
    weights = _layers(rng, shapes) + _scale_and_shift(rng, WIDTH) + _scale_and_shift(rng, WIDTH)
    x = (32, 64, WIDTH)
    return Arrays(weights, _normal(rng, x), _normal(rng, x))


def _transformer(rng: np.random.Generator) -> Arrays:
    width = GPT["width"]
    block = ((3 * width, width), (width, width), (4 * width, width), (width, 4 * width))
    weights = [_normal(rng, (VOCABULARY, width), 0.02), _normal(rng, (GPT["context"], width), 0.02)]
    for _ in range(GPT["depth"]):
        weights += _layers(rng, block) + _scale_and_shift(rng, width) + _scale_and_shift(rng, width)
    weights += _scale_and_shift(rng, width) + _layers(rng, [(VOCABULARY, width)])
    text = rng.integers(0, VOCABULARY, (32, GPT["context"] + 1))
    return Arrays(weights, text[:, :-1].copy(), text[:, 1:].copy())


WORKLOADS: dict[str, Workload] = {
    found.name: found
    for found in (
        Workload("W1", "MLP 784-256-128-10 with ReLU, batch 64", _network(_dense(MLP), (64, 784)), rate=0.1),
        Workload("W2", "MLP 784, 20 x 64 with sigmoid, 10, batch 64", _network(_dense(DEEP), (64, 784)), rate=0.1),
        Workload("W3", "Caffe's LeNet, 431,080 parameters, batch 64", _network(LENET, (64, 1, 28, 28)), rate=0.01),
        Workload("W4", "Caffe's cifar10_quick, batch 100", _network(CIFAR10_QUICK, (100, 3, 32, 32)), rate=0.05),
        Workload(
            "W5", f"{CHAIN:,} times x*a + b on 8 numbers, forward and backward: an operation's time", _chain,
            steps=1, parts=2 * CHAIN,
        ),
        Workload(
            "Ca", "convolution 20 -> 50, 5x5, of (64, 20, 12, 12), forward and backward",
            _convolution((64, 20, 12, 12), (50, 20, 5, 5), 0), steps=1,
        ),
        Workload(
            "Cb", "convolution 32 -> 32, 5x5, padding 2, of (100, 32, 16, 16)",
            _convolution((100, 32, 16, 16), (32, 32, 5, 5), 2), steps=1, padding=2,
        ),
        Workload(
            "Cc", "convolution 64 -> 64, 3x3, padding 1, of (32, 64, 32, 32)",
            _convolution((32, 64, 32, 32), (64, 64, 3, 3), 1), steps=1, padding=1,
        ),
        Workload(
            "LSTM", f"characters: LSTM {HIDDEN}, {TIME} steps, batch 32, {VOCABULARY} classes", _characters(4), rate=2.0
        ),
        Workload("GRU", "the same with a GRU", _characters(3), rate=2.0),
        Workload("LN", "layer norm of (64, 50, 512), forward and backward", _normalisation((64, 50, 512), -1), steps=1),
        Workload(
            "GN", f"group norm of (32, 64, 32, 32), {GROUPS} groups", _normalisation((32, 64, 32, 32), 1), steps=1
        ),
        Workload("BN", "batch norm of (64, 64, 32, 32), training", _normalisation((64, 64, 32, 32), 1), steps=1),
        Workload(
            "CE", "softmax cross-entropy of (64, 1000), forward and backward",
            lambda rng: Arrays([], _normal(rng, (64, 1000)), rng.integers(0, 1000, 64)), steps=1,
        ),
        Workload(
            "Att", f"block of a Transformer: {HEADS} heads, width {WIDTH}, {WIDE} inside, 64 positions, batch 32",
            _block, steps=1,
        ),
        Workload(
            "GPT", f"a Transformer over {VOCABULARY} characters: 4 blocks, width 64, 64 positions, batch 32",
            _transformer, rate=0.5,
        ),
    )
}  # fmt: skip
