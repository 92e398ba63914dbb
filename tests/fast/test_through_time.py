"""minidl/fast/through_time.py: a layer in one op is its step, called again and again."""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl as md
import minidl.functional as F
from minidl import nn
from minidl.autograd.modes import PLAIN, mode, plain
from minidl.fast import through_time
from minidl.fast.through_time import GRUThroughTime, LSTMThroughTime, RNNThroughTime, time_steps
from tests.arrays import device, host, tensor
from tests.factory import check, examples, operand
from tests.functional.test_recurrent import with_pytorchs_cell
from tests.pytorch import torch

# name: a new op, the number of its gates and of the arrays in its state, one step by plain ops, PyTorch's cell
KINDS = {
    "tanh": (lambda: RNNThroughTime("tanh"), 1, 1, F.rnn_step, torch.rnn_tanh_cell),
    "relu": (
        lambda: RNNThroughTime("relu"),
        1,
        1,
        partial(F.rnn_step, nonlinearity="relu"),
        torch.rnn_relu_cell,
    ),
    "lstm": (LSTMThroughTime, 4, 2, F.lstm_step, torch.lstm_cell),
    "gru": (GRUThroughTime, 3, 1, F.gru_step, torch.gru_cell),
}
every_kind = pytest.mark.parametrize("kind", KINDS)
LAYERS = {
    "tanh": nn.RNN,
    "relu": lambda *sizes: nn.RNN(*sizes, nonlinearity="relu"),
    "lstm": nn.LSTM,
    "gru": nn.GRU,
}


@contextmanager
def faster():
    """Versions are used inside the block, also with `pytest --plain`."""
    before = mode.set(mode.get() & ~PLAIN)
    try:
        yield
    finally:
        mode.reset(before)


def whole(kind):
    """The op as a function of from_input, the state, weight_hh and bias_hh."""
    return lambda from_input, *rest: KINDS[kind][0]()(from_input, *rest[-2:], *rest[:-2])


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
def sequences(draw, kind):
    sizes = draw(st.integers(1, 4)), draw(st.integers(0, 3)), draw(st.integers(1, 3))
    return [draw(operand(shape, -1, 1)) for shape in shapes_of(kind, *sizes)]


@every_kind
def test_it_is_pytorchs_cell_called_again_and_again(kind):
    @examples(8)
    @given(sequences(kind))
    def all_the_same(xs):
        check(whole(kind), pytorchs(kind), xs, mixed=False, recomputed=True)

    all_the_same()


@pytest.mark.parametrize(("dtype", "rounding"), [("float64", 1e-12), ("float32", 1e-5)])
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
    for ours, steps in zip(*found, strict=True):
        assert ours.dtype == dtype
        largest = np.abs(host(steps)).max().astype(np.float64)
        np.testing.assert_allclose(host(ours), host(steps), rtol=0, atol=rounding * max(largest, 1e-2))


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
    assert isinstance(op, through_time.ThroughTime)
    assert all(isinstance(source, md.Tensor) for source in op.inputs if source is not None)


@every_kind
def test_without_a_bias_it_is_zero(kind):
    *arrays, bias = operands_of(kind, 3, 2, 4)
    without = [tensor(array, requires_grad=True) for array in arrays]
    with_zeros = [tensor(array, requires_grad=True) for array in (*arrays, 0 * bias)]
    ours, zeros = whole(kind)(*without, None), whole(kind)(*with_zeros)
    np.testing.assert_array_equal(host(ours), host(zeros))
    ours.sum().backward()
    zeros.sum().backward()
    for a, b in zip(without, with_zeros, strict=False):
        np.testing.assert_array_equal(host(a.grad), host(b.grad))


@every_kind
def test_a_frozen_weight_costs_no_product_and_a_second_backward_gives_the_same(kind):
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


# ---- the layers


@pytest.mark.parametrize(("dtype", "rounding"), [("float64", 1e-12), ("float32", 1e-5), ("float16", 4e-3)])
@every_kind
def test_a_layer_gives_the_same_in_its_plain_lines(kind, dtype, rounding):
    """Output, last state, first and second derivative, through two layers."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((13, 5, 20)).astype(dtype)
    found = []
    for lines in (faster, plain):
        md.seed(0)
        layer, ours = LAYERS[kind](20, 20, 2).to(dtype=dtype), tensor(x, requires_grad=True)
        with lines():
            output, last = layer(ours)
            ends = last if isinstance(last, tuple) else (last,)
            loss = (output * output).mean() + sum((end * end).mean() for end in ends)
            grads = md.grad(loss, [ours, *layer.parameters()], create_graph=True)
            second = md.grad(sum((grad * grad).sum() for grad in grads), [ours, *layer.parameters()])
        found.append([output, *ends, *grads, *second])
    for fast, slow in zip(*found, strict=True):
        assert fast.dtype == slow.dtype == dtype
        largest = np.abs(host(slow)).max().astype(np.float64)
        np.testing.assert_allclose(host(fast), host(slow), rtol=0, atol=rounding * max(largest, 1e-2))


@every_kind
def test_a_layer_that_was_computed_in_one_op_goes_back_under_plain_too(kind):
    grads = []
    for lines in (faster, plain):
        md.seed(0)
        layer = LAYERS[kind](3, 4).to(dtype="float64")
        with faster():
            output, _ = layer(tensor(np.random.default_rng(0).standard_normal((5, 2, 3))))
        with lines():
            (output * output).sum().backward()
        grads.append([host(p.grad) for p in layer.parameters()])
    for fast, slow in zip(*grads, strict=True):
        np.testing.assert_allclose(fast, slow, rtol=1e-10, atol=1e-12)


def is_one_op(layer, x):
    """Whether the graph between the output and the inputs' product has one node."""
    node = layer(x)[0]._op
    while not isinstance(node, through_time.ThroughTime):
        if not isinstance(node, md.Function):
            return False
        node = node.inputs[0]
    return True


@every_kind
def test_a_layer_is_one_op_and_in_plain_lines_it_is_not(kind):
    layer, x = LAYERS[kind](3, 4), tensor(np.zeros((5, 2, 3), np.float32))
    with plain():
        assert not is_one_op(layer, x)
    with faster():
        assert is_one_op(layer, x)


def test_a_subclass_with_another_step_runs_its_own():
    class Forgetful(nn.GRU):
        def _step(self, from_input, state, weight_hh, bias_hh):
            return (0 * state[0],)

    class Named(nn.GRU):
        pass

    x = tensor(np.ones((5, 2, 3), np.float32))
    assert not host(Forgetful(3, 4)(x)[0]).any()
    assert host(Named(3, 4)(x)[0]).any()


def test_of_arrays_that_do_not_fit_the_step_says_what_is_wrong():
    def parameter(*shape):
        return nn.Parameter(device(np.zeros(shape, np.float32)))

    x, layer = tensor(np.zeros((3, 2, 5), np.float32)), nn.GRU(5, 4)
    layer.weight_hh_l0 = parameter(11, 4)
    expected = (
        r"gru_step: expected from_input \(N, 3 H\), each state \(N, H\) and weight_hh \(3 H, H\); got \(2, 12\), "
    )
    with pytest.raises(md.ShapeError, match=expected):
        layer(x)
    layer = nn.GRU(5, 4)
    layer.bias_hh_l0 = parameter(11)
    with pytest.raises(md.ShapeError, match=r"expected a bias of shape \(12,\); got \(11,\)"):
        layer(x)
    layer = nn.LSTM(5, 4, bias=False)
    layer.weight_ih_l0, layer.weight_hh_l0 = parameter(12, 5), parameter(12, 4)  # they fit each other, not four gates
    with pytest.raises(md.ShapeError, match=r"lstm_step: expected from_input \(N, 4 H\)"):
        layer(x)


@every_kind
def test_every_array_must_have_the_dtype_of_the_others(kind):
    for odd in ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"):
        layer = LAYERS[kind](3, 4)
        setattr(layer, odd, nn.Parameter(getattr(layer, odd).astype("float64").data))
        with pytest.raises(md.DTypeError, match="of one dtype; got"):
            layer(tensor(np.zeros((5, 2, 3), np.float32)))


# ---- cutting a sequence into its time steps


@pytest.mark.parametrize("steps", [1, 2, 3, 7, 8, 13])
@pytest.mark.parametrize("samples", [0, 1, 2])
def test_time_steps_are_what_the_first_axis_counts(steps, samples):
    x = np.arange(steps * samples * 3.0).reshape(steps, samples, 3)
    ours = tensor(x, requires_grad=True)
    parts = time_steps(ours)
    np.testing.assert_array_equal([host(part) for part in parts], x)
    F.concatenate([part * (t + 1) for t, part in enumerate(parts)]).sum().backward()
    np.testing.assert_array_equal(host(ours.grad), np.ones_like(x) * (np.arange(steps) + 1.0)[:, None, None])


def test_the_work_of_cutting_grows_as_t_log_t():
    """Each number of x is copied by no more slices than x can be halved, 6 with 64 steps, and by one that takes it."""
    parts = time_steps(tensor(np.ones((64, 1)), requires_grad=True))
    for part in parts:
        depth, node = 0, part._op
        while isinstance(node, md.Function):
            depth, node = depth + 1, node.inputs[0]
        assert depth == 7
