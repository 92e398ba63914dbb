"""One step through time of the recurrent networks: plain RNN, LSTM and GRU, each as its formula.

At step t a network reads x_t and its own last state h_{t-1}. The part that x_t adds, W_ih x_t + b_ih, does not depend
on the state, so it can be computed for all steps in one product before the walk through time begins. The functions
here are handed that part as `from_input`, and add to it what comes from the state, W_hh h_{t-1} + b_hh. Where a step
has several gates, the rows of both matrices are the gates' one below the other, so that one product serves all.

In a loop over t the gradient of the first step passes through all later ones: dh_T/dh_0 is a product of T matrices,
which shrinks or grows like a power (Hochreiter 1991; Bengio, Simard, Frasconi 1994). The LSTM's c_t = f c_{t-1} + i g
lets it pass through a sum and a factor f near 1 instead.

>>> import numpy as np, minidl.functional as F
>>> F.rnn_step(np.array([[0.5]]), np.array([[1.0]]), weight_hh=np.array([[-0.5]]))
array([[0.]])
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.checks import choice
from minidl.errors import ShapeError
from minidl.functional.activation import relu, sigmoid, tanh
from minidl.functional.products import linear

NONLINEARITIES = ("tanh", "relu")


def rnn_step(from_input: Any, hidden: Any, weight_hh: Any, bias_hh: Any = None, nonlinearity: str = "tanh") -> Any:
    """h_t = tanh(W_ih x_t + b_ih + W_hh h_{t-1} + b_hh), or relu in the place of tanh (Elman 1990).

    Args:
        from_input: (N, H), W_ih x_t + b_ih.
        hidden: (N, H), h_{t-1}.
        weight_hh, bias_hh: (H, H), and (H,) or None.
        nonlinearity: 'tanh' or 'relu'.

    Returns:
        h_t, (N, H).

    Raises:
        ShapeError, DTypeError: (here and in all of this file) the arrays do not fit together.
        ValueError: the nonlinearity is unknown.
    """
    choice(nonlinearity, "rnn_step: nonlinearity", NONLINEARITIES)
    z = from_input + _from_state("rnn_step", 1, from_input, (hidden,), weight_hh, bias_hh)
    return tanh(z) if nonlinearity == "tanh" else relu(z)


def lstm_step(from_input: Any, hidden: Any, cell: Any, weight_hh: Any, bias_hh: Any = None) -> tuple[Any, Any]:
    """Long short-term memory (Hochreiter & Schmidhuber 1997, with the forget gate of Gers et al. 2000).

        i, f, g, o = the four parts of W_ih x_t + b_ih + W_hh h_{t-1} + b_hh
        c_t = sigmoid(f) c_{t-1} + sigmoid(i) tanh(g)
        h_t = sigmoid(o) tanh(c_t)

    Args:
        from_input: (N, 4H), W_ih x_t + b_ih.
        hidden, cell: (N, H), h_{t-1} and c_{t-1}.
        weight_hh, bias_hh: (4H, H), and (4H,) or None; their parts in the order i, f, g, o.

    Returns:
        h_t and c_t, each (N, H).
    """
    i, f, g, o = gates(from_input + _from_state("lstm_step", 4, from_input, (hidden, cell), weight_hh, bias_hh), 4)
    cell = sigmoid(f) * cell + sigmoid(i) * tanh(g)
    return sigmoid(o) * tanh(cell), cell


def gru_step(from_input: Any, hidden: Any, weight_hh: Any, bias_hh: Any = None) -> Any:
    """The gated recurrent unit (Cho et al. 2014, arXiv:1406.1078).

        r = sigmoid(W_ir x_t + b_ir + W_hr h_{t-1} + b_hr)            how much of the past the proposal n sees
        z = sigmoid(W_iz x_t + b_iz + W_hz h_{t-1} + b_hz)            how much of the past stays
        n = tanh(W_in x_t + b_in + r (W_hn h_{t-1} + b_hn))
        h_t = (1 - z) n + z h_{t-1}

    As in PyTorch and cuDNN, r multiplies after the product with W_hn; in the paper it multiplies h_{t-1} before it.

    Args:
        from_input: (N, 3H), W_ih x_t + b_ih.
        hidden: (N, H), h_{t-1}.
        weight_hh, bias_hh: (3H, H), and (3H,) or None; their parts in the order r, z, n.

    Returns:
        h_t, (N, H).
    """
    r_input, z_input, n_input = gates(from_input, 3)
    r_hidden, z_hidden, n_hidden = gates(_from_state("gru_step", 3, from_input, (hidden,), weight_hh, bias_hh), 3)
    r = sigmoid(r_input + r_hidden)
    z = sigmoid(z_input + z_hidden)
    n = tanh(n_input + r * n_hidden)
    return n + z * (hidden - n)


def _from_state(name: str, number: int, from_input: Any, state: tuple[Any, ...], weight_hh: Any, bias_hh: Any) -> Any:
    """W_hh h + b_hh, once it is known that all fit together; `number` is that of the gates."""
    check_shapes(name, number, np.shape(from_input), state, weight_hh)
    return linear(state[0], weight_hh, bias_hh)


def check_shapes(name: str, number: int, from_input: tuple[int, ...], state: tuple[Any, ...], weight_hh: Any) -> None:
    """Whether a step's arrays fit together; `from_input` is the shape of its part, `number` that of the gates."""
    states, weight = [np.shape(x) for x in state], np.shape(weight_hh)
    *samples, size = states[0] or (0,)
    expected = (*samples, number * size)
    if from_input != expected or weight != (number * size, size) or states[0] != states[-1]:
        raise ShapeError(
            f"{name}: expected from_input (N, {number} H), each state (N, H) and weight_hh ({number} H, H); got "
            f"{', '.join(map(str, (from_input, *states, weight)))}"
        )


def gates(x: Any, number: int) -> list[Any]:
    """x (N, number * H) as `number` parts (N, H)."""
    size = x.shape[-1] // number
    return [x[..., k * size : (k + 1) * size] for k in range(number)]


def time_steps(x: Any) -> list[Any]:
    """x (T, ...) as its T parts, cut in halves again and again.

    Cut one by one, each part's gradient would be written into zeros of the size of all x: for 200 steps ten times the
    work of the halves.
    """
    if len(x) == 1:
        return [x[0]]
    middle = len(x) // 2
    return time_steps(x[:middle]) + time_steps(x[middle:])
