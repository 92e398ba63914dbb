"""The formula of an event, with the names of its values: `z = x y` becomes `mul1 = h * w`."""

from __future__ import annotations

from functools import cache

from minidl.stepper.contents import TapeContents
from minidl.stepper.events import ACCUMULATE, BACKWARD, FORWARD, LOSS, OWN, Event
from minidl.stepper.formula_table import FORMULAS, Formula
from minidl.stepper.mathml import to_mathml, to_text
from minidl.stepper.notation import Derivative, Name, Node, Relation, Subscript, parse


def formula_of(op: str) -> Formula | None:
    """The formula of an op by the name of its class; None if there is none, as for one of the user's."""
    return FORMULAS.get(op)


def formula_at(tape: TapeContents, event: Event) -> Formula | None:
    """The formula of an event; None of an op of the user's, also if it is called as one of minidl's is."""
    origin = event if event.node is None else tape.events[event.node]
    return None if origin.note.startswith(OWN) else formula_of(event.op)


def input_names(formula: Formula, count: int) -> list[str]:
    """How the formula calls each of so many inputs: a last one with a star becomes x_0, x_1, ..."""
    names = list(formula.inputs)
    if names and names[-1].startswith("*"):
        star = names.pop()[1:]
        names += [f"{star}_{i}" for i in range(count - len(names))]
    return names[:count]


def gradient_formula(formula: Formula, i: int) -> str | None:
    """dL/d(input i); inputs of any number share the last."""
    if not formula.gradients:
        return None
    return formula.gradients[min(i, len(formula.gradients) - 1)]


@cache
def gradient_equation(formula_op: str, i: int, name: str) -> Node | None:
    """The tree of `dL/dx = g y`."""
    formula = FORMULAS[formula_op]
    found = gradient_formula(formula, i)
    if found is None:
        return None
    return Relation(Derivative(_named(name)), (("=", parse(found)),))


def _named(name: str) -> Node:
    base, _, below = name.partition("_")
    return Subscript(Name(base), parse(below)) if below else Name(base)


def names_of(tape: TapeContents, event: Event) -> dict[str, str]:
    """What the variables of an event's formula are called on the tape: {"x": "h", "y": "w", "z": "mul1"}."""
    formula = formula_at(tape, event)
    if formula is None or event.phase == ACCUMULATE:  # G is the .grad, which has no key of its own
        return {}
    inputs = [tape.values[number] for number in event.inputs]
    called = zip(input_names(formula, len(inputs)), inputs, strict=False)
    names = {name: value.label for name, value in called if not value.missing}
    if event.output is not None and formula.inputs:
        names[output_name(formula)] = tape.values[event.output].key
    return names


def output_name(formula: Formula) -> str:
    """How the formula calls its result: the left side of `forward`, without subscripts."""
    tree = parse(formula.forward)
    left = tree.first if isinstance(tree, Relation) else tree
    while not isinstance(left, Name):
        left = left.base  # type: ignore[union-attr]
    return left.text


def forward_text(tape: TapeContents, event: Event) -> str | None:
    """The forward of an event's op in one line of text, with the keys of its values; None if it has no formula."""
    formula = formula_at(tape, event)
    return None if formula is None else to_text(formula.forward, names_of(tape, event))


def gradient_texts(tape: TapeContents, event: Event) -> list[str | None]:
    """For each addend of a backward the formula `dL/dh = g * w` in text; g is the incoming gradient."""
    return [None if tree is None else to_text(tree, names) for tree, names in _gradient_trees(tape, event)]


def formula_mathml(tape: TapeContents, event: Event) -> dict[str, object] | None:
    """{"forward": MathML, "gradients": [MathML or None for each addend], "where": ..., "words": ...}; None if none."""
    formula = formula_at(tape, event)
    if formula is None:
        return None
    names = names_of(tape, event)
    absent = [f"there is no {name} here" for name in _left_out(tape, event, formula)]
    return {
        "forward": to_mathml(formula.forward, names),
        "gradients": [None if tree is None else to_mathml(tree, own) for tree, own in _gradient_trees(tape, event)],
        "where": [to_mathml(part, names) for part in formula.where.split(";") if part.strip()],
        "words": "; ".join([*absent, formula.words] if formula.words else absent),
    }


def _left_out(tape: TapeContents, event: Event, formula: Formula) -> list[str]:
    """What the formula of a forward calls the inputs that the op was not given, such as a layer's bias."""
    if event.phase not in (FORWARD, LOSS):
        return []
    names = [name for name in formula.inputs if not name.startswith("*")]
    given = {name for name, n in zip(names, event.inputs, strict=False) if not tape.values[n].missing}
    return [name for name in names if name not in given]


def _gradient_trees(tape: TapeContents, event: Event) -> list[tuple[Node | None, dict[str, str]]]:
    formula = formula_at(tape, event)
    if formula is None or event.phase not in (BACKWARD, FORWARD, LOSS):
        return [(None, {}) for _ in event.addends]
    names = names_of(tape, event)
    called = input_names(formula, len(event.inputs))
    trees: list[tuple[Node | None, dict[str, str]]] = []
    for addend in event.addends:
        name = called[addend.input] if addend.input < len(called) else "x"
        trees.append((gradient_equation(event.op, addend.input, name), names))
    return trees
