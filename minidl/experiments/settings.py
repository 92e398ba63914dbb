"""What is compared, with which budget: the settings of `minidl compare`, checked before anything runs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from minidl.checks import whole
from minidl.experiments.arms import ARMS, BASELINE, LAYER_SPECIFIC, REPLAYED, TUNED, rule_of

MODELS = ("mlp", "conv")
EPOCHS = {"mlp": 40, "conv": 12}
TARGET_ACCURACY = 0.90  # of the "steps to" column, and of the criterion for the network
SLOPE_CRITERION = -0.5  # decades a layer from the output towards the input, at step 0
BATCH_SIZE = 32
HIDDEN_LAYERS = 3  # of 32 units; `python -m minidl.experiments.choose` chose it
TUNING_SEEDS = (10_000, 10_001)  # never reported

# One grid for every rule, per method. With momentum 0.9 a rate acts about ten times as long. A ReLU network without
# vanishing gradients wants about a tenth of a deep sigmoid network's rates.
GRIDS = {
    "sgd": (0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0),
    "momentum": (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0),
    "nesterov": (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0),
    "adagrad": (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0),
    "adam": (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1),
}
GRID_SCALE = {"mlp": 1.0, "conv": 0.1}
METHODS = tuple(GRIDS)


@dataclass(frozen=True)
class Settings:
    """One comparison.

    Attributes:
        model: 'mlp' (64, `HIDDEN_LAYERS` of 32, 10, sigmoid) or 'conv' (two 3x3 convolutions, two dense layers, ReLU).
        methods: base methods, out of `METHODS`.
        arms: out of `ARMS`; empty for all that the other settings allow.
        seeds: how many seeds are reported (0, 1, ...); fewer than the first of the tuning.
        epochs: passes over the training digits in every run; 0 for the model's default.
        lr: one base rate for every arm instead of tuning, or None.
        backend: 'numpy' or 'cupy'.
        tuning_seeds: the seeds of the tuning, never reported.
        hidden_layers: how many the mlp has.
    """

    model: str = "mlp"
    methods: tuple[str, ...] = ("sgd",)
    arms: tuple[str, ...] = ()
    seeds: int = 5
    epochs: int = 0
    lr: float | None = None
    backend: str = "numpy"
    tuning_seeds: tuple[int, ...] = TUNING_SEEDS
    hidden_layers: int = HIDDEN_LAYERS

    def __post_init__(self) -> None:
        _check_choice("--model", [self.model], MODELS)
        _check_choice("--methods", self.methods, METHODS)
        _check_choice("--rates", self.arms, ARMS)
        whole(self.seeds, "--seeds", 1)
        if self.seeds > min(self.tuning_seeds):
            raise ValueError(
                f"--seeds: expected at most {min(self.tuning_seeds)}; got {self.seeds}: the seeds from there on tune "
                f"the rates and are never reported"
            )
        whole(self.epochs, "--epochs", 0)
        if self.lr is not None and not (math.isfinite(self.lr) and self.lr > 0):
            raise ValueError(f"--lr: expected a positive number; got {self.lr}")
        if self.lr is not None:
            tuned = [arm for arm in self.arms if arm in TUNED]
            if tuned:
                raise ValueError(
                    f"--lr {self.lr} fixes the base rate of every arm, but --rates asks for {', '.join(tuned)}: leave "
                    f"out one of the two"
                )
        if self.arms and LAYER_SPECIFIC not in self.arms:
            replayed = [arm for arm in self.arms if rule_of(arm) in REPLAYED]
            if replayed:
                raise ValueError(
                    f"--rates: {', '.join(replayed)} replay the layer-specific run's multipliers; add layer-specific"
                )
        if not self.arms:
            object.__setattr__(self, "arms", tuple(a for a in ARMS if self.lr is None or a not in TUNED))
        else:
            object.__setattr__(self, "arms", tuple(a for a in ARMS if a in self.arms))  # always in one order
        if self.epochs == 0:
            object.__setattr__(self, "epochs", EPOCHS[self.model])

    @property
    def judged(self) -> bool:
        """Whether the arms a verdict needs are all there."""
        return LAYER_SPECIFIC in self.arms and BASELINE in self.arms

    def grid(self, method: str) -> tuple[float, ...]:
        """The base rates every rule is tuned over."""
        return tuple(float(f"{rate * GRID_SCALE[self.model]:g}") for rate in GRIDS[method])

    def as_dict(self) -> dict[str, Any]:
        """The settings as plain data, for files."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}


def _check_choice(option: str, chosen: Sequence[str], known: Sequence[str]) -> None:
    unknown = [name for name in chosen if name not in known]
    if unknown:
        raise ValueError(f"{option}: unknown {', '.join(map(repr, unknown))}; choose from {', '.join(known)}")
    if len(set(chosen)) != len(chosen):
        raise ValueError(f"{option}: {', '.join(chosen)} names one twice")
    if option == "--methods" and not chosen:
        raise ValueError(f"{option}: expected at least one of {', '.join(known)}")
