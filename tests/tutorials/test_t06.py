"""Tutorial 6: what its text claims, and what its checks say to right and wrong answers."""

import numpy as np
import pytest

import minidl as md
import minidl.functional as F
from minidl.check.differences import by_differences

STEM = "06_convolution"


def test_the_loops_the_product_and_minidl_agree(tutorial):
    ran = tutorial(STEM)
    assert ran["edges"].shape == (6, 6)
    np.testing.assert_allclose(ran["in_minidl"], ran["edges"], atol=1e-12)
    np.testing.assert_allclose(ran["product"].reshape(6, 6), ran["edges"], atol=1e-12)
    assert ran["cols"].shape == (9, 36)


def test_the_filter_is_negative_where_ink_begins_and_positive_where_it_ends(tutorial):
    edges = tutorial(STEM)["edges"]
    assert edges[2, 0] < -2  # the outer left side of the zero
    assert edges[2, 5] > 2  # the outer right side


def test_a_dense_layer_would_need_800_times_the_weights(tutorial):
    ran = tutorial(STEM)
    assert ran["weights"] == 2_400
    assert ran["dense"] == ran["weights"] * 784


@pytest.mark.parametrize(("size", "k", "stride", "padding"), [(28, 5, 2, 2), (14, 5, 1, 0), (8, 3, 2, 0), (8, 3, 3, 1)])
def test_the_formula_of_the_size(size, k, stride, padding):
    places = F.conv2d(np.zeros((1, 1, size, size)), np.zeros((1, 1, k, k)), stride=stride, padding=padding).shape[2]
    assert places == (size + 2 * padding - k) // stride + 1


def test_three_overlapping_patches_add_up_to_3(tutorial):
    scattered = tutorial(STEM)["scattered"]
    assert set(np.unique(scattered)) == {0, 1, 2, 3}
    assert scattered[3, 3] == 3


def test_how_often_a_pixel_is_used(tutorial):
    col2im = tutorial(STEM)["col2im"]
    counts = {
        stride: col2im(np.ones((9, ((8 - 3) // stride + 1) ** 2)), (1, 8, 8), 3, stride, 0)[0] for stride in (1, 2, 3)
    }
    assert (counts[1][0, 0], counts[1][0, 4], counts[1][4, 4]) == (1, 3, 9)
    assert set(np.unique(counts[2])) == {0, 1, 2, 4}
    assert not counts[2][7].any()  # one row and one column are never looked at
    assert not counts[2][:, 7].any()
    assert counts[2][:7, :7].all()
    assert set(np.unique(counts[3])) == {0, 1}


def test_col2im_is_the_transpose_of_im2col(tutorial):
    ran = tutorial(STEM)
    assert ran["forward_sum"] == pytest.approx(ran["backward_sum"], rel=1e-12)


def test_the_whole_backward_is_minidls_and_that_of_finite_differences(tutorial):
    ran = tutorial(STEM)
    np.testing.assert_allclose(ran["grad_x"], ran["X"].grad.numpy()[0], atol=1e-12)
    np.testing.assert_allclose(ran["grad_w"], ran["W"].grad.numpy(), atol=1e-12)
    assert ran["agrees"] is True
    by_hand = by_differences(
        lambda x, w: F.conv2d(x[None], w, stride=2, padding=1)[0],
        ran["grad_y"][0],
        (ran["X"].numpy()[0], ran["W"].numpy()),
    )
    np.testing.assert_allclose(ran["grad_x"], by_hand[0], atol=1e-6)
    np.testing.assert_allclose(ran["grad_w"], by_hand[1], atol=1e-6)


def test_event_6_is_the_backward_of_the_convolution(tutorial):
    event = tutorial(STEM)["tape"][6]
    assert (event.phase, event.op) == ("backward", "Conv")
    assert event.gradient.shape == (1, 1, 4, 4)
    assert [addend.grad.shape for addend in event.addends] == [(1, 1, 6, 6), (1, 1, 3, 3)]


def test_the_columns_are_several_times_as_large_as_the_images(tutorial):
    ran = tutorial(STEM)
    assert ran["batch"].nbytes / 2**20 == 4
    assert 27 < ran["columns_mib"] < 28
    assert ran["columns_mib"] == pytest.approx(ran["mib"][-1])


def test_blocks_compute_the_same(tutorial):
    """Times are measured there and never asserted: they belong to the machine."""
    ran = tutorial(STEM)
    assert max(ran["off"]) < 1e-5
    for block in (1, 3, 256):  # also one that does not divide the batch
        y = ran["convolve_in_blocks"](ran["batch"], ran["kernels"], block)
        np.testing.assert_allclose(y.reshape(ran["fast_result"].shape), ran["fast_result"], atol=1e-5 * ran["largest"])
    assert ran["fast"] > 0
    assert ran["plain"] > 0
    assert len(ran["in_blocks"]) == len(ran["blocks"])


def test_the_number_of_threads_is_set_back(tutorial):
    assert tutorial(STEM)["threads"] == md.get_num_threads()


def test_two_slides_and_a_page(tutorial):
    ran = tutorial(STEM)
    assert len(ran["slides"]) == 2
    assert list(ran["pages"]) == ["06_convolution"]


# im2col: right ones in other styles, and wrong ones as students write them


def by_list(x, k, stride, padding):
    p = padding
    channels, height, width = x.shape
    big = np.zeros((channels, height + p + p, width + p + p), dtype=x.dtype)
    big[:, p : p + height, p : p + width] = x
    patches = []
    for top in range(0, height + 2 * p - k + 1, stride):
        for left in range(0, width + 2 * p - k + 1, stride):
            patches.append(big[:, top : top + k, left : left + k].flatten())
    return np.array(patches).T


def by_windows(x, k, stride, padding):
    big = np.pad(x, [(0, 0), (padding, padding), (padding, padding)])
    windows = np.lib.stride_tricks.sliding_window_view(big, (k, k), axis=(1, 2))[:, ::stride, ::stride]
    c, rows, columns = windows.shape[:3]
    return windows.transpose(0, 3, 4, 1, 2).reshape(c * k * k, rows * columns)


@pytest.mark.parametrize("answer", [by_list, by_windows])
def test_right_ways_of_im2col_pass(answer):
    result = md.check.t06_im2col(answer, show=False)
    assert result.passed, str(result)
    assert result.working is answer


def patches_as_rows(x, k, stride, padding):
    return by_list(x, k, stride, padding).T


def every_place(x, k, stride, padding):
    return by_list(x, k, 1, padding)


def not_padded(x, k, stride, padding):
    found = []
    for i in range((x.shape[1] - k) // stride + 1):
        for j in range((x.shape[2] - k) // stride + 1):
            found.append(x[:, i * stride : i * stride + k, j * stride : j * stride + k].ravel())
    return np.stack(found, axis=1)


def padded_everywhere(x, k, stride, padding):
    return by_list(np.pad(x, padding), k, stride, 0)


def one_place_short(x, k, stride, padding):
    x = np.pad(x, [(0, 0), (padding, padding), (padding, padding)])
    rows, columns = (x.shape[1] - k) // stride, (x.shape[2] - k) // stride
    found = [
        x[:, i * stride : i * stride + k, j * stride : j * stride + k].ravel()
        for i in range(rows)
        for j in range(columns)
    ]
    return np.array(found).reshape(rows * columns, -1).T


def places_by_column(x, k, stride, padding):
    x = np.pad(x, [(0, 0), (padding, padding), (padding, padding)])
    found = []
    for left in range(0, x.shape[2] - k + 1, stride):
        for top in range(0, x.shape[1] - k + 1, stride):
            found.append(x[:, top : top + k, left : left + k].flatten())
    return np.array(found).T


def scrambled(x, k, stride, padding):
    return by_list(x, k, stride, padding).T.copy().reshape(x.shape[0] * k * k, -1)


def channels_last(x, k, stride, padding):
    x = np.pad(x, [(0, 0), (padding, padding), (padding, padding)])
    found = []
    for top in range(0, x.shape[1] - k + 1, stride):
        for left in range(0, x.shape[2] - k + 1, stride):
            found.append(np.moveaxis(x[:, top : top + k, left : left + k], 0, 2).flatten())
    return np.array(found).T


def stride_forgotten_in_the_place(x, k, stride, padding):
    x = np.pad(x, [(0, 0), (padding, padding), (padding, padding)])
    rows, columns = (x.shape[1] - k) // stride + 1, (x.shape[2] - k) // stride + 1
    return np.array([x[:, i : i + k, j : j + k].flatten() for i in range(rows) for j in range(columns)]).T


def numbered_by_rows(x, k, stride, padding):
    x = np.pad(x, [(0, 0), (padding, padding), (padding, padding)])
    rows, columns = (x.shape[1] - k) // stride + 1, (x.shape[2] - k) // stride + 1
    cols = np.zeros((x.shape[0] * k * k, rows * columns), x.dtype)
    for i in range(rows):
        for j in range(columns):
            cols[:, i * rows + j] = x[:, i * stride : i * stride + k, j * stride : j * stride + k].flatten()
    return cols


def in_float64(x, k, stride, padding):
    x = np.pad(x, [(0, 0), (padding, padding), (padding, padding)])
    rows, columns = (x.shape[1] - k) // stride + 1, (x.shape[2] - k) // stride + 1
    cols = np.zeros((x.shape[0] * k * k, rows * columns))
    for n in range(rows * columns):
        i, j = n // columns * stride, n % columns * stride
        cols[:, n] = x[:, i : i + k, j : j + k].flatten()
    return cols


def divided(x, k, stride, padding):
    rows = (x.shape[1] + 2 * padding - k) / stride + 1
    columns = (x.shape[2] + 2 * padding - k) / stride + 1
    return np.zeros((x.shape[0] * k * k, rows * columns))


def padded_by_two_pairs(x, k, stride, padding):
    x = np.pad(x, [(padding, padding), (padding, padding)])
    return by_list(x, k, stride, 0)


def a_list_of_patches(x, k, stride, padding):
    return list(by_list(x, k, stride, padding).T)


def returns_in_the_loop(x, k, stride, padding):
    big = np.pad(x, [(0, 0), (padding, padding), (padding, padding)])
    patches = []
    for top in range(0, big.shape[1] - k + 1, stride):
        for left in range(0, big.shape[2] - k + 1, stride):
            patches.append(big[:, top : top + k, left : left + k].reshape(-1))
        break
    return np.array(patches).T


def counts_nothing(x, k, stride, padding):
    big = np.pad(x, [(0, 0), (padding, padding), (padding, padding)])
    cols, place = np.zeros_like(by_list(x, k, stride, padding)), 0
    for top in range(0, big.shape[1] - k + 1, stride):
        for left in range(0, big.shape[2] - k + 1, stride):
            cols[:, place] = big[:, top : top + k, left : left + k].reshape(-1)
    return cols


def square(x, k, stride, padding):
    out = (x.shape[1] + 2 * padding - k) // stride + 1
    big = np.pad(x, [(0, 0), (padding, padding), (padding, 9 + padding)])
    cols = np.zeros((len(x) * k * k, out * out), x.dtype)
    for i in range(out):
        for j in range(out):
            patch = big[:, i * stride : i * stride + k, j * stride : j * stride + k]
            cols[:, i * out + j] = patch.reshape(-1)
    return cols


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (numbered_by_rows, "not i * rows + j"),
        (returns_in_the_loop, "a `return` inside the loop"),
        (counts_nothing, "written into column 0"),
        (square, "need not be square"),
        (in_float64, "np.zeros makes float64"),
        (divided, "// and not /"),
        (padded_by_two_pairs, "a pair (before, behind)"),
        (a_list_of_patches, "a list of patches"),
        (patches_as_rows, "a patch is a row"),
        (every_place, "stride is not used"),
        (not_padded, "padding is not used"),
        (padded_everywhere, "channels of zeros"),
        (one_place_short, "the last place"),
        (places_by_column, "column by column"),
        (scrambled, "reshape does not exchange"),
        (channels_last, "channels of a pixel"),
        (stride_forgotten_in_the_place, "side by side"),
    ],
)
def test_wrong_ways_of_im2col_are_named(answer, words):
    result = md.check.t06_im2col(answer, show=False)
    assert not result.passed
    assert words in result.hint, str(result)


# col2im


def by_place_in_the_patch(cols, shape, k, stride, padding):
    c, h, w = shape
    oh, ow = (h + 2 * padding - k) // stride + 1, (w + 2 * padding - k) // stride + 1
    out = np.zeros((c, h + 2 * padding, w + 2 * padding), dtype=cols.dtype)
    parts = cols.reshape(c, k, k, oh, ow)
    for a in range(k):
        for b in range(k):
            out[:, a : a + oh * stride : stride, b : b + ow * stride : stride] += parts[:, a, b]
    return out[:, padding : padding + h, padding : padding + w]


def by_add_at(cols, shape, k, stride, padding):
    """Number every pixel, find with the im2col of the numbers where each came from, and add there."""
    size = int(np.prod(shape))
    numbers = by_list(np.arange(1, size + 1, dtype=float).reshape(shape), k, stride, padding).astype(int)
    out = np.zeros(size + 1, cols.dtype)  # number 0 is the padding
    np.add.at(out, numbers, cols)
    return out[1:].reshape(shape)


@pytest.mark.parametrize("answer", [by_place_in_the_patch, by_add_at, lambda *given: added_by(every)(*given)])
def test_right_ways_of_col2im_pass(answer):
    result = md.check.t06_col2im(answer, show=False)
    assert result.passed, str(result)


def written_over(cols, shape, k, stride, padding):
    c, h, w = shape
    out = np.zeros((c, h + 2 * padding, w + 2 * padding), dtype=cols.dtype)
    place = 0
    for top in range(0, h + 2 * padding - k + 1, stride):
        for left in range(0, w + 2 * padding - k + 1, stride):
            out[:, top : top + k, left : left + k] = cols[:, place].reshape(c, k, k)
            place += 1
    return out[:, padding : padding + h, padding : padding + w]


def added_by_index(cols, shape, k, stride, padding):
    size = int(np.prod(shape))
    numbers = by_list(np.arange(1, size + 1, dtype=float).reshape(shape), k, stride, padding).astype(int)
    out = np.zeros(size + 1, cols.dtype)
    for place in range(cols.shape[1]):
        out[numbers[:, place]] = cols[:, place]
    return out[1:].reshape(shape)


def written_by_place_in_the_patch(cols, shape, k, stride, padding):
    c, h, w = shape
    oh, ow = (h + 2 * padding - k) // stride + 1, (w + 2 * padding - k) // stride + 1
    out = np.zeros((c, h + 2 * padding, w + 2 * padding), dtype=cols.dtype)
    for a in range(k):
        for b in range(k):
            part = cols.reshape(c, k, k, oh, ow)[:, a, b]
            out[:, a : a + oh * stride : stride, b : b + ow * stride : stride] = part
    return out[:, padding : padding + h, padding : padding + w]


def added(cols, shape, k, stride, padding):
    """The whole sum, on the padded image: what the wrong ones below cut wrongly."""
    c, h, w = shape
    out = np.zeros((c, h + 2 * padding, w + 2 * padding), dtype=cols.dtype)
    place = 0
    for top in range(0, h + 2 * padding - k + 1, stride):
        for left in range(0, w + 2 * padding - k + 1, stride):
            out[:, top : top + k, left : left + k] += cols[:, place].reshape(c, k, k)
            place += 1
    return out


def not_cut(cols, shape, k, stride, padding):
    return added(cols, shape, k, stride, padding)


def cut_with_minus(cols, shape, k, stride, padding):
    return added(cols, shape, k, stride, padding)[:, padding:-padding, padding:-padding]


def cut_behind(cols, shape, k, stride, padding):
    return added(cols, shape, k, stride, padding)[:, : shape[1], : shape[2]]


def averaged(cols, shape, k, stride, padding):
    total = added(cols, shape, k, stride, padding)
    count = added(np.ones(cols.shape, cols.dtype), shape, k, stride, padding)
    count[count == 0] = 1
    total = total / count
    return total[:, padding : padding + shape[1], padding : padding + shape[2]]


def stride_forgotten(cols, shape, k, stride, padding):
    c, h, w = shape
    oh, ow = (h + 2 * padding - k) // stride + 1, (w + 2 * padding - k) // stride + 1
    out = np.zeros((c, h + 2 * padding, w + 2 * padding), dtype=cols.dtype)
    for i in range(oh):
        for j in range(ow):
            out[:, i : i + k, j : j + k] += cols[:, i * ow + j].reshape(c, k, k)
    return out[:, padding : padding + h, padding : padding + w]


def channels_last_back(cols, shape, k, stride, padding):
    c, h, w = shape
    out = np.zeros((c, h + 2 * padding, w + 2 * padding), dtype=cols.dtype)
    place = 0
    for top in range(0, h + 2 * padding - k + 1, stride):
        for left in range(0, w + 2 * padding - k + 1, stride):
            out[:, top : top + k, left : left + k] += np.moveaxis(cols[:, place].reshape(k, k, c), 2, 0)
            place += 1
    return out[:, padding : padding + h, padding : padding + w]


def no_room(cols, shape, k, stride, padding):
    c, h, w = shape
    oh, ow = (h + 2 * padding - k) // stride + 1, (w + 2 * padding - k) // stride + 1
    out = np.zeros(shape, cols.dtype)
    for n in range(oh * ow):
        i, j = n // ow * stride, n % ow * stride
        out[:, i : i + k, j : j + k] += cols[:, n].reshape(c, k, k)
    return out


def one_channel(cols, shape, k, stride, padding):
    return cols[:, 0].reshape(k, k)


def added_by(corners, number=lambda n: n):
    """col2im with a loop of its own over the places: corners(the last along the height, along the width, stride)."""

    def answer(cols, shape, k, stride, padding):
        c, h, w = shape
        out = np.zeros((c, h + 2 * padding, w + 2 * padding), dtype=cols.dtype)
        for n, (top, left) in enumerate(corners(h + 2 * padding - k, w + 2 * padding - k, stride)):
            out[:, top : top + k, left : left + k] += cols[:, number(n)].reshape(c, k, k)
        return out[:, padding : padding + h, padding : padding + w]

    return answer


def every(high, wide, stride):
    return [(i, j) for i in range(0, high + 1, stride) for j in range(0, wide + 1, stride)]


def one_short(high, wide, stride):
    return [(i, j) for i in range(0, high, stride) for j in range(0, wide, stride)]


def one_row(high, wide, stride):
    return [(0, j) for j in range(0, wide + 1, stride)]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (added_by(one_short), "the + 1"),
        (added_by(one_row), "a `return` inside the loop"),
        (added_by(every, number=lambda n: 0), "numbers of column 0"),
        (no_room, "reach into the padding"),
        (one_channel, "reshape(C, k, k)"),
        (written_over, "last one only"),
        (added_by_index, "last one only"),
        (written_by_place_in_the_patch, "last one only"),
        (not_cut, "padding is not cut off"),
        (cut_with_minus, "-0 is 0"),
        (cut_behind, "behind the image only"),
        (averaged, "this is the mean"),
        (stride_forgotten, "stride is not used"),
        (channels_last_back, "stood side by side"),
    ],
)
def test_wrong_ways_of_col2im_are_named(answer, words):
    result = md.check.t06_col2im(answer, show=False)
    assert not result.passed
    assert words in result.hint, str(result)


def test_the_right_col2im_is_what_finite_differences_find():
    im2col = md.check.t06_im2col.solution
    for cols, shape, k, stride, padding in md.check.t06_col2im.cases()[:-1]:
        (found,) = by_differences(lambda x, w=(k, stride, padding): im2col(x, *w), cols, (np.zeros(shape),))
        right = md.check.t06_col2im.solution(cols, shape, k, stride, padding)
        np.testing.assert_allclose(right, found, atol=1e-7)


# predictions and the explanation


@pytest.mark.parametrize(
    ("answer", "words"),
    [(13, "+ 1"), (15, "rounded down"), (14.5, "half places"), (28, "stride 1"), (12, "without padding")],
)
def test_wrong_sizes_are_named(answer, words):
    result = md.check.t06_size(answer, show=False)
    assert not result.passed
    assert words in result.hint


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (16 * 6 * 25, "number of weights"),
        (16 * 100 * 25, "in all 6 channels"),
        (6 * 25 * 100, "one filter"),
        (16 * 14 * 14 * 150, "10 x 10 places"),
        (2 * 240_000, "additions"),
        (6 * 14 * 14 * 16 * 10 * 10, "dense"),
    ],
)
def test_wrong_numbers_of_multiplications_are_named(answer, words):
    result = md.check.t06_multiplications(answer, show=False)
    assert not result.passed
    assert words in result.hint


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ((9, 9, 9), "reach out"),
        ([4, 6, 9], "padding of 1"),
        ((1, 1, 1), "overlap"),
        ((1, 2, 3), "two axes"),
        (np.array([9, 3, 1]), ""),
    ],
)
def test_wrong_counts_of_uses_are_named(answer, words):
    result = md.check.t06_uses(answer, show=False)
    assert not result.passed
    assert words in result.hint


def test_the_right_predictions_pass():
    assert "(28 + 4 - 5) // 2 + 1" in str(md.check.t06_size(14, show=False))  # it says why
    assert md.check.t06_multiplications(16 * 100 * 150, show=False).passed
    for answer in ((1, 3, 9), [1, 3, 9], np.array([1, 3, 9])):
        assert md.check.t06_uses(answer, show=False).passed


@pytest.mark.parametrize(("letter", "words"), [("a", "count them"), ("c", "left end"), ("d", "writes every column")])
def test_wrong_reasons_are_answered(letter, words):
    result = md.check.t06_why_blocks(letter, show=False)
    assert not result.passed
    assert words in result.hint
    assert md.check.t06_why_blocks("b", show=False).passed
