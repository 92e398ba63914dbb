"""Initialisers: each writes a distribution into a Parameter (or leaf Tensor) in place and returns it.

    fan_in   how many inputs one output is summed from: in_features, or C/groups * KH * KW
    fan_out  how many outputs one input goes to: out_features, or F * KH * KW (counted so by Caffe and PyTorch also with
             groups, where an input channel really reaches F/groups filters)

| function | distribution | from |
|---|---|---|
| xavier_caffe_ | U(-b, b), b = sqrt(3 / fan_in); variance 1 / fan_in | Caffe's "xavier" filler |
| glorot_uniform_ | U(-b, b), b = gain sqrt(6 / (fan_in + fan_out)) | Glorot & Bengio, AISTATS 2010, eq. 16 |
| glorot_normal_ | N(0, s^2), s = gain sqrt(2 / (fan_in + fan_out)) | the same, eq. 12 |
| he_uniform_ | U(-b, b), b = sqrt(6 / ((1 + a^2) fan_in)) | He et al., ICCV 2015 (arXiv:1502.01852), eq. 10 and 15 |
| he_normal_ | N(0, s^2), s = sqrt(2 / ((1 + a^2) fan_in)) | the same |
| lecun_uniform_ | U(-b, b), b = sqrt(3 / fan_in), as xavier_caffe_ | LeCun et al., Efficient BackProp (1998), 4.6 |
| lecun_normal_ | N(0, s^2), s = 1 / sqrt(fan_in) | the same; what SELU needs (Klambauer et al., arXiv:1706.02515) |
| orthogonal_ | W W^T = gain^2 I, or W^T W if W has more rows than columns | Saxe et al., ICLR 2014 (arXiv:1312.6120) |
| layer_default_ | U(-b, b), b = 1 / sqrt(fan_in), weight and bias | PyTorch's Linear and Conv2d |

All numbers are drawn by NumPy, by default from the stream that `md.seed` starts, and then moved to where the weight
lives: one seed gives the same weights on both backends (and, rounded, in every dtype).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from minidl import backend
from minidl.autograd.variable import writes_of
from minidl.checks import choice
from minidl.errors import DTypeError, GraphError, ShapeError, describe
from minidl.examples.reading import add_examples
from minidl.habits.answers import missing_name
from minidl.tensors.tensor import Tensor

__all__ = [
    "Initializer",
    "calculate_gain",
    "constant_",
    "fans",
    "glorot_normal_",
    "glorot_uniform_",
    "he_normal_",
    "he_uniform_",
    "kaiming_normal_",
    "kaiming_uniform_",
    "layer_default_",
    "lecun_normal_",
    "lecun_uniform_",
    "normal_",
    "ones_",
    "orthogonal_",
    "trunc_normal_",
    "uniform_",
    "xavier_caffe_",
    "xavier_normal_",
    "xavier_uniform_",
    "zeros_",
]

_T = TypeVar("_T", bound=Tensor)
Initializer = Callable[[Any], Any]  # writes into a weight: what a layer takes as `init`


def initialize(weight: Tensor, bias: Tensor | None, init: Initializer | None) -> None:
    """Initialise a new layer: its weight by `init`, its bias staying 0; without `init` both by `layer_default_`.

    Raises:
        TypeError: `init` is no function.
    """
    if init is None:
        layer_default_(weight, bias)
    elif callable(init):
        init(weight)
    else:
        raise TypeError(f"expected init as a function of the weight, such as nn.init.he_normal_; got {init!r}")


def fans(weight: Tensor) -> tuple[int, int]:
    """(fan_in, fan_out) of a weight (out, in) or (F, C/groups, KH, KW).

    Raises:
        ShapeError: it has fewer than two axes, as a bias has.
    """
    if weight.ndim < 2:
        raise ShapeError(
            f"expected a weight (out, in) or (F, C/groups, KH, KW), which has a fan-in; got {describe(weight)}. "
            f"For a bias use zeros_ or constant_"
        )
    window = math.prod(weight.shape[2:])
    return weight.shape[1] * window, weight.shape[0] * window


def uniform_(tensor: _T, a: float = 0.0, b: float = 1.0, generator: np.random.Generator | None = None) -> _T:
    """U(a, b)."""
    drawn = (generator or backend.generator()).uniform(a, b, tensor.shape)
    return _write(tensor, drawn)


def normal_(tensor: _T, mean: float = 0.0, std: float = 1.0, generator: np.random.Generator | None = None) -> _T:
    """N(mean, std^2)."""
    drawn = (generator or backend.generator()).normal(mean, std, tensor.shape)
    return _write(tensor, drawn)


def trunc_normal_(
    tensor: _T,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    generator: np.random.Generator | None = None,
) -> _T:
    """N(mean, std^2) without what lies outside [a, b]: such numbers are drawn again.

    Raises:
        ValueError: (almost) all of them would.
    """
    numbers = generator or backend.generator()
    drawn = np.asarray(numbers.normal(mean, std, tensor.shape))
    for _ in range(1000):
        outside = (drawn < a) | (drawn > b)
        if not outside.any():
            return _write(tensor, drawn)
        drawn[outside] = numbers.normal(mean, std, int(outside.sum()))
    raise ValueError(f"trunc_normal_: N({mean}, {std}^2) has (almost) nothing between {a} and {b}")


def constant_(tensor: _T, val: float) -> _T:
    """`val` everywhere."""
    return _write(tensor, np.full(tensor.shape, val))


def zeros_(tensor: _T) -> _T:
    """0 everywhere."""
    return constant_(tensor, 0.0)


def ones_(tensor: _T) -> _T:
    """1 everywhere."""
    return constant_(tensor, 1.0)


def xavier_caffe_(weight: _T, generator: np.random.Generator | None = None) -> _T:
    """U(-b, b) with b = sqrt(3 / fan_in), so that the variance is 1 / fan_in: Caffe's "xavier"."""
    bound = math.sqrt(3 / max(fans(weight)[0], 1))
    return uniform_(weight, -bound, bound, generator)


def glorot_uniform_(tensor: _T, gain: float = 1.0, generator: np.random.Generator | None = None) -> _T:
    """U(-b, b) with b = gain sqrt(6 / (fan_in + fan_out)): PyTorch's xavier_uniform_."""
    bound = gain * math.sqrt(6 / max(sum(fans(tensor)), 1))
    return uniform_(tensor, -bound, bound, generator)


def glorot_normal_(tensor: _T, gain: float = 1.0, generator: np.random.Generator | None = None) -> _T:
    """N(0, s^2) with s = gain sqrt(2 / (fan_in + fan_out)): PyTorch's xavier_normal_."""
    return normal_(tensor, 0.0, gain * math.sqrt(2 / max(sum(fans(tensor)), 1)), generator)


def he_uniform_(weight: _T, negative_slope: float = 0.0, generator: np.random.Generator | None = None) -> _T:
    """U(-b, b) with b = sqrt(6 / ((1 + a^2) fan_in)) for (leaky) ReLU of negative slope a: kaiming_uniform_."""
    bound = math.sqrt(3) * _he_std(weight, negative_slope)
    return uniform_(weight, -bound, bound, generator)


def he_normal_(weight: _T, negative_slope: float = 0.0, generator: np.random.Generator | None = None) -> _T:
    """N(0, s^2) with s = sqrt(2 / ((1 + a^2) fan_in)) for (leaky) ReLU of negative slope a: kaiming_normal_."""
    return normal_(weight, 0.0, _he_std(weight, negative_slope), generator)


def lecun_uniform_(weight: _T, generator: np.random.Generator | None = None) -> _T:
    """U(-b, b) with b = sqrt(3 / fan_in), so that the variance is 1 / fan_in."""
    return xavier_caffe_(weight, generator)


def lecun_normal_(weight: _T, generator: np.random.Generator | None = None) -> _T:
    """N(0, s^2) with s = 1 / sqrt(fan_in)."""
    return normal_(weight, 0.0, 1 / math.sqrt(max(fans(weight)[0], 1)), generator)


def orthogonal_(tensor: _T, gain: float = 1.0, generator: np.random.Generator | None = None) -> _T:
    """gain times an orthogonal matrix, each equally likely, so that no direction is stretched on its way through.

    The axes after the first count as one, as in PyTorch: (F, C, KH, KW) is a matrix of F rows. If it is not square,
    the rows are orthogonal to each other, or the columns if there are fewer of them.
    """
    fans(tensor)  # a bias is refused
    rows, columns = tensor.shape[0], math.prod(tensor.shape[1:])
    drawn = (generator or backend.generator()).normal(size=(rows, columns))
    q, r = np.linalg.qr(drawn if rows >= columns else drawn.T)
    # The QR of a random matrix is unique, and Q uniformly distributed, once the diagonal of R is made positive.
    q *= np.sign(np.diagonal(r))
    return _write(tensor, gain * (q if rows >= columns else q.T).reshape(tensor.shape))


def layer_default_(weight: Tensor, bias: Tensor | None = None, generator: np.random.Generator | None = None) -> None:
    """U(-b, b) with b = 1 / sqrt(fan_in) of the weight, for weight and bias: what PyTorch's layers start from."""
    bound = 1 / math.sqrt(max(fans(weight)[0], 1))
    uniform_(weight, -bound, bound, generator)
    if bias is not None:
        uniform_(bias, -bound, bound, generator)


xavier_uniform_, xavier_normal_ = glorot_uniform_, glorot_normal_  # as PyTorch calls them, after the first name


def kaiming_uniform_(
    tensor: _T,
    a: float = 0.0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: np.random.Generator | None = None,
) -> _T:
    """U(-b, b) with b = gain sqrt(3 / fan): he_uniform_ with PyTorch's options.

    Args:
        tensor: the weight.
        a: the negative slope of a leaky ReLU.
        mode: "fan_in" keeps the size of the activations, "fan_out" that of the gradients.
        nonlinearity: what follows: its gain is `calculate_gain`'s.
        generator: where the numbers are drawn; by default from the stream that `md.seed` starts.

    Raises:
        ValueError: another mode or nonlinearity.
    """
    bound = math.sqrt(3) * _kaiming_std(tensor, a, mode, nonlinearity)
    return uniform_(tensor, -bound, bound, generator)


def kaiming_normal_(
    tensor: _T,
    a: float = 0.0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: np.random.Generator | None = None,
) -> _T:
    """N(0, s^2) with s = gain / sqrt(fan): he_normal_ with the options of `kaiming_uniform_`.

    Raises:
        ValueError: another mode or nonlinearity.
    """
    return normal_(tensor, 0.0, _kaiming_std(tensor, a, mode, nonlinearity), generator)


GAINS = {"linear": 1.0, "conv1d": 1.0, "conv2d": 1.0, "sigmoid": 1.0, "tanh": 5 / 3, "relu": math.sqrt(2), "selu": 0.75}


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """By how much weights before a nonlinearity are larger: sqrt(2) for ReLU, sqrt(2 / (1 + a^2)) for a leaky one.

    Args:
        nonlinearity: "linear", "sigmoid", "tanh", "relu", "leaky_relu" or "selu".
        param: the negative slope a of "leaky_relu"; None for 0.01.

    Raises:
        ValueError: another nonlinearity.

    Source: torch.nn.init.calculate_gain.
    """
    if nonlinearity == "leaky_relu":
        return math.sqrt(2 / (1 + (0.01 if param is None else param) ** 2))
    return GAINS[choice(nonlinearity, "calculate_gain: nonlinearity", (*GAINS, "leaky_relu"))]


def _kaiming_std(tensor: Tensor, a: float, mode: str, nonlinearity: str) -> float:
    fan = fans(tensor)[("fan_in", "fan_out").index(choice(mode, "kaiming: mode", ("fan_in", "fan_out")))]
    return calculate_gain(nonlinearity, a) / math.sqrt(max(fan, 1))


def _he_std(weight: Tensor, negative_slope: float) -> float:
    return math.sqrt(2 / ((1 + negative_slope**2) * max(fans(weight)[0], 1)))


def _write(tensor: _T, values: Any) -> _T:
    """Put NumPy `values` into the tensor's memory, counted as a write."""
    if not isinstance(tensor, Tensor):
        raise TypeError(f"an initialiser writes into a Parameter or Tensor; got {describe(tensor)}")
    if not tensor.is_leaf:
        raise GraphError(f"an initialiser writes into a Parameter or leaf Tensor; got {describe(tensor)}, a result")
    if values.dtype.kind not in "fiu":  # NumPy would read the number in a text
        raise DTypeError(f"an initialiser writes numbers; got {describe(values)}")
    tensor._data[...] = backend.to_device(values.astype(tensor.dtype), tensor.device)
    writes_of(tensor).bump()
    return tensor


def __getattr__(name: str) -> Any:
    raise missing_name(__name__, name)


def __dir__() -> list[str]:
    return __all__


add_examples(globals(), "init")
