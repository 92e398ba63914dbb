"""Tutorial 1: what its text claims, and what its checks say to answers as students write them."""

from __future__ import annotations

import math

import numpy as np
import pytest

import minidl as md
from tests.tutorials.conftest import Run

STEM = "01_chain_rule"


def test_the_first_slopes_by_trying(tutorial: Run) -> None:
    t = tutorial(STEM)
    assert t["loss_now"] == 9
    assert t["tried"] == pytest.approx({"w": -45, "b": -4.5, "v": 12}, rel=1e-6)
    # "w should be turned up, v down, and b matters least"
    assert t["tried"]["w"] < 0 < t["tried"]["v"]
    assert abs(t["tried"]["b"]) < min(abs(t["tried"]["w"]), abs(t["tried"]["v"]))


def test_the_curve_of_w_bends_away_and_near_0_is_its_line(tutorial: Run) -> None:
    t = tutorial(STEM)

    def off(d: float) -> float:
        loss = float(t["six_ops"](**{**t["numbers"], "w": t["numbers"]["w"] + d}))
        return abs(loss - (t["loss_now"] + t["tried"]["w"] * d))

    assert off(0.001) < 0.001
    assert off(0.1) > 0.5
    assert off(-0.1) > 0.5


def test_nothing_is_shown_as_0_before_the_backward(tutorial: Run) -> None:
    t = tutorial(STEM)
    before = t["before"].numbers
    assert not before["walked"]
    assert all(value["gradient_norm"] is None for value in before["values"])
    assert "hatched" in t["before"].caption
    assert t["asked_too_early"] is None
    loss_moment = t["tape"].find(phase="loss")[0].number
    for name in ("w", "b", "v", "z", "h", "q"):
        assert t["tape"].gradient(name, loss_moment).total is None


def test_the_graph_has_six_ops_three_leaves_and_no_y(tutorial: Run) -> None:
    values = tutorial(STEM)["before"].numbers["values"]
    kinds = [value["kind"] for value in values]
    assert (kinds.count("op"), kinds.count("leaf"), kinds.count("constant")) == (6, 3, 1)
    assert "y" not in [value["name"] for value in values]
    assert {value["shape"] for value in values} == {"()"}


def test_by_hand_and_the_library_match(tutorial: Run) -> None:
    t = tutorial(STEM)
    for name, mine in t["by_hand"].items():
        assert t["tape"].gradient(name).total.at(()) == mine
    assert [float(t["values"][k].grad.data) for k in ("w", "b", "v")] == [-45, -4.5, 12]


def test_every_value_is_used_once(tutorial: Run) -> None:
    """Two addends at one value are tutorial 2's."""
    tape = tutorial(STEM)["tape"]
    assert len(tape.find(phase="backward")) == 1 + 6  # the seed, and each op once
    names = ("w", "b", "v", "p", "z", "h", "q", "r")
    assert all(len(tape.gradient(name).addends) == 1 for name in names)


def test_the_link_leads_to_the_seed(tutorial: Run) -> None:
    assert tutorial(STEM)["tape"][6].op == "seed"


def test_what_the_second_graph_shows(tutorial: Run) -> None:
    """From 18 to 4.5 at the square root, from 4.5 to 45 on the way to w, nothing at Add."""
    norms = {}
    for value in tutorial(STEM)["after"].numbers["values"]:
        norms.setdefault(value["name"], []).append(value["gradient_norm"])
    assert norms["Sqrt"] == [18]
    assert norms["Add"] == [4.5]
    assert norms["Mul"] == [4.5, 6]
    assert norms["w"] == [45]


def test_one_pass_agrees_with_trying_to_6_digits(tutorial: Run) -> None:
    t = tutorial(STEM)
    for name, gradient in t["in_one_pass"].items():
        assert t["slope_by_trying"](name) == pytest.approx(gradient, rel=1e-6)


def test_the_product_from_the_front() -> None:
    """10, then 10, then 2.5, then -7.5: the text of "Why backwards?"."""
    assert np.cumprod([10, 1, 1 / 4, -3, 1, 6]).tolist() == [10, 10, 2.5, -7.5, -7.5, -45]


def test_one_step_down(tutorial: Run) -> None:
    t = tutorial(STEM)
    assert t["loss_now"] - t["promised"] == pytest.approx(2.2, abs=0.05)
    assert t["promised"] < t["loss_after"] < t["loss_now"]
    assert t["loss_now"] - t["loss_after"] > 0.85 * (t["loss_now"] - t["promised"])  # "nearly as far"


def test_what_the_teacher_gets(tutorial: Run) -> None:
    t = tutorial(STEM)
    assert list(t["slides"]) == ["01_dials", "01_graph"]
    assert list(t["pages"]) == ["01_six_ops"]
    assert len(t["tape"].page()._repr_html_()) < 300_000


# ---- the checks, with answers in a student's style


@pytest.mark.parametrize("answer", [0.25, 1 / 4, np.float64(0.25), np.array(0.25), "0.25"])
def test_the_slope_predicted(answer: object) -> None:
    assert md.check.t01_sqrt_slope(answer, show=False).passed is not isinstance(answer, str)


@pytest.mark.parametrize(
    ("answer", "hint"),
    [
        (1 / (2 * 4), "1 / (2 z)"),
        (1 / math.sqrt(4), "1 / sqrt(z)"),
        (2, "the value of h"),
        (0.236, "whole step of 1"),
        (4, "the other way round"),
        (-0.25, "sign"),
    ],
)
def test_the_slope_mispredicted(answer: float, hint: str) -> None:
    result = md.check.t01_sqrt_slope(answer, show=False)
    assert not result
    assert hint in result.hint
    assert answer == -0.25 or "0.25" not in str(result)  # the right number is still to be found


def forgot_what_came_in(grad_out, z):
    root = math.sqrt(z)
    return 0.5 / root


def forgot_the_two(grad_out, z):
    return grad_out * z ** (-0.5)


def z_instead_of_root(grad_out, z):
    return grad_out * 0.5 / z


def times_the_value(grad_out, z):
    h = z**0.5
    return h * grad_out


def added(grad_out, z):
    slope = 1 / (2 * z**0.5)
    return slope + grad_out


@pytest.mark.parametrize(
    ("answer", "hint"),
    [
        (forgot_what_came_in, "local slope dh/dz alone"),
        (forgot_the_two, "a factor of the slope"),
        (z_instead_of_root, "the root of z, not z"),
        (times_the_value, "multiply by its slope"),
        (added, "multiplies slopes"),
    ],
)
def test_a_wrong_backward_of_the_root(answer, hint) -> None:
    result = md.check.t01_sqrt_backward(answer, show=False)
    assert not result
    assert hint in result.hint


def brackets_forgotten(grad_out, z):
    return grad_out / 2 * math.sqrt(z)


def arguments_exchanged(z, grad_out):
    return grad_out / (2 * np.sqrt(z))


def slope_of_the_square(grad_out, z):
    return 2 * z * grad_out


def upside_down(grad_out, z):
    return 2 * z**0.5 / grad_out


@pytest.mark.parametrize(
    ("answer", "hint"),
    [
        (brackets_forgotten, "brackets"),
        (arguments_exchanged, "exchanged"),
        (slope_of_the_square, "slope of the square, z**2"),
        (upside_down, "upside down"),
        (lambda grad_out, z: grad_out * 0.5 * z ^ -0.5, "^ is no power"),
        (lambda grad_out, z: grad_out * 0.25, ""),
        (lambda grad_out, z: grad_out / z, ""),
    ],
)
def test_a_factor_that_only_fits_z_equal_to_4_is_not_what_the_hint_speaks_of(answer, hint) -> None:
    result = md.check.t01_sqrt_backward(answer, show=False)
    assert not result
    assert hint in result.hint
    assert hint or not result.hint


def root_with_math(grad_out, z):
    return grad_out * 0.5 / math.sqrt(z)


def root_as_power(grad_out, z):
    slope = 0.5 * z**-0.5
    return np.float64(grad_out) * slope


@pytest.mark.parametrize("answer", [root_with_math, root_as_power])
def test_a_right_backward_of_the_root(answer) -> None:
    assert md.check.t01_sqrt_backward(answer, show=False)


RIGHT = {"v": 12, "h": -18, "z": -4.5, "b": -4.5, "w": -45}


@pytest.mark.parametrize(
    ("answer", "hint"),
    [
        ({"v": 2, "h": -3, "z": 0.25, "b": 1, "w": 10}, "local slopes"),
        ({"v": -18, "h": 12, "z": 3, "b": 3, "w": 30}, "the slope for v is h"),
        ({"v": 12, "h": -18, "z": -9, "b": -9, "w": -90}, "1 / (2 h)"),
        ({"v": 6, "h": -9, "z": -2.25, "b": -2.25, "w": -22.5}, "2 r"),
        ({"v": 2, "h": -3, "z": -0.75, "b": -0.75, "w": -7.5}, "the 6 that reaches q"),
        ({**RIGHT, "w": -2.25}, "the slope for w is x"),
        ({**RIGHT, "w": -4.5}, "dL/dw is not dL/db"),
        ({"v": 12, "h": 18, "z": 4.5, "b": 4.5, "w": 45}, "signs"),
        ({"v": -12, "h": 18, "z": 4.5, "b": 4.5, "w": 45}, "r = q - y is 3"),
        ({**RIGHT, "h": 12, "v": -18}, "are exchanged"),
        ({"v": 12, "h": -3, "z": -0.75, "b": -0.75, "w": -7.5}, "missing in dL/dh"),
        ({**RIGHT, "z": 0.25, "b": 1, "w": 10}, "from z on"),
        ({**RIGHT, "z": -72, "b": -72, "w": -720}, "multiplies by 4"),
        ({**RIGHT, "z": -36, "b": -36, "w": -360}, "by the value h"),
        ({**RIGHT, "b": 1}, "1 is the local slope"),
        ({**RIGHT, "b": 0}, "nothing is lost"),
        ({**RIGHT, "v": -12}, "v: the sign is the other one"),
    ],
)
def test_by_hand_with_a_slip(answer, hint) -> None:
    result = md.check.t01_by_hand(answer, show=False)
    assert not result
    assert hint in result.hint


def test_by_hand_names_the_wrong_one_and_does_not_give_it_away() -> None:
    result = md.check.t01_by_hand({**RIGHT, "b": 7.0}, show=False)
    assert str(result).endswith("right ones: b")
    assert "-4.5" not in result.difference
    half = md.check.t01_by_hand({**RIGHT, "w": ...}, show=False)
    assert "not answered yet" in half.difference
    assert half.working["w"] == -45
    assert md.check.t01_by_hand(RIGHT, show=False)


def ignores_the_seed(grad_loss, w, x, b, v, y):
    h = np.sqrt(w * x + b)
    g = 2 * (v * h - y)
    d = g * v * 0.5 / h
    return d * x, d * w, d, g * h, -g


def y_with_the_wrong_sign(grad_loss, w, x, b, v, y):
    h = np.sqrt(w * x + b)
    g = grad_loss * 2 * (v * h - y)
    d = g * v * 0.5 / h
    return [d * x, d * w, d, g * h, g]


def w_and_x_mixed_up(grad_loss, w, x, b, v, y):
    h = np.sqrt(w * x + b)
    g = grad_loss * 2 * (v * h - y)
    d = g * v * 0.5 / h
    return d * w, d * x, d, g * h, -g


def v_and_h_mixed_up(grad_loss, w, x, b, v, y):
    h = np.sqrt(w * x + b)
    g = grad_loss * 2 * (v * h - y)
    d = g * h * 0.5 / h
    return d * x, d * w, d, g * v, -g


def only_local_slopes(grad_loss, w, x, b, v, y):
    return x, w, 1, math.sqrt(w * x + b), -1


def root_without_its_two(grad_loss, w, x, b, v, y):
    h = np.sqrt(w * x + b)
    g = grad_loss * 2 * (v * h - y)
    d = g * v / h
    return np.array([d * x, d * w, d, g * h, -g])


def square_without_its_two(grad_loss, w, x, b, v, y):
    h = np.sqrt(w * x + b)
    g = grad_loss * (v * h - y)
    d = g * v * 0.5 / h
    return d * x, d * w, d, g * h, -g


@pytest.mark.parametrize(
    ("answer", "hint"),
    [
        (ignores_the_seed, "whatever grad_loss is"),
        (y_with_the_wrong_sign, "y is subtracted"),
        (w_and_x_mixed_up, "slope for w is x"),
        (v_and_h_mixed_up, "slope for v is h"),
        (only_local_slopes, "local slopes"),
        (square_without_its_two, "2 r"),
        (root_without_its_two, "1 / (2 h)"),
    ],
)
def test_a_wrong_backward_of_six_ops(answer, hint) -> None:
    result = md.check.t01_six_ops_backward(answer, show=False)
    assert not result
    assert hint in result.hint


def brackets_forgotten_at_the_root(grad_loss, w, x, b, v, y):
    h = np.sqrt(w * x + b)
    g = 2 * grad_loss * (v * h - y)
    d = g * v / 2 * h
    return d * x, d * w, d, g * h, -g


def h_from_the_gradient_of_v(grad_loss, w, x, b, v, y):
    h = np.sqrt(w * x + b)
    grad_v = 2 * grad_loss * (v * h - y) * h
    grad_h = grad_v * v
    grad_z = grad_h / (2 * h)
    return grad_z * x, grad_z * w, grad_z, grad_v, -2 * grad_loss * (v * h - y)


def times_the_value_of_b(grad_loss, w, x, b, v, y):
    gw, gx, gb, gv, gy = in_small_steps(grad_loss, w, x, b, v, y)
    return gw, gx, gb * b, gv, gy


def begins_with_the_loss(grad_loss, w, x, b, v, y):
    loss = (v * np.sqrt(w * x + b) - y) ** 2
    return in_small_steps(loss, w, x, b, v, y)


def in_the_order_of_the_dials(grad_loss, w, x, b, v, y):
    gw, gx, gb, gv, gy = in_small_steps(grad_loss, w, x, b, v, y)
    return gw, gb, gv, gx, gy


@pytest.mark.parametrize(
    ("answer", "hint"),
    [
        (brackets_forgotten_at_the_root, "brackets"),
        (h_from_the_gradient_of_v, "not of dL/dv"),
        (times_the_value_of_b, "its slope is 1, not b"),
        (begins_with_the_loss, "the value of L"),
        (in_the_order_of_the_dials, "another order"),
    ],
)
def test_a_slip_that_h_equal_to_2_would_hide(answer, hint) -> None:
    """At the tutorial's numbers h is 2 and b is -1, so that some other mistakes give the same there."""
    result = md.check.t01_six_ops_backward(answer, show=False)
    assert not result
    assert hint in result.hint


def in_small_steps(grad_loss, w, x, b, v, y):
    p = w * x
    z = p + b
    h = z**0.5
    r = v * h - y
    grads = {"r": grad_loss * 2 * r}
    grads["v"] = grads["r"] * h
    grads["h"] = grads["r"] * v
    grads["z"] = grads["h"] / (2 * h)
    return [grads["z"] * x, grads["z"] * w, grads["z"], grads["v"], -grads["r"]]


def in_one_product(grad_loss, w, x, b, v, y):
    h = math.sqrt(w * x + b)
    to_q = 2 * grad_loss * (v * h - y)
    return to_q * v / 2 / h * x, to_q * v / 2 / h * w, to_q * v / 2 / h, to_q * h, -to_q


@pytest.mark.parametrize("answer", [in_small_steps, in_one_product])
def test_a_right_backward_of_six_ops(answer) -> None:
    # math.sqrt makes floats of the 0-d arrays of the finite differences too
    assert md.check.t01_six_ops_backward(answer, show=False)


@pytest.mark.parametrize(
    ("answer", "hint"), [("a", "either direction"), ("c", "overwritten"), ("d", "order"), ("z", "one of a, b, c, d")]
)
def test_why_backwards(answer, hint) -> None:
    result = md.check.t01_why_backwards(answer, show=False)
    assert not result
    assert hint in result.hint


def test_why_backwards_right() -> None:
    assert md.check.t01_why_backwards(" B", show=False)
