"""Recipes state what Caffe's prototxt files do."""

import numpy as np
import pytest

from minidl.experiments.reproduce.methods import METHODS, build_optimizer
from minidl.experiments.reproduce.recipes import RECIPES, SCALES, TUNING_SEEDS, recipe_named

CAFFE = {  # parameters, batch, lr, decay, paper's iterations, rate at some steps
    "mnist": (431_080, 64, 0.01, 5e-4, 10_000, {0: 0.01, 1_000: 0.01 * 1.1**-0.75, 10_000: 0.01 * 2**-0.75}),
    "cifar10-quick": (145_578, 100, 1e-3, 0.004, 5_000, {0: 1e-3, 3_999: 1e-3, 4_000: 1e-4}),
    "cifar10-full": (89_578, 100, 1e-3, 0.004, 70_000, {59_999: 1e-3, 60_000: 1e-4, 65_000: 1e-5}),
    "imagenet": (60_965_224, 256, 0.01, 5e-4, 450_000, {99_999: 0.01, 100_000: 0.001, 400_000: 1e-6}),
}


@pytest.mark.parametrize("name", [name for name in CAFFE if name != "imagenet"])
def test_a_recipe_is_caffes(name):
    parameters, batch, lr, decay, iterations, rates = CAFFE[name]
    recipe = recipe_named(name)
    model = recipe.network()
    assert sum(p.size for p in model.parameters()) == parameters
    assert (recipe.batch, recipe.decay, recipe.iterations["paper"]) == (batch, decay, iterations)
    assert recipe.base_rates["sgd"] == recipe.base_rates["nesterov"] == lr
    optimizer = build_optimizer(model, "sgd", lr, decay)
    assert (optimizer.momentum, optimizer.momentum_form) == (0.9, "caffe")
    schedule = recipe.scheduled(optimizer, iterations)
    assert {step: schedule.rate(step) for step in rates} == pytest.approx(rates)


def test_alexnets_recipe_is_caffes_too():
    _, batch, lr, decay, iterations, rates = CAFFE["imagenet"]
    recipe = recipe_named("imagenet")  # the network is too large to make it here: see tests/models
    assert (recipe.batch, recipe.decay, recipe.iterations["paper"]) == (batch, decay, iterations)
    assert recipe.base_rates["sgd"] == lr
    assert recipe.scales == {"*.bias": (2.0, 0.0)}
    schedule = recipe.scheduled(build_optimizer(recipe_named("digits").network(), "sgd", lr), iterations)
    assert {step: schedule.rate(step) for step in rates} == pytest.approx(rates)


def test_biases_learn_twice_as_fast_but_those_that_caffe_excepts():
    for name in ("mnist", "cifar10-quick"):
        recipe = recipe_named(name)
        optimizer = build_optimizer(recipe.network(), "sgd", 0.1)
        recipe.scale(optimizer)
        assert {key: tuple(scale) for key, scale in optimizer.scales.items()} == {
            key: (2.0, 1.0) for key, _ in optimizer._parameters() if key.endswith("bias")
        }
    recipe = recipe_named("cifar10-full")
    optimizer = build_optimizer(recipe.network(), "sgd", 0.1)
    recipe.scale(optimizer)
    assert "conv3.bias" not in optimizer.scales
    assert tuple(optimizer.scales["fc1.weight"]) == (1.0, 250.0)
    assert tuple(optimizer.scales["fc1.bias"]) == (2.0, 0.0)


def test_alexnet_at_32_pixels_keeps_its_rate_in_a_short_run():
    recipe = recipe_named("imagenet32")
    optimizer = build_optimizer(recipe_named("digits").network(), "sgd", 0.1)
    rates = {steps: recipe.scheduled(optimizer, steps).rate(steps - 1) for steps in recipe.iterations.values()}
    assert rates == pytest.approx({recipe.iterations["quick"]: 0.1, 20_000: 1e-5})


@pytest.mark.parametrize("name", [name for name in RECIPES if name != "imagenet32"])
def test_a_shorter_run_sees_the_whole_schedule(name):
    recipe = recipe_named(name)
    optimizer = build_optimizer(recipe_named("digits").network(), "sgd", 0.1)
    longest, shorter = recipe.iterations["paper"], recipe.iterations["quick"]
    whole, drawn = recipe.scheduled(optimizer, longest), recipe.scheduled(optimizer, shorter)
    if whole is None:
        assert drawn is None
        return
    for part in np.linspace(0.03, 1, 30):
        assert drawn.rate(round(part * shorter)) == pytest.approx(whole.rate(round(part * longest)), rel=0.02)


@pytest.mark.parametrize("name", RECIPES)
def test_a_grid_is_half_decades_around_the_recipes_rate(name):
    recipe = recipe_named(name)
    for method in METHODS:
        grid = recipe.grid(method)
        if not recipe.tuned:
            assert grid == ()
            continue
        below, above = -min(recipe.grid_steps), max(recipe.grid_steps)
        assert min(below, above) >= 2
        assert grid[below] == pytest.approx(recipe.base_rates[method], rel=0.01)
        assert np.diff(np.log10(grid)) == pytest.approx([0.5] * (below + above), abs=0.01)


@pytest.mark.parametrize("name", RECIPES)
def test_looks_are_at_fixed_steps_and_at_the_end(name):
    recipe = recipe_named(name)
    for scale in SCALES:
        steps = recipe.look_steps(recipe.iterations[scale])
        assert 10 <= len(steps) <= 12
        assert steps[-1] == recipe.iterations[scale]
        assert recipe.seeds[scale] <= min(TUNING_SEEDS)
    assert recipe.look_steps(1) == (1,)


def test_recipes_are_found_by_name():
    assert recipe_named("deep-mlp-7").title.startswith("7 hidden layers")
    with pytest.raises(ValueError, match="deep-mlp-N: expected at least 1 hidden layer; got 'deep-mlp-0'"):
        recipe_named("deep-mlp-0")
    for name in ("mnis", "deep-mlp-", "deep-mlp-\u00b2"):
        with pytest.raises(ValueError, match="expected one of mnist"):
            recipe_named(name)
