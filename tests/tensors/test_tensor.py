"""What a Tensor is, how it is made, and that its methods are NumPy's."""

from __future__ import annotations

import copy
import operator
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minidl as md
import minidl.functional as F
from minidl import backend
from minidl.tensors.array import DEFAULT_DTYPE
from tests.arrays import device, host, tensor

# ---- making one


def test_a_tensor_shares_its_array_and_md_tensor_copies() -> None:
    array = device([1.0, 2.0])
    assert md.Tensor(array).data is array
    copied = md.tensor(array)
    array[0] = 9.0
    np.testing.assert_array_equal(host(copied), [1, 2])


@pytest.mark.parametrize(
    ("data", "dtype"),
    [
        (1.5, np.float32),
        ([1.0, 2.0], np.float32),
        ([[1, 2], [3, 4]], np.int64),
        (True, np.bool_),
        (np.float64(2), np.float64),
        (np.ones(2, np.float16), np.float16),
        ((), np.float32),
    ],
)
def test_the_dtype_of_what_it_is_made_of(data: Any, dtype: Any) -> None:
    for made in (md.Tensor(data), md.tensor(data)):
        assert made.dtype == dtype
        assert backend.is_array(made._data)


def test_numbers_land_on_the_current_backend() -> None:
    assert md.Tensor(1.0).device == md.tensor([1.0]).device == md.zeros(2).device == backend.current()


def test_a_dtype_asked_for_loses_no_digits() -> None:
    assert md.tensor(0.1, dtype=np.float64).item() == 0.1
    assert md.tensor([0.1], dtype="float16").dtype == np.float16


@pytest.mark.parametrize("data", ["text", [[1.0], [2.0, 3.0]], 1j, {}, None, [None]])
def test_what_is_no_array_of_numbers_is_refused(data: Any) -> None:
    with pytest.raises(md.DTypeError, match=r"expected"):
        md.Tensor(data)


def test_creation_functions() -> None:
    assert host(md.zeros((2, 3))).tolist() == np.zeros((2, 3)).tolist()
    assert host(md.ones(2)).tolist() == [1, 1]
    assert host(md.full((2,), 7, dtype=np.int64)).tolist() == [7, 7]
    assert host(md.arange(3)).tolist() == [0, 1, 2]
    assert md.arange(3).dtype.kind == "i"
    assert md.arange(0, 1, 0.25).dtype == DEFAULT_DTYPE
    x = tensor(np.ones((2, 2)))
    for like, value in ((md.zeros_like(x), 0), (md.ones_like(x), 1)):
        assert (like.shape, like.dtype, like.device) == (x.shape, x.dtype, x.device)
        assert host(like).flat[0] == value
    assert md.ones(2, requires_grad=True).requires_grad


def test_random_tensors_follow_the_seed() -> None:
    md.seed(3)
    first = (host(md.rand(2, 3)), host(md.randn(4)))
    md.seed(3)
    again = (host(md.rand(2, 3)), host(md.randn(4)))
    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1], again[1])
    assert md.randn(2).dtype == DEFAULT_DTYPE


# ---- what it is


def test_shape_and_size() -> None:
    x = tensor(np.zeros((2, 3)))
    assert (x.shape, x.ndim, x.size, len(x), x.dtype) == ((2, 3), 2, 6, 2, np.float64)
    assert x.is_leaf
    assert not x.requires_grad
    with pytest.raises(TypeError, match="without axes"):
        len(tensor(1.0))


def test_requires_grad_can_be_turned_on_and_off_at_leaves() -> None:
    x = tensor([1.0])
    assert x.requires_grad_() is x
    y = x * 2
    assert not y.is_leaf
    with pytest.raises(md.GraphError, match=r"use \.detach\(\)"):
        y.requires_grad = False
    x.requires_grad_(False)
    assert not (x * 2).requires_grad


def test_grad_takes_a_tensor_that_fits_or_none() -> None:
    x = tensor(np.ones(2, np.float32), requires_grad=True)
    x.grad = tensor(np.ones(2, np.float32))
    x.zero_grad()
    assert x.grad is None
    with pytest.raises(md.DTypeError, match=r"wrap it in md\.Tensor"):
        x.grad = device(np.ones(2, np.float32))
    with pytest.raises(md.ShapeError, match=r"must have its shape; got \(3,\)"):
        x.grad = tensor(np.ones(3, np.float32))
    with pytest.raises(md.DTypeError, match="must have its dtype; got float64"):
        x.grad = tensor(np.ones(2))


def test_data_can_be_replaced_by_what_fits() -> None:
    x = tensor(np.ones(2), requires_grad=True)
    x.data = device([3.0, 4.0])
    (x * x).sum().backward()
    np.testing.assert_array_equal(host(x.grad), [6, 8])
    with pytest.raises(md.DTypeError, match="must be floating; got int64"):
        x.data = device([1, 2])
    with pytest.raises(md.ShapeError, match="has a gradient"):
        x.data = device([1.0])


def test_repr_shows_values_and_what_is_unusual() -> None:
    x = md.Tensor(device(np.array([1.0, 2.0], np.float32)), requires_grad=True, name="w")
    where = ", device='cupy'" if x.device == "cupy" else ""
    assert repr(x) == f"Tensor([1., 2.], name='w'{where}, requires_grad=True)"
    assert repr(x * 2) == f"Tensor([2., 4.]{where}, op=Mul)"
    assert repr(tensor(np.array(3))) == f"Tensor(3, dtype=int64{where})"


def test_detach_shares_memory_and_forgets_history() -> None:
    x = tensor([1.0, 2.0], requires_grad=True)
    y = (x * 2).detach()
    assert y.is_leaf
    assert not y.requires_grad
    z = x.detach()
    z[0] = 5.0
    np.testing.assert_array_equal(host(x), [5, 2])


# ---- out of it


def test_conversions_to_python() -> None:
    x = tensor([[1.5, 2.5]])
    assert x.tolist() == [[1.5, 2.5]]
    assert tensor(2.5).item() == float(tensor(2.5)) == 2.5
    assert int(tensor(2.7)) == 2
    assert f"{tensor(2.456):.2f}" == "2.46"
    assert isinstance(x.numpy(), np.ndarray)
    assert np.asarray(x, dtype=np.float32).dtype == np.float32
    assert [float(row.sum()) for row in tensor([[1.0, 2.0], [3.0, 4.0]])] == [3, 7]
    assert bool(tensor(1.0))
    assert not bool(tensor(0.0))
    assert 2.5 in x
    assert 7 not in x
    with pytest.raises(md.ShapeError, match="exactly one element"):
        x.item()
    with pytest.raises(ValueError, match="ambiguous"):
        bool(x)


def test_a_single_integer_can_be_an_index() -> None:
    assert [10, 20, 30][tensor(np.array(1))] == 20
    assert operator.index(tensor(np.array(2))) == 2
    for wrong in (tensor(1.0), tensor(np.array([1])), tensor(np.array(True))):
        with pytest.raises(TypeError, match="only a single integer can be an index"):
            operator.index(wrong)


def test_numpys_own_functions_do_not_swallow_tensors() -> None:
    """They give a Tensor with a history, or an error: see test_numpy_functions.py."""
    x = tensor([1.0], requires_grad=True)
    for y in (np.exp(x), np.add(x, x), device([1.0]) + x):
        assert type(y) is md.Tensor
        assert y.requires_grad
    with pytest.raises(md.GraphError):
        np.cbrt(x)
    with pytest.raises(md.GraphError):
        np.asarray(x)


# ---- copies


def test_copy_keeps_the_gradient_and_deepcopy_makes_another_leaf() -> None:
    x = tensor([1.0, 2.0], requires_grad=True)
    x.name = "w"
    x.copy().sum().backward()
    other = copy.deepcopy(x)
    assert other.requires_grad
    assert other.name == "w"
    other.data[0] = 9.0
    other.grad[0] = 9.0
    np.testing.assert_array_equal(host(x), [1, 2])
    np.testing.assert_array_equal(host(x.grad), [1, 1])
    with pytest.raises(md.GraphError, match="only leaves can be deep-copied"):
        copy.deepcopy(x * 2)


def test_a_leaf_survives_pickling() -> None:
    x = tensor([1.0, 2.0], requires_grad=True)
    x.name = "w"
    (x * x).sum().backward()
    again = pickle.loads(pickle.dumps(x))
    assert (again.requires_grad, again.name, again.device) == (True, "w", x.device)
    np.testing.assert_array_equal(host(again), host(x))
    (again * again).sum().backward()
    np.testing.assert_array_equal(host(again.grad), [4, 8])
    np.testing.assert_array_equal(host(x.grad), [2, 4])


def test_tensors_are_told_apart_by_identity() -> None:
    x, y = tensor([1.0]), tensor([1.0])
    assert len({x, y, x}) == 2
    assert bool(x == y)


# ---- operators and methods are NumPy's

A = np.array([[1.0, -2.0, 3.5], [0.5, 2.0, -1.0]])
B = np.array([[2.0, 0.5, 1.0], [1.5, 3.0, 2.0]])

OPERATORS = [
    operator.add,
    operator.sub,
    operator.mul,
    operator.truediv,
    operator.eq,
    operator.ne,
    operator.lt,
    operator.le,
    operator.gt,
    operator.ge,
]


@pytest.mark.parametrize("op", OPERATORS, ids=lambda op: op.__name__)
def test_operators(op: Callable[[Any, Any], Any]) -> None:
    for other in (B, B[0], 2.0):
        ours = tensor(other) if isinstance(other, np.ndarray) else other
        np.testing.assert_array_equal(host(op(tensor(A), ours)), op(A, other))
        np.testing.assert_array_equal(host(op(ours, tensor(A))), op(other, A))


IN_PLACE = [operator.iadd, operator.isub, operator.imul, operator.itruediv, operator.ipow]


@pytest.mark.parametrize("op", IN_PLACE, ids=lambda op: op.__name__)
def test_operators_in_place_write_into_the_same_memory(op: Callable[[Any, Any], Any]) -> None:
    x, expected = tensor(np.abs(A)), np.abs(A)
    array, before = x._data, x
    x, expected = op(x, 2.0), op(expected, 2.0)
    assert x is before
    assert x._data is array
    np.testing.assert_array_equal(host(x), expected)


METHODS: dict[str, Callable[[Any], Any]] = {
    "-x": lambda x: -x,
    "+x": lambda x: +x,
    "abs": abs,
    "x ** 2": lambda x: x**2,
    "2 ** x": lambda x: 2**x,
    "matmul": lambda x: x @ x.T,
    "and": lambda x: (x > 0) & (x < 2),
    "or": lambda x: (x > 0) | (x < -1),
    "invert": lambda x: ~(x > 0),
    "T": lambda x: x.T,
    "sum": lambda x: x.sum(axis=1, keepdims=True),
    "mean": lambda x: x.mean(axis=(0, 1)),
    "var": lambda x: x.var(axis=0, ddof=1),
    "max": lambda x: x.max(axis=-1),
    "min": lambda x: x.min(),
    "argmax": lambda x: x.argmax(axis=1),
    "argmin": lambda x: x.argmin(),
    "any": lambda x: (x > 3).any(axis=0),
    "all": lambda x: (x > -3).all(),
    "reshape": lambda x: x.reshape(3, 2).reshape((6,)).reshape(2, -1),
    "flatten": lambda x: x.flatten(),
    "transpose": lambda x: x.reshape(1, 2, 3).transpose(2, 0, 1).transpose((1, 0, 2)).transpose(),
    "swapaxes": lambda x: x.swapaxes(0, 1),
    "clip": lambda x: x.clip(-1, 2),
    "getitem": lambda x: x[1:, ::2],
    "an element": lambda x: x[1, 2],
    "astype": lambda x: x.astype(np.float32),
}


@pytest.mark.parametrize("name", METHODS)
def test_methods_are_numpys(name: str) -> None:
    ours, theirs = METHODS[name](tensor(A)), METHODS[name](A)
    assert isinstance(ours, md.Tensor)
    assert ours.dtype == theirs.dtype
    assert ours.shape == theirs.shape
    np.testing.assert_allclose(host(ours), theirs)


def test_moving_between_devices_and_back(standin: Any) -> None:
    x = md.Tensor(np.array([1.0, 2.0]), requires_grad=True)
    assert x.to("numpy") is x
    y = x.to("cupy")
    assert y.device == "cupy"
    (y * y).sum().backward()
    assert x.grad.device == "numpy"
    np.testing.assert_array_equal(x.grad.numpy(), [2, 4])
    with pytest.raises(md.DeviceError, match="expected a backend out of numpy, cupy; got 'gpu'"):
        x.to("gpu")


class Matrix(np.ndarray):
    """As np.matrix, whose * is a product of matrices."""

    def __mul__(self, other: Any) -> Any:
        return np.asarray(self) @ other


def test_an_array_of_a_derived_class_becomes_a_plain_one() -> None:
    matrix = np.array([[1.0, 2.0]]).view(Matrix)
    column = md.Tensor(np.array([[1.0], [2.0]]))
    for product in (md.tensor(matrix) * column, column * matrix, md.Tensor(matrix) * column, F.exp(matrix) * column):
        assert product.shape == (2, 2)
        assert type(product.numpy()) is np.ndarray


def test_a_masked_array_is_refused() -> None:
    masked = np.ma.masked_array([1.0, 2.0], [True, False])
    for make in (md.tensor, md.Tensor, lambda x: md.Tensor(np.ones(2)) * x):
        with pytest.raises(md.DTypeError, match=r"without masked numbers.*x.filled\(0\)"):
            make(masked)


def test_complex_numbers_and_none_are_no_numbers() -> None:
    x = tensor([1.0, 2.0], requires_grad=True)
    for wrong in (
        lambda: x * 1j,
        lambda: x * np.complex64(1j),
        lambda: md.full((2,), None),  # type: ignore[arg-type]
        lambda: md.full((2,), 1j),  # type: ignore[arg-type]
        lambda: x.detach().__setitem__(0, None),
        lambda: (x * 1).backward([None, None]),
        lambda: (x * 1).backward(device(np.ones(2) * 1j)),
    ):
        with pytest.raises(md.DTypeError, match=r"got"):
            wrong()
    with pytest.raises(ValueError, match="pad: constant_values: expected a number; got None"):
        md.functional.pad(x, 1, None)  # type: ignore[arg-type]


# ---- making them as NumPy does


@pytest.mark.parametrize("make", [md.zeros, md.ones, md.rand, md.randn])
def test_a_shape_is_lengths_or_a_tuple(make: Any) -> None:
    assert make(2, 3).shape == make((2, 3)).shape == make([2, 3]).shape == (2, 3)
    assert make(2).shape == make((2,)).shape == (2,)
    assert make().shape == make(()).shape == ()
    assert make(2, requires_grad=True).requires_grad


def test_eye_linspace_and_full_like_are_numpys() -> None:
    np.testing.assert_array_equal(host(md.eye(2, 3, 1)), np.eye(2, 3, 1))
    np.testing.assert_array_equal(host(md.eye(3)), np.eye(3))
    for arguments in ((0, 1), (0, 1, 5), (2, -1, 4, False)):
        found = md.linspace(*arguments)
        assert found.dtype == np.float32
        np.testing.assert_allclose(host(found), np.linspace(*arguments), rtol=1e-6)
    like = md.full_like(tensor(np.ones((2, 3), np.float16)), 7)
    assert (like.dtype, like.tolist()) == (np.float16, [[7, 7, 7], [7, 7, 7]])
    assert md.linspace(0, 1, requires_grad=True).requires_grad
    assert md.arange(3.0, requires_grad=True).requires_grad


def test_whole_random_numbers_and_orders_come_from_the_seed() -> None:
    md.seed(3)
    first = md.randint(2, 9, (100,)), md.randint(5), md.permutation(10)
    md.seed(3)
    again = md.randint(2, 9, (100,)), md.randint(5), md.permutation(10)
    for x, y in zip(first, again, strict=True):
        assert x.tolist() == y.tolist()
    assert first[0].dtype == np.int64
    assert set(first[0].tolist()) == set(range(2, 9))
    assert first[1].shape == ()
    assert sorted(first[2].tolist()) == list(range(10))


def test_functions_that_numpy_has_are_in_md() -> None:
    for name in ("exp", "sum", "where", "einsum", "std", "concatenate", "pad", "round"):
        assert getattr(md, name) is getattr(md.functional, name)


@pytest.mark.parametrize(
    "name", ["abs", "exp", "log", "sqrt", "square", "sin", "cos", "tanh", "sigmoid", "relu", "std", "prod"]
)
def test_methods_of_elementary_functions(name: str) -> None:
    x = tensor(np.array([0.5, 2.0]), True)
    found = getattr(x, name)()
    assert found.requires_grad
    np.testing.assert_array_equal(host(found), host(getattr(md.functional, name)(x)))


def test_zero_grad_may_leave_zeros() -> None:
    model = md.nn.Linear(2, 1)
    optimizer = md.optim.SGD(model, lr=0.1)
    for thing in (model, optimizer, model.weight):
        model(md.ones(3, 2)).sum().backward()
        thing.zero_grad(set_to_none=False)
        assert model.weight.grad is not None
        np.testing.assert_array_equal(host(model.weight.grad), 0)
        thing.zero_grad(set_to_none=True)
        assert model.weight.grad is None
        thing.zero_grad(set_to_none=False)
        assert model.weight.grad is None


def test_zeros_that_are_left_are_zeros() -> None:
    x = tensor([1.0, 2.0], True)
    x.grad = tensor([np.inf, np.nan])
    x.zero_grad(set_to_none=False)
    assert x.grad is not None
    np.testing.assert_array_equal(host(x.grad), 0)


def _live(loss: md.Tensor, **options: Any) -> None:
    with md.record() as tape:
        list(tape.live(loss, **options))


@pytest.mark.parametrize(
    ("ask", "name"),
    [
        (lambda loss, x: md.grad(loss, x, retain_graph="no"), "grad: retain_graph"),
        (lambda loss, x: md.grad(loss, x, create_graph="no"), "grad: create_graph"),
        (lambda loss, x: md.grad(loss, x, allow_unused="no"), "grad: allow_unused"),
        (lambda loss, x: md.walk(loss, retain_graph="no"), "walk: retain_graph"),
        (lambda loss, x: _live(loss, retain_graph="no"), "live: retain_graph"),
        (lambda loss, x: x.zero_grad(set_to_none="no"), "zero_grad: set_to_none"),
        (lambda loss, x: md.optim.SGD([x], lr=0.1).zero_grad(set_to_none="no"), "zero_grad: set_to_none"),
    ],
)
def test_what_is_neither_true_nor_false_is_refused_before_anything_happens(ask: Any, name: str) -> None:
    """A "no" is true in Python, so it would do the opposite of what it says."""
    x = tensor([1.0, 2.0], True)
    loss = (x * x).sum()
    with pytest.raises(ValueError, match=f"{name}: expected True or False; got 'no'"):
        ask(loss, x)
    assert x.grad is None
    loss.backward()  # the graph is still there
