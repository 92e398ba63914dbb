"""The arms of the comparison: which rule sets each layer's rate, and at which base rate.

A run is `method x rule x base rate x seed`. Four rules:

- `uniform`: every layer at the base rate t.
- `layer-specific`: t (1 + ln(1 + 1/||g_l||)) for layer l (arXiv:1510.04609).
- `constant`: every layer at t times one number, the mean multiplier of the layer-specific run with the same seed and
  base rate, over its layers and steps. Is it only that the rate is larger?
- `per-step`: every layer at t times that run's mean over layers at each step. Is it only that the rate adapts in time?

Each rule is tuned over the same grid of base rates, on the validation digits and on seeds that are not reported. The
first four arms all run at the layer-specific rule's tuned rate (which is that arm's best); the `-tuned` arms run the
other rules at their own.
"""

from __future__ import annotations

RULES = ("uniform", "layer-specific", "constant", "per-step")
REPLAYED = ("constant", "per-step")  # they need the layer-specific run with the same seed and base rate

LAYER_SPECIFIC = "layer-specific"
BASELINE = "uniform"
TUNED = ("uniform-tuned", "constant-tuned", "per-step-tuned")
ARMS = (*RULES, *TUNED)
RIVALS = ("constant", "per-step", *TUNED)  # each a rate without any difference between the layers

TITLES = {
    "uniform": "the uniform rate",
    "layer-specific": "the layer-specific rate",
    "constant": "a uniform rate times the constant mean multiplier",
    "per-step": "a uniform rate times the mean multiplier of each step",
    "uniform-tuned": "the tuned uniform rate",
    "constant-tuned": "the tuned constant control",
    "per-step-tuned": "the tuned per-step control",
}


def rule_of(arm: str) -> str:
    """The rule an arm follows: 'uniform' for 'uniform-tuned'."""
    return arm.removesuffix("-tuned")
