"""The formula of an event with its actual numbers, at one place: `dL/dw[1] = g[1] * x[1] = 0.5 * 3 = 1.5`.

No line is shown whose numbers do not come to what the tape holds: each is computed again, and compared.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from minidl.errors import printable
from minidl.stepper import work_elementwise as elementwise
from minidl.stepper import work_products as products
from minidl.stepper import work_reductions as reductions
from minidl.stepper import work_windows as windows
from minidl.stepper.computation import Computation, Held, Place
from minidl.stepper.contents import TapeContents
from minidl.stepper.events import ACCUMULATE, BACKWARD, FORWARD, LOSS, SEED, UPDATE, Event
from minidl.stepper.formulas import formula_at, formula_mathml, formula_of
from minidl.stepper.kept import Kept
from minidl.stepper.lines import Worked, agrees, bound, bound_to, computed, label_at, line, shown

Forward = Callable[[Computation, Place], Worked | None]
Gradient = Callable[[Computation, int, Place], Worked | None]

_AXES = (reductions.forward, reductions.gradient)
_PROBABILITIES = (reductions.probabilities_forward, reductions.probabilities_gradient)
_NORMALIZED = (reductions.normalized_forward, reductions.normalized_gradient)
_MOVED = (elementwise.moved_forward, elementwise.moved_gradient)
_LABELS = (products.labels_forward, products.labels_gradient)
_POOLED = (windows.pool_forward, windows.pool_gradient)
WORKERS: dict[str, tuple[Forward, Gradient]] = {
    **dict.fromkeys(("Sum", "Mean", "Var", "Std", "Max", "Min", "LogSumExp", "Norm"), _AXES),
    **dict.fromkeys(("Softmax", "AttentionWeights", "LogSoftmax"), _PROBABILITIES),
    **dict.fromkeys(("Standardize", "BatchNorm"), _NORMALIZED),
    **dict.fromkeys(("Reshape", "Transpose", "Concatenate", "Pad", "GetItem", "PutAt", "SetItem"), _MOVED),
    **dict.fromkeys(("CrossEntropy", "NLL", "GeneralCrossEntropy"), _LABELS),
    **dict.fromkeys(("MaxPool", "AvgPool"), _POOLED),
    "CumSum": (reductions.cumulated_forward, reductions.cumulated_gradient),
    "MatMul": (products.matmul_forward, products.matmul_gradient),
    "Linear": (products.linear_forward, products.linear_gradient),
    "Einsum": (products.einsum_forward, products.einsum_gradient),
    "Conv": (windows.conv_forward, windows.conv_gradient),
    "ConvInput": (windows.conv_input_forward, windows.conv_input_gradient),
    "Causal": (elementwise.causal_forward, elementwise.causal_gradient),
    "Constant": (elementwise.constant_forward, elementwise.constant_gradient),
}

EVERY = 64  # an array of at most so many numbers is explained at every place
LINES = 4000  # of a whole tape, at most about so many lines


def worked_forward(tape: TapeContents, event: Event, place: Place) -> str | None:
    """What an op computed at one place of its output, with its numbers; None where the tape does not hold them.

        mul1[1] = h[1] * w[1] = 2 * 3 = 6

    For an accumulate and an update it is what became of the `.grad`, of the weight.

    Raises:
        IndexError: the output has no such place.
    """
    return _Explainer(tape).forward(event, place)


def worked_gradient(tape: TapeContents, event: Event, addend_number: int, place: Place) -> str | None:
    """What a backward sent to one of its inputs at one place, with its numbers; g is the incoming gradient.

        dL/dw[1] = g[1] * h[1] = 0.5 * 2 = 1

    None where the tape does not hold the numbers.

    Raises:
        IndexError: there is no such addend, or no such place.
    """
    return _Explainer(tape).gradient(event, addend_number, place)


def explained(tape: TapeContents, every: int = EVERY, lines: int = LINES) -> list[dict[str, Any]]:
    """For each event its formula as MathML and its worked lines, as plain data.

    {"formula": {"forward", "gradients", "where", "words"} or None,
     "worked": {"forward": [{"place", "text"}], "gradients": [[{"place", "text"}] for each addend]}}

    Of arrays with at most `every` numbers every place is worked out, of others the one with the largest gradient (or
    number). If that would make many more than `lines` lines, arrays are taken for large from fewer numbers on.
    """
    sizes = [kept.size for event in tape.events for kept in _shown_arrays(tape, event)]
    while every > 1 and sum(n if n <= every else 1 for n in sizes) > lines:
        every //= 2
    explainer = _Explainer(tape)
    found = []
    for event in tape.events:
        result = _result(tape, event)
        forward = _lines(result, every, lambda place, e=event: explainer.forward(e, place))  # type: ignore[misc]
        gradients = [
            _lines(addend.grad, every, lambda place, e=event, n=n: explainer.gradient(e, n, place))  # type: ignore[misc]
            for n, addend in enumerate(event.addends)
        ]
        formula = formula_mathml(tape, event)
        found.append({"formula": formula, "worked": {"forward": forward, "gradients": gradients}})
    return found


def _shown_arrays(tape: TapeContents, event: Event) -> list[Kept]:
    result = _result(tape, event)
    return [*([] if result is None else [result]), *[addend.grad for addend in event.addends]]


def _result(tape: TapeContents, event: Event) -> Kept | None:
    """The array whose numbers the worked lines of `forward` end with; None where they stand with another event."""
    if event.phase in (FORWARD, LOSS) and event.output is not None:
        return tape.values[event.output].content(event.number)
    return event.after if event.phase in (ACCUMULATE, UPDATE) else None


def _lines(kept: Kept | None, every: int, work: Callable[[Place], str | None]) -> list[dict[str, Any]]:
    if kept is None or kept.size == 0:
        return []
    places = list(np.ndindex(kept.shape)) if kept.size <= every else [largest(kept)]
    found = []
    for place in places:
        text = work(tuple(place))
        if text is not None:
            found.append({"place": list(place), "text": text})
    return found


def largest(kept: Kept) -> Place:
    """The place of the number, among those that are held, that is farthest from 0."""
    sizes = np.abs(np.asarray(kept.values, dtype=np.float64))
    at = np.unravel_index(int(np.argmax(np.where(np.isfinite(sizes), sizes, -1.0))), sizes.shape)
    return tuple([int(indices[i]) for i, indices in zip(at, kept.places(), strict=True)])


class _Explainer:
    """Works lines out; keeps what the lines of one event share."""

    def __init__(self, tape: TapeContents) -> None:
        self.tape = tape
        self._last: tuple[Event, Computation] | None = None

    def of(self, event: Event) -> Computation:
        if self._last is None or self._last[0] is not event:
            self._last = event, Computation(self.tape, event)
        return self._last[1]

    def forward(self, event: Event, place: Place) -> str | None:
        place = tuple(int(i) for i in place)
        if event.phase in (ACCUMULATE, UPDATE):
            return (
                _accumulated(self.tape, event, place)
                if event.phase == ACCUMULATE
                else _updated(self.tape, event, place)
            )
        if event.phase == BACKWARD and event.node is not None:
            event = self.tape.events[event.node]
        formula = formula_at(self.tape, event)
        result = _result(self.tape, event)
        if formula is None or result is None or event.output is None:
            return None
        number = result.at(place)
        if number is None:
            return None
        c = self.of(event)
        work = WORKERS.get(event.op, (elementwise.forward, None))[0] if _can_work(event.op) else None
        worked = None if work is None else _tried(lambda: work(c, place))
        return _said(label_at(self.tape.values[event.output].key, place), worked, float(number), result.dtype)

    def gradient(self, event: Event, addend_number: int, place: Place) -> str | None:
        place = tuple(int(i) for i in place)
        addend = event.addends[addend_number]
        number = addend.grad.at(place)
        if number is None or formula_at(self.tape, event) is None or event.op == SEED or event.node is None:
            return None
        c = self.of(event)
        work = WORKERS.get(event.op, (None, elementwise.gradient))[1] if _can_work(event.op) else None
        worked = None if work is None else _tried(lambda: work(c, addend.input, place))
        left = f"dL/d{label_at(self.tape.values[addend.value].key, place)}"
        return _said(left, worked, float(number), addend.grad.dtype)


def _can_work(op: str) -> bool:
    formula = formula_of(op)
    return op in WORKERS or (formula is not None and formula.elementwise)


def _tried(work: Callable[[], Worked | None]) -> Worked | None:
    """The worked line; none where the tape lacks what it needs, as shapes that an op's settings would explain."""
    try:
        with np.errstate(all="ignore"):
            return work()
    except (ValueError, IndexError, KeyError, TypeError, ZeroDivisionError, OverflowError):
        return None


def _said(left: str, worked: Worked | None, number: float, dtype: str) -> str | None:
    if worked is None:
        return None
    if worked.value is not None and not agrees(worked.value, number, dtype, worked.scale):
        return None
    if worked.value is None and not any("..." in part or "not" in part for part in worked.parts):
        return None
    return line(left, worked, number)


# ---- what is no op


def _accumulated(tape: TapeContents, event: Event, place: Place) -> str | None:
    """The `.grad` before, what is added, and after."""
    if event.after is None or event.output is None:
        return None
    number = event.after.at(place)
    key = printable(tape.values[event.output].key)
    if number is None:
        return None
    left = label_at(f"{key}.grad", place)
    if event.before is None:
        return f"{left}: there was none, so it is dL/d{label_at(key, place)} = {shown(float(number))}"
    if event.gradient is None:
        return None
    bounds = {
        "before": bound(Held("before", event.before), place),
        "g": bound(Held(f"dL/d{key}", event.gradient), place),
    }
    return _said(left, _tried(lambda: computed("before + g", bounds)), float(number), event.after.dtype)


def _updated(tape: TapeContents, event: Event, place: Place) -> str | None:
    """w - rate * g of plain SGD; of other methods, or with momentum, the change."""
    if event.after is None or event.before is None or event.output is None:
        return None
    number, key = event.after.at(place), printable(tape.values[event.output].key)
    if number is None:
        return None
    w = bound(Held(key, event.before), place)
    if not w.known:
        return None
    rate = event.numbers.get("rate", math.nan)
    if event.op == "SGD" and event.gradient is not None and math.isfinite(rate):
        bounds = {"w": w, "rate": bound_to(rate), "g": bound(Held("g", event.gradient), place)}
        formula, decay = "w - rate g", event.numbers.get("weight_decay", 0.0) * event.numbers.get("scale_decay", 1.0)
        if decay:
            bounds["d"], formula = bound_to(decay), "w - rate (g + d w)"
        said = _said(
            f"new {label_at(key, place)}", _tried(lambda: computed(formula, bounds)), float(number), event.after.dtype
        )
        if said is not None:
            return said
    change = float(number) - w.numbers
    bounds = {"w": w, "c": bound_to(abs(change))}
    worked = computed("w - c" if change < 0 else "w + c", bounds)
    return _said(f"new {label_at(key, place)}", worked, float(number), event.after.dtype)
