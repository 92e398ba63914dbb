"""The course of a run: what happened at its steps, kept so that it can be saved and gone on with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from minidl.optim import Optimizer
from minidl.optim.norms import l2_norm

CURVE = 100  # intervals of which the mean training loss is kept
FLOW_STEPS = 40  # steps at which the layers are measured, at most
FLOW_NUMBERS = 480  # layers times steps, at most: so that result.json stays small
FLOW = ("norms", "multipliers", "relative_updates", "floored")
FLOW_DIGITS = 4


def flow_steps(iterations: int, layers: int) -> tuple[int, ...]:
    """The steps, counted from 1, at which the layers are measured: the first, the last, and denser early."""
    count = max(2, min(FLOW_STEPS, FLOW_NUMBERS // layers))
    places = np.linspace(0, 1, count) ** 2
    return tuple(sorted({1 + round(float(place) * (iterations - 1)) for place in places}))


class Course:
    """What is known of a run so far.

    Attributes:
        step: how many steps were made.
        losses: (T,) the training loss of each step; what has not been is NaN.
        multipliers: (T,) the mean over layers of what the rule multiplied the base rate by.
        floored: how many steps had a layer whose gradient norm was too small to use.
        looks: what the looks at the test set found.
        diverged_at: the step whose loss was not finite, at which the run ends; None if there was none.
        flow: name in `FLOW` -> for each measured step a number a layer.
    """

    def __init__(self, iterations: int, layers: int) -> None:
        self.iterations = iterations
        self.step = 0
        self.losses = np.full(iterations, np.nan)
        self.multipliers = np.full(iterations, np.nan)
        self.floored = 0
        self.looks: list[dict[str, Any]] = []
        self.diverged_at: int | None = None
        self.steps_measured = flow_steps(iterations, layers)
        self.flow: dict[str, list[list[float]]] = {name: [] for name in FLOW}

    def is_measured(self, step: int) -> bool:
        """Whether the layers are measured in this step, counted from 1."""
        return step in self.steps_measured

    def measure(self, optimizer: Optimizer, before: list[list[Any]], factor: float) -> None:
        """Keep what the step that was just made did to each layer.

        Args:
            optimizer: after the step.
            before: a copy of each layer's weights from before it.
            factor: what the base rate was multiplied by beforehand.
        """
        report = optimizer.layer_report()
        moved = []
        for layer, old in zip(optimizer.layers, before, strict=True):
            distance = l2_norm([p.data - w for (_, p), w in zip(layer.parameters, old, strict=True)])
            length = float(l2_norm(old))
            moved.append(float(distance) / length if length else float("nan"))
        rows = [report[layer.name] for layer in optimizer.layers]
        self.flow["norms"].append([row.grad_norm for row in rows])
        self.flow["multipliers"].append([factor * row.multiplier for row in rows])
        self.flow["relative_updates"].append(moved)
        self.flow["floored"].append([float(row.floored) for row in rows])

    # ---- what is made of it

    def curve(self) -> dict[str, list[Any]]:
        """The mean training loss of each of up to a hundred intervals, at their ends."""
        ends = sorted({round(self.iterations * (i + 1) / CURVE) for i in range(CURVE)} - {0})
        ends = [end for end in ends if end <= self.step]
        means = [float(part.mean()) for part in np.split(self.losses[: self.step], ends)[: len(ends)]]
        return {"steps": ends, "loss": means}

    def flow_numbers(self) -> dict[str, list[Any]]:
        """The measured steps, and their numbers."""
        done = len(self.flow["norms"])
        numbers: dict[str, list[Any]] = {"steps": list(self.steps_measured[:done])}
        for name in FLOW:
            numbers[name] = [[float(f"{x:.{FLOW_DIGITS}g}") for x in row] for row in self.flow[name]]
        numbers["floored"] = [[int(x) for x in row] for row in self.flow["floored"]]
        return numbers

    def train_loss(self) -> float:
        """The mean loss of the last twentieth of the steps; NaN if the run diverged."""
        last = max(1, self.iterations // 20)
        return float(self.losses[-last:].mean())

    def mean_multiplier(self) -> float:
        """Over all steps that were made."""
        done = self.multipliers[: self.step]
        return float(done.mean()) if len(done) else float("nan")

    # ---- its file

    def state(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """(arrays, plain data) from which `restore` goes on."""
        arrays = {"losses": self.losses[: self.step], "multipliers": self.multipliers[: self.step]}
        arrays |= {f"flow/{name}": np.array(rows, dtype=np.float64) for name, rows in self.flow.items()}
        plain = {"step": self.step, "floored": self.floored, "looks": self.looks, "diverged_at": self.diverged_at}
        return arrays, plain

    def restore(self, arrays: Mapping[str, Any], plain: Mapping[str, Any]) -> None:
        """Be as the course whose `state` this was."""
        self.step, self.floored = plain["step"], plain["floored"]
        self.looks, self.diverged_at = plain["looks"], plain["diverged_at"]
        self.losses[: self.step] = arrays["losses"]
        self.multipliers[: self.step] = arrays["multipliers"]
        self.flow = {name: arrays[f"flow/{name}"].tolist() for name in FLOW}


def weights_of(optimizer: Optimizer) -> list[list[Any]]:
    """A copy of each layer's weights."""
    return [[p.data.copy() for _, p in layer.parameters] for layer in optimizer.layers]
