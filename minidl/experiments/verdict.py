"""The verdict of a comparison: does the layer-specific rate help, or would any larger rate have done as well?

Arms are compared on one number per seed, smaller being better, paired by seed (a pair starts from the same weights and
sees the data in the same order). The final test loss decides; the error rate and the steps to a stated accuracy are
judged by the same rule beside it. One arm beats another when

1. an exact sign-flip test on the paired differences says so at p <= 0.05 (with n seeds there are 2^n ways to flip
   their signs; p is the share of them with a mean at least as large; five seeds that all agree give 1/32), and
2. the median difference is at least 2% of the median of the arm that is behind, so that a difference nobody would
   care about is not called one.

A loss that is not finite (the run diverged, or never reached the accuracy whose steps are counted) ranks after every
loss that is: it loses against each, by more than any two finite ones differ, and ties with another of its kind.

That one arm was not proved to be better is no proof that the other does as well. So "does as well" is a claim with a
test of its own, of equivalence: an arm does as well as layer-specific if the same sign-flip test says, at p <= 0.05,
that it is behind by less than a margin, and if it is not behind by 2% in the median. For a control the margin is half
of what layer-specific gained over the uniform rate: a control that keeps more than half of the gain explains it. (To
preserve half of an effect is the usual margin where a medicine is to be shown no worse than another.) For the uniform
rate itself the margin is 10% of its own loss. What is neither better nor shown to be as good leaves the verdict open.

The rule does not look at which arm wins. Its outcome is one of `HELPS`, `LARGER_RATE`, `NO_DIFFERENCE`, `HURTS` and
`UNDECIDED`.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from minidl.experiments.arms import BASELINE, LAYER_SPECIFIC, RIVALS, TITLES

HELPS = "layer-specific helps"
LARGER_RATE = "explained by the larger rate"
NO_DIFFERENCE = "no difference"
HURTS = "layer-specific hurts"
UNDECIDED = "undecided"

SIGNIFICANCE = 0.05
SMALLEST_EFFECT = 0.02  # of the median loss of the arm that is behind
KEPT_OF_THE_GAIN = 0.5  # by a control that does as well
ALIKE = 0.1  # of the uniform rate's median loss: the margin within which it does as well
DIVERGED = "diverged"
_DRAWN, _AT_ONCE = 65_536, 1_024  # sign patterns where there are too many to try all; and how many in memory


@dataclass(frozen=True)
class Pairing:
    """The layer-specific arm against one other, over the same seeds, by their losses (or another number to be small).

    Attributes:
        other: the other arm.
        median_gain: the median over seeds of (other's loss - layer-specific loss); positive is better. Infinite where
            one of the two diverged, 0 where both did.
        smallest_gain, largest_gain: the range over seeds.
        loss, other_loss: the median losses of both, infinite if most seeds diverged.
        p_better, p_worse: of the sign-flip test, one-sided each.
        margin: by less than this the other arm has to be behind to do as well.
        p_as_well: of the test that it is.
        diverged, other_diverged: in how many seeds the layer-specific arm, and the other, diverged.
        lost: what "diverged" is called where the numbers are no losses.
    """

    other: str
    median_gain: float
    smallest_gain: float
    largest_gain: float
    loss: float
    other_loss: float
    p_better: float
    p_worse: float
    margin: float
    p_as_well: float
    diverged: int = 0
    other_diverged: int = 0
    lost: str = DIVERGED

    @property
    def better(self) -> bool:
        """Whether layer-specific beats the other arm."""
        return self.p_better <= SIGNIFICANCE and _is_enough(self.median_gain, self.other_loss, self.loss)

    @property
    def worse(self) -> bool:
        """Whether the other arm beats layer-specific."""
        return self.p_worse <= SIGNIFICANCE and _is_enough(-self.median_gain, self.loss, self.other_loss)

    @property
    def promising(self) -> bool:
        """Whether layer-specific is ahead by enough in the median, but the seeds do not establish it."""
        return not self.better and self.median_gain > 0 and _is_enough(self.median_gain, self.other_loss, self.loss)

    @property
    def trailing(self) -> bool:
        """Whether layer-specific is behind by enough in the median, but the seeds do not establish it."""
        return not self.worse and self.median_gain < 0 and _is_enough(-self.median_gain, self.loss, self.other_loss)

    @property
    def as_well(self) -> bool:
        """Whether the other arm is shown to do as well as layer-specific, or beats it."""
        return self.worse or (self.p_as_well <= SIGNIFICANCE and not self.better and not self.promising)

    @property
    def outcome(self) -> str:
        """What the pairing shows of layer-specific, as a verb."""
        if self.better:
            return "beats"
        if self.worse:
            return "is beaten by"
        if self.trailing:
            return "lags, but not provably, behind"
        if self.as_well:
            ahead = self.p_better <= SIGNIFICANCE
            return f"is ahead, but by less than {SMALLEST_EFFECT:.0%}, of" if ahead else "does no better than"
        return "is ahead, but not provably, of" if self.promising else "is not shown to differ from"

    def words(self) -> str:
        """The pairing as a clause with its numbers."""
        counts = (("layer-specific", self.diverged), (self.other, self.other_diverged))
        lost = " and ".join(f"{arm} in {count} seed{'s' if count > 1 else ''}" for arm, count in counts if count)
        return f"{self.outcome} {TITLES[self.other]} ({self._numbers()}{f'; {self.lost}: {lost}' if lost else ''})"

    def _numbers(self) -> str:
        """The median gain and what it is a gain on, where they are numbers, and the p that the outcome rests on."""
        gain = ""
        if np.isfinite(self.median_gain) and np.isfinite(self.other_loss):
            sign = "-" if self.median_gain < 0 else "+"
            gain = f"median gain {sign}{_short(abs(self.median_gain))} on {_short(self.other_loss)}, "
        if self.as_well and not self.worse:
            behind = (
                f"{TITLES[self.other]} behind by less than {_short(self.margin)}: " if np.isfinite(self.margin) else ""
            )
            equal = f"{behind}p = {self.p_as_well:.3f}"
            return f"{gain}p = {self.p_worse:.3f}; {equal}" if self.trailing else f"{gain}{equal}"
        return f"{gain}p = {self.p_worse if self.worse or self.trailing else self.p_better:.3f}"


def _is_enough(gap: float, behind: float, ahead: float) -> bool:
    """Whether the arm that is behind is so by enough of its median loss.

    That may be infinite, where most seeds never arrive, though the gap is not; then it is the other's, and the gap.
    """
    return gap >= SMALLEST_EFFECT * (behind if np.isfinite(behind) else ahead + gap)


def _short(value: float) -> str:
    """A number to three digits, and whole thousands without an exponent."""
    return f"{value:,.0f}" if 999.5 <= value < 1e9 else f"{value:.3g}"


@dataclass(frozen=True)
class Verdict:
    """What came out: the kind, the reason in words, and the pairings it rests on."""

    kind: str
    reason: str
    pairings: tuple[Pairing, ...]

    def as_dict(self) -> dict[str, Any]:
        """The verdict as plain data, for results.json."""
        return {
            "kind": self.kind,
            "reason": self.reason,
            "pairings": [asdict(p) | {"outcome": p.outcome, "as_well": p.as_well} for p in self.pairings],
        }


def sign_flip_p(differences: Any) -> float:
    """The share of sign patterns whose mean is at least the observed one: the exact one-sided p for "mean > 0".

    Above 16 differences, 65,536 patterns are drawn (with a fixed seed) instead of all 2^n.
    """
    observed = np.asarray(differences, dtype=np.float64)
    n = len(observed)
    observed = observed / (np.abs(observed).max(initial=0.0) or 1.0)  # so that no sum overflows, whatever their scale
    least = observed.sum() - 1e-12 * max(n, 1)
    if n <= 16:
        return float(np.mean(np.array(list(itertools.product((1.0, -1.0), repeat=n))) @ observed >= least))
    drawn, hits = np.random.default_rng(0), 1  # the observed pattern is one of them
    for start in range(1, _DRAWN, _AT_ONCE):
        count = min(_AT_ONCE, _DRAWN - start)
        hits += int(np.sum(drawn.choice([1.0, -1.0], size=(count, n)) @ observed >= least))
    return hits / _DRAWN


def pair_arms(
    layer_specific: Sequence[float],
    other: Sequence[float],
    name: str,
    margin: float | None = None,
    lost: str = DIVERGED,
) -> Pairing:
    """Compare two arms' final losses seed by seed; a loss that is not finite is worse than every one that is.

    Args:
        margin: for the test of equivalence; None for 10% of the other arm's median loss.
        lost: what it is called when a number is not finite.
    """
    own, others = np.asarray(layer_specific, dtype=np.float64), np.asarray(other, dtype=np.float64)
    if own.shape != others.shape or own.ndim != 1 or len(own) == 0:
        raise ValueError(f"expected one loss per seed in both arms; got {own.shape} and {others.shape}")
    own_lost, others_lost = ~np.isfinite(own), ~np.isfinite(others)
    # In a unit in which no difference overflows: half a float64's range is the largest there is.
    scale = max(np.abs(losses[np.isfinite(losses)]).max(initial=0.0) for losses in (own, others)) or 1.0
    with np.errstate(invalid="ignore"):
        gain = np.where(own_lost & others_lost, 0.0, others / scale - own / scale)
    gain = np.where(own_lost & ~others_lost, -np.inf, np.where(others_lost & ~own_lost, np.inf, gain))
    medians = [
        float(np.median(np.where(gone, np.inf, losses))) for gone, losses in ((own_lost, own), (others_lost, others))
    ]
    if margin is None:
        margin = ALIKE * medians[1]
    left = margin / scale - gain if np.isfinite(margin) else np.where(gain == np.inf, -np.inf, np.inf)  # of the margin
    with np.errstate(invalid="ignore", over="ignore"):
        median_gain = float(np.median(gain) * scale)
        smallest, largest = float(gain.min() * scale), float(gain.max() * scale)
    return Pairing(
        other=name,
        median_gain=0.0 if np.isnan(median_gain) else median_gain,  # half the seeds say so, half the contrary
        smallest_gain=smallest,
        largest_gain=largest,
        loss=medians[0],
        other_loss=medians[1],
        p_better=sign_flip_p(ranked(gain)),
        p_worse=sign_flip_p(ranked(-gain)),
        margin=margin,
        p_as_well=sign_flip_p(ranked(left)),
        diverged=int(own_lost.sum()),
        other_diverged=int(others_lost.sum()),
        lost=lost,
    )


def ranked(differences: Any) -> Any:
    """Differences for the test, each infinite one twice as large as the largest finite one (at least 2)."""
    most = 2 * max(1.0, np.abs(differences[np.isfinite(differences)]).max(initial=0.0))
    return np.clip(differences, -most, most)


def judge(losses: Mapping[str, Sequence[float]], lost: str = DIVERGED) -> Verdict:
    """The verdict on final losses per seed, arm by arm.

    Args:
        losses: for "layer-specific", "uniform" and whichever controls were run, one final loss a seed.
        lost: what it is called when a number is not finite.

    Raises:
        ValueError: the layer-specific or the uniform arm is missing, or the seeds do not pair.
    """
    missing = [arm for arm in (LAYER_SPECIFIC, BASELINE) if arm not in losses]
    if missing:
        raise ValueError(f"a verdict needs the arms {LAYER_SPECIFIC!r} and {BASELINE!r}; missing: {', '.join(missing)}")
    seeds = len(losses[LAYER_SPECIFIC])
    own = losses[LAYER_SPECIFIC]
    baseline = pair_arms(own, losses[BASELINE], BASELINE, lost=lost)
    margin = KEPT_OF_THE_GAIN * max(0.0, baseline.median_gain)
    rivals = [pair_arms(own, losses[arm], arm, margin, lost) for arm in RIVALS if arm in losses]
    pairings = (baseline, *rivals)

    if 2.0**-seeds > SIGNIFICANCE:
        return Verdict(
            UNDECIDED,
            f"{seeds} seed{'s' if seeds > 1 else ''} cannot decide: even if all agree, p is {2.0**-seeds:.3f}. Use 5.",
            pairings,
        )
    baseline_words = f"Layer-specific {baseline.words()}."
    if not baseline.better:
        beaten_by = [rival.words() for rival in rivals if rival.worse]
        reason = baseline_words + (f" And it {'; '.join(beaten_by)}." if beaten_by else "")
        if baseline.worse:
            return Verdict(HURTS, reason, pairings)
        return Verdict(NO_DIFFERENCE if baseline.as_well and not baseline.trailing else UNDECIDED, reason, pairings)
    if not rivals:
        return Verdict(
            UNDECIDED, f"{baseline_words} But no larger-rate control was run, so the reason is open.", pairings
        )
    as_well = [rival.words() for rival in rivals if rival.as_well]
    if as_well:
        return Verdict(
            LARGER_RATE,
            f"{baseline_words} But without any difference between layers a larger rate does as well: it "
            f"{'; '.join(as_well)}.",
            pairings,
        )
    unproved = [rival.words() for rival in rivals if not rival.better]
    if unproved:
        return Verdict(UNDECIDED, f"{baseline_words} As for the controls, it {'; '.join(unproved)}.", pairings)
    clauses = "; ".join(rival.words() for rival in rivals)
    return Verdict(HELPS, f"{baseline_words} The controls do not explain it: it {clauses}.", pairings)
