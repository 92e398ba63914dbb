"""The words of the error messages, and the families their classes belong to."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest

import minidl as md
import minidl.functional as F
from minidl import backend
from minidl.errors import AxisError, describe, meant_by, printable, takes
from tests.arrays import tensor


@pytest.mark.parametrize(
    ("error", "family"),
    [
        (md.ShapeError, ValueError),
        (AxisError, IndexError),
        (AxisError, md.ShapeError),
        (md.DTypeError, TypeError),
        (md.DeviceError, TypeError),
        (md.GraphError, RuntimeError),
    ],
)
def test_the_classes_keep_pythons_families(error: type[Exception], family: type[Exception]) -> None:
    assert issubclass(error, family)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (3, "3"),
        (2.5, "2.5"),
        (None, "None"),
        (True, "True"),
        ("text", "'text'"),
        (object(), "object"),
        ([1, 2], "list"),
        (np.zeros((2, 3), np.int8), "ndarray of shape (2, 3), int8, numpy"),
        (np.float32(1), "float32 of shape (), float32, numpy"),
    ],
)
def test_describe(value: object, words: str) -> None:
    assert describe(value) == words


def test_describe_names_a_tensor_and_its_device(standin: ModuleType) -> None:
    weight = md.Tensor(np.ones((3, 4), np.float32), name="fc1.weight")
    assert describe(weight) == "Tensor 'fc1.weight' of shape (3, 4), float32, numpy"
    moved = md.Tensor(backend.to_device(np.ones(2), "cupy"))
    assert describe(moved) == "Tensor of shape (2,), float64, cupy"
    assert describe(moved._data) == "ndarray of shape (2,), float64, cupy"


def test_a_shape_error_says_op_operands_and_names() -> None:
    x, w = tensor(np.ones((2, 3))), tensor(np.ones((2, 4)))
    x.name, w.name = "batch", "weight"
    with pytest.raises(md.ShapeError) as caught:
        x * w
    for words in ("Mul", "'batch'", "'weight'", "(2, 3)", "(2, 4)"):
        assert words in str(caught.value)
    with pytest.raises(md.ShapeError, match=r"MatMul: .*shape\[-1\].*3 != 2"):
        x @ w
    with pytest.raises(md.ShapeError, match=r"Linear: .*in_features=4.*got \(2, 3\)"):
        F.linear(x, w)


def test_the_original_error_is_the_cause() -> None:
    with pytest.raises(md.ShapeError) as caught:
        tensor(np.ones(2)) + tensor(np.ones(3))
    assert isinstance(caught.value.__cause__, ValueError)
    assert not isinstance(caught.value.__cause__, md.ShapeError)


def test_a_warning_points_at_the_users_line() -> None:
    with pytest.warns(UserWarning, match="only one") as caught:
        md.nn.RNN(3, 4, dropout=0.5)  # found in the class that RNN is made of
    assert caught[0].filename == __file__


def test_what_cannot_be_printed_is_written_out():
    assert printable("fc1: \u00e9 \u00d7 \u2212 \u2026") == "fc1: \u00e9 \u00d7 \u2212 \u2026"
    assert printable("\x1b[31m\0\x9b\t\n\udcff\ufffe\u202e") == r"\x1b[31m\x00\x9b\t\n\udcff\ufffe\u202e"
    assert printable("a\nb\tc", keep="\n") == "a\nb\\tc"


@pytest.mark.parametrize("written", ["foward", "forwards", "Forward", "for_ward", "forwrad", "fforward", "gorward"])
def test_a_slip_of_the_pen_is_recognised(written):
    assert meant_by("forward", ["x", written, "forward"]) == written


@pytest.mark.parametrize("other", ["forward", "reward", "for", "backward", "frowadr", "x", ""])
def test_another_word_is_none(other):
    assert meant_by("forward", [other]) is None


def test_the_parameters_of_a_function_by_name():
    assert takes(lambda x, y=1, *rest, key=2, **named: x) == ("x", "y")
    assert takes(print) == ()
