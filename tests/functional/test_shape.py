"""minidl/functional/shape.py."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl as md
import minidl.functional as F
from minidl import backend
from tests.arrays import device, host, tensor
from tests.factory import Operand, check, check_against_numpy, examples, operand, shapes
from tests.pytorch import torch


@examples(80)
@given(st.data())
def test_transpose(data):
    x = data.draw(operand())
    ndim = x.values.ndim
    order = data.draw(st.permutations(range(ndim)))
    axes = tuple(a - ndim if data.draw(st.booleans()) else a for a in order)
    check(lambda t: F.transpose(t, axes), lambda t: t.permute(tuple(order)), x)
    check(F.transpose, lambda t: t.permute(tuple(reversed(range(ndim)))), x, numeric=False)
    if ndim:
        i, j = data.draw(st.tuples(st.integers(-ndim, ndim - 1), st.integers(-ndim, ndim - 1)))
        check(lambda t: F.swapaxes(t, i, j), lambda t: t.transpose(i, j), x)


def test_transpose_refuses_what_is_no_order_of_the_axes():
    x = tensor(np.ones((2, 3)))
    for axes in ((0,), (0, 0), (0, 1, 2)):
        with pytest.raises(md.ShapeError, match="Transpose"):
            F.transpose(x, axes)
    with pytest.raises(IndexError, match="Transpose"):
        F.transpose(x, (0, 5))
    with pytest.raises(md.ShapeError, match="from -2 to 1; got 2"):
        F.swapaxes(x, 0, 2)


def test_the_methods_take_axes_and_lengths_in_both_forms():
    x = tensor(np.ones((2, 3, 4)))
    assert x.transpose(2, 0, 1).shape == x.transpose((2, 0, 1)).shape == (4, 2, 3)
    assert x.transpose().shape == x.T.shape == (4, 3, 2)
    assert x.reshape(6, 4).shape == x.reshape((6, 4)).shape == (6, 4)
    assert x.swapaxes(0, -1).shape == (4, 3, 2)
    assert x.flatten(1).shape == (2, 12)


@examples(80)
@given(st.data())
def test_broadcast_to(data):
    whole = data.draw(shapes(max_dims=4))
    lengths = [1 if data.draw(st.booleans()) else n for n in whole]
    missing = data.draw(st.integers(0, len(whole)))
    x = data.draw(operand(tuple(lengths[missing:])))
    check(lambda t: F.broadcast_to(t, whole), lambda t: torch.broadcast_to(t, whole), x)


def test_broadcast_to_a_number_of_elements_and_to_what_does_not_fit():
    assert F.broadcast_to(tensor(np.ones(1)), 3).shape == (3,)
    with pytest.raises(md.ShapeError, match=r"BroadcastTo.*\(2,\)"):
        F.broadcast_to(tensor(np.ones(2)), (3,))


@st.composite
def to_join(draw):
    """Operands that agree but for one axis, and that axis."""
    shape = draw(shapes(min_dims=1))
    axis = draw(st.integers(-len(shape), len(shape) - 1))
    several = []
    for _ in range(draw(st.integers(1, 3))):
        lengths = list(shape)
        lengths[axis] = draw(st.integers(0, 3))
        several.append(draw(operand(tuple(lengths))))
    return several, axis


@examples(50)
@given(to_join())
def test_concatenate(drawn):
    xs, axis = drawn
    check(lambda *t: F.concatenate(t, axis), lambda *t: torch.cat([x + 0 for x in t], axis), xs)


@examples(80)
@given(st.data())
def test_stack(data):
    shape = data.draw(shapes())
    xs = [data.draw(operand(shape)) for _ in range(data.draw(st.integers(1, 3)))]
    axis = data.draw(st.integers(-len(shape) - 1, len(shape)))
    check(lambda *t: F.stack(t, axis), lambda *t: torch.stack(t, axis), xs)


def test_one_tensor_joined_with_itself_gets_both_gradients():
    x = tensor(np.ones(2), True)
    F.concatenate([x, x, x * 2]).sum().backward()
    np.testing.assert_array_equal(host(x.grad), [4, 4])


def test_joining_mixed_kinds():
    x = tensor(np.ones(2, np.float32), True)
    joined = F.concatenate([x, device(np.arange(2)), [0.5]])
    assert joined.dtype == np.float64  # float32 with int64, as in NumPy
    joined.sum().backward()
    assert x.grad.dtype == np.float32
    check_against_numpy(lambda a, b: F.concatenate([a, b]), lambda a, b: np.concatenate([a, b]), *[np.arange(2)] * 2)
    assert F.stack([np.float32(1), 2.0]).shape == (2,)


def test_joining_what_does_not_fit():
    x = tensor(np.ones((2, 3)))
    for tensors in ([], [x, tensor(np.ones((2, 4)))], [x, tensor(np.ones(3))], [tensor(np.array(1.0))]):
        with pytest.raises(md.ShapeError):
            F.concatenate(tensors)
    for tensors in ([], [x, tensor(np.ones((2, 4)))]):
        with pytest.raises(md.ShapeError, match="stack"):
            F.stack(tensors)
    with pytest.raises(md.ShapeError, match="from -2 to 1; got 2"):
        F.concatenate([x], 2)
    with pytest.raises(IndexError, match="from -3 to 2; got 3"):
        F.stack([x], 3)


@examples(60)
@given(st.data())
def test_split(data):
    x = data.draw(operand(shapes(min_dims=1)))
    axis = data.draw(st.integers(-x.values.ndim, x.values.ndim - 1))
    length = x.values.shape[axis]
    cuts = data.draw(st.lists(st.integers(-length - 1, length + 1), max_size=3))
    number = data.draw(st.sampled_from([n for n in range(1, max(length, 2) + 1) if length % n == 0]))
    for how in (cuts, number):
        expected = np.split(x.values, how, axis)
        parts = F.split(tensor(x.values), how, axis)
        assert type(parts) is list
        for part, values in zip(parts, expected, strict=True):
            np.testing.assert_array_equal(host(part), values, strict=True)
        which = data.draw(st.integers(0, len(expected) - 1))
        places = np.split(np.arange(x.values.size).reshape(x.values.shape), how, axis)[which]
        check(
            lambda t, h=how, w=which: F.split(t, h, axis)[w],
            lambda t, p=places: t.reshape(-1)[torch.tensor(p)],
            x,
            numeric=False,
        )


def test_split_gives_views_and_joining_them_again_gives_x():
    x = tensor(np.arange(12.0).reshape(3, 4), True)
    parts = F.split(x, np.array([1, 3]), axis=1)
    assert backend.share_memory(parts[1].data, x.data)
    F.concatenate(parts, axis=1).backward(device(np.arange(12.0).reshape(3, 4)))
    np.testing.assert_array_equal(host(x.grad), host(x))


def test_split_where_it_cannot():
    x = tensor(np.ones((4, 3)))
    for number in (3, 0, -2, np.int64(5)):
        with pytest.raises(md.ShapeError, match=rf"divides the length 4 of axis 0; got {number}"):
            F.split(x, number)
    for where in (0.5, [0.5], None, "a"):
        with pytest.raises(md.DTypeError, match="split: expected a number of parts, or whole numbers"):
            F.split(x, where)
    with pytest.raises(md.ShapeError, match="from -2 to 1; got 2"):
        F.split(x, 1, axis=2)
    with pytest.raises(md.ShapeError, match=r"shape \(\)"):
        F.split(tensor(np.array(1.0)), 1)


@examples(80)
@given(st.data())
def test_pad(data):
    x = data.draw(operand(shapes(min_dims=1)))
    width = st.integers(0, 3)
    widths = tuple((data.draw(width), data.draw(width)) for _ in x.values.shape)
    backwards = [n for pair in reversed(widths) for n in pair]
    value = data.draw(st.sampled_from([0, 1.5, -np.inf]))
    check(
        lambda t: F.pad(t, widths, value),
        lambda t: torch.nn.functional.pad(t, backwards, value=value),
        x,
        numeric=value != -np.inf,
    )


@pytest.mark.filterwarnings("ignore:pad")  # which says that one pair pads all axes
@pytest.mark.parametrize("pad_width", [0, 2, (1, 2), [1, 2], ((1, 2),), ((1, 0), (0, 3)), np.array([[1, 2], [0, 0]])])
def test_forms_of_pad_width_are_numpys(pad_width):
    x = np.arange(6).reshape(2, 3)
    check_against_numpy(lambda t: F.pad(t, pad_width), lambda a: np.pad(a, pad_width), x)
    check_against_numpy(
        lambda t: F.pad(t, pad_width, 7), lambda a: np.pad(a, pad_width, constant_values=7), x.astype(np.uint8)
    )


def test_a_single_number_has_no_border():
    x = tensor(np.array(2.0), True)
    y = F.pad(x, 3)
    y.backward()
    assert y.item() == 2
    assert x.grad.item() == 1


@pytest.mark.parametrize("pad_width", [-1, (1, -1), 0.5, ((1, 1), (2, 2), (3, 3)), "wide", [[1, 2], [3]]])
def test_pad_refuses_other_widths(pad_width):
    with pytest.raises(md.ShapeError, match=r"pad.*whole number"):
        F.pad(tensor(np.ones((2, 2))), pad_width)


@examples(15)
@given(operand())
def test_astype_and_copy(x):
    for name in ("float64", "float32", "float16"):
        for target in ("float64", "float32", "float16"):
            t = md.Tensor(x.raw(name), requires_grad=True)
            y = t.astype(target)
            assert y.dtype == target
            assert not backend.share_memory(y.data, t.data)
            y.backward(device(np.ones(y.shape, target)))
            assert t.grad.dtype == name
            np.testing.assert_array_equal(host(t.grad), 1)
    check(F.copy, lambda t: t.clone(), x)
    assert not backend.share_memory(F.copy(t).data, t.data)


def test_astype_to_integers_has_no_gradient():
    x = tensor(np.array([1.7, -1.7]), True)
    y = x.astype(int)
    assert not y.requires_grad
    np.testing.assert_array_equal(host(y), [1, -1])
    assert (x > 0).astype(np.float32).dtype == np.float32


def test_a_view_of_what_was_overwritten_is_refused_by_every_astype():
    y = tensor(np.ones(3), True) * 2
    view = y[:2]
    y[0] = y.sum()  # y has another history now, and its view shows what the history does not know
    for dtype in ("float32", "int64", "bool"):
        with pytest.raises(md.GraphError):
            view.astype(dtype)


def test_astype_to_what_is_no_dtype_of_numbers():
    with pytest.raises(md.DTypeError, match="dtype"):
        tensor(np.ones(2)).astype("complex64")
    with pytest.raises(md.DTypeError, match="'float31'"):
        tensor(np.ones(2)).astype("float31")


def test_to_device_gives_the_gradient_back():
    x = tensor(np.ones(2), True)
    y = F.to_device(x, "numpy")
    assert y.device == "numpy"
    y.backward(np.ones(2))
    assert x.grad.device == x.device


def test_lists_are_arrays_to_every_function_of_shape():
    rows = [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]
    for result, shape in (
        (F.reshape(rows, 6), (6,)),
        (F.flatten(rows), (6,)),
        (F.transpose(rows), (3, 2)),
        (F.swapaxes(rows, 0, 1), (3, 2)),
        (F.broadcast_to(rows, (2, 2, 3)), (2, 2, 3)),
        (F.concatenate([rows, rows]), (4, 3)),
        (F.stack([rows, rows]), (2, 2, 3)),
        (F.pad(rows, 1), (4, 5)),
        (F.squeeze([rows]), (2, 3)),
        (F.expand_dims(rows, 0), (1, 2, 3)),
        (F.split(rows, 2)[0], (1, 3)),
    ):
        assert result.shape == shape


def test_a_transposed_operand_reads_back_in_its_own_order():
    x = Operand(np.arange(6.0).reshape(2, 3) / 8, "transposed")
    check(lambda t: F.reshape(t, 6), lambda t: t.reshape(6), x)
