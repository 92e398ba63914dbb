import numpy as np
import pytest

import minidl as md
from minidl.observe.range_recording import RangeRecording, rate_range
from tests.arrays import assert_same


def setting(lr=0.1):
    md.seed(0)
    model = md.models.mlp((2, 16, 3), "tanh")
    data = md.data.blobs(60, seed=1)
    return model, md.optim.SGD(model, lr=lr, momentum=0.5), md.data.Loader(data, batch_size=20, seed=0)


def test_the_rates_grow_by_the_same_factor_and_the_test_ends_when_the_loss_explodes():
    found = rate_range(*setting(), low=1e-4, high=1e4, steps=120)
    assert found.rates[0] == 1e-4
    np.testing.assert_allclose(found.rates[1:] / found.rates[:-1], 1e8 ** (1 / 119))
    assert len(found.rates) < 120
    assert found.smooth.min() < 0.5 * found.smooth[0]
    assert found.smooth[-1] > 4 * found.smooth.min() or not np.isfinite(found.loss[-1])


def test_the_model_and_the_optimizer_are_as_before():
    model, optimizer, loader = setting()
    before = model.state_dict()
    rate_range(model, optimizer, loader, steps=30)
    for name, value in model.state_dict().items():
        assert_same(value, before[name])
    assert (optimizer.lr, optimizer.step_count) == (0.1, 0)
    assert all(p.grad is None or not p.grad.numpy().any() for p in model.parameters())


def test_the_smoothed_loss_is_a_mean_that_forgets():
    found = rate_range(*setting(), steps=3)
    weights = np.array([0.81, 0.9, 1.0])
    assert found.smooth[-1] == pytest.approx((weights * found.loss).sum() / weights.sum())
    assert found.smooth[0] == pytest.approx(found.loss[0])


def test_the_loss_falls_fastest_before_it_is_lowest():
    smooth = np.array([2.0, 2.0, 1.9, 1.0, 0.9, 3.0, 1.0])
    found = RangeRecording(10.0 ** np.arange(7), smooth, smooth)
    assert found.lowest == 1e4
    assert found.steepest == 1e2  # from 2.0 to 1.0 in the two decades around it


def test_the_noise_of_single_steps_is_not_taken_for_a_fall():
    rates = np.geomspace(1e-4, 1e2, 90)
    smooth = 2 - 1.5 / (1 + (1e-1 / rates) ** 2)
    smooth[3] -= 0.1
    found = RangeRecording(rates, smooth, smooth)
    assert 0.05 < found.steepest < 0.2


def test_a_loss_that_is_soon_lowest_falls_nowhere_else():
    diverged = RangeRecording([1.0, 2.0, 3.0], [1.0, 0.5, np.nan], [1.0, 0.7, np.nan])
    assert diverged.lowest == diverged.steepest == 2.0


def test_it_is_saved_and_rates_out_of_order_are_refused(tmp_path):
    rate_range(*setting(), steps=5).save(tmp_path / "r.npz")
    assert len(RangeRecording.load(tmp_path / "r.npz").rates) == 5
    with pytest.raises(ValueError, match="expected 0 < low < high"):
        rate_range(*setting(), low=1.0, high=0.1)
