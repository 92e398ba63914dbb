"""The exercises of tutorial 7: sizes and parameters of a conv net, max pooling, the confusion matrix, a mistake."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.check.exercise import Exercise, Explain, Implement, Mistake, Predict


def _sides(conv1: float, pool1: float, conv2: float, pool2: float) -> dict[str, float]:
    return {"conv1": conv1, "pool1": pool1, "conv2": conv2, "pool2": pool2}


def _counts(conv1: int, conv2: int, fc: int) -> dict[str, int]:
    return {"conv1": conv1, "conv2": conv2, "fc": fc}


t07_sizes = Predict(
    "t07_sizes",
    "the side of the maps after conv1, pool1, conv2 and pool2, for an image of 8x8",
    _sides(8, 4, 4, 2),
    mistakes=[
        Mistake(_sides(6, 3, 1, 0), "that is without padding; here a row of zeros is put around each map before"),
        Mistake(_sides(6, 4, 4, 2), "that is without padding; here a row of zeros is put around each map before"),
        Mistake(_sides(7, 3, 2, 1), "count the places again: the filter has one before its first move, hence the + 1"),
        Mistake(_sides(8, 8, 8, 8), "a convolution with this padding keeps the size; what does pooling do?"),
        Mistake(_sides(8, 2, 4, 2), "a square of 2x2 pixels becomes one: how long is a side then?"),
        Mistake(_sides(8, 4, 2, 2), "conv2 keeps the size as conv1 does: its padding is 1 too"),
        Mistake(_sides(8, 7, 7, 6), "the squares of the pooling do not overlap: it goes on by 2"),
        Mistake(_sides(10, 5, 7, 3), "the padding makes it larger by 2, and a filter of 3x3 smaller by 2"),
        Mistake(_sides(64, 16, 16, 4), "that is how many numbers a map has; the length of one side was asked for"),
        Mistake(_sides(8, 4, 4, 4), "pool2 takes one number of each square, as pool1 does"),
        Mistake(_sides(8, 8, 16, 16), "that is how many maps there are; how large is each?"),
    ],
    rtol=0.01,
    why="(8 + 2 * 1 - 3) + 1 = 8, and 2x2 pooling halves.",
)

t07_parameters = Predict(
    "t07_parameters",
    "the numbers that are learned in conv1, in conv2 and in fc",
    _counts(8 * 1 * 9 + 8, 16 * 8 * 9 + 16, 64 * 10 + 10),
    mistakes=[
        Mistake(_counts(72, 1152, 640), "the biases are missing: one for each map, and one for each class"),
        Mistake(
            _counts(80, 160, 650),
            "a filter of conv2 looks at all 8 maps that come to it, with weights of its own for each",
        ),
        Mistake(_counts(72, 144, 640), "a filter of conv2 looks at all 8 maps; and the biases are missing"),
        Mistake(_counts(80, 1168, 170), "each of the 16 maps that come to fc has 2x2 numbers"),
        Mistake(_counts(80, 1168, 2570), "how large are the maps when they come to fc? pool2 has been there"),
        Mistake(_counts(80, 1168, 10250), "how large are the maps when they come to fc? Two poolings have been there"),
        Mistake(_counts(73, 1153, 641), "there is a bias for each map, not one for the layer"),
        Mistake(_counts(72, 1152, 650), "the biases of the maps are missing: each map has one"),
        Mistake(_counts(80, 1168, 640), "the biases of fc are missing: each score has one"),
        Mistake(_counts(80, 1280, 650), "a map has one bias, however many channels come to it"),
        Mistake(_counts(80, 1160, 650), "a bias belongs to a map that conv2 makes, and not to one that comes to it"),
        Mistake(_counts(10, 1168, 650), "that is one filter and its bias: how many maps does conv1 make?"),
        Mistake(_counts(9, 1168, 650), "that is one filter, without its bias: how many maps does conv1 make?"),
        Mistake(_counts(80, 1168, 704), "a bias belongs to a score, not to a number that comes to fc"),
        Mistake(_counts(5120, 4672, 650), "a filter is the same at every place: its weights count once"),
    ],
    rtol=1e-4,
    why="1898 in all: fc has a third of them, though it sees only 64 numbers.",
)


def _pooled(x: Any) -> Any:
    n, c, h, w = x.shape
    return x.reshape(n, c, h // 2, 2, w // 2, 2).max(axis=(3, 5))


def _spread(grad_out: Any) -> Any:
    """Each number of a map as a square of 2x2."""
    return grad_out.repeat(2, axis=2).repeat(2, axis=3)


def _max_pool_backward(grad_out: Any, x: Any) -> Any:
    return np.where(x == _spread(_pooled(x)), _spread(grad_out), 0).astype(x.dtype)


def _place_swapped(grad_out: Any, x: Any) -> Any:
    grad_x = np.zeros_like(x)
    for n, c, i, j in np.ndindex(grad_out.shape):
        k = int(x[n, c, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2].argmax())
        grad_x[n, c, 2 * i + k % 2, 2 * j + k // 2] = grad_out[n, c, i, j]
    return grad_x


def _first_channel(grad_out: Any, x: Any) -> Any:
    grad_x = _max_pool_backward(grad_out, x)
    grad_x[:, 1:] = 0
    return grad_x


def _first_image(grad_out: Any, x: Any) -> Any:
    grad_x = _max_pool_backward(grad_out, x)
    grad_x[1:] = 0
    return grad_x


def _upper_left(grad_out: Any, x: Any) -> Any:
    grad_x = np.zeros_like(x)
    grad_x[:, :, ::2, ::2] = grad_out
    return grad_x


def _marked(grad_out: Any, x: Any, begin: float, on_the_way: bool) -> Any:
    """By loops, with the largest so far, which begins with `begin`."""
    grad_x = np.zeros_like(x)
    for n, c, i, j in np.ndindex(grad_out.shape):
        largest, place = begin, None
        for k, m in np.ndindex(2, 2):
            if x[n, c, 2 * i + k, 2 * j + m] > largest:
                largest, place = x[n, c, 2 * i + k, 2 * j + m], (n, c, 2 * i + k, 2 * j + m)
                if on_the_way:
                    grad_x[place] = grad_out[n, c, i, j]
        if place is not None:
            grad_x[place] = grad_out[n, c, i, j]
    return grad_x


def _marked_on_the_way(grad_out: Any, x: Any) -> Any:
    return _marked(grad_out, x, -np.inf, True)


def _marked_from_zero(grad_out: Any, x: Any) -> Any:
    return _marked(grad_out, x, 0.0, False)


def _marked_from_zero_on_the_way(grad_out: Any, x: Any) -> Any:
    return _marked(grad_out, x, 0.0, True)


def _overlapping(grad_out: Any, x: Any) -> Any:
    grad_x = np.zeros_like(x)
    for n, c, i, j in np.ndindex(grad_out.shape):
        square = x[n, c, i : i + 2, j : j + 2]
        grad_x[n, c, i : i + 2, j : j + 2] += (square == square.max()) * grad_out[n, c, i, j]
    return grad_x


def _without_last(grad_out: Any, x: Any) -> Any:
    grad_x = _max_pool_backward(grad_out, x)
    grad_x[:, :, -2:] = 0
    grad_x[:, :, :, -2:] = 0
    return grad_x


_MARKS = (
    "a number that was the largest for a while keeps its gradient: give it only when the whole square was seen; and "
    "0 is no good beginning where all four are negative"
)


def _maps(rng: np.random.Generator) -> Any:
    yield np.array([[[[1.0, 2.0]]]]), np.array([[[[1.0, 5.0, 2.0, 0.0], [3.0, 4.0, 6.0, -1.0]]]])
    for n, c, h, w in ((2, 3, 2, 3), (3, 2, 4, 1)):
        yield rng.standard_normal((n, c, h, w)), rng.standard_normal((n, c, 2 * h, 2 * w))


t07_max_pool_backward = Implement(
    "t07_max_pool_backward",
    "dL/dx of 2x2 max pooling, given dL/dy",
    _max_pool_backward,
    _maps,
    mistakes=[
        Mistake(
            lambda grad_out, x: _spread(grad_out) / 4, "that is average pooling: all four share; here only one was used"
        ),
        Mistake(
            lambda grad_out, x: _spread(grad_out),
            "all four get the gradient; those that were not the largest changed nothing in y",
        ),
        Mistake(
            lambda grad_out, x: (x == _spread(_pooled(x))).astype(x.dtype),
            "you found the largest ones, but grad_out is not used",
        ),
        Mistake(lambda grad_out, x: x == _spread(_pooled(x)), "you found the largest ones, but grad_out is not used"),
        Mistake(
            lambda grad_out, x: _spread(grad_out) * x * (x == _spread(_pooled(x))),
            "the gradient is multiplied by x; but when the largest grows by d, so does y: the derivative is 1",
        ),
        Mistake(
            lambda grad_out, x: np.tile(grad_out, (1, 1, 2, 2)) * (x == _spread(_pooled(x))),
            "the gradients come to the wrong squares: np.tile puts the whole map side by side, np.repeat each number",
        ),
        Mistake(_upper_left, "the gradient always goes to the upper left of the square; where was the largest?"),
        Mistake(
            lambda grad_out, x: _spread(grad_out) * (x == x.max(axis=(2, 3), keepdims=True)),
            "you look for the largest of the whole map; each square has its own",
        ),
        Mistake(
            lambda grad_out, x: _spread(grad_out) * (x == x.max()),
            "you look for the largest of everything; each square has its own",
        ),
        Mistake(
            lambda grad_out, x: _spread(grad_out) * (x > 0),
            "that is the backward of ReLU, which asks for the sign; here the largest of the square is asked for",
        ),
        Mistake(
            _place_swapped,
            "row and column in the square are swapped: argmax counts row by row: k // 2 is the row, k % 2 the column",
        ),
        Mistake(_first_channel, "only the first map of each image gets a gradient: each channel is pooled by itself"),
        Mistake(_first_image, "only the first image of the batch gets a gradient"),
        Mistake(
            lambda grad_out, x: _max_pool_backward(grad_out, -x),
            "the gradient goes to the smallest of each square; y is the largest",
        ),
        Mistake(
            lambda grad_out, x: x * (x == _spread(_pooled(x))),
            "at the right places stands the value of x; asked for is the gradient that comes to it",
        ),
        Mistake(
            _marked_on_the_way,
            "a number that was the largest for a while keeps its gradient: give it only when the whole square was seen",
        ),
        Mistake(_marked_from_zero, "you begin with 0 as the largest so far: what if all four are negative?"),
        Mistake(_marked_from_zero_on_the_way, _MARKS),
        Mistake(_overlapping, "these squares overlap: the next one begins two pixels farther on, not one"),
        Mistake(_without_last, "the last row and the last column of squares are left out: how far does range go?"),
        Mistake(
            lambda grad_out, x: grad_out.repeat(2, axis=2) * (x == _pooled(x).repeat(2, axis=2)),
            "both sides are to be doubled: the rows are axis 2, the columns axis 3",
        ),
        Mistake(
            lambda grad_out, x: x * grad_out,
            "grad_out has one number for each square, x one for each pixel: first make them equally large",
        ),
        Mistake(
            lambda grad_out, x: grad_out * _pooled(x),
            "dL/dx has the shape of x: one number for each pixel, not for each square",
        ),
        Mistake(lambda grad_out, x: grad_out, "dL/dx has the shape of x: one number for each pixel"),
    ],
    forward=_pooled,
)


def _confusion_matrix(scores: Any, labels: Any) -> Any:
    classes = scores.shape[1]
    count = np.zeros((classes, classes), dtype=int)
    np.add.at(count, (labels, scores.argmax(axis=1)), 1)
    return count


def _as_int64(answer: Any, scores: Any, labels: Any) -> Any:
    """What the answer gives; whole numbers of any size will do."""
    found = answer(scores, labels)
    return found.astype(np.int64) if isinstance(found, np.ndarray) and found.dtype.kind in "iu" else found


def _without_duplicates(scores: Any, labels: Any) -> Any:
    count = np.zeros((scores.shape[1],) * 2, dtype=int)
    count[labels, scores.argmax(axis=1)] += 1
    return count


def _by_loop(labels: Any, answers: Any, classes: int) -> Any:
    count = np.zeros((classes, classes), dtype=int)
    for label, answer in zip(labels, answers, strict=False):
        count[label, answer] += 1
    return count


def _other_axis_at_once(scores: Any, labels: Any) -> Any:
    count = np.zeros((scores.shape[1],) * 2, dtype=int)
    np.add.at(count, (labels, scores.argmax(axis=0)), 1)
    return count


def _other_axis_indexed(scores: Any, labels: Any) -> Any:
    count = np.zeros((scores.shape[1],) * 2, dtype=int)
    count[labels, scores.argmax(axis=0)] += 1
    return count


def _as_many_as_labels(scores: Any, labels: Any) -> Any:
    classes = int(labels.max()) + 1
    return _confusion_matrix(scores, labels)[:classes, :classes]


def _last_left_out(scores: Any, labels: Any) -> Any:
    return _confusion_matrix(scores[:-1], labels[:-1])


def _first_left_out(scores: Any, labels: Any) -> Any:
    return _confusion_matrix(scores[1:], labels[1:])


def _ten_classes(scores: Any, labels: Any) -> Any:
    return _by_loop(labels, scores.argmax(axis=1), 10)


def _truth_of_an_array(scores: Any, labels: Any) -> Any:
    return labels == 0 & scores.argmax(axis=1) == 0


def _truth_by_and(scores: Any, labels: Any) -> Any:
    return labels == 0 and scores.argmax(axis=1) == 0


def _no_minlength(scores: Any, labels: Any) -> Any:
    classes = scores.shape[1]
    return np.bincount(labels * classes + scores.argmax(axis=1)).reshape(classes, classes)


_TRUTH = (
    "a whole array was asked whether it is true, by `if`, by `and`, or by a == i & b == j, which Python reads as "
    "a == (i & b) == j: write (a == i) & (b == j)"
)


def _answers(rng: np.random.Generator) -> Any:
    """Scores without ties; the last class is answered once and never right. One pair comes three times."""
    scores = np.array([[0.1, 0.9, 0.0], [0.3, 0.8, 0.1], [0.2, 0.7, 0.3], [0.4, 0.2, 0.3], [0.2, 0.1, 0.6]])
    yield scores, np.array([1, 1, 1, 1, 0])
    for n, classes in ((40, 4), (25, 6)):
        labels = rng.integers(0, classes, n)
        yield rng.standard_normal((n, classes)) + 1.5 * np.eye(classes)[labels], labels


t07_confusion = Implement(
    "t07_confusion",
    "how many examples of class i (row) got the answer j (column), from scores (N, C) and labels (N,)",
    _confusion_matrix,
    _answers,
    mistakes=[
        Mistake(
            lambda scores, labels: _confusion_matrix(scores, labels).T,
            "rows and columns are swapped: the row is what it is, the column what it is taken for",
        ),
        Mistake(
            _without_duplicates,
            "a pair that comes several times is counted once, as by count[rows, columns] += 1; np.add.at, or a loop "
            "that adds 1, counts all",
        ),
        Mistake(
            lambda scores, labels: _confusion_matrix(scores, labels) / len(labels),
            "these are shares of all; numbers of examples were asked for",
        ),
        Mistake(
            lambda scores, labels: (
                _confusion_matrix(scores, labels)
                / np.maximum(np.bincount(labels, minlength=scores.shape[1]), 1)[:, None]
            ),
            "these are shares of the row; numbers of examples were asked for",
        ),
        Mistake(
            lambda scores, labels: _confusion_matrix(scores, labels).astype(np.float64),
            "the numbers are right, but examples are counted with whole numbers: np.zeros(..., dtype=int)",
        ),
        Mistake(
            lambda scores, labels: _by_loop(labels, scores.argmin(axis=1), scores.shape[1]),
            "you take the class with the lowest score",
        ),
        Mistake(
            lambda scores, labels: _by_loop(labels, scores.argmax(axis=0), scores.shape[1]),
            "argmax goes over the wrong axis: for each example (row) the best class is asked for",
        ),
        Mistake(
            lambda scores, labels: _by_loop(labels, [scores.argmax()] * len(labels), scores.shape[1]),
            "argmax without an axis gives one number for all: each example has its own answer",
        ),
        Mistake(
            _other_axis_at_once, "argmax goes over the wrong axis: for each example (row) the best class is asked for"
        ),
        Mistake(
            _other_axis_indexed, "argmax goes over the wrong axis: for each example (row) the best class is asked for"
        ),
        Mistake(_last_left_out, "the last example is not counted: how far does the loop go?"),
        Mistake(_first_left_out, "the first example is not counted: where does the loop begin?"),
        Mistake(
            _ten_classes, "the table has a row for each class; how many classes there are, the shape of scores says"
        ),
        Mistake(_truth_of_an_array, _TRUTH),
        Mistake(_truth_by_and, _TRUTH),
        Mistake(_no_minlength, "bincount ends with the largest number that occurs: give it minlength=C * C"),
        Mistake(_as_many_as_labels, "there are as many classes as columns of the scores, also if no label is the last"),
        Mistake(
            lambda scores, labels: _confusion_matrix(scores, labels) * ~np.eye(scores.shape[1], dtype=bool),
            "the right answers are missing: they are counted on the diagonal",
        ),
        Mistake(
            lambda scores, labels: np.diag(np.diag(_confusion_matrix(scores, labels))),
            "only the right answers are counted",
        ),
        Mistake(
            lambda scores, labels: (scores.argmax(axis=1) == labels).mean(),
            "that is the accuracy; the table says also which classes are taken for which",
        ),
        Mistake(
            lambda scores, labels: scores.argmax(axis=1),
            "these are the answers; now count the pairs of label and answer",
        ),
    ],
    adapt=_as_int64,
)

t07_shift = Explain(
    "t07_shift",
    "A digit that lies one pixel farther to the side is often taken for another. Why?",
    {
        "a": "Ink is pushed over the edge of the image.",
        "b": "The filters give other numbers for the same stroke at another place.",
        "c": "The maps move along with the digit, and fc, which has a weight for each place, sees them elsewhere.",
        "d": "The network has not been trained long enough.",
    },
    "c",
    hints={
        "a": "less than a hundredth of the ink is lost; could that turn every fourth answer?",
        "b": "inside of the maps the difference was 0: the filters answer as before, one place farther on",
        "d": "where the digits lie as in training, it is right in nine of ten cases and more",
    },
)

EXERCISES: tuple[Exercise, ...] = (t07_sizes, t07_parameters, t07_max_pool_backward, t07_confusion, t07_shift)
