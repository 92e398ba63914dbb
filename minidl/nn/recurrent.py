"""Recurrent networks: the layers RNN, LSTM and GRU, and the cells RNNCell, LSTMCell and GRUCell, one time step each.

The formulas of a time step are in `functional/recurrent.py`. A cell computes one; a layer calls it for every time step.
(A version in `fast/` does all time steps of a layer in one op.)

Parameters are PyTorch's, so weights go both ways: weight_ih (G H, input) and weight_hh (G H, H) with bias_ih and
bias_hh (G H,). H is the hidden size. The rows of the G gates lie one below the other: 1 in an RNN; i, f, g, o in an
LSTM; r, z, n in a GRU. All start as U(-1/sqrt(H), 1/sqrt(H)); `nn.init` sets them otherwise.

PyTorch's `bidirectional`, `proj_size`, inputs without a batch axis and packed sequences are not supported.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, ClassVar

from minidl import functional as F
from minidl.autograd.variable import Variable
from minidl.autograd.versions import Versioned, chosen
from minidl.backend import module_of, native
from minidl.checks import choice, number, whole, yes_or_no
from minidl.errors import DTypeError, ShapeError, describe, warn
from minidl.functional.recurrent import NONLINEARITIES
from minidl.nn import init
from minidl.nn.display import options_text
from minidl.nn.module import Module
from minidl.nn.parameter import Parameter
from minidl.settings import Setting
from minidl.tensors.creation import zeros
from minidl.types import Shape, TensorLike

State = tuple[TensorLike, ...]  # (h,), or (h, c) of an LSTM
PARAMETERS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


class Recurrent(Module):
    """What cells and layers have in common: their sizes, how parameters are made, and what a state must be."""

    gates: ClassVar[int]
    state_names: ClassVar[tuple[str, ...]] = ("h_0",)
    input_size = Setting(whole)
    hidden_size = Setting(whole)
    bias = Setting(yes_or_no)
    _step: Callable[..., State]  # (from_input, state, weight_hh, bias_hh) -> the state after a time step

    def __init__(self, input_size: int, hidden_size: int, bias: bool) -> None:
        super().__init__()
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.bias = yes_or_no(bias, f"{type(self).__name__}: bias")

    def _add_parameters(self, inputs: int, suffix: str = "") -> None:
        rows, bound = self.gates * self.hidden_size, 1 / math.sqrt(self.hidden_size)
        shapes = ((rows, inputs), (rows, self.hidden_size), (rows,), (rows,))
        for name, shape in zip(PARAMETERS, shapes, strict=True):
            wanted = self.bias or not name.startswith("bias")
            setattr(self, name + suffix, init.uniform_(Parameter(zeros(shape)), -bound, bound) if wanted else None)

    def _parameters_of(self, suffix: str = "") -> list[Any]:
        return [getattr(self, name + suffix) for name in PARAMETERS]

    def _checked_input(self, x: Any, *axes: str) -> Any:
        ndim = getattr(x, "ndim", 0)
        if ndim != len(axes) + 1 or x.shape[-1] != self.input_size:
            raise ShapeError(
                f"{type(self).__name__}: expected an input ({', '.join(axes)}, input_size={self.input_size}); got "
                f"{describe(x)}" + ("; give it a batch axis N" if ndim == len(axes) else "")
            )
        return native(x)

    def _first_state(self, hx: Any, x: TensorLike, shape: Shape) -> State:
        """The state to begin with: `hx`, or zeros of `shape` in the dtype of x."""
        if hx is None:
            raw = x._data if isinstance(x, Variable) else x
            return (module_of(raw).zeros(shape, dtype=raw.dtype),) * len(self.state_names)
        label = f"{type(self).__name__}: expected"
        if len(self.state_names) == 1:
            hx = (hx,)
        elif not isinstance(hx, (tuple, list)) or len(hx) != len(self.state_names):
            raise TypeError(f"{label} the state as a tuple ({', '.join(self.state_names)}); got {describe(hx)}")
        hx = tuple(map(native, hx))
        for name, value in zip(self.state_names, hx, strict=True):
            if getattr(value, "shape", None) != shape:
                raise ShapeError(f"{label} {name} of shape {shape}; got {describe(value)}")
            if value.dtype != x.dtype:
                raise DTypeError(f"{label} {name} in the dtype of the input, {x.dtype}; got {describe(value)}")
        return hx

    def extra_repr(self) -> str:
        return options_text(self, f"{self.input_size}->{self.hidden_size}")


def _as_given(state: State) -> Any:
    """A state in the form in which users have it: h, or (h, c)."""
    return state if len(state) > 1 else state[0]


# ---- cells: one time step


class Cell(Recurrent):
    """One time step: the input (N, input_size) and a state (N, hidden_size) give the next state."""

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True) -> None:
        super().__init__(input_size, hidden_size, bias)
        self._add_parameters(self.input_size)

    def forward(self, x: TensorLike, hx: Any = None) -> Any:
        x = self._checked_input(x, "N")
        state = self._first_state(hx, x, (x.shape[0], self.hidden_size))
        weight_ih, weight_hh, bias_ih, bias_hh = self._parameters_of()
        return _as_given(self._step(F.linear(x, weight_ih, bias_ih), state, weight_hh, bias_hh))


class RNNCell(Cell):
    """One time step of a plain recurrent network: h' = tanh(W_ih x + b_ih + W_hh h + b_hh).

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

    gates = 1
    nonlinearity = Setting(choice, NONLINEARITIES)

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True, nonlinearity: str = "tanh") -> None:
        super().__init__(input_size, hidden_size, bias)
        self.nonlinearity = nonlinearity

    def _step(self, from_input: TensorLike, state: State, weight_hh: TensorLike, bias_hh: TensorLike) -> State:
        return (F.rnn_step(from_input, state[0], weight_hh, bias_hh, self.nonlinearity),)


class LSTMCell(Cell):
    """One time step of an LSTM; the formula is at `functional.lstm_step`.

        h, c = cell(x, (h, c))          x (N, input_size), h and c (N, hidden_size), zeros if left out

    As RNNCell, without a nonlinearity to choose; the parameters have 4 H rows: i, f, g, o.
    """

    gates = 4
    state_names = ("h_0", "c_0")

    def _step(self, from_input: TensorLike, state: State, weight_hh: TensorLike, bias_hh: TensorLike) -> State:
        return F.lstm_step(from_input, state[0], state[1], weight_hh, bias_hh)


class GRUCell(Cell):
    """One time step of a GRU; the formula is at `functional.gru_step`.

        h = cell(x, h)          x (N, input_size), h (N, hidden_size), zeros if left out

    As RNNCell, without a nonlinearity to choose; the parameters have 3 H rows: r, z, n.
    """

    gates = 3

    def _step(self, from_input: TensorLike, state: State, weight_hh: TensorLike, bias_hh: TensorLike) -> State:
        return (F.gru_step(from_input, state[0], weight_hh, bias_hh),)


# ---- layers: all time steps


class Layers(Versioned, Recurrent):
    """All time steps, in `num_layers` layers, each of which reads the hidden states of the one below."""

    num_layers = Setting(whole)
    batch_first = Setting(yes_or_no)
    dropout = Setting(number, 0, 1)

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
        self.num_layers = num_layers
        self.batch_first = yes_or_no(batch_first, f"{kind}: batch_first")
        self.dropout = dropout
        if dropout > 0 and num_layers == 1:
            warn(f"{kind}: dropout={dropout} lies between layers, and there is only one")
        if yes_or_no(bidirectional, f"{kind}: bidirectional"):
            raise ValueError(
                f"{kind}: there is no bidirectional one. Make two and let the second read the steps from the end: "
                f"F.concatenate([forwards(x)[0], backwards(x[::-1])[0][::-1]], axis=-1)"
            )
        for layer in range(self.num_layers):
            self._add_parameters(self.input_size if layer == 0 else self.hidden_size, f"_l{layer}")

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "_step" in vars(cls):  # another step, which no version of a parent's computes
            cls.versions, cls.plain = (), cls

    def forward(self, x: TensorLike, hx: Any = None) -> tuple[Any, Any]:
        x = self._checked_input(x, *("NT" if self.batch_first else "TN"))
        x = x.swapaxes(0, 1) if self.batch_first else x
        steps, samples = x.shape[:2]
        if steps == 0:
            raise ShapeError(f"{type(self).__name__}: expected at least one time step; got {describe(x)}")
        first = self._first_state(hx, x, (self.num_layers, samples, self.hidden_size))
        last = []
        for layer in range(self.num_layers):
            if layer > 0:
                x = F.dropout(x, self.dropout, self.training)
            weight_ih, weight_hh, bias_ih, bias_hh = self._parameters_of(f"_l{layer}")
            # What the inputs of all time steps contribute is one product, of T N rows.
            rows = F.linear(x.reshape((steps * samples, x.shape[2])), weight_ih, bias_ih)
            from_input = rows.reshape((steps, samples, rows.shape[1]))
            operands = from_input, tuple(part[layer] for part in first), weight_hh, bias_hh
            x, state = chosen(self, *operands)._through_time(self, *operands)
            last.append(state)
        h_n = _as_given(tuple(F.stack(parts) for parts in zip(*last, strict=True)))
        return (x.swapaxes(0, 1) if self.batch_first else x), h_n

    def _through_time(
        self, from_input: TensorLike, state: State, weight_hh: TensorLike, bias_hh: TensorLike
    ) -> tuple[TensorLike, State]:
        """One layer: h_1 to h_T (T, N, H), and the state after the last time step."""
        hidden = []
        for from_input_t in from_input:
            state = self._step(from_input_t, state, weight_hh, bias_hh)
            hidden.append(state[0])
        return F.stack(hidden), state


class RNN(Layers):
    """A plain recurrent network: h_t = tanh(W_ih x_t + b_ih + W_hh h_{t-1} + b_hh) for t = 1 ... T.

        output, h_n = rnn(x, h_0)

    x (T, N, input_size) are T time steps of N sequences; h_0 (num_layers, N, H) is zeros if left out. `output`
    (T, N, H) is h_t of the last layer at each time step, and h_n (num_layers, N, H) the last h_t of each layer. Hand it
    to the next call to go on, or `h_n.detach()` to go on without a gradient beyond it (truncated backpropagation
    through time). To see the gradient that reaches each h_t, write the loop over an RNNCell and call `h.retain_grad()`
    in it.

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

    gates = 1
    nonlinearity = Setting(choice, NONLINEARITIES)

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
        self.nonlinearity = nonlinearity

    _step = RNNCell._step


class LSTM(Layers):
    """Long short-term memory over T time steps; the formula is at `functional.lstm_step`.

        output, (h_n, c_n) = lstm(x, (h_0, c_0))

    As RNN, without a nonlinearity to choose; the state is a tuple of two, each (num_layers, N, H); the parameters have
    4 H rows: i, f, g, o.
    """

    gates = 4
    state_names = ("h_0", "c_0")
    _step = LSTMCell._step


class GRU(Layers):
    """The gated recurrent unit over T time steps; the formula is at `functional.gru_step`.

        output, h_n = gru(x, h_0)

    As RNN, without a nonlinearity to choose; the parameters have 3 H rows: r, z, n.
    """

    gates = 3
    _step = GRUCell._step
