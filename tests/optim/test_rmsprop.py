"""RMSprop is PyTorch's; a layer rate scales its steps."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from minidl.optim import RMSprop
from tests.optim.trajectories import assert_same_path, run, scalar
from tests.pytorch import torch

OPTIONS = [
    {},
    {"weight_decay": 0.05},
    {"momentum": 0.9},
    {"centered": True},
    {"alpha": 0.5, "eps": 1e-3, "momentum": 0.5, "centered": True, "weight_decay": 0.05},
]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_equals_pytorch_over_100_steps(options: dict[str, Any], dtype: str) -> None:
    assert_same_path(
        lambda parameters: RMSprop(parameters, lr=0.01, **options),
        lambda parameters: torch.optim.RMSprop(parameters, lr=0.01, **options),
        dtype,
    )


def test_the_defaults_are_pytorchs() -> None:
    assert_same_path(RMSprop, torch.optim.RMSprop, "float64")


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_the_multiplier_is_in_the_step_and_not_in_what_it_is_divided_by(options: dict[str, Any]) -> None:
    options = {**options, "weight_decay": 0.0}
    w, scaled = scalar(0.0), scalar(0.0)
    gradients = [1, -0.5, 0.3, 2]
    plain = run(RMSprop([w], lr=0.01, **options), w, gradients)
    tripled = run(RMSprop([scaled], lr=0.01, layer_rate=lambda view: 3.0, **options), scaled, gradients)
    np.testing.assert_allclose(tripled, 3 * np.array(plain), rtol=1e-12)


def test_a_variance_that_rounding_makes_negative_counts_as_0() -> None:
    w = scalar(0.0, "float32")
    path = run(RMSprop([w], lr=1e-9, alpha=0.5, centered=True), w, gradients=[0.3] * 200)
    assert np.isfinite(path).all()


@pytest.mark.parametrize("options", [{"alpha": 1.0}, {"alpha": -0.1}, {"eps": -1}, {"momentum": -0.1}], ids=str)
def test_refuses_options_that_make_no_sense(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"RMSprop: {next(iter(options))}: expected"):
        RMSprop([scalar()], **options)
