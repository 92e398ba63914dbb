"""Formulas to look at: as MathML for a page, as one line of text for a terminal."""

# ruff: noqa: RUF001 - signs that look like others are meant

from __future__ import annotations

import html
from collections.abc import Mapping

from minidl.errors import printable
from minidl.stepper.notation import (
    Addition,
    Big,
    Call,
    Cases,
    Derivative,
    Fraction,
    Group,
    Name,
    Negative,
    Node,
    Number,
    Place,
    Power,
    Product,
    Relation,
    Size,
    Subscript,
    parse,
)

GREEK = {
    "alpha": "α", "beta": "β", "gamma": "γ", "delta": "δ", "eps": "ε", "lambda": "λ", "mu": "μ", "pi": "π",
    "sigma": "σ", "eta": "η", "infinity": "∞",
}  # fmt: skip
BIG_SIGNS = {"sum": "∑", "prod": "∏"}
SIGNS = {"<=": "≤", ">=": "≥", "!=": "≠", "-": "−"}
THIN = '<mspace width="0.17em"/>'
Names = Mapping[str, str]


# ---- MathML


def to_mathml(formula: str | Node, names: Names | None = None) -> str:
    """A formula as MathML, in one line; `names` says how its variables are called: {"x": "h2"}.

    Raises:
        ValueError: it is not of the notation (see `notation`).
    """
    tree = parse(formula) if isinstance(formula, str) else formula
    return f'<math xmlns="http://www.w3.org/1998/Math/MathML" displaystyle="true">{_ml(tree, names or {})}</math>'


def _ml(node: Node, names: Names) -> str:
    match node:
        case Number(text):
            return f"<mn>{text}</mn>"
        case Name(text):
            return _ml_name(text, names)
        case Subscript(Name(base), Number(below)) if f"{base}_{below}" in names:
            return _ml_name(f"{base}_{below}", names)
        case Subscript(base, below):
            return f"<msub>{_ml(base, names)}{_ml_below(below, names)}</msub>"
        case Power(base, exponent):
            return f"<msup>{_row(_ml(base, names))}{_row(_ml(_bare(exponent), names))}</msup>"
        case Fraction(top, bottom):
            return f"<mfrac>{_row(_ml(_bare(top), names))}{_row(_ml(_bare(bottom), names))}</mfrac>"
        case Negative(of):
            return f"<mrow><mo>−</mo>{_ml(of, names)}</mrow>"
        case Group(of):
            return f"<mrow><mo>(</mo>{_ml(of, names)}<mo>)</mo></mrow>"
        case Size(of):
            return f"<mrow><mo>|</mo>{_ml(of, names)}<mo>|</mo></mrow>"
        case Derivative(of):
            return f"<mfrac><mrow><mi>∂</mi><mi>L</mi></mrow><mrow><mi>∂</mi>{_ml(of, names)}</mrow></mfrac>"
        case Product(factors):
            return _row(_joined([_ml(factor, names) for factor in factors], factors, names))
        case Addition(terms):
            return _row("".join(_ml_term(sign, term, names, first=not i) for i, (sign, term) in enumerate(terms)))
        case Relation(first, rest):
            signs = "".join(f"<mo>{html.escape(SIGNS.get(sign, sign))}</mo>{_ml(side, names)}" for sign, side in rest)
            return f"<mrow>{_ml(first, names)}{signs}</mrow>"
        case Place(base, at):
            places = "<mo>,</mo>".join(_ml(place, names) for place in at)
            return f"<mrow>{_ml(base, names)}<mo>[</mo>{places}<mo>]</mo></mrow>"
        case Big(kind, below, of):
            sign = f"<mo>{BIG_SIGNS[kind]}</mo>" if kind in BIG_SIGNS else f"<mi>{kind}</mi>"
            return f"<mrow>{_under(sign, below, names)}{_ml(of, names)}</mrow>"
        case Call("sqrt", (of,), None):
            return f"<msqrt>{_ml(_bare(of), names)}</msqrt>"
        case Call(function, arguments, below):
            inside = "<mo>,</mo>".join(_ml(a, names) for a in arguments)
            inside = f"{THIN}{inside}" if _simple(arguments, names) else f"<mrow><mo>(</mo>{inside}<mo>)</mo></mrow>"
            return f"<mrow>{_under(f'<mi>{function}</mi>', below, names)}<mo>&#x2061;</mo>{inside}</mrow>"
        case Cases(cases):
            rows = "".join(_ml_case(value, condition, names) for value, condition in cases)
            return f'<mrow><mo stretchy="true">{{</mo><mtable columnalign="left left">{rows}</mtable></mrow>'
    raise TypeError(f"no formula: {node!r}")


def _ml_name(text: str, names: Names) -> str:
    if text in names:
        return f"<mi>{html.escape(printable(names[text]))}</mi>"
    return f"<mi>{GREEK.get(text, text).replace(chr(39), '′')}</mi>"


def _ml_term(sign: str, term: Node, names: Names, first: bool) -> str:
    shown = "" if first and sign == "+" else f"<mo>{SIGNS.get(sign, sign)}</mo>"
    return shown + _ml(term, names)


def _ml_case(value: Node, condition: Node | None, names: Names) -> str:
    said = "<mtext>else</mtext>" if condition is None else f"<mtext>if&#xa0;</mtext>{_ml(condition, names)}"
    return f"<mtr><mtd>{_ml(value, names)}</mtd><mtd>{said}</mtd></mtr>"


def _under(sign: str, below: Node | None, names: Names) -> str:
    return sign if below is None else f"<munder>{sign}{_ml_below(below, names)}</munder>"


def _ml_below(node: Node, names: Names) -> str:
    """A subscript: of several letters side by side a list."""
    letters = _bare(node)
    if isinstance(letters, Product):
        return _row("<mo>,</mo>".join(_ml(letter, names) for letter in letters.factors))
    return _row(_ml(letters, names))


def _row(inside: str) -> str:
    return f"<mrow>{inside}</mrow>"


def _joined(shown: list[str], factors: tuple[Node, ...], names: Names) -> str:
    """Factors side by side; with a point between them where a name has several letters or a number follows."""
    found = shown[0]
    for i in range(1, len(shown)):
        before, factor = factors[i - 1], factors[i]
        point = _long(before, names) or _long(factor, names) or isinstance(factor, Number)
        space = THIN if isinstance(before, Call) or isinstance(factor, (Call, Big)) else ""
        found += ("<mo>⋅</mo>" if point else f"<mo>&#x2062;</mo>{space}") + shown[i]
    return found


def _long(node: Node, names: Names) -> bool:
    """Whether a factor would run into its neighbour: its name has several letters, or it is a function's."""
    match node:
        case Name(text):
            return len(names.get(text, GREEK.get(text, text)).rstrip("'")) > 1
        case Subscript(base, _) | Power(base, _) | Place(base, _):
            return _long(base, names)
        case Call() | Big():
            return False
    return False


def _bare(node: Node) -> Node:
    """Without its parentheses, where the form itself says what belongs together."""
    return node.of if isinstance(node, Group) else node


def _simple(arguments: tuple[Node, ...], names: Names) -> bool:
    """Whether a function's argument may stand without parentheses: one short name or number, or what has its own."""
    if len(arguments) != 1 or _long(arguments[0], names):
        return False
    return isinstance(arguments[0], (Name, Number, Subscript, Group, Size))


# ---- text


def to_text(formula: str | Node, names: Names | None = None) -> str:
    """A formula in one line of plain text, with its variables called as `names` says; products are written with *.

    Raises:
        ValueError: it is not of the notation.
    """
    tree = parse(formula) if isinstance(formula, str) else formula
    return _text(tree, names or {})


def _text(node: Node, names: Names) -> str:
    match node:
        case Number(text):
            return text
        case Name(text):
            return printable(names.get(text, text))
        case Subscript(Name(base), Number(below)) if f"{base}_{below}" in names:
            return printable(names[f"{base}_{below}"])
        case Subscript(base, below):
            return f"{_text(base, names)}_{_text_below(below, names)}"
        case Power(base, exponent):
            shown = _text(base, names)
            return f"{f'({shown})' if shown.startswith('-') else shown}^{_factor(exponent, names)}"
        case Fraction(top, bottom):
            return f"{_factor(top, names)} / {_divisor(bottom, names)}"
        case Negative(of):
            shown = _text(of, names)
            return f"-({shown})" if shown.startswith("-") or isinstance(of, Addition) else f"-{shown}"
        case Group(of):
            shown = _text(of, names)
            return shown if isinstance(of, Name) and shown.startswith("(") else f"({shown})"
        case Size(of):
            return f"|{_text(of, names)}|"
        case Derivative(of):
            return f"dL/d{_text(of, names)}"
        case Product(factors):
            return " * ".join([_text(factors[0], names), *[_factor(factor, names) for factor in factors[1:]]])
        case Addition(terms):
            return "".join(_text_term(sign, term, names, not i) for i, (sign, term) in enumerate(terms))
        case Relation(first, rest):
            return _text(first, names) + "".join(f" {sign} {_text(side, names)}" for sign, side in rest)
        case Place(base, at):
            return f"{_text(base, names)}[{', '.join(_text(place, names) for place in at)}]"
        case Big(kind, below, of):
            return f"{kind}{'' if below is None else '_' + _text_below(below, names)} {_text(of, names)}"
        case Call(function, arguments, below):
            under = "" if below is None else "_" + _text_below(below, names)
            return f"{function}{under}({', '.join(_text(_bare(a), names) for a in arguments)})"
        case Cases(cases):
            return ", ".join(
                f"{_text(v, names)} {'otherwise' if c is None else f'where {_text(c, names)}'}" for v, c in cases
            )
    raise TypeError(f"no formula: {node!r}")


def _text_below(node: Node, names: Names) -> str:
    letters = _bare(node)
    if isinstance(letters, Product):
        return f"({', '.join(_text(letter, names) for letter in letters.factors)})"
    return _text(node, names)


def _text_term(sign: str, term: Node, names: Names, first: bool) -> str:
    shown = _text(term, names)
    if first:
        return shown if sign == "+" else f"-{shown}"
    return f" {sign} {f'({shown})' if shown.startswith('-') else shown}"


def _factor(node: Node, names: Names) -> str:
    """A factor that is not the first: a sign in front of it gets parentheses."""
    shown = _text(node, names)
    loose = shown.startswith("-") or isinstance(node, (Addition, Negative, Cases))
    return f"({shown})" if loose and not isinstance(node, Group) else shown


def _divisor(node: Node, names: Names) -> str:
    shown = _factor(node, names)
    return f"({shown})" if isinstance(node, (Product, Fraction)) else shown
