"""minidl/fast/call.py: an op that is called and recorded fast becomes the same node as by the plain lines."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minidl as md
import minidl.functional as F
from minidl.autograd.function import Function
from minidl.autograd.variable import Variable
from minidl.fast import call
from minidl.fast.call import SAVES_INPUTS, SAVES_OUTPUT, traits_of
from tests.arrays import device, host


def three() -> list[Any]:
    """A leaf that requires a gradient, a result that does, and a tensor that does not."""
    leaf = md.Tensor(device(np.array([[1.0, 2.0], [3.0, 4.0]])), requires_grad=True)
    result = md.Tensor(device(np.array([[0.5, 0.25], [2.0, 1.0]])), requires_grad=True) * 1.0
    return [leaf, result, md.Tensor(device(np.array([[5.0, 6.0], [7.0, 8.0]])))]


def written(x: Any) -> Any:
    with md.no_grad():
        x += 1
    return x


CALLS: dict[str, Callable[[Any, Any, Any], Any]] = {
    "two tensors": lambda a, b, c: a * b,
    "one twice": lambda a, b, c: a * a,
    "a constant tensor": lambda a, b, c: c * a,
    "a number": lambda a, b, c: 3 * b,
    "a NumPy scalar": lambda a, b, c: b * np.float64(3),
    "an array": lambda a, b, c: c._data / a,
    "saves its output": lambda a, b, c: F.exp(b),
    "saves nothing": lambda a, b, c: a + b,
    "reads not all": lambda a, b, c: F.linear(c, a, None),
    "three inputs": lambda a, b, c: F.linear(c, a, F.sum(b, axis=0)),
    "a view": lambda a, b, c: a.reshape(4),
    "a view of a result": lambda a, b, c: b[0],
    "its input itself": lambda a, b, c: F.broadcast_to(b, (2, 2)),
    "without a gradient": lambda a, b, c: a > b,
    "of constants": lambda a, b, c: c * c,
    "of arrays": lambda a, b, c: F.multiply(c._data, 2.0),
    "after a write": lambda a, b, c: written(a) * written(c),
    "guarded": lambda a, b, c: (a * b, a.data, a * c)[2],
    "not recorded": md.no_grad()(lambda a, b, c: a * b),
    "a list": lambda a, b, c: a * [[1.0, 2.0]],
}


def place(x: Any, known: list[Any]) -> Any:
    """What an entry of `inputs` is: which of the known tensors, the node that made one, or a constant."""
    for i, tensor in enumerate(known):
        if x is tensor or (x is not None and x is tensor._op):
            return i
    if isinstance(x, Function):
        return type(x).plain.__name__
    return None if x is None else np.asarray(host(x)).tolist()


def node(y: Any, known: list[Any]) -> dict[str, Any]:
    """All that was recorded of the op that made y, and what became of its inputs."""
    found: dict[str, Any] = {
        "values": host(y).tolist(),
        "class": type(y).__name__,
        "inputs' writes": [
            None if x._writes is None else (x._writes.count, x._writes.saved, x._writes.stale) for x in known
        ][:1],
        "arrays kept": [x._op is not None and x._op._data is not None for x in known],
    }
    if not isinstance(y, Variable):
        return found
    op = y._op
    found |= {"requires": y._requires_grad, "shares": [y._writes is not None and y._writes is x._writes for x in known]}
    if op is not None:
        saves = op.saves_inputs or op.saves_output
        found |= {
            "op": op.plain.__name__,
            "inputs": [place(x, known) for x in op.inputs],
            "needed": op.needed,
            "dtype": op._dtype,
            "output kept": op._data is not None,
            "saved writes": op._saved_writes,
            "stretch": saves and op._stretch.seen >= -1,
        }
    return found


@pytest.mark.parametrize("name", CALLS)
def test_the_node_is_the_plain_one(name: str) -> None:
    known = three()
    fast = node(CALLS[name](*known), known)
    with md.plain():
        known = three()
        plain = node(CALLS[name](*known), known)
    assert fast == plain


@pytest.mark.parametrize("name", CALLS)
def test_writes_afterwards_are_found_alike(name: str) -> None:
    def outcome(which: int) -> str:
        known = three()
        y = CALLS[name](*known)
        if not isinstance(y, Variable) or not y._requires_grad:
            return "no history"
        with md.no_grad():
            known[which] *= 2
        try:
            F.sum(y).backward()
        except md.GraphError as error:
            return str(error)
        return str([None if x.grad is None else host(x.grad).tolist() for x in known[:1]])

    for which in range(3):
        fast = outcome(which)
        with md.plain():
            assert outcome(which) == fast


@pytest.mark.parametrize(
    "action",
    [
        lambda a: a * [a, a],
        lambda a: F.exp("text"),
        lambda a: a * md.Tensor(device(np.ones(3))),
        lambda a: F.linear(a, a[0], None),
    ],
)
def test_errors_are_the_same(action: Callable[[Any], Any]) -> None:
    with pytest.raises((ValueError, TypeError)) as fast:
        action(three()[0])
    with md.plain(), pytest.raises((ValueError, TypeError)) as plain:
        action(three()[0])
    assert (type(fast.value), str(fast.value)) == (type(plain.value), str(plain.value))


def again(op: Function, a: Any, b: Any) -> Any:
    op(a, b)
    return op(a, b)


class Holder:
    """An attribute of an object."""

    def __init__(self) -> None:
        self.op = F.arithmetic.Mul()

    def twice(self, a: Any, b: Any) -> Any:
        return [self.op(a, b), self.op(a, b)]


REUSES: dict[str, Callable[[Any, Any], Any]] = {
    "a variable": lambda a, b: again(F.arithmetic.Mul(), a, b),
    "an attribute": lambda a, b: Holder().twice(a, b),
    "map": lambda a, b: list(map(F.arithmetic.Mul(), [a, b], [b, a])),
    "partial": lambda a, b: (lambda p: [p(b), p(b)])(functools.partial(F.arithmetic.Mul(), a)),
    "a list": lambda a, b: (lambda ops: [ops[0](a, b), ops[0](a, b)])([F.arithmetic.Mul()]),
    "its result": lambda a, b: (lambda y: y._op(a, b))(a * b),
    "a later node": lambda a, b: (lambda y: y._op.inputs[0](a, b))(F.exp(a * b)),
    "a bound call": lambda a, b: (lambda call: [call(a, b), call(a, b)])(F.arithmetic.Mul().__call__),
    "a star": lambda a, b: (lambda op: [op(*(a, b)), op(*(a, b))])(F.arithmetic.Mul()),
}


@pytest.mark.parametrize("reuse", REUSES)
@pytest.mark.parametrize("plain", [False, True])
def test_an_op_that_is_a_node_already_is_refused(reuse: str, plain: bool) -> None:
    a, b, _ = three()
    with md.plain() if plain else md.enable_grad(), pytest.raises(md.GraphError, match="this Mul is already a node"):
        REUSES[reuse](a, b)


def test_a_new_op_is_not_asked_whether_it_is_a_node(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(call, "check_recordable", lambda op, data: asked.append(op))
    a, b, _ = three()
    F.exp(a * b + 1.0)
    F.multiply(*(a, b))
    assert len(asked) == (0 if sys.version_info < (3, 14) else 4)


def test_traits_are_what_the_class_says() -> None:
    traits, reads, _ = traits_of(F.arithmetic.Mul)
    assert traits & SAVES_INPUTS
    assert not traits & SAVES_OUTPUT
    assert (reads[1], reads[2], reads[3]) == (0b10, 0b01, 0b11)
    traits, reads, _ = traits_of(F.exponential.Exp)
    assert traits & SAVES_OUTPUT
    assert reads[1] == -1  # nothing is said: everything may be read
