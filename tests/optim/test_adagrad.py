"""AdaGrad: PyTorch's, and the reading with one denominator a layer."""

from __future__ import annotations

import math

import numpy as np
import pytest

from minidl.optim import AdaGrad, LayerSpecific
from tests.arrays import host
from tests.optim.trajectories import Pair, assert_same_path, give, run, scalar
from tests.pytorch import torch


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("options", [{}, {"weight_decay": 0.05}, {"eps": 1e-3}], ids=str)
def test_equals_pytorch_over_100_steps(options: dict[str, float], dtype: str) -> None:
    assert_same_path(
        lambda parameters: AdaGrad(parameters, lr=0.1, **options),
        lambda parameters: torch.optim.Adagrad(parameters, lr=0.1, **options),
        dtype,
    )


def test_a_denominator_for_the_layer_is_the_root_of_the_running_sum_of_its_squared_norms() -> None:
    model = Pair()
    optimizer = AdaGrad(model, lr=0.1, eps=0, denominator="layer")
    give(model.first.weight, [2, 1])
    give(model.first.bias, [2])  # norm 3
    give(model.second.weight, [0, 4])
    give(model.second.bias, [3])  # norm 5
    optimizer.step()
    np.testing.assert_allclose(host(model.first.weight), [1 - 0.1 * 2 / 3, 2 - 0.1 / 3], rtol=1e-14)
    np.testing.assert_allclose(host(model.first.bias), [0.5 - 0.1 * 2 / 3], rtol=1e-14)
    np.testing.assert_allclose(host(model.second.weight), [3, -1 - 0.1 * 4 / 5], rtol=1e-14)
    before = host(model.first.bias)
    give(model.first.weight, [0, 0])
    give(model.first.bias, [4])  # h = 9 + 16
    optimizer.step()
    np.testing.assert_allclose(host(model.first.bias), before - 0.1 * 4 / 5, rtol=1e-14)
    assert host(optimizer.layer_state["first"]["squared_norms"]) == pytest.approx(25)


def test_the_multiplier_is_in_the_step_and_not_in_the_denominator() -> None:
    # g = 1, 1: h = 1, 2; multiplier 1 + ln 2 in both steps
    for denominator in ("element", "layer"):
        w = scalar(1.0)
        optimizer = AdaGrad([w], lr=0.1, eps=0, denominator=denominator, layer_rate=LayerSpecific())
        m = 1 + math.log(2)
        expected = [1 - 0.1 * m, 1 - 0.1 * m - 0.1 * m / math.sqrt(2)]
        np.testing.assert_allclose(run(optimizer, w, gradients=[1, 1]), expected, rtol=1e-14)


@pytest.mark.parametrize("denominator", ["element", "layer"])
def test_gradients_of_zero_change_nothing(denominator: str) -> None:
    w = scalar(1.0, "float32")
    assert run(AdaGrad([w], denominator=denominator), w, gradients=[0, 0]) == [1, 1]


def test_float32_stays_float32_with_a_denominator_for_the_layer() -> None:
    w = scalar(1.0, "float32")
    end = run(AdaGrad([w], lr=0.1, eps=0, denominator="layer"), w, gradients=[1e-25, 1e-25])[-1]
    assert w.dtype == np.float32
    assert end == pytest.approx(1 - 0.1 - 0.1 / math.sqrt(2), rel=1e-6)  # though 1e-50 is no float32


def test_refuses_options_that_make_no_sense() -> None:
    with pytest.raises(ValueError, match="'element' or 'layer'"):
        AdaGrad([scalar()], denominator="network")
    with pytest.raises(ValueError, match="eps"):
        AdaGrad([scalar()], eps=-1)
