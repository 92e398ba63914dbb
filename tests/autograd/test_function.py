"""One op is one class: what it keeps, and what its backward is handed."""

from __future__ import annotations

import ast
import contextlib
import gc
import inspect
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minidl as md
import minidl.functional as F
from minidl import backend
from minidl.autograd.function import Function
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
            assert op.__subclasses__()  # an abstract class leaves it to these
            continue
        assert inspect.isfunction(method)
        assert method.__closure__ is None
        assert not hasattr(method, "__wrapped__")


def test_there_are_as_many_ops_as_the_introspection_should_find() -> None:
    assert len(OPS) > 40
    assert {"Mul", "MatMul", "Conv", "CrossEntropy", "GetItem"} <= {op.__name__ for op in OPS}


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


@pytest.mark.parametrize("several", [list, tuple])
def test_several_tensors_are_no_operand(several: Callable[[Any], Any]) -> None:
    """NumPy would make one array of them, without their history."""
    with pytest.raises(md.DTypeError, match=f"ReLU: expected a Tensor, .*got a {several.__name__} of Tensors. F.stack"):
        F.relu(several([tensor(np.ones(2), True), tensor(np.ones(2))]))


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
    with pytest.raises(
        md.GraphError, match=r"Wrong.backward must return a gradient of shape \(2,\) for input 0.*shape \(\)"
    ):
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
    """How many objects the cyclic collector has to look at.

    Left out are a device's arrays and what each consists of, its memory and the pointer to it: these are CuPy's.
    """
    array = device([1.0])
    parts = {type(array)}
    if backend.current() == "cupy":
        parts |= {type(array.data), type(getattr(array.data, "mem", None))}
    return sum(type(thing) not in parts for thing in gc.get_objects())


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


class Middle(md.Function):
    """Gives back its second of three inputs."""

    __slots__ = ()

    def forward(self, a, b, c):
        return b

    def backward(self, grad_out):
        return None, grad_out, None


def test_your_forward_may_return_an_input_which_is_copied() -> None:
    a, b, c = (tensor([1.0, 2.0], requires_grad=True) for _ in range(3))
    z = Middle()(a, b, c)
    loss = (z * z).sum()
    with md.no_grad():
        b *= 10
    loss.backward()
    np.testing.assert_array_equal(host(b.grad), [2, 4])


@pytest.mark.parametrize("plain", [False, True])
def test_a_base_that_keeps_its_subclasses_to_itself_is_named(plain: bool) -> None:
    class Base(md.Function):
        def __init_subclass__(cls) -> None:
            pass

        def forward(self, x):
            return x * 2

        def backward(self, grad_out):
            return grad_out * 2

    class Sub(Base):
        saves_inputs = True

        def backward(self, grad_out, x):
            return grad_out * 2

        def fits(self):  # as faster versions have
            return True

    x = tensor([1.0, 2.0], requires_grad=True)
    with md.plain() if plain else contextlib.nullcontext():
        Base()(x).sum().backward()
        with pytest.raises(TypeError, match=r"Sub: Base.__init_subclass__ has to call super\(\).__init_subclass__\(\)"):
            Sub()(x)


@pytest.mark.usefixtures("faster_versions")  # plain lines do not ask where the class above is minidl's own
def test_an_op_is_never_taken_for_the_one_it_is_made_of() -> None:
    class Silent:
        def __init_subclass__(cls) -> None:
            pass

    class Cube(Silent, md.ops.Exp):
        __slots__ = ()
        saves_inputs, saves_output = True, False

        def forward(self, x):
            return x * x * x

        def backward(self, grad_out, x):
            return grad_out * 3 * x * x

    x = tensor([1.0, 2.0], requires_grad=True)
    x.exp()
    with pytest.raises(TypeError, match=r"Cube: Silent.__init_subclass__ has to call super"):
        Cube()(x)


def test_an_attribute_of_an_op_is_not_taken_for_what_its_class_says() -> None:
    class Odd(md.Function):
        def __init__(self):
            self._traits = (1, 2)

        def forward(self, x):
            return x * 2

        def backward(self, grad_out):
            return grad_out * 2

    with pytest.raises(AttributeError, match="_traits"):
        Odd()(tensor([1.0], requires_grad=True))


def test_an_op_that_is_defined_anew_lets_the_one_before_go() -> None:
    """As in a notebook's cell that is run again; its lines may hold on to anything."""

    def define() -> weakref.ref[type]:
        class Twice(md.Function):
            __slots__ = ()

            def forward(self, x):
                return x * 2

            def backward(self, grad_out):
                return grad_out * 2

        x = tensor([1.0, 2.0], requires_grad=True)
        Twice()(x).sum().backward()
        np.testing.assert_array_equal(host(x.grad), 2)
        return weakref.ref(Twice)

    last = define()
    gc.collect()
    assert last() is None


@pytest.mark.parametrize("returned", [None, "text", ("a", "b")])
def test_a_forward_must_return_one_array(returned: object) -> None:
    class Odd(md.Function):
        __slots__ = ()

        def forward(self, x):
            return returned

    with pytest.raises(md.DTypeError, match=r"Odd.forward must return one array; got"):
        Odd()(tensor([1.0]))


def test_a_list_of_tensors_is_no_operand() -> None:
    a, b = tensor([[1.0, 2.0]], True), tensor([1.0, 2.0], True)
    for several in ([b[0], b[1]], (b, b), [[b[0], b[1]]], [[[b[0]]]]):
        with pytest.raises(md.DTypeError, match=r"Mul: expected a Tensor.* of Tensors. F.stack makes one"):
            a * several
        with pytest.raises(md.DTypeError, match=r"mse_loss: expected a Tensor.* of Tensors"):
            F.mse_loss(a, several)


@pytest.mark.skipif(backend.current() != "numpy", reason="as files have them, on the host")
def test_a_raw_array_in_another_order_of_bytes_is_an_operand_like_any_other() -> None:
    rng = np.random.default_rng(0)
    image, rows = (rng.random(shape).astype(np.float32) for shape in ((2, 4, 6, 6), (5, 4)))
    for layer, x in (
        (md.nn.Conv2d(4, 3, 3), image),
        (md.nn.BatchNorm2d(4), image),
        (md.nn.ConvTranspose2d(4, 3, 2), image),
        (md.nn.Linear(4, 3), rows),
        (md.nn.LayerNorm(4), rows),
    ):
        foreign = x.astype(x.dtype.newbyteorder())
        with md.no_grad():
            found = layer(foreign).numpy()
            assert found.dtype == np.float32
            np.testing.assert_array_equal(found, layer(x).numpy())
            with md.plain():
                np.testing.assert_allclose(layer(foreign).numpy(), found, rtol=1e-4, atol=1e-5)
    w = tensor([1.0, 2.0], requires_grad=True)
    (w * np.array([3.0, 4.0], ">f8")).sum().backward()
    np.testing.assert_array_equal(host(w.grad), [3, 4])
