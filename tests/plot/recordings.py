"""Recordings with numbers chosen so that the right figure is known."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from minidl.observe import FlowRecording, RaceRecording
from minidl.observe.recording import PER_LAYER


def flow(steps: int = 5, layers: int = 4, **fields: Any) -> FlowRecording:
    """Everything is 1 except `fields`, which are broadcast to (steps, layers)."""
    values = {name: np.ones((steps, layers)) for name in PER_LAYER}
    names = tuple(f"fc{i + 1}" for i in range(layers))
    recording = FlowRecording(
        layers=names, outputs=names, steps=np.arange(steps), loss=np.linspace(2, 1, steps), **values
    )
    changed = {
        key: np.broadcast_to(np.asarray(value, dtype=np.float64), (steps, layers)).copy() if key in PER_LAYER else value
        for key, value in fields.items()
    }
    return replace(recording, **changed)


def falling(decades: float = 1.0, layers: int = 4, top: float = 0.1) -> Any:
    """Sizes that fall by `decades` a layer from the output to the input."""
    return top * 10.0 ** (-decades * np.arange(layers - 1, -1, -1))


def race(arms: int = 2, seeds: int = 3, steps: int = 40, **fields: Any) -> RaceRecording:
    """Arm a ends at a loss of 0.1 (a + 1), and takes (a + 1) ms a step."""
    rng = np.random.default_rng(0)
    names = ["uniform", "layer-specific", "constant", "per-step"][:arms]
    number = np.arange(1, steps + 1)
    ends = 0.1 * (np.arange(arms) + 1)[:, None, None]
    values: dict[str, Any] = {
        "arms": names,
        "seeds": np.arange(seeds),
        "steps": number,
        "loss": ends + np.exp(-number / 5.0) + rng.uniform(0, 0.01, (arms, seeds, 1)),
        "seconds": 1e-3 * (np.arange(arms) + 1)[:, None, None] * number * np.linspace(1, 1.1, seeds)[:, None],
        "eval_steps": number[9::10],
        "accuracy": np.clip(0.9 - ends + rng.uniform(0, 0.02, (arms, seeds, len(number[9::10]))), 0, 1),
        "sweep_arms": names,
        "sweep_rates": [1.0, 0.1, 10.0],
        "sweep_loss": np.array([[[0.5, 0.6], [1.0, 1.1], [np.inf, 3.0]]] * arms),
    }
    return RaceRecording(**{**values, **fields})
