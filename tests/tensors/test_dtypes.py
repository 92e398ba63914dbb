"""Python and NumPy scalars never promote, forward or backward; integers have no gradient."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minidl as md
import minidl.functional as F
from minidl import backend, nn
from minidl.autograd.function import Function
from tests.arrays import device, host, tensor

SCALARS: dict[str, Callable[[Any], Any]] = {
    "x + 2.5": lambda x: x + 2.5,
    "2.5 + x": lambda x: 2.5 + x,
    "x - np.float64": lambda x: x - np.float64(2.5),
    "np.float64 - x": lambda x: np.float64(2.5) - x,
    "x * np.float32": lambda x: x * np.float32(2.5),
    "np.float64 * x": lambda x: np.float64(2.5) * x,
    "x / np.sqrt": lambda x: x / np.sqrt(3),
    "1 / x": lambda x: 1 / x,
    "np.int64 / x": lambda x: np.int64(1) / x,
    "x ** 2": lambda x: x**2,
    "x ** 0.5": lambda x: x**0.5,
    "x ** np.float64": lambda x: x ** np.float64(1.5),
    "2 ** x": lambda x: 2**x,
    "np.float64 ** x": lambda x: np.float64(2) ** x,
    "maximum": lambda x: F.maximum(x, np.float64(1)),
    "minimum": lambda x: F.minimum(1.0, x),
    "where": lambda x: F.where(x > 1, x, np.float64(0.5)),
    "clip": lambda x: F.clip(x, 0.1, np.float64(1)),
    "leaky_relu": lambda x: F.leaky_relu(x, 0.01),
    "sigmoid": lambda x: F.sigmoid(x),
    "softplus": lambda x: F.softplus(x),
    "softmax": lambda x: F.softmax(x),
    "log_softmax": lambda x: F.log_softmax(x),
    "logsumexp": lambda x: F.logsumexp(x),
    "mean": lambda x: x.mean(),
    "mean of an axis": lambda x: x.mean(axis=0),
    "var": lambda x: x.var(ddof=1),
    "sum": lambda x: x.sum(),
    "max": lambda x: x.max(),
    "sqrt": lambda x: F.sqrt(x),
    "log": lambda x: F.log(x),
    "dropout": lambda x: F.dropout(x, 0.3),
    "cross_entropy": lambda x: F.cross_entropy(x, md.Tensor(device(np.array([0, 1]))), label_smoothing=0.1),
    "mse_loss": lambda x: F.mse_loss(x, x * 0),
    "pad": lambda x: F.pad(x, 1, 2.5),
    "getitem": lambda x: x[0, 1],
    "setitem": lambda x: F.setitem(x, 0, np.float64(3)),
    "avg_pool2d": lambda x: F.avg_pool2d(x.reshape(1, 1, 2, 3), 2),
    "max_pool2d": lambda x: F.max_pool2d(x.reshape(1, 1, 2, 3), 2),
    "a scalar array": lambda x: x * x.sum(),
}


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("name", SCALARS)
def test_numbers_never_promote_forward_or_backward(name: str, dtype: Any) -> None:
    x = tensor(np.array([[0.5, 1.0, 1.5], [2.0, 2.5, 0.25]], dtype), requires_grad=True)
    y = SCALARS[name](x)
    assert y.dtype == dtype
    assert backend.is_array(y._data)  # also where NumPy would give a scalar
    y.sum().backward()
    assert x.grad.dtype == dtype
    (second,) = md.grad((SCALARS[name](x) * x.sum()).sum(), [x], create_graph=True)
    assert second.dtype == dtype


def test_arrays_of_two_dtypes_promote_and_each_gets_its_own_gradient() -> None:
    x = tensor(np.ones(2, np.float32), requires_grad=True)
    y = tensor(np.ones(2, np.float64), requires_grad=True)
    z = F.exp(x) * 2 * y
    assert z.dtype == np.float64
    z.sum().backward()
    assert (x.grad.dtype, y.grad.dtype) == (np.float32, np.float64)


def test_where_dtypes_met_each_op_gets_the_gradient_in_its_outputs_dtype() -> None:
    seen = []

    class Noted(Function):
        def forward(self, x: Any) -> Any:
            return x * 1

        def backward(self, grad_out: Any) -> Any:
            seen.append(grad_out.dtype)
            return grad_out

    x = tensor(np.ones(2, np.float32), requires_grad=True)
    (Noted()(x) * tensor(np.ones(2, np.float64))).sum().backward()
    assert seen == [np.float32]


@pytest.mark.parametrize("dtype", [np.int64, np.int8, np.uint8, np.bool_])
def test_integers_cannot_require_a_gradient(dtype: Any) -> None:
    with pytest.raises(md.DTypeError, match=r"only floating tensors can require a gradient.*astype"):
        tensor(np.ones(2, dtype), requires_grad=True)
    x = tensor(np.ones(2, dtype))
    with pytest.raises(md.DTypeError):
        x.requires_grad = True
    assert not (x + 1).requires_grad


def test_an_array_times_a_tensor_is_the_tensors_business() -> None:
    x, array = tensor([1.0, 2.0], requires_grad=True), device([3.0, 4.0])
    for y in (array * x, array + x, array - x, array / x, array @ x, array > x, array == x):
        assert type(y) is md.Tensor
        assert y.dtype != object
    (array * x).sum().backward()
    np.testing.assert_array_equal(host(x.grad), [3, 4])


# ---- bytes in another order, and other classes of arrays

SWAPPED = np.dtype(np.float32).newbyteorder()


def assigned(array: Any) -> md.Tensor:
    t = md.Tensor(np.zeros(array.shape, np.float32))
    t.data = array
    return t


@pytest.mark.parametrize(
    "make",
    [
        md.Tensor,
        md.tensor,
        lambda a: md.tensor(a, dtype=SWAPPED),
        lambda a: md.tensor(a.tolist(), dtype=SWAPPED),
        assigned,
        nn.Parameter,
        lambda a: md.Tensor(a.astype("f4")).astype(SWAPPED),
        lambda a: md.zeros(a.shape, dtype=SWAPPED) + a,
        lambda a: nn.Linear(2, 2).to(SWAPPED)(md.Tensor(a)) * 0 + a,
    ],
)
def test_a_tensor_has_its_bytes_in_the_order_of_the_machine(make: Callable[[Any], md.Tensor]) -> None:
    values = np.arange(4.0).reshape(2, 2)
    with md.using("numpy"):
        made = make(values.astype(SWAPPED))
    assert made.data.dtype.isnative
    assert made.dtype == np.float32
    np.testing.assert_array_equal(made.numpy(), values)


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (lambda: nn.Linear(4, 2), (3, 4)),
        (lambda: nn.Conv2d(4, 2, 3), (3, 4, 5, 5)),
        (lambda: nn.BatchNorm1d(4), (3, 4)),
        (lambda: nn.LayerNorm(4), (3, 4)),
        (lambda: nn.LSTM(4, 2), (3, 5, 4)),
        (lambda: nn.TransformerEncoderLayer(4, 2, 3, dropout=0.0), (3, 5, 4)),
    ],
)
def test_layers_take_what_was_read_from_a_big_endian_file(layer: Callable[[], Any], shape: tuple[int, ...]) -> None:
    x = np.random.default_rng(0).normal(size=shape).astype("f4")
    with md.using("numpy"):
        model = layer()
        found, expected = model(md.Tensor(x.astype(SWAPPED))), model(md.Tensor(x))
    if isinstance(found, tuple):
        found, expected = found[0], expected[0]
    np.testing.assert_array_equal(found.numpy(), expected.numpy())


def test_a_matrix_is_multiplied_number_by_number() -> None:
    """np.matrix takes * for the product of matrices."""
    matrix, square = np.array([[1.0, 2.0], [3.0, 4.0]]).view(np.matrix), [[1.0, 4.0], [9.0, 16.0]]
    t = md.Tensor(matrix)
    assert type(t.data) is np.ndarray
    for product in (t * t, t * matrix, matrix * t, md.tensor(matrix) * md.Tensor(matrix)):
        assert product.tolist() == square
    assert F.multiply(matrix, matrix).tolist() == square


def test_masked_numbers_are_refused() -> None:
    masked = np.ma.masked_array([1.0, 2.0], mask=[False, True])
    for use in (md.Tensor, md.tensor, lambda a: md.Tensor(np.ones(2)) * a):
        with pytest.raises(md.DTypeError, match="without masked numbers"):
            use(masked)
