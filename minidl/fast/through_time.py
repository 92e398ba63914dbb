"""A recurrent layer's walk through time as one op: the same numbers as its step called T times, in half the time.

`recurrent.py` has the steps as their formulas, to read and to step through. Called T times they leave a graph of some
hundred small ops, in which dL/dW_hh is T products of few rows, added up, and the gradient of each gate is written into
zeros of the size of all gates. Here the forward is one loop, the backward another, from the last step to the first, and
dL/dW_hh = sum over t of (dL/dz_t)^T h_{t-1}, where z_t = W_hh h_{t-1} + b_hh, is one product of T N rows.

With S arrays in a state, h or (h, c), the result is (S, T, N, H): the states after every step.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from minidl.autograd.function import Function
from minidl.backend import is_array, module_of
from minidl.errors import DTypeError, ShapeError
from minidl.fast.cpu.threads import product
from minidl.fast.gpu import kernels
from minidl.functional.activation import relu, sigmoid, tanh
from minidl.functional.precision import HALF
from minidl.functional.products import linear
from minidl.functional.recurrent import check_shapes, gates, time_steps
from minidl.functional.reduction import sum
from minidl.functional.shape import astype, concatenate, expand_dims, stack


class Walk(Function):
    """state_t = next_state(parts_t, state_{t-1}) with parts_t = parts(from_input_t, W_hh h_{t-1} + b_hh), for all t.

    What gates let through at each step, its parts, is kept for a first derivative. A backward that is itself recorded
    may not use it, a constant to it: it computes the parts anew, those of all steps at once.

    A subclass defines `parts(from_input, from_state)`, what the gates let through, each (N, H), or (T, N, H) of all
    steps; `next_state(parts, state)`, the state after a step; and `step_back(grads, parts, before, after)`, from
    dL/dstate_t the gradient of z_t, gate by gate, and what of dL/dstate_{t-1} does not come through z_t.

    On a GPU a step is a product and one kernel, `kind`, each way.
    """

    saves_inputs = True
    saves_output = True
    __slots__ = ("kept",)

    kind: str  # of the kernels
    parts: Callable[..., tuple[Any, ...]]
    next_state: Callable[..., tuple[Any, ...]]
    step_back: Callable[..., tuple[list[Any], tuple[Any, ...]]]

    def forward(self, from_input: Any, weight_hh: Any, bias_hh: Any, *state: Any) -> Any:
        if kernels.on_device(from_input):
            out, self.kept = kernels.walk(self.kind, from_input, weight_hh, bias_hh, state)
            return out
        xp = module_of(from_input)
        weight = weight_hh.T.copy().T  # lies as the product reads it: BLAS would turn it round at every step
        out = xp.empty((len(state), len(from_input), *state[0].shape), dtype=from_input.dtype)
        self.kept = []
        for t in range(len(from_input)):
            parts = self.parts(from_input[t], linear(state[0], weight, bias_hh))
            state = self.next_state(parts, state)
            for array, states in zip(state, out, strict=True):
                states[t] = array
            self.kept.append(parts)
        return out

    def backward(self, grad_out: Any, from_input: Any, weight_hh: Any, bias_hh: Any, *state_and_out: Any) -> Any:
        *state, out = state_and_out
        rows, size = weight_hh.shape
        before = concatenate([expand_dims(state[0], 0), out[0, :-1]])  # h_{t-1} for all t
        if kernels.on_device(grad_out):
            of_input, of_state, grads = kernels.walk_back(self.kind, grad_out, weight_hh, self.kept, state, out)
        else:
            kept = self.kept
            if not is_array(grad_out):
                kept = _by_step(self.parts(from_input, linear(before, weight_hh, bias_hh)))
            grad_rows, grads = self.walk_back(grad_out, weight_hh, kept, state, out)
            of_input, of_state = self.of_input(grad_rows), grad_rows[:, :, :rows]

        of_state = of_state.reshape((-1, rows))
        grad_weight = product(of_state.T, before.reshape((-1, size))) if self.needs(1) else None
        grad_bias = sum(of_state, axis=0) if self.needs(2) else None
        return (of_input, grad_weight, grad_bias, *grads)

    def walk_back(self, grad_out: Any, weight_hh: Any, kept: Any, state: Any, out: Any) -> tuple[Any, Any]:
        """The gradients that `step_back` makes, of all steps (T, N, all it makes), and those of the first state."""
        rows = len(weight_hh)
        from_loss = _by_step([grad_out[s] for s in range(len(state))])
        states = [tuple(state), *_by_step([out[s] for s in range(len(state))])]
        grads: Any = (0,) * len(state)  # of the state after step t, from the steps after it
        grad_rows: Any = [None] * len(kept)
        for t in reversed(range(len(kept))):
            grads = [later + here for later, here in zip(grads, from_loss[t], strict=True)]
            of_parts, direct = self.step_back(grads, kept[t], states[t], states[t + 1])
            grad_row = concatenate(of_parts, axis=-1)
            grads = (product(grad_row[:, :rows], weight_hh) + direct[0], *direct[1:])
            grad_rows[t] = grad_row
        return stack(grad_rows), grads

    def of_input(self, grad_rows: Any) -> Any:
        """From what `step_back` made at all steps the gradient of from_input: that of z, where the two are added."""
        return grad_rows


def _by_step(arrays: Any) -> list[tuple[Any, ...]]:
    """For each step t what each of the arrays (T, N, H) has there."""
    return list(zip(*map(time_steps, arrays), strict=True))


class RNNWalk(Walk):
    """`rnn_step` through time: dL/dz = dL/dh (1 - h^2) for tanh; for relu it passes where h > 0."""

    __slots__ = ("kind",)

    def __init__(self, nonlinearity: str) -> None:
        self.kind = nonlinearity

    def parts(self, from_input: Any, from_state: Any) -> tuple[Any, ...]:
        z = from_input + from_state
        return (tanh(z) if self.kind == "tanh" else relu(z),)

    def next_state(self, parts: Any, state: Any) -> tuple[Any, ...]:
        return tuple(parts)

    def step_back(self, grads: Any, parts: Any, before: Any, after: Any) -> tuple[list[Any], tuple[Any, ...]]:
        (h,) = parts
        slope = 1 - h * h if self.kind == "tanh" else (h != 0).astype(h.dtype)
        return [grads[0] * slope], (0,)


class LSTMWalk(Walk):
    """`lstm_step` through time: dL/dc_t is what comes along the cells, f dL/dc_{t+1}, and through h_t = o tanh(c_t)."""

    kind = "lstm"
    __slots__ = ()

    def parts(self, from_input: Any, from_state: Any) -> tuple[Any, ...]:
        i, f, g, o = gates(from_input + from_state, 4)
        return sigmoid(i), sigmoid(f), tanh(g), sigmoid(o)

    def next_state(self, parts: Any, state: Any) -> tuple[Any, ...]:
        i, f, g, o = parts
        cell = f * state[1] + i * g
        return o * tanh(cell), cell

    def step_back(self, grads: Any, parts: Any, before: Any, after: Any) -> tuple[list[Any], tuple[Any, ...]]:
        i, f, g, o = parts
        bent = tanh(after[1])
        through_o = grads[0] * o
        grad_cell = grads[1] + through_o * (1 - bent * bent)
        through_i, through_f = grad_cell * i, grad_cell * f
        of_parts = [
            through_i * g * (1 - i),
            through_f * before[1] * (1 - f),
            through_i * (1 - g * g),
            through_o * bent * (1 - o),
        ]
        return of_parts, (0, through_f)


class GRUWalk(Walk):
    """`gru_step` through time: what the state adds to the proposal n passes r, so its gradient does too."""

    kind = "gru"
    __slots__ = ()

    def parts(self, from_input: Any, from_state: Any) -> tuple[Any, ...]:
        r_input, z_input, n_input = gates(from_input, 3)
        r_hidden, z_hidden, n_hidden = gates(from_state, 3)
        r = sigmoid(r_input + r_hidden)
        return r, sigmoid(z_input + z_hidden), tanh(n_input + r * n_hidden), n_hidden

    def next_state(self, parts: Any, state: Any) -> tuple[Any, ...]:
        _, z, n, _ = parts
        return (n + z * (state[0] - n),)

    def step_back(self, grads: Any, parts: Any, before: Any, after: Any) -> tuple[list[Any], tuple[Any, ...]]:
        r, z, n, n_hidden = parts
        through_z = grads[0] * z
        of_n = (grads[0] - through_z) * (1 - n * n)
        of_n_hidden = of_n * r
        of_parts = [of_n_hidden * n_hidden * (1 - r), through_z * (before[0] - n) * (1 - z), of_n_hidden, of_n]
        return of_parts, (through_z,)

    def of_input(self, grad_rows: Any) -> Any:
        r, z, _, n = gates(grad_rows, 4)
        return concatenate([r, z, n], axis=-1)


def walk(op: Walk, number: int, from_input: Any, state: Any, weight_hh: Any, bias_hh: Any = None) -> Any:
    """The states (S, T, N, H) after every step of a layer, of the kind that `op` is, with `number` gates.

    Args:
        op: a new RNNWalk, LSTMWalk or GRUWalk.
        from_input: (T, N, number * H), W_ih x_t + b_ih for all t.
        state: the first state, one or two arrays (N, H).
        weight_hh, bias_hh: (number * H, H), and (number * H,) or None.

    Raises:
        ShapeError, DTypeError: the arrays do not fit together.
    """
    name = type(op).__name__
    check_shapes(name, number, from_input.shape[1:], state, weight_hh)
    if bias_hh is not None and bias_hh.shape != weight_hh.shape[:1]:
        raise ShapeError(f"{name}: expected bias_hh of shape {weight_hh.shape[:1]}; got {bias_hh.shape}")
    arrays = [from_input, weight_hh, bias_hh, *state]
    dtypes = [str(array.dtype) for array in arrays if array is not None]
    if len(set(dtypes)) > 1:
        raise DTypeError(f"{name}: expected inputs, weight_hh, bias_hh and state of one dtype; got {', '.join(dtypes)}")
    if from_input.dtype != HALF:
        return op(*arrays)
    return astype(op(*[array if array is None else astype(array, "float32") for array in arrays]), HALF)
