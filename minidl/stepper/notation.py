"""A small notation for formulas, and its parser: "z = 1 / (1 + e^(-x))" becomes a tree that can be shown and computed.

x y, 2 x            a product             x_i, x_(n c)       a subscript, or two
g x / y^2           a fraction: all that stands before in the product, over the one factor behind
ln x, max(x, 0)     a function            sum_i x_i y        a sum; also max_i, min_i, mean_i
|x|, sqrt(x)                              X^T                a transposed matrix (only shown, not computed)
{g if x > 0; 0 else}                      cases
w[f, c, k]          a place               alpha, eps, pi     Greek letters
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import TypeAlias

FUNCTIONS = frozenset(
    {
        *("sin", "cos", "tan", "arctan", "tanh", "ln", "log", "exp", "erf", "sqrt", "sigmoid", "softplus", "softmax"),
        *("sign", "floor", "ceil", "trunc", "round", "max", "min", "argmax", "argsort", "compare", "join"),
    }
)
BIG = frozenset({"sum", "mean", "prod"})  # take a subscript, and all of the product that follows


@dataclass(frozen=True, slots=True)
class Number:
    """A number as it is written."""

    text: str


@dataclass(frozen=True, slots=True)
class Name:
    """A variable, such as x, or u' for a derivative."""

    text: str


@dataclass(frozen=True, slots=True)
class Subscript:
    """x_i."""

    base: Node
    below: Node


@dataclass(frozen=True, slots=True)
class Power:
    """x^2."""

    base: Node
    exponent: Node


@dataclass(frozen=True, slots=True)
class Product:
    """x y."""

    factors: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Fraction:
    """x / y."""

    top: Node
    bottom: Node


@dataclass(frozen=True, slots=True)
class Negative:
    """-x."""

    of: Node


@dataclass(frozen=True, slots=True)
class Addition:
    """x + y - z, as (("+", x), ("+", y), ("-", z))."""

    terms: tuple[tuple[str, Node], ...]


@dataclass(frozen=True, slots=True)
class Call:
    """max(x, 0), or ln x; with `below` for max_i x_i."""

    function: str
    arguments: tuple[Node, ...]
    below: Node | None = None


@dataclass(frozen=True, slots=True)
class Big:
    """sum_i x_i."""

    kind: str
    below: Node | None
    of: Node


@dataclass(frozen=True, slots=True)
class Group:
    """(x)."""

    of: Node


@dataclass(frozen=True, slots=True)
class Size:
    """|x|."""

    of: Node


@dataclass(frozen=True, slots=True)
class Place:
    """w[f, c, k]."""

    base: Node
    at: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Cases:
    """{x if x > 0; 0 else}: (value, condition), with None for else."""

    cases: tuple[tuple[Node, Node | None], ...]


@dataclass(frozen=True, slots=True)
class Relation:
    """x = y, low < x < high: the first side, and what follows."""

    first: Node
    rest: tuple[tuple[str, Node], ...]


@dataclass(frozen=True, slots=True)
class Derivative:
    """dL/dx."""

    of: Node


Node: TypeAlias = (
    Number
    | Name
    | Subscript
    | Power
    | Product
    | Fraction
    | Negative
    | Addition
    | Call
    | Big
    | Group
    | Size
    | Place
    | Cases
    | Relation
    | Derivative
)

_TOKEN = re.compile(r"\s*(?:(\d+\.?\d*)|([A-Za-z]+\d*'*)|(<=|>=|!=|[-+*/^_()\[\]{}|,;=<>]))")
RELATIONS = ("=", "<", ">", "<=", ">=", "!=")


@cache
def parse(text: str) -> Node:
    """The tree of a formula.

    Raises:
        ValueError: it is not of this notation; the message shows where.
    """
    return _Parser(text).whole()


class _Parser:
    """Reads from left to right, one method a level: relation, sum, product, power, atom."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens: list[tuple[str, str, int]] = []  # kind, text, where
        at = 0
        while text[at:].strip():
            found = _TOKEN.match(text, at)
            if found is None:
                raise self.wrong(at, "what is this?")
            kind = ("number", "name", "sign")[int(found.lastindex or 1) - 1]
            self.tokens.append((kind, found.group(found.lastindex or 1), found.start(found.lastindex or 1)))
            at = found.end()
        self.at = 0
        self.inside_size = False

    def wrong(self, at: int, why: str) -> ValueError:
        return ValueError(f"{why}: {self.text[:at]} >>> {self.text[at:]}")

    def peek(self) -> str:
        return self.tokens[self.at][1] if self.at < len(self.tokens) else ""

    def kind(self) -> str:
        return self.tokens[self.at][0] if self.at < len(self.tokens) else ""

    def next(self) -> str:
        found = self.peek()
        self.at += 1
        return found

    def expect(self, sign: str) -> None:
        if self.peek() != sign:
            where = self.tokens[self.at][2] if self.at < len(self.tokens) else len(self.text)
            raise self.wrong(where, f"expected {sign!r}")
        self.at += 1

    def whole(self) -> Node:
        found = self.relation()
        if self.at < len(self.tokens):
            raise self.wrong(self.tokens[self.at][2], "expected nothing more")
        return found

    def relation(self) -> Node:
        first, rest = self.addition(), []
        while self.peek() in RELATIONS:
            sign = self.next()
            rest.append((sign, self.addition()))
        return Relation(first, tuple(rest)) if rest else first

    def addition(self) -> Node:
        terms = [("+", self.product())]
        while self.peek() in ("+", "-"):
            terms.append((self.next(), self.product()))
        return Addition(tuple(terms)) if len(terms) > 1 else terms[0][1]

    def product(self) -> Node:
        if self.peek() == "-":
            self.next()
            return Negative(self.product())
        factors = [self.power()]
        while True:
            if self.peek() == "/":
                self.next()
                factors = [Fraction(_product(factors), self.power())]
            elif self.peek() == "*":
                self.next()
                factors.append(self.power())
            elif self.begins_atom():
                factors.append(self.power())
            else:
                return _product(factors)

    def begins_atom(self) -> bool:
        if self.kind() == "name":
            return self.peek() not in ("if", "else")
        return self.kind() == "number" or self.peek() in ("(", "{") or (self.peek() == "|" and not self.inside_size)

    def power(self) -> Node:
        base = self.subscripted()
        if self.peek() != "^":
            return base
        self.next()
        if self.peek() == "-":
            self.next()
            return Power(base, Negative(self.subscripted()))
        return Power(base, self.subscripted())

    def subscripted(self) -> Node:
        if self.kind() == "name" and self.peek() in FUNCTIONS | BIG:
            return self.call()
        base = self.atom()
        while self.peek() in ("_", "["):
            if self.next() == "_":
                base = Subscript(base, self.atom())
            else:
                base = Place(base, self.listed("]"))
        return base

    def call(self) -> Node:
        name, below = self.next(), None
        if self.peek() == "_":
            self.next()
            below = self.atom()
        if name in BIG:
            return Big(name, below, self.product())
        if self.peek() == "(":
            self.next()
            return Call(name, self.listed(")"), below)
        return Call(name, (self.power(),), below)

    def listed(self, end: str) -> tuple[Node, ...]:
        found = [self.relation()]
        while self.peek() == ",":
            self.next()
            found.append(self.relation())
        self.expect(end)
        return tuple(found)

    def atom(self) -> Node:
        if self.kind() == "number":
            return Number(self.next())
        if self.kind() == "name":
            return Name(self.next())
        sign = self.next()
        if sign == "(":
            found = self.relation()
            self.expect(")")
            return Group(found)
        if sign == "|":
            before, self.inside_size = self.inside_size, True
            found = self.relation()
            self.inside_size = before
            self.expect("|")
            return Size(found)
        if sign == "{":
            return self.cases()
        self.at -= 1
        raise self.wrong(self.tokens[self.at][2] if sign else len(self.text), "expected a number, a name or (")

    def cases(self) -> Node:
        found: list[tuple[Node, Node | None]] = []
        while True:
            value = self.addition()
            if self.peek() == "else":
                self.next()
                found.append((value, None))
            else:
                self.expect("if")
                found.append((value, self.relation()))
            if self.peek() != ";":
                self.expect("}")
                return Cases(tuple(found))
            self.next()


def _product(factors: list[Node]) -> Node:
    return factors[0] if len(factors) == 1 else Product(tuple(factors))
