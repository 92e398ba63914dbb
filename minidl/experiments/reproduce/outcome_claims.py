"""The claims about what comes out: is the network better at the end, and is it there sooner?

How they are judged: `comparisons.py`.

- **accuracy** compares the shares of wrong answers at the end.
- **time** compares the iterations until a run is as good as the base method's is at the end, with the same seed: until
  it has no more wrong answers than that, give or take 2% of them (a difference that is called none elsewhere too).
  Seconds depend on the machine: they stand beside it and decide nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from minidl.experiments.reproduce.claims import UNDECIDED, UNLEARNED, Finding
from minidl.experiments.reproduce.comparisons import Measure, compare, numbers_of, steps_summary
from minidl.experiments.reproduce.evidence import (
    Arms,
    Run,
    arms_of,
    cpu_seconds_to,
    diverged,
    final_accuracy,
    final_error,
    have_learned,
    iterations_to,
    median,
    seconds_to,
)
from minidl.experiments.reproduce.grids import grids_of
from minidl.experiments.reproduce.names import accuracies_count, words_of
from minidl.experiments.results import NEVER
from minidl.experiments.verdict import DIVERGED, SMALLEST_EFFECT


def judge_outcomes(collected: dict[str, Any], method: str) -> list[Finding]:
    """The findings of a method about accuracy and time; none where accuracies say nothing."""
    if not accuracies_count(collected):
        return []
    arms = {
        arm: looked
        for arm, runs in arms_of(collected, method).items()
        if (looked := {seed: run for seed, run in runs.items() if "looks" in run})
    }
    if not arms:
        return []
    where = {"recipe": collected["recipe"], "scale": collected["scale"], "method": method}
    grids = grids_of(collected, method)
    time = compare("time", arms, where, ITERATIONS, grids)
    found = [
        compare("accuracy", arms, where, ERRORS, grids),
        replace(time, statistics=(*time.statistics, *_seconds(arms))),
    ]
    guess = words_of(collected["recipe"]).classes
    if not any(have_learned(list(runs.values()), guess) for runs in arms.values()):
        best = max(-median([-final_accuracy(run) for run in runs.values()]) for runs in arms.values())
        ends = f"the best one ends at {best:.2%}" if math.isfinite(best) else "none has an accuracy at the end"
        why = f"No arm learned the task: {ends}, guessing gives {1 / guess:.1%}."
        return [
            replace(one, word=UNDECIDED, sentence=why, because=UNLEARNED, statistics=(), numbers={}) for one in found
        ]
    if not have_learned(list(arms.get("uniform", {}).values()), guess):
        why = "One rate learned nothing at the recipe's rate, so there is no accuracy that others could reach sooner."
        found[1] = replace(found[1], word=UNDECIDED, sentence=why, because=UNLEARNED, statistics=(), numbers={})
    return found


def _reached(run: Run, base: Run, until: Callable[[Run, float], float]) -> float:
    """Until a run is as good as the base method's run is at the end; that one itself never is if it diverged."""
    if diverged(base):
        return math.inf if diverged(run) else until(run, 0.0)
    return until(run, 1.0 - final_error(base) * (1.0 + SMALLEST_EFFECT))


def _right(errors: Sequence[float]) -> str:
    error = median(errors)
    return f"{1 - error:.2%}" if math.isfinite(error) else "diverged"


_UNTIL = "iterations until as good as one rate is at the end"
ERRORS = Measure(lambda run, base: final_error(run), DIVERGED, "right answers at the end", _right)
ITERATIONS = Measure(lambda run, base: _reached(run, base, iterations_to), NEVER, _UNTIL, steps_summary, True)
SECONDS = Measure(lambda run, base: _reached(run, base, seconds_to), NEVER, "seconds until then", steps_summary)
CPU_SECONDS = Measure(lambda run, base: _reached(run, base, cpu_seconds_to), NEVER, "the same", steps_summary)


def _seconds(arms: Arms) -> list[str]:
    """How the seconds compare, by the processor's clock and by the wall's."""
    lines = []
    for measure, clock in ((CPU_SECONDS, "the processor's seconds"), (SECONDS, "seconds by the clock")):
        if "ln" not in arms or "uniform" not in arms:
            continue
        own, base = (numbers_of({k: arms[k] for k in ("ln", "uniform")}, arm, measure) for arm in ("ln", "uniform"))
        ratios = [a / b for a, b in zip(own, base, strict=False) if math.isfinite(a) and math.isfinite(b) and b > 0]
        if ratios:
            lines.append(f"In {clock}, at the recipe's rate: {median(ratios):.2f} times those of one rate (median of "
                         f"{len(ratios)} seed{'s' * (len(ratios) != 1)}).")  # fmt: skip
    return lines
