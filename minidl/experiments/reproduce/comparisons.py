"""A rate per layer against the arms in which no layer differs from another, twice, by one number a run.

Both comparisons are judged by `experiments/verdict.py`:

- **at the recipe's rate**: a rate per layer against one rate, and against the two controls that are as large but the
  same for all layers;
- **each at its best rate**: the same against one rate, and one varying rate, where a search over the same grid chose
  the base rate of each. (The constant control is left out there: a constant times t is one rate again.)

Both have to decide; the second does so only with as many seeds as can, and where a rule's better rate beyond the edge
of its grid would not turn it. Then:

| at the recipe's rate | each at its best rate | the word |
|---|---|---|
| helps | helps | confirmed |
| helps, or a larger rate does as well | a larger rate or one rate does as well or better | only the larger rate |
| one rate does as well, or better | one rate does as well, or better | not confirmed |
| else | | undecided: they disagree |
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from minidl.experiments import verdict as verdicts
from minidl.experiments.arms import TITLES
from minidl.experiments.reproduce.claims import (
    AHEAD,
    CONFIRMED,
    LARGER_RATE,
    NOT_CONFIRMED,
    UNDECIDED,
    UNRUN,
    WORSE,
    Finding,
    fewest,
    seeds_words,
)
from minidl.experiments.reproduce.evidence import Arms, Run, ids_of, median, shared_seeds
from minidl.experiments.reproduce.grids import Grid
from minidl.experiments.reproduce.names import arm_named
from minidl.experiments.verdict import Verdict, judge
from minidl.plot.words import listed

Grids = Mapping[str, Grid]  # {rule: what its tuning found}

# {the name that verdict.py knows: the arm}
RECIPE = {"layer-specific": "ln", "uniform": "uniform", "constant": "constant", "per-step": "per-step"}
TUNED = {"layer-specific": "ln-tuned", "uniform": "uniform-tuned", "per-step": "per-step-tuned"}

_OURS = {  # what verdict.py calls the arms, and what this report does
    "Layer-specific": "A rate per layer",
    "layer-specific": "a rate per layer",
    TITLES["constant"]: arm_named("constant"),
    TITLES["per-step"]: arm_named("per-step"),
    TITLES["uniform"]: arm_named("uniform"),
}


_AT_THE_RECIPES_RATE = {  # which was chosen for one rate for all layers
    verdicts.HELPS: "It helps at the recipe's rate",
    verdicts.LARGER_RATE: "At the recipe's rate a larger rate does as well",
    verdicts.NO_DIFFERENCE: "At the recipe's rate there is no difference that counts",
    verdicts.HURTS: "It hurts at the recipe's rate",
    verdicts.UNDECIDED: "At the recipe's rate the seeds do not settle it",
}

_AT_ITS_BEST = {
    verdicts.HELPS: "it helps",
    verdicts.LARGER_RATE: f"{arm_named('per-step')} does as well",
    verdicts.NO_DIFFERENCE: f"{arm_named('uniform')} does as well",
    verdicts.HURTS: "it hurts",
    verdicts.UNDECIDED: "the seeds do not settle it",
}
_AHEAD = "ahead of one rate, but the seeds do not settle whether a control does as well"
_ALONE = "ahead of one rate, but no control was run on as many seeds"
_COMPARISON = "the comparison of each at its best rate"
NOT_RUN = "was not run"


@dataclass(frozen=True)
class Measure:
    """What is compared.

    Attributes:
        number: of a run, and of the base method's run with the same seed and kind of base rate; small is good, and
            infinite is what there is none of.
        lost: what it is called when there is none.
        words: what the numbers are, before a colon.
        summary: the numbers of an arm's seeds in a word or two.
        relative: whether the number of every run depends on the base method's: then another rate for that moves all.
    """

    number: Callable[[Run, Run], float]
    lost: str
    words: str
    summary: Callable[[Sequence[float]], str]
    relative: bool = False


def steps_summary(steps: Sequence[float]) -> str:
    """The median over the seeds, of which one that never gets there is the last, and how many never do."""
    middle, never = median(steps), sum(map(math.isinf, steps))
    if math.isinf(middle):
        return "never" + f" in {never} of {len(steps)}" * (never < len(steps))
    return f"{middle:,.0f}" + f" ({never} never)" * (never > 0)


def numbers_of(arms: Arms, arm: str, measure: Measure) -> list[float]:
    """A number for each seed that the arm shares with the base method's arm of the same kind of base rate."""
    base = "uniform-tuned" if arm.endswith("-tuned") else "uniform"
    return [measure.number(arms[arm][seed], arms[base][seed]) for seed in shared_seeds(arms, [arm, base])]


def paired_arms(arms: Arms, names: dict[str, str]) -> Arms:
    """Those of the named arms that were run, with the seeds that all of them have.

    A control that was run on too few of the seeds to decide anything, where the others decide, counts as not run.
    """
    there = [names["layer-specific"], names["uniform"]]
    enough = min(len(shared_seeds(arms, there)), fewest())
    for arm in names.values():
        if arm not in there and len(shared_seeds(arms, [*there, arm])) >= max(enough, 1):
            there.append(arm)
    there = [arm for arm in names.values() if arm in there and arm in arms]
    return {arm: {seed: arms[arm][seed] for seed in shared_seeds(arms, there)} for arm in there}


def compared(arms: Arms, names: dict[str, str], measure: Measure) -> Verdict | None:
    """The verdict on those of the named arms that were run; None without both a rate per layer and one rate."""
    found = paired_arms(arms, names)
    if not found.get(names["layer-specific"]) or not found.get(names["uniform"]):
        return None
    numbers = {key: numbers_of(found, arm, measure) for key, arm in names.items() if arm in found}
    return judge(numbers, measure.lost)


def lacking(arms: Arms, tuned: Verdict | None, grids: Grids) -> str:
    """What the comparison at the best rates lacks to decide anything, in words that follow it; "" if it has all.

    Args:
        arms: those that are compared there (`paired_arms`).
        tuned: the verdict on them.
        grids: what their tuning found.
    """
    nowhere = _led_nowhere(tuned, grids)
    if nowhere:
        return f"is not known: {listed([f'the grid of {arm_named(rule)} {grids[rule].lack}' for rule in nowhere])}"
    if tuned is None:
        return f"has runs of {_named(_rules(arms))} alone" if any(arms.values()) else NOT_RUN
    seeds = len(arms[TUNED["layer-specific"]])
    if seeds < fewest():
        return f"was run on {seeds_words(seeds)}"
    undone = _undone(arms, grids)
    if undone:
        return f"is not known: {listed([f'the grid of {arm_named(rule)} {lack}' for rule, lack in undone.items()])}"
    if TUNED["per-step"] not in arms and tuned.pairings[0].better:
        return f"lacks {arm_named('per-step')}, as large and the same for all layers"
    return ""


def _undone(arms: Arms, grids: Grids) -> dict[str, str]:
    """The rules that are compared at their best rates, though these are not known yet, and what their grids lack."""
    lacks = {rule: grids[rule].lack if rule in grids else "has none of its runs" for rule in _rules(arms)}
    return {rule: lack for rule, lack in lacks.items() if lack}


def _led_nowhere(tuned: Verdict | None, grids: Grids) -> list[str]:
    """The rules without which nothing is decided, and whose grid is done with no rate that leads anywhere.

    More runs do not help there. The control counts where a rate per layer is ahead.
    """
    needed = ("ln", "uniform", *(["per-step"] if tuned is not None and tuned.pairings[0].better else []))
    return [rule for rule in needed if rule in grids and grids[rule].done and grids[rule].best is None]


def open_ended(arms: Arms, tuned: Verdict, grids: Grids, relative: bool = False) -> str:
    """Whose better rate beyond the edge of its grid could turn what came out at the best rates; "" if nobody's.

    Args:
        arms, tuned, grids: as of `lacking`.
        relative: whether every number depends on one rate's (`Measure`).
    """
    turning = [rule for rule in _at_edges(arms, grids) if _could_turn(rule, tuned, relative)]
    if turning:
        return f"each at its best rate {_at_its_best(tuned)}, but {_beyond(turning)}"
    return ""


def _is_ahead(found: Verdict) -> bool:
    """Whether a rate per layer beats one rate, though the controls leave the verdict open."""
    return found.kind == verdicts.UNDECIDED and bool(found.pairings) and found.pairings[0].better


def _ahead_words(found: Verdict) -> str:
    return f"it is {_AHEAD if len(found.pairings) > 1 else _ALONE}"


def _at_the_recipes_rate(found: Verdict) -> str:
    return f"At the recipe's rate {_ahead_words(found)}" if _is_ahead(found) else _AT_THE_RECIPES_RATE[found.kind]


def _at_its_best(found: Verdict) -> str:
    return _ahead_words(found) if _is_ahead(found) else _AT_ITS_BEST[found.kind]


def _rules(arms: Arms) -> list[str]:
    """The rules that are compared at their best rates."""
    return [arm.removesuffix("-tuned") for arm in arms]


def _at_edges(arms: Arms, grids: Grids) -> list[str]:
    """Those of them that have these at the edge of their grids."""
    return [rule for rule in _rules(arms) if rule in grids and grids[rule].at_edge]


def _could_turn(rule: str, tuned: Verdict, relative: bool) -> bool:
    """Whether a better rate for this rule could turn what came out.

    For a rate per layer that is what it has lost, for a rival what a rate per layer has won. That a larger rate
    explains it rests on what is gained over one rate: a better one leaves less of that. And what is counted until one
    rate is reached moves with one rate.
    """
    if tuned.kind == verdicts.UNDECIDED:
        return False
    if rule == "uniform" and (relative or tuned.kind == verdicts.LARGER_RATE):
        return True
    return (rule == "ln") == (tuned.kind != verdicts.HELPS)


def _named(rules: Sequence[str]) -> str:
    return listed(list(map(arm_named, rules)))


def _beyond(rules: Sequence[str]) -> str:
    return f"the best rate for {_named(rules)} is at the edge of its grid: a better one may lie beyond"


def combined(recipe: Verdict | None, tuned: Verdict | None, controls: bool, lack: str = "") -> tuple[str, str]:
    """The word for both comparisons, and what it needs to be understood.

    Args:
        recipe, tuned: the two verdicts, None for one that was not run.
        controls: whether both controls were run at the recipe's rate.
        lack: why the second comparison decides nothing, as a clause (`lacking`, `open_ended`).
    """
    if recipe is None:
        return UNDECIDED, "Not run at the recipe's rate."
    if tuned is None or lack:
        return UNDECIDED, f"{_at_the_recipes_rate(recipe)}; {lack or f'{_COMPARISON} {NOT_RUN}'}."
    why = f"{_at_the_recipes_rate(recipe)}; each at its best rate, {_at_its_best(tuned)}."
    if verdicts.UNDECIDED in (recipe.kind, tuned.kind):
        return UNDECIDED, why
    if recipe.kind == tuned.kind == verdicts.HELPS:
        return (CONFIRMED, "") if controls else (UNDECIDED, "One of the two controls was not run, or on too few seeds.")
    better, best = (one.kind in (verdicts.HELPS, verdicts.LARGER_RATE) for one in (recipe, tuned))
    if better and tuned.kind != verdicts.HELPS:
        return LARGER_RATE, why
    return UNDECIDED if best else NOT_CONFIRMED, why


def compare(claim: str, arms: Arms, where: dict[str, Any], measure: Measure, grids: Grids) -> Finding:
    """The finding on a claim that one number a run decides.

    Args:
        claim: a key of `CLAIMS`.
        arms: the runs of one method.
        where: `recipe`, `scale` and `method`.
        measure: the number.
        grids: what the tuning of each rule found.
    """
    recipe, tuned = (compared(arms, names, measure) for names in (RECIPE, TUNED))
    named = tuple(ids_of(arms, [arm for names in (RECIPE, TUNED) for arm in names.values()]))
    if recipe is None:
        lost = [arm_named(arm) for arm in ("ln", "uniform") if arm not in arms] or ["the same seeds in both"]
        said = f"Not run: {listed(lost)}."
        return Finding(claim, **where, word=UNDECIDED, sentence=said, because=UNRUN, runs=named)
    own, best = paired_arms(arms, RECIPE), paired_arms(arms, TUNED)
    missing = lacking(best, tuned, grids)
    lack = f"{_COMPARISON} {missing}" if missing else ""
    if tuned is not None and not missing:
        lack = open_ended(best, tuned, grids, measure.relative)
    controls = all(arm in own for arm in RECIPE.values())
    word, why = combined(recipe, tuned, controls, lack)
    few = len(own["ln"]) < fewest()
    enough = tuned if len(best.get(TUNED["layer-specific"], ())) >= fewest() else None
    undone = _undone(best, grids)
    known = None if undone else enough
    because = _because(word, recipe, known, few, controls, bool(missing) and not _led_nowhere(tuned, grids))
    if tuned is not None:
        aside = [rule for rule in _at_edges(best, grids) if not _could_turn(rule, tuned, measure.relative)]
        why += f" (T{_beyond(aside)[1:]}.)" if aside else ""
    sentence = f"{seeds_words(len(own['ln']))}: {_each(own, RECIPE, measure)}. {_left_out(arms, own, RECIPE)}"
    statistics = [f"At the recipe's rate: {_reason(recipe)}"]
    if tuned is not None:
        seeds = seeds_words(len(best[TUNED["layer-specific"]]))
        same = ", which is the recipe's" if _are_the_recipes(own, best) else ""
        at = "Each at the best rate that is known so far" if undone else f"Each at its own best rate{same}"
        sentence += f"{at}, {seeds}: {_each(best, TUNED, measure)}. "
        sentence += _left_out(arms, best, TUNED)
        statistics.append(f"{at if undone else 'Each at its best rate'}: {_reason(tuned)}")
    numbers = {
        "seeds": len(own["ln"]),
        "medians": {arm: _plain(median(numbers_of(own, arm, measure))) for arm in own},
        "compared at their best": [] if tuned is None else list(best),
        "recipe": _data(recipe),
        "tuned": None if tuned is None else _data(tuned),
    }
    return Finding(claim, **where, word=word, sentence=f"{sentence}{why}".strip(), because=because,
                   statistics=tuple(statistics), numbers=numbers, runs=named)  # fmt: skip


def _because(word: str, recipe: Verdict, tuned: Verdict | None, few: bool, controls: bool, missing: bool) -> str:
    """What a word is due to, as a count has to tell it apart (`claims.Finding`).

    Args:
        word: that came out.
        recipe, tuned: the verdicts, the second None if it was not run on enough seeds, or the best rates may change.
        few: whether there are too few seeds at the recipe's rate.
        controls: whether both controls were run there.
        missing: whether the comparison at the best rates lacks runs.
    """
    if word != UNDECIDED:
        return WORSE if tuned is not None and recipe.kind == tuned.kind == verdicts.HURTS else ""
    if few:
        return UNRUN
    if recipe.kind == verdicts.UNDECIDED:  # whatever is run at the best rates
        if not recipe.pairings[0].better:
            return ""
        if tuned is not None and not tuned.pairings[0].better:
            return ""
        return AHEAD if controls else UNRUN
    if missing:  # unless what is there goes the other way already
        contrary = recipe.kind in (verdicts.NO_DIFFERENCE, verdicts.HURTS)
        return "" if contrary and tuned is not None and tuned.pairings[0].better else UNRUN
    if tuned is None:
        return ""
    if recipe.kind == tuned.kind == verdicts.HELPS and not controls:
        return UNRUN
    return AHEAD if recipe.kind == verdicts.HELPS and _is_ahead(tuned) else ""


def _left_out(arms: Arms, compared_: Arms, names: dict[str, str]) -> str:
    """Which of the named arms were run, but on too few of the seeds to be compared."""
    few = [arm_named(arm).removesuffix(" (tuned)") for arm in names.values() if arm in arms and arm not in compared_]
    return f"(On too few of these seeds to count: {listed(few)}.) " if few else ""


def _are_the_recipes(own: Arms, best: Arms) -> bool:
    """Whether the best rate of every rule is that at which it was run anyway."""
    pairs = [(own.get(RECIPE[key], {}), best[arm]) for key, arm in TUNED.items() if arm in best]
    rates = [{run.get("base_rate") for runs in pair for run in runs.values()} for pair in pairs]
    return all(first for first, _ in pairs) and all(len(found) == 1 and None not in found for found in rates)


def _each(arms: Arms, names: dict[str, str], measure: Measure) -> str:
    """The numbers of each arm, in words."""
    texts = [
        f"{arm_named(arm).removesuffix(' (tuned)')} {measure.summary(numbers_of(arms, arm, measure))}"
        for arm in names.values()
        if arm in arms
    ]
    return f"{measure.words}: {', '.join(texts)}"


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
