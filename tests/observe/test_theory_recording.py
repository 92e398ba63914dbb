import numpy as np
import pytest

import minidl as md
import minidl.functional as F
from minidl import models, nn, plot
from minidl.observe import GradientFlow
from minidl.observe.theory_recording import TheoryRecording, vanishing_theory
from tests.arrays import host
from tests.observe.loops import batch


def deep(activation, depth=8, width=64, init=nn.init.glorot_uniform_):
    md.seed(0)
    return models.mlp((5, *[width] * depth, 3), activation, init)


def test_the_gradient_is_the_one_a_backward_brings():
    x, y = batch()
    found = vanishing_theory(model := deep("tanh"), x, y)
    with GradientFlow(model) as flow:
        F.cross_entropy(model(x), y).backward()
    np.testing.assert_allclose(found.rms, flow.recording.output_gradient_rms[0, :-1], rtol=1e-4)
    assert found.layers == tuple(f"fc{i}" for i in range(1, 9))


@pytest.mark.parametrize("activation", ["sigmoid", "tanh", "relu"])
def test_the_mean_field_predicts_the_fall_and_the_bound_holds(activation):
    x, y = batch(size=64)
    found = vanishing_theory(deep(activation), x, y)
    factors = np.log10(found.rms[:-1] / found.rms[1:])
    assert factors.mean() == pytest.approx(found.mean_field[:-1].mean(), abs=0.06)
    assert (factors <= found.bound[:-1] + 1e-9).all()
    assert np.isnan([found.mean_field[-1], found.bound[-1]]).all()


def test_the_formulas():
    """A sigmoid network: log10 sqrt(n Var(W) E[phi'^2]), and log10(|W|_2 / 4)."""
    x, y = batch()
    model = deep("sigmoid", depth=2, width=6)
    found = vanishing_theory(model, x, y)
    weight = host(model.fc2.weight).astype(np.float64)
    h = host(model[:4](x)).astype(np.float64)
    slope = h * (1 - h)
    assert found.mean_field[0] == pytest.approx(0.5 * np.log10(6 * (weight**2).mean() * (slope**2).mean()), abs=1e-5)
    assert found.bound[0] == pytest.approx(np.log10(np.linalg.norm(weight, 2) / 4), abs=1e-5)


def test_it_is_saved_and_other_networks_are_refused(tmp_path):
    x, y = batch()
    vanishing_theory(deep("relu"), x, y).save(tmp_path / "v.npz")
    assert TheoryRecording.load(tmp_path / "v.npz").layers[0] == "fc1"
    normed = nn.Sequential(nn.Linear(5, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 3))
    with pytest.raises(TypeError, match="expected Linear layers with one activation behind each"):
        vanishing_theory(normed, x, y)
    with pytest.raises(ValueError, match="at least two hidden layers"):
        vanishing_theory(deep("relu", depth=1), x, y)


def test_weights_that_are_not_finite_have_no_prediction_and_no_error():
    x, y = batch()
    model = deep("sigmoid", depth=3)
    model[2].weight.data[0, 0] = np.nan
    found = vanishing_theory(model, x, y)
    assert np.isinf(found.rms).all()
    assert np.isinf(found.mean_field[:2]).all()
    assert np.isinf(found.bound[:2]).all()
    assert plot.theory(found).caption == (
        "The gradient has no slope to fit: fewer than two layers have a finite one other than 0."
    )
