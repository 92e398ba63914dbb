"""The abstract's claims, and the words in which each is judged.

A claim is judged for every experiment and every method by itself, in one of four words:

- **confirmed**: the seeds establish it, and no larger rate without differences between layers explains it;
- **only through the larger rate**: the effect is there, but an arm in which no layer differs from another does as well;
- **not confirmed**: the seeds establish that it is not so, or not by enough to be called so;
- **undecided**: too few seeds or runs, or seeds that disagree.

"Establish" is an exact sign-flip test over the seeds at p <= 0.05 (`experiments/verdict.py`): with fewer than five
seeds nothing can be established. How each claim is put to it: `layer_claims.py`, `outcome_claims.py`,
`saddle_claim.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from minidl.experiments.verdict import SIGNIFICANCE, ranked, sign_flip_p

CONFIRMED = "confirmed"
LARGER_RATE = "only through the larger rate"
NOT_CONFIRMED = "not confirmed"
UNDECIDED = "undecided"
WORDS = (CONFIRMED, LARGER_RATE, NOT_CONFIRMED, UNDECIDED)

CLAIMS = {  # {claim: what the abstract says, in our words}
    "gradients": "Gradients are very large in the layers near the output and very small in those near the input.",
    "slow": "So the layers near the input learn slowly.",
    "speed": "A rate per layer speeds up the layers near the input.",
    "saddle": "It escapes saddle points of low curvature quickly.",
    "accuracy": "It increases accuracy (MNIST, CIFAR-10, ImageNet).",
    "time": "It reduces the training time that is needed.",
}

WORSE = "worse"  # why it is not confirmed: a rate per layer is shown to do worse
# Why it is undecided, where it is not the seeds, the two comparisons or the edge of a grid:
UNRUN, UNLEARNED, AHEAD = "too few runs", "an arm learned nothing", "ahead of one rate, its controls open"

ESTABLISHED, REFUTED, OPEN, FEW = "established", "refuted", "open", "too few seeds"


@dataclass(frozen=True)
class Finding:
    """What one experiment says about one claim, for one method.

    Attributes:
        claim: a key of `CLAIMS`.
        recipe, scale, method: which runs.
        word: one of `WORDS`.
        sentence: why, with the numbers and how many seeds.
        because: what a count of words has to tell apart: `WORSE`, `UNRUN`, `UNLEARNED`, `AHEAD`, or nothing ("").
        statistics: sentences for those who want to check.
        numbers: what the sentence rests on, as plain data.
        runs: the ids of the runs that it rests on.
    """

    claim: str
    recipe: str
    scale: str
    method: str
    word: str
    sentence: str
    because: str = ""
    statistics: tuple[str, ...] = ()
    numbers: dict[str, Any] = field(default_factory=dict)
    runs: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """As plain data, for the report's json."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in vars(self).items()}


def exceeds(values: Sequence[float], threshold: float) -> str:
    """Whether the values of the seeds lie above the threshold: established, refuted, open, or too few seeds."""
    known = np.asarray([value for value in values if not np.isnan(value)], dtype=np.float64)
    if 2.0 ** -len(known) > SIGNIFICANCE:
        return FEW
    if sign_flip_p(ranked(known - threshold)) <= SIGNIFICANCE:
        return ESTABLISHED
    return REFUTED if sign_flip_p(ranked(threshold - known)) <= SIGNIFICANCE else OPEN


def seeds_words(count: int) -> str:
    """How many seeds, and whether they can decide anything."""
    few = f" ({fewest()} that agree are needed)" if count < fewest() else ""
    return f"{count} seed{'s' * (count != 1)}{few}"


def fewest() -> int:
    """With how many seeds something can be established at all."""
    return next(n for n in range(1, 64) if 2.0**-n <= SIGNIFICANCE)


def word_counts(findings: Sequence[Finding]) -> dict[str, int]:
    """How often each word fell, the words that did not fall left out."""
    return {word: count for word in WORDS if (count := sum(found.word == word for found in findings))}


def overall(findings: Sequence[Finding]) -> str:
    """All findings on a claim in a few words: one word if all agree, otherwise how often each fell."""
    counts = word_counts(findings)
    if not counts:
        return "not run"
    unrun = sum(found.word == UNDECIDED and found.because == UNRUN for found in findings)
    if len(counts) == 1:
        return next(iter(counts)) + (f" ({UNRUN}{f' in {unrun}' * (unrun < len(findings))})" if unrun else "")
    words = [f"{word} in {count}" for word, count in counts.items()]
    return f"{', '.join(words)} of {len(findings)}" + (f" ({UNRUN} in {unrun})" if unrun else "")
