"""minidl/functional/through_time.py: a layer's walk is its step, called again and again."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import minidl as md
import minidl.functional as F
from minidl.fast.through_time import GRUWalk, LSTMWalk, RNNWalk, walk
from minidl.functional.recurrent import time_steps
from tests.arrays import device, host, tensor
from tests.factory import check, examples, operand
from tests.functional.test_recurrent import with_pytorchs_cell

# name: a new op, the number of its gates and of the arrays in its state, one step by plain ops, PyTorch's cell
KINDS = {
    "tanh": (lambda: RNNWalk("tanh"), 1, 1, F.rnn_step, torch.rnn_tanh_cell),
    "relu": (lambda: RNNWalk("relu"), 1, 1, lambda *xs: F.rnn_step(*xs, nonlinearity="relu"), torch.rnn_relu_cell),
    "lstm": (LSTMWalk, 4, 2, F.lstm_step, torch.lstm_cell),
    "gru": (GRUWalk, 3, 1, F.gru_step, torch.gru_cell),
}
every_kind = pytest.mark.parametrize("kind", KINDS)


def whole(kind):
    """The walk as a function of from_input, the state, weight_hh and bias_hh."""
    make, number = KINDS[kind][:2]
    return lambda from_input, *rest: walk(make(), number, from_input, rest[:-2], *rest[-2:])


def step_by_step(kind):
    """The same by the plain step, T times."""
    step = KINDS[kind][3]

    def run(from_input, *rest):
        *state, weight_hh, bias_hh = rest
        states = []
        for x in time_steps(from_input):
            after = step(x, *state, weight_hh, bias_hh)
            state = after if isinstance(after, tuple) else (after,)
            states.append(state)
        return F.stack([F.stack(parts) for parts in zip(*states, strict=True)])

    return run


def pytorchs(kind):
    cell = with_pytorchs_cell(KINDS[kind][4])

    def run(from_input, *rest):
        *state, weight_hh, bias_hh = rest
        states = []
        for x in from_input:
            after = cell(x, *state, weight_hh, bias_hh)
            state = after if isinstance(after, tuple) else (after,)
            states.append(state)
        return torch.stack([torch.stack(parts) for parts in zip(*states, strict=True)])

    return run


def shapes_of(kind, steps, samples, hidden):
    """Of from_input, the state, weight_hh and bias_hh."""
    _, number, states, *_ = KINDS[kind]
    rows = number * hidden
    return [(steps, samples, rows), *[(samples, hidden)] * states, (rows, hidden), (rows,)]


def operands_of(kind, *sizes, dtype=np.float64, scale=1.0):
    rng = np.random.default_rng(0)
    return [(rng.standard_normal(shape) * scale).astype(dtype) for shape in shapes_of(kind, *sizes)]


@st.composite
def walk_operands(draw, kind):
    sizes = draw(st.integers(1, 4)), draw(st.integers(0, 3)), draw(st.integers(1, 3))
    return [draw(operand(shape, -1, 1)) for shape in shapes_of(kind, *sizes)]


@every_kind
def test_it_is_pytorchs_cell_called_again_and_again(kind):
    @examples(8)
    @given(walk_operands(kind))
    def all_the_same(xs):
        check(whole(kind), pytorchs(kind), xs, mixed=False, recomputed=True)

    all_the_same()


@pytest.mark.parametrize(("dtype", "rounding"), [("float64", 1e-12), ("float32", 1e-5), ("float16", 4e-3)])
@every_kind
def test_it_is_the_plain_step_called_again_and_again(kind, dtype, rounding):
    """Value, first and second derivative, of sizes at which BLAS and NumPy go other ways than for a few numbers."""
    arrays = operands_of(kind, 13, 5, 20, dtype=dtype, scale=0.3)
    found = []
    for run in (whole(kind), step_by_step(kind)):
        xs = [tensor(array, requires_grad=True) for array in arrays]
        states = run(*xs)
        grads = md.grad((states * states).mean(), xs, create_graph=True)
        second = md.grad(sum((grad * grad).sum() for grad in grads), xs)
        found.append([states, *grads, *second])
    for ours, plain in zip(*found, strict=True):
        assert ours.dtype == dtype
        largest = np.abs(host(plain)).max().astype(np.float64)
        np.testing.assert_allclose(host(ours), host(plain), rtol=0, atol=rounding * max(largest, 1e-2))


@every_kind
def test_a_first_derivative_is_the_same_whether_it_is_recorded_or_not(kind):
    """Once the gates are those of the forward, once they are computed anew."""
    xs = [tensor(array, requires_grad=True) for array in operands_of(kind, 13, 5, 20, scale=0.3)]
    loss = (whole(kind)(*xs) ** 2).sum()
    recorded = md.grad(loss, xs, create_graph=True)
    loss.backward()
    for x, grad in zip(xs, recorded, strict=True):
        np.testing.assert_allclose(host(x.grad), host(grad), rtol=1e-10, atol=1e-12)


@every_kind
def test_its_graph_is_one_op_however_many_steps(kind):
    xs = [tensor(array, requires_grad=True) for array in operands_of(kind, 50, 2, 3)]
    op = whole(kind)(*xs)._op
    assert isinstance(op, KINDS[kind][0] if isinstance(KINDS[kind][0], type) else RNNWalk)
    assert all(isinstance(source, md.Tensor) for source in op.inputs if source is not None)


@every_kind
def test_without_a_bias_it_is_zero(kind):
    *arrays, bias = operands_of(kind, 3, 2, 4)
    without = [tensor(array, requires_grad=True) for array in arrays]
    with_zeros = [tensor(array, requires_grad=True) for array in (*arrays, 0 * bias)]
    ours, plain = whole(kind)(*without, None), whole(kind)(*with_zeros)
    np.testing.assert_array_equal(host(ours), host(plain))
    ours.sum().backward()
    plain.sum().backward()
    for a, b in zip(without, with_zeros, strict=False):
        np.testing.assert_array_equal(host(a.grad), host(b.grad))


@every_kind
def test_a_frozen_weight_costs_no_product_and_a_second_walk_gives_the_same(kind):
    arrays = operands_of(kind, 3, 2, 4)
    xs = [tensor(array, requires_grad=i == 0) for i, array in enumerate(arrays)]
    loss = whole(kind)(*xs).sum()
    loss.backward(retain_graph=True)
    once = host(xs[0].grad).copy()
    loss.backward()
    np.testing.assert_array_equal(host(xs[0].grad), 2 * once)
    assert all(x.grad is None for x in xs[1:])


def test_an_infinite_input_saturates_the_gates_of_its_sample_alone():
    arrays = operands_of("lstm", 3, 2, 4)
    arrays[0][1, 0] = np.inf
    states = host(whole("lstm")(*map(device, arrays)))
    assert np.isfinite(states).all()
    arrays[0][1, 0] = 0
    np.testing.assert_array_equal(states[:, :, 1], host(whole("lstm")(*map(device, arrays)))[:, :, 1])


def test_arrays_that_do_not_fit_are_refused():
    from_input, hidden, weight, bias = operands_of("gru", 3, 2, 4)
    expected = r"GRUWalk: expected from_input \(N, 3 H\), each state \(N, H\) and weight_hh \(3 H, H\); got \(2, 11\), "
    with pytest.raises(md.ShapeError, match=expected):
        whole("gru")(tensor(from_input[..., 1:]), tensor(hidden), tensor(weight), tensor(bias))
    with pytest.raises(md.ShapeError, match=r"GRUWalk: expected bias_hh of shape \(12,\); got \(11,\)"):
        whole("gru")(tensor(from_input), tensor(hidden), tensor(weight), tensor(bias[1:]))
    expected = (
        "GRUWalk: expected inputs, weight_hh, bias_hh and state of one dtype; got float64, float32, float64, float64"
    )
    with pytest.raises(md.DTypeError, match=expected):
        whole("gru")(tensor(from_input), tensor(hidden), tensor(weight.astype(np.float32)), tensor(bias))


@every_kind
def test_every_array_must_have_the_dtype_of_the_others(kind):
    for odd in range(len(operands_of(kind, 3, 2, 4))):
        arrays = operands_of(kind, 3, 2, 4)
        arrays[odd] = arrays[odd].astype(np.float32)
        with pytest.raises(md.DTypeError, match="of one dtype; got"):
            whole(kind)(*map(tensor, arrays))
