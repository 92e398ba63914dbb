"""A write between forward and backward never gives a silently wrong gradient."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from functools import partial
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import minidl as md
import minidl.functional as F
from minidl import backend
from minidl.autograd.function import Function
from minidl.autograd.writes import Stretch, WriteCount, activity
from tests.arrays import device, host, tensor
from tests.pytorch import torch
from tests.threads import run_together

# ---- every way to write, under every op that saves


def quietly(write: Callable[[md.Tensor], Any]) -> Callable[[md.Tensor], Any]:
    def under_no_grad(t: md.Tensor) -> None:
        with md.no_grad():
            write(t)

    return under_no_grad


def set_item(t: md.Tensor) -> None:
    t[...] = 7.0


def set_one(t: md.Tensor) -> None:
    t[0] = 7.0


def add_in_place(t: md.Tensor) -> None:
    t += 1.0


def multiply_in_place(t: md.Tensor) -> None:
    t *= 3.0


def set_data(t: md.Tensor) -> None:
    t.data = device(np.full(t.shape, 7.0))


def write_into_data(t: md.Tensor) -> None:
    t.data[...] = 7.0


def add_to_data(t: md.Tensor) -> None:
    t.data += 1.0


def write_through_a_view(t: md.Tensor) -> None:
    t[1:][...] = 7.0


def write_through_a_reshaped_transpose(t: md.Tensor) -> None:
    view = t.reshape(1, 3).T
    view[...] = 7.0


def write_through_detach(t: md.Tensor) -> None:
    detached = t.detach()
    detached += 1.0


def write_through_another_tensor(t: md.Tensor) -> None:
    md.Tensor(t)[...] = 7.0


def write_into_the_data_of_a_view(t: md.Tensor) -> None:
    t.detach()[:2].data[...] = 7.0


def write_through_numpy(t: md.Tensor) -> None:
    raw = t.numpy() if t.device == "numpy" else t.data  # on the device numpy() is a copy
    raw[...] = 7.0


WRITES = [
    set_item,
    set_one,
    add_in_place,
    multiply_in_place,
    set_data,
    write_into_data,
    add_to_data,
    write_through_a_view,
    write_through_a_reshaped_transpose,
    write_through_detach,
    write_through_another_tensor,
    write_into_the_data_of_a_view,
    write_through_numpy,
]

OPS: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "x * x": (lambda t: t * t, lambda t: t * t),
    "x ** 3": (lambda t: t**3, lambda t: t**3),
    "exp": (F.exp, torch.exp),
    "tanh": (F.tanh, torch.tanh),
    "1 / x": (lambda t: 1 / t, lambda t: 1 / t),
    "x @ x": (lambda t: t @ t, lambda t: t @ t),
    "max": (lambda t: t.max(), lambda t: t.amax()),
    "var": (lambda t: t.var(), lambda t: t.var(correction=0)),
    "relu": (lambda t: F.relu(t - 2), lambda t: torch.relu(t - 2)),
    "x + 1": (lambda t: t + 1, lambda t: t + 1),
    "sum": (lambda t: t.sum(), lambda t: t.sum()),
    "slice": (lambda t: t[1:] + 2, lambda t: t[1:] + 2),
}
START = np.array([1.0, 2.0, 3.0])


def right_or_refused(written: str, op: str, write: Callable[[md.Tensor], Any]) -> bool:
    """Write between forward and backward; True if the gradient is PyTorch's without the write, False if refused."""
    ours, theirs = OPS[op]
    w = tensor(START, requires_grad=True)
    middle = w * 1.0
    source = {"leaf": w, "intermediate": middle}.get(written, middle)
    result = ours(source)
    write(result if written == "result" else source)
    reference = torch.tensor(START, requires_grad=True)
    theirs(reference * 1.0).sum().backward()
    try:
        result.sum().backward()
    except md.GraphError as error:
        message = str(error)
        assert "overwritten" in message or "shares memory" in message
        assert w.grad is None
        return False
    expected = reference.grad.numpy()
    np.testing.assert_allclose(host(w.grad), expected)
    return True


@pytest.mark.parametrize("write", WRITES, ids=lambda write: write.__name__)
@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize("written", ["leaf", "intermediate"])
def test_a_write_without_history_is_refused_or_harmless(op: str, write: Any, written: str) -> None:
    right_or_refused(written, op, quietly(write))


@pytest.mark.parametrize("op", ["x * x", "x ** 3", "1 / x", "x @ x", "var"])
@pytest.mark.parametrize("write", WRITES, ids=lambda write: write.__name__)
@pytest.mark.parametrize("written", ["leaf", "intermediate"])
def test_a_write_to_saved_inputs_is_refused(op: str, write: Any, written: str) -> None:
    assert not right_or_refused(written, op, quietly(write))


@pytest.mark.parametrize("op", ["exp", "tanh"])
@pytest.mark.parametrize("write", WRITES, ids=lambda write: write.__name__)
def test_a_write_to_a_saved_output_is_refused(op: str, write: Any) -> None:
    assert not right_or_refused("result", op, quietly(write))


@pytest.mark.parametrize("op", ["x + 1", "sum", "slice"])
@pytest.mark.parametrize("write", WRITES, ids=lambda write: write.__name__)
@pytest.mark.parametrize("written", ["leaf", "intermediate"])
def test_a_write_to_what_add_and_sum_got_is_allowed(op: str, write: Any, written: str) -> None:
    assert right_or_refused(written, op, quietly(write))


def test_an_optimizer_step_before_backward_is_refused_and_after_it_is_not() -> None:
    w, x = tensor(START, requires_grad=True), tensor(START)
    w.name = "fc1.weight"
    loss = (w * x).sum()
    (w * 2).sum().backward()
    with md.no_grad():
        w -= 0.1 * w.grad  # which no gradient of the first loss is computed from
    loss2 = (w * w).sum()
    with md.no_grad():
        w -= 0.1 * w.grad
    with pytest.raises(md.GraphError, match=r"Mul saved values.* overwritten since: Tensor 'fc1.weight'"):
        loss2.backward()
    w.zero_grad()
    loss.backward()
    np.testing.assert_array_equal(host(w.grad), host(x))
    w.zero_grad()
    (w * w).sum().backward()
    np.testing.assert_allclose(host(w.grad), 2 * host(w))


def test_a_write_before_the_forward_is_no_matter() -> None:
    w = tensor(START, requires_grad=True)
    raw = w.data
    w.data[...] = 5.0
    with md.no_grad():
        w[0] = 4.0
    raw[1] = 3.0
    (w * w).sum().backward()
    np.testing.assert_array_equal(host(w.grad), [8, 6, 10])


def test_a_write_between_two_forwards_hits_only_the_first() -> None:
    w = tensor(START, requires_grad=True)
    first = (w * w).sum()
    w.data[...] = 5.0
    second = (w * w).sum()
    second.backward()
    np.testing.assert_array_equal(host(w.grad), [10, 10, 10])
    with pytest.raises(md.GraphError, match="overwritten"):
        first.backward()


def test_looking_at_data_without_writing_is_no_matter() -> None:
    w = tensor([1.0, np.nan, 3.0], requires_grad=True)
    y = w * w
    assert host(w.data).shape == host(y.data).shape == (3,)
    assert np.isnan(y.numpy() if y.device == "numpy" else host(y)).any()
    y.sum().backward()
    np.testing.assert_array_equal(host(w.grad), [2, np.nan, 6])


def test_on_a_device_only_what_can_be_written_is_looked_at_again_in_one_wait(standin: ModuleType) -> None:
    w = md.Tensor(backend.to_device(np.array([1.0, np.nan, 3.0]), "cupy"), requires_grad=True)
    for read, waits in ((lambda y: y.numpy(), 0), (lambda y: y.data, 1)):
        y = w * 2
        z = (y * w).sum()
        read(y)
        standin.reset_synchronizations()
        z.backward()
        assert len(standin.synchronizations()) == waits


def test_a_constant_operand_is_watched_too() -> None:
    w, mask = tensor(START, requires_grad=True), tensor([1.0, 0.0, 1.0])
    y = (w * mask).sum()
    mask[...] = 0.0
    with pytest.raises(md.GraphError, match="overwritten"):
        y.backward()


def test_reading_data_twice_copies_it_once() -> None:
    writes, array, stretch = WriteCount(), device(START), Stretch()
    writes.guard(array)
    writes.guard(array)
    assert len(stretch.guards) == 1
    assert writes.settled() == 0
    array[0] = 9.0
    assert writes.settled() == 1
    assert writes.settled() == 1


# ---- the error says what, where, and what to do


def test_the_error_names_the_tensor_the_op_and_the_remedy() -> None:
    w = tensor(START, requires_grad=True)
    w.name = "weight"
    y = F.exp(w)
    y.name = "hidden"
    z = (y * w).sum()
    with md.no_grad():
        y[0] = 0.0
    with pytest.raises(md.GraphError) as caught:
        z.backward()
    message = str(caught.value)
    for words in ("Mul", "'hidden'", "overwritten", "t = t.copy()", "detect_anomaly"):
        assert words in message
    assert "'weight'" not in message


def test_in_anomaly_mode_a_raw_array_taken_before_the_forward_is_watched_and_lines_are_quoted() -> None:
    w, raw_constant = tensor(START, requires_grad=True), device([2.0, 2.0, 2.0])
    raw = w.data
    with md.detect_anomaly():
        y = (w * 1.0) * w  # this line is quoted
        raw[0] = 9.0
        with pytest.raises(md.GraphError, match="overwritten") as caught:
            y.sum().backward()
        assert "this line is quoted" in str(caught.value)
        assert "test_writes.py" in str(caught.value)
        z = w * raw_constant
        raw_constant[0] = 9.0
        with pytest.raises(md.GraphError, match="overwritten"):
            z.sum().backward()


def test_outside_of_anomaly_mode_such_an_array_is_the_documented_hole() -> None:
    w = tensor(START, requires_grad=True)
    raw = w.data
    y = w * w
    raw[0] = 9.0
    y.sum().backward()
    np.testing.assert_array_equal(host(w.grad), [18, 4, 6])


# ---- cases that need more than one step to arise


def test_a_weight_is_guarded_in_the_second_step_as_in_the_first() -> None:
    w = tensor(START, requires_grad=True)
    for _ in range(2):
        w.zero_grad()
        (w * w).sum().backward()
        with md.no_grad():
            w -= 0.1 * w.grad
    y = (w * w).sum()
    w.data[...] = 0.0
    with pytest.raises(md.GraphError, match="overwritten"):
        y.backward()


def test_a_buffer_that_was_saved_and_then_written_with_history_is_noticed() -> None:
    x, buffer = tensor(START, requires_grad=True), tensor(START)
    y = (buffer * x).sum()
    buffer[0] = x[1]
    with pytest.raises(md.GraphError, match="overwritten"):
        y.backward()


def as_one_of_minidls(op: type[Function]) -> type[Function]:
    """The results of your own ops are memory of their own; those of minidl's may be views of their inputs."""
    op.foreign = False
    return op


@as_one_of_minidls
class Flat(Function):
    """An op whose saved output is a view of its input."""

    saves_output = True

    def forward(self, x: Any) -> Any:
        return x.reshape(-1)

    def backward(self, grad_out: Any, out: Any) -> Any:
        return (grad_out * out).reshape((1, 3))


@as_one_of_minidls
class Second(Function):
    """An op that hands on its second input as it is."""

    def forward(self, x: Any, y: Any) -> Any:
        return y

    def backward(self, grad_out: Any) -> Any:
        return grad_out * 0, grad_out


def test_a_saved_output_that_is_a_view_counts_writes_with_its_base() -> None:
    x = tensor([START], requires_grad=True)
    with md.no_grad():
        x[0, 0] = 5.0  # a write from before must not be held against the op
    Flat()(x).sum().backward()
    np.testing.assert_array_equal(host(x.grad), [[5, 2, 3]])
    for write in (write_into_data, quietly(set_item)):
        y = Flat()(x)
        write(x)
        with pytest.raises(md.GraphError, match="overwritten"):
            y.sum().backward()
    y = Flat()(x)
    y.data[...] = 0.0
    with pytest.raises(md.GraphError, match="overwritten"):
        y.sum().backward()


def test_an_op_that_returns_its_second_input_shares_its_count() -> None:
    x, y = tensor(START, requires_grad=True), tensor(START, requires_grad=True)
    z = Second()(x, y)
    square = (y * y).sum()
    with md.no_grad():
        z[0] = 9.0
    with pytest.raises(md.GraphError, match="overwritten"):
        square.backward()


@pytest.mark.parametrize(("which", "number"), [(i, n) for n in (3, 4, 5, 6) for i in range(n)])
def test_an_op_that_returns_any_of_its_inputs_shares_its_count(which: int, number: int) -> None:
    @as_one_of_minidls
    class Pick(md.Function):
        """Its input number `which`, as it is."""

        def forward(self, *arrays: Any) -> Any:
            return arrays[which]

        def backward(self, grad_out: Any) -> Any:
            return tuple([grad_out if i == which else None for i in range(number)])

    xs = [tensor([float(i), 2.0], requires_grad=True) * 1 for i in range(number)]
    y = Pick()(*xs)
    loss = (y * y).sum()
    with md.no_grad():
        xs[which][...] = 100.0
    with pytest.raises(md.GraphError, match="overwritten"):
        loss.backward()


def test_a_write_noticed_at_the_next_forward_leaves_that_forward_guarded() -> None:
    w = tensor(START, requires_grad=True)
    first = (w * w).sum()
    w.data[0] = 9.0
    second = (w * w).sum()  # notices the write to what `first` saved
    w.data[0] = 5.0
    for loss in (first, second):
        with pytest.raises(md.GraphError, match="overwritten"):
            loss.backward()


# ---- only what is read is watched


def test_a_bias_may_be_overwritten_before_the_backward() -> None:
    x, weight, bias = (tensor(np.ones(shape), requires_grad=True) for shape in ((2, 3), (4, 3), (4,)))
    y = F.linear(x, weight, bias).sum()
    with md.no_grad():
        bias[...] = 5.0
    y.backward()
    np.testing.assert_array_equal(host(bias.grad), [2, 2, 2, 2])


def test_a_weight_whose_input_needs_no_gradient_may_be_overwritten() -> None:
    x, weight = tensor(np.ones((2, 3))), tensor(np.ones((4, 3)), requires_grad=True)
    y = F.linear(x, weight).sum()
    with md.no_grad():
        weight[...] = 5.0
    y.backward()
    np.testing.assert_array_equal(host(weight.grad), np.full((4, 3), 2.0))
    image, kernel = tensor(np.ones((1, 1, 3, 3))), tensor(np.ones((1, 1, 2, 2)), requires_grad=True)
    z = F.conv2d(image, kernel).sum()
    with md.no_grad():
        kernel[...] = 5.0
    z.backward()
    np.testing.assert_array_equal(host(kernel.grad), np.full((1, 1, 2, 2), 4.0))


def test_what_is_read_is_watched_all_the_same() -> None:
    x, weight = tensor(np.ones((2, 3)), requires_grad=True), tensor(np.ones((4, 3)), requires_grad=True)
    y = F.linear(x, weight).sum()
    weight.data[...] = 5.0  # through the raw array
    with pytest.raises(md.GraphError, match="overwritten"):
        y.backward()


def test_the_error_names_what_was_written_and_nothing_else() -> None:
    x, y = tensor(START, requires_grad=True), tensor(START, requires_grad=True)
    x.name, y.name = "x", "y"
    with md.no_grad():
        x += 1.0  # before the forward: no matter
    z = (x * y).sum()
    with md.no_grad():
        y += 1.0
    with pytest.raises(md.GraphError, match="overwritten since: Tensor 'y'") as caught:
        z.backward()
    assert "'x'" not in str(caught.value)


# ---- a guard ends with the graph that needs it


def test_a_batch_that_was_looked_at_is_neither_copied_nor_compared_for_ever() -> None:
    gc.collect()  # of graphs that other tests have left
    batch, w = tensor(START), tensor(START, requires_grad=True)
    before, loss = activity.guards, (w * batch).sum()
    batch.data
    assert activity.guards == before + 1
    loss.backward()
    assert activity.guards == before
    assert batch._writes is not None
    assert batch._writes.settled() == 0
    assert batch._writes._guards is None


def test_a_guard_ends_with_a_graph_that_is_never_walked() -> None:
    gc.collect()  # of graphs that other tests have left
    batch, w = tensor(START), tensor(START, requires_grad=True)
    before, loss = activity.guards, (w * batch).sum()
    batch.data
    assert activity.guards == before + 1
    del loss
    assert activity.guards == before


def test_a_guard_lasts_as_long_as_one_graph_may_need_it() -> None:
    batch, w = tensor(START), tensor(START, requires_grad=True)
    first = (w * batch).sum()
    raw = batch.data
    (w * batch).sum().backward()  # of another graph
    raw[0] = 9.0
    with pytest.raises(md.GraphError, match="overwritten"):
        first.backward()


# ---- views of a convolution's result


def test_a_reshaped_convolution_is_a_view_whatever_computed_it() -> None:
    x, w = tensor(np.ones((2, 3, 6, 6))), tensor(np.ones((4, 3, 3, 3)))
    for plain in (False, True):
        with md.plain() if plain else md.enable_grad():
            y = F.conv2d(x, w)
        y.reshape(-1)[...] = 0.0
        assert not host(y).any()
        y = F.relu(F.conv2d(x, w))
        first = y[0]
        y.reshape(2, -1)[...] = 0.0
        assert not host(y).any()
        assert not host(first).any()
        y = F.conv2d(x, w)
        raw = y.data
        y.reshape(-1)[...] = 0.0
        assert not raw.any()


def test_an_array_of_another_order_is_shared_as_it_is() -> None:
    array = device(np.arange(6.0).reshape(2, 3)).T
    x = md.Tensor(array)
    x.reshape(-1)
    x[...] = 0.0
    assert not array.any()


# ---- tensors that are stale say so


def test_every_question_to_a_stale_view_is_refused() -> None:
    x, scale = tensor([1.0, 2.0, 3.0]), tensor(2.0, requires_grad=True)
    view = x[1:]
    x *= scale  # with history: the view keeps the old memory
    asked = ("argmax", "argmin", "any", "all", "tolist", "numpy", "sum", "copy", "detach", "__bool__")
    for name in asked:
        with pytest.raises(md.GraphError, match="written in place afterwards"):
            getattr(view, name)()
    for action in (lambda: view.astype("int64"), lambda: view.astype("float32"), lambda: view.data, lambda: view + 1):
        with pytest.raises(md.GraphError, match="written in place afterwards"):
            action()
    assert "stale" in repr(view)


def test_a_stale_view_is_no_index_label_or_limit_either() -> None:
    x, scale = tensor([1.0, 0.0]), tensor(2.0, requires_grad=True)
    view = x[:]
    x *= scale
    whole = view._data.astype(np.int64)
    labels = md.Tensor(whole)
    labels._writes = view._writes
    for action in (
        lambda: tensor([1.0, 2.0])[labels],
        lambda: F.clip(tensor([1.0, 2.0]), view, None),
        lambda: F.cross_entropy(tensor(np.ones((2, 2))), labels),
        lambda: F.embedding(labels, tensor(np.ones((3, 2)))),
    ):
        with pytest.raises(md.GraphError, match="written in place afterwards"):
            action()


# ---- guards of several graphs, and of several threads


def test_a_guard_serves_a_graph_that_was_recorded_while_another_needed_it() -> None:
    x = tensor(START, requires_grad=True)
    first = (x * x).sum()
    raw = x.data
    second = (x * x * x).sum()
    first.backward()
    raw[...] = 0.0
    with pytest.raises(md.GraphError, match="overwritten"):
        second.backward()


def test_graphs_of_many_threads_do_not_disturb_a_look_at_the_raw_array() -> None:
    failures: list[BaseException] = []
    end = time.monotonic() + 0.5

    def work(look: bool) -> None:
        try:
            x = tensor(START, requires_grad=True)
            while time.monotonic() < end:
                y = (x * x).sum()
                if look:
                    x.data
                else:
                    with md.no_grad():
                        x += 0
                del y
        except BaseException as error:
            failures.append(error)

    run_together([partial(work, i % 2 == 0) for i in range(4)])
    assert failures == []
