import numpy as np
import pytest

import minidl as md
import minidl.functional as F
from minidl.observe.time_recording import TimeRecording, through_time
from tests.arrays import device, host, tensor


def cell(radius, hidden=96, seed=0, nonlinearity="tanh"):
    """Gaussian recurrent weights of this spectral radius."""
    rng = np.random.default_rng(seed)
    weight = rng.normal(size=(hidden, hidden))
    made = md.nn.RNNCell(3, hidden, bias=False, nonlinearity=nonlinearity)
    made.weight_hh.data[...] = device((weight * radius / np.abs(np.linalg.eigvals(weight)).max()).astype(np.float32))
    return made


def sequences(steps=20, count=4, scale=0.1):
    return tensor((np.random.default_rng(1).normal(size=(steps, count, 3)) * scale).astype(np.float32))


def test_the_norms_are_those_of_the_gradient_at_each_time_step():
    made, x = cell(0.8, hidden=5), sequences(4, 2)
    found = through_time(made, x, seed=3)
    h, hidden = None, []
    for x_t in x:
        h = made(x_t, h)
        h.retain_grad()
        hidden.append(h)
    u = np.random.default_rng(3).standard_normal(h.shape).astype(np.float32)
    F.sum(h * tensor(u)).backward()
    expected = np.stack([np.linalg.norm(host(h.grad).astype(np.float64), axis=1) for h in hidden[::-1]], axis=1)
    np.testing.assert_allclose(found.norm[0], expected, rtol=1e-5)
    assert found.radius[0] == pytest.approx(0.8, rel=1e-5)


def test_theory_predicts_the_slope_of_a_network_that_is_not_saturated():
    for radius in (0.3, 0.6):
        found = through_time(cell(radius), sequences())
        slope = np.diff(np.log10(np.median(found.norm[0], axis=0))).mean()
        assert found.predicted[0] == pytest.approx(np.log10(radius), abs=0.01)
        assert slope == pytest.approx(found.predicted[0], abs=0.03)


def test_half_of_the_slopes_of_relu_are_zero():
    found = through_time(cell(1.0, nonlinearity="relu"), sequences())
    assert found.predicted[0] == pytest.approx(0.5 * np.log10(0.5), abs=0.05)


def test_cells_with_gates_are_measured_and_nothing_is_predicted():
    md.seed(0)
    found = through_time({"lstm": md.nn.LSTMCell(3, 8), "gru": md.nn.GRUCell(3, 8)}, sequences(6))
    assert found.networks == ("lstm", "gru")
    assert np.isnan(found.predicted).all()
    assert (found.norm > 0).all()
    assert found.norm.shape == (2, 4, 6)


def test_a_gradient_that_explodes_reads_infinity():
    found = through_time(cell(1e30, hidden=8, nonlinearity="relu"), sequences(8))
    assert np.isinf(found.norm).any()
    assert not np.isnan(found.norm).any()


def test_it_is_saved_and_what_does_not_fit_is_refused(tmp_path):
    through_time(cell(0.5, 4), sequences(3)).save(tmp_path / "t.npz")
    assert TimeRecording.load(tmp_path / "t.npz").norm.shape == (1, 4, 3)
    with pytest.raises(TypeError, match="expected an RNNCell, LSTMCell or GRUCell"):
        through_time(md.nn.Linear(3, 3), sequences())
    with pytest.raises(md.ShapeError, match="at least two time steps"):
        through_time(cell(0.5, 4), sequences(1))
