"""Every op has a formula, and the formula says what its forward and backward compute."""

from __future__ import annotations

import importlib
import pkgutil
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import minidl
from minidl.autograd.function import Function
from minidl.functional import activation, arithmetic, exponential, gated, loss, rounding, selection
from minidl.functional import trigonometric as trig
from minidl.functional.targets import Weigh
from minidl.stepper.evaluating import evaluate
from minidl.stepper.formula_table import FORMULAS
from minidl.stepper.formulas import (
    formula_mathml,
    formula_of,
    forward_text,
    gradient_equation,
    gradient_formula,
    gradient_texts,
    input_names,
    output_name,
)
from minidl.stepper.mathml import to_mathml, to_text
from minidl.stepper.notation import Relation, parse
from minidl.stepper.worked import explained

ABSTRACT = {
    "Checkpoint",
    "Part",
    "Edge",
    "ThroughTime",
    "Reduction",
    "_ReduceExtremum",
    "_Extremum",
    "_Step",
    "_Likelihood",
}


def ops() -> Iterator[type[Function]]:
    """Every op class of minidl that is no faster version of another (as those of fast/, but for recurrent layers)."""
    for found in pkgutil.walk_packages(minidl.__path__, "minidl."):
        if not found.name.startswith(("minidl.fast.", "minidl.__main__", "minidl.plot", "minidl.experiments")):
            importlib.import_module(found.name)
    waiting = list(Function.__subclasses__())
    while waiting:
        cls = waiting.pop()
        waiting += cls.__subclasses__()
        if getattr(sys.modules.get(cls.__module__), cls.__name__, None) is not cls:
            continue  # a test's own
        here = cls.__module__.startswith("minidl.") and not cls.__module__.startswith("minidl.fast.")
        if here or cls.__module__ == "minidl.fast.through_time":
            yield cls


def test_every_op_has_a_formula_that_can_be_shown() -> None:
    without = {cls.__name__ for cls in ops()} - ABSTRACT
    for name in sorted(without):
        formula = formula_of(name)
        assert formula is not None, f"{name} has no entry in minidl/stepper/formula_table.py"
        for part in [formula.forward, *[g for g in formula.gradients if g], *filter(None, formula.where.split(";"))]:
            assert to_text(part)
            assert to_mathml(part).startswith("<math")


def test_ops_with_a_gradient_have_its_formula() -> None:
    for cls in ops():
        if cls.__name__ not in ABSTRACT and cls.differentiable:
            formula = formula_of(cls.__name__)
            assert formula is not None
            assert any(g is not None for g in formula.gradients), cls.__name__


POSITIVE, UNIT = (0.2, 2.0), (0.05, 0.95)
ANY = (-2.0, 2.0)
ELEMENTWISE: list[tuple[Function, dict[str, float], tuple[tuple[float, float], ...]]] = [
    (arithmetic.Add(), {}, (ANY, ANY)),
    (arithmetic.Sub(), {}, (ANY, ANY)),
    (arithmetic.Mul(), {}, (ANY, ANY)),
    (Weigh(), {}, (ANY, ANY)),
    (arithmetic.Div(), {}, (ANY, POSITIVE)),
    (arithmetic.Neg(), {}, (ANY,)),
    (arithmetic.Pow(), {}, (POSITIVE, ANY)),
    (arithmetic.PowNumber(3), {"n": 3}, (ANY,)),
    (arithmetic.NumberPow(2.5), {"b": 2.5}, (ANY,)),
    (arithmetic.Abs(), {}, (ANY,)),
    (arithmetic.Sign(), {}, (ANY,)),
    (rounding.Floor(), {}, (ANY,)),
    (rounding.Ceil(), {}, (ANY,)),
    (rounding.Trunc(), {}, (ANY,)),
    (rounding.Round(0), {}, (ANY,)),
    (rounding.FloorDivide(), {}, (ANY, POSITIVE)),
    (rounding.Remainder(), {}, (ANY, POSITIVE)),
    (exponential.Exp(), {}, (ANY,)),
    (exponential.Log(), {}, (POSITIVE,)),
    (exponential.Expm1(), {}, (ANY,)),
    (exponential.Log1p(), {}, (POSITIVE,)),
    (exponential.LogBase(10), {"b": 10}, (POSITIVE,)),
    (exponential.Sqrt(), {}, (POSITIVE,)),
    (exponential.Square(), {}, (ANY,)),
    (exponential.Erf(), {}, (ANY,)),
    (trig.Sin(), {}, (ANY,)),
    (trig.Cos(), {}, (ANY,)),
    (trig.Tan(), {}, (UNIT,)),
    (trig.Arctan(), {}, (ANY,)),
    (activation.ReLU(), {}, (ANY,)),
    (activation.LeakyReLU(0.1), {"a": 0.1}, (ANY,)),
    (activation.PReLU(), {}, (ANY, ANY)),
    (activation.ELU(0.7), {"alpha": 0.7}, (ANY,)),
    (activation.Hardtanh(-1.0, 1.0), {"low": -1, "high": 1}, (ANY,)),
    (activation.Sigmoid(), {}, (ANY,)),
    (activation.Tanh(), {}, (ANY,)),
    (activation.Softsign(), {}, (ANY,)),
    (activation.Softplus(), {}, (ANY,)),
    (gated.SiLU(), {}, (ANY,)),
    (gated.GELU(), {}, (ANY,)),
    (gated.TanhGELU(), {}, (ANY,)),
    (selection.Maximum(), {}, (ANY, ANY)),
    (selection.Minimum(), {}, (ANY, ANY)),
    (selection.Clip(-1.0, 1.0), {"low": -1, "high": 1}, (ANY,)),
    (loss.BCE(), {}, (UNIT, UNIT)),
    (loss.BCEWithLogits(None), {"p": 1}, (ANY, UNIT)),
    (loss.BCEWithLogits(np.array(2.0)), {"p": 2}, (ANY, UNIT)),
    (loss.KLDiv(), {}, (ANY, UNIT)),
]


@pytest.mark.parametrize(("op", "options", "ranges"), ELEMENTWISE, ids=lambda x: type(x).__name__)
def test_the_formula_computes_what_the_op_does(op: Function, options: dict[str, float], ranges: Any) -> None:
    rng = np.random.default_rng(1)
    xs = [rng.uniform(*span, size=(3, 4)) for span in ranges]
    formula = formula_of(type(op).__name__)
    assert formula is not None
    assert formula.elementwise
    out = op.forward(*xs)
    numbers: dict[str, Any] = dict(zip(input_names(formula, len(xs)), xs, strict=True)) | options
    for part in filter(None, formula.where.split(";")):
        tree = parse(part)
        assert isinstance(tree, Relation)
        numbers[tree.first.text] = evaluate(tree.rest[0][1], numbers)  # type: ignore[union-attr]
    forward = parse(formula.forward)
    assert isinstance(forward, Relation)
    np.testing.assert_allclose(evaluate(forward.rest[0][1], numbers), out, rtol=1e-9, atol=1e-12)

    numbers |= {output_name(formula): out, "g": (g := rng.normal(size=(3, 4)))}
    if op.foreign or not hasattr(op, "needed"):
        op.needed = (1 << len(xs)) - 1
    grads = op.backward(g, *(xs if op.saves_inputs else ()), *((out,) if op.saves_output else ()))
    for i, grad in enumerate(grads if isinstance(grads, tuple) else (grads,)):
        said = evaluate(gradient_formula(formula, i) or "", numbers)
        np.testing.assert_allclose(np.broadcast_to(said, grad.shape), grad, rtol=1e-9, atol=1e-12)


def test_all_elementwise_formulas_are_computed_here() -> None:
    computed = {type(op).__name__ for op, _, _ in ELEMENTWISE}
    by_hand = {
        "Where",
        "Dropout",
        "Masked",
        "BroadcastTo",
        "Cast",
        "Copy",
        "ToDevice",
        "InputIdentity",
        "OutputIdentity",
    }
    assert {name for name, formula in FORMULAS.items() if formula.elementwise} - computed == by_hand


def test_where_sends_the_gradient_to_what_was_chosen() -> None:
    formula = formula_of("Where")
    assert formula is not None
    numbers = {"c": np.array([True, False]), "g": np.array([2.0, 3.0])}
    assert evaluate(formula.gradients[1] or "", numbers).tolist() == [2, 0]
    assert evaluate(formula.gradients[2] or "", numbers).tolist() == [0, 3]


def test_the_equation_names_what_it_is_the_gradient_of() -> None:
    tree = gradient_equation("Mul", 0, "x")
    assert tree is not None
    assert to_text(tree, {"x": "h2", "y": "w"}) == "dL/dh2 = g * w"
    assert gradient_equation("Where", 0, "c") is None
    star = gradient_equation("Concatenate", 2, "x_2")
    assert star is not None
    assert to_text(star) == "dL/dx_2 = g"


def test_an_op_of_ones_own_has_no_formula_whatever_it_is_called() -> None:
    class Mul(Function):
        def forward(self, x: Any) -> Any:
            return x + 1

        def backward(self, grad_out: Any) -> Any:
            return grad_out

    w = minidl.tensor([1.0, 2.0], requires_grad=True)
    with minidl.record() as tape:
        Mul()(w).sum().backward()
    assert formula_mathml(tape, tape.find("forward", "Mul")[0]) is None
    assert formula_mathml(tape, tape.find("backward", "Mul")[0]) is None
    assert explained(tape)[0] == {"formula": None, "worked": {"forward": [], "gradients": []}}


def test_the_formula_of_an_event_has_the_keys_of_its_values() -> None:
    x = minidl.tensor([1.0, 2.0], requires_grad=True)
    with minidl.record() as tape:
        h = x * 3
        h.sum().backward()
    (event,) = tape.find("backward", "Mul")
    assert forward_text(tape, event) == "h = x * 3"
    assert gradient_texts(tape, event) == ["dL/dx = g * 3"]
    found = formula_mathml(tape, event)
    assert found is not None
    assert found["gradients"] == [to_mathml(gradient_equation("Mul", 0, "x"), {"x": "x", "y": "3"})]


def test_what_is_added_to_a_grad_is_called_G() -> None:
    w = minidl.tensor([1.0, 2.0], requires_grad=True)
    with minidl.record() as tape:
        (w * 2).sum().backward()
    (event,) = tape.find("accumulate")
    assert forward_text(tape, event) == "G = G + g"


def test_a_bias_that_is_not_there_is_said_to_be_missing() -> None:
    layer = minidl.nn.Linear(2, 1, bias=False)
    with minidl.record() as tape:
        layer(minidl.tensor([[1.0, 2.0]]))
    said = formula_mathml(tape, tape[0])
    assert said is not None
    assert "none" not in str(said)
    assert str(said["words"]).startswith("there is no b here")
