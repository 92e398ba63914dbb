"""md.grad returns gradients and touches nothing; the checks catch ops that are wrong."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import minidl as md
import minidl.functional as F
from minidl.autograd.function import Function
from tests.arrays import device, host, tensor
from tests.pytorch import torch

# ---- md.grad


def test_grad_returns_one_tensor_or_a_tuple_and_touches_no_grad() -> None:
    x, y = tensor([1.0, 2.0], requires_grad=True), tensor([3.0, 4.0], requires_grad=True)
    loss = (x * y).sum()
    assert isinstance(md.grad(loss, x, retain_graph=True), md.Tensor)
    found = md.grad(loss, [y, x])
    assert isinstance(found, tuple)
    np.testing.assert_array_equal(host(found[0]), [1, 2])
    np.testing.assert_array_equal(host(found[1]), [3, 4])
    assert x.grad is None
    assert y.grad is None


def test_grad_by_an_intermediate_tensor() -> None:
    x = tensor([1.0, 2.0], requires_grad=True)
    y = x * 3
    z = y * y
    by_z, by_y, by_x = md.grad(z.sum(), [z, y, x])
    np.testing.assert_array_equal(host(by_z), [1, 1])
    np.testing.assert_array_equal(host(by_y), [6, 12])
    np.testing.assert_array_equal(host(by_x), [18, 36])


def test_grad_of_a_tensor_by_itself() -> None:
    x = tensor(2.0, requires_grad=True)
    y = x * 3
    assert host(md.grad(x, x)) == 1
    assert host(md.grad(y, y)) == 1


def test_grad_of_several_outputs_adds_up() -> None:
    x = tensor([1.0, 2.0], requires_grad=True)
    y = x * x
    total = md.grad([y, x * 5, y.sum()], x, [device([1.0, 0.0]), tensor([1.0, 1.0]), None])
    np.testing.assert_array_equal(host(total), [2 + 5 + 2, 5 + 4])


def test_the_same_input_twice_gives_two_tensors_of_their_own() -> None:
    x = tensor([1.0], requires_grad=True)
    first, second = md.grad((x * 2).sum(), [x, x])
    first[...] = 9.0
    assert host(second) == [2]


def test_an_unused_input() -> None:
    x, y = tensor([1.0], requires_grad=True), tensor([1.0], requires_grad=True)
    y.name = "bias"
    with pytest.raises(md.GraphError, match=r"do not depend on Tensor 'bias'.*allow_unused"):
        md.grad(x * 2, [x, y])
    found = md.grad(x * 2, [x, y], allow_unused=True)
    assert found[1] is None


def test_an_input_that_requires_no_gradient() -> None:
    x, y = tensor([1.0], requires_grad=True), tensor([1.0])
    with pytest.raises(md.GraphError, match="does not require a gradient; set requires_grad before the forward"):
        md.grad(x * y, y)


@pytest.mark.parametrize("given", [[None], [None, None, None]])
def test_grad_outputs_must_be_as_many_as_outputs(given: list[None]) -> None:
    x = tensor([1.0], requires_grad=True)
    with pytest.raises(md.GraphError, match="one entry in grad_outputs for each of 2 outputs"):
        md.grad([x * 2, x * 3], x, given)
    with pytest.raises(md.GraphError, match="one entry in grad_outputs for each of 2 outputs"):
        md.grad([x * 2, x * 3], x, device([1.0]))


def test_a_part_of_the_graph_leaves_the_rest_alone() -> None:
    seen = []
    x, w, other = (tensor([v], requires_grad=True) for v in (1.0, 2.0, 3.0))
    hidden = x * w
    hidden.retain_grad()
    w.register_hook(lambda grad: seen.append("w"))
    other.register_hook(lambda grad: seen.append("other"))
    x.register_hook(lambda grad: seen.append("x"))
    loss = hidden * other
    assert host(md.grad(loss, x, retain_graph=True)) == [6]
    assert seen == ["x"]
    assert [t.grad for t in (x, w, other, hidden)] == [None] * 4
    loss.backward()
    assert [float(host(t.grad)[0]) for t in (x, w, other, hidden)] == [6, 3, 2, 3]


def test_only_what_leads_to_the_inputs_is_walked() -> None:
    class Trap(Function):
        def forward(self, x: Any) -> Any:
            return x * 1

        def backward(self, grad_out: Any) -> Any:
            raise AssertionError("this branch does not lead to the input")

    x, y = tensor([1.0], requires_grad=True), tensor([1.0], requires_grad=True)
    before = x * 2
    assert host(md.grad(before * 3 + Trap()(y) + Trap()(before.detach().requires_grad_()), before)) == [3]
    assert host(md.grad((Trap()(x) * 2).sum() + y, y)) == [1]


def test_grad_frees_what_it_walked_unless_told_to_retain() -> None:
    x = tensor([1.0], requires_grad=True)
    y = F.exp(x)
    md.grad(y, x, retain_graph=True)
    md.grad(y, x)
    with pytest.raises(md.GraphError, match="freed"):
        md.grad(y, x)


# ---- higher derivatives


def test_third_derivatives() -> None:
    x = tensor([0.5, 1.5], requires_grad=True)
    y = (x**4 * F.exp(x)).sum()
    for _ in range(3):
        slope = md.grad(y, x, create_graph=True)
        y = slope.sum()
    v = host(x)
    np.testing.assert_allclose(host(slope), np.exp(v) * (v**4 + 12 * v**3 + 36 * v**2 + 24 * v))


def test_third_derivatives_of_a_network_agree_with_pytorch() -> None:
    rng = np.random.default_rng(0)
    w0, x0, v0 = rng.standard_normal((3, 3)), rng.standard_normal((2, 3)), rng.standard_normal((3, 3))
    w, t = tensor(w0, requires_grad=True), torch.tensor(w0, requires_grad=True)
    y = F.logsumexp(F.tanh(tensor(x0) @ w) * F.sigmoid(tensor(x0) @ w))
    z = torch.logsumexp((torch.tanh(torch.tensor(x0) @ t) * torch.sigmoid(torch.tensor(x0) @ t)).reshape(-1), 0)
    for _ in range(3):
        ours = md.grad(y, w, create_graph=True)
        (theirs,) = torch.autograd.grad(z, t, create_graph=True)
        np.testing.assert_allclose(host(ours), theirs.detach().numpy(), atol=1e-10)
        y, z = (ours * tensor(v0)).sum(), (theirs * torch.tensor(v0)).sum()


def test_backward_with_create_graph_leaves_a_grad_with_history() -> None:
    x = tensor([2.0], requires_grad=True)
    (x**3).backward(create_graph=True)
    slope = x.grad
    x.grad = None
    (slope * slope).backward()
    assert host(x.grad) == [2 * 12 * 12]


def test_a_gradient_penalty() -> None:
    w0 = np.array([[0.3, -0.2], [0.5, 0.1]])
    w, t = tensor(w0, requires_grad=True), torch.tensor(w0, requires_grad=True)
    x, s = tensor([1.0, 2.0], requires_grad=True), torch.tensor([1.0, 2.0], dtype=torch.float64, requires_grad=True)
    slope = md.grad(F.tanh(x @ w).sum(), x, create_graph=True)
    ((slope * slope).sum() - 1).backward()
    (theirs,) = torch.autograd.grad(torch.tanh(s @ t).sum(), s, create_graph=True)
    ((theirs * theirs).sum() - 1).backward()
    np.testing.assert_allclose(host(w.grad), t.grad.numpy())
    np.testing.assert_allclose(host(x.grad), s.grad.numpy())


# ---- gradcheck and gradgradcheck


class Square(Function):
    """x^2, right."""

    saves_inputs = True

    def forward(self, x: Any) -> Any:
        return x * x

    def backward(self, grad_out: Any, x: Any) -> Any:
        return grad_out * 2 * x


class WrongSquare(Square):
    """x^2 with a slope one percent too large."""

    def backward(self, grad_out: Any, x: Any) -> Any:
        return grad_out * 2.02 * x


class LateWrongSquare(Square):
    """x^2, wrong only where x > 1."""

    def backward(self, grad_out: Any, x: Any) -> Any:
        return grad_out * F.where(x > 1, 0 * x, 2 * x)


class KeepsArray(Square):
    """x^2 that keeps x on self, which the second derivative then takes for a constant."""

    saves_inputs = False

    def forward(self, x: Any) -> Any:
        self.kept = x
        return x * x

    def backward(self, grad_out: Any) -> Any:
        return grad_out * (2 * self.kept)


class NanSquare(Square):
    """x^2 whose slope is NaN."""

    def backward(self, grad_out: Any, x: Any) -> Any:
        return grad_out * x * np.nan


def apply(op: type[Function]) -> Any:
    def function(x: md.Tensor) -> md.Tensor:
        return op()(x)

    return function


def test_gradcheck_passes_what_is_right() -> None:
    x = tensor([[0.5, 1.5]], requires_grad=True)
    assert md.gradcheck(apply(Square), [x])
    assert md.gradgradcheck(apply(Square), [x])
    assert md.gradcheck(lambda a, b, c: (a @ b * c).sum(), [x, tensor([[1.0], [2.0]], requires_grad=True), 3.0])
    assert md.gradcheck(F.exp, [tensor(0.5, requires_grad=True)])


@pytest.mark.parametrize("op", [WrongSquare, LateWrongSquare, NanSquare])
def test_gradcheck_catches_a_wrong_backward(op: type[Function]) -> None:
    x = tensor([0.5, 1.5], requires_grad=True)
    with pytest.raises(
        md.GraphError, match=r"d output\[\d\] / d input 0\[\d\]: backward says .* finite differences say"
    ):
        md.gradcheck(apply(op), [x])


def test_gradcheck_catches_a_gradient_that_is_missing() -> None:
    x = tensor([0.5, 1.5], requires_grad=True)
    with pytest.raises(md.GraphError, match=r"d input 0\[0\]: backward says 2, finite differences say 3"):
        md.gradcheck(lambda t: t * 2 + t.detach(), [x])


def test_gradgradcheck_catches_an_op_that_keeps_a_differentiable_array() -> None:
    x = tensor([0.5, 1.5], requires_grad=True)
    assert md.gradcheck(apply(KeepsArray), [x])  # the first derivative is right
    with pytest.raises(md.GraphError, match="finite differences say"):
        md.gradgradcheck(apply(KeepsArray), [x])


def test_gradcheck_puts_everything_back() -> None:
    x = tensor([0.5, 1.5], requires_grad=True)
    array, before = x._data, host(x)
    md.gradcheck(apply(Square), [x])
    with pytest.raises(ZeroDivisionError):
        md.gradcheck(lambda t: t * (1 / 0), [x])
    assert x._data is array
    np.testing.assert_array_equal(host(x), before)
    assert x.grad is None


def test_gradcheck_needs_float64_and_something_to_check() -> None:
    with pytest.raises(md.DTypeError, match=r"expected float64 inputs; input 0 is .*float32"):
        md.gradcheck(F.exp, [tensor(np.ones(2, np.float32), requires_grad=True)])
    with pytest.raises(md.GraphError, match="none of the inputs requires a gradient"):
        md.gradcheck(F.exp, [tensor([1.0])])


# ---- gradients that are constant


@pytest.mark.parametrize(
    "function",
    [
        F.relu,
        F.abs,
        F.hardtanh,
        lambda t: t * 3,
        lambda t: F.max_pool1d(t.reshape(1, 1, -1), 2),
        lambda t: F.l1_loss(t, [0.0, 1.0, 2.0, 3.0]),
    ],
)
def test_the_derivative_of_a_constant_gradient_is_zero(function) -> None:
    x = tensor([-1.0, 2.0, 0.5, -3.0], requires_grad=True)
    slope = md.grad(function(x).sum(), x, create_graph=True)
    assert slope.requires_grad
    slope.sum().backward()
    np.testing.assert_array_equal(host(x.grad), np.zeros(4))
    inner = x * 1
    curvature = md.grad(md.grad(function(inner).sum(), inner, create_graph=True).sum(), inner, create_graph=True)
    np.testing.assert_array_equal(host(md.grad(curvature.sum(), x)), np.zeros(4))


def test_a_penalty_on_a_gradient_that_does_not_depend_on_the_input_still_reaches_the_weights() -> None:
    x, w = tensor([1.0, -2.0], requires_grad=True), tensor([3.0, 4.0], requires_grad=True)
    slopes = md.grad((x * w).sum(), [x, w], create_graph=True)
    (slopes[0] ** 2).sum().backward()
    np.testing.assert_array_equal(host(w.grad), [6, 8])


def test_gradcheck_takes_one_tensor_or_anything_to_go_through() -> None:
    x = tensor([1.0, -2.0], requires_grad=True)
    for check in (md.gradcheck, md.gradgradcheck):
        assert check(lambda a: a * a * a, x)
        assert check(lambda a, b: a * b * b, (x, x.detach().requires_grad_()))
        assert check(lambda a, b: a * b * b, (t for t in (x, x.detach())))


@pytest.mark.parametrize("check", [md.gradcheck, md.gradgradcheck])
@pytest.mark.parametrize(
    ("function", "words"),
    [
        (lambda x: (x, x * x), r"that returns one Tensor; got tuple\. Check them one by one: lambda \*x: function"),
        (lambda x: [x * x], r"that returns one Tensor; got list\. Check them one by one"),
        (lambda x: host(x), r"that returns one Tensor; got ndarray .*Is it made by ops of Tensors\?"),
        (lambda x: x.sum().item(), "that returns one Tensor; got "),
        (lambda x: None, "that returns one Tensor; got None"),
        (tensor(1.0), "of the inputs, such as lambda x: x . x; got Tensor"),
        (None, "of the inputs, such as lambda x: x . x; got None"),
    ],
)
def test_what_gradcheck_cannot_check_is_said(check: Any, function: Any, words: str) -> None:
    x = tensor([1.0, -2.0], requires_grad=True)
    with pytest.raises(md.DTypeError, match=f"{check.__name__}: expected a function {words}"):
        check(function, [x])


@pytest.mark.parametrize("check", [md.gradcheck, md.gradgradcheck])
@pytest.mark.parametrize("inputs", [np.ones(2), 3.0, None, {"x": 1}])
def test_gradchecks_inputs_are_tensors(check: Any, inputs: Any) -> None:
    with pytest.raises(md.DTypeError, match=f"{check.__name__}: expected the inputs as one Tensor or a list"):
        check(F.exp, inputs)
    with pytest.raises(md.GraphError, match=r"none of the inputs requires a gradient: .*requires_grad=True"):
        check(F.exp, tensor([1.0]))


@pytest.mark.parametrize("wrong", [3.0, None, np.ones(2), "x"])
def test_grad_says_which_of_its_arguments_is_no_tensor(wrong: Any) -> None:
    x = tensor([1.0, -2.0], requires_grad=True)
    for outputs, inputs, words in [
        (wrong, x, "outputs as a Tensor or several; got"),
        ([(x * x).sum(), wrong], x, "outputs as a Tensor or several; entry 1 is"),
        ((x * x).sum(), wrong, "inputs as a Tensor or several; got"),
        ((x * x).sum(), [wrong], "inputs as a Tensor or several; entry 0 is"),
    ]:
        with pytest.raises(md.DTypeError, match=f"grad: expected {words}"):
            md.grad(outputs, inputs)


PIECEWISE_LINEAR = {
    "identity": lambda t: t,
    "relu": F.relu,
    "leaky_relu": F.leaky_relu,
    "prelu": lambda t: F.prelu(t, tensor(np.full(4, 0.25), True)),
    "hardtanh": F.hardtanh,
    "abs": F.abs,
    "sign": F.sign,
    "maximum": lambda t: F.maximum(t, 0.1),
    "minimum": lambda t: F.minimum(t, -t / 2),
    "clip": lambda t: F.clip(t, -0.5, 0.5),
    "where": lambda t: F.where(t > 0, t, 2 * t),
    "max": lambda t: F.max(t, axis=1, keepdims=True),
    "min": lambda t: F.min(t, axis=1, keepdims=True),
    "max_pool": lambda t: F.max_pool1d(t.reshape(5, 1, 4), 2),
    "avg_pool": lambda t: F.avg_pool1d(t.reshape(5, 1, 4), 2),
    "norm of order 1": lambda t: F.norm(t, 1, axis=1),
    "norm of order inf": lambda t: F.norm(t, np.inf, axis=1),
    "hinge_loss": lambda t: F.hinge_loss(t, device(np.ones((5, 4))), reduction="none"),
    "l1_loss": lambda t: F.l1_loss(t, device(np.zeros((5, 4))), reduction="none"),
    "dropout": F.dropout,
    "conv": lambda t: F.conv1d(t.reshape(5, 1, 4), tensor(np.ones((2, 1, 2)), True)),
    "embedding": lambda t: t[[0, 0, 3]],
    "cumsum": lambda t: F.cumsum(t, 1),
}


@pytest.mark.parametrize("function", PIECEWISE_LINEAR.values(), ids=PIECEWISE_LINEAR)
def test_the_second_derivative_of_a_piecewise_linear_network_is_zero(function) -> None:
    """Its gradient by the input depends on the weights, and on no input."""
    rng = np.random.default_rng(0)
    x, weight, bias = (tensor(rng.standard_normal(shape), True) for shape in ((5, 3), (4, 3), (4,)))
    y = (function(F.linear(x, weight, bias)) * 3).sum()
    by_x, by_bias = md.grad(y, [x, bias], create_graph=True)
    for slope in (by_x, by_bias):
        for second in md.grad(slope.sum(), [x, bias], create_graph=True):
            np.testing.assert_array_equal(host(second), 0)
            for third in md.grad(second.sum(), [x, bias]):
                np.testing.assert_array_equal(host(third), 0)


def test_a_constant_link_takes_nothing_from_the_other_derivatives() -> None:
    x, w = tensor([1.0, -2.0], True), tensor([3.0, 4.0], True)
    slope = md.grad(F.relu(x * w).sum(), x, create_graph=True)  # w where x w > 0
    by_x, by_w = md.grad((slope**2).sum(), [x, w])
    np.testing.assert_array_equal(host(by_x), [0, 0])
    np.testing.assert_array_equal(host(by_w), [6, 0])


def test_a_gradient_that_depends_on_its_input_gets_no_further_op() -> None:
    x = tensor([1.0, 2.0], True)
    slope = md.grad((x**3).sum(), x, create_graph=True)
    assert type(slope._op).__name__ != "Constant"


def test_an_input_that_the_outputs_do_not_depend_on_is_an_error_all_the_same() -> None:
    x, other = tensor([1.0], True), tensor([1.0], True)
    slope = md.grad((x * 2).sum(), x, create_graph=True)
    with pytest.raises(md.GraphError, match="do not depend on"):
        md.grad(slope.sum(), other)


# ---- first mistakes


@pytest.mark.parametrize(
    "function",
    [
        lambda x: F.dropout(x, 0.5),
        lambda x: x + md.randn(*x.shape),
        lambda x: x * md.rand(*x.shape),
    ],
    ids=["dropout", "noise", "a random factor"],
)
@pytest.mark.parametrize("check", [md.gradcheck, md.gradgradcheck])
def test_a_random_function_is_said_to_be_random(check: Any, function: Any) -> None:
    x = tensor([1.0, 2.0, 3.0], requires_grad=True)
    with pytest.raises(md.GraphError, match=r"the function is random: .*md\.seed\(0\)"):
        check(lambda x: function(x * x) ** 2, [x])


def test_a_random_function_that_begins_with_a_seed_can_be_checked() -> None:
    def seeded(x: Any) -> Any:
        md.seed(0)
        return F.dropout(x * x, 0.5)

    assert md.gradcheck(seeded, tensor([1.0, 2.0, 3.0], requires_grad=True))


@pytest.mark.parametrize("check", [md.gradcheck, md.gradgradcheck])
def test_inputs_one_by_one_instead_of_in_a_list(check: Any) -> None:
    x, y = tensor([1.0], requires_grad=True), tensor([2.0], requires_grad=True)
    with pytest.raises(md.DTypeError, match=rf"several inputs in a list, {check.__name__}\(function, \[x, y\]\)"):
        check(lambda x, y: x * y, x, y)
    with pytest.raises(ValueError, match=rf"{check.__name__}: eps: expected a number above 0; got 0"):
        check(F.exp, x, eps=0)


@pytest.mark.parametrize("check", [md.gradcheck, md.gradgradcheck])
def test_a_function_of_more_inputs_than_it_is_given(check: Any) -> None:
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'b'") as caught:
        check(lambda a, b: a * b, [tensor([1.0], requires_grad=True)])
    assert caught.value.__notes__[0].startswith(f"{check.__name__} called it with the 1 inputs: Tensor of shape (1,)")


def test_float32_says_how_float64_is_made() -> None:
    with pytest.raises(md.DTypeError, match=r"input 0 is .*float32.*dtype='float64'.*model\.to\(dtype='float64'\)"):
        md.gradcheck(F.exp, md.tensor([1.0], requires_grad=True))


def test_what_an_op_keeps_is_said_where_the_second_derivative_is_wrong() -> None:
    with pytest.raises(md.GraphError, match="backward says 0") as caught:
        md.gradgradcheck(apply(KeepsArray), [tensor([1.0], requires_grad=True)])
    assert "keeps on self counts as a constant. Declare it instead" in caught.value.__notes__[-1]


def test_grad_with_its_arguments_exchanged() -> None:
    x = tensor([1.0, 2.0], requires_grad=True)
    with pytest.raises(md.GraphError, match=r"grad: the order is grad\(outputs, inputs\): no op made Tensor"):
        md.grad(x, (x * x).sum())


def test_grad_by_a_model_or_of_a_function() -> None:
    x, model = tensor([1.0, 2.0], requires_grad=True), md.nn.Linear(2, 1)
    with pytest.raises(md.DTypeError, match=r"got a model, Linear: give its parameters\(\)"):
        md.grad((x * x).sum(), model)
    with pytest.raises(md.DTypeError, match=r"got function: call it, or differentiate it by md\.jacobian"):
        md.grad(lambda x: x * x, x)
