"""Tutorial 3: what its text claims, and what its checks say to right and wrong answers."""

import numpy as np
import pytest

import minidl as md
from minidl.check.differences import by_differences

STEM = "03_tensors"


def test_a_number_of_the_bias_moves_one_column(tutorial):
    ran = tutorial(STEM)
    change = (ran["x"] @ ran["w"] + ran["moved"]) - ran["y"]
    np.testing.assert_allclose(change, [[0.1, 0, 0]] * 4, atol=1e-12)


def test_its_gradients_are_minidls(tutorial):
    ran = tutorial(STEM)
    for own, tensor in (("grad_x", "X"), ("grad_w", "W"), ("grad_b", "B"), ("grad_a", "A"), ("grad_c", "C")):
        assert ran[own].shape == ran[tensor].shape
        np.testing.assert_allclose(ran[own], ran[tensor].grad.numpy(), rtol=1e-10)


def test_event_9_is_where_four_rows_become_one(tutorial):
    event = tutorial(STEM)["tape"][9]
    assert (event.phase, event.op) == ("backward", "Add")
    assert event.gradient.shape == (4, 3)
    assert [addend.grad.shape for addend in event.addends] == [(4, 3), (3,)]


def test_differences_tell_a_transposed_gradient_from_the_right_one(tutorial):
    ran = tutorial(STEM)
    assert ran["right"].shape == ran["wrong"].shape
    assert ran["apart_right"] < 1e-8
    assert 0.3 < ran["apart_wrong"] < 3
    assert ran["agrees"] is True
    assert "float64" in ran["refusal"]


def test_truncation_falls_with_the_square_and_rounding_rises_as_one_over_the_step(tutorial):
    slopes = tutorial(STEM)["slopes"]
    assert 1.9 < slopes["float64, large steps"] < 2.1
    assert -1.2 < slopes["float64, small steps"] < -0.8
    assert -1.2 < slopes["float32, small steps"] < -0.8


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_the_best_step_is_near_the_third_root_of_the_precision(tutorial, dtype):
    ran = tutorial(STEM)
    steps, errors, u = ran["steps"][dtype], ran["measured"][dtype], np.finfo(dtype).eps / 2
    assert abs(np.log10(steps[errors.argmin()] / u ** (1 / 3))) < 0.5
    assert u ** (2 / 3) / 10 < errors.min() < u ** (2 / 3) * 100
    assert errors[0] > 100 * errors.min()  # both ends are far worse
    assert errors[-1] > 100 * errors.min()


def test_float32_is_best_at_a_step_a_thousand_times_larger_and_ends_100_000_times_coarser(tutorial):
    ran = tutorial(STEM)
    best = {dtype: ran["steps"][dtype][ran["measured"][dtype].argmin()] for dtype in ran["steps"]}
    assert 100 < best["float32"] / best["float64"] < 10_000
    assert ran["measured"]["float32"].min() > 1e5 * ran["measured"]["float64"].min()


def test_truncation_knows_no_dtype(tutorial):
    ran = tutorial(STEM)
    large32, large64 = (ran["measured"][dtype][ran["steps"][dtype] > 0.03] for dtype in ("float32", "float64"))
    np.testing.assert_allclose(large32, large64, rtol=0.05)


def test_two_slides_and_a_page(tutorial):
    ran = tutorial(STEM)
    assert len(ran["slides"]) == 2
    assert list(ran["pages"]) == ["03_broadcast"]


# unbroadcast: two right ones in other styles, and wrong ones as students write them


def by_a_loop(grad, shape):
    while grad.ndim > len(shape):
        grad = grad.sum(axis=0)
    for axis, length in enumerate(shape):
        if length == 1 and grad.shape[axis] != 1:
            grad = grad.sum(axis=axis, keepdims=True)
    return grad


def by_one_sum(grad, shape):
    padded = [1] * (len(grad.shape) - len(shape)) + list(shape)
    axes = []
    for i in range(len(padded)):
        if padded[i] == 1:
            axes.append(i)
    return np.reshape(np.sum(grad, axis=tuple(axes)), shape)


@pytest.mark.parametrize("answer", [by_a_loop, by_one_sum])
def test_right_ways_to_unbroadcast_pass(answer):
    result = md.check.t03_unbroadcast(answer, show=False)
    assert result.passed, str(result)
    assert result.working is answer


def no_keepdims(grad, shape):
    while len(grad.shape) > len(shape):
        grad = grad.sum(0)
    for i in range(len(shape) - 1, -1, -1):
        if shape[i] == 1:
            grad = grad.sum(i)
    return grad


def leading_only(grad, shape):
    for _ in range(grad.ndim - len(shape)):
        grad = np.add.reduce(grad)
    return grad


def size_1_only(grad, shape):
    for k in range(1, len(shape) + 1):
        if shape[-k] == 1:
            grad = grad.sum(axis=-k, keepdims=True)
    return grad


def averaged(grad, shape):
    while grad.ndim > len(shape):
        grad = np.mean(grad, axis=0)
    for i, n in enumerate(shape):
        if n == 1:
            grad = np.mean(grad, axis=i, keepdims=True)
    return grad


def first_row(grad, shape):
    while grad.ndim > len(shape):
        grad = grad[0]
    for i, n in enumerate(shape):
        if n == 1:
            grad = np.take(grad, [0], axis=i)
    return grad


def always_the_batch(grad, shape):
    return np.sum(grad, 0)


def all_of_it(grad, shape):
    total = 0.0
    for number in grad.flatten():
        total += number
    return total


def only_reshaped(grad, shape):
    return np.reshape(grad, shape)


def left_alone(grad, shape):
    return grad.copy()


def sums_one_new_axis(grad, shape):
    if len(grad.shape) != len(shape):
        grad = grad.sum(axis=0)
    for i, n in enumerate(shape):
        if n == 1:
            grad = grad.sum(axis=i, keepdims=True)
    return grad


def sums_the_last_axes(grad, shape):
    while grad.ndim > len(shape):
        grad = grad.sum(axis=-1)
    for i, n in enumerate(shape):
        if n == 1:
            grad = grad.sum(axis=i, keepdims=True)
    return grad


def throws_the_sum_away(grad, shape):
    for _ in range(grad.ndim - len(shape)):
        grad.sum(axis=0)
    return grad


def number_by_number_in_float64(grad, shape):
    found = np.zeros(shape)
    for place in np.ndindex(grad.shape):
        own = place[grad.ndim - len(shape) :]
        found[tuple(0 if n == 1 else i for i, n in zip(own, shape, strict=True))] += grad[place]
    return found


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (sums_one_new_axis, "there may be several"),
        (sums_the_last_axes, "new axes stand in front"),
        (throws_the_sum_away, "is it kept?"),
        (number_by_number_in_float64, "the numbers are right"),
        (no_keepdims, "keepdims"),
        (leading_only, "axes of length 1 are not"),
        (size_1_only, "has not got at all are not"),
        (averaged, "this is the mean"),
        (first_row, "only the first"),
        (always_the_batch, "always the first axis"),
        (all_of_it, "everything is summed"),
        (only_reshaped, "reshape only writes"),
        (left_alone, "nothing was summed"),
    ],
)
def test_wrong_ways_to_unbroadcast_are_named(answer, words):
    result = md.check.t03_unbroadcast(answer, show=False)
    assert not result.passed
    assert words in result.hint, str(result)


def test_the_right_unbroadcast_is_what_finite_differences_find():
    exercise = md.check.t03_unbroadcast
    for grad, shape in exercise.cases()[:-1]:
        (found,) = by_differences(lambda x: x, grad, (np.zeros(shape),))  # grad * x repeats x
        np.testing.assert_allclose(exercise.solution(grad, shape), found, rtol=1e-6, atol=1e-8)


# matmul_backward


def by_einsum(grad_out, x, w):
    return np.einsum("nk,ik->ni", grad_out, w), np.einsum("ni,nk->ik", x, grad_out)


def by_outer_products(grad_out, x, w):
    dx = np.zeros_like(x)
    dw = np.zeros_like(w)
    for n in range(len(x)):
        dx[n] = w.dot(grad_out[n])
        dw += np.outer(x[n], grad_out[n])
    return [dx, dw]


@pytest.mark.parametrize("answer", [by_einsum, by_outer_products])
def test_right_backwards_of_matmul_pass(answer):
    result = md.check.t03_matmul_backward(answer, show=False)
    assert result.passed, str(result)


def weights_transposed(grad_out, x, w):
    dx = np.dot(grad_out, np.transpose(w))
    dw = np.dot(np.transpose(grad_out), x)
    return dx, dw


def dx_transposed(grad_out, x, w):
    return np.dot(w, grad_out.T), np.dot(x.T, grad_out)


def exchanged(grad_out, x, w):
    dw = x.T.dot(grad_out)
    dx = grad_out.dot(w.T)
    return dw, dx


def averaged_over_the_batch(grad_out, x, w):
    n = x.shape[0]
    return grad_out @ w.T, (1 / n) * np.matmul(x.T, grad_out)


def not_transposed(grad_out, x, w):
    dx = grad_out @ w
    dw = x.T @ grad_out
    return dx, dw


def x_not_transposed(grad_out, x, w):
    dx = grad_out @ w.T
    dw = x @ grad_out
    return dx, dw


def no_gradient_in_it(grad_out, x, w):
    return np.transpose(w), np.transpose(x)


def only_weights(grad_out, x, w):
    return np.dot(x.T, grad_out)


def starred(grad_out, x, w):
    return grad_out * w, x * grad_out


def both_averaged(grad_out, x, w):
    return grad_out.dot(w.T) / x.shape[0], x.T.dot(grad_out) / x.shape[0]


def written_over(grad_out, x, w):
    x[...] = grad_out @ w.T
    return x, x.T @ grad_out


def starred_with_a_transpose(grad_out, x, w):
    return grad_out * w.T, x.T * grad_out


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (both_averaged, "both are divided by the batch"),
        (written_over, "your function changed its argument x"),
        (starred_with_a_transpose, "* multiplies number by number"),
        (lambda grad_out, x, w: (w, x), "grad_out, what arrives, is missing"),
        (weights_transposed, "dL/dw is transposed"),
        (dx_transposed, "dL/dx is transposed"),
        (exchanged, "dL/dx comes first"),
        (averaged_over_the_batch, "divided by the batch"),
        (not_transposed, "grad_out is (N, K) and w is (I, K)"),
        (x_not_transposed, "x is (N, I)"),
        (no_gradient_in_it, "grad_out, what arrives, is missing"),
        (only_weights, "only dL/dw"),
        (starred, "* multiplies number by number"),
    ],
)
def test_wrong_backwards_of_matmul_are_named(answer, words):
    result = md.check.t03_matmul_backward(answer, show=False)
    assert not result.passed
    assert words in result.hint, str(result)


def test_a_transposed_gradient_is_found_with_square_weights_too():
    """There the shape is right."""
    case = md.check.t03_matmul_backward.cases()[2]
    assert len({array.shape for array in case}) == 1
    _, dw = weights_transposed(*case)
    assert dw.shape == case[2].shape
    assert not np.allclose(dw, md.check.t03_matmul_backward.solution(*case)[1])


# predictions and the explanation


@pytest.mark.parametrize(
    ("answer", "words"),
    [(5, "length 1"), (4, "no first axis"), (60, "all of y"), (15, "aligned at the right"), (3, "how many numbers")],
)
def test_wrong_counts_of_addends_are_named(answer, words):
    result = md.check.t03_addends(answer, show=False)
    assert not result.passed
    assert words in result.hint


def test_the_right_count_of_addends_is_counted():
    assert md.check.t03_addends(20, show=False).passed
    a, c = np.zeros((5, 1, 4)), np.zeros((3, 1))
    assert (a * c).size / c.size == 20


@pytest.mark.parametrize("answer", [-2.4, -2, -2.5, -2.8, np.log10(5e-3)])
def test_the_best_step_within_half_a_decade(answer):
    result = md.check.t03_best_step(answer, show=False)
    assert result.passed
    assert "u^(1/3)" in result.hint


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (-7, "about u:"),
        (-3.5, "square root"),
        (-5.5, "float64"),
        (2.4, "negative"),
        (0.004, "exponent"),
        (-1, "truncation rules"),
        (-3, "is near"),
        (-1.8, "is near"),
        (-6, "float64's best"),
        (-16, "u of float64"),
        (-12, "stays where it is"),
        (0, "negative"),
        (5, "negative"),
    ],
)
def test_wrong_best_steps_are_named(answer, words):
    result = md.check.t03_best_step(answer, show=False)
    assert not result.passed
    assert result.difference == "not within half a decade of the right number"
    assert words in result.hint


@pytest.mark.parametrize(("letter", "words"), [("a", "mean"), ("c", "no mean in sight"), ("D", "figure")])
def test_wrong_reasons_are_answered(letter, words):
    result = md.check.t03_why_sum(letter, show=False)
    assert not result.passed
    assert words in result.hint


def test_the_counterexample_to_reason_c():
    """L = y[0, 0]^2 + y[1, 0]^2 has no mean, and its gradient in b[0] is a sum all the same."""
    b = md.tensor([1.0, 2.0], requires_grad=True)
    y = md.tensor([[1.0, 0.0], [2.0, 0.0]]) + b
    (y[0, 0] ** 2 + y[1, 0] ** 2).backward()
    assert b.grad.numpy().tolist() == [2 * 2 + 2 * 3, 0]
    assert md.check.t03_why_sum("b", show=False).passed
