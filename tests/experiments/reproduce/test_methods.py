"""Methods and rates against their formulas, written out once more in plain NumPy."""

import numpy as np
import pytest

import minidl as md
from minidl import backend
from minidl import functional as F
from minidl.experiments.reproduce.methods import METHODS, RATES, build_optimizer, layer_rate_for
from minidl.tensors.tensor import Tensor

LR, DECAY, STEPS = 0.2, 0.01, 6
REPLAYED = [2.0, 3.0, 1.5, 1.25, 4.0, 2.25]


def here(array):
    """The array where this test computes."""
    return backend.to_device(array, backend.current())


def multiplier(rate, gradients, step):
    norm = np.sqrt(sum((g**2).sum() for g in gradients))
    return {
        "uniform": 1.0,
        "ln": 1 + np.log(1 + 1 / norm),
        "log10": 1 + np.log10(1 + 1 / norm),
        "constant": np.mean(REPLAYED),
        "per-step": REPLAYED[step],
    }[rate]


def update(method, state, w, gradients, g, m):
    """What a step subtracts of one parameter: Caffe's formulas, with `g` the gradient with decay."""
    v, h = state.setdefault("v", np.zeros_like(w)), state.setdefault("h", np.zeros_like(w))
    if method == "sgd":
        v[...] = 0.9 * v + LR * m * g
        return v
    if method == "nesterov":
        before = v.copy()
        v[...] = 0.9 * v + LR * m * g
        return 1.9 * v - 0.9 * before
    if method == "adagrad":
        h += g**2
        return LR * m * g / (np.sqrt(h) + 1e-8)
    state["h"] = h + sum((x**2).sum() for x in gradients)
    return LR * m * g / (np.sqrt(state["h"]) + 1e-8)


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("method", METHODS)
def test_each_method_with_each_rate_is_its_formula(method, rate):
    rng = np.random.default_rng(1)
    x, labels = rng.standard_normal((8, 5)).astype(np.float32), rng.integers(0, 3, 8)
    x, labels = here(x), here(labels)
    model = md.models.mlp((5, 4, 3))
    factor, layer_rate = layer_rate_for(rate, REPLAYED, STEPS)
    optimizer = build_optimizer(model, method, LR * factor, DECAY, layer_rate)
    layers = [list(layer.parameters()) for _, layer in model.layers()]
    weights = [[p.numpy().astype(np.float64) for p in layer] for layer in layers]
    states = [[{} for _ in layer] for layer in layers]
    for step in range(STEPS):
        optimizer.zero_grad()
        F.cross_entropy(model(Tensor(x)), labels).backward()
        raw = [[p.grad.numpy().astype(np.float64) for p in layer] for layer in layers]
        optimizer.step()
        for own, before, gradients, kept in zip(layers, weights, raw, states, strict=True):
            m = multiplier(rate, gradients, step)  # of the gradient as backward left it
            decayed = [g + DECAY * w for g, w in zip(gradients, before, strict=True)]
            for i, p in enumerate(own):
                before[i] = before[i] - update(method, kept[i], before[i], decayed, decayed[i], m)
                np.testing.assert_allclose(p.numpy(), before[i], rtol=2e-4, atol=1e-6)


def test_a_control_goes_on_with_the_last_multiplier_of_a_run_that_diverged():
    _, per_step = layer_rate_for("per-step", [2.0, 3.0, np.nan], 5)
    assert per_step.multipliers == (2.0, 3.0, 3.0, 3.0, 3.0)
    assert layer_rate_for("constant", [2.0, 3.0, np.inf], 5) == (2.5, None)
    assert layer_rate_for("per-step", [], 2)[1].multipliers == (1.0, 1.0)


def test_a_longer_run_than_is_needed_is_cut():
    assert layer_rate_for("per-step", [2.0, 3.0, 4.0], 2)[1].multipliers == (2.0, 3.0)


@pytest.mark.parametrize("call", [lambda: layer_rate_for("best", None, 3), lambda: build_optimizer(None, "adam", 0.1)])
def test_what_is_unknown_is_refused_with_what_there_is(call):
    with pytest.raises(ValueError, match=r"unknown .* expected one of"):
        call()


def test_a_control_without_its_twin_is_refused():
    with pytest.raises(ValueError, match="replays the ln run"):
        layer_rate_for("constant", None, 3)
