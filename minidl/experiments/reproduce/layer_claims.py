"""The claims about layers: where gradients are small, who learns slowly, and whom a rate per layer speeds up.

Every number compares two halves of a network: the layers near the input with those near the output (geometric means
over the layers of a half; of an odd number the middle layer counts for neither). "Along the way" is the median over the
recorded steps, half of which lie in the first quarter of a run.

- **gradients**: under one rate the norm is at least `EXTREME` times larger near the output, at the start and along the
  way (of the two factors of a seed the smaller one counts).
- **slow**: under one rate the relative update of a step, |dw|/|w|, is at least `SLOWER` times larger near the output.
- **speed**: near the input the relative update is at least `FASTER` times that under one rate, and at least `FASTER`
  times that under each control in which no layer differs from another. If only the first is established and for one of
  the controls the contrary, it is the larger rate. An arm that learned nothing, or whose layers near the input stand
  still, is no measure of speed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from minidl.experiments.reproduce.claims import (
    AHEAD,
    CONFIRMED,
    ESTABLISHED,
    FEW,
    LARGER_RATE,
    NOT_CONFIRMED,
    REFUTED,
    UNDECIDED,
    UNLEARNED,
    UNRUN,
    Finding,
    exceeds,
    fewest,
    seeds_words,
)
from minidl.experiments.reproduce.evidence import (
    Arms,
    Run,
    arms_of,
    by_layer,
    decades_deeper,
    have_learned,
    ids_of,
    median,
    near_input_and_output,
    shared_seeds,
    vanished,
)
from minidl.experiments.reproduce.names import CONTROLS, arm_named, words_of
from minidl.plot.words import listed, positional

EXTREME = 10.0
SLOWER = 2.0
FASTER = 1.1
SINGLE = 2.0**-24  # of a number, below which float32 does not change it
LOST = 1e-10  # |dw|/|w| below which less than one weight in a hundred changes, since weights differ in size


def judge_layers(collected: dict[str, Any], method: str) -> list[Finding]:
    """The three findings of a method; none where no layer was recorded."""
    arms = {
        arm: {seed: run for seed, run in runs.items() if len(by_layer(run, "norms")) >= 2}
        for arm, runs in arms_of(collected, method).items()
    }
    if not any(arms.values()):
        return []
    where = {"recipe": collected["recipe"], "scale": collected["scale"], "method": method}
    classes = words_of(collected["recipe"]).classes
    return [_gradients(arms, where, classes), _slow(arms, where, classes), _speed(arms, where, classes)]


def _gradients(arms: Arms, where: dict[str, Any], classes: int) -> Finding:
    runs = list(arms.get("uniform", {}).values())
    if not runs:
        return _not_run("gradients", where, ["uniform"])
    start, way = ([decades_deeper(run, "norms", when) for run in runs] for when in ("first", "middle"))
    smaller = [min(a, b) for a, b in zip(start, way, strict=True)]
    shallow, deep = _halves(runs, "norms", "first")
    shown = exceeds(smaller, math.log10(EXTREME))
    norms = (
        f"at the start the gradient's norm is {shallow:.2g} near the input and {deep:.2g} near the output, "
        f"{_times(start)}; along the way {_times(way)}. Both have to be {EXTREME:g} times."
    )
    norms = norms if math.isfinite(shallow) and math.isfinite(deep) else "no norm was recorded in most of them."
    sentence = f"{seeds_words(len(runs))}: {norms}{_of_vanished('one rate', runs)}{_of_no_training(runs, classes)}"
    statistics = (f"At least {EXTREME:g} times: {shown}; larger at all: {exceeds(smaller, 0.0)}.",)
    numbers = {"start": _plain(start), "way": _plain(way), "near_input": shallow, "near_output": deep}
    return Finding("gradients", **where, **_word(shown, runs), sentence=sentence, statistics=statistics,
                   numbers=numbers, runs=tuple(ids_of(arms, ["uniform"])))  # fmt: skip


def _slow(arms: Arms, where: dict[str, Any], classes: int) -> Finding:
    runs = list(arms.get("uniform", {}).values())
    if not runs:
        return _not_run("slow", where, ["uniform"])
    way = [decades_deeper(run, "relative_updates", "middle") for run in runs]
    shallow, deep = _halves(runs, "relative_updates", "middle")
    shown = exceeds(way, math.log10(SLOWER))
    changes = (
        f"under one rate a step changes the layers near the input by {shallow:.2g} of their weights, those near the "
        f"output by {deep:.2g}, {_times(way)}.{_of_single_precision(shallow)}"
    )
    if not (math.isfinite(shallow) and math.isfinite(deep)):
        changes = "what a step changes was not recorded in most of them."
    sentence = f"{seeds_words(len(runs))}: {changes}{_of_no_training(runs, classes)}"
    return Finding("slow", **where, **_word(shown, runs), sentence=sentence,
                   statistics=(f"At least {SLOWER:g} times: {shown}.",),
                   numbers={"way": _plain(way), "near_input": shallow, "near_output": deep},
                   runs=tuple(ids_of(arms, ["uniform"])))  # fmt: skip


def _speed(arms: Arms, where: dict[str, Any], classes: int) -> Finding:
    missing = [arm for arm in ("ln", "uniform") if not arms.get(arm)]
    seeds = shared_seeds(arms, ["ln", "uniform"])
    if missing or not seeds:
        return _not_run("speed", where, missing or ["ln", "uniform"])
    rivals = [arm for arm in CONTROLS if arms.get(arm)]
    gains = {arm: _gains(arms, arm, "near input") for arm in ("uniform", *rivals)}
    shifts = {arm: _gains(arms, arm, "shift") for arm in ("uniform", *rivals)}
    shown = {arm: exceeds(gains[arm], math.log(FASTER)) for arm in gains}
    runs = {arm: list(arms[arm].values()) for arm in (*gains, "ln")}
    still = [arm for arm in runs if _halves(runs[arm], "relative_updates", "middle")[0] == 0]
    stuck = [*still, *(arm for arm in runs if arm not in still and not have_learned(runs[arm], classes))]
    word, because, why = _speed_word(shown, rivals, stuck, [arm for arm in gains if len(gains[arm]) < fewest()])
    if any(_unknown(gains[arm]) and shown[arm] == FEW and len(gains[arm]) >= fewest() for arm in gains):
        why = f"{why} In some of these seeds neither arm moves there, or it was not recorded.".strip()
    lines = [f"{_middle(gains[arm])} times that of {arm_named(arm)}" for arm in gains if arm not in still]
    stands = "stands" if len(still) == 1 else "stand"
    standing = f" ({_named(still)}: {stands} still in most seeds)" if still else ""
    multipliers = [near_input_and_output(by_layer(run, "multipliers")) for run in arms["ln"].values()]
    factors = (median([pair[0] for pair in multipliers]), median([pair[1] for pair in multipliers]))
    short = _of_single_precision(_halves(runs["uniform"], "relative_updates", "middle")[0])
    times = listed(lines) if lines else "not to be compared"
    sentence = (
        f"{seeds_words(len(seeds))}: along the way the relative update near the input, |dw|/|w|, is "
        f"{times}{standing}. Against one rate the layers near the input gain "
        f"{_middle(shifts['uniform'])} times what those near the output gain. {why}{short}"
        f"{_of_vanished(arm_named('ln'), runs['ln'])}"
    )
    statistics = [f"The rule's own factors: {factors[0]:.3g} near the input, {factors[1]:.3g} near the output."]
    statistics += [
        f"Against {arm_named(arm)}: {_factor(gains[arm])} times its relative update near the input, at least "
        f"{FASTER:g}: {shown[arm]}; gain near the input over gain near the output {_factor(shifts[arm])}."
        for arm in gains
        if arm not in still
    ]
    numbers = {
        "near_input": {arm: _plain(gains[arm]) for arm in gains},
        "shift": {arm: _plain(shifts[arm]) for arm in shifts},
        "multipliers": list(factors),
    }
    return Finding("speed", **where, word=word, because=because, sentence=sentence.strip(),
                   statistics=tuple(statistics), numbers=numbers,
                   runs=tuple(ids_of(arms, ["ln", "uniform", *rivals])))  # fmt: skip


def _speed_word(
    shown: dict[str, str], rivals: Sequence[str], stuck: Sequence[str], short: Sequence[str]
) -> tuple[str, str, str]:
    """The word, what it is due to (`claims.Finding`), and why.

    Args:
        shown: of one rate and the rivals.
        rivals: the controls that were run.
        stuck: the arms that stand still, or learned nothing.
        short: those that share too few seeds with a rate per layer to decide anything.
    """
    nothing = "A network that learns nothing, or stands still, is no measure of speed: "
    if "ln" in stuck or "uniform" in stuck:
        return UNDECIDED, UNLEARNED, f"{nothing}{_named([arm for arm in stuck if arm in ('ln', 'uniform')])}."
    if shown["uniform"] == REFUTED:
        return NOT_CONFIRMED, "", ""
    if shown["uniform"] == FEW:
        return UNDECIDED, UNRUN if "uniform" in short else "", ""
    if shown["uniform"] != ESTABLISHED:
        return UNDECIDED, "", "The seeds disagree."
    explained = [arm for arm in rivals if shown[arm] == REFUTED and arm not in stuck]
    if explained:
        return LARGER_RATE, "", f"As fast or faster: {_named(explained)}."
    if not rivals:
        return UNDECIDED, UNRUN, "No larger rate without differences between layers was run beside it."
    if stuck:
        return UNDECIDED, UNLEARNED, f"{nothing}{_named(stuck)}."
    missing = [arm for arm in CONTROLS if arm not in rivals]
    if missing:
        return UNDECIDED, UNRUN, f"Not run: {_named(missing)}."
    if all(shown[arm] == ESTABLISHED for arm in rivals):
        return CONFIRMED, "", ""
    unproved = [arm for arm in rivals if shown[arm] != ESTABLISHED]
    few = any(arm in short for arm in unproved)
    return UNDECIDED, UNRUN if few else AHEAD, f"Against {_named(unproved)} the seeds prove nothing."


def _named(arms: Sequence[str]) -> str:
    return listed(list(map(arm_named, arms)))


def _unknown(values: Sequence[float]) -> bool:
    return any(map(math.isnan, values))


def _gains(arms: Arms, other: str, what: str) -> list[float]:
    """For each shared seed the logarithm of how much farther a step goes under a rate per layer than in another arm.

    Near the input; for "shift", less what it is near the output.
    """
    found = []
    for seed in shared_seeds(arms, ["ln", other]):
        own, rival = (near_input_and_output(by_layer(arms[arm][seed], "relative_updates")) for arm in ("ln", other))
        gain = _log_ratio(own[0], rival[0])
        found.append(gain if what == "near input" else gain - _log_ratio(own[1], rival[1]))
    return found


def _log_ratio(above: float, below: float) -> float:
    if above > 0 and below > 0:
        return math.log(above / below)
    return (
        math.nan if above == below or math.isnan(above) or math.isnan(below) else math.copysign(math.inf, above - below)
    )


def _word(shown: str, runs: Sequence[Run]) -> dict[str, str]:
    """The word for what is shown of one rate alone, and what kept it from being another."""
    word = {ESTABLISHED: CONFIRMED, REFUTED: NOT_CONFIRMED}.get(shown, UNDECIDED)
    return {"word": word, "because": UNRUN if shown == FEW and len(runs) < fewest() else ""}


def _not_run(claim: str, where: dict[str, Any], arms: Sequence[str]) -> Finding:
    names = listed([arm_named(arm) for arm in arms])
    return Finding(
        claim, **where, word=UNDECIDED, because=UNRUN, sentence=f"Not run, or not for the same seeds: {names}."
    )


def _halves(runs: Sequence[Run], key: str, when: str) -> tuple[float, float]:
    """The medians over the runs of `key` near the input and near the output."""
    pairs = [near_input_and_output(by_layer(run, key, when)) for run in runs]
    return median([pair[0] for pair in pairs]), median([pair[1] for pair in pairs])


def _times(decades: Sequence[float]) -> str:
    """Factors, given as decades, in words: the median, and the range over the seeds."""
    known = [value for value in decades if not math.isnan(value)]
    if not known:
        return "which was not recorded"
    middle = median(known)
    span = f" ({_number(min(known))} to {_number(max(known))})" if len(known) > 1 else ""
    return f"{_number(middle)} times as much{span}"


def _number(decades: float) -> str:
    if decades == math.inf or decades > 15:
        return "infinitely many" if decades == math.inf else f"10^{decades:.0f}"
    return f"{10.0**decades:.2g}" if decades < 2 else positional(10.0**decades)


def _of_vanished(name: str, runs: Sequence[Run]) -> str:
    """In which runs of an arm the gradient of whole layers was 0, or too small to divide by."""
    lost = [f"in seed {run['seed']} at {part:.0%}" for run in runs if (part := vanished(run))]
    if not lost:
        return ""
    return (
        f" (Under {name} the gradient of a whole layer was 0, or too small for its dtype: {listed(lost)} of the "
        "layers and steps that were recorded.)"
    )


def _of_no_training(runs: Sequence[Run], classes: int) -> str:
    """That one rate does not train the network at all, where that is so."""
    return "" if have_learned(runs, classes) else " (Under one rate this network learns nothing.)"


def _of_single_precision(update: float) -> str:
    """What one rate's step of this part of the weights is where it is lost in float32's rounding."""
    if not 0 < update < LOST:
        return ""
    return (
        f" (Under one rate a step changes the layers near the input by {update:.0e} of their weights, which is lost in "
        f"single precision: that rounds at {SINGLE:.0e}, nearly all weights keep every bit, and what moves there are "
        "biases, which begin at 0.)"
    )


def _middle(logs: Sequence[float]) -> str:
    known = [value for value in logs if not math.isnan(value)]
    return _plainly(median(known)) if known else "an unknown number of"


def _factor(logs: Sequence[float]) -> str:
    known = [value for value in logs if not math.isnan(value)]
    if not known:
        return "(not known)"
    span = f" ({_plainly(min(known))} to {_plainly(max(known))})" if len(known) > 1 else ""
    return f"{_plainly(median(known))}{span}"


def _plainly(log: float) -> str:
    """The number of this natural logarithm, to three digits."""
    return f"{math.exp(log):.3g}" if log < math.log(1000) or log > 700 else f"{float(f'{math.exp(log):.3g}'):,.0f}"


def _plain(values: Sequence[float]) -> list[float | None]:
    return [value if math.isfinite(value) else None for value in values]
