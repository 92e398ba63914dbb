"""Tutorial 12: what its text claims, and what its checks say of usual mistakes."""

from __future__ import annotations

import numpy as np
import pytest

import minidl as md
import minidl.functional as F
from tests.tutorials.conftest import Run

STEM = "12_through_time"


@pytest.fixture(name="ran")
def ran_tutorial(tutorial: Run):
    return tutorial(STEM)


def final(losses):
    return np.mean(losses[-20:])


def test_the_plain_network_remembers_over_10_time_steps_and_not_over_50(ran):
    assert final(ran["memory"]["10 time steps"]) < 0.05
    assert final(ran["memory"]["50 time steps"]) > 0.6


def test_it_is_the_open_gate_and_not_the_lstm(ran):
    assert final(ran["memory"]["LSTM, bias 0, 50 time steps"]) > 0.6
    assert final(ran["memory"]["LSTM, bias 2, 50 time steps"]) < 0.05


def test_the_loop_back_is_the_librarys(ran):
    assert ran["apart"] < 1e-5
    assert len(ran["tape"].gradient("weight_hh").addends) == 3


def decades(recording):
    return {
        name: network["decades_per_step"]
        for name, network in md.plot.through_time(recording).numbers["networks"].items()
    }


def test_the_gradient_falls_as_the_radius_says_and_hardly_grows_above_1(ran):
    found = decades(ran["through_time"])
    assert -0.33 < found["radius 0.5"] < -0.28
    assert -0.12 < found["radius 0.9"] < np.log10(0.9)
    assert 0 < found["radius 1.5"] < 0.05 < np.log10(1.5)
    predicted = dict(zip(ran["through_time"].networks, ran["through_time"].predicted, strict=True))
    assert abs(found["radius 0.5"] - predicted["radius 0.5"]) < 0.02


def test_ten_per_cent_are_a_factor_of_100():
    assert 1.1**50 > 100
    assert 0.9**-50 > 100


def test_the_open_gate_keeps_the_gradient(ran):
    found = decades(ran["lstm_through_time"])
    assert abs(found["LSTM, bias 0"] - found["RNN"]) < 0.06
    assert -0.07 < found["LSTM, bias 2"] < -0.02
    assert abs(found["LSTM, bias 4"]) < 0.03


def slope(ran, w):
    variable = md.Tensor(np.array(w), requires_grad=True)
    ran["loss_of"](variable).backward()
    return abs(float(variable.grad.data))


def test_there_is_a_cliff(ran):
    assert max(slope(ran, w) for w in np.linspace(1.55, 1.65, 101)) > 100
    assert 0.05 < slope(ran, 2.2) < 0.2


def test_clipping_keeps_the_weight_at_the_foot_of_the_cliff(ran):
    (thrown, high), (kept, low) = ran["descents"]["not clipped"], ran["descents"]["clipped to 0.5"]
    assert max(thrown) > 4
    assert thrown[-1] > 4
    assert 1.5 < min(kept) < max(kept) <= 2.2
    assert np.mean(low[-50:]) < 0.1 < 0.2 < high[-1]


def test_attention_reaches_the_first_input(ran):
    falls = {name: np.log10(rms[1] / rms[-1]) for name, rms in ran["reach"].items()}
    assert falls["RNN"] > 15
    assert 0.5 < falls["LSTM, bias 2"] < 3
    assert abs(falls["attention"]) < 0.5
    assert ran["reach"]["attention"][0] > 2 * np.median(ran["reach"]["attention"])


def test_the_transformer_learns_to_look_back(ran):
    best = 0.4 * np.log(8)
    assert best - 0.01 < np.mean(ran["text_losses"][-20:]) < 1.1 * best
    assert ran["share"] > 0.95
    assert ran["share_before"] < 0.25
    diagonal = [[head[i, i - 4] for i in range(4, 8)] for head in ran["looks"]]
    assert max(min(weights) for weights in diagonal) > 0.7


def test_the_slides_and_the_page(ran, tmp_path):
    assert set(ran["slides"]) == {"12_through_time", "12_reach"}
    assert set(ran["pages"]) == {"12_time"}
    ran["pages"]["12_time"].save_html(tmp_path / "page.html")
    assert (tmp_path / "page.html").stat().st_size < 330_000  # 300 KB from a notebook, whose source is a cell each


# ---- answers to the exercises: a step back


def back(grad_h, x, h, w_x, w_h):
    new = np.tanh(np.matmul(x, w_x.T) + np.matmul(h, w_h.T))
    d = grad_h - grad_h * new * new
    return d.dot(w_x), d.dot(w_h), d.T.dot(x), d.T.dot(h)


def back_with_einsum(grad_h, x, h, w_x, w_h):
    d = grad_h / np.cosh(x @ w_x.T + h @ w_h.T) ** 2
    d = d.astype(grad_h.dtype)
    return [
        np.einsum("no,oi->ni", d, w_x), np.einsum("no,oi->ni", d, w_h),
        np.einsum("no,ni->oi", d, x), np.einsum("no,ni->oi", d, h),
    ]  # fmt: skip


def no_slope(grad_h, x, h, w_x, w_h):
    return grad_h.dot(w_x), grad_h.dot(w_h), grad_h.T.dot(x), grad_h.T.dot(h)


def slope_of_the_old_state(grad_h, x, h, w_x, w_h):
    d = grad_h * (1 - h * h)
    return d @ w_x, d @ w_h, d.T @ x, d.T @ h


def with_the_transpose(grad_h, x, h, w_x, w_h):
    d = grad_h * (1 - np.tanh(x @ w_x.T + h @ w_h.T) ** 2)
    return d @ w_x, d @ w_h.T, d.T @ x, d.T @ h


def weights_the_other_way(grad_h, x, h, w_x, w_h):
    d = grad_h * (1 - np.tanh(x @ w_x.T + h @ w_h.T) ** 2)
    return d @ w_x, d @ w_h, x.T @ d, h.T @ d


def sigmoid_slope(grad_h, x, h, w_x, w_h):
    new = np.tanh(x @ w_x.T + h @ w_h.T)
    d = grad_h * new * (1 - new)
    return d @ w_x, d @ w_h, d.T @ x, d.T @ h


# ---- clipping


def clipped(gradients, max_norm):
    total = 0.0
    for g in gradients:
        total += (g * g).sum()
    norm = total**0.5
    if norm <= max_norm:
        return [g.copy() for g in gradients]
    return [g / norm * max_norm for g in gradients]


def clipped_flat(gradients, max_norm):
    norm = np.linalg.norm(np.concatenate([g.ravel() for g in gradients]))
    return tuple(g * (max_norm / max(norm, max_norm)) for g in gradients)


def each_on_its_own(gradients, max_norm):
    out = []
    for g in gradients:
        n = np.linalg.norm(g)
        out.append(g * (max_norm / n) if n > max_norm else g)
    return out


def by_value(gradients, max_norm):
    return [np.minimum(np.maximum(g, -max_norm), max_norm) for g in gradients]


def without_root(gradients, max_norm):
    norm = sum(np.sum(g * g) for g in gradients)
    return [g * min(max_norm / norm, 1) for g in gradients]


def always(gradients, max_norm):
    norm = np.linalg.norm(np.concatenate([g.ravel() for g in gradients]))
    return [g * max_norm / norm for g in gradients]


def in_place(gradients, max_norm):
    norm = np.linalg.norm(np.concatenate([g.ravel() for g in gradients]))
    for g in gradients:
        g *= min(1, max_norm / norm)
    return gradients


# ---- attention


def looking_back(q, k, v):
    z = np.zeros_like(v)
    for i in range(len(q)):
        e = np.exp(k[: i + 1] @ q[i] / len(q[i]) ** 0.5)
        z[i] = (e / e.sum()) @ v[: i + 1]
    return z


def looking_back_at_once(q, k, v):
    s = np.matmul(q, k.T) / np.asarray(np.sqrt(q.shape[-1]), q.dtype)
    s[~np.tril(np.ones(s.shape, bool))] = -np.inf
    e = np.exp(s - s.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True) @ v


def scores_of(q, k):
    return (q @ k.T / q.shape[1] ** 0.5).astype(q.dtype)


def other_axis(q, k, v):
    s = scores_of(q, k)
    s[np.triu_indices(len(s), 1)] = -np.inf
    e = np.exp(s)
    return e / e.sum(axis=0) @ v


def undivided(q, k, v):
    s = q @ k.T
    s[np.triu_indices(len(s), 1)] = -np.inf
    return F.softmax(s, axis=-1) @ v


def mask_at_last(q, k, v):
    p = F.softmax(scores_of(q, k), axis=-1)
    p[np.triu_indices(len(p), 1)] = 0
    return p @ v


def no_mask(q, k, v):
    return F.softmax(scores_of(q, k), axis=-1) @ v


def zeros_ahead(q, k, v):
    s = scores_of(q, k)
    s[np.triu_indices(len(s), 1)] = 0
    return F.softmax(s, axis=-1) @ v


# ---- what other students wrote


def old_state_written_over(grad_h, x, h, w_x, w_h):
    h = np.tanh(x @ w_x.T + h @ w_h.T)
    d = grad_h * (1 - h**2)
    return d @ w_x, d @ w_h, d.T @ x, d.T @ h


def a_way_around(grad_h, x, h, w_x, w_h):
    d = grad_h * (1 - np.tanh(x @ w_x.T + h @ w_h.T) ** 2)
    return d @ w_x, grad_h + d @ w_h, d.T @ x, d.T @ h


def without_grad_h(grad_h, x, h, w_x, w_h):
    d = 1 - np.tanh(x @ w_x.T + h @ w_h.T) ** 2
    return d @ w_x, d @ w_h, d.T @ x, d.T @ h


def weights_beside_their_inputs(*case):
    x, h, w_x, w_h = back(*case)
    return x, w_x, h, w_h


def loop_that_changes_nothing(gradients, max_norm):
    norm = sum((g**2).sum() for g in gradients) ** 0.5
    for g in gradients:
        g = g * min(1, max_norm / norm)
    return gradients


def norm_in_the_loop(gradients, max_norm):
    out = [g.copy() for g in gradients]
    for i in range(len(out)):
        out[i] = out[i] * float(min(1, max_norm / sum((g**2).sum() for g in out) ** 0.5))
    return out


def largest_norm(gradients, max_norm):
    return [g * min(1, max_norm / max(np.linalg.norm(a) for a in gradients)) for g in gradients]


def first_norm(gradients, max_norm):
    return [g * min(1, max_norm / np.linalg.norm(gradients[0])) for g in gradients]


def mean_of_squares(gradients, max_norm):
    return [g * min(1, max_norm / sum((a**2).mean() for a in gradients) ** 0.5) for g in gradients]


def looking_before_only(q, k, v):
    z = np.zeros_like(v)
    for i in range(1, len(q)):
        e = np.exp(k[:i] @ q[i] / len(q[i]) ** 0.5)
        z[i] = e / e.sum() @ v[:i]
    return z


def first_row_forgotten(q, k, v):
    z = looking_back(q, k, v)
    z[0] = 0
    return z


def mask_turned(q, k, v):
    s = scores_of(q, k)
    s[np.tril_indices(len(s))] = -np.inf
    with np.errstate(all="ignore"):
        return F.softmax(s, axis=1) @ v


def weights_turned(q, k, v):
    s = scores_of(q, k)
    s[np.triu_indices(len(s), 1)] = -np.inf
    return F.softmax(s, axis=1).T @ v


def loop_too_short(q, k, v):
    s = scores_of(q, k)
    for i in range(len(s)):
        for j in range(i + 1, len(s) - 1):
            s[i, j] = -np.inf
    return F.softmax(s, axis=1) @ v


def not_normalised(q, k, v):
    return np.tril(np.exp(scores_of(q, k))) @ v


@pytest.mark.parametrize(
    ("exercise", "answer"),
    [
        ("t12_rnn_backward", back),
        ("t12_rnn_backward", back_with_einsum),
        ("t12_clip", clipped),
        ("t12_clip", clipped_flat),
        ("t12_attention", looking_back),
        ("t12_attention", looking_back_at_once),
    ],
)
def test_right_functions_pass(exercise, answer):
    result = getattr(md.check, exercise)(answer, show=False)
    assert result.passed, result


@pytest.mark.parametrize(
    ("exercise", "answer", "hint"),
    [
        ("t12_rnn_backward", no_slope, "slope of tanh is missing"),
        ("t12_rnn_backward", slope_of_the_old_state, "old state"),
        ("t12_rnn_backward", with_the_transpose, "without the transpose"),
        ("t12_rnn_backward", weights_the_other_way, "transposed"),
        ("t12_rnn_backward", sigmoid_slope, "sigmoid"),
        ("t12_clip", each_on_its_own, "on its own"),
        ("t12_clip", by_value, "each number"),
        ("t12_clip", without_root, "root is missing"),
        ("t12_clip", always, "at most 1"),
        ("t12_clip", in_place, "new array"),
        ("t12_attention", other_axis, "over the queries"),
        ("t12_attention", undivided, "square root of d"),
        ("t12_attention", mask_at_last, "after the softmax"),
        ("t12_attention", no_mask, "ahead as well"),
        ("t12_attention", zeros_ahead, "e^0 = 1"),
        ("t12_rnn_backward", old_state_written_over, "new state"),
        ("t12_rnn_backward", a_way_around, "no way around"),
        ("t12_rnn_backward", without_grad_h, "grad_h is missing"),
        ("t12_rnn_backward", weights_beside_their_inputs, "order is x, h, w_x, w_h"),
        ("t12_rnn_backward", lambda *case: back(*case)[:2], "gradients of the weights are missing"),
        ("t12_clip", loop_that_changes_nothing, "came back as they were"),
        ("t12_clip", norm_in_the_loop, "computed again"),
        ("t12_clip", largest_norm, "largest of the arrays' norms"),
        ("t12_clip", first_norm, "first array alone"),
        ("t12_clip", mean_of_squares, "mean of the squares"),
        ("t12_clip", lambda g, c: (clipped(g, c), 1.0 * np.sqrt(sum((a**2).sum() for a in g))), "norm came as well"),
        ("t12_attention", looking_before_only, "look at itself"),
        ("t12_attention", first_row_forgotten, "first row is missing"),
        ("t12_attention", mask_turned, "wrong way round"),
        ("t12_attention", weights_turned, "weights were transposed"),
        ("t12_attention", loop_too_short, "last column"),
        ("t12_attention", not_normalised, "sum over the row"),
    ],
)
def test_wrong_functions_are_named(exercise, answer, hint):
    result = getattr(md.check, exercise)(answer, show=False)
    assert not result.passed
    assert hint in result.hint


@pytest.mark.parametrize(
    ("exercise", "answer", "hint"),
    [
        ("t12_predict_decay", 45, "multiply"),
        ("t12_predict_decay", 194, "grow"),
        ("t12_predict_decay", -2.3, "logarithm"),
        ("t12_predict_decay", 0.1, "not e"),
        ("t12_predict_decay", 0.01, "-0.3"),
        ("t12_lstm", "a", "as many weights"),
        ("t12_lstm", "b", "1/4"),
        ("t12_lstm", "d", "no small one larger"),
    ],
)
def test_wrong_predictions_and_reasons(exercise, answer, hint):
    result = getattr(md.check, exercise)(answer, show=False)
    assert not result.passed
    assert hint in result.hint


@pytest.mark.parametrize(("exercise", "answer"), [("t12_predict_decay", 0.005), ("t12_lstm", "C")])
def test_right_predictions_and_reasons(exercise, answer):
    assert getattr(md.check, exercise)(answer, show=False).passed
