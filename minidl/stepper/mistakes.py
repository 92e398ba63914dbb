"""The usual mistakes in predicting a number, as numbers: who forgot the factor 2 says half of the answer."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from minidl.stepper.computation import Computation, Place
from minidl.stepper.evaluating import NotComputableError, evaluate
from minidl.stepper.events import Addend, Event
from minidl.stepper.formulas import gradient_formula
from minidl.stepper.lines import shown
from minidl.stepper.work_elementwise import bounds_at, output_places
from minidl.stepper.work_products import divisor_of, labels_of

TWICE = ("Square", "Var")  # whose derivative has a factor 2 that is often forgotten
CROSS_ENTROPIES = ("CrossEntropy", "GeneralCrossEntropy")
MEANS = ("Mean", "AvgPool", *CROSS_ENTROPIES)
SIGN = "the sign is the other one"


@dataclass(frozen=True, slots=True)
class Mistake:
    """A wrong answer that can be recognised.

    Attributes:
        number: the answer.
        says: what went wrong.
    """

    number: float
    says: str


def of_addend(c: Computation | None, event: Event, addend: Addend, place: Place, answer: float) -> list[Mistake]:
    """Of what a backward sends to an input, `answer`."""
    found = [Mistake(-answer, SIGN)]
    incoming = incoming_at(c, addend, place)
    if incoming is not None:
        g, count = incoming
        if count == 1:
            found.append(Mistake(g, "this is the incoming gradient g alone, without the local slope"))
            if g:
                found.append(
                    Mistake(answer / g, f"this is the local slope, without the incoming gradient g = {shown(g)}")
                )
    if c is not None:
        found += _of_op(c, event, addend, place, answer)
    if addend.total is not None:
        total = addend.total.at(place)
        if total is not None:
            found.append(Mistake(float(total), "this is the sum of all paths so far; this op's addend was asked for"))
    return found


def of_total(parts: list[float]) -> list[Mistake]:
    """Of the sum of the addends of a gradient."""
    total, paths = sum(parts), f"{len(parts)} paths meet here"
    found = [
        Mistake(parts[0], f"that is only the first addend: {paths}"),
        Mistake(parts[-1], f"that is only the last addend: {paths}"),
        Mistake(-total, SIGN),
        Mistake(total / len(parts), "that is the mean of the addends: they add up"),
        Mistake(math.prod(parts), "that is the product of the addends: they add up"),
    ]
    found += [Mistake(part, f"that is only one addend: {paths}") for part in parts[1:-1]]
    return found


def of_forward(c: Computation, place: Place, answer: float) -> list[Mistake]:
    """Of what an op computes."""
    found = [Mistake(-answer, SIGN)]
    x = c.inputs[0] if c.inputs else None
    if c.op in MEANS and x is not None and c.output is not None:
        n = _count(c)
        found.append(Mistake(answer * n, f"you forgot to divide by {n}"))
    if c.op in ("Linear", "Conv") and len(c.inputs) > 2 and c.inputs[2] is not None and c.inputs[2].shape:
        at = place[-1] if c.op == "Linear" else place[1]
        bias = c.inputs[2].kept.at((at,))
        if bias is not None:
            found.append(Mistake(answer - float(bias), f"you forgot the bias, {shown(float(bias))}"))
    if c.op in ("ReLU", "Square", "PowNumber", "Abs", "Tanh", "Sigmoid", "Exp") and x is not None:
        before = x.kept.at(place)
        if before is not None:
            found.append(Mistake(float(before), f"this is what went into {c.op}"))
            if c.op in ("Square", "PowNumber"):
                found.append(Mistake(2 * float(before), "this is twice the number: it is multiplied by itself"))
    return found


def of_update(answer: float, before: float | None, gradient: float | None, rate: float) -> list[Mistake]:
    """Of a weight after a step."""
    found = [Mistake(-answer, SIGN)]
    if before is not None:
        step = answer - before
        found += [
            Mistake(before - step, "the step goes against the gradient: subtract"),
            Mistake(step, "this is the step alone: add it to the weight"),
            Mistake(before, "this is the weight as it was"),
        ]
        if gradient is not None:
            found.append(Mistake(before - gradient, f"you forgot the rate, {shown(rate)}"))
    if gradient is not None:
        found.append(Mistake(gradient, "this is the gradient"))
    return found


def incoming_at(c: Computation | None, addend: Addend, place: Place) -> tuple[float, int] | None:
    """The incoming gradient that belongs to a place of an input, and over how many places its addend was summed."""
    if c is None or c.gradient is None:
        return None
    g, shape = c.gradient, addend.grad.shape
    if not g.shape:
        return _number(g.kept.at(()), 1)
    if not c.formula.elementwise or len(shape) > len(g.shape):
        return None
    places = output_places(shape, g.shape, place)
    return _number(g.kept.at(tuple([int(p[0]) for p in places])), len(places[0]))


def _number(number: float | None, count: int) -> tuple[float, int] | None:
    return None if number is None else (float(number), count)


def _of_op(c: Computation, event: Event, addend: Addend, place: Place, answer: float) -> list[Mistake]:
    """What is forgotten at this op."""
    found = []
    if c.op in TWICE:
        found.append(Mistake(answer / 2, "you forgot the factor 2"))
    if c.op == "PowNumber" and c.settings.get("n"):
        n = c.settings["n"]
        found.append(Mistake(answer / n, f"you forgot the factor {shown(n)}, the exponent"))
    if c.op in MEANS:
        n = _count(c)
        found.append(Mistake(answer * n, f"you forgot to divide by {n}"))
    if c.op in CROSS_ENTROPIES and len(place) == 2:
        labels, g = labels_of(c), None if c.gradient is None else c.gradient.kept.at(())
        if labels is not None and g is not None and int(labels[place[0]]) == place[1]:
            share = float(g) / _count(c)
            found.append(Mistake(answer + share, "this is p / n: for the label 1 is subtracted from p"))
    if c.formula.elementwise and c.gradient is not None:
        places = output_places(addend.grad.shape, c.gradient.shape, place)
        count = len(places[0]) if places else 1
        if count > 1:
            first = _evaluated(c, addend.input, tuple([int(p[0]) for p in places]))
            words = f"the input was broadcast to {count} places, whose gradients add up"
            if first is not None:
                found.append(Mistake(first, f"that is one place only: {words}"))
            found.append(Mistake(answer / count, f"that is the mean: {words}"))
        elif c.op == "Mul" and len(set(event.inputs)) == 2:
            swapped = _evaluated(c, 1 - addend.input, tuple([int(p[0]) for p in places]))
            if swapped is not None:
                found.append(Mistake(swapped, "the slope is the other factor, not this one"))
    return found


def _evaluated(c: Computation, i: int, place: Place) -> float | None:
    """The gradient's formula for input i at one place of the output."""
    formula = gradient_formula(c.formula, i)
    if formula is None or c.formula.where:
        return None
    try:
        return float(evaluate(formula, {name: b.numbers for name, b in bounds_at(c, place).items()}))
    except (NotComputableError, IndexError, ValueError, TypeError):
        return None


def _count(c: Computation) -> int:
    """How many numbers a mean was taken over."""
    if c.op in CROSS_ENTROPIES:
        return divisor_of(c, labels_of(c))
    if c.op == "AvgPool":
        window = c.options.get("window")
        kernel: Any = c.options.get("kernel") or getattr(window, "kernel", (1,))
        return math.prod(kernel)
    x, out = c.inputs[0], c.output
    if x is None or out is None:
        return 1
    return int(np.prod(x.shape) // max(1, int(np.prod(out.shape))))
