"""minidl/functional/indexing.py."""

from __future__ import annotations

import array
import collections
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl as md
import minidl.functional as F
from minidl import backend
from tests.arrays import device, host, tensor
from tests.factory import Operand, check, examples, operand, shapes
from tests.pytorch import torch


def named(index):
    """The index in words that are the same in every process."""
    return re.sub(" at 0x[0-9a-f]+", "", repr(index))


def by_number(shape, index):
    """For each element of x[index], which element of x it is: what NumPy does, in numbers."""
    return np.arange(int(np.prod(shape))).reshape(shape)[index]


def reference(index):
    """x[index] for PyTorch, whatever NumPy index it is (PyTorch itself knows no negative steps)."""

    def take(x):
        numbers = np.array(by_number(x.shape, index))
        return x.reshape(-1)[torch.tensor(numbers)]

    return take


@st.composite
def parts(draw, length, advanced):
    """An index for one axis: a slice (mostly), an integer, or an index array."""
    kind = draw(st.sampled_from(["slice", "slice", "integer", "array", "mask"] if advanced else ["slice", "integer"]))
    bound = st.one_of(st.none(), st.integers(-length - 2, length + 2))
    if kind == "integer" and length:
        return draw(st.integers(-length, length - 1))
    if kind == "array" and length:
        return np.array(draw(st.lists(st.integers(-length, length - 1), min_size=3, max_size=3)))
    if kind == "mask" and length >= 3:
        mask = np.zeros(length, bool)
        mask[draw(st.permutations(range(length)))[:3]] = True
        return mask
    return slice(draw(bound), draw(bound), draw(st.sampled_from([None, 1, 2, -1, -2, 3])))


@st.composite
def indices(draw, shape, advanced):
    """A tuple index for an array of `shape`, with None and an Ellipsis here and there."""
    used = draw(st.integers(0, len(shape)))
    from_the_end = draw(st.booleans())
    axes = range(len(shape) - used, len(shape)) if from_the_end else range(used)
    index = [draw(parts(shape[a], advanced)) for a in axes]
    if from_the_end:
        index.insert(0, Ellipsis)
    elif draw(st.booleans()):
        index.append(Ellipsis)
    if draw(st.booleans()):
        index.insert(draw(st.integers(0, len(index))), None)
    return index[0] if len(index) == 1 else tuple(index)


def on_device(index):
    """The index with its arrays on the backend under test."""
    if isinstance(index, tuple):
        return tuple(on_device(part) for part in index)
    return device(index) if isinstance(index, np.ndarray) else index


@pytest.mark.parametrize("advanced", [False, True])
@examples(200)
@given(st.data())
def test_getitem(advanced, data):
    x = data.draw(operand())
    index = data.draw(indices(x.values.shape, advanced))
    check(lambda t: F.getitem(t, on_device(index)), reference(index), x)


@examples(120)
@given(st.data())
def test_setitem(data):
    x = data.draw(operand())
    index = data.draw(indices(x.values.shape, True))
    place = by_number(x.values.shape, index)
    shape = np.shape(place)
    value = data.draw(operand(tuple(1 if data.draw(st.booleans()) else n for n in shape)))

    def write(t, v):
        """Every element of the result is one of x or one of the value: which, NumPy says."""
        source = np.full(int(np.prod(x.values.shape)), -1)
        source[np.asarray(place).reshape(-1)] = np.arange(np.size(place))
        written = torch.broadcast_to(v, shape).reshape(-1)
        both = torch.cat([t.reshape(-1), written])
        number = np.where(source < 0, np.arange(source.size), source.size + source)
        return both[torch.tensor(number)].reshape(t.shape)

    # float64 into float32 keeps x's dtype, which is not what mixing means elsewhere.
    check(lambda t, v: F.setitem(t, on_device(index), v), write, [x, value], mixed=False)


FORMS = [
    0,
    -1,
    (1, 2),
    (1, -2),
    ...,
    None,
    (),
    (None, ..., None, 0),
    slice(None, None, -1),
    (slice(2, 0, -1), slice(None, None, -2)),
    slice(5, 9),
    [0, 0, 2],
    [-1],
    [],
    [True, False, True],
    [[0, 1], [2, 2]],
    np.array(1),
    np.int64(2),
    np.array([1, 1, 0], np.uint8),
    np.array([2, 0], np.int32),
    np.array([], int),
    np.zeros(3, bool),
    np.eye(3, 4, dtype=bool),
    True,
    False,
    (np.array([0, 2]), np.array([1, 3])),
    (np.array([[0], [2]]), np.array([1, 3])),
    (np.array([0, 0]), slice(1, None)),
    (slice(None), np.array([3, 3, 3])),
    (np.array([0, 1]), None, np.array([2, 2])),
    (np.array([True, False, True]), 2),
    (np.array([True, False, True]), np.array([1, 1])),
    ([0, 1], [2, 3]),
    (slice(None), [0, 0]),
    (0, [1, 1]),
    # sequences that are neither lists nor arrays; a tuple is one only inside a tuple
    (slice(None), (0, 0, 2)),
    ((0, 2, 2), (1, 3, 3)),
    ((0, 0),),
    (((0, 1), (2, 2)),),
    ((True, False, True),),
    (slice(None), ()),
    range(3),
    (slice(None), range(1, 3)),
    array.array("i", [0, 0, 2]),
    (slice(None), array.array("l", [3, 3])),
    memoryview(array.array("i", [1, 1])),
    (0, memoryview(array.array("i", [1, 1]))),
    collections.deque([2, 2]),
    (slice(None), collections.deque([0, 0, 2])),
    (slice(None), bytearray(b"\0\0")),
]


@pytest.mark.parametrize("index", FORMS, ids=named)
def test_forms_of_index(index):
    x = Operand(np.arange(12.0).reshape(3, 4) / 8)
    check(lambda t: F.getitem(t, on_device(index)), reference(index), x)
    t = tensor(x.values)
    np.testing.assert_array_equal(host(t[on_device(index)]), x.values[index])


@pytest.mark.parametrize("index", FORMS, ids=named)
def test_forms_of_index_to_write_at(index):
    expected = np.arange(12.0).reshape(3, 4)
    t = tensor(expected)
    u = F.setitem(tensor(expected, True), on_device(index), -1.0)
    t[on_device(index)] = -1.0
    expected[index] = -1
    np.testing.assert_array_equal(host(t), expected)
    np.testing.assert_array_equal(host(u), expected)


def test_tensors_as_index():
    x = tensor(np.arange(12.0).reshape(3, 4), True)
    rows = tensor(np.array([2, 0, 2]))
    y = x[rows]
    np.testing.assert_array_equal(host(y), host(x)[[2, 0, 2]])
    y.sum().backward()
    np.testing.assert_array_equal(host(x.grad), [[1] * 4, [0] * 4, [2] * 4])
    np.testing.assert_array_equal(host(x[x > 5]), np.arange(6.0, 12))
    np.testing.assert_array_equal(host(x[rows, tensor(np.array([1, 1, 1]))]), [9, 1, 9])


def test_repeated_indices_add_their_gradients_up():
    x = tensor(np.zeros(3), True)
    x[[0, 0, 2, 0]].backward(device(np.array([1.0, 2.0, 4.0, 8.0])))
    np.testing.assert_array_equal(host(x.grad), [11, 0, 4])


def test_repeated_indices_in_float16_lose_nothing():
    x = tensor(np.zeros(2, np.float16), True)
    F.getitem(x, device(np.zeros(5000, int))).backward(device(np.ones(5000, np.float16)))
    np.testing.assert_array_equal(host(x.grad), [5000, 0])


MILLION = 1_000_000


@pytest.mark.parametrize(
    "index", [np.zeros(MILLION, int), (slice(1), np.zeros(MILLION, int)), (slice(1), slice(1), np.zeros(MILLION, int))]
)
def test_a_place_that_is_named_a_million_times_loses_nothing(index):
    """In float32 a running sum of a million times 0.1 is 100,958."""
    x = tensor(np.zeros((2, 1, 1), np.float32), True)
    y = F.getitem(x, on_device(index))
    y.backward(device(np.full(y.shape, 0.1, np.float32)))
    np.testing.assert_allclose(host(x.grad), [[[100_000]], [[0]]])


def test_a_word_that_is_said_a_million_times_loses_nothing():
    weight = tensor(np.zeros((2, 1), np.float32), True)
    rows = F.embedding(device(np.ones(MILLION, np.int32)), weight)
    rows.backward(device(np.full(rows.shape, 0.1, np.float32)))
    np.testing.assert_allclose(host(weight.grad), [[0], [100_000]])


def test_a_sequence_as_index_may_be_written_to_afterwards():
    rows = array.array("l", [0, 1])
    x = tensor(np.zeros(3), True)
    y = x[rows]
    rows[0] = rows[1] = 2
    y.sum().backward()
    np.testing.assert_array_equal(host(x.grad), [1, 1, 0])


def test_the_last_value_stays_whatever_sequence_the_index_is():
    for places in ((0, 0, 1), range(2), array.array("i", [0, 0, 1])):
        value = tensor(np.arange(1.0, len(places) + 1), True)
        x = tensor(np.zeros((1, 3)))
        y = F.setitem(x, (0, places), value)
        x[0, places] = value.detach()
        expected = np.zeros((1, 3))
        for place, number in zip(places, host(value), strict=True):
            expected[0, place] = number
        np.testing.assert_array_equal(host(y), expected)
        np.testing.assert_array_equal(host(x), expected)
        y.sum().backward()
        gets = [number in expected for number in host(value)]
        np.testing.assert_array_equal(host(value.grad), gets)


def test_only_the_value_that_stays_gets_a_gradient():
    x, value = tensor(np.zeros(3), True), tensor(np.array([1.0, 2.0, 3.0]), True)
    y = F.setitem(x, [0, 0, 1], value)
    np.testing.assert_array_equal(host(y), [2, 3, 0])
    y.backward(device(np.ones(3)))
    np.testing.assert_array_equal(host(value.grad), [0, 1, 1])
    np.testing.assert_array_equal(host(x.grad), [0, 0, 1])


def test_setitem_keeps_the_dtype_and_the_original():
    x = tensor(np.zeros(2, np.float32), True)
    value = tensor(np.ones(1), True)
    y = F.setitem(x, [1], value)
    assert y.dtype == np.float32
    np.testing.assert_array_equal(host(x), 0)
    y.sum().backward()
    assert value.grad.dtype == np.float64


def test_a_value_may_have_leading_axes_of_length_one():
    value = tensor(np.ones((1, 1, 2)), True)
    F.setitem(tensor(np.zeros((3, 2))), 1, value).sum().backward()
    np.testing.assert_array_equal(host(value.grad), [[[1, 1]]])


def test_the_index_may_be_written_to_afterwards():
    rows = device(np.array([0, 1]))
    x = tensor(np.zeros(3), True)
    y = x[rows]
    rows[...] = 2
    y.sum().backward()
    np.testing.assert_array_equal(host(x.grad), [1, 1, 0])


def test_slices_are_views_and_index_arrays_copy():
    x = tensor(np.arange(4.0))
    assert backend.share_memory(x[1:].data, x.data)
    assert backend.share_memory(x[2].data, x.data)
    assert not backend.share_memory(x[[0, 1]].data, x.data)


def test_integers_are_indexed_and_written_too():
    x = tensor(np.arange(4))
    assert x[[1, 2]].dtype == np.int64
    x[0] = 7
    np.testing.assert_array_equal(host(x), [7, 1, 2, 3])


def test_what_does_not_fit_is_an_index_error():
    x = tensor(np.ones((2, 3)))
    for index in (2, (0, 3), (0, 0, 0), 0.5, "a"):
        with pytest.raises(IndexError, match=r"GetItem.*\(2, 3\)"):
            x[index]
    with pytest.raises(IndexError):
        F.setitem(x, 5, 0)
    with pytest.raises(IndexError):
        x[device(np.array([True, False, True]))]


def test_a_value_that_does_not_fit():
    with pytest.raises(md.ShapeError, match=r"SetItem.*\(2, 3\).*\(4,\)"):
        F.setitem(tensor(np.ones((2, 3))), 0, tensor(np.ones(4)))
    with pytest.raises(md.DTypeError, match="requires a gradient"):
        F.setitem(tensor(np.arange(3)), 0, tensor(np.array(1.0), True))


# ---- embedding


@st.composite
def words(draw):
    """A matrix with a row for each word, and words in any shape: repeated ones, none at all, a single one."""
    weight = draw(operand((draw(st.integers(1, 5)), draw(st.sampled_from([3, 1, 2, 0])))))
    shape = draw(shapes())
    indices = np.array(draw(st.lists(st.integers(0, len(weight.values) - 1), min_size=int(np.prod(shape)))))
    return weight, np.resize(indices, shape).astype(draw(st.sampled_from(["int64", "int32", "uint8"])))


@examples(60)
@given(words())
def test_embedding(drawn):
    weight, indices = drawn
    numbers = torch.tensor(indices.astype(np.int64))
    check(lambda w: F.embedding(device(indices), w), lambda w: w[numbers], weight)
    expected = torch.nn.functional.embedding(numbers, torch.tensor(weight.values)).numpy()
    np.testing.assert_array_equal(host(F.embedding(device(indices), tensor(weight.values))), expected)


def test_repeated_words_add_their_gradients_up():
    weight = tensor(np.ones((4, 2)), True)
    F.embedding(tensor(np.array([[3, 0], [3, 3]])), weight).sum().backward()
    np.testing.assert_array_equal(host(weight.grad), [[1, 1], [0, 0], [0, 0], [3, 3]])
    many = tensor(np.ones((2, 1), np.float16), True)
    F.embedding(device(np.zeros(5000, np.int64)), many).backward(device(np.ones((5000, 1), np.float16)))
    np.testing.assert_array_equal(host(many.grad), [[5000], [0]])


@pytest.mark.parametrize("shape", [(), (4,), (2, 5), (0,)])
@pytest.mark.parametrize("padding", [0, 2, -1])
def test_the_row_of_the_padding_gets_no_gradient(shape, padding):
    weight = np.random.default_rng(0).standard_normal((3, 2))
    words = np.random.default_rng(1).integers(0, 3, shape)
    ours, theirs = tensor(weight, True), torch.tensor(weight, requires_grad=True)
    y = F.embedding(device(words), ours, padding)
    z = torch.nn.functional.embedding(torch.tensor(words), theirs, padding)
    np.testing.assert_array_equal(host(y), z.detach().numpy())
    grad = md.grad((y * y * y).sum(), ours, create_graph=True)
    (z * z * z).sum().backward()
    np.testing.assert_allclose(host(grad), theirs.grad.numpy())
    second = host(md.grad(grad.sum(), ours))
    expected = 6 * weight * np.bincount(words.ravel(), minlength=3)[:, None]
    expected[padding] = 0
    np.testing.assert_allclose(second, expected)


def test_words_may_be_a_list_a_number_or_written_to_later():
    weight = tensor(np.arange(6.0).reshape(3, 2), True)
    np.testing.assert_array_equal(host(F.embedding([2, 0], weight)), [[4, 5], [0, 1]])
    np.testing.assert_array_equal(host(F.embedding(1, weight)), [2, 3])
    indices = device(np.array([0, 1]))
    y = F.embedding(indices, weight)
    indices[...] = 2
    y.sum().backward()
    np.testing.assert_array_equal(host(weight.grad), [[1, 1], [1, 1], [0, 0]])


def test_what_is_no_word():
    weight = tensor(np.ones((3, 2)))
    for wrong in (3, -1):
        with pytest.raises(IndexError, match=f"embedding: expected indices from 0 to 2; got {wrong}"):
            F.embedding(np.array([0, wrong, 1]), weight)
    for indices in (device(np.array([0.0])), device(np.array([True])), [0.5]):
        with pytest.raises(md.DTypeError, match="embedding: expected whole numbers as indices; got"):
            F.embedding(indices, weight)
    for row in (3, -4, 1.0):
        with pytest.raises(ValueError, match=f"embedding: padding_idx: expected .*; got {row}"):
            F.embedding([0], weight, row)
    with pytest.raises(md.ShapeError, match=r"\(num_embeddings, embedding_dim\); got shape \(3,\)"):
        F.embedding([0], tensor(np.ones(3)))
