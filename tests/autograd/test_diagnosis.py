"""Errors name the op and its operands; in anomaly mode they quote the user's lines."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minidl as md
import minidl.functional as F
from minidl.autograd.diagnosis import users_lines
from minidl.autograd.function import Function
from tests.arrays import device, host, tensor


class Failing(Function):
    """Fails on the way back, or on the way forward."""

    saves_inputs = True

    def __init__(self, forward_error: Exception | None = None) -> None:
        self.forward_error = forward_error

    def forward(self, x: Any) -> Any:
        if self.forward_error is not None:
            raise self.forward_error
        return x * 1

    def backward(self, grad_out: Any, x: Any) -> Any:
        raise ZeroDivisionError("on purpose")


@pytest.mark.parametrize(
    ("raised", "seen"),
    [
        (ValueError("odd"), md.ShapeError),
        (TypeError("odd"), md.DTypeError),
        (IndexError("odd"), IndexError),
        (md.GraphError("odd"), md.GraphError),
        (md.DTypeError("odd"), md.DTypeError),
        (KeyError("odd"), KeyError),
        (MemoryError("odd"), MemoryError),
    ],
)
def test_an_error_in_forward_keeps_its_family(raised: Exception, seen: type[Exception]) -> None:
    with pytest.raises(seen, match="odd") as caught:
        Failing(raised)(tensor([1.0]))
    assert caught.value.__cause__ is not caught.value


def test_an_error_in_backward_gets_a_note_with_op_and_shapes() -> None:
    x = tensor(np.ones((2, 3)), requires_grad=True)
    x.name = "pixels"
    with pytest.raises(ZeroDivisionError) as caught:
        Failing()(x).sum().backward()
    (note,) = caught.value.__notes__
    for words in ("backward of Failing", "shape (2, 3)", "'pixels'", "md.detect_anomaly()"):
        assert words in note


def test_in_anomaly_mode_the_note_quotes_the_users_lines() -> None:
    x = tensor(np.ones(3), requires_grad=True)
    with md.detect_anomaly():
        y = Failing()(x)  # the culprit
        with pytest.raises(ZeroDivisionError) as caught:
            y.sum().backward()
    (note,) = caught.value.__notes__
    assert "y = Failing()(x)  # the culprit" in note
    assert f"{__file__}:" in note
    assert str(Path(md.__file__).parent) + os.sep not in note  # by its whole path: a clone's folder is named minidl too


def test_anomaly_mode_names_the_op_that_made_a_nan() -> None:
    x = tensor([0.0, 1.0], requires_grad=True)
    with md.detect_anomaly():
        y = F.sqrt(x)  # its slope at 0 is infinite
        with pytest.raises(md.GraphError, match=r"backward of Sqrt produced NaN or infinity.*gradient of input 0") as e:
            (y * 2).sum().backward()
        assert "its slope at 0 is infinite" in str(e.value)
    assert x.grad is None
    F.sqrt(x).sum().backward()
    assert np.isinf(host(x.grad)[0])


def test_anomaly_mode_lets_a_nan_that_came_from_elsewhere_pass() -> None:
    x = tensor([1.0, 2.0], requires_grad=True)
    with md.detect_anomaly():
        (x * 2).backward(device([np.nan, 1.0]))
    np.testing.assert_array_equal(host(x.grad), [np.nan, 2])


def test_users_lines_are_the_innermost_and_not_the_librarys() -> None:
    lines = users_lines(limit=1)
    assert lines.count("\n") == 0
    assert "lines = users_lines(limit=1)" in lines


def test_a_folder_whose_name_begins_like_the_librarys_is_the_users() -> None:
    program = str(Path(md.__file__).parent) + "_examples" + os.sep + "program.py"
    found: dict[str, str] = {}
    exec(
        compile("found['lines'] = users_lines(limit=1)", program, "exec"), {"found": found, "users_lines": users_lines}
    )
    assert program in found["lines"]


@pytest.mark.parametrize("anomaly", [False, True])
def test_the_remedy_is_named(anomaly: bool) -> None:
    x = tensor([1.0, 2.0], requires_grad=True)

    def run() -> str:
        y = F.exp(x)
        with md.no_grad():
            y += 1
        with pytest.raises(md.GraphError) as caught:
            y.sum().backward()
        return str(caught.value)

    if anomaly:
        with md.detect_anomaly():
            message = run()
        assert "y = F.exp(x)" in message
    else:
        message = run()
        assert "detect_anomaly" in message
    assert "Exp saved values" in message
    assert "its output" in message
    assert "t = t.copy()" in message


# ---- the .grad of what is no leaf


def test_a_weight_that_became_a_result_is_said_to_be_one_where_its_gradient_is_read() -> None:
    """w = w - rate * w.grad works once; then w.grad is None, of which Python says only what it cannot multiply."""
    w = tensor([1.0, 2.0], requires_grad=True)
    (w * w).sum().backward()
    w = w - 0.1 * w.grad
    (w * w).sum().backward()
    message = r"is the result of an op, Sub, and has no \.grad.*update that in place: `with md\.no_grad\(\): w -= rate"
    with pytest.warns(UserWarning, match=message) as caught, pytest.raises(TypeError, match="NoneType"):
        w = w - 0.1 * w.grad
    assert caught[0].filename == __file__


def test_whoever_asked_for_the_gradient_of_a_result_or_gave_it_one_is_not_warned() -> None:
    x = tensor([1.0, 2.0], requires_grad=True)
    assert x.grad is None  # a leaf, before its first backward
    y = x * 2
    y.retain_grad()
    assert y.grad is None
    y.sum().backward()
    assert y.grad is not None
    y.zero_grad()
    assert y.grad is None
    with md.no_grad():
        assert (x * 2).grad is None
    z = x * 3
    z.grad = md.ones_like(z)
    assert z.grad is not None


def test_an_attribute_of_an_op_is_not_taken_for_its_outputs() -> None:
    """GetItem keeps the shape of its input, an op of yours may have a name: neither is that of the result."""

    class Named(md.Function):
        def forward(self, x: Any) -> Any:
            self.shape, self.name = (7, 7), "other"
            return x * 2

        def backward(self, grad_out: Any) -> Any:
            return grad_out * 2

    x = tensor([1.0, 2.0, 3.0], requires_grad=True)
    for y, op in ((x[[0, 1]], "GetItem"), (Named()(x)[:2] * 1, "Mul"), (Named()(x), "Named")):
        y.name = "hidden"
        loss = (y * y).sum()
        y.data[...] = 0
        with pytest.raises(md.GraphError, match=rf"the output 'hidden' of {op}, of shape \({y.shape[0]},\)\."):
            loss.backward()
