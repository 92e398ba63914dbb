"""`md.detect_anomaly` stops where the first NaN or infinity is born, and says where, of what, and in whose line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minidl as md
import minidl.functional as F
from minidl import nn
from minidl.autograd.hooks import after_step, before_step
from minidl.autograd.modes import OBSERVED, mode
from minidl.autograd.observing import Observer, leave, observe
from tests.arrays import device, host, tensor

INF = float("inf")


def floats(*values: Any, grad: bool = True, dtype: Any = np.float32) -> md.Tensor:
    return tensor(np.array(values, dtype), requires_grad=grad)


def error_of(action: Callable[[], Any]) -> str:
    with md.detect_anomaly(), pytest.raises(md.GraphError) as caught:
        action()
    return str(caught.value)


# ---- born in the forward


def test_the_log_of_0_is_named_with_op_shapes_place_and_line() -> None:
    x = tensor(np.ones((3, 4), np.float32), requires_grad=True)
    x.name = "pixels"
    x.data[0, 3] = 0.0
    with md.detect_anomaly(), pytest.raises(md.GraphError) as caught:
        F.log(x)  # the culprit
    said = str(caught.value)
    assert "Log produced NaN or infinity from finite numbers: log of 0; input 0 has 1 zero" in said
    assert "1 of its 12 numbers, first -inf at (0, 3), from 0" in said
    assert "Tensor 'pixels' of shape (3, 4), float32" in said
    assert "F.log(x)  # the culprit" in said.splitlines()[-1]
    assert __file__ in said.splitlines()[-1]


@pytest.mark.parametrize(
    ("action", "words"),
    [
        (lambda: floats(1, 2) / floats(0, 1), "Div .*division by 0; input 1 has 1 zero"),
        (lambda: F.sqrt(floats(-4)), "square root of a negative number; input 0 has 1 negative number"),
        (lambda: F.log1p(floats(-1, -1)), "log of 0"),
        (lambda: floats(0, 1) ** -1, "0 to a negative power"),
        (lambda: floats(-1, 1) ** floats(0.5, 1), "a negative number to a power that is not whole"),
        (lambda: F.exp(floats(1, 12, dtype=np.float16)), "too large for float16, which ends at 65504"),
        (lambda: floats(1e10).astype("float16"), "Cast .*too large for float16"),
        (lambda: floats(3e38, 3e38).sum(), "Sum .*too large for float32.*\n.*inf.\nIt was given .* all 3e"),
        (lambda: F.sqrt(md.tensor(-1.0)), "nan, from -1"),
        (lambda: F.mean(floats()), "of no numbers"),
    ],
)
def test_what_went_wrong_is_said_in_the_words_of_a_textbook(action: Callable[[], Any], words: str) -> None:
    with md.detect_anomaly(), pytest.raises(md.GraphError, match=words):
        action()
    with md.detect_anomaly(), md.no_grad(), pytest.raises(md.GraphError, match=words):
        action()


class Ratio(md.Function):
    """An op of the user's own."""

    def forward(self, x: Any, y: Any) -> Any:
        return x / y

    def backward(self, grad_out: Any) -> Any:
        return grad_out, None


def test_an_op_of_ones_own_is_named_too() -> None:
    assert "Ratio produced NaN" in error_of(lambda: Ratio()(floats(1), floats(0)))


class Steps(nn.Module):
    def __init__(this) -> None:  # noqa: N805 - whatever the first argument is called
        super().__init__()
        this.inner = Root()

    def forward(this, x: Any) -> Any:  # noqa: N805
        return this.inner(x * 0)


class Root(nn.Module):
    def forward(self, x: Any) -> Any:
        return F.sqrt(x)


def test_the_layer_is_named() -> None:
    assert "Log in layer 'inner'" in error_of(lambda: Logs()(floats(1)))
    assert "backward of Sqrt in layer 'inner'" in error_of(lambda: Steps()(floats(1)).sum().backward())


class Logs(Steps):
    def __init__(this) -> None:  # noqa: N805
        super().__init__()
        this.inner = Log()


class Log(nn.Module):
    def forward(self, x: Any) -> Any:
        return F.log(x)


# ---- who is not accused


@pytest.mark.parametrize(
    "action",
    [
        lambda: F.where(device([True, False]), floats(1, 2), -INF),
        lambda: F.pad(floats(1, 2), 1, constant_values=-INF),
        lambda: floats(1, 2) * device(np.array([INF, 1], np.float32)),
        lambda: F.clip(floats(1, 2), -INF, INF),
        lambda: F.softmax(floats(1, -INF)).sum().backward(),
        lambda: F.scaled_dot_product_attention(*[md.randn(1, 3, 4)] * 3, is_causal=True),
        lambda: floats(1.5).astype("int64"),
        lambda: F.max(floats(1, INF)),
        lambda: F.norm(floats(0, 0)).backward(),
    ],
)
def test_infinity_that_was_asked_for_is_none(action: Callable[[], Any]) -> None:
    with md.detect_anomaly():
        action()


class Root2(md.Function):
    """sqrt(x), with a gradient of 0 at 0, whose backward divides by 0 on its way."""

    saves_output = True

    def forward(self, x: Any) -> Any:
        return x**0.5

    def backward(self, grad_out: Any, out: Any) -> Any:
        return F.where(out > 0, grad_out / (2 * out), 0.0)


def test_what_a_backward_masks_on_its_way_is_none() -> None:
    x = floats(0, 4)
    with md.detect_anomaly():
        Root2()(x).sum().backward()
        first = md.grad(Root2()(x).sum(), x, create_graph=True)
    np.testing.assert_allclose(host(x.grad), [0, 0.25], rtol=1e-6)  # CuPy's x ** 0.5 may be a unit off
    np.testing.assert_allclose(host(first), [0, 0.25], rtol=1e-6)


# ---- born in the backward


@pytest.mark.parametrize("create_graph", [False, True])
def test_a_backward_that_makes_infinity_is_named_with_the_numbers_it_saw(create_graph: bool) -> None:
    x = floats(4, 0)
    said = error_of(lambda: F.sqrt(x).sum().backward(create_graph=create_graph))
    assert "backward of Sqrt produced NaN or infinity in the gradient of input 0" in said
    assert "1 of its 2 numbers, first inf at (1,), where the incoming gradient is 1, its output is 0" in said
    assert "F.sqrt(x)" in said


def test_gradients_that_overflow_when_they_are_added_up() -> None:
    h = floats(0.25, dtype=np.float16) * 1
    said = error_of(lambda: F.sum(h * np.float16(40000) + h * np.float16(40000)).backward())
    assert "the gradient of the output of Mul turned NaN or infinite where the gradients from several ops" in said


def test_a_hook_that_returns_nan() -> None:
    h = floats(1) * 1
    h.register_hook(lambda grad: grad * float("nan"))
    assert "or changed by a hook" in error_of((h * 2).sum().backward)


# ---- the loss


def test_a_loss_that_is_nan_since_its_input_was() -> None:
    x = floats(1, float("nan"), grad=False)
    w = floats(1, 1)
    said = error_of(lambda: (w * x).mean().backward())
    assert "backward() was called on a loss that is nan" in said
    assert "It came in from outside: input 1, Tensor of shape (2,)" in said
    assert "1 of its 2 numbers, first nan at (1,)" in said
    assert "(w * x).mean()" in said


# ---- the update


@pytest.mark.filterwarnings("ignore:overflow")  # of NumPy's, where there is one
def test_a_step_that_overflows_a_weight() -> None:
    w = floats(1e30, 1)
    optimizer = md.optim.SGD([w], lr=1e20)
    w.grad = floats(1e30, 1, grad=False)
    said = error_of(optimizer.step)
    assert "the step of SGD made parameter 'parameter0' NaN or infinite, 1 of its 2 numbers, first -inf at (0,)" in said
    assert "Its gradient there is 1e+30, the largest of all 1e+30; lr is 1e+20" in said
    assert "It was called at" in said


def test_a_gradient_that_held_nan_is_blamed_for_the_weight() -> None:
    w = floats(1, 1)
    optimizer = md.optim.Adam([w], lr=0.1)
    w.grad = floats(1, float("nan"), grad=False)
    assert "Its gradient held NaN or infinity, 1 of its 2 numbers, first nan at (1,)" in error_of(optimizer.step)


def test_a_weight_that_was_nan_before_is_nobodys_fault_and_steps_outside_are_not_looked_at() -> None:
    w = floats(float("nan"), 1)
    optimizer = md.optim.SGD([w], lr=0.1)
    w.grad = floats(1, 1, grad=False)
    with md.detect_anomaly():
        optimizer.step()
        with md.detect_anomaly():
            pass
        assert before_step
    assert not before_step
    assert not after_step
    w.grad = floats(1, float("nan"), grad=False)
    optimizer.step()


# ---- the mode


def test_an_observer_that_came_inside_a_block_stays_and_leaves_no_trace() -> None:
    seen: list[str] = []

    class Names(Observer):
        def before_forward(self, op: Any, inputs: tuple[Any, ...]) -> None:
            seen.append(op.plain.__name__)

    names = Names()
    with md.detect_anomaly(), md.plain():
        observe(names)
    floats(1) * 2
    with md.no_grad():
        leave(names)
    floats(1) + 2
    assert seen == ["Mul"]
    assert not mode.get() & OBSERVED


def test_a_number_that_is_infinite_is_named_once() -> None:
    w = md.tensor([1.0], requires_grad=True)
    with md.detect_anomaly():
        loss = (w * float("inf")).sum()
        with pytest.raises(md.GraphError, match="outside: input 1 is the number inf"):
            loss.backward()
        with pytest.raises(md.GraphError, match="input 1: 1e\\+30\\.\n"):
            w * 1e30 * 1e30
