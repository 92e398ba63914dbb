"""Worked lines: a formula at one place, first with names, then with numbers, then what it comes to."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from minidl.errors import printable
from minidl.stepper.computation import Held
from minidl.stepper.evaluating import evaluate
from minidl.stepper.mathml import to_text
from minidl.stepper.notation import (
    Addition,
    Call,
    Cases,
    Fraction,
    Group,
    Name,
    Negative,
    Node,
    Power,
    Product,
    Relation,
    Size,
    parse,
)

TERMS = 3  # how many terms of a long sum are written


def shown(number: float) -> str:
    """A number as worked lines write it: five digits."""
    if math.isfinite(number) and number == int(number) and abs(number) < 1e5:
        return str(int(number))
    return f"{number:.5g}"


@dataclass(frozen=True, slots=True)
class Bound:
    """What a variable of a formula stands for: a number under a label, or one for each term of a sum.

    Attributes:
        label: "h[1, 3]"; of a setting its number.
        numbers: float64, a number or an array.
        known: whether the tape holds it, or which of them.
    """

    label: str
    numbers: Any
    known: Any = True


@dataclass(frozen=True, slots=True)
class Worked:
    """What stands between the name and the result of a worked line.

    Attributes:
        parts: texts that are equal to each other: with names, with numbers.
        value: what they come to; None where the tape does not hold all of the numbers.
        before: what has to be said before: "s = sigmoid(2) = 0.88".
        question: of cases: "is h[1] > 0? 2 > 0: yes".
        scale: how large the numbers are from which it was computed: their rounding is its error.
    """

    parts: tuple[str, ...]
    value: float | None
    before: str = ""
    question: str = ""
    scale: float = 0.0


Bounds = Mapping[str, Bound]


def label_at(label: str, place: tuple[int, ...]) -> str:
    """h[1, 3]; of an array without axes h."""
    label = printable(label)
    return f"{label}[{', '.join(map(str, place))}]" if place else label


def bound(held: Held, place: tuple[int, ...]) -> Bound:
    """A variable at one place."""
    numbers, known = held.take(place)
    return Bound(label_at(held.label, place), float(numbers), bool(known))


def bound_to(number: float, label: str | None = None) -> Bound:
    """A variable that is a number, shown as itself unless it has a label."""
    return Bound(shown(number) if label is None else label, float(number))


def computed(formula: str, bounds: Bounds, where: str = "") -> Worked:
    """A formula at one place."""
    bounds, before = _with_where(bounds, where, formula)
    tree, question = _chosen(parse(formula), bounds)
    used = names_in(tree)
    known = all(bounds[name].known for name in used if name in bounds)
    if not known:
        return Worked((to_text(tree, _labels(bounds)), "numbers that are not on the tape"), None, before, question)
    value = float(evaluate(tree, {name: b.numbers for name, b in bounds.items()}))
    scale = max((abs(b.numbers) for b in bounds.values() if math.isfinite(b.numbers)), default=0.0)
    parts = to_text(tree, _labels(bounds)), to_text(tree, _numbers(bounds))
    return Worked(parts, value, before, question, scale)


def added(
    formula: str,
    bounds: Bounds,
    meaning: str,
    wrap: str = "{}",
    then: Callable[[float], float] = float,
    count: int | None = None,
    where: str = "",
) -> Worked:
    """The sum of a formula over many places: its first terms, and what all of them come to.

    Args:
        formula: of one term.
        bounds: its variables, an array of numbers for each that differs from term to term.
        meaning: the sum in words: "row 1 of X times column 2 of Y".
        wrap, then: what is done to the sum, in text and as a function.
        count: how many terms there are, if the arrays hold only the first of them.
        where: further variables of the formula.
    """
    lengths = [np.size(b.numbers) for b in bounds.values() if np.ndim(b.numbers)]
    here = lengths[0] if lengths else 1
    total = here if count is None else count
    known = np.broadcast_to(np.True_, (here,))
    for b in bounds.values():
        known = known & b.known
    first = _first_to_show(formula, bounds, known, where)
    bounds_of = [_term(bounds, int(i)) for i in first]
    if total == 0:
        return Worked((meaning, wrap.format("0")), then(0.0))
    shown_terms = bounds_of if total <= TERMS + 1 else bounds_of[:TERMS]
    texts = [_term_text(formula, own, where, first=not i) for i, own in enumerate(shown_terms)]
    said = " + ".join(texts)
    value, scale = None, 0.0
    if here == total and bool(known.all()):
        numbers = {name: b.numbers for name, b in bounds.items()}
        for name, tree in _definitions(where):
            numbers[name] = evaluate(tree, numbers)
        with np.errstate(all="ignore"):
            terms = np.broadcast_to(evaluate(formula, numbers), (here,))
            value, scale = then(float(terms.sum())), abs(then(float(np.abs(terms).sum())))
    if len(texts) < total or value is None:
        lacking = "" if value is not None else ", not all of them on the tape"
        said = f"{said} + ... ({total:,} terms{lacking})" if said else f"{total:,} terms{lacking}"
    return Worked((meaning, wrap.format(said)), value, scale=scale)


def _first_to_show(formula: str, bounds: Bounds, known: Any, where: str) -> list[int]:
    """Which terms of a sum are written: the first; of a long one the first that are not 0, if there are enough."""
    there = np.flatnonzero(known)[:512]
    if len(known) <= TERMS + 1 or not len(there):
        return [int(i) for i in there[: TERMS + 1]]
    numbers = {name: b.numbers[there] if np.ndim(b.numbers) else b.numbers for name, b in bounds.items()}
    for name, tree in _definitions(where):
        numbers[name] = evaluate(tree, numbers)
    terms = np.broadcast_to(evaluate(formula, numbers), there.shape)
    telling = there[terms != 0]
    return [int(i) for i in (telling if len(telling) >= TERMS else there)[:TERMS]]


def line(left: str, worked: Worked, result: float) -> str:
    """The whole line: `result`, the number on the tape, stands last."""
    end, parts = shown(result), list(dict.fromkeys(worked.parts))
    if parts and parts[-1] == end:
        parts.pop()
    said = " = ".join([left, *[part for part in parts if part], end])
    if worked.question:
        equal = " = ".join([*[part for part in parts if part], end])
        said = f"{left}: {worked.question}, so {equal}"
    return f"{worked.before}; {said}" if worked.before else said


def agrees(value: float, result: float, dtype: str, scale: float = 0.0) -> bool:
    """Whether what the numbers come to is what the tape holds, but for rounding in `dtype`."""
    if math.isnan(value) or math.isnan(result):
        return math.isnan(value) and math.isnan(result)
    if value == result:
        return True
    tolerance = {"float16": 1e-2, "float64": 1e-9}.get(dtype, 2e-4)
    return abs(value - result) <= tolerance * max(abs(value), abs(result)) + tolerance * 1e-2 * scale + 1e-12


# ---- trees


def names_in(tree: Node) -> set[str]:
    """The variables of a formula."""
    if isinstance(tree, Name):
        return {tree.text}
    found: set[str] = set()
    for child in _children(tree):
        found |= names_in(child)
    return found


def _children(tree: Node) -> tuple[Node, ...]:
    match tree:
        case Power(a, b) | Fraction(a, b):
            return (a, b)
        case Negative(a) | Group(a) | Size(a):
            return (a,)
        case Product(factors):
            return factors
        case Addition(terms):
            return tuple(term for _, term in terms)
        case Call(_, arguments, _):
            return arguments
        case Relation(first, rest):
            return (first, *[side for _, side in rest])
        case Cases(cases):
            return tuple(node for case in cases for node in case if node is not None)
    return ()


def _chosen(tree: Node, bounds: Bounds) -> tuple[Node, str]:
    """The case that holds here, and how that was found out; a formula without cases is left as it is."""
    if not isinstance(tree, Cases):
        return tree, ""
    numbers = {name: b.numbers for name, b in bounds.items()}
    asked: list[str] = []
    for value, condition in tree.cases:
        if condition is None:
            return value, "; ".join(asked)
        holds = bool(evaluate(condition, numbers))
        asked.append(f"is {_question(condition, bounds)}: {'yes' if holds else 'no'}")
        if holds:
            return value, "; ".join(asked)
    return tree, ""


def _question(condition: Node, bounds: Bounds) -> str:
    if isinstance(condition, Name):
        b = bounds[condition.text]
        return f"{b.label} true"
    named, numbered = to_text(condition, _labels(bounds)), to_text(condition, _numbers(bounds))
    return named if named == numbered else f"{named}? {numbered}"


def _with_where(bounds: Bounds, where: str, formula: str) -> tuple[Bounds, str]:
    """The variables with those that `where` defines, as far as the formula needs them; and these in words."""
    if not where:
        return bounds, ""
    definitions = dict(_definitions(where))
    needed, waiting = set(), list(names_in(parse(formula)))
    while waiting:
        name = waiting.pop()
        if name in definitions and name not in needed:
            needed.add(name)
            waiting += names_in(definitions[name])
    found, said = dict(bounds), []
    for name, tree in definitions.items():
        if name in needed:
            value = float(evaluate(tree, {key: b.numbers for key, b in found.items()}))
            said.append(f"{name} = {to_text(tree, _numbers(found))} = {shown(value)}")
            found[name] = Bound(name, value, all(found[n].known for n in names_in(tree) if n in found))
    return found, "; ".join(said)


def _definitions(where: str) -> list[tuple[str, Node]]:
    found = []
    for part in where.split(";"):
        tree = parse(part) if part.strip() else None
        if isinstance(tree, Relation) and isinstance(tree.first, Name):
            found.append((tree.first.text, tree.rest[0][1]))
    return found


def _term(bounds: Bounds, i: int) -> dict[str, Bound]:
    return {
        name: Bound(b.label, float(b.numbers[i]) if np.ndim(b.numbers) else b.numbers) for name, b in bounds.items()
    }


def _term_text(formula: str, bounds: Bounds, where: str, first: bool) -> str:
    bounds, _ = _with_where(bounds, where, formula)
    tree, _ = _chosen(parse(formula), bounds)
    text = to_text(tree, _numbers(bounds))
    return f"({text})" if (text.startswith("-") and not first) or isinstance(tree, Addition) else text


def _labels(bounds: Bounds) -> dict[str, str]:
    return {name: b.label for name, b in bounds.items()}


def _numbers(bounds: Bounds) -> dict[str, str]:
    return {name: shown(b.numbers) for name, b in bounds.items() if np.ndim(b.numbers) == 0}
