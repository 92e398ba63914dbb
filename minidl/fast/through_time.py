"""A recurrent layer over all time steps as one op: the same numbers as its step called T times, in half the time.

`nn/recurrent.py` calls the step of `functional/recurrent.py` in a loop, to be read and stepped through. That leaves a
graph of some hundred small ops, in which dL/dW_hh is the sum of T products of few rows, and the gradient of each gate
is written into zeros of the size of all gates. Here the forward is one loop and the backward another, from the last
time step to the first, and

    dL/dW_hh = sum over t of (dL/dz_t)^T h_{t-1}        with z_t = W_hh h_{t-1} + b_hh

is one product of T N rows. `fast/cpu/through_time.py` has both loops for the CPU, with far fewer calls of NumPy a step,
and `fast/gpu/through_time.py` for a GPU.

The classes at the end are the versions of the layers `nn.RNN`, `nn.LSTM` and `nn.GRU`, which use the op.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from minidl import functional as F
from minidl.autograd.function import Function
from minidl.autograd.variable import Variable
from minidl.backend import is_array, module_of
from minidl.fast.versions import Faster
from minidl.functional.precision import HALF
from minidl.functional.recurrent import gates
from minidl.nn import recurrent
from minidl.types import Array, ArrayOrTensor, Gradients, TensorLike

Parts = tuple[ArrayOrTensor, ...]  # what the gates of a step let through, each (N, H)
State = tuple[ArrayOrTensor, ...]  # (h,), or (h, c) of an LSTM, each (N, H)


class ThroughTime(Function):
    """All states of a layer: state_t = next_state(parts_t, state_{t-1}), parts_t = parts(from_input_t, W_hh h + b_hh).

    The inputs are from_input (T, N, G H), W_ih x_t + b_ih of all time steps for G gates; weight_hh (G H, H); bias_hh
    (G H,) or None; and the arrays of the first state, (N, H) each. With S arrays in a state the result is (S, T, N, H).

    The parts of each step are kept for the backward. A backward that is itself recorded must not use them, for they
    would be constants to the second derivative: it computes the parts again, those of all steps at once.

    A subclass defines
        parts(from_input, from_state): what the gates let through, each (N, H), or (T, N, H) for all steps at once.
        next_state(parts, state): the state after a step.
        step_backward(grads, parts, before, after): from dL/dstate_t the gradients of the gates of z_t, and what reaches
            state_{t-1} on another way than through z_t. `before` and `after` are the states around the step.
    """

    saves_inputs = True
    saves_output = True
    __slots__ = ()

    parts: Callable[..., Parts]
    next_state: Callable[..., State]
    step_backward: Callable[..., tuple[list[ArrayOrTensor], State]]

    def forward(self, from_input: Array, weight_hh: Array, bias_hh: Array | None, *state: Array) -> Array:
        xp = module_of(from_input)
        weight = weight_hh.T.copy().T  # lies as the product reads it: BLAS would transpose it at every step
        out = xp.empty((len(state), len(from_input), *state[0].shape), dtype=from_input.dtype)
        self.kept = []
        for t in range(len(from_input)):
            parts = self.parts(from_input[t], F.linear(state[0], weight, bias_hh))
            state = self.next_state(parts, state)
            for array, states in zip(state, out, strict=True):
                states[t] = array
            self.kept.append(parts)
        return out

    def backward(
        self,
        grad_out: ArrayOrTensor,
        from_input: ArrayOrTensor,
        weight_hh: ArrayOrTensor,
        bias_hh: ArrayOrTensor | None,
        *state_and_out: ArrayOrTensor,
    ) -> Gradients:
        *state, out = state_and_out
        parts = self.kept
        if isinstance(grad_out, Variable):
            from_state = F.linear(hidden_before(state, out), weight_hh, bias_hh)
            parts = _by_step(self.parts(from_input, from_state))
        rows = len(weight_hh)
        from_loss = _by_step([grad_out[s] for s in range(len(state))])
        states = [tuple(state), *_by_step([out[s] for s in range(len(state))])]
        grad_state: Any = (0,) * len(state)  # of the state after step t, from the steps after it
        grad_gates: Any = [None] * len(parts)
        for t in reversed(range(len(parts))):
            grad_state = [later + here for later, here in zip(grad_state, from_loss[t], strict=True)]
            grad_parts, direct = self.step_backward(grad_state, parts[t], states[t], states[t + 1])
            grad_gates[t] = F.concatenate(grad_parts, axis=-1)
            grad_state = (F.matmul(grad_gates[t][:, :rows], weight_hh) + direct[0], *direct[1:])
        all_gates = F.stack(grad_gates)
        grad_weights = self.grad_of_weights(all_gates[:, :, :rows], state, out)
        return (self.grad_of_input(all_gates), *grad_weights, *grad_state)

    def grad_of_weights(
        self, grad_from_state: ArrayOrTensor, state: list[ArrayOrTensor], out: ArrayOrTensor
    ) -> tuple[ArrayOrTensor | None, ArrayOrTensor | None]:
        """dL/dW_hh and dL/db_hh out of the gradients of all W_hh h_{t-1} + b_hh, (T, N, G H); None where not needed."""
        hidden = hidden_before(state, out)
        rows, hidden_rows = (x.reshape((-1, x.shape[2])) for x in (grad_from_state, hidden))
        grad_weight = F.matmul(rows.T, hidden_rows) if self.needs(1) else None
        return grad_weight, F.sum(rows, axis=0) if self.needs(2) else None

    def grad_of_input(self, grad_gates: ArrayOrTensor) -> ArrayOrTensor:
        """The gradient of from_input, (T, N, G H), out of what `step_backward` gave: the same where z is a sum."""
        return grad_gates


def time_steps(x: ArrayOrTensor) -> list[ArrayOrTensor]:
    """x (T, ...) as its T parts; a Tensor is cut in halves again and again.

    Cut one by one, each part's gradient would be written into zeros of the size of all x: for 200 steps ten times the
    work of the halves.
    """
    if is_array(x):
        return list(x)
    if len(x) == 1:
        return [x[0]]
    middle = len(x) // 2
    return time_steps(x[:middle]) + time_steps(x[middle:])


def hidden_before(state: list[ArrayOrTensor], out: ArrayOrTensor) -> ArrayOrTensor:
    """h_{t-1} for all t, (T, N, H), out of the first state and the states after every step."""
    return F.concatenate([F.expand_dims(state[0], 0), out[0, :-1]])


def _by_step(arrays: Any) -> list[tuple[ArrayOrTensor, ...]]:
    """For each step t what each of the arrays (T, N, H) has there."""
    return list(zip(*map(time_steps, arrays), strict=True))


class RNNThroughTime(ThroughTime):
    """`rnn_step` at all time steps: dL/dz = dL/dh (1 - h^2) for tanh; for relu it passes where h > 0."""

    __slots__ = ("nonlinearity",)

    def __init__(self, nonlinearity: str) -> None:
        self.nonlinearity = nonlinearity

    def parts(self, from_input: ArrayOrTensor, from_state: ArrayOrTensor) -> Parts:
        z = from_input + from_state
        return (F.tanh(z) if self.nonlinearity == "tanh" else F.relu(z),)

    def next_state(self, parts: Parts, state: State) -> State:
        return parts

    def step_backward(
        self, grads: State, parts: Parts, before: State, after: State
    ) -> tuple[list[ArrayOrTensor], State]:
        (h,) = parts
        slope = 1 - h * h if self.nonlinearity == "tanh" else (h != 0).astype(h.dtype)
        return [grads[0] * slope], (0,)


class LSTMThroughTime(ThroughTime):
    """`lstm_step` at all time steps: dL/dc_t comes from the next cell, f dL/dc_{t+1}, and through h_t = o tanh(c_t)."""

    __slots__ = ()

    def parts(self, from_input: ArrayOrTensor, from_state: ArrayOrTensor) -> Parts:
        i, f, g, o = gates(from_input + from_state, 4)
        return F.sigmoid(i), F.sigmoid(f), F.tanh(g), F.sigmoid(o)

    def next_state(self, parts: Parts, state: State) -> State:
        i, f, g, o = parts
        cell = f * state[1] + i * g
        return o * F.tanh(cell), cell

    def step_backward(
        self, grads: State, parts: Parts, before: State, after: State
    ) -> tuple[list[ArrayOrTensor], State]:
        i, f, g, o = parts
        tanh_cell = F.tanh(after[1])
        through_o = grads[0] * o
        grad_cell = grads[1] + through_o * (1 - tanh_cell * tanh_cell)
        through_i, through_f = grad_cell * i, grad_cell * f
        grad_parts = [
            through_i * g * (1 - i),
            through_f * before[1] * (1 - f),
            through_i * (1 - g * g),
            through_o * tanh_cell * (1 - o),
        ]
        return grad_parts, (0, through_f)


class GRUThroughTime(ThroughTime):
    """`gru_step` at all time steps: r multiplies what the state adds to n, and so it multiplies its gradient."""

    __slots__ = ()

    def parts(self, from_input: ArrayOrTensor, from_state: ArrayOrTensor) -> Parts:
        r_input, z_input, n_input = gates(from_input, 3)
        r_hidden, z_hidden, n_hidden = gates(from_state, 3)
        r = F.sigmoid(r_input + r_hidden)
        return r, F.sigmoid(z_input + z_hidden), F.tanh(n_input + r * n_hidden), n_hidden

    def next_state(self, parts: Parts, state: State) -> State:
        _, z, n, _ = parts
        return (n + z * (state[0] - n),)

    def step_backward(
        self, grads: State, parts: Parts, before: State, after: State
    ) -> tuple[list[ArrayOrTensor], State]:
        r, z, n, n_hidden = parts
        through_z = grads[0] * z
        grad_n = (grads[0] - through_z) * (1 - n * n)
        grad_n_hidden = grad_n * r
        grad_parts = [grad_n_hidden * n_hidden * (1 - r), through_z * (before[0] - n) * (1 - z), grad_n_hidden, grad_n]
        return grad_parts, (through_z,)

    def grad_of_input(self, grad_gates: ArrayOrTensor) -> ArrayOrTensor:
        r, z, _, n = gates(grad_gates, 4)
        return F.concatenate([r, z, n], axis=-1)


# ---- the layers that use it


def through_time(
    op: ThroughTime, from_input: TensorLike, state: State, weight_hh: TensorLike, bias_hh: TensorLike | None
) -> tuple[TensorLike, State]:
    """The hidden states (T, N, H) of all time steps and the last state, by a new op; float16 is computed in float32."""
    arrays = [from_input, weight_hh, bias_hh, *state]
    if from_input.dtype == HALF:
        states = F.astype(op(*[array if array is None else F.astype(array, "float32") for array in arrays]), HALF)
    else:
        states = op(*arrays)
    return states[0], tuple(states[s, -1] for s in range(len(state)))


class InOneOp(Faster):
    """A recurrent layer that runs through all time steps in one op."""

    where = "arrays that fit together and have one dtype"  # of others the step says what is wrong

    def fits(self: Any, from_input: Any, state: State, weight_hh: Any, bias_hh: Any) -> bool:
        rows, size = weight_hh.shape
        return (
            from_input.shape[2] == rows == self.gates * size
            and all(array.shape == (from_input.shape[1], size) for array in state)
            and (bias_hh is None or bias_hh.shape == (rows,))
            and all(array is None or array.dtype == from_input.dtype for array in (weight_hh, bias_hh, *state))
        )


class RNN(InOneOp, recurrent.RNN):
    """All time steps of a plain recurrent network."""

    def _through_time(self, from_input: Any, state: State, weight_hh: Any, bias_hh: Any) -> tuple[Any, State]:
        return through_time(RNNThroughTime(self.nonlinearity), from_input, state, weight_hh, bias_hh)


class LSTM(InOneOp, recurrent.LSTM):
    """All time steps of an LSTM."""

    def _through_time(self, from_input: Any, state: State, weight_hh: Any, bias_hh: Any) -> tuple[Any, State]:
        return through_time(LSTMThroughTime(), from_input, state, weight_hh, bias_hh)


class GRU(InOneOp, recurrent.GRU):
    """All time steps of a GRU."""

    def _through_time(self, from_input: Any, state: State, weight_hh: Any, bias_hh: Any) -> tuple[Any, State]:
        return through_time(GRUThroughTime(), from_input, state, weight_hh, bias_hh)
