"""Tutorial 9: what it claims of vanishing and exploding gradients, and what its checks say to wrong answers."""

from __future__ import annotations

import numpy as np
import pytest

import minidl as md
from minidl import functional as F
from minidl.observe.verdict import decades_per_layer

NAME = "09_vanishing"


def test_deeper_sigmoid_networks_learn_later_and_eight_layers_not_at_all(tutorial):
    last = {depth: history.train_loss[-1] for depth, history in tutorial(NAME)["histories"].items()}
    assert last[1] < 0.5 * last[2] < 0.5
    assert abs(last[8] - np.log(10)) < 0.05


def test_each_layer_takes_the_same_factor_of_about_seven(tutorial):
    profile = tutorial(NAME)["recordings"][8].output_gradient_rms[0, :-1]
    assert len(profile) == 8
    factors = profile[1:] / profile[:-1]
    assert 5 < factors.min() < factors.max() < 9
    assert 0.8 < decades_per_layer(profile) < 0.9
    assert 3e5 < profile[-1] / profile[0] < 3e6  # "about a million"


def test_by_hand_the_factor_is_the_same(tutorial):
    size = tutorial(NAME)["by_hand"]
    factors = size[3:] / size[2:-1]
    assert 6.5 < np.exp(np.log(factors).mean()) < 8
    assert max(size[2] / size[1], size[1] / size[0]) < 6.5  # "below layer 3 it looks smaller"


def test_sums_of_random_signs_grow_like_the_root():
    rng = np.random.default_rng(0)
    for count in (16, 64, 256, 1024):
        sums = rng.standard_normal((2000, count)).sum(axis=1)
        assert np.sqrt((sums**2).mean()) == pytest.approx(np.sqrt(count), rel=0.05)


def test_the_layers_begin_with_the_variance_that_the_text_says():
    md.seed(0)
    weight = md.nn.Linear(64, 64).weight.numpy()
    assert 64 * weight.var() == pytest.approx(1 / 3, rel=0.05)
    assert np.abs(weight).max() <= 1 / 8


def test_predictions_agree_with_what_is_measured(tutorial):
    for predicted, measured in tutorial(NAME)["found"].values():
        assert abs(predicted - measured) < 0.03


def test_on_paper_is_nearly_as_good(tutorial):
    on_paper = {"sigmoid": -np.log10(np.sqrt(1 / 3) / 4), "tanh": -np.log10(np.sqrt(1 / 3)), "relu": np.log10(6) / 2}
    for activation, value in on_paper.items():
        assert abs(tutorial(NAME)["found"][activation][1] - value) < 0.03


def test_the_bound_is_never_crossed_and_far_from_what_happens(tutorial):
    panels = md.plot.theory(tutorial(NAME)["theories"]).numbers["panels"]
    for lines in panels.values():
        assert np.all(lines["measured"][:-1] < lines["bound"][:-1])
        assert lines["decades_per_layer"]["measured"] - lines["decades_per_layer"]["bound"] > 0.2


def test_who_is_to_blame(tutorial):
    panels = md.plot.attribution(tutorial(NAME)["graphs"]).numbers["panels"]
    blame = {activation: panel["by_kind"] for activation, panel in panels.items()}
    assert blame["sigmoid"]["Sigmoid"] / 10 == pytest.approx(-np.log10(4), abs=0.03)
    assert -0.02 < blame["tanh"]["Tanh"] / 10 <= 0
    assert blame["relu"]["ReLU"] / 10 == pytest.approx(-np.log10(2) / 2, abs=0.02)
    for activation in blame:
        assert blame[activation]["Linear"] / 10 == pytest.approx(-np.log10(3) / 2, abs=0.02)


def test_the_formula_holds_from_vanishing_to_exploding(tutorial):
    space = tutorial(NAME)
    scales, sweep = np.array(space["SCALES"]), space["sweep"]
    for lines in sweep.values():
        assert np.abs(lines[:, 0] - lines[:, 1]).max() < 0.08
        assert lines[0, 1] > 0.5
        assert lines[-1, 1] < -0.2
    measured = {activation: lines[:, 1] for activation, lines in sweep.items()}
    assert 0.1 < measured["sigmoid"][scales == 4][0] < 0.3
    assert abs(measured["sigmoid"][scales == 10][0]) < 0.05
    assert measured["tanh"][scales == 1][0] > 0 > measured["tanh"][scales == 1.41][0]
    assert abs(measured["relu"][scales == 1.41][0]) < 0.05
    straight = -np.log10(scales * np.sqrt(1 / 2))
    assert np.abs(measured["relu"] - straight).max() < 0.03  # "its dashed line is its line"
    assert measured["relu"][-1] < measured["tanh"][-1] < measured["sigmoid"][-1]


def test_most_units_of_the_level_sigmoid_are_stuck(tutorial):
    md.seed(0)
    model = md.models.mlp((64, *[64] * 10, 10), "sigmoid", tutorial(NAME)["scaled"](10))
    h = md.Tensor(tutorial(NAME)["inputs"])
    stuck = []
    for name, layer in model.named_children():
        h = layer(h)
        if name.startswith("act"):
            stuck.append(float((h.numpy() * (1 - h.numpy()) < 0.1).mean()))
    assert min(stuck) > 0.5


def test_exploding_ends_in_nan(tutorial):
    losses = [loss for loss, _ in tutorial(NAME)["exploding"]]
    assert losses[0] > 500
    assert losses[1] > 1e20
    assert not np.isfinite(losses[2])


def test_depth_does_not_change_the_factor(tutorial):
    slope = np.median(tutorial(NAME)["depths"].slope, axis=2)
    assert (slope.max(axis=1) - slope.min(axis=1)).max() < 0.05
    assert slope[0].min() > 0.8  # sigmoid with the weights that it begins with
    assert slope[-1].max() < -0.1  # ReLU, s = 2
    assert np.abs(slope[-2]).max() < 0.05  # ReLU, s = sqrt(2)


def test_the_first_layer_hardly_moves_and_the_lines_lie_a_factor_apart(tutorial):
    moved = tutorial(NAME)["recordings"][8].distance[-1]
    assert moved[0] < 1e-4
    assert moved[7] > 0.1
    apart = moved[2:7] / moved[1:6]
    assert 5 < apart.min() < apart.max() < 10
    assert moved[1] / moved[0] < 5  # the lowest lies closer
    assert tutorial(NAME)["inputs"].std(axis=0).mean() > 3 * tutorial(NAME)["spread"][0]  # the digits differ more


def test_float64_stalls_as_well():
    md.seed(0)
    model = md.models.mlp((64, *[32] * 8, 10), "sigmoid").to(np.float64)
    digits = md.data.digits().train
    optimizer = md.optim.SGD(model, lr=0.1, momentum=0.9)
    before = model.fc1.weight.numpy().copy()
    for _ in range(30):
        optimizer.zero_grad()
        F.cross_entropy(model(md.Tensor(digits.inputs[:64].astype(np.float64))), digits.labels[:64]).backward()
        optimizer.step()
    moved = np.linalg.norm(model.fc1.weight.numpy() - before) / np.linalg.norm(before)
    assert 0 < moved < 1e-6


def test_what_reaches_the_upper_layers_is_the_same_for_every_digit(tutorial):
    spread = np.array(tutorial(NAME)["spread"])
    factors = spread[:5] / spread[1:6]
    assert 5 < factors.min() < factors.max() < 9
    assert spread[6] < 1e-6


def test_the_best_that_the_upper_layers_can_learn_is_how_frequent_the_classes_are():
    share = np.bincount(md.data.digits().train.labels) / len(md.data.digits().train.labels)
    assert -(share * np.log(share)).sum() == pytest.approx(np.log(10), abs=0.01)


def test_the_page_is_small_enough(tutorial, tmp_path):
    (name, tape), *others = tutorial(NAME)["pages"].items()
    tape.save_html(tmp_path / f"{name}.html")
    assert not others
    assert (tmp_path / f"{name}.html").stat().st_size < 300_000
    assert len(tutorial(NAME)["slides"]) == 2


# The checks: answers as students write them.


def loop_over_layers(grad_out, h, weights):
    activations = []
    for w in weights:
        activations.append(h)
        h = 1 / (1 + np.exp(-(h @ w.T)))
    activations.append(h)
    grads = []
    for k in range(len(weights) - 1, -1, -1):
        out = activations[k + 1]
        dz = grad_out * (out - out**2)
        grads.insert(0, np.einsum("bo,bi->oi", dz, activations[k]))
        grad_out = dz.dot(weights[k])
    return grad_out, np.stack(grads)


def keeps_slopes(grad_out, h, weights):
    hs, slopes = [h], []
    for w in weights:
        z = hs[-1] @ w.T
        slopes.append(np.exp(-z) / (1 + np.exp(-z)) ** 2)
        hs.append(1 / (1 + np.exp(-z)))
    grad_weights = np.empty_like(weights)
    g = grad_out
    for i, w in reversed(list(enumerate(weights))):
        g = g * slopes[i]
        grad_weights[i] = (hs[i].T @ g).T
        g = g @ w
    return [g, grad_weights]


def wrong_way_back(slope=lambda hs, i: hs[i + 1] * (1 - hs[i + 1]), through=lambda w: w, of_weight=None):
    def answer(grad_out, h, weights):
        hs = [h]
        for w in weights:
            hs.append(1 / (1 + np.exp(-(hs[-1] @ w.T))))
        grad_weights = np.zeros_like(weights)
        for i in range(len(weights))[::-1]:
            grad_z = grad_out * slope(hs, i)
            grad_weights[i] = (of_weight or (lambda hs, i, g: g.T @ hs[i]))(hs, i, grad_z)
            grad_out = grad_z @ through(weights[i])
        return grad_out, grad_weights

    return answer


@pytest.mark.parametrize("answer", [loop_over_layers, keeps_slopes])
def test_right_ways_back_pass(answer):
    assert md.check.t09_deep_backward(answer, show=False).passed


@pytest.mark.parametrize(
    ("answer", "hint"),
    [
        (wrong_way_back(slope=lambda hs, i: 1.0), "slope of the sigmoid is missing"),
        (wrong_way_back(slope=lambda hs, i: hs[i] * (1 - hs[i])), "layer below"),
        (wrong_way_back(slope=lambda hs, i: hs[i + 1]), "half of h (1 - h) is missing"),
        (wrong_way_back(slope=lambda hs, i: 1 - hs[i + 1] ** 2), "tanh"),
        (wrong_way_back(through=lambda w: w.T), "through W transposed"),
        (wrong_way_back(of_weight=lambda hs, i, g: hs[i].T @ g), "dL/dW is transposed"),
        (wrong_way_back(of_weight=lambda hs, i, g: g.T @ hs[i + 1]), "input in it, not its output"),
        (wrong_way_back(of_weight=lambda hs, i, g: g.T @ hs[i] / len(g)), "not a mean"),
        (lambda *case: (loop_over_layers(*case)[0], list(loop_over_layers(*case)[1])), "np.stack"),
        (lambda *case: (loop_over_layers(*case)[0], loop_over_layers(*case)[1][::-1]), "order"),
    ],
)
def test_wrong_ways_back_are_named(answer, hint):
    result = md.check.t09_deep_backward(answer, show=False)
    assert not result.passed
    assert hint in result.hint


def test_a_loop_from_the_first_layer_is_named():
    def upwards(grad_out, h, weights):
        hs = [h]
        for w in weights:
            hs.append(1 / (1 + np.exp(-hs[-1] @ w.T)))
        grad_weights = np.zeros_like(weights)
        for i in range(len(weights)):
            grad_out = grad_out * hs[i + 1] * (1 - hs[i + 1])
            grad_weights[i] = grad_out.T @ hs[i]
            grad_out = grad_out @ weights[i]
        return grad_out, grad_weights

    assert "comes from the last" in md.check.t09_deep_backward(upwards, show=False).hint


def with_loops(weight, slope):
    total = sum(float(w) ** 2 for row in weight for w in row) / weight.size
    return (len(weight) * total * np.mean(np.square(slope))) ** 0.5


def with_var(weight, slope):
    return np.sqrt(slope.shape[1] * weight.var()) * np.linalg.norm(slope) / np.sqrt(slope.size)


@pytest.mark.parametrize("answer", [with_loops, with_var])
def test_right_factors_pass(answer):
    assert md.check.t09_factor(answer, show=False).passed


@pytest.mark.parametrize(
    ("answer", "hint"),
    [
        (lambda weight, slope: len(weight) * np.var(weight) * np.mean(slope**2), "by its root"),
        (lambda weight, slope: np.sqrt(weight.shape[1] * np.var(weight) * np.mean(slope**2)), "inputs or outputs"),
        (lambda weight, slope: np.sqrt(len(weight) * np.var(weight)) * np.mean(slope), "mean of their squares"),
        (lambda weight, slope: np.sqrt(len(weight) * np.var(weight) * slope.var()), "not the variance of the slopes"),
        (lambda weight, slope: np.sqrt(len(weight) * np.std(weight) * np.mean(slope**2)), "std is the root"),
        (lambda weight, slope: np.sqrt(np.var(weight) * np.mean(slope**2)), "n is missing"),
    ],
)
def test_wrong_factors_are_named(answer, hint):
    result = md.check.t09_factor(answer, show=False)
    assert not result.passed
    assert hint in result.hint


@pytest.mark.parametrize(
    ("exercise", "right", "wrong", "hint"),
    [
        ("t09_sigmoid_factor", [0.144, 0.1443], 0.0208, "by its root"),
        ("t09_sigmoid_factor", [0.144, 1 / 7], 0.25, "what do the weights do"),
        ("t09_sigmoid_factor", [0.144], 6.93, "times smaller"),
        ("t09_relu_factor", [0.408], 0.39, "decades"),
        ("t09_tanh_factor", [0.577, 0.58], 0.333, "by its root"),
        ("t09_tanh_factor", [0.577], 1, "what do the weights do"),
        ("t09_relu_factor", [0.408, 0.41], 0.577, "half of the units are off"),
        ("t09_relu_factor", [0.408], 0.289, "under the root"),
    ],
)
def test_predictions(exercise, right, wrong, hint):
    check = getattr(md.check, exercise)
    assert all(check(value, show=False).passed for value in right)
    assert not check(wrong, show=False).passed
    assert hint in check(wrong, show=False).hint


@pytest.mark.parametrize(("letter", "hint"), [("a", "still ln 10"), ("b", "alike"), ("d", "1e-38")])
def test_why_the_first_layers_stall(letter, hint):
    assert md.check.t09_stall("c", show=False).passed
    assert hint in md.check.t09_stall(letter, show=False).hint


def test_what_is_not_answered_says_so():
    def stub(grad_out, h, weights):
        raise NotImplementedError("your lines here")

    assert "not answered yet" in md.check.t09_deep_backward(stub, show=False).difference
    assert "not answered yet" in md.check.t09_sigmoid_factor(..., show=False).difference
