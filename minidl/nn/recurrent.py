"""Recurrent networks: RNN, LSTM and GRU, and their cells, which are one step of them.

The formulas are in `functional/recurrent.py`. A cell is made of them, every gate an op to look into; a layer's walk
through time is one op, in `functional/through_time.py`.

Parameters are PyTorch's, so weights go both ways: weight_ih (G H, input) and weight_hh (G H, H) with bias_ih and
bias_hh (G H,). H is the hidden size; G gates lie one below the other: 1 in RNN; i, f, g, o in LSTM; r, z, n in GRU. All
start as U(-1/sqrt(H), 1/sqrt(H)); `nn.init` sets them otherwise.

Not there: `bidirectional`, `proj_size`, inputs without a batch axis, packed sequences.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any, ClassVar

from minidl import backend
from minidl import functional as F
from minidl.autograd.function import Variable
from minidl.checks import choice, number, whole
from minidl.errors import DTypeError, ShapeError, describe
from minidl.fast.through_time import GRUWalk, LSTMWalk, RNNWalk, Walk, walk
from minidl.functional.recurrent import NONLINEARITIES
from minidl.nn import init
from minidl.nn.making import blank, changed
from minidl.nn.module import Module
from minidl.nn.parameter import Parameter

State = tuple[Any, ...]  # (h,), or (h, c) of an LSTM
PARAMETERS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


class _Recurrent(Module):
    """What cells and layers share: their sizes, how parameters are made, and what a state must be."""

    gates: ClassVar[int]
    state_names: ClassVar[tuple[str, ...]] = ("h_0",)
    _step: Callable[..., State]  # (from_input, state, weight_hh, bias_hh) -> the next state
    _walk: Callable[..., Walk]  # a new op that does the same for all steps

    def __init__(self, input_size: int, hidden_size: int, bias: bool) -> None:
        super().__init__()
        self.input_size = whole(input_size, f"{type(self).__name__}: input_size")
        self.hidden_size = whole(hidden_size, f"{type(self).__name__}: hidden_size")
        self.bias = bool(bias)

    def _add_parameters(self, inputs: int, suffix: str = "") -> None:
        rows, bound = self.gates * self.hidden_size, 1 / math.sqrt(self.hidden_size)
        shapes = ((rows, inputs), (rows, self.hidden_size), (rows,), (rows,))
        for name, shape in zip(PARAMETERS, shapes, strict=True):
            wanted = self.bias or not name.startswith("bias")
            setattr(self, name + suffix, init.uniform_(Parameter(blank(*shape)), -bound, bound) if wanted else None)

    def _parameters_of(self, suffix: str = "") -> list[Any]:
        return [getattr(self, name + suffix) for name in PARAMETERS]

    def _check_input(self, x: Any, *axes: str) -> None:
        ndim = getattr(x, "ndim", 0)
        if ndim != len(axes) + 1 or x.shape[-1] != self.input_size:
            raise ShapeError(
                f"{type(self).__name__}: expected an input ({', '.join(axes)}, input_size={self.input_size}); got "
                f"{describe(x)}" + ("; give it a batch axis N" if ndim == len(axes) else "")
            )

    def _first_state(self, hx: Any, x: Any, shape: tuple[int, ...]) -> State:
        """The state to begin with: `hx`, or zeros of `shape` beside x."""
        if hx is None:
            raw = x._data if isinstance(x, Variable) else x
            return (backend.module_of(raw).zeros(shape, dtype=raw.dtype),) * len(self.state_names)
        label = f"{type(self).__name__}: expected"
        if len(self.state_names) == 1:
            hx = (hx,)
        elif not isinstance(hx, (tuple, list)) or len(hx) != len(self.state_names):
            raise TypeError(f"{label} the state as a tuple ({', '.join(self.state_names)}); got {describe(hx)}")
        for name, value in zip(self.state_names, hx, strict=True):
            if getattr(value, "shape", None) != shape:
                raise ShapeError(f"{label} {name} of shape {shape}; got {describe(value)}")
            if value.dtype != x.dtype:
                raise DTypeError(f"{label} {name} in the dtype of the input, {x.dtype}; got {describe(value)}")
        return tuple(hx)

    def extra_repr(self) -> str:
        return changed(self, f"{self.input_size}->{self.hidden_size}")


def _as_given(state: State) -> Any:
    """A state in the form in which users have it: h, or (h, c)."""
    return state if len(state) > 1 else state[0]


class Cell(_Recurrent):
    """One step: (N, input_size) and a state (N, hidden_size) give the next state."""

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True) -> None:
        super().__init__(input_size, hidden_size, bias)
        self._add_parameters(self.input_size)

    def forward(self, x: Any, hx: Any = None) -> Any:
        self._check_input(x, "N")
        state = self._first_state(hx, x, (x.shape[0], self.hidden_size))
        weight_ih, weight_hh, bias_ih, bias_hh = self._parameters_of()
        return _as_given(self._step(F.linear(x, weight_ih, bias_ih), state, weight_hh, bias_hh))


class Layers(_Recurrent):
    """A walk through time in `num_layers` layers, each reading the hidden states of the one below."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
    ) -> None:
        super().__init__(input_size, hidden_size, bias)
        kind = type(self).__name__
        self.num_layers = whole(num_layers, f"{kind}: num_layers")
        self.batch_first = bool(batch_first)
        self.dropout = number(dropout, f"{kind}: dropout", 0, 1)
        if dropout > 0 and num_layers == 1:
            warnings.warn(f"{kind}: dropout={dropout} lies between layers, and there is only one", stacklevel=2)
        if bidirectional:
            raise ValueError(
                f"{kind}: there is no bidirectional one. Make two and let the second read the steps from the end: "
                f"F.concatenate([forwards(x)[0], backwards(x[::-1])[0][::-1]], axis=-1)"
            )
        for layer in range(self.num_layers):
            self._add_parameters(self.input_size if layer == 0 else self.hidden_size, f"_l{layer}")

    def forward(self, x: Any, hx: Any = None) -> tuple[Any, Any]:
        self._check_input(x, *("NT" if self.batch_first else "TN"))
        x = x.swapaxes(0, 1) if self.batch_first else x
        steps, samples = x.shape[:2]
        if steps == 0:
            raise ShapeError(f"{type(self).__name__}: expected at least one time step; got {describe(x)}")
        first = self._first_state(hx, x, (self.num_layers, samples, self.hidden_size))
        rows = x.reshape((steps * samples, self.input_size))
        last = []
        for layer in range(self.num_layers):
            if layer > 0:
                rows = F.dropout(rows, self.dropout, self.training)
            rows, state = self._through_time(rows, steps, tuple(part[layer] for part in first), f"_l{layer}")
            last.append(state)
        output = rows.reshape((steps, samples, self.hidden_size))
        h_n = _as_given(tuple(F.stack(parts) for parts in zip(*last, strict=True)))
        return (output.swapaxes(0, 1) if self.batch_first else output), h_n

    def _through_time(self, rows: Any, steps: int, state: State, suffix: str) -> tuple[Any, State]:
        """One layer over all steps: the hidden states, as rows (T N, H) like the inputs, and the last state."""
        weight_ih, weight_hh, bias_ih, bias_hh = self._parameters_of(suffix)
        from_input = F.linear(rows, weight_ih, bias_ih)
        from_input = from_input.reshape((steps, len(rows) // steps, from_input.shape[1]))
        states = walk(self._walk(), self.gates, from_input, state, weight_hh, bias_hh)
        return states[0].reshape((len(rows), self.hidden_size)), tuple(states[s, -1] for s in range(len(state)))


class _RNNStep(_Recurrent):
    gates = 1
    nonlinearity: str

    def _choose(self, nonlinearity: str) -> None:
        self.nonlinearity = choice(nonlinearity, f"{type(self).__name__}: nonlinearity", NONLINEARITIES)

    def _step(self, from_input: Any, state: State, weight_hh: Any, bias_hh: Any) -> State:
        return (F.rnn_step(from_input, state[0], weight_hh, bias_hh, self.nonlinearity),)

    def _walk(self) -> Walk:
        return RNNWalk(self.nonlinearity)


class _LSTMStep(_Recurrent):
    gates = 4
    state_names = ("h_0", "c_0")

    def _step(self, from_input: Any, state: State, weight_hh: Any, bias_hh: Any) -> State:
        return F.lstm_step(from_input, state[0], state[1], weight_hh, bias_hh)

    def _walk(self) -> Walk:
        return LSTMWalk()


class _GRUStep(_Recurrent):
    gates = 3

    def _step(self, from_input: Any, state: State, weight_hh: Any, bias_hh: Any) -> State:
        return (F.gru_step(from_input, state[0], weight_hh, bias_hh),)

    def _walk(self) -> Walk:
        return GRUWalk()


class RNNCell(_RNNStep, Cell):
    """One step of a plain recurrent network: h' = tanh(W_ih x + b_ih + W_hh h + b_hh).

        h = cell(x, h)          x (N, input_size), h (N, hidden_size), zeros if left out

    Attributes:
        weight_ih, weight_hh: (H, input_size) and (H, H).
        bias_ih, bias_hh: (H,), or None.

    Args:
        input_size, hidden_size: lengths of x and of h.
        bias: whether there are biases.
        nonlinearity: 'tanh' or 'relu'.

    Raises:
        ValueError: a size is no whole number of at least 1, or the nonlinearity is unknown.
        ShapeError, DTypeError: (in the forward, here and in all of this file) input or state do not fit.
        TypeError: (in the forward of LSTMs) the state is no tuple of two.
    """

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True, nonlinearity: str = "tanh") -> None:
        super().__init__(input_size, hidden_size, bias)
        self._choose(nonlinearity)


class LSTMCell(_LSTMStep, Cell):
    """One step of an LSTM; the formula is at `functional.lstm_step`.

        h, c = cell(x, (h, c))          x (N, input_size), h and c (N, hidden_size), zeros if left out

    As RNNCell but for the nonlinearity; the parameters have 4 H rows: i, f, g, o.
    """


class GRUCell(_GRUStep, Cell):
    """One step of a GRU; the formula is at `functional.gru_step`.

        h = cell(x, h)          x (N, input_size), h (N, hidden_size), zeros if left out

    As RNNCell but for the nonlinearity; the parameters have 3 H rows: r, z, n.
    """


class RNN(_RNNStep, Layers):
    """A plain recurrent network: h_t = tanh(W_ih x_t + b_ih + W_hh h_{t-1} + b_hh) for t = 1 ... T.

        output, h_n = rnn(x, h_0)

    x (T, N, input_size) are T steps of N sequences; h_0 (num_layers, N, H) is zeros if left out. `output` (T, N, H) is
    h_t of the last layer at each step, and h_n (num_layers, N, H) the last h_t of each layer: hand it to the next call
    to go on, `h_n.detach()` to let no gradient go back beyond it (truncated backpropagation through time). To see the
    gradient that reaches each h_t, write the loop over an RNNCell and call `h.retain_grad()` in it.

    Attributes:
        weight_ih_l0, weight_hh_l0, bias_ih_l0, bias_hh_l0, then ..._l1 and so on: each layer's, as a cell's.

    Args:
        input_size, hidden_size: lengths of x_t and of h_t.
        num_layers: how many layers, each reading h_t of the one below.
        nonlinearity: 'tanh' or 'relu'.
        bias: whether there are biases.
        batch_first: x and `output` are (N, T, ...); the states stay as they are.
        dropout: in training, the probability with which a number on its way from one layer to the next is dropped.
        bidirectional: only False.

    Raises:
        ValueError: a number is out of range, or the nonlinearity is unknown.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
    ) -> None:
        super().__init__(input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional)
        self._choose(nonlinearity)


class LSTM(_LSTMStep, Layers):
    """Long short-term memory over T steps; the formula is at `functional.lstm_step`.

        output, (h_n, c_n) = lstm(x, (h_0, c_0))

    As RNN but for the nonlinearity; the state is a tuple of two, each (num_layers, N, H); 4 H rows: i, f, g, o.
    """


class GRU(_GRUStep, Layers):
    """The gated recurrent unit over T steps; the formula is at `functional.gru_step`.

        output, h_n = gru(x, h_0)

    As RNN but for the nonlinearity; 3 H rows: r, z, n.
    """
