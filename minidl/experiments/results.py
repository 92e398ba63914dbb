"""From runs to numbers: the table, the verdicts and the criterion of a finished comparison, as plain data."""

from __future__ import annotations

import math
import platform
from collections.abc import Callable
from typing import Any

import numpy as np

from minidl.experiments.arms import LAYER_SPECIFIC, TITLES, TUNED
from minidl.experiments.compare import Comparison, best_index
from minidl.experiments.runs import Run
from minidl.experiments.settings import SLOPE_CRITERION, TARGET_ACCURACY
from minidl.experiments.verdict import DIVERGED, UNDECIDED, Verdict, judge
from minidl.observe import FlowRecording
from minidl.observe.verdict import decades_per_layer, first_of_the_rest
from minidl.version import __version__

LEARNED = 0.5  # the accuracy from which on a comparison of arms is one of learning
STEPS = f"steps to {TARGET_ACCURACY:.0%}"
NEVER = "never got there"


def summarise(comparison: Comparison, flows: dict[str, dict[str, FlowRecording]]) -> dict[str, Any]:
    """Everything the report says, as data for results.json.

    Args:
        comparison: with all its runs done.
        flows: method -> arm -> the recorded gradient flow of the first seed.
    """
    settings = comparison.settings
    methods = {method: _method(comparison, method, flows.get(method, {})) for method in settings.methods}
    return {
        "format": 1,
        "settings": settings.as_dict(),
        "environment": {
            "minidl": __version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
            "machine": f"{platform.system()} {platform.machine()}",
        },
        "data": {name: len(getattr(comparison.splits, name).labels) for name in ("train", "validation", "test")},
        "methods": methods,
    }


def _method(comparison: Comparison, method: str, flows: dict[str, FlowRecording]) -> dict[str, Any]:
    settings = comparison.settings
    runs = comparison.arm_runs(method)
    rates = comparison.base_rates(method)
    sweep = comparison.sweep(method)
    same = same_runs(runs)
    return {
        "arms": {arm: _arm(arm, rates[arm], runs[arm], same.get(arm)) for arm in runs},
        "tuning": {
            "grid": list(settings.grid(method)),
            "seeds": list(settings.tuning_seeds),
            "validation_loss": {rule: losses.tolist() for rule, losses in sweep.items()},
            "at_edge": [
                rule for rule, losses in sweep.items() if best_index(losses) in (0, len(settings.grid(method)) - 1)
            ],
        }
        if sweep
        else None,
        "verdicts": _verdicts(runs, same) if settings.judged else None,
        "criterion": _criterion(comparison, method, flows),
        "flow": {arm: flow.verdict() for arm, flow in flows.items()},
    }


def as_json(value: Any) -> Any:
    """Plain data for JSON, which has no NaN and no infinity: what is not finite becomes null."""
    if isinstance(value, dict):
        return {key: as_json(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [as_json(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def same_runs(runs: dict[str, list[Run]]) -> dict[str, str]:
    """The arms that turned out to be another arm: a control whose own tuned rate is the shared one."""
    same: dict[str, str] = {}
    for arm in (a for a in runs if a in TUNED):
        for other in (a for a in runs if a not in TUNED):
            if all(a is b for a, b in zip(runs[arm], runs[other], strict=True)):
                same[arm] = other
    return same


def _verdicts(runs: dict[str, list[Run]], same: dict[str, str]) -> dict[str, Any]:
    """The verdict by final test loss, which decides, and by two other measures; none if no arm learned anything."""
    arms = {arm: own for arm, own in runs.items() if arm not in same}
    measures: dict[str, Callable[[Run], float]] = {
        "test loss": lambda run: float(run.test_loss[-1]),
        "error rate": lambda run: 1 - float(run.test_accuracy[-1]),
        STEPS: lambda run: steps_to(run, TARGET_ACCURACY) or math.inf,
    }
    verdicts = {
        name: judge(
            {arm: [measure(run) for run in own] for arm, own in arms.items()}, NEVER if name == STEPS else DIVERGED
        )
        for name, measure in measures.items()
    }
    best = max(float(np.median([run.test_accuracy[-1] for run in own])) for own in arms.values())
    if best < LEARNED:
        lost = {arm: sum(diverged_at(run) is not None for run in own) for arm, own in arms.items()}
        words = ", ".join(f"{arm} in {count} of {len(arms[arm])} seeds" for arm, count in lost.items() if count)
        reason = (
            f"No arm learned the task within the budget: the best one ends at {best:.1%}, guessing gives about 10%."
            + (f" Diverged: {words}." if words else "")
        )
        verdicts = {name: Verdict(UNDECIDED, reason, found.pairings) for name, found in verdicts.items()}
    return {name: verdict.as_dict() for name, verdict in verdicts.items()}


def _arm(arm: str, base_rate: float, runs: list[Run], same: str | None) -> dict[str, Any]:
    """One row of the table."""
    return {
        "title": TITLES[arm],
        "same_runs_as": same,
        "base_rate": base_rate,
        "mean_multiplier": [mean_multiplier(run) for run in runs],
        "diverged_at": [diverged_at(run) for run in runs],
        "test_accuracy": [float(run.test_accuracy[-1]) for run in runs],
        "test_loss": [float(run.test_loss[-1]) for run in runs],
        "train_loss": [last_epochs_loss(run) for run in runs],
        "steps_to_target": [steps_to(run, TARGET_ACCURACY) for run in runs],
        "seconds": [float(run.seconds[-1]) for run in runs],
    }


def last_epochs_loss(run: Run) -> float:
    """The mean training loss of the last epoch."""
    with np.errstate(over="ignore", invalid="ignore"):
        return float(np.mean(run.loss[-len(run.loss) // len(run.eval_steps) :]))


def mean_multiplier(run: Run) -> float:
    """The mean over the steps in which the multiplier is finite; NaN if it never was."""
    finite = run.mean_multiplier[np.isfinite(run.mean_multiplier)]
    return float(np.mean(finite)) if len(finite) else float("nan")


def diverged_at(run: Run) -> int | None:
    """The step (the first is 1) from which on the training loss is not finite; None if it is to the end.

    Where only the losses on the test or validation digits are not finite, the last step.
    """
    first = first_of_the_rest(~np.isfinite(run.loss))
    if first is None:
        return None if np.isfinite(run.test_loss[-1]) and np.isfinite(run.validation_loss) else len(run.loss)
    return first + 1


def steps_to(run: Run, accuracy: float) -> int | None:
    """The first evaluated step with at least this test accuracy; None if it was never reached."""
    reached = np.flatnonzero(run.test_accuracy >= accuracy)
    return int(run.eval_steps[reached[0]]) if len(reached) else None


def _criterion(comparison: Comparison, method: str, flows: dict[str, FlowRecording]) -> dict[str, Any] | None:
    """Whether this run met what the default network was chosen for, before any arm was compared.

    The weight gradient's RMS must fall by at least half a decade a layer towards the input at step 0, and at least one
    tuned arm must pass 90% on the validation digits (on the tuning seeds).
    """
    if not flows or comparison.settings.lr is not None or comparison.settings.model != "mlp":
        return None
    flow = flows.get(LAYER_SPECIFIC) or next(iter(flows.values()))
    slope = slope_per_layer(flow.weight_gradient_rms[0])
    best = best_tuned_accuracy(comparison, method)
    return {
        "slope_decades_per_layer": slope,
        "best_tuned_validation_accuracy": best,
        "met": bool(-slope <= SLOPE_CRITERION) and best >= TARGET_ACCURACY,
    }


def best_tuned_accuracy(comparison: Comparison, method: str) -> float:
    """The best mean validation accuracy, over the tuning seeds, that a rule reaches at its tuned rate."""
    accuracies = []
    for rule, losses in comparison.sweep(method).items():
        rate = comparison.settings.grid(method)[best_index(losses)]
        runs = [comparison.run(key) for key in comparison.tuning_keys(method, rule, rate)]
        accuracies.append(float(np.mean([run.validation_accuracy for run in runs])))
    return max(accuracies)


def slope_per_layer(gradient_rms: Any) -> float:
    """Decades per layer by which the gradient grows from input to output: the slope of a line through log10 RMS.

    NaN if fewer than two layers have a gradient that is finite and not 0.
    """
    return decades_per_layer(gradient_rms)
