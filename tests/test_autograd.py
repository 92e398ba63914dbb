"""One op is one class; what it keeps; what it is handed; the numbers keep their dtype."""

from __future__ import annotations

import ast
import gc
import inspect
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import minidl as md
import minidl.functional as F
from minidl import backend
from minidl.autograd import Function
from tests.arrays import device, host, tensor

FUNCTIONAL = Path(F.__file__).parent


def every_op(root: type[Function] = Function) -> Iterator[type[Function]]:
    """All op classes of minidl.functional, the abstract ones included."""
    for op in root.__subclasses__():
        if op.__module__.startswith("minidl.functional"):
            yield op
        yield from every_op(op)


OPS = sorted(set(every_op()), key=lambda op: op.__qualname__)


# ---- one op is one class


@pytest.mark.parametrize("op", OPS, ids=lambda op: op.__name__)
def test_an_op_is_a_class_with_plain_methods(op: type[Function]) -> None:
    assert "__slots__" in vars(op)
    assert not hasattr(op.__new__(op), "__dict__")
    names = ["forward"] if not op.differentiable else ["forward", "backward"]
    for name in names:
        method = getattr(op, name, None)
        if method is None:
            assert op.__name__.startswith("_")  # an abstract class leaves it to its subclasses
            continue
        assert inspect.isfunction(method)
        assert method.__closure__ is None
        assert not hasattr(method, "__wrapped__")


def test_there_are_as_many_ops_as_the_introspection_should_find() -> None:
    assert len(OPS) > 40
    assert {"Mul", "MatMul", "Conv2d", "CrossEntropy", "GetItem"} <= {op.__name__ for op in OPS}


@pytest.mark.parametrize("path", sorted(FUNCTIONAL.glob("*.py")), ids=lambda path: path.stem)
def test_no_closures_lambdas_or_decorated_ops(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    for function in functions:
        inner = [node for node in ast.walk(function) if node is not function]
        assert not [node for node in inner if isinstance(node, (ast.FunctionDef, ast.Lambda))], function.name
        if function.name in ("forward", "backward"):
            assert not function.decorator_list
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.Lambda)]


@pytest.mark.parametrize("path", sorted(FUNCTIONAL.glob("*.py")), ids=lambda path: path.stem)
def test_backward_stands_next_to_forward(path: Path) -> None:
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef):
            methods = [part.name for part in node.body if isinstance(part, ast.FunctionDef)]
            if "forward" in methods and "backward" in methods:
                between = methods[methods.index("forward") + 1 : methods.index("backward")]
                assert all(name.startswith("_") for name in between), (node.name, between)


# ---- a user's own op


class Cube(Function):
    """x^3; notes what its backward was handed."""

    saves_inputs = True
    __slots__ = ()
    handed: list[tuple[type, type]] = []  # noqa: RUF012 - the test reads it

    def forward(self, x: Any) -> Any:
        return x * x * x

    def backward(self, grad_out: Any, x: Any) -> Any:
        Cube.handed.append((type(grad_out), type(x)))
        return grad_out * (3 * x * x)


class NoSlots(Function):
    """A user need not know of __slots__."""

    def __init__(self, factor: float) -> None:
        self.factor = factor

    def forward(self, x: Any, y: Any) -> Any:
        return x + self.factor * y

    def backward(self, grad_out: Any) -> Any:
        return grad_out, grad_out * self.factor


def test_a_users_op_works_as_the_built_in_ones() -> None:
    x = tensor([1.0, 2.0], requires_grad=True)
    y = tensor([3.0, 4.0], requires_grad=True)
    z = NoSlots(10.0)(Cube()(x), y)
    z.sum().backward()
    np.testing.assert_array_equal(host(z), [31, 48])
    np.testing.assert_array_equal(host(x.grad), [3, 12])
    np.testing.assert_array_equal(host(y.grad), [10, 10])


def test_a_users_op_passes_gradcheck_to_second_order() -> None:
    x = tensor([0.5, -2.0], requires_grad=True)
    assert md.gradcheck(lambda t: Cube()(t), [x])
    assert md.gradgradcheck(lambda t: Cube()(t), [x])


def test_backward_is_handed_raw_arrays_or_tensors_under_create_graph() -> None:
    x = tensor([2.0], requires_grad=True)
    raw = type(device([1.0]))
    Cube.handed.clear()
    Cube()(x).backward()
    assert Cube.handed == [(raw, raw)]
    Cube.handed.clear()
    md.grad(Cube()(x), x, create_graph=True)
    assert Cube.handed == [(md.Tensor, md.Tensor)]


def test_without_a_tensor_the_result_is_a_raw_array() -> None:
    x = device([1.0, 4.0])
    for result in (Cube()(x), F.sqrt(x), F.sum(x), F.add(x, 1), F.where(x > 1, x, 0.0), F.getitem(x, 0)):
        assert type(result) is type(x)
    assert F.sum(x).shape == ()


def test_the_result_of_an_op_on_a_subclass_is_a_plain_tensor() -> None:
    class Weight(md.Tensor):
        __slots__ = ()

    w = Weight(device([1.0]), requires_grad=True)
    assert type(w + 1) is md.Tensor
    assert type(w.detach()) is md.Tensor


def test_an_instance_is_used_once() -> None:
    x, op = tensor([1.0], requires_grad=True), Cube()
    y = op(x)
    with pytest.raises(md.GraphError, match="this Cube is already a node of a graph: make a new instance"):
        op(x * 2)
    y.backward()
    assert host(x.grad) == [3]


def test_an_op_with_too_few_gradients_is_told_so() -> None:
    class Wrong(Function):
        def forward(self, x: Any, y: Any) -> Any:
            return x + y

        def backward(self, grad_out: Any) -> Any:
            return grad_out

    x = tensor([1.0], requires_grad=True)
    with pytest.raises(md.GraphError, match=r"Wrong.backward must return one gradient per input: expected 2, got 1"):
        Wrong()(x, x).backward()


def test_a_gradient_of_the_wrong_shape_is_told_so() -> None:
    class Wrong(Function):
        def forward(self, x: Any) -> Any:
            return x.sum()

        def backward(self, grad_out: Any) -> Any:
            return grad_out

    x = tensor([1.0, 2.0], requires_grad=True)
    with pytest.raises(md.ShapeError, match=r"gradient of shape \(\) for Tensor of shape \(2,\)"):
        Wrong()(x).backward()


# ---- what an op keeps


def test_add_pins_no_arrays() -> None:
    x = tensor(np.ones(3), requires_grad=True)
    y = x * 2
    array = weakref.ref(y._data)
    z = y + 1
    del y
    assert array() is None
    z.sum().backward()
    np.testing.assert_array_equal(host(x.grad), [2, 2, 2])
    constant = device(np.ones(3))
    array = weakref.ref(constant)
    z = x + constant
    del constant
    assert array() is None


def test_mul_keeps_the_arrays_it_needs_and_no_tensor() -> None:
    x = tensor(np.ones(3), requires_grad=True)
    y = x * 2
    array, y_itself = weakref.ref(y._data), weakref.ref(y)
    z = y * y
    del y
    assert y_itself() is None
    assert array() is not None
    z.sum().backward()
    del z
    assert array() is None


def test_a_node_never_holds_its_own_output_tensor() -> None:
    x = tensor(np.ones(3), requires_grad=True)
    y = F.exp(x)
    itself = weakref.ref(y)
    z = y.sum()
    del y
    assert itself() is None
    z.backward()
    np.testing.assert_allclose(host(x.grad), np.exp(np.ones(3)))


class Sensitive(Function):
    """Says which gradients it was asked for."""

    asked: list[tuple[bool, bool]] = []  # noqa: RUF012 - the test reads it

    def forward(self, x: Any, y: Any) -> Any:
        return x + y

    def backward(self, grad_out: Any) -> Any:
        Sensitive.asked.append((self.needs(0), self.needs(1)))
        return grad_out, grad_out


def test_gradients_nobody_needs_are_not_asked_for() -> None:
    data, weight = tensor([1.0]), tensor([1.0], requires_grad=True)
    Sensitive.asked.clear()
    Sensitive()(data, weight).backward()
    Sensitive()(weight, 3.0).backward()
    assert Sensitive.asked == [(False, True), (True, False)]
    assert data.grad is None


def test_nothing_is_recorded_without_need() -> None:
    x, w = tensor([1.0]), tensor([1.0], requires_grad=True)
    assert (x * 2)._op is None
    assert not (x * 2).requires_grad
    with md.no_grad():
        assert (w * 2)._op is None
    assert (w > 0)._op is None  # a comparison has no gradient
    assert (w * 2)._op is not None


def collector_objects() -> int:
    """How many objects the cyclic collector has to look at (the stand-in's arrays left out: CuPy's are none)."""
    raw = type(device([1.0]))
    return sum(type(thing) is not raw for thing in gc.get_objects())


@pytest.mark.parametrize(
    "op",
    [
        lambda x, y: x + y,
        lambda x, y: x * y,
        lambda x, y: x / 2,
        lambda x, y: -x,
        lambda x, y: x**2,
        lambda x, y: F.exp(x),
        lambda x, y: F.relu(x),
        lambda x, y: x.sum(),
        lambda x, y: x.reshape(2, 8),
        lambda x, y: x.T,
        lambda x, y: F.linear(x, y),
        lambda x, y: F.where(x > 0, x, 0),
    ],
)
def test_an_op_makes_at_most_three_objects_for_the_collector(op: Callable[[Any, Any], Any]) -> None:
    x, y = tensor(np.ones((4, 4)), requires_grad=True), tensor(np.ones((4, 4)), requires_grad=True)
    op(x, y)
    results: list[Any] = [None] * 200
    gc.collect()
    gc.disable()
    try:
        before = collector_objects()
        for i in range(len(results)):
            results[i] = op(x, y)
        gc.collect()  # leaves only what the collector keeps looking at: no tuples of plain numbers
        made = collector_objects() - before
    finally:
        gc.enable()
    assert made / len(results) <= 3.1


# ---- numbers keep their dtype

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


# ---- two devices

MIXED: dict[str, Callable[[Any, Any], Any]] = {
    "add": lambda a, b: a + b,
    "mul": lambda a, b: a * b,
    "matmul": lambda a, b: a @ b,
    "linear": lambda a, b: F.linear(a, b),
    "maximum": lambda a, b: F.maximum(a, b),
    "where": lambda a, b: F.where(a > 0, a, b),
    "concatenate": lambda a, b: F.concatenate([a, b]),
    "setitem": lambda a, b: F.setitem(a, slice(None), b),
    "compare": lambda a, b: a > b,
    "power": lambda a, b: a**b,
    "mse_loss": lambda a, b: F.mse_loss(a, b),
}


@pytest.mark.parametrize("name", MIXED)
@pytest.mark.parametrize("first", ["numpy", "cupy"])
def test_mixing_devices_names_both_operands(name: str, first: str, standin: ModuleType) -> None:
    values = np.ones((2, 2))
    a = md.Tensor(backend.to_device(values, first), requires_grad=True, name="weight")
    b = md.Tensor(backend.to_device(values, "cupy" if first == "numpy" else "numpy"), name="batch")
    with pytest.raises(md.DeviceError) as caught:
        MIXED[name](a, b)
    for words in ("one device", "'weight'", "'batch'", "numpy", "cupy", ".to("):
        assert words in str(caught.value)


def test_computing_on_the_device_never_waits_for_it(standin: ModuleType) -> None:
    with md.using("cupy"):
        x = md.Tensor(backend.to_device(np.ones((4, 3), np.float32), "cupy"))
        labels = md.Tensor(backend.to_device(np.array([0, 1, 0, 1]), "cupy"))
        w = md.Tensor(backend.to_device(np.ones((2, 3), np.float32), "cupy"), requires_grad=True)
        standin.reset_synchronizations()
        hidden = F.dropout(F.relu(F.linear(x, w)), 0.5)
        loss = F.cross_entropy(hidden, labels) + (w * w).sum() * 0.1 + F.logsumexp(w) + w.var() + F.clip(w, 0, 1).max()
        loss.backward()
        with md.no_grad():
            w -= 0.1 * w.grad
        assert standin.synchronizations() == ()
        assert w.grad.device == "cupy"


def test_an_index_on_the_device_for_a_tensor_on_the_host_is_named(standin: ModuleType) -> None:
    x, index = md.Tensor(np.ones(3)), backend.to_device(np.array([0, 1]), "cupy")
    with pytest.raises(md.DeviceError, match=r"GetItem: the index .* cupy lives elsewhere.*\.to\('numpy'\)"):
        x[md.Tensor(index)]
    standin.reset_synchronizations()
    assert x.to("cupy")[np.array([0, 1])].device == "cupy"
    assert standin.synchronizations() == ()
