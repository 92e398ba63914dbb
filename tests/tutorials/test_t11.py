"""Tutorial 11: what its text claims, and what its checks say of usual mistakes."""

from __future__ import annotations

import numpy as np
import pytest

import minidl as md
from tests.tutorials.conftest import Run

STEM = "11_layer_rates"


@pytest.fixture(name="ran")
def ran_tutorial(tutorial: Run):
    return tutorial(STEM)


def test_the_gradient_falls_towards_the_input(ran):
    norms = list(ran["first_norms"].values())
    assert norms == sorted(norms)
    assert norms[-1] > 30 * norms[0]


def test_the_step_in_ten_lines_is_the_librarys(ran):
    assert ran["apart"] < 1e-6


def test_the_multipliers_lie_apart_first_and_together_at_last(ran):
    assert 2.5 < ran["spread"][0] < 3.3
    assert ran["spread"][-40:].mean() < 1.5
    assert 2.5 < ran["mean_multiplier"] < 3.7
    assert ran["per_layer"]["multipliers"].min() > 1
    assert 2 < ran["early_flow"].multiplier[-1].max() / ran["early_flow"].multiplier[-1].min() < 3
    early = md.plot.rate_curve(ran["early_flow"], ran["rules"]).numbers["networks"]
    assert next(iter(early.values()))["decades"] > 1


def test_the_heat_maps_first_layer_moves_with_the_rule_only(ran):
    figure = md.plot.update_heatmap({"one": ran["one_flow"], "rule": ran["layer_flow"], "mean": ran["larger_flow"]})
    first = {name: 10 ** figure.numbers["panels"][name]["median_log10_ratio"][0] for name in ("one", "rule", "mean")}
    assert first["rule"] > 4 * first["mean"] > 4 * first["one"]
    assert ran["one_rate"]["final"] > 1.8  # it has hardly left ln 10
    assert ran["per_layer"]["final"] < 0.85 * ran["larger"]["final"] < ran["one_rate"]["final"]


def test_the_search_for_the_rate_does_not_end_at_the_edge(ran):
    assert all(ran["GRID"][0] < rate < ran["GRID"][-1] for rate in ran["tuned"].values())
    assert ran["tuned"]["layer-specific"] < ran["tuned"]["one rate"]
    assert ran["TUNING_SEED"] not in ran["SEEDS"]


@pytest.mark.parametrize("rival", ["one rate", "x mean", "x mean of step", "one rate, tuned"])
def test_in_the_deep_network_the_rule_ends_lowest_in_each_seed(ran, rival):
    assert (ran["final"]["layer-specific"] < ran["final"][rival]).all()


def test_in_the_shallow_network_the_larger_rate_explains_it(ran):
    found = {name: np.array(losses) for name, losses in ran["shallow"].items()}
    assert (np.abs(found["layer-specific"] / found["one rate"] - 0.5) < 0.1).all()
    for control in ("x mean", "x mean of step"):
        assert (np.abs(found["layer-specific"] / found[control] - 1) < 0.03).all()
    assert max(ran["shallow_spread"]) < 1.6


def test_a_sum_instead_of_a_mean_brings_the_layers_together(ran):
    def factor(scale):
        made = [ran["one_multiplier"]([], [np.array([scale * norm])]) for norm in ran["first_norms"].values()]
        return made[0] / made[-1]

    assert factor(32) < 0.8 * factor(1)


def test_the_tape_and_the_slides(ran):
    assert set(ran["slides"]) == {"11_heatmap", "11_race"}
    assert [event.phase for event in ran["pages"]["11_step"]].count("update") == 4


# ---- answers to the exercises


def right(params, gradients):
    everything = np.concatenate([gradient.ravel() for gradient in gradients])
    return 1.0 + np.log1p(1.0 / np.linalg.norm(everything))


def right_in_a_loop(params, gradients):
    total = 0.0
    for gradient in gradients:
        total = total + (gradient * gradient).sum()
    return np.log(1 + total**-0.5) + 1


def base_ten(params, gradients):
    everything = np.concatenate([gradient.ravel() for gradient in gradients])
    return 1 + np.log10(1 + 1 / np.linalg.norm(everything))


def of_the_weights(params, gradients):
    return 1 + np.log(1 + 1 / np.linalg.norm(np.concatenate([p.ravel() for p in params])))


def without_the_root(params, gradients):
    total = 0
    for gradient in gradients:
        total += np.sum(gradient**2)
    return 1 + np.log(1 + 1 / total)


def norms_added(params, gradients):
    return 1 + np.log(1 + 1 / sum(np.linalg.norm(gradient) for gradient in gradients))


def weights_only(params, gradients):
    return 1 + np.log(1 + 1 / np.linalg.norm(gradients[0]))


def without_the_one(params, gradients):
    return np.log1p(1 / np.linalg.norm(np.concatenate([gradient.ravel() for gradient in gradients])))


def right_and_never_dividing_by_0(params, gradients):
    return 1 + np.log(1 + 1 / (sum(float((gradient**2).sum()) for gradient in gradients) ** 0.5 + 1e-8))


@pytest.mark.parametrize("answer", [right, right_in_a_loop, right_and_never_dividing_by_0])
def test_right_multipliers_pass(answer):
    assert md.check.t11_multiplier(answer, show=False).passed


@pytest.mark.parametrize(
    ("answer", "hint"),
    [
        (base_ten, "base 10"),
        (of_the_weights, "that of the weights"),
        (without_the_root, "squared norm"),
        (norms_added, "add their squares"),
        (weights_only, "biases belong"),
        (without_the_one, "1 before the logarithm"),
        (lambda p, g: right(p, g[1:]), "only the last array"),
        (lambda p, g: right(p, [max(abs(a).max() for a in g)]), "largest number"),
        (lambda p, g: 1 + np.log(1 + (g[0] ** 2 + g[1] ** 2).sum() ** -0.5), "different shapes were added"),
        (lambda p, g: right(p, [a.sum() for a in g]), "before it was squared"),
        (lambda p, g: right(p, [sum(a.sum() for a in g)]), "numbers themselves"),
        (lambda p, g: 1 + np.log(1 + 1 / abs(sum(a.sum() for a in g))), "numbers themselves"),
        (lambda p, g: 1 + np.log(1 + sum(np.mean(a * a) for a in g) ** -0.5), "mean of the squares"),
        (lambda p, g: (right(p, g[:1]) + right(p, g[1:])) / 2, "mean of two multipliers"),
        (lambda p, g: right(p, [*p, *g]), "gradients alone"),
        (lambda p, g: 1 + (right(p, g) - 1) / np.log(2), "base 2"),
        (lambda p, g: np.log(1 + np.exp(right(p, g) - 1)), "both 1 stand inside"),
        (lambda p, g: [w - right(p, g) * a for w, a in zip(p, g, strict=True)], "new parameters"),
    ],
)
def test_wrong_multipliers_are_named(answer, hint):
    result = md.check.t11_multiplier(answer, show=False)
    assert not result.passed
    assert hint in result.hint.replace("gradient of the biases belongs", "biases belong")


def step_by_names(layers, lr):
    new = {}
    for name in layers:
        params, gradients = layers[name]
        new[name] = []
        for p, g in zip(params, gradients, strict=True):
            new[name].append(p - lr * right(params, gradients) * g)
    return new


def step_in_one_line(layers, lr):
    return {n: tuple(w - g * lr * right(ps, gs) for w, g in zip(ps, gs, strict=True)) for n, (ps, gs) in layers.items()}


def one_norm_for_all(layers, lr):
    everything = np.concatenate([g.ravel() for _, gradients in layers.values() for g in gradients])
    m = 1 + np.log(1 + 1 / np.linalg.norm(everything))
    return {name: [w - lr * m * g for w, g in zip(ps, gs, strict=True)] for name, (ps, gs) in layers.items()}


def a_norm_for_each_array(layers, lr):
    new = {}
    for name, (params, gradients) in layers.items():
        pairs = zip(params, gradients, strict=True)
        new[name] = [w - lr * (1 + np.log(1 + 1 / np.linalg.norm(g))) * g for w, g in pairs]
    return new


def plain_sgd(layers, lr):
    return {name: [w - lr * g for w, g in zip(ps, gs, strict=True)] for name, (ps, gs) in layers.items()}


def uphill(layers, lr):
    return {
        name: [w + lr * right(ps, gs) * g for w, g in zip(ps, gs, strict=True)] for name, (ps, gs) in layers.items()
    }


def steps_only(layers, lr):
    return {name: [lr * right(ps, gs) * g for g in gs] for name, (ps, gs) in layers.items()}


def in_place(layers, lr):
    for params, gradients in layers.values():
        m = right(params, gradients)
        for w, g in zip(params, gradients, strict=True):
            w -= lr * m * g
    return {name: params for name, (params, _) in layers.items()}


def rate_carried_over(layers, lr):
    new = {}
    for name, (params, gradients) in layers.items():
        new[name] = []
        lr *= right(params, gradients)
        for w, g in zip(params, gradients, strict=True):
            new[name].append(w - lr * g)
    return new


def lists_as_arrays(layers, lr):
    return {name: params - lr * right(params, gradients) * gradients for name, (params, gradients) in layers.items()}


def last_array_only(layers, lr):
    new = {}
    for name, (params, gradients) in layers.items():
        for w, g in zip(params, gradients, strict=True):
            new[name] = w - lr * right(params, gradients) * g
    return new


def returned_too_early(layers, lr):
    for name, (params, gradients) in layers.items():
        rate = lr * right(params, gradients)
        return {name: [w - rate * g for w, g in zip(params, gradients, strict=True)]}
    return None


def largest_for_all(layers, lr):
    rate = lr * max(right(*layer) for layer in layers.values())
    return {name: [w - rate * g for w, g in zip(*layer, strict=True)] for name, layer in layers.items()}


def along_nothing(layers, lr):
    return {name: [w - lr * right(params, gradients) for w in params] for name, (params, gradients) in layers.items()}


@pytest.mark.parametrize("answer", [step_by_names, step_in_one_line])
def test_right_steps_pass(answer):
    assert md.check.t11_step(answer, show=False).passed


@pytest.mark.parametrize(
    ("answer", "hint"),
    [
        (one_norm_for_all, "one norm over all layers"),
        (a_norm_for_each_array, "a norm each"),
        (plain_sgd, "multiplier is missing"),
        (uphill, "uphill"),
        (steps_only, "the new parameters"),
        (in_place, "new array"),
        (rate_carried_over, "carried over"),
        (lists_as_arrays, "zip"),
        (last_array_only, "only the last array"),
        (returned_too_early, "inside of the loop"),
        (lambda layers, lr: list(step_by_names(layers, lr).values()), "return a dict"),
        (lambda layers, lr: step_by_names({n: pair[::-1] for n, pair in layers.items()}, lr), "changed places"),
        (largest_for_all, "largest multiplier"),
        (along_nothing, "gradient is missing"),
    ],
)
def test_wrong_steps_are_named(answer, hint):
    result = md.check.t11_step(answer, show=False)
    assert not result.passed
    assert hint in result.hint


@pytest.mark.parametrize(
    ("exercise", "answer", "hint"),
    [
        ("t11_predict_multiplier", 3.0, "base 10"),
        ("t11_predict_multiplier", 4.6, "before the logarithm"),
        ("t11_predict_multiplier", 101, "logarithm is missing"),
        ("t11_predict_multiplier", 10.2, "squared"),
        ("t11_predict_factor", 10_000, "gradients"),
        ("t11_predict_factor", 13.3, "ratio of the logarithms"),
        ("t11_predict_factor", 1 / 6, "other way round"),
        ("t11_predict_factor", 8.5, "difference"),
        ("t11_predict_factor", 9.21, "its own logarithm"),
        ("t11_predict_factor", 4, "by how many decades"),
        ("t11_predict_factor", 3.84, "base 10"),
        ("t11_control", "a", "two things differ"),
        ("t11_control", "c", "too large"),
        ("t11_control", "d", "how certain"),
    ],
)
def test_wrong_predictions_and_reasons(exercise, answer, hint):
    result = getattr(md.check, exercise)(answer, show=False)
    assert not result.passed
    assert hint in result.hint


@pytest.mark.parametrize(
    ("exercise", "answer"),
    [("t11_predict_multiplier", 5.6), ("t11_predict_factor", 6), ("t11_control", " B ")],
)
def test_right_predictions_and_reasons(exercise, answer):
    assert getattr(md.check, exercise)(answer, show=False).passed
