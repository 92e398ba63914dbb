"""minidl/functional/recurrent.py."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl as md
import minidl.functional as F
from minidl.functional.recurrent import gates
from tests.arrays import host, tensor
from tests.factory import check, examples, operand
from tests.pytorch import torch


@st.composite
def step_operands(draw, number, states=1):
    """from_input, the states, weight_hh and bias_hh of a step with `number` gates."""
    samples, hidden = draw(st.integers(0, 3)), draw(st.integers(1, 4))
    rows = number * hidden
    shapes = [(samples, rows), *[(samples, hidden)] * states, (rows, hidden), (rows,)]
    return [draw(operand(shape, -1, 1)) for shape in shapes]


def with_pytorchs_cell(cell):
    """PyTorch's cell, which has an input matrix, as a function of what comes from the input: the matrix is 1."""

    def step(from_input, *rest):
        *state, weight_hh, bias_hh = rest
        rows = len(bias_hh)
        hx = state[0] if len(state) == 1 else tuple(state)
        eye = torch.eye(rows, dtype=from_input.dtype)
        return cell(from_input, hx, eye, weight_hh, torch.zeros_like(bias_hh), bias_hh)

    return step


@pytest.mark.parametrize("nonlinearity", ["tanh", "relu"])
@examples(20)
@given(step_operands(1))
def test_rnn_step(nonlinearity, xs):
    theirs = with_pytorchs_cell(getattr(torch, f"rnn_{nonlinearity}_cell"))
    check(lambda *args: F.rnn_step(*args, nonlinearity=nonlinearity), theirs, xs, mixed=False)


@examples(20)
@given(step_operands(4, states=2))
def test_lstm_step(xs):
    theirs = with_pytorchs_cell(torch.lstm_cell)
    check(lambda *args: F.concatenate(F.lstm_step(*args)), lambda *args: torch.cat(theirs(*args)), xs, mixed=False)


@examples(20)
@given(step_operands(3))
def test_gru_step(xs):
    check(F.gru_step, with_pytorchs_cell(torch.gru_cell), xs, mixed=False)


def test_without_a_bias_it_is_zero():
    x, h, w = (tensor(np.random.default_rng(0).standard_normal(shape)) for shape in ((2, 4), (2, 4), (4, 4)))
    np.testing.assert_array_equal(host(F.rnn_step(x, h, w)), host(F.rnn_step(x, h, w, tensor(np.zeros(4)))))


def test_what_is_no_step():
    def zeros(*shape):
        return tensor(np.zeros(shape))

    with pytest.raises(ValueError, match="rnn_step: nonlinearity: expected 'tanh' or 'relu'; got 'sigmoid'"):
        F.rnn_step(zeros(2, 4), zeros(2, 4), zeros(4, 4), nonlinearity="sigmoid")
    for width in (11, 13, 20):
        with pytest.raises(
            md.ShapeError, match=rf"gru_step: expected from_input \(N, 3 H\).*; got \(2, {width}\), \(2"
        ):
            F.gru_step(zeros(2, width), zeros(2, 4), zeros(12, 4))
        with pytest.raises(md.ShapeError, match=rf"lstm_step: .* weight_hh \(4 H, H\); got .*, \({width}, 4\)"):
            F.lstm_step(zeros(2, width), zeros(2, 4), zeros(2, 4), zeros(width, 4))
    with pytest.raises(md.ShapeError, match=r"rnn_step: expected from_input .*; got \(1, 4\), \(2, 4\)"):
        F.rnn_step(zeros(1, 4), zeros(2, 4), zeros(4, 4))
    with pytest.raises(md.ShapeError, match=r"each state \(N, H\) .*; got \(2, 16\), \(2, 4\), \(1, 4\)"):
        F.lstm_step(zeros(2, 16), zeros(2, 4), zeros(1, 4), zeros(16, 4))


def test_gates_are_the_equal_parts_of_the_last_axis():
    parts = gates(tensor(np.arange(12.0).reshape(2, 6)), 3)
    np.testing.assert_array_equal([host(part) for part in parts], np.arange(12.0).reshape(2, 3, 2).swapaxes(0, 1))
