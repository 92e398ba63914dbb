"""One op is one class: what it keeps, and what its backward is handed."""

from __future__ import annotations

import ast
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


# ---- what a user's own op writes, returns and keeps


def own(**members: Any) -> type[md.Function]:
    """An op of a user's program that doubles its input, but for some members."""
    usual = {"forward": lambda self, x: x * 2, "backward": lambda self, grad_out: grad_out * 2}
    return type("Own", (md.Function,), {"__module__": __name__, **usual, **members})


ANY = np.array([1.0, 2.0, 3.0])


@pytest.mark.parametrize(
    ("returned", "said"),
    [
        (None, "got NoneType: is its `return` missing"),
        ([1.0, 2.0], "got list: an op has one output; np.stack makes one array of several, np.array one of numbers"),
        ((ANY, ANY), "got tuple: an op has one output; np.stack"),
        (1j, "got complex: write one op for the real part"),
        (np.complex64(1j), "complex64, .*: write one op for the real part"),
        ({}, "got dict"),
        (md.Tensor, "got Tensor: it is handed raw arrays and computes with raw arrays"),
    ],
)
@pytest.mark.parametrize("requires_grad", [True, False])
def test_a_forward_that_returns_no_array_of_real_numbers(returned: Any, said: str, requires_grad: bool) -> None:
    op = own(forward=lambda self, x: md.Tensor(x.copy()) if returned is md.Tensor else returned)
    with pytest.raises(md.DTypeError, match=rf"Own\.forward must return .*{said}"):
        op()(tensor(ANY, requires_grad))


@pytest.mark.parametrize("made", [ANY.astype(np.complex64), np.array(["text"]), np.array([None])])
@pytest.mark.parametrize("requires_grad", [True, False])
def test_a_forward_that_returns_an_array_of_something_else(made: Any, requires_grad: bool) -> None:
    with pytest.raises(md.DTypeError, match=f"must return real numbers; got .*{made.dtype}"):
        own(forward=lambda self, x: made)()(md.Tensor(ANY, requires_grad))


def test_a_forward_may_return_a_number() -> None:
    y = own(forward=lambda self, x: 3.0)()(tensor(ANY))
    assert y.shape == ()
    assert own(forward=lambda self, x: np.float32(3))()(tensor(ANY)).dtype == np.float32


def test_a_forward_of_integers_has_no_gradient() -> None:
    op = own(forward=lambda self, x: x.astype(np.int64))
    with pytest.raises(md.DTypeError, match=r"returned int64, which can have no gradient.*`differentiable = False`"):
        op()(tensor(ANY, True))
    assert op()(tensor(ANY)).dtype == np.int64


@pytest.mark.parametrize(
    ("returned", "said"),
    [
        ([1.0, 2.0, 3.0], "got list: return an array, or for several inputs a tuple of arrays"),
        (3.0, r"got 3.0: where the slope is a number, return grad_out \* 3.0"),
        (1j, "got complex: the gradient of a real input is real"),
        (np.complex64(1j), "complex64, .*: the gradient of a real input is real"),
        (True, "got True"),
        ("text", "got 'text'"),
        ("(1, 3)", r"of shape \(1, 3\), .* Where an input was broadcast, sum its gradient"),
        ("()", r"of shape \(\), .* Where an input was broadcast, sum its gradient"),
    ],
)
@pytest.mark.parametrize("create_graph", [True, False])
def test_a_backward_that_returns_no_gradient_of_its_input(returned: Any, said: str, create_graph: bool) -> None:
    def backward(self: md.Function, grad_out: Any) -> Any:
        return {"(1, 3)": grad_out.reshape(1, 3), "()": grad_out.sum()}.get(str(returned), returned)

    x = tensor(ANY, True)
    with pytest.raises(md.GraphError, match=rf"Own\.backward must return a gradient of shape \(3,\) .*{said}"):
        md.grad(own(backward=backward)()(x).sum(), x, create_graph=create_graph)


def test_a_list_of_gradients_for_several_inputs() -> None:
    op = own(forward=lambda self, x, y: x + y, backward=lambda self, grad_out: [grad_out, grad_out])
    x = tensor(ANY, True)
    with pytest.raises(md.GraphError, match="got a list: return a tuple, grad_0, grad_1"):
        op()(x, x).sum().backward()


class Careless(md.Function):
    """Writes into what its backward is handed."""

    saves_inputs = True

    def forward(self, x: Any) -> Any:
        return x * 2

    def backward(self, grad_out: Any, x: Any) -> Any:
        grad_out *= 2
        x *= 0
        return grad_out


@pytest.mark.parametrize("create_graph", [True, False])
def test_a_backward_that_writes_into_its_arguments_spoils_nothing(create_graph: bool) -> None:
    """The sum hands one gradient to both of its inputs; the product reads y too."""
    x, y = tensor(ANY, True), tensor(ANY, True)
    middle = y * 1
    loss = (Careless()(middle) + x).sum() + (middle * x).sum()
    if backend.current() == "numpy":
        with pytest.raises(ValueError, match="read-only") as caught:
            md.grad(loss, [y, x], create_graph=create_graph, retain_graph=True)
        assert any("Careless.backward wrote into its arguments" in note for note in caught.value.__notes__)
    else:  # it writes into a copy
        by_x = md.grad(loss, [y, x], create_graph=create_graph, retain_graph=True)[1]
        np.testing.assert_array_equal(host(by_x), 1 + ANY)
    np.testing.assert_array_equal(host(md.grad(loss, x)), 1 + ANY)
    np.testing.assert_array_equal(host(middle), ANY)


def test_a_backward_that_writes_does_not_reach_another_consumers_gradient() -> None:
    """Under create_graph a gradient with a history may be written to: the op's own Tensor then is another."""

    class Scaled(md.Function):
        def forward(self, x: Any) -> Any:
            return x * 3

        def backward(self, grad_out: Any) -> Any:
            grad_out *= 3
            return grad_out

    x, y, weight = tensor(ANY, True), tensor(ANY, True), tensor(ANY, True)
    loss = ((Scaled()(x) + y) * weight).sum()
    by_x, by_y = md.grad(loss, [x, y], create_graph=True)
    np.testing.assert_array_equal(host(by_x), 3 * ANY)
    np.testing.assert_array_equal(host(by_y), ANY)
    np.testing.assert_array_equal(host(md.grad(by_x.sum(), weight)), [3, 3, 3])


def test_a_forward_that_writes_into_its_arguments_is_told_so() -> None:
    def forward(self: md.Function, x: Any) -> Any:
        x *= 2
        return x

    with (
        md.using("numpy"),
        pytest.raises(md.GraphError, match=r"Own\.forward wrote into its arguments.*x = x.copy\(\)"),
    ):
        own(forward=forward)()(md.Tensor(ANY, True))


@pytest.mark.parametrize("name", ["inputs", "needed", "order", "saved", "needs", "plain", "_data", "_writes"])
def test_a_name_that_the_engine_has_is_refused(name: str) -> None:
    def forward(self: md.Function, x: Any) -> Any:
        setattr(self, name, 3)
        return x * 2

    said = rf"Own: the engine keeps something of its own under the name {name}; call the attribute .* something else"
    with pytest.raises(AttributeError, match=said):
        own(forward=forward)()(tensor(ANY, True))
    with pytest.raises(AttributeError, match=said):
        own(**{name: 3})


@pytest.mark.parametrize("name", ["saves_inputs", "saves_output", "reads", "differentiable"])
def test_what_the_class_has_to_say_an_instance_cannot(name: str) -> None:
    def forward(self: md.Function, x: Any) -> Any:
        setattr(self, name, True)
        return x * 2

    with pytest.raises(AttributeError, match=rf"Own: {name} is read from the class; write `{name} = ...` there"):
        own(forward=forward)()(tensor(ANY, True))


@pytest.mark.parametrize("name", ["shape", "dtype", "name", "data", "grad", "axis", "size", "kept", "requires_grad"])
def test_any_other_name_is_free(name: str) -> None:
    def forward(self: md.Function, x: Any) -> Any:
        setattr(self, name, 2)
        return x * 2

    x = tensor(ANY, True)
    own(forward=forward, backward=lambda self, grad_out: grad_out * getattr(self, name))()(x).sum().backward()
    np.testing.assert_array_equal(host(x.grad), [2, 2, 2])


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
