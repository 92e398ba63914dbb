"""Adam is PyTorch's; a layer rate scales its steps."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from minidl.optim import Adam
from tests.optim.trajectories import assert_same_path, run, scalar
from tests.pytorch import torch


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("options", [{}, {"weight_decay": 0.05}, {"betas": (0.5, 0.9), "eps": 1e-3}], ids=str)
def test_equals_pytorch_over_100_steps(options: dict[str, Any], dtype: str) -> None:
    assert_same_path(
        lambda parameters: Adam(parameters, lr=0.01, **options),
        lambda parameters: torch.optim.Adam(parameters, lr=0.01, **options),
        dtype,
    )


def test_a_constant_multiplier_scales_every_step() -> None:
    w, scaled = scalar(0.0), scalar(0.0)
    gradients = [1, -0.5, 0.3, 2]
    plain = run(Adam([w], lr=0.01), w, gradients)
    tripled = run(Adam([scaled], lr=0.01, layer_rate=lambda view: 3.0), scaled, gradients)
    np.testing.assert_allclose(tripled, 3 * np.array(plain), rtol=1e-12)


def test_the_multiplier_goes_into_the_first_moment_only() -> None:
    # one step: u = .1 m g, v = .001 g^2; both means unbiased give t m g / |g|
    w = scalar(1.0)
    assert run(Adam([w], lr=0.1, eps=0, layer_rate=lambda view: 2.0), w, [5]) == pytest.approx([0.8], rel=1e-12)


@pytest.mark.parametrize("options", [{"betas": (1.0, 0.9)}, {"betas": (0.9, -0.1)}, {"eps": float("nan")}], ids=str)
def test_refuses_options_that_make_no_sense(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="expected"):
        Adam([scalar()], **options)
