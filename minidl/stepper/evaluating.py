"""What a formula comes to: its tree computed with numbers, or with arrays of numbers place by place."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from minidl import backend
from minidl.stepper.notation import (
    Addition,
    Call,
    Cases,
    Fraction,
    Group,
    Name,
    Negative,
    Node,
    Number,
    Power,
    Product,
    Relation,
    Size,
    parse,
)

CONSTANTS = {"e": math.e, "pi": math.pi, "infinity": math.inf}


def _softplus(x: Any) -> Any:
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


def _erf(x: Any) -> Any:
    return backend.erf(np.asarray(x, dtype=np.float64))


COMPUTED: dict[str, Any] = {
    "sin": np.sin, "cos": np.cos, "tan": np.tan, "arctan": np.arctan, "tanh": np.tanh, "ln": np.log, "exp": np.exp,
    "sqrt": np.sqrt, "sign": np.sign, "floor": np.floor, "ceil": np.ceil, "trunc": np.trunc, "round": np.round,
    "max": np.maximum, "min": np.minimum, "softplus": _softplus, "erf": _erf,
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
}  # fmt: skip
COMPARED: dict[str, Any] = {
    "=": np.equal, "<": np.less, ">": np.greater, "<=": np.less_equal, ">=": np.greater_equal, "!=": np.not_equal
}  # fmt: skip


class NotComputableError(ValueError):
    """A formula with a variable of which no number is known, or with a part that is only to be shown."""


def evaluate(formula: str | Node, numbers: Mapping[str, Any]) -> Any:
    """The value of a formula in float64.

    Raises:
        NotComputableError: a variable is not among `numbers`, or the formula holds a sum over an index.
    """
    tree = parse(formula) if isinstance(formula, str) else formula
    with np.errstate(all="ignore"):
        return _value(tree, numbers)


def _value(node: Node, numbers: Mapping[str, Any]) -> Any:
    match node:
        case Number(text):
            return float(text)
        case Name(text):
            if text in numbers:
                return numbers[text]
            if text in CONSTANTS:
                return CONSTANTS[text]
            raise NotComputableError(f"no number is known for {text}; only for {', '.join(numbers)}")
        case Power(base, exponent):
            below, above = _value(base, numbers), _value(exponent, numbers)
            return np.float64(below) ** above if np.ndim(below) == 0 else below**above
        case Fraction(top, bottom):
            return np.true_divide(_value(top, numbers), _value(bottom, numbers))
        case Negative(of):
            return -_value(of, numbers)
        case Group(of):
            return _value(of, numbers)
        case Size(of):
            return np.abs(_value(of, numbers))
        case Product(factors):
            total = _value(factors[0], numbers)
            for factor in factors[1:]:
                total = total * _value(factor, numbers)
            return total
        case Addition(terms):
            total = 0.0
            for sign, term in terms:
                value = _value(term, numbers)
                total = total + value if sign == "+" else total - value
            return total
        case Call(function, arguments, None) if function in COMPUTED:
            return COMPUTED[function](*[_value(argument, numbers) for argument in arguments])
        case Relation(first, rest):
            holds, left = np.True_, _value(first, numbers)
            for sign, side in rest:
                right = _value(side, numbers)
                holds, left = holds & COMPARED[sign](left, right), right
            return holds
        case Cases(cases):
            found: Any = math.nan
            for value, condition in reversed(cases):
                chosen = _value(value, numbers)
                found = chosen if condition is None else np.where(_value(condition, numbers), chosen, found)
            return found
    raise NotComputableError(f"{type(node).__name__} is shown, not computed")
