"""Tutorial 7: what its text says is so, and its checks know right answers and the usual wrong ones."""

from __future__ import annotations

import numpy as np
import pytest

from minidl import check


@pytest.fixture
def t07(tutorial):
    return tutorial("07_conv_net")


def test_sizes_and_parameters_are_those_of_the_network(t07):
    children = dict(t07["conv_net"]().named_children())
    counts = {name: sum(p.size for p in children[name].parameters()) for name in ("conv1", "conv2", "fc")}
    assert check.t07_parameters(counts, show=False).passed
    assert t07["total"] == sum(counts.values()) == 1898
    assert counts["fc"] / t07["total"] == pytest.approx(1 / 3, rel=0.05)  # what the answer says of fc


def test_its_max_pool_is_the_librarys(t07):
    x = np.random.default_rng(0).standard_normal((2, 3, 6, 4))
    np.testing.assert_array_equal(t07["max_pool"](x), t07["F"].max_pool2d(x, 2))


def test_one_pixel_of_each_square_gets_the_gradient(t07):
    grad, image = t07["image"].grad.numpy()[0, 0], t07["image"].numpy()[0, 0]
    assert t07["reached"] == 16
    squares = grad.reshape(4, 2, 4, 2).transpose(0, 2, 1, 3).reshape(16, 4)
    np.testing.assert_array_equal(squares.sum(axis=1), 1)
    paper = image.reshape(4, 2, 4, 2).transpose(0, 2, 1, 3).reshape(16, 4).max(axis=1) == 0
    assert paper.any()
    assert (squares[paper, 0] == 1).all()  # minidl takes the first of equal ones


def test_it_learns(t07):
    assert t07["tested"].accuracy > 0.9
    assert t07["accuracy"] == pytest.approx(t07["tested"].accuracy)
    np.testing.assert_array_equal(t07["count"], t07["confusion"].count)
    assert t07["count"].sum() == 360


def test_some_filters_matter_and_some_hardly(t07):
    change = np.sort(t07["change"])
    assert change[0] < -0.1
    assert (np.abs(change) < 0.015).sum() >= 2
    for name, p in t07["model"].named_parameters():
        np.testing.assert_array_equal(p.numpy(), t07["trained"][name])  # all was put back


def test_one_pixel_to_the_side(t07):
    assert t07["as_it_is"] > 0.9
    assert 0.4 < t07["right"] < 0.8
    assert 0.4 < t07["left"] < 0.8
    assert max(t07["lost"]) < 0.01
    assert t07["apart"] < 1e-5
    for name in ("as_it_is_taught", "right_taught", "left_taught"):
        assert t07[name] > 0.9
    steps = 3 * len(t07["three"]) / 8, 8 * len(t07["data"].train) / 8
    assert steps[0] == pytest.approx(steps[1], rel=0.15)  # about as many


def test_what_is_for_the_teacher(t07):
    assert len(t07["slides"]) == 2
    assert t07["pages"]["07_pool"].find(phase="backward")


# ---- the backward of max pooling, in students' styles


def pooled(x):
    n, c, h, w = x.shape
    return x.reshape(n, c, h // 2, 2, w // 2, 2).max(axis=(3, 5))


def backward_by_loops(grad_out, x):
    grad_x = np.zeros_like(x)
    for n, c, i, j in np.ndindex(grad_out.shape):
        square = x[n, c, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2]
        a, b = np.unravel_index(square.argmax(), (2, 2))
        grad_x[n, c, 2 * i + a, 2 * j + b] += grad_out[n, c, i, j]
    return grad_x


def backward_by_kron(grad_out, x):
    ones = np.ones((1, 1, 2, 2), dtype=x.dtype)
    return np.where(x == np.kron(pooled(x), ones), np.kron(grad_out, ones), 0).astype(x.dtype)


def backward_by_axes(grad_out, x):
    n, c, h, w = grad_out.shape
    squares = x.reshape(n, c, h, 2, w, 2)
    mask = squares == squares.max(axis=(3, 5), keepdims=True)
    return (mask * grad_out[:, :, :, None, :, None]).reshape(x.shape)


@pytest.mark.parametrize("answer", [backward_by_loops, backward_by_kron, backward_by_axes])
def test_right_pooling(answer):
    assert check.t07_max_pool_backward(answer, show=False).passed


def shared(grad_out, x):
    return np.repeat(np.repeat(grad_out, 2, axis=2), 2, axis=3) * 0.25


def to_all(grad_out, x):
    grad_x = np.empty_like(x)
    for a in range(2):
        for b in range(2):
            grad_x[:, :, a::2, b::2] = grad_out
    return grad_x


def mask_alone(grad_out, x):
    y = pooled(x)
    return np.where(x == y.repeat(2, axis=2).repeat(2, axis=3), 1.0, 0.0).astype(x.dtype)


def times_x(grad_out, x):
    mask = x == pooled(x).repeat(2, axis=2).repeat(2, axis=3)
    return grad_out.repeat(2, axis=2).repeat(2, axis=3) * np.where(mask, x, 0)


def tiled(grad_out, x):
    mask = x == pooled(x).repeat(2, axis=2).repeat(2, axis=3)
    return mask * np.tile(grad_out, (1, 1, 2, 2))


def first_place(grad_out, x):
    grad_x = x * 0
    grad_x[..., ::2, ::2] += grad_out
    return grad_x


def largest_of_the_map(grad_out, x):
    mask = x == x.max(axis=-1, keepdims=True).max(axis=-2, keepdims=True)
    return mask * grad_out.repeat(2, axis=2).repeat(2, axis=3)


def like_relu(grad_out, x):
    return (x > 0) * grad_out.repeat(2, axis=2).repeat(2, axis=3)


def as_small_as_y(grad_out, x):
    return grad_out * 1.0


def column_before_row(grad_out, x):
    grad_x = np.zeros_like(x)
    for n, c, i, j in np.ndindex(grad_out.shape):
        place = np.argmax(x[n, c, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2])
        grad_x[n, c, 2 * i + place % 2, 2 * j + place // 2] = grad_out[n, c, i, j]
    return grad_x


def one_channel(grad_out, x):
    grad_x = np.zeros_like(x)
    for n in range(len(x)):
        for i in range(grad_out.shape[2]):
            for j in range(grad_out.shape[3]):
                a, b = divmod(np.argmax(x[n, 0, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2]), 2)
                grad_x[n, 0, 2 * i + a, 2 * j + b] = grad_out[n, 0, i, j]
    return grad_x


def sizes_not_matched(grad_out, x):
    return (x == pooled(x).repeat(2, axis=2).repeat(2, axis=3)) * grad_out


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (column_before_row, "k // 2 is the row"),
        (one_channel, "each channel"),
        (sizes_not_matched, "one number for each square"),
        (shared, "average pooling"),
        (to_all, "all four get the gradient"),
        (mask_alone, "grad_out is not used"),
        (times_x, "the derivative is 1"),
        (tiled, "np.repeat each number"),
        (first_place, "upper left"),
        (largest_of_the_map, "each square has its own"),
        (like_relu, "backward of ReLU"),
        (as_small_as_y, "the shape of x"),
    ],
)
def test_wrong_pooling(answer, words):
    found = check.t07_max_pool_backward(answer, show=False)
    assert not found.passed
    assert words in found.hint


# ---- the confusion matrix


def by_bincount(scores, labels):
    classes = scores.shape[1]
    return np.bincount(labels * classes + scores.argmax(axis=1), minlength=classes**2).reshape(classes, classes)


def by_comparison(scores, labels):
    answers, classes = np.argmax(scores, axis=-1), range(scores.shape[1])
    return np.array([[np.sum((labels == i) & (answers == j)) for j in classes] for i in classes])


@pytest.mark.parametrize("answer", [by_bincount, by_comparison])
def test_right_confusion(answer):
    assert check.t07_confusion(answer, show=False).passed


def swapped(scores, labels):
    count = np.zeros((scores.shape[1], scores.shape[1]), dtype=int)
    for i in range(len(labels)):
        count[np.argmax(scores[i]), labels[i]] += 1
    return count


def once_a_pair(scores, labels):
    c = scores.shape[1]
    table = np.zeros((c, c), dtype=int)
    answers = np.argmax(scores, 1)
    table[labels, answers] = table[labels, answers] + 1
    return table


def in_floats(scores, labels):
    count = np.zeros((scores.shape[1], scores.shape[1]))
    for label, answer in zip(labels, scores.argmax(1), strict=True):
        count[label][answer] += 1
    return count


def along_the_other_axis(scores, labels):
    c = scores.shape[1]
    count = np.zeros((c, c), dtype=int)
    np.add.at(count, (labels, np.argmax(scores, axis=0)), 1)
    return count


def shares_of_rows(scores, labels):
    count = by_bincount(scores, labels)
    return count / np.maximum(count.sum(axis=1, keepdims=True), 1)


def mistakes_alone(scores, labels):
    count = by_bincount(scores, labels).copy()
    np.fill_diagonal(count, 0)
    return count


def too_few_classes(scores, labels):
    return by_bincount(scores, labels)[: len(set(labels.tolist())), : len(set(labels.tolist()))]


def one_answer_for_all(scores, labels):
    count = np.zeros((scores.shape[1], scores.shape[1]), dtype=int)
    answer = scores.argmax() % scores.shape[1]
    for label in labels:
        count[label, answer] += 1
    return count


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (swapped, "swapped"),
        (once_a_pair, "only once where a pair comes twice"),
        (in_floats, "whole numbers"),
        (along_the_other_axis, "wrong axis"),
        (lambda scores, labels: np.mean(scores.argmax(axis=1) == labels), "accuracy"),
        (shares_of_rows, "shares of the row"),
        (mistakes_alone, "right answers are missing"),
        (too_few_classes, "as many classes as columns"),
        (one_answer_for_all, "without an axis"),
        (lambda scores, labels: scores.argmax(axis=1), "now count the pairs"),
    ],
)
def test_wrong_confusion(answer, words):
    found = check.t07_confusion(answer, show=False)
    assert not found.passed
    assert words in found.hint


def test_whole_numbers_of_any_size_will_do():
    assert check.t07_confusion(lambda scores, labels: by_bincount(scores, labels).astype(np.int32), show=False).passed


# ---- predictions and the explanation


def sides(*numbers):
    return dict(zip(("conv1", "pool1", "conv2", "pool2"), numbers, strict=True))


def counts(*numbers):
    return dict(zip(("conv1", "conv2", "fc"), numbers, strict=True))


@pytest.mark.parametrize(
    ("exercise", "wrong", "words"),
    [
        ("t07_sizes", sides(6, 3, 1, 0), "without padding"),
        ("t07_sizes", sides(8, 8, 8, 8), "what does pooling do"),
        ("t07_sizes", sides(8, 4, 2, 1), "keeps the size as conv1"),
        ("t07_parameters", counts(72, 1152, 640), "biases are missing"),
        ("t07_parameters", counts(80, 160, 650), "looks at all 8 maps"),
        ("t07_parameters", counts(80, 1168, 2570), "pool2 has been there"),
        ("t07_shift", "a", "hundredth of the ink"),
        ("t07_shift", "b", "the difference was 0"),
        ("t07_shift", "d", "nine of ten"),
    ],
)
def test_wrong_predictions(exercise, wrong, words):
    found = getattr(check, exercise)(wrong, show=False)
    assert not found.passed
    assert words in found.hint


def test_right_predictions():
    assert check.t07_sizes(sides(8, 4, 4, 2), show=False).passed
    assert check.t07_parameters(counts(80, 1168, 650), show=False).passed
    assert check.t07_shift("c", show=False).passed
    assert "conv2" in check.t07_sizes(sides(8, 4, 5, 2), show=False).difference
    assert "not answered" in check.t07_sizes(sides(8, 4, 4, ...), show=False).difference
