"""Formulas are shown as MathML and as text, with the names of a tape, and a name stays in its place."""

# ruff: noqa: RUF001 - signs that look like others are meant

from __future__ import annotations

from xml.dom.minidom import parseString

import pytest

from minidl.stepper.formula_table import FORMULAS
from minidl.stepper.mathml import to_mathml, to_text
from minidl.stepper.notation import parse


@pytest.mark.parametrize(
    ("formula", "text"),
    [
        ("z = x y", "z = x * y"),
        ("-g x / y^2", "-g * x / y^2"),
        ("1 / (1 + e^(-x))", "1 / (1 + e^(-x))"),
        ("g / (2 z)", "g / (2 * z)"),
        ("ln x / ln b", "ln(x) / ln(b)"),
        ("max(x, 0)", "max(x, 0)"),
        ("{g if x > 0; 0 else}", "g where x > 0, 0 otherwise"),
        ("z = sum_i x_i", "z = sum_i x_i"),
        ("sum_(c k) w[f, c, k]", "sum_(c, k) w[f, c, k]"),
        ("(sum_i |x_i|^p)^(1 / p)", "(sum_i |x_i|^p)^(1 / p)"),
        ("x^y ln x", "x^y * ln(x)"),
        ("u' alpha", "u' * alpha"),
    ],
)
def test_text(formula: str, text: str) -> None:
    assert to_text(formula) == text


@pytest.mark.parametrize(
    ("formula", "part"),
    [
        ("x / y^2", "<mfrac><mrow><mi>x</mi></mrow><mrow><msup>"),
        ("sqrt(2 pi)", "<msqrt><mrow><mn>2</mn><mo>&#x2062;</mo><mi>π</mi></mrow></msqrt>"),
        ("sum_i x_i", "<munder><mo>∑</mo><mrow><mi>i</mi></mrow></munder>"),
        ("{g if x > 0; 0 else}", "<mtext>if&#xa0;</mtext><mrow><mi>x</mi><mo>&gt;</mo><mn>0</mn></mrow>"),
        ("low <= x", "<mo>≤</mo>"),
        ("-x", "<mo>−</mo><mi>x</mi>"),
        ("u'", "<mi>u′</mi>"),
        ("ln x", '<mi>ln</mi><mo>&#x2061;</mo><mspace width="0.17em"/><mi>x</mi>'),
    ],
)
def test_mathml(formula: str, part: str) -> None:
    assert part in to_mathml(formula)


def test_variables_take_the_names_of_the_tape() -> None:
    names = {"x": "h2", "y": "fc1.weight"}
    assert to_text("z = x y", names) == "z = h2 * fc1.weight"
    assert "<mi>h2</mi><mo>⋅</mo><mi>fc1.weight</mi>" in to_mathml("z = x y", names)
    assert to_text("join(x_0, x_1)", {"x_0": "a", "x_1": "b"}) == "join(a, b)"


def test_a_function_of_a_long_name_has_parentheses() -> None:
    assert "<mo>&#x2061;</mo><mrow><mo>(</mo><mi>fc1.relu</mi><mo>)</mo></mrow>" in to_mathml("ln x", {"x": "fc1.relu"})


def test_negative_numbers_get_parentheses() -> None:
    assert to_text("x y", {"x": "-3", "y": "-2"}) == "-3 * (-2)"
    assert to_text("x^2", {"x": "-3"}) == "(-3)^2"
    assert to_text("-x", {"x": "-3"}) == "-(-3)"
    assert to_text("y - x", {"x": "-3"}) == "y - (-3)"


def test_names_are_escaped() -> None:
    shown = to_mathml("x + y", {"x": "<script>alert(1)</script>", "y": "\x1b[2J"})
    assert "<script" not in shown
    assert "\x1b" not in shown
    assert "\x1b" not in to_text("x + y", {"x": "\x1b[2J"})


def test_every_formula_of_the_table_is_well_formed_mathml() -> None:
    names = {"x": "a<b", "y": "fc1.weight", "z": "out"}
    for formula in FORMULAS.values():
        for part in [formula.forward, *filter(None, formula.gradients), *filter(None, formula.where.split(";"))]:
            parseString(to_mathml(part, names))
            parseString(to_mathml(part))


@pytest.mark.parametrize("wrong", ["x +", "(x", "x $ y", "sum_", "x)", "", "{x", "|x"])
def test_what_is_no_formula_is_refused_in_words(wrong: str) -> None:
    with pytest.raises(ValueError, match=r"expected|what is this"):
        parse(wrong)
