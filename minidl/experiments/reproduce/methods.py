"""Methods and rates: what one run minimises with, as a minidl optimizer.

With t the base rate after its schedule, g the gradient (with weight decay), m what the rate's rule multiplies by:

| method | formula, in Caffe's form: the rate stays inside the velocity, in every run |
|---|---|
| sgd | v <- 0.9 v + t m g; w <- w - v |
| nesterov | v <- 0.9 v + t m g; w <- w - (t m g + 0.9 v) |
| adagrad | h <- h + g^2 for each element; w <- w - t m g / (sqrt(h) + 1e-8) |
| adagrad-layer | h_l <- h_l + ||g_l||^2, one number a layer; w <- w - t m g / (sqrt(h_l) + 1e-8) |

| rate | m |
|---|---|
| uniform | 1 |
| ln | 1 + ln(1 + 1/||g_l||) for layer l, of its gradient without decay, weights and biases together |
| log10 | 1 + log10(1 + 1/||g_l||) |
| constant | one number: the mean of the `ln` run's m over its layers and steps (same method, base rate and seed) |
| per-step | for each step one number: the mean of that run's m over its layers in that step |
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minidl.experiments.reproduce import names
from minidl.nn import Module
from minidl.optim import SGD, AdaGrad, LayerRate, LayerSpecific, Optimizer, Replayed

METHODS, RATES = tuple(names.METHODS), tuple(names.RATES)
REPLAYED = names.CONTROLS  # need the `ln` run of the same method, base rate and seed
TUNED = ("uniform", "ln", "per-step")  # those that are run at their own best base rate as well
MOMENTUM = 0.9
EPS = 1e-8  # Caffe's

METHOD_TITLES = {
    "sgd": "SGD with momentum 0.9",
    "nesterov": "Nesterov's momentum 0.9",
    "adagrad": "AdaGrad, a denominator for each element",
    "adagrad-layer": "AdaGrad, one denominator for each layer",
}
RATE_TITLES = {
    "uniform": "one rate t for all layers",
    "ln": "t (1 + ln(1 + 1/|g|)), for each layer by its gradient g: the paper's rule",
    "log10": "the same with the logarithm to base 10",
    "constant": "t times the mean of ln's factors: is it only that the rate is larger?",
    "per-step": "t times the mean over layers of ln's factors at each step: only that it adapts in time?",
}


def layer_rate_for(rate: str, multipliers: Sequence[float] | None, steps: int) -> tuple[float, LayerRate | None]:
    """The factor on the base rate, and the layer rate, of a run.

    Args:
        rate: one of `RATES`.
        multipliers: of the `ln` run to replay, its mean over layers at each step; other rates do not look at it. Of a
            run that diverged these are those of the steps before, and the control goes on with the last of them.
        steps: how many the run has.

    Raises:
        ValueError: an unknown rate, or nothing to replay.
    """
    if rate == "uniform":
        return 1.0, None
    if rate == "ln":
        return 1.0, LayerSpecific()
    if rate == "log10":
        return 1.0, LayerSpecific(log="10")
    if rate not in REPLAYED:
        raise ValueError(f"unknown rate {rate!r}; expected one of {', '.join(RATES)}")
    if multipliers is None:
        raise ValueError(f"the rate {rate!r} replays the ln run with the same method, base rate and seed; got none")
    finite = [m for m in map(float, multipliers) if np.isfinite(m)] or [1.0]
    if rate == "constant":
        return float(np.mean(finite)), None
    return 1.0, Replayed((finite + finite[-1:] * steps)[: max(steps, 1)])


def build_optimizer(
    model: Module, method: str, lr: float, decay: float = 0.0, layer_rate: LayerRate | None = None
) -> Optimizer:
    """The method's optimizer, as the table in this file says.

    Raises:
        ValueError: an unknown method.
    """
    options: Any = {"lr": lr, "weight_decay": decay, "layer_rate": layer_rate}
    if method in ("sgd", "nesterov"):
        return SGD(model, momentum=MOMENTUM, nesterov=method == "nesterov", momentum_form="caffe", **options)
    if method in ("adagrad", "adagrad-layer"):
        return AdaGrad(model, eps=EPS, denominator="element" if method == "adagrad" else "layer", **options)
    raise ValueError(f"unknown method {method!r}; expected one of {', '.join(METHODS)}")
