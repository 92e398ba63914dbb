"""Random programs that compute, take views and write in every way: each gradient is right, or refused.

A second, plain record of the program is kept beside minidl's: every operation with copies of the values it saw. The
gradient that follows from those copies is the right one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import minidl as md
import minidl.functional as F
from tests.arrays import device, host, tensor

Slope = Callable[[Any], Any]
LENGTH = 4


@dataclass
class Record:
    """What made a value: for each input that counts, its record and what takes the gradient back to it."""

    inputs: list[tuple[Record, Slope]] = field(default_factory=list)
    number: int = 0


class Program:
    """Tensors of four numbers with the record of how each came about."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.rng = np.random.default_rng(seed)
        self.count = 0
        self.weights = [tensor(self.rng.uniform(0.5, 1.5, LENGTH), requires_grad=True) for _ in range(2)]
        self.tensors: list[md.Tensor] = [*self.weights]
        self.starts = [self.record(), self.record()]
        self.records = [*self.starts]
        for _ in range(2):  # buffers without a gradient
            self.tensors.append(tensor(self.rng.uniform(0.5, 1.5, LENGTH)))
            self.records.append(self.record())

    def record(self, *inputs: tuple[Record, Slope]) -> Record:
        self.count += 1
        return Record(list(inputs), self.count)

    def pick(self) -> int:
        return int(self.rng.integers(len(self.tensors)))

    def keep(self, result: md.Tensor, record: Record) -> None:
        self.tensors.append(result)
        self.records.append(record)

    # ---- one step; each does it with minidl first, which may refuse

    def compute(self) -> None:
        i, j = self.pick(), self.pick()
        a, b = self.tensors[i], self.tensors[j]
        x, y = host(a), host(b)
        ra, rb = self.records[i], self.records[j]
        match self.rng.integers(5):
            case 0:
                self.keep(a + b, self.record((ra, lambda g: g), (rb, lambda g: g)))
            case 1:
                self.keep(a * b, self.record((ra, lambda g: g * y), (rb, lambda g: g * x)))
            case 2:
                self.keep(F.sigmoid(a), self.record((ra, lambda g: g / (1 + np.exp(-x)) / (1 + np.exp(x)))))
            case 3:
                self.keep(a / (b * b + 1), self.record((ra, lambda g: g / (y * y + 1)),
                                                       (rb, lambda g: -g * x * 2 * y / (y * y + 1) ** 2)))  # fmt: skip
            case _:
                self.keep(a.sum() * b, self.record((ra, lambda g: np.full(LENGTH, (g * y).sum())),
                                                   (rb, lambda g: g * x.sum())))  # fmt: skip

    def view(self) -> None:
        i = self.pick()
        a, ra = self.tensors[i], self.records[i]
        match self.rng.integers(4):
            case 0:
                self.keep(a[::-1], self.record((ra, lambda g: g[::-1])))
            case 1:
                self.keep(a.reshape(2, 2).T.reshape(LENGTH), self.record((ra, lambda g: g.reshape(2, 2).T.reshape(-1))))
            case 2:
                self.keep(a.reshape(LENGTH), self.record((ra, lambda g: g)))
            case _:
                self.keep(a.detach(), self.record())

    def write_with_history(self) -> None:
        i, j = self.pick(), self.pick()
        a, b = self.tensors[i], self.tensors[j]
        x, y = host(a), host(b)
        ra, rb = self.records[i], self.records[j]
        record = ra
        inside = np.array([False, True, True, False])
        match self.rng.integers(4):
            case 0:
                a += b
                record = self.record((ra, lambda g: g), (rb, lambda g: g))
            case 1:
                a *= b
                record = self.record((ra, lambda g: g * y), (rb, lambda g: g * x))
            case 2:
                a[1:3] = b[1:3]
                record = self.record((ra, lambda g: g * ~inside), (rb, lambda g: g * inside))
            case _:
                a[1:3] += b[1:3]
                record = self.record((ra, lambda g: g), (rb, lambda g: g * inside))
        if a.requires_grad:  # otherwise it was written without history, as a buffer is
            self.records[i] = record

    def write_without_history(self) -> None:
        a = self.tensors[self.pick()]
        with md.no_grad():
            match self.rng.integers(7):
                case 0:
                    a *= 0.5
                case 1:
                    a[2] = 0.3
                case 2:
                    a.data[...] = device(self.rng.uniform(0.5, 1.5, LENGTH))
                case 3:
                    a.data *= 1.5
                case 4:
                    a.detach()[1:][...] = 0.7
                case 5:
                    a.data = device(self.rng.uniform(0.5, 1.5, LENGTH))
                case _:
                    a[::-1].data[0] = 0.2

    def steps(self, kinds: list[Callable[[], None]], number: int) -> None:
        for _ in range(number):
            with suppress(md.GraphError):
                kinds[int(self.rng.integers(len(kinds)))]()

    def loss(self) -> tuple[md.Tensor, Record]:
        total, record = tensor(0.0, requires_grad=True) * 1.0, self.record()
        for a, ra in zip(self.tensors, self.records, strict=True):
            factors = self.rng.uniform(0.5, 1.5, LENGTH)
            try:
                total = total + (a * device(factors)).sum()
            except md.GraphError:
                continue
            record.inputs.append((ra, lambda g, factors=factors: g * factors))
        return total, self.record((record, lambda g: g))


def right_gradients(loss: Record, weights: list[Record]) -> list[Any]:
    found: dict[int, Any] = {loss.number: np.ones(LENGTH)}
    waiting = {loss.number: loss}
    while waiting:
        record = waiting.pop(max(waiting))
        for other, slope in record.inputs:
            found[other.number] = found.get(other.number, 0) + slope(found[record.number])
            waiting[other.number] = other
    return [found.get(weight.number, np.zeros(LENGTH)) for weight in weights]


def outcome(program: Program, loss: md.Tensor, record: Record) -> str:
    """'refused', or 'right'; anything else fails."""
    try:
        found = md.grad(loss, program.weights, retain_graph=True, allow_unused=True)
    except md.GraphError:
        return "refused"
    for gradient, expected in zip(found, right_gradients(record, program.starts), strict=True):
        ours = np.zeros(LENGTH) if gradient is None else host(gradient)
        np.testing.assert_allclose(ours, expected, rtol=1e-9, atol=1e-9, err_msg=f"seed {program.seed}")
    return "right"


def run(seed: int) -> list[str]:
    """One program: a loss, more of the program, another loss, a last write now and then; then both backwards."""
    program = Program(seed)
    kinds = [program.compute, program.compute, program.view, program.write_with_history]
    if seed % 2:
        kinds.append(program.write_without_history)
    losses = []
    for _ in range(2):
        program.steps(kinds, 4 + seed % 10)
        losses.append(program.loss())
    if seed % 3 == 0:
        program.steps([program.write_without_history], 1)
    return [outcome(program, *loss) for loss in (losses if seed % 5 else losses[::-1])]


def test_each_gradient_is_right_or_refused() -> None:
    outcomes = Counter(outcome for seed in range(500) for outcome in run(seed))
    assert min(outcomes["right"], outcomes["refused"]) > 200, outcomes
