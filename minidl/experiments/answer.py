"""What a comparison found, for a reader in a hurry: a question, its answer in two sentences, and how fast and how good.

The sentences are made from the numbers of results.json and from its verdict, which decides by the final test loss
(`verdict.py`). They quote accuracies, which everybody understands, and say so where loss and accuracy disagree.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from minidl.experiments.arms import BASELINE, LAYER_SPECIFIC, RIVALS
from minidl.experiments.results import LEARNED, STEPS
from minidl.experiments.settings import TARGET_ACCURACY
from minidl.experiments.verdict import HELPS, HURTS, LARGER_RATE, NO_DIFFERENCE

QUESTION = "Does a rate for each layer help this network?"
PREFERRED = ("uniform-tuned", "constant", "constant-tuned", "per-step", "per-step-tuned")  # to be named as the rival


def what_it_does(arm: str, found: dict[str, Any]) -> str:
    """What an arm of a method multiplies the gradients by, in words with its numbers."""
    row = found["arms"][arm]
    rate, factor = f"{row['base_rate']:g}", middle_multiplier(row["mean_multiplier"])
    if row["same_runs_as"]:
        return f"the same runs as {row['same_runs_as']}: its own best rate is {rate} too"
    tuned = ", the best of the rates that were tried" if arm.endswith("-tuned") else ""
    words = {
        "uniform": f"every layer at {rate}",
        "layer-specific": f"each layer at {rate} \u00d7 (1 + ln(1 + 1/|g|)) of its own gradient g: {factor} on average",
        "constant": f"every layer at {rate} \u00d7 {factor}, the mean of layer-specific's factors",
        "per-step": f"every layer at {rate} \u00d7 layer-specific's mean factor of that step: {factor} on average",
    }
    return words[arm.removesuffix("-tuned")] + tuned


def answer(found: dict[str, Any], seeds: int) -> list[str]:
    """The answer of one method in two short sentences: whether it helps, and when it is ahead.

    Args:
        found: the method's entry in results.json.
        seeds: how many there are.
    """
    if found["verdicts"] is None:
        return ["No answer: it needs the arms layer-specific and uniform."]
    if not _learned(found):
        return [f"No answer. {next(iter(found['verdicts'].values()))['reason']}"]
    return [_whether(found, seeds), _when(found)]


def _whether(found: dict[str, Any], seeds: int) -> str:
    verdict = next(iter(found["verdicts"].values()))
    kind = verdict["kind"]
    own, uniform = ends(found, LAYER_SPECIFIC), ends(found, BASELINE)
    rate = f"{found['arms'][BASELINE]['base_rate']:g}"
    beside = f"a rate per layer reaches {own} where one rate of {rate} reaches {uniform}"
    rival = named_rival(found, [p["other"] for p in verdict["pairings"] if p["as_well"]])
    if kind == LARGER_RATE and rival is not None:
        return (
            f"On this network: no. {_capital(beside)}; but {_as_one_rate(rival, found)} reaches {ends(found, rival)}, "
            f"with as small a loss."
        )
    if kind == HELPS:
        rivals = [arm for arm in RIVALS if _is_run(arm, found)]
        best = max(rivals, key=lambda arm: median(found["arms"][arm]["test_accuracy"]), default=None)
        also = f", and the best larger rate, {_as_one_rate(best, found)}, {ends(found, best)}" if best else ""
        return f"On this network: yes. {_capital(beside)}{also}."
    if kind == HURTS:
        return f"On this network: no, it hurts. {_capital(beside)}."
    if kind == NO_DIFFERENCE:
        return f"On this network: no. {_capital(beside)}: too small a difference to matter."
    others = [arm for arm in RIVALS if _is_run(arm, found)]
    rival = named_rival(found, others)
    also = f", and {_as_one_rate(rival, found)} {ends(found, rival)}" if rival is not None else ""
    return f"On this network: not decided. {_capital(beside)}{also}; {seeds} seed{'s' * (seeds > 1)} do not settle it."


def _when(found: dict[str, Any]) -> str:
    """Who is fast, and who is ahead at the end, told apart and reconciled."""
    steps = {arm: later_half(row["steps_to_target"]) for arm, row in found["arms"].items() if _is_run(arm, found)}
    own, others = steps[LAYER_SPECIFIC], {arm: count for arm, count in steps.items() if arm != LAYER_SPECIFIC}
    target, first = f"{TARGET_ACCURACY:.0%}", min(others.values())
    if math.isinf(own):
        faster = [arm for arm, count in others.items() if math.isfinite(count)]
        if not faster:
            return f"No arm reaches {target} in most seeds."
        return f"It does not reach {target} in most seeds; {_list(faster)} {_verb(faster)}."
    helps = next(iter(found["verdicts"].values()))["kind"] == HELPS
    if own < first:
        rest = (
            "no other arm does in most seeds" if math.isinf(first) else f"all others need {_or_more(others.values())}"
        )
        end = "and it is ahead at the end too" if helps else "but it does not end better"
        return f"It is faster on the way, {end}: it needs {own:.0f} steps to {target}, {rest}."
    if own == first:
        as_fast = _list(arm for arm, count in others.items() if count == own)
        return f"It is no faster on the way: like {as_fast} it needs {own:.0f} steps to {target}."
    ahead = [arm for arm, count in others.items() if count < own]
    end = ", though it is ahead at the end" if helps else ""
    return f"It is no faster on the way{end}: it needs {own:.0f} steps to {target}, {_list(ahead)} {first:.0f} or more."


def in_detail(found: dict[str, Any]) -> list[str]:
    """What the two sentences leave out: how sure the speed is, and where loss and accuracy disagree."""
    if found["verdicts"] is None or not _learned(found):
        return []
    lines = []
    verdicts = found["verdicts"]
    if STEPS in verdicts and math.isfinite(later_half(found["arms"][LAYER_SPECIFIC]["steps_to_target"])):
        pairings = verdicts[STEPS]["pairings"]
        sure = [p["other"] for p in pairings if p["outcome"] == "beats"]
        open_ = [p["other"] for p in pairings if p["outcome"] != "beats"]
        proved = f"provably sooner than {_list(sure)}" if sure else "provably sooner than no other arm"
        lines.append(
            f"On the way to {TARGET_ACCURACY:.0%} a rate per layer is {proved}"
            + (f"; against {_list(open_)} these seeds prove nothing." if open_ and sure else ".")
        )
    (deciding, by_loss), *_ = verdicts.items()
    by_error = {p["other"]: p["outcome"] for p in verdicts.get("error rate", {"pairings": []})["pairings"]}
    unlike = [
        p["other"] for p in by_loss["pairings"] if (p["outcome"] == "beats") != (by_error.get(p["other"]) == "beats")
    ]
    losses = "; ".join(f"{arm} {_loss(row)}" for arm, row in found["arms"].items() if _is_run(arm, found))
    lines.append(f"At the end the {deciding} decides, which also counts how sure a network is. Medians: {losses}.")
    if by_error and unlike:
        lines.append(
            f"Counted by wrong answers alone the outcome against {_list(unlike)} is another one: see the statistics."
        )
    return lines


# ---- numbers in words


def median(values: Sequence[float]) -> float:
    """The median; what is not finite counts as larger than everything else."""
    return float(np.median(np.where(np.isfinite(values), values, np.inf)))


def later_half(steps: Sequence[int | None]) -> float:
    """The steps after which half of the seeds or more had arrived; infinite if less than half ever did."""
    ordered = sorted(math.inf if s is None else float(s) for s in steps)
    return ordered[(len(ordered) - 1) // 2]


def middle_multiplier(multipliers: Sequence[float]) -> str:
    """The median of the mean multipliers of those seeds in which there is one."""
    known = [value for value in multipliers if np.isfinite(value)]
    return f"{np.median(known):.2f}" if known else "none that is finite"


def ends(found: dict[str, Any], arm: str) -> str:
    """The median accuracy at the end."""
    return f"{median(found['arms'][arm]['test_accuracy']):.1%}"


def named_rival(found: dict[str, Any], arms: Sequence[str]) -> str | None:
    """The one of `arms` that is easiest to understand."""
    return next((arm for arm in PREFERRED if arm in arms and _is_run(arm, found)), None)


def _as_one_rate(arm: str, found: dict[str, Any]) -> str:
    """A control as the single rate that it is."""
    row = found["arms"][arm]
    rate, factor = row["base_rate"], [m for m in row["mean_multiplier"] if np.isfinite(m)]
    if arm == "uniform-tuned" or not factor:
        return f"one rate of {rate:g}"
    product = f"{rate * float(np.median(factor)):.3g}"
    return f"one rate of {product}" if arm.startswith("constant") else f"one rate for all, {product} on average,"


def _learned(found: dict[str, Any]) -> bool:
    """Whether some arm learned the task."""
    return max(median(row["test_accuracy"]) for row in found["arms"].values()) >= LEARNED


def _is_run(arm: str, found: dict[str, Any]) -> bool:
    return arm in found["arms"] and not found["arms"][arm]["same_runs_as"]


def _loss(row: dict[str, Any]) -> str:
    loss = median(row["test_loss"])
    return f"{loss:.3f}" if np.isfinite(loss) else "diverged"


def _or_more(counts: Any) -> str:
    known = [count for count in counts if math.isfinite(count)]
    never = len(list(counts)) - len(known)
    return f"{min(known):.0f} or more" + (", or never get there" if never else "")


def _list(arms: Any) -> str:
    *most, last = arms
    return f"{', '.join(most)} and {last}" if most else str(last)


def _verb(arms: Sequence[str]) -> str:
    return "do" if len(arms) > 1 else "does"


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]
