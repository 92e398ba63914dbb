"""Your own op: what it is handed and may return, and what it is told when it writes, or returns something else."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minidl as md
from minidl import backend
from minidl.autograd.function import Function
from tests.arrays import device, host, tensor

START = [1.0, 2.0, 3.0]


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


# ---- an op that does what it was told to


class Meddling(Function):
    """An op that does in its backward, or forward, what it was told to."""

    saves_inputs = True

    def __init__(self, in_forward: Any = None, in_backward: Any = None) -> None:
        self.in_forward = in_forward
        self.in_backward = in_backward

    def forward(self, x: Any) -> Any:
        return self.in_forward(x) if self.in_forward else x * 2

    def backward(self, grad_out: Any, x: Any) -> Any:
        return self.in_backward(grad_out, x)


def _overwrites(x: Any) -> Any:
    x *= 2
    return x


def _overwrites_gradient(grad_out: Any, x: Any) -> Any:
    grad_out *= 2
    return grad_out


@pytest.mark.skipif(backend.current() != "numpy", reason="arrays of a device can all be written to: yours gets copies")
def test_an_op_that_writes_into_its_arguments_is_told() -> None:
    x = tensor(START, requires_grad=True)
    with pytest.raises(md.GraphError, match=r"Meddling.forward wrote into its arguments.*x\.copy\(\)"):
        Meddling(in_forward=_overwrites)(x)
    y = Meddling(in_backward=_overwrites_gradient)(x).sum()
    with pytest.raises(ValueError, match="read-only") as caught:
        y.backward()
    assert any("Meddling.backward wrote into its arguments" in note for note in caught.value.__notes__)


def test_an_op_cannot_spoil_what_others_saved() -> None:
    x = tensor(START, requires_grad=True)
    before = host(x).copy()
    with contextlib.suppress(md.GraphError):  # on a device, where copies are handed out, there is none
        Meddling(in_forward=_overwrites)(x * 1.0)
    np.testing.assert_array_equal(host(x), before)


@pytest.mark.parametrize("returned", [lambda x: x, lambda x: x[::-1], lambda x: x.reshape((3, 1)), lambda x: x.view()])
def test_what_your_op_returns_is_memory_of_its_own(returned: Callable[[Any], Any]) -> None:
    """On every device, with faster versions and without; and it can be written to."""
    x = tensor(START)
    y = Meddling(in_forward=returned)(x)
    before = host(y).copy()
    x[...] = 0.0
    np.testing.assert_array_equal(host(y), before)
    y[...] = 7.0
    np.testing.assert_array_equal(host(x), [0, 0, 0])
    raw = device(np.array(START))
    Meddling(in_forward=returned)(raw)[...] = 7.0
    np.testing.assert_array_equal(host(raw), START)


class Buffered(Function):
    """Doubles its input, and computes both results and gradients in memory that it keeps."""

    result: Any = None
    gradient: Any = None

    def forward(self, x: Any) -> Any:
        if Buffered.result is None:
            Buffered.result, Buffered.gradient = x * 0, x * 0
        Buffered.result[...] = x * 2
        return Buffered.result

    def backward(self, grad_out: Any) -> Any:
        if isinstance(grad_out, md.Tensor):
            return grad_out * 2
        Buffered.gradient[...] = grad_out * 2
        return Buffered.gradient


@pytest.mark.parametrize("view", [lambda out: out, lambda out: out[:], lambda out: out.T.T])
def test_what_your_op_returned_is_not_changed_by_its_next_call(view: Callable[[Any], Any]) -> None:
    class Viewed(Buffered):
        def forward(self, x: Any) -> Any:
            return view(super().forward(x))

    Buffered.result = None
    x, z = tensor(START, requires_grad=True), tensor([5.0, 5.0, 5.0], requires_grad=True)
    y = Viewed()(x)
    square = y * y
    values = Viewed()(device(np.array(START)))  # without a Tensor it returns a raw array, of its own memory too
    Viewed()(z)
    np.testing.assert_array_equal(host(y), [2, 4, 6])
    np.testing.assert_array_equal(host(values), [2, 4, 6])
    square.sum().backward()  # reads the values of y: 2 y * 2
    np.testing.assert_array_equal(host(x.grad), [8, 16, 24])


def test_the_gradient_that_your_op_returned_is_not_changed_by_its_next_walk() -> None:
    Buffered.result = None
    x, z = tensor(START, requires_grad=True), tensor(START, requires_grad=True)
    Buffered()(x).sum().backward()
    (Buffered()(z) * 5.0).sum().backward()
    np.testing.assert_array_equal(host(x.grad), [2, 2, 2])
    np.testing.assert_array_equal(host(z.grad), [10, 10, 10])
    (by_x,) = md.grad(Buffered()(x).sum(), [x])
    Buffered()(z).sum().backward()
    np.testing.assert_array_equal(host(by_x), [2, 2, 2])


def test_what_your_op_saves_of_its_output_is_not_changed_by_a_later_write() -> None:
    class Kept(Function):
        """e^x, which writes into an output that it kept."""

        saves_output = True
        outputs: list[Any] = []  # noqa: RUF012

        def forward(self, x: Any) -> Any:
            for out in Kept.outputs:
                out[...] = 0
            Kept.outputs.append(backend.module_of(x).exp(x))
            return Kept.outputs[-1]

        def backward(self, grad_out: Any, out: Any) -> Any:
            return grad_out * out

    x = tensor(START, requires_grad=True)
    y = Kept()(x)
    Kept()(x)
    y.sum().backward()
    np.testing.assert_allclose(host(x.grad), np.exp(START))


@pytest.mark.parametrize(
    ("returned", "words"),
    [
        (lambda g, x: [g], r"got a? ?list"),
        (lambda g, x: g.sum(), r"got \w+ of shape \(\)"),
        (lambda g, x: g[None], r"got \w+ of shape \(1, 3\)"),
        (lambda g, x: 1.0, r"shape \(3,\) for input 0"),
        (lambda g, x: g * 1j, "of real numbers"),
        (lambda g, x: "dx", "got 'dx'"),
        (lambda g, x: (g, g), "expected 1, got 2"),
    ],
)
def test_what_is_no_gradient_of_the_input_is_told(returned: Any, words: str) -> None:
    x = tensor(START, requires_grad=True)
    with pytest.raises(md.GraphError, match=words) as caught:
        Meddling(in_backward=returned)(x).sum().backward()
    assert "Meddling.backward must return" in str(caught.value)


def test_a_list_of_two_gradients_is_told_to_be_a_tuple() -> None:
    class Both(Function):
        def forward(self, x: Any, y: Any) -> Any:
            return x + y

        def backward(self, grad_out: Any) -> Any:
            return [grad_out, grad_out]

    x, y = tensor(START, requires_grad=True), tensor(START, requires_grad=True)
    with pytest.raises(md.GraphError, match="got a list: return a tuple, grad_0, grad_1"):
        Both()(x, y).sum().backward()


def test_a_number_is_a_gradient_of_a_number() -> None:
    x = tensor(3.0, requires_grad=True)
    Meddling(in_backward=lambda g, x: 2.0)(x).backward()
    assert host(x.grad) == 2.0


@pytest.mark.skipif(backend.current() != "numpy", reason="NumPy's windows")
def test_windows_that_your_op_returns_are_memory_of_its_own_too() -> None:
    x = tensor(START)
    y = Meddling(in_forward=lambda x: np.lib.stride_tricks.sliding_window_view(x, 2))(x)
    x[...] = 0.0
    np.testing.assert_array_equal(host(y), [START[:2], START[1:]])


def test_a_gradient_of_a_derived_class_becomes_a_plain_array_and_a_masked_one_is_refused() -> None:
    class Odd(np.ndarray):
        """As np.matrix."""

    x = tensor(START, requires_grad=True)
    if backend.current() == "numpy":
        Meddling(in_backward=lambda g, x: (g * 2).view(Odd))(x).sum().backward()
        assert type(x.grad.data) is np.ndarray  # type: ignore[union-attr]
        with pytest.raises(md.DTypeError, match="without masked numbers"):
            Meddling(in_backward=lambda g, x: np.ma.masked_array(g, [True, False, False]))(x).sum().backward()


# ---- first mistakes: what is not there, misspelt, not declared, or called otherwise


def bare(**members: Any) -> type[md.Function]:
    """An op of a user's program with these members and no other."""
    return type("Own", (md.Function,), {"__module__": __name__, **members})


DOUBLE: Any = own().forward
PASS: Any = own().backward


@pytest.mark.parametrize("written", ["foward", "Forward", "forwards", "forwrad", "_forward", "fordward"])
def test_a_forward_that_is_missing_or_misspelt(written: str) -> None:
    with pytest.raises(AttributeError, match=r"^Own does not say what it computes: define forward\(self, x\) .*class$"):
        bare(backward=PASS)()(tensor(ANY))
    with pytest.raises(AttributeError, match=rf"define forward\(self, x\) in the class; it has '{written}'$"):
        bare(**{written: DOUBLE}, backward=PASS)()(tensor(ANY))


@pytest.mark.parametrize("written", ["backwards", "Backward", "bakward", "back_ward"])
@pytest.mark.parametrize("create_graph", [True, False])
def test_a_backward_that_is_missing_or_misspelt(written: str, create_graph: bool) -> None:
    x = tensor(ANY, True)
    assert host(bare(forward=DOUBLE)()(x)).tolist() == [2, 4, 6]
    with pytest.raises(AttributeError, match=r"Own does not say its gradient: define backward\(self, grad_out\)"):
        md.grad(bare(forward=DOUBLE)()(x).sum(), x, create_graph=create_graph)
    with pytest.raises(AttributeError, match=f"; it has '{written}'$"):
        md.grad(bare(forward=DOUBLE, **{written: PASS})()(x).sum(), x, create_graph=create_graph)


@pytest.mark.parametrize("create_graph", [True, False])
@pytest.mark.parametrize(
    ("members", "said"),
    [
        (
            {"backward": lambda self, g, x: g * x},
            r"takes \(g, x\), but is handed \(grad_out\): say in the class .*`saves_inputs = True` for the inputs",
        ),
        ({"backward": lambda self, g, x: g * x, "save_input": True}, r"for the output; it has 'save_input'$"),
        (
            {"saves_inputs": True},
            r"takes \(grad_out\), but is handed \(grad_out, x\): the class says saves_inputs = True: take them, or",
        ),
        (
            {"saves_inputs": True, "saves_output": True, "backward": lambda self, g, x: g},
            r"handed \(grad_out, x, output\): the class says saves_inputs = True and saves_output = True",
        ),
        ({"backward": lambda self: 2}, r"takes \(\), but is handed \(grad_out\): define backward\(self, grad_out\)"),
    ],
)
def test_a_backward_that_takes_something_else_than_was_declared(
    members: dict[str, Any], said: str, create_graph: bool
) -> None:
    x = tensor(ANY, True)
    with pytest.raises(TypeError, match=rf"Own\.backward .*{said}"):
        md.grad(own(**members)()(x).sum(), x, create_graph=create_graph)


def test_an_error_inside_of_a_backward_is_not_taken_for_a_wrong_call() -> None:
    def backward(self: md.Function, grad_out: Any) -> Any:
        return len(grad_out, grad_out)  # type: ignore[call-arg]

    with pytest.raises(TypeError, match=r"len\(\) takes exactly one argument"):
        own(backward=backward)()(tensor(ANY, True)).sum().backward()


@pytest.mark.parametrize("create_graph", [True, False])
def test_a_backward_without_return(create_graph: bool) -> None:
    x = tensor(ANY, True)
    with pytest.raises(md.GraphError, match=r"Own\.backward returned None: is its `return` missing\?"):
        md.grad(own(backward=lambda self, grad_out: None)()(x).sum(), x, create_graph=create_graph)
    both = own(forward=lambda self, x, y: x + y, backward=lambda self, grad_out: None)
    with pytest.raises(md.GraphError, match=r"expected 2, got None: is its `return` missing\?"):
        md.grad(both()(x, x).sum(), x, create_graph=create_graph)


def test_too_few_gradients() -> None:
    op = own(forward=lambda self, x, k: x * k)
    with pytest.raises(md.GraphError, match="expected 2, got 1; None stands for an input without one, such as a num"):
        op()(tensor(ANY, True), 3).sum().backward()


def test_an_op_that_is_given_its_inputs_where_its_options_belong() -> None:
    x = tensor(ANY, True)
    product = own(forward=lambda self, x, y: x * y)
    with pytest.raises(TypeError, match=r"Own takes no options; got Tensor, Tensor: .*inputs, Own\(\)\(x, y\)"):
        product(x, x)
    with pytest.raises(TypeError, match=r"Own takes no options; got Tensor: .*, Own\(\)\(x\)"):
        md.gradcheck(own(), [x.astype("float64").detach().requires_grad_()])

    class Scaled(own()):  # type: ignore[misc]
        def __init__(self, factor: float) -> None:
            self.factor = factor

        def forward(self, x: Any) -> Any:
            return x * self.factor

    assert host(Scaled(3)(x)).tolist() == [3, 6, 9]
    assert host(Scaled(factor=3)(x)).tolist() == [3, 6, 9]


@pytest.mark.parametrize(
    ("forward", "inputs", "said"),
    [
        (lambda self, x, y: x, 1, r"^Own\.forward takes \(x, y\); got Tensor of shape \(3,\)"),
        (lambda self, x: x, 2, r"^Own\.forward takes \(x\); got Tensor .*; Tensor "),
        (lambda self, x: x, 0, r"^Own\.forward takes \(x\); got nothing"),
        (lambda x: x, 1, r"^Own\.forward takes \(x\): the first parameter of a method is the op itself"),
        (staticmethod(lambda ctx, x: x), 1, r"^Own\.forward takes \(ctx, x\): .*`saves_inputs = True`"),
        (lambda self, ctx, x: x, 1, r"^Own\.forward takes \(self, ctx, x\): write def forward\(self, x\)"),
    ],
)
def test_a_forward_that_takes_other_inputs_than_came(forward: Any, inputs: int, said: str) -> None:
    with pytest.raises(md.DTypeError, match=said):
        own(forward=forward)()(*[tensor(ANY)] * inputs)


def test_what_a_raw_array_has_not() -> None:
    with pytest.raises(AttributeError, match="sigmoid") as caught:
        own(forward=lambda self, x: x.sigmoid())()(tensor(ANY))
    assert any("in Own.forward, whose arguments are raw arrays" in note for note in caught.value.__notes__)
    with pytest.raises(AttributeError, match="save_for_backward") as caught:
        own(forward=lambda self, x: self.save_for_backward(x))()(tensor(ANY))
    assert any("say `saves_inputs = True`" in note for note in caught.value.__notes__)
