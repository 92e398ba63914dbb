"""Writing in place: against PyTorch where it can do it, against the same computed out of place where it refuses."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minidl as md
from tests.arrays import host, tensor
from tests.pytorch import torch

START = np.array([1.0, 2.0, 3.0])

# ---- with history; each program is followed by the same for PyTorch where in place it would not do


def augmented_row(y: Any, u: Any) -> Any:
    y = y * 1
    y[0] += u[0]
    return y * y


def augmented(y: Any, u: Any) -> Any:
    y = y * 1
    y += u
    y -= 2 * u
    y *= u
    y /= u * u + 1
    return y


def augmented_out_of_place(y: Any, u: Any) -> Any:
    return (y + u - 2 * u) * u / (u * u + 1)


def times_itself(y: Any, u: Any) -> Any:
    y = y * u
    y *= y
    y **= 2
    return y


def times_itself_out_of_place(y: Any, u: Any) -> Any:
    return (y * u) ** 4


def rows_into_a_buffer(y: Any, u: Any) -> Any:
    buffer = (y * 0).detach()
    for i in range(3):
        buffer[i] = y[i] * u[i]
    return buffer * u


def rows_that_build_on_each_other(y: Any, u: Any) -> Any:
    buffer = (y * 0).detach()
    buffer[0] = y[0]
    for i in range(1, 3):
        buffer[i] = y[i] * buffer[i - 1]
    return buffer * u


def rows_that_build_on_each_other_out_of_place(y: Any, u: Any) -> Any:
    return torch.stack([y[0], y[1] * y[0], y[2] * y[1] * y[0]]) * u


def an_element_and_a_slice(y: Any, u: Any) -> Any:
    y = y * u
    y[1, 0] = u[0, 0] * 5
    y[:, 1] = 2.0
    y[2:] += y[:1] * u[1:2]
    return y


def an_element_and_a_slice_out_of_place(y: Any, u: Any) -> Any:
    y = y * u
    first = torch.stack([y[0, 0], y.new_tensor(2.0)])
    second = torch.stack([u[0, 0] * 5, y.new_tensor(2.0)])
    third = torch.stack([y[2, 0], y.new_tensor(2.0)])
    return torch.stack([first, second, third + first * u[1]])


def saved_before_the_write(y: Any, u: Any) -> Any:
    z = y * u
    saved = z * z
    z += 1
    return z * saved


def saved_before_the_write_out_of_place(y: Any, u: Any) -> Any:
    z = y * u
    return (z + 1) * (z * z)


def overlapping_rows(y: Any, u: Any) -> Any:
    y = y * 1
    y[0] *= y[1]
    y[1] *= y[0]
    return y * u


def overlapping_rows_out_of_place(y: Any, u: Any) -> Any:
    first = y[0] * y[1]
    return torch.stack([first, y[1] * first, y[2]]) * u


def repeated_index(y: Any, u: Any) -> Any:
    y = y * 1
    y[[0, 0, 2]] = u
    return y * u


def repeated_index_out_of_place(y: Any, u: Any) -> Any:
    return torch.stack([u[1], y[1], u[2]]) * u  # the last one written stays


PROGRAMS: list[tuple[Callable[[Any, Any], Any], Callable[[Any, Any], Any]]] = [
    (augmented_row, augmented_row),
    (augmented, augmented_out_of_place),
    (times_itself, times_itself_out_of_place),
    (rows_into_a_buffer, rows_into_a_buffer),
    (rows_that_build_on_each_other, rows_that_build_on_each_other_out_of_place),
    (an_element_and_a_slice, an_element_and_a_slice_out_of_place),
    (saved_before_the_write, saved_before_the_write_out_of_place),
    (overlapping_rows, overlapping_rows_out_of_place),
    (repeated_index, repeated_index_out_of_place),
]


@pytest.mark.parametrize(("program", "reference"), PROGRAMS, ids=lambda f: f.__name__)
def test_writing_in_place_with_history_agrees_with_pytorch(program: Any, reference: Any) -> None:
    rng = np.random.default_rng(1)
    starts = [rng.standard_normal((3, 2)) for _ in range(2)]
    ours = [tensor(start, requires_grad=True) for start in starts]
    theirs = [torch.tensor(start, requires_grad=True) for start in starts]
    result, expected = program(*ours), reference(*theirs)
    np.testing.assert_allclose(host(result), expected.detach().numpy())
    result.sum().backward()
    expected.sum().backward()
    for x, t in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(host(x.grad), t.grad.numpy(), atol=1e-12)


def test_in_place_keeps_the_tensor_and_its_dtype() -> None:
    x = tensor(np.ones(2, np.float32), requires_grad=True)
    y = x * 2
    before = y
    y += tensor(np.ones(2), requires_grad=True)
    assert y is before
    assert y.dtype == np.float32


def test_a_leaf_cannot_be_written_with_history() -> None:
    x = tensor(START, requires_grad=True)
    with pytest.raises(md.GraphError, match=r"is a leaf that requires a gradient.*no_grad"):
        x += 1
    with pytest.raises(md.GraphError, match="is a leaf that requires a gradient"):
        x[0] = 1.0
    np.testing.assert_array_equal(host(x), START)


def test_in_place_cannot_change_shape_or_kind() -> None:
    t = tensor(np.ones(3))
    with pytest.raises(md.ShapeError, match=r"cannot become shape \(2, 3\)"):
        t += tensor(np.ones((2, 3)))
    whole = tensor(np.ones(3, np.int64))
    with pytest.raises(md.DTypeError, match="cannot become float64"):
        whole += 0.5
    np.testing.assert_array_equal(host(t), np.ones(3))


def test_retain_grad_follows_a_tensor_written_in_place() -> None:
    x = tensor([1.0, 2.0], requires_grad=True)
    y = x * 2
    y.retain_grad()
    y *= 3
    y.sum().backward()
    np.testing.assert_array_equal(host(y.grad), [1, 1])
    np.testing.assert_array_equal(host(x.grad), [6, 6])


# ---- views of what is then written with history


def test_writing_through_a_tracked_view_raises_on_the_next_use_of_its_base() -> None:
    x = tensor(np.ones((2, 2)), requires_grad=True)
    y = x * 1
    view = y[0]
    view += 1  # with history: y cannot show it
    with pytest.raises(md.GraphError, match="shares memory with a tensor that was written in place afterwards"):
        y.sum()
    np.testing.assert_array_equal(host(view), [2, 2])
    view.sum().backward()
    np.testing.assert_array_equal(host(x.grad), [[1, 1], [0, 0]])


def test_a_view_taken_before_its_base_was_written_raises_on_the_next_use() -> None:
    x = tensor(np.ones((2, 2)), requires_grad=True)
    y = x * 1
    view = y[0]
    y[1] = 5.0
    with pytest.raises(md.GraphError, match="Take the view"):
        view * 2
    np.testing.assert_array_equal(host(y[0] * 2), [2, 2])


def test_an_augmented_view_does_not_excuse_other_views() -> None:
    x = tensor(np.ones((2, 2)), requires_grad=True)
    y = x * 1
    other = y[1]
    y[0] += 1.0
    with pytest.raises(md.GraphError, match="shares memory"):
        other * 2
    np.testing.assert_array_equal(host(y), [[2, 2], [1, 1]])


def test_a_view_of_a_view_written_in_place_raises_at_the_base() -> None:
    x = tensor(np.ones((2, 2)), requires_grad=True)
    y = x * 1
    y[0][1] += 1.0  # Python stores it back into y[0], which is no place in y
    with pytest.raises(md.GraphError, match="shares memory"):
        y.sum()


def test_without_history_a_write_through_a_view_shows_in_its_base() -> None:
    t = tensor(np.zeros((2, 2)))
    t[0] += 1.0
    t[1][0] = 5.0
    t.T[1, 1] = 7.0
    np.testing.assert_array_equal(host(t), [[1, 1], [5, 7]])


def test_filling_a_buffer_writes_only_what_it_is_told_to() -> None:
    t = tensor(np.zeros((3, 4)))
    array = t._data
    t[1] = 2.0
    t[[0, 2], [1, 3]] = tensor([5.0, 6.0])
    t[tensor(np.array([True, False, False])), 0] = 9
    assert t._data is array
    np.testing.assert_array_equal(host(t), [[9, 5, 0, 0], [2, 2, 2, 2], [0, 0, 0, 6]])


def test_where_an_index_is_repeated_the_last_value_stays_on_every_backend() -> None:
    for _ in range(5):
        t = tensor(np.zeros(3))
        t[[0, 0, 2, 0]] = tensor([1.0, 2.0, 3.0, 4.0])
        np.testing.assert_array_equal(host(t), [4, 0, 3])


def test_a_value_that_does_not_fit_is_told_so_and_nothing_is_written() -> None:
    t = tensor(np.zeros(3))
    with pytest.raises(md.ShapeError, match=r"WriteItem failed on Tensor of shape \(3,\)"):
        t[:] = tensor([1.0, 2.0])
    with pytest.raises(IndexError):
        t[3] = 1.0
    np.testing.assert_array_equal(host(t), [0, 0, 0])


def test_the_name_goes_along_when_a_tensor_is_written_with_history() -> None:
    x = tensor(START, requires_grad=True)
    buffer = tensor(np.zeros(3))
    buffer.name = "buffer"
    buffer[1:] = x[1:]
    result = (buffer * x).sum()
    with md.no_grad():
        buffer[0] = 1.0
    with pytest.raises(md.GraphError, match="'buffer'"):
        result.backward()


@pytest.mark.parametrize("program", [program for program, _ in PROGRAMS], ids=lambda f: f.__name__)
def test_second_derivatives_through_writes_in_place(program: Any) -> None:
    rng = np.random.default_rng(2)
    inputs = [tensor(rng.uniform(0.5, 1.5, (3, 2)), requires_grad=True) for _ in range(2)]
    assert md.gradcheck(program, inputs)
    assert md.gradgradcheck(program, inputs)


def test_a_stale_view_is_copied_by_nobody(tmp_path: Any) -> None:
    t = tensor([1.0, 2.0, 3.0], requires_grad=True)
    u = t * 1
    view = u[1:]
    u += t
    for read in (md.tensor, md.Tensor, lambda v: md.save({"v": v}, tmp_path / "v.npz")):
        with pytest.raises(md.GraphError, match="shares memory with a tensor that was written in place"):
            read(view)
    assert not (tmp_path / "v.npz").exists()


def test_new_data_make_a_stale_view_good_again() -> None:
    t = tensor([1.0, 2.0, 3.0], requires_grad=True)
    u = t * 1
    view = u[1:]
    u += t
    view.data = host(view._data) * 0 + 5 if md.backend.current() == "numpy" else view._data * 0 + 5
    np.testing.assert_array_equal(host(view), [5, 5])
    np.testing.assert_array_equal(host(u), [2, 4, 6])


def test_a_view_written_with_history_and_stored_in_another_place_leaves_its_own_stale() -> None:
    t, u = tensor([1.0, 2.0, 3.0], requires_grad=True) * 1, tensor(5.0, requires_grad=True)
    view = t[0]
    view += u
    with pytest.raises(md.GraphError, match="shares memory with a tensor that was written in place"):
        t[1] = view
    t = tensor([1.0, 2.0, 3.0], requires_grad=True) * 1
    t[0] += u
    np.testing.assert_array_equal(host(t), [6, 2, 3])


def test_data_of_another_tensor_are_its_memory_and_count_writes_with_it() -> None:
    a, b = tensor([1.0, 2.0], requires_grad=True), tensor([0.0, 0.0])
    square = (a * a).sum()
    b.data = a
    with md.no_grad():
        b += 1
    with pytest.raises(md.GraphError, match="overwritten"):
        square.backward()


def test_new_data_of_a_view_are_no_longer_the_tensors() -> None:
    x = tensor([1.0, 2.0], requires_grad=True)
    view = x.detach().reshape(2)
    view.data = host(view._data) * 0 if md.backend.current() == "numpy" else view._data * 0
    square = (x * x).sum()
    view += 1
    square.backward()
    np.testing.assert_array_equal(host(x.grad), [2, 4])


def test_a_shallow_copy_counts_writes_with_its_original() -> None:
    x = tensor([1.0, 2.0], requires_grad=True)
    shallow = copy.copy(x)
    assert (shallow.requires_grad, type(copy.copy(md.nn.Parameter([1.0])))) == (True, md.nn.Parameter)
    square = (x * x).sum()
    with md.no_grad():
        shallow += 1
    with pytest.raises(md.GraphError, match="overwritten"):
        square.backward()
