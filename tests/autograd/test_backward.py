"""The walk: each node once, in the right order, at any depth; what it leaves behind and what it refuses."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

import minidl as md
import minidl.functional as F
from minidl import backend
from minidl.autograd.function import Function
from minidl.fast.versions import _all as registered
from tests.arrays import device, host, tensor
from tests.autograd.test_function import OPS
from tests.pytorch import torch
from tests.threads import run_together

LIBRARY = str(Path(md.__file__).parent)


def shares_memory(a: Any, b: Any) -> bool:
    """Whether two Tensors or raw arrays of the backend under test overlap.

    By their first and last addresses: CuPy 14's `shares_memory` says yes of any two arrays without axes.
    """
    a, b = (x._data if isinstance(x, md.Tensor) else x for x in (a, b))
    return bool(backend.module_of(a).may_share_memory(a, b))


# ---- a short stack


def library_frames(frame: FrameType) -> list[str]:
    """The names of the library's frames from `frame` out to the first that is not the library's."""
    names = []
    step: FrameType | None = frame
    while step is not None and step.f_code.co_filename.startswith(LIBRARY):
        names.append(step.f_code.co_name)
        step = step.f_back
    return names


def test_at_most_three_frames_from_loss_backward_to_the_ops_backward() -> None:
    codes = {op.backward.__code__ for op in (*OPS, *registered) if hasattr(op, "backward")}
    stacks: dict[str, list[str]] = {}

    def profile(frame: FrameType, event: str, argument: Any) -> None:
        if event == "call" and frame.f_code in codes:
            stacks.setdefault(frame.f_locals["self"].plain.__name__, library_frames(frame))

    x = tensor(np.arange(1.0, 7.0).reshape(2, 3), requires_grad=True)
    w = tensor(np.ones((2, 3)), requires_grad=True)
    loss = F.cross_entropy(F.linear(F.relu(F.sigmoid(x * w) + F.exp(-x / w)), w), md.Tensor(device(np.array([0, 1]))))
    loss = loss + F.max_pool2d(F.conv2d(x.reshape(1, 1, 2, 3), w.reshape(1, 1, 2, 3)), 1).sum() + (x @ w.T).var()
    sys.setprofile(profile)
    try:
        loss.backward()
    finally:
        sys.setprofile(None)
    assert stacks.pop("Mul") == ["backward", "run", "backward"]
    assert {"Linear", "Conv", "MatMul", "ReLU"} <= set(stacks)
    assert {"CrossEntropy", "GeneralCrossEntropy"} & set(stacks)  # the second on a GPU, where labels are not looked at
    # The ops that an op's backward itself calls do not run a backward of their own.
    assert all(names == ["backward", "run", "backward"] for names in stacks.values()), stacks


# ---- shared nodes


def test_x_times_x() -> None:
    x = tensor([3.0], requires_grad=True)
    (x * x).backward()
    assert host(x.grad) == [6]


def test_a_diamond_is_walked_once_at_each_node() -> None:
    visits = []

    class Noted(Function):
        def forward(self, x: Any) -> Any:
            return x * 1

        def backward(self, grad_out: Any) -> Any:
            visits.append(float(host(grad_out)[0]))
            return grad_out

    x = tensor([2.0], requires_grad=True)
    y = Noted()(x)
    (y * y + y * 3 + (y + y)).backward()
    assert visits == [4 + 3 + 2]
    assert host(x.grad) == [9]


def test_a_ladder_of_diamonds_takes_linear_time() -> None:
    x = tensor([1.0], requires_grad=True)
    y = x
    for _ in range(60):  # 2**60 paths
        y = y + y
    y.backward()
    assert host(x.grad) == [2.0**60]


def test_a_tensor_in_two_losses_gets_both_gradients() -> None:
    x = tensor([1.0, 2.0], requires_grad=True)
    (x * 3).sum().backward()
    (x * x).sum().backward()
    np.testing.assert_array_equal(host(x.grad), [3 + 2, 3 + 4])


def test_a_shared_part_of_two_losses_needs_retain_graph() -> None:
    x = tensor([1.0, 2.0], requires_grad=True)
    shared = x * x
    first, second = shared.sum(), (shared * 2).sum()
    first.backward(retain_graph=True)
    second.backward()
    np.testing.assert_array_equal(host(x.grad), [2 + 4, 4 + 8])


def test_the_output_may_be_a_leaf() -> None:
    x = tensor(3.0, requires_grad=True)
    x.backward()
    x.backward(device(2.0))
    assert host(x.grad) == 3


def test_adding_up_over_backwards_makes_a_new_array() -> None:
    x = tensor([1.0], requires_grad=True)
    (x * 2).backward()
    first = x.grad
    (x * 2).backward()
    assert host(first) == [2]
    assert host(x.grad) == [4]


BINARY: list[tuple[Callable[[Any, Any], Any], Callable[[Any, Any], Any]]] = [
    (lambda a, b: a + b, lambda a, b: a + b),
    (lambda a, b: a - b, lambda a, b: a - b),
    (lambda a, b: a * b, lambda a, b: a * b),
    (lambda a, b: F.maximum(a, b), torch.maximum),
    (lambda a, b: a * b.mean(), lambda a, b: a * b.mean()),
    (lambda a, b: a / (b * b + 1), lambda a, b: a / (b * b + 1)),
]
UNARY: list[tuple[Callable[[Any], Any], Callable[[Any], Any]]] = [
    (F.tanh, torch.tanh),
    (F.sigmoid, torch.sigmoid),
    (lambda a: -a, lambda a: -a),
    (lambda a: a[::2].sum() + a, lambda a: a[::2].sum() + a),
    (lambda a: a.reshape(2, 2).T.reshape(4), lambda a: a.reshape(2, 2).T.reshape(4)),
    (F.softmax, lambda a: torch.softmax(a, -1)),
]


@given(
    steps=st.lists(
        st.tuples(st.booleans(), st.integers(0, 5), st.integers(0, 100), st.integers(0, 100)), min_size=1, max_size=25
    ),
    seed=st.integers(0, 2**31),
)
@settings(max_examples=80, deadline=None)
def test_random_graphs_agree_with_pytorch(steps: list[tuple[bool, int, int, int]], seed: int) -> None:
    starts = np.random.default_rng(seed).standard_normal((3, 4))
    ours = [tensor(start, requires_grad=True) for start in starts]
    theirs = [torch.tensor(start, requires_grad=True) for start in starts]
    for binary, op, i, j in steps:
        i, j = i % len(ours), j % len(ours)
        if binary:
            ours.append(BINARY[op][0](ours[i], ours[j]))
            theirs.append(BINARY[op][1](theirs[i], theirs[j]))
        else:
            ours.append(UNARY[op][0](ours[i]))
            theirs.append(UNARY[op][1](theirs[i]))
    # Some values are left unused, the last two make the loss.
    (ours[-1] * ours[-2]).sum().backward()
    (theirs[-1] * theirs[-2]).sum().backward()
    for x, t in zip(ours[:3], theirs[:3], strict=True):
        if t.grad is None:
            assert x.grad is None
        else:
            np.testing.assert_allclose(host(x.grad), t.grad.numpy(), rtol=1e-9, atol=1e-9)


# ---- depth


def test_100_000_ops_deep() -> None:
    x = tensor([1.0], requires_grad=True)
    y = x
    for _ in range(50_000):
        y = y * 1.0 + 1.0
    y.backward()
    assert host(y) == [50_001]
    assert host(x.grad) == [1]


def test_a_deep_graph_is_dropped_without_a_backward() -> None:
    x = tensor([1.0], requires_grad=True)
    y = x
    for _ in range(300_000):
        y = y + 1.0
    del y  # a recursive release would overflow the C stack
    assert sys.getrefcount(x) < 10


# ---- freed graphs


def test_a_second_backward_says_that_the_graph_was_freed() -> None:
    x = tensor([1.0], requires_grad=True)
    loss = (x * 2).sum()
    loss.backward()
    with pytest.raises(md.GraphError, match=r"already walked and freed.*retain_graph=True.*detach\(\)"):
        loss.backward()
    assert host(x.grad) == [2]


def test_a_loss_that_reaches_into_a_freed_graph_says_so_and_leaves_no_gradient() -> None:
    x = tensor([1.0], requires_grad=True)
    hidden = x * 2
    (hidden * 3).backward()
    x.grad = None
    with pytest.raises(md.GraphError, match=r"Mul: this part of the graph was already walked"):
        (hidden + x).backward()
    assert x.grad is None


def test_retain_graph_keeps_it() -> None:
    x = tensor([1.0], requires_grad=True)
    loss = F.exp(x * 2)
    for times in (1, 2, 3):
        loss.backward(retain_graph=True)
        np.testing.assert_allclose(host(x.grad), times * 2 * np.exp([2.0]))
    loss.backward()
    with pytest.raises(md.GraphError, match="freed"):
        loss.backward()


# ---- what backward refuses


def test_backward_of_several_numbers_needs_a_gradient() -> None:
    x = tensor([1.0, 2.0], requires_grad=True)
    with pytest.raises(md.GraphError, match=r"only a single number has a gradient by itself.*\.mean\(\)"):
        (x * 2).backward()
    (x * 2).backward(device([1.0, 10.0]))
    np.testing.assert_array_equal(host(x.grad), [2, 20])


def test_backward_of_what_was_not_recorded() -> None:
    x = tensor([1.0], requires_grad=True)
    with md.no_grad():
        y = x * 2
    with pytest.raises(md.GraphError, match=r"does not require a gradient: it was computed under no_grad"):
        y.backward()


def test_the_gradient_given_must_fit() -> None:
    x = tensor([1.0, 2.0], requires_grad=True)
    with pytest.raises(md.ShapeError, match=r"must have the shape of Tensor of shape \(2,\).*got shape \(3,\)"):
        (x * 2).backward(device([1.0, 1.0, 1.0]))
    (x * 2).backward(device(np.array([1, 2], np.float32)))
    assert x.grad.dtype == np.float64


@pytest.mark.parametrize("create_graph", [False, True])
def test_the_gradient_given_may_be_numbers_or_a_tensor(create_graph: bool) -> None:
    x = tensor([1.0, 2.0], requires_grad=True)
    for gradient in ([1, 10], [1.0, 10.0], tensor([1.0, 10.0]), np.float64(3), 3.0):
        y = x * 2 if np.ndim(gradient) or isinstance(gradient, md.Tensor) else (x * 2).sum()
        (found,) = md.grad([y], [x], [gradient], create_graph=create_graph)
        np.testing.assert_array_equal(host(found), [2, 20] if y.ndim else [6, 6])
        assert found.dtype == np.float64


def test_the_gradient_given_must_be_on_the_same_device(standin: Any) -> None:
    x = md.Tensor(backend.to_device(np.ones(2), "cupy"), requires_grad=True)
    with pytest.raises(md.DeviceError, match="must be on the device of"):
        (x * 2).backward(np.ones(2))


# ---- .grad has memory of its own

SHARING: dict[str, Callable[[Any, Any], Any]] = {
    "add passes one array to both": lambda x, y: x + y,
    "an op of one tensor twice": lambda x, y: x + x + y,
    "reshape hands back a view": lambda x, y: x.reshape(4) + y.T.reshape(4),
    "sum hands back a broadcast": lambda x, y: x.sum() + y.sum(),
    "concatenate hands back pieces": lambda x, y: F.concatenate([x, y]),
    "stack": lambda x, y: F.stack([x, y]),
    "copy and cast": lambda x, y: x.copy() + y.astype(np.float64),
    "transpose": lambda x, y: x.T + y.T,
    "nothing at all": lambda x, y: x,
}


@pytest.mark.parametrize("name", SHARING)
@pytest.mark.parametrize("create_graph", [False, True])
def test_grad_shares_memory_with_nothing(name: str, create_graph: bool) -> None:
    x = tensor(np.ones((2, 2)), requires_grad=True)
    y = tensor(np.ones((2, 2)), requires_grad=True)
    z = SHARING[name](x, y)
    inner = z * 1 if z is x else z
    inner.retain_grad()
    gradient = device(np.ones(z.shape))
    for _ in range(2):  # when .grad is new and when it is added to
        inner.backward(gradient, retain_graph=True, create_graph=create_graph)
        gradients = [t.grad for t in (x, y, inner) if t.grad is not None]
        for i, found in enumerate(gradients):
            for other in [*gradients[:i], gradient, x, y, inner]:
                assert not shares_memory(found, other)


def test_a_gradient_that_is_an_array_of_the_graph_is_copied() -> None:
    class HalfSquare(Function):
        """x^2/2, whose derivative is x itself."""

        saves_inputs = True

        def forward(self, x: Any) -> Any:
            return (x * x).sum() / 2

        def backward(self, grad_out: Any, x: Any) -> Any:
            return x

    class Swapped(Function):
        """Hands each input's array to the other as its gradient."""

        saves_inputs = True

        def forward(self, x: Any, y: Any) -> Any:
            return (x * y).sum()

        def backward(self, grad_out: Any, x: Any, y: Any) -> Any:
            return y, x

    class Kept(HalfSquare):
        """The same from an array it kept, which it should not do."""

        saves_inputs = False

        def forward(self, x: Any) -> Any:
            self.kept = x
            return (x * x).sum() / 2

        def backward(self, grad_out: Any) -> Any:
            return self.kept

    x = tensor(np.ones(3), requires_grad=True)
    y = tensor(np.ones(3), requires_grad=True)
    for op in (HalfSquare(), Kept()):
        x.grad = None
        op(x).backward()
        assert not shares_memory(x.grad, x)
    x.grad = None
    Swapped()(x, y).backward()
    assert not shares_memory(x.grad, y)
    assert not shares_memory(y.grad, x)


# ---- threads


def test_backward_in_threads_adds_up_exactly_on_shared_weights() -> None:
    w = tensor(np.ones(8), requires_grad=True)
    threads, steps = 8, 50
    failures: list[BaseException] = []

    def work(number: int) -> None:
        try:
            with md.using(backend.current()):
                for _ in range(steps):
                    (w * float(number)).sum().backward()
        except BaseException as error:
            failures.append(error)

    run_together([partial(work, number) for number in range(1, threads + 1)])
    assert not failures
    np.testing.assert_array_equal(host(w.grad), np.full(8, steps * sum(range(1, threads + 1))))


def test_a_view_of_one_number_starts_a_walk_on_raw_arrays() -> None:
    x = tensor([1.0, 2.0], requires_grad=True)
    y = (x * x)[1]
    y.backward()
    np.testing.assert_array_equal(host(x.grad), [0, 4])
    assert x.grad is not None
    assert not x.grad.requires_grad


def test_a_gradient_that_overflows_its_dtype_is_infinite_without_a_warning() -> None:
    x = tensor(np.ones(2, np.float16), requires_grad=True)
    (x.astype("float32") * 1e6).sum().backward()
    assert np.isinf(host(x.grad)).all()
    assert np.isinf(host(md.grad((x.astype("float32") * 1e6).sum(), x))).all()


def test_the_gradient_of_a_single_number_is_an_array() -> None:
    x = tensor(0.5, requires_grad=True)
    F.sin(x).backward()  # NumPy makes scalars of products of arrays without axes
    assert x.grad is not None
    assert backend.is_array(x.grad._data)
    assert "Tensor(" in repr(x.grad)
