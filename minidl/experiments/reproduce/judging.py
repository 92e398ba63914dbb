"""All findings of one experiment, and in words how they are found."""

from __future__ import annotations

from typing import Any

from minidl.experiments.reproduce.claims import CLAIMS, Finding, fewest
from minidl.experiments.reproduce.evidence import methods_of
from minidl.experiments.reproduce.layer_claims import EXTREME, FASTER, SLOWER, judge_layers
from minidl.experiments.reproduce.names import SADDLE
from minidl.experiments.reproduce.outcome_claims import judge_outcomes
from minidl.experiments.reproduce.page import Block, Folded, Text
from minidl.experiments.reproduce.saddle_claim import judge_escape
from minidl.experiments.reproduce.saddle_point import UP
from minidl.experiments.verdict import ALIKE, KEPT_OF_THE_GAIN, SIGNIFICANCE, SMALLEST_EFFECT


def judge_all(collected: dict[str, Any]) -> list[Finding]:
    """Every finding of one experiment, in the order of the claims."""
    found = [finding for method in methods_of(collected) for finding in _of(collected, method)]
    order = list(CLAIMS)
    return sorted(found, key=lambda finding: order.index(finding.claim))


def _of(collected: dict[str, Any], method: str) -> list[Finding]:
    if collected["recipe"] == SADDLE:  # no training from first weights: it is asked one thing only
        return judge_escape(collected, method)
    return [*judge_layers(collected, method), *judge_outcomes(collected, method)]


def how_judged() -> list[Block]:
    """The rules, for the report."""
    lines = [
        f"""The rules do not look at who wins. A claim is judged for each network with each method, in four words:
        **confirmed**, **only through the larger rate**, **not confirmed** (shown not to be so, or by too little to
        count), **undecided**. What differs between two arms is compared seed by seed (the same seed gives the same
        weights and the same order of the data) by an exact sign-flip test, one-sided, at p <= {SIGNIFICANCE}: with
        fewer than {fewest()} seeds nothing is decided. A network that learned nothing, or stands still, is no measure
        of speed, and one rate that learned nothing no goal that others reach sooner.""",
        f"""**Gradients** and **slow**: the geometric mean over the half of the layers near the output
        against that over the half near the input (of an odd number the middle layer counts for neither), under one
        rate. Confirmed is at least {EXTREME:g} times for the
        gradient's norm, at the start and in the median over the recorded steps, and at least {SLOWER:g} times for
        |dw|/|w|, the part of its weights that a step changes; established to be less is not confirmed. Layers are
        recorded more densely early in a run: half of the recorded steps lie in its first quarter.""",
        f"""**Speed**: near the input the relative update of a step, |dw|/|w|, has to be at least {FASTER:g} times as
        large under a rate per layer as under one rate, and at least {FASTER:g} times as large as under both controls.
        If it is established to be less than that compared with a control, the larger rate explains it. (A larger rate
        can make |dw|/|w| smaller along the way: where it lets the weights grow, and with AdaGrad, which divides by all
        gradients so far.) An arm that learned nothing, or whose layers near the
        input stand still, is no measure of speed: if it is a rate per layer or one rate, it is undecided, and beside
        such a control nothing is confirmed.""",
        f"""**Accuracy** and **time**: one arm beats another if the test says so and the median difference is at least
        {SMALLEST_EFFECT:.0%} of what the one that is behind has, in wrong answers or iterations: at 1% of wrong answers
        that is {SMALLEST_EFFECT * 0.01:.2%}. That a control does as well has to be shown too: by the same test it keeps
        at least {KEPT_OF_THE_GAIN:.0%} of what a rate per layer gains over one rate, and is not behind by
        {SMALLEST_EFFECT:.0%} in the median. There is no difference if one rate is shown to be behind by less than
        {ALIKE:.0%} of its wrong answers, or iterations, and neither is ahead by {SMALLEST_EFFECT:.0%} in the median. A
        run that diverged ranks after every other. Time is counted in iterations, until a run has no more wrong answers,
        give or take {SMALLEST_EFFECT:.0%}, than one rate with the same seed has at the end; where one rate learned
        nothing at the recipe's rate there is nothing to reach, and time is undecided.""",
        f"""Each of these is compared twice: at the recipe's rate, with both controls; and each rule at the best rate of
        the same grid, with one varying rate. Both comparisons have to decide. Helps in both is confirmed. Ahead
        of one rate at the recipe's rate, but at its best rate not ahead of both one rate and the control, is only
        through the larger rate. Not ahead of one rate in either is not confirmed; for that no control is needed. Else
        the two disagree, and it is undecided. The seeds are those that all arms share; a control that shares fewer than
        {fewest()} counts as not run. The second decides only on {fewest()} seeds or more, with grids that are done,
        with its control where a rate per layer is ahead. Where a best rate lies at the edge of its grid, a better one
        may lie beyond, and the word stays open if that could turn it: a better one of a rate per layer where it is not
        ahead, a better one of its rivals where it is, and of one rate also where a larger rate explains the gain, and
        wherever time is counted until one rate is reached. Where no arm learned the task, both accuracy and time are
        undecided.""",
        f"""**Saddle**: the same two comparisons, of the steps until the loss is a stated part below that at the saddle,
        which is also what the best rates are chosen by. A run that never gets there ranks after every other. A rate
        that is too large for the steepest walls throws a run up them: where the loss rises by more than {UP - 1:.0%}
        before it has left, that is said; it changes no word.""",
        """No correction is made for the number of comparisons: with many of them, one in twenty that shows nothing
        would be called something, so a single confirmed among many says little.""",
    ]
    return [Folded("The rules", [Text(" ".join(line.split())) for line in lines])]
