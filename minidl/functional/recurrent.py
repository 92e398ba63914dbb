"""One time step of the recurrent networks: the plain RNN, the LSTM and the GRU, each as its formula.

At time t a recurrent network reads the input x_t and its own state of the time step before, h_{t-1}. What the input
contributes, W_ih x_t + b_ih, does not depend on the state, so a layer computes it for all time steps in one product
before the first of them. The functions here are handed that contribution as `from_input`, and add what comes from the
state, W_hh h_{t-1} + b_hh. Where a step has several gates, their rows of a matrix lie one below the other, so that one
product serves all gates.

Called again and again, h_T depends on h_0 through T of these steps, and dh_T/dh_0 is a product of T matrices, which
vanishes or explodes like a power (Hochreiter 1991; Bengio, Simard, Frasconi 1994). In an LSTM the gradient also passes
through c_t = f c_{t-1} + i g, a sum, with a factor f that can stay near 1.

>>> import numpy as np, minidl.functional as F
>>> F.rnn_step(np.array([[0.5]]), np.array([[1.0]]), weight_hh=np.array([[-0.5]]))
array([[0.]])
"""

from __future__ import annotations

import numpy as np

from minidl.checks import choice
from minidl.errors import ShapeError
from minidl.functional.activation import relu, sigmoid, tanh
from minidl.functional.products import linear
from minidl.types import Shape, TensorLike

NONLINEARITIES = ("tanh", "relu")


def rnn_step(
    from_input: TensorLike,
    hidden: TensorLike,
    weight_hh: TensorLike,
    bias_hh: TensorLike = None,
    nonlinearity: str = "tanh",
) -> TensorLike:
    """h_t = tanh(W_ih x_t + b_ih + W_hh h_{t-1} + b_hh), or with relu instead of tanh (Elman 1990).

    Args:
        from_input: (N, H), W_ih x_t + b_ih.
        hidden: (N, H), h_{t-1}.
        weight_hh: (H, H), W_hh.
        bias_hh: (H,), b_hh, or None for no bias.
        nonlinearity: 'tanh' or 'relu'.

    Returns:
        h_t, (N, H), in the dtype of the arguments.

    Raises:
        ShapeError: the shapes do not fit together.
        DTypeError: state, weight and bias differ in dtype.
        ValueError: the nonlinearity is unknown.
    """
    choice(nonlinearity, "rnn_step: nonlinearity", NONLINEARITIES)
    _check_shapes("rnn_step", 1, from_input, (hidden,), weight_hh)
    z = from_input + linear(hidden, weight_hh, bias_hh)
    return tanh(z) if nonlinearity == "tanh" else relu(z)


def lstm_step(
    from_input: TensorLike, hidden: TensorLike, cell: TensorLike, weight_hh: TensorLike, bias_hh: TensorLike = None
) -> tuple[TensorLike, TensorLike]:
    """Long short-term memory (Hochreiter & Schmidhuber 1997, with the forget gate of Gers et al. 2000).

        i, f, g, o = the four gates' parts of W_ih x_t + b_ih + W_hh h_{t-1} + b_hh
        c_t = sigmoid(f) c_{t-1} + sigmoid(i) tanh(g)
        h_t = sigmoid(o) tanh(c_t)

    Args:
        from_input: (N, 4H), W_ih x_t + b_ih.
        hidden, cell: (N, H), h_{t-1} and c_{t-1}.
        weight_hh: (4H, H), W_hh, with the rows of the gates i, f, g, o in this order.
        bias_hh: (4H,), b_hh, or None for no bias.

    Returns:
        h_t and c_t, each (N, H), in the dtype of the arguments.

    Raises:
        ShapeError: the shapes do not fit together.
        DTypeError: state, weight and bias differ in dtype.
    """
    _check_shapes("lstm_step", 4, from_input, (hidden, cell), weight_hh)
    i, f, g, o = gates(from_input + linear(hidden, weight_hh, bias_hh), 4)
    cell = sigmoid(f) * cell + sigmoid(i) * tanh(g)
    return sigmoid(o) * tanh(cell), cell


def gru_step(
    from_input: TensorLike, hidden: TensorLike, weight_hh: TensorLike, bias_hh: TensorLike = None
) -> TensorLike:
    """The gated recurrent unit (Cho et al. 2014, arXiv:1406.1078).

        r = sigmoid(W_ir x_t + b_ir + W_hr h_{t-1} + b_hr)            the reset gate: how much of the past n sees
        z = sigmoid(W_iz x_t + b_iz + W_hz h_{t-1} + b_hz)            the update gate: how much of the past stays
        n = tanh(W_in x_t + b_in + r (W_hn h_{t-1} + b_hn))           the proposed new state
        h_t = (1 - z) n + z h_{t-1}

    As in PyTorch and cuDNN, r multiplies after the product with W_hn; in the paper it multiplies h_{t-1} before it.

    Args:
        from_input: (N, 3H), W_ih x_t + b_ih.
        hidden: (N, H), h_{t-1}.
        weight_hh: (3H, H), W_hh, with the rows of the gates r, z, n in this order.
        bias_hh: (3H,), b_hh, or None for no bias.

    Returns:
        h_t, (N, H), in the dtype of the arguments.

    Raises:
        ShapeError: the shapes do not fit together.
        DTypeError: state, weight and bias differ in dtype.
    """
    _check_shapes("gru_step", 3, from_input, (hidden,), weight_hh)
    r_input, z_input, n_input = gates(from_input, 3)
    r_hidden, z_hidden, n_hidden = gates(linear(hidden, weight_hh, bias_hh), 3)
    r = sigmoid(r_input + r_hidden)
    z = sigmoid(z_input + z_hidden)
    n = tanh(n_input + r * n_hidden)
    return n + z * (hidden - n)


def gates(x: TensorLike, number: int) -> list[TensorLike]:
    """x (..., number * H) cut along its last axis into the part of each gate, (..., H)."""
    size = x.shape[-1] // number
    return [x[..., k * size : (k + 1) * size] for k in range(number)]


def _check_shapes(
    name: str, number: int, from_input: TensorLike, state: tuple[TensorLike, ...], weight_hh: TensorLike
) -> None:
    """Raise unless the arrays of a time step with `number` gates fit together."""
    states: list[Shape] = [np.shape(x) for x in state]
    found, weight = np.shape(from_input), np.shape(weight_hh)
    *samples, size = states[0] or (0,)
    if found != (*samples, number * size) or weight != (number * size, size) or states[0] != states[-1]:
        raise ShapeError(
            f"{name}: expected from_input (N, {number} H), each state (N, H) and weight_hh ({number} H, H); got "
            f"{', '.join(map(str, (found, *states, weight)))}"
        )
