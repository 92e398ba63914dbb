"""The claims about what comes out: is the network better at the end, and is it there sooner?

Both are judged by `experiments/verdict.py`, twice:

- **at the recipe's rate**: a rate per layer against one rate, and against the two controls that are as large but the
  same for all layers;
- **each at its best rate**: the same against one rate, and one rate step by step, where a search over the same grid
  chose the base rate of each. (The constant control is left out there: it is a single rate between two of the grid.)

Confirmed is what helps in both. If in the first a control does as well, or in the second one rate does as well, it is
only the larger rate. If one rate as it is in the recipe does as well, or better, the claim is not confirmed; and if the
two disagree, or the second was not run, it is undecided.

- **accuracy** compares the shares of wrong answers at the end.
- **time** compares the iterations until a run is as good as the base method's is at the end, with the same seed: until
  it has no more wrong answers than that, give or take 2% of them (a difference that is called none elsewhere too).
  Seconds depend on the machine: they stand beside it and decide nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from minidl.experiments import verdict as verdicts
from minidl.experiments.answer import later_half
from minidl.experiments.arms import TITLES
from minidl.experiments.reproduce.claims import (
    CONFIRMED,
    LARGER_RATE,
    NOT_CONFIRMED,
    UNDECIDED,
    Finding,
    seeds_words,
)
from minidl.experiments.reproduce.evidence import (
    Arms,
    Run,
    arms_of,
    cpu_seconds_to,
    diverged,
    final_accuracy,
    final_error,
    ids_of,
    iterations_to,
    median,
    seconds_to,
    shared_seeds,
)
from minidl.experiments.reproduce.names import accuracies_count, arm_named, words_of
from minidl.experiments.results import NEVER
from minidl.experiments.verdict import SMALLEST_EFFECT, Verdict, judge
from minidl.plot.words import listed

# {what is compared: {the name that verdict.py knows: the arm}}
RECIPE = {"layer-specific": "ln", "uniform": "uniform", "constant": "constant", "per-step": "per-step"}
TUNED = {"layer-specific": "ln-tuned", "uniform": "uniform-tuned", "per-step": "per-step-tuned"}
_OURS = {  # what verdict.py calls the arms, and what this report does
    "Layer-specific": "A rate per layer",
    "layer-specific": "a rate per layer",
    TITLES["constant"]: arm_named("constant"),
    TITLES["per-step"]: arm_named("per-step"),
    TITLES["uniform"]: arm_named("uniform"),
}
LEARNED = 3.0  # times what guessing gives: below that nothing was learned

Measure = Callable[[Run, Run], float]  # of a run, and of the base method's run with the same seed and rate


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
    found = [_finding("accuracy", arms, where), _finding("time", arms, where)]
    guess = words_of(collected["recipe"]).classes
    best = max(-median([-final_accuracy(run) for run in runs.values()]) for runs in arms.values())
    if guess and best < min(0.5, LEARNED / guess):
        why = f"No arm learned the task: the best one ends at {best:.1%}, guessing gives {1 / guess:.1%}."
        found = [Finding(one.claim, **where, word=UNDECIDED, sentence=why, runs=one.runs) for one in found]
    return found


def measures() -> dict[str, tuple[Measure, str]]:
    """{measure: (its number, small is good; what it is called when there is none)}."""
    return {
        "accuracy": (lambda run, base: final_error(run), verdicts.DIVERGED),
        "time": (lambda run, base: _reached(run, base, iterations_to), NEVER),
        "seconds": (lambda run, base: _reached(run, base, seconds_to), NEVER),
        "cpu seconds": (lambda run, base: _reached(run, base, cpu_seconds_to), NEVER),
    }


def _reached(run: Run, base: Run, until: Callable[[Run, float], float]) -> float:
    """Until a run is as good as the base method's run is at the end; that one itself never is if it diverged."""
    if diverged(base):
        return math.inf if diverged(run) else until(run, 0.0)
    return until(run, 1.0 - final_error(base) * (1.0 + SMALLEST_EFFECT))


def to_base(arms: Arms, arm: str, measure: str) -> list[float]:
    """A number a seed: iterations or seconds of an arm until it is as accurate as the base method ends."""
    base = "uniform-tuned" if arm.endswith("-tuned") else "uniform"
    number = measures()[measure][0]
    return [number(arms[arm][seed], arms[base][seed]) for seed in shared_seeds(arms, [arm, base])]


def compared(arms: Arms, names: dict[str, str], measure: str) -> Verdict | None:
    """The verdict on those of the named arms that were run; None without both a rate per layer and one rate."""
    own, base = names["layer-specific"], names["uniform"]
    found = _paired(arms, names)
    if not found.get(own) or not found.get(base):
        return None
    number, lost = measures()[measure]
    numbers = {
        key: [number(run, found[base][seed]) for seed, run in found[arm].items()]
        for key, arm in names.items()
        if arm in found
    }
    return judge(numbers, lost)


def combined(recipe: Verdict | None, tuned: Verdict | None, controls: bool) -> tuple[str, str]:
    """The word for both comparisons, and what it needs to be understood.

    Args:
        recipe, tuned: the two verdicts, None for one that was not run.
        controls: whether both controls were run at the recipe's rate.
    """
    first, second = (None if found is None else found.kind for found in (recipe, tuned))
    if first is None or first == verdicts.UNDECIDED:
        return UNDECIDED, "Not run at the recipe's rate." if first is None else ""
    if first != verdicts.HELPS and second == verdicts.HELPS:
        return UNDECIDED, "The two comparisons disagree: at its best rate it helps."
    if first == verdicts.LARGER_RATE:
        return LARGER_RATE, ""
    if first in (verdicts.NO_DIFFERENCE, verdicts.HURTS):
        return NOT_CONFIRMED, "It hurts." if first == verdicts.HURTS else ""
    if second is None:
        return UNDECIDED, "It helps at the recipe's rate; whether a tuned single rate does as well was not run."
    if second == verdicts.UNDECIDED:
        return UNDECIDED, "It helps at the recipe's rate; each at its best rate, the seeds do not settle it."
    if second == verdicts.HELPS:
        return (CONFIRMED, "") if controls else (UNDECIDED, "One of the two controls was not run.")
    return LARGER_RATE, "Each at its best rate, one rate does as well."


def _finding(claim: str, arms: Arms, where: dict[str, Any]) -> Finding:
    recipe, tuned = (compared(arms, names, claim) for names in (RECIPE, TUNED))
    named = [arm for names in (RECIPE, TUNED) for arm in names.values() if arm in arms]
    if recipe is None:
        missing = [arm_named(arm) for arm in ("ln", "uniform") if arm not in arms] or ["the same seeds in both"]
        why = f"Not run: {listed(missing)}."
        return Finding(claim, **where, word=UNDECIDED, sentence=why, runs=tuple(ids_of(arms, named)))
    word, why = combined(recipe, tuned, all(arm in arms for arm in RECIPE.values()))
    words = _accuracies if claim == "accuracy" else _iterations
    own = _paired(arms, RECIPE)
    sentence = f"{seeds_words(len(own['ln']))}: {words(own, RECIPE)}. "
    statistics = [f"At the recipe's rate: {_reason(recipe)}"]
    if tuned is not None:
        sentence += f"Each at its own best rate, {words(_paired(arms, TUNED), TUNED)}. "
        statistics.append(f"Each at its best rate: {_reason(tuned)}")
    ends = {arm: _plain(median([final_error(run) for run in runs.values()])) for arm, runs in own.items()}
    numbers: dict[str, Any] = {"seeds": len(own["ln"]), "errors": ends, "recipe": _data(recipe)}
    numbers["tuned"] = None if tuned is None else _data(tuned)
    if claim == "time":
        statistics += _seconds(arms)
    return Finding(claim, **where, word=word, sentence=f"{sentence}{why}".strip(), statistics=tuple(statistics),
                   numbers=numbers, runs=tuple(ids_of(arms, named)))  # fmt: skip


def _reason(found: Verdict) -> str:
    """What came out and why, in this report's names."""
    text = f"{found.kind}. {found.reason}"
    for words, ours in _OURS.items():
        text = text.replace(words, ours)
    return text


def _data(found: Verdict) -> dict[str, Any]:
    """The verdict's numbers as plain data."""
    pairings = [{key: _plain(value) for key, value in one.items()} for one in found.as_dict()["pairings"]]
    return {"kind": found.kind, "pairings": pairings}


def _plain(value: Any) -> Any:
    """What is not finite is null in a file."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _paired(arms: Arms, names: dict[str, str]) -> Arms:
    """Those of the named arms that were run, with the seeds that all of them have."""
    there = [arm for arm in names.values() if shared_seeds(arms, [names["layer-specific"], names["uniform"], arm])]
    return {arm: {seed: arms[arm][seed] for seed in shared_seeds(arms, there)} for arm in there}


def _accuracies(arms: Arms, names: dict[str, str]) -> str:
    def end(arm: str) -> str:
        error = median([final_error(run) for run in arms[arm].values()])
        return f"{1 - error:.2%}" if math.isfinite(error) else "diverged"

    return f"right answers at the end: {_each(end, arms, names)}"


def _iterations(arms: Arms, names: dict[str, str]) -> str:
    def until(arm: str) -> str:
        steps = to_base(arms, arm, "time")
        middle = later_half([None if math.isinf(s) else int(s) for s in steps])
        never = sum(map(math.isinf, steps))
        return ("never" if math.isinf(middle) else f"{middle:,.0f}") + (f" ({never} never)" * (0 < never < len(steps)))

    return f"iterations until as good as one rate is at the end: {_each(until, arms, names)}"


def _each(number: Callable[[str], str], arms: Arms, names: dict[str, str]) -> str:
    """The number of each arm, in words."""
    return ", ".join(
        f"{arm_named(arm).removesuffix(' (tuned)')} {number(arm)}" for arm in names.values() if arm in arms
    )


def _seconds(arms: Arms) -> list[str]:
    """How the seconds compare, by the processor's clock and by the wall's."""
    lines = []
    for measure in ("cpu seconds", "seconds"):
        own, base = (to_base(arms, arm, measure) for arm in ("ln", "uniform"))
        ratios = [a / b for a, b in zip(own, base, strict=False) if math.isfinite(a) and math.isfinite(b) and b > 0]
        if ratios:
            clock = "processor's seconds" if measure == "cpu seconds" else "seconds by the clock"
            lines.append(f"In {clock}, at the recipe's rate: {median(ratios):.2f} times those of one rate (median of "
                         f"{len(ratios)} seeds).")  # fmt: skip
    return lines
