"""AdamW is PyTorch's: Adam's direction, and a decay that stays out of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from minidl.optim import Adam, AdamW, LayerView
from tests.arrays import host
from tests.optim.trajectories import assert_same_path, run, scalar
from tests.pytorch import torch


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(
    "options", [{}, {"weight_decay": 0.0}, {"weight_decay": 0.5}, {"betas": (0.5, 0.9), "eps": 1e-3}], ids=str
)
def test_equals_pytorch_over_100_steps(options: dict[str, Any], dtype: str) -> None:
    assert_same_path(
        lambda parameters: AdamW(parameters, lr=0.01, **options),
        lambda parameters: torch.optim.AdamW(parameters, lr=0.01, **options),
        dtype,
    )


def test_the_defaults_are_pytorchs() -> None:
    assert_same_path(AdamW, torch.optim.AdamW, "float64")


def test_without_decay_it_is_adam() -> None:
    ends = []
    for method in (Adam, AdamW):
        w = scalar(1.0)
        ends.append(run(method([w], lr=0.1, weight_decay=0.0), w, gradients=[1, -0.5, 3]))
    assert ends[0] == ends[1]


def test_the_decay_is_in_no_moment() -> None:
    w = scalar(2.0)
    optimizer = AdamW([w], lr=0.1, weight_decay=0.5)
    assert run(optimizer, w, gradients=[0]) == pytest.approx([2 - 0.1 * 0.5 * 2], rel=1e-14)
    assert not host(optimizer.state["parameter0"]["first_moment"]).any()
    assert not host(optimizer.state["parameter0"]["second_moment"]).any()


def test_a_rate_for_the_gradient_leaves_the_decay_alone() -> None:
    # one step: t (m g / |g| + decay w) = .1 (2 * 1 + .5 * 2)
    seen = []

    def double(view: LayerView) -> float:
        seen.append((host(view.direction[0])[0], view.decays))
        return 2.0

    w = scalar(2.0)
    path = run(AdamW([w], lr=0.1, eps=0, weight_decay=0.5, layer_rate=double), w, gradients=[5])
    np.testing.assert_allclose(path, [2 - 0.1 * 3], rtol=1e-14)
    assert seen == [(5.0, [0.0])]


def test_a_rate_for_the_update_scales_both() -> None:
    def double(view: LayerView) -> float:
        assert host(view.direction[0])[0] == pytest.approx(1 + 0.5 * 2)
        return 2.0

    double.applies_to = "update"  # type: ignore[attr-defined]
    w = scalar(2.0)
    path = run(AdamW([w], lr=0.1, eps=0, weight_decay=0.5, layer_rate=double), w, gradients=[5])
    np.testing.assert_allclose(path, [2 - 0.1 * 2 * (1 + 0.5 * 2)], rtol=1e-14)
