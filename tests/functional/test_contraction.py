"""minidl/functional/contraction.py."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl as md
import minidl.functional as F
from tests.arrays import host, tensor
from tests.factory import check, check_against_numpy, examples, operand
from tests.pytorch import torch

FORMULAS = {
    "ij,jk->ik": [(2, 3), (3, 4)],
    "ij,jk": [(2, 3), (3, 4)],
    "bqd,bkd->bqk": [(2, 3, 4), (2, 5, 4)],
    "i,j->ij": [(2,), (3,)],
    "i,i": [(3,), (3,)],
    ",i->i": [(), (3,)],
    "ij->j": [(2, 3)],
    "ij->": [(2, 3)],
    "ba": [(2, 3)],
    "ii": [(3, 3)],
    "ii->i": [(3, 3)],
    "iij,jkk->ik": [(2, 2, 3), (3, 2, 2)],
    "iii->i": [(2, 2, 2)],
    "...i,...i->...": [(4, 1, 3), (2, 3)],
    "...ij,...jk": [(2, 2, 3), (3, 4)],
    "a...b->b...": [(2, 3, 4)],
    "ij , jk , kl -> il": [(2, 3), (3, 2), (2, 4)],
    "i,i->i": [(0,), (0,)],
    "ij,j->i": [(2, 0), (0,)],
}


@pytest.mark.parametrize("formula", FORMULAS)
@examples(12)
@given(st.data())
def test_einsum(formula, data):
    xs = [data.draw(operand(shape)) for shape in FORMULAS[formula]]
    check(lambda *t: F.einsum(formula, *t), lambda *t: torch.einsum(formula, *t), xs, slack=4)


def test_an_axis_of_length_1_is_stretched():
    x, y = np.array([2.0]), np.array([1.0, 2.0, 3.0])
    tensors = [tensor(x, True), tensor(y, True)]
    assert F.einsum("i,i", *tensors).item() == 12
    assert md.gradgradcheck(lambda a, b: F.einsum("i,i->", a, b), tensors)


@pytest.mark.parametrize(
    ("formula", "shapes"), [("ij,jk->ik", [(2, 3), (3, 2)]), ("ii", [(2, 2)]), ("ij->ji", [(2, 3)])]
)
def test_integers_follow_numpy(formula, shapes):
    arrays = [np.arange(np.prod(shape)).reshape(shape) for shape in shapes]
    check_against_numpy(lambda *t: F.einsum(formula, *t), lambda *a: np.einsum(formula, *a), *arrays)


def test_float16_is_added_up_in_float32():
    x = tensor(np.ones(4096, np.float16))
    assert F.einsum("i,i", x, x).item() == 4096


@pytest.mark.parametrize(
    ("formula", "shapes", "error", "said"),
    [
        ("ij,jk", [(2, 3)], ValueError, "is about 2 operands; got 1"),
        ("ijk", [(2, 3)], md.ShapeError, "does not have a letter for each axis of operand 0, which has 2"),
        ("...ijk->i", [(2, 3)], md.ShapeError, "does not have a letter for each axis"),
        ("ij->ik", [(2, 3)], ValueError, "each letter of the result"),
        ("ij->ii", [(2, 2)], ValueError, "each letter of the result"),
        ("i1", [(2, 3)], ValueError, "expected letters"),
        ("ii", [(2, 3)], md.ShapeError, "'i' stands for two lengths"),
        ("ij,jk", [(2, 3), (4, 2)], md.ShapeError, "Einsum"),
    ],
)
def test_what_is_no_formula(formula, shapes, error, said):
    with pytest.raises(error, match=said):
        F.einsum(formula, *[tensor(np.ones(shape)) for shape in shapes])


def test_operands_in_a_list_are_refused():
    x = tensor(np.ones((2, 2)))
    with pytest.raises(
        TypeError, match=r"one operand after another; got a list: write F.einsum\('ij,jk', \*operands\)"
    ):
        F.einsum("ij,jk", [x, x])
    assert F.einsum("ij->j", [[1.0, 2.0], [3.0, 4.0]]).tolist() == [4, 6]


def test_operands_first_is_refused():
    with pytest.raises(ValueError, match="expected subscripts"):
        F.einsum(tensor(np.ones((2, 2))), [0, 1])


def test_the_gradient_is_an_einsum_again():
    x, y = tensor(np.ones((2, 3)), True), tensor(np.ones((3, 4)), True)
    grad = md.grad(F.einsum("ij,jk->ik", x, y).sum(), x, create_graph=True)
    assert "op=" in repr(grad)
    np.testing.assert_array_equal(host(grad), np.full((2, 3), 4.0))
