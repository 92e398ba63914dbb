import numpy as np
import pytest

import minidl as md
import minidl.functional as F
from minidl.observe.line_recording import LineRecording, landscape_line
from tests.arrays import assert_same, device, tensor


def bowl():
    """The loss is |w|^2."""
    model = md.nn.Linear(2, 1, bias=False)
    return model, lambda: F.sum(model.weight**2)


def state(*weights):
    return {"weight": np.array([weights], dtype=np.float32)}


def test_the_loss_is_that_of_the_mixed_weights():
    model, loss = bowl()
    found = landscape_line(model, state(2.0, 0.0), state(0.0, 1.0), loss, points=5, beyond=0.5)
    np.testing.assert_allclose(found.a, [-0.5, -0.25, 0, 0.25, 0.5, 0.75, 1, 1.25, 1.5])
    np.testing.assert_allclose(found.loss, (2 * (1 - found.a)) ** 2 + found.a**2, rtol=1e-6)
    assert found.distance == pytest.approx(np.sqrt(5))


def test_a_barrier_is_what_rises_above_the_straight_line_between_the_ends():
    assert LineRecording([0.0, 0.5, 1.0], [1.0, 2.0, 0.0], 1.0).barrier == 1.5
    assert LineRecording([-1.0, 0.0, 0.5, 1.0], [9.0, 1.0, 0.1, 0.0], 1.0).barrier == 0
    assert LineRecording([0.0, 0.5, 1.0], [1.0, np.inf, 0.0], 1.0).barrier == np.inf


def test_the_model_is_as_before_and_counters_stay_whole():
    model = md.nn.Sequential(md.nn.Linear(2, 3), md.nn.BatchNorm1d(3))
    start = model.state_dict()
    model(tensor(np.ones((4, 2), dtype=np.float32)))
    end = model.state_dict()
    landscape_line(model, start, end, lambda: F.sum(model(tensor(np.ones((4, 2), dtype=np.float32)))), points=3)
    for name, value in model.state_dict().items():
        assert_same(value, end[name])
    assert model.training


def test_a_loss_that_is_not_finite_reads_infinity():
    model, _ = bowl()
    found = landscape_line(
        model, state(1.0, 0.0), state(-1.0, 0.0), lambda: F.sum(F.log(model.weight[0, 0])), points=3, beyond=0
    )
    assert np.isinf(found.loss).tolist() == [False, True, True]


def test_it_is_saved_and_states_of_other_models_are_refused(tmp_path):
    model, loss = bowl()
    landscape_line(model, state(1, 0), state(0, 1), loss, points=2).save(tmp_path / "l.npz")
    assert len(LineRecording.load(tmp_path / "l.npz").a) == 2
    with pytest.raises(ValueError, match="their names differ"):
        landscape_line(model, state(1, 0), {"bias": device(np.zeros(1))}, loss)
