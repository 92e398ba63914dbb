"""OneCycleLR: PyTorch's, rate and momentum, and resumed exactly."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from minidl import optim
from minidl.optim import ChainedScheduler, LinearLR, OneCycleLR, SequentialLR, StepLR
from tests.optim.test_curves import optimizer_at
from tests.optim.trajectories import scalar
from tests.pytorch import torch

OPTIONS: list[dict[str, Any]] = [
    {"total_steps": 300},
    {"total_steps": 299, "anneal_strategy": "linear"},
    {"total_steps": 300, "three_phase": True},
    {"total_steps": 301, "three_phase": True, "anneal_strategy": "linear", "pct_start": 0.41},
    {"epochs": 7, "steps_per_epoch": 31, "pct_start": 0.1, "div_factor": 10, "final_div_factor": 100},
    {"total_steps": 50, "base_momentum": 0.5, "max_momentum": 0.99},
    {"total_steps": 50, "cycle_momentum": False},
    {"total_steps": 20, "pct_start": 0.0},
    {"total_steps": 20, "pct_start": 1.0},
    {"total_steps": 13, "pct_start": 0.8, "three_phase": True},
    {"total_steps": 2},
]


def found_by(schedule: Any, steps: int, momentum: Any) -> list[tuple[float, float]]:
    """Rate and momentum of each step."""
    found = []
    for k in range(steps):
        group = getattr(schedule.optimizer, "param_groups", [None])[0]
        found.append((group["lr"] if group else schedule.optimizer.lr, momentum(group or schedule.optimizer)))
        if k < steps - 1:
            schedule.optimizer.step()
            schedule.step()
    return found


def steps_of(options: dict[str, Any]) -> int:
    return options.get("total_steps") or options["epochs"] * options["steps_per_epoch"]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("method", ["SGD", "Adam"])
def test_equals_pytorch(options: dict[str, Any], method: str) -> None:
    reference = getattr(torch.optim, method)([torch.nn.Parameter(torch.zeros(1))], lr=0.7)
    optimizer = getattr(optim, method)([scalar()], lr=0.7)
    theirs = torch.optim.lr_scheduler.OneCycleLR(reference, 0.2, **options)
    ours = OneCycleLR(optimizer, 0.2, **options)
    if method == "SGD":
        expected = found_by(theirs, steps_of(options), lambda group: group["momentum"])
        found = found_by(ours, steps_of(options), lambda optimizer: optimizer.momentum)
    else:
        expected = found_by(theirs, steps_of(options), lambda group: group["betas"][0])
        found = found_by(ours, steps_of(options), lambda optimizer: optimizer.betas[0])
        assert optimizer.betas[1] == 0.999
    np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-15)


def test_after_the_cycle_it_stays() -> None:
    schedule = OneCycleLR(optimizer_at(1.0), 0.5, total_steps=10)
    for _ in range(9):
        schedule.step()
    assert schedule.last_lr == pytest.approx(0.5 / 25 / 1e4)
    for _ in range(20):
        schedule.step()
    assert schedule.last_lr == pytest.approx(0.5 / 25 / 1e4)
    assert schedule.optimizer.momentum == 0.95  # type: ignore[attr-defined]


def test_one_step_alone_is_the_last() -> None:
    assert OneCycleLR(optimizer_at(1.0), 0.5, total_steps=1).last_lr == pytest.approx(0.5 / 25 / 1e4)


def test_resumes_exactly() -> None:
    def make() -> OneCycleLR:
        return OneCycleLR(optimizer_at(0.1), 0.2, total_steps=200)

    straight, first = make(), make()
    expected = found_by(straight, 200, lambda optimizer: optimizer.momentum)
    found_by(first, 81, lambda optimizer: optimizer.momentum)
    resumed = make()
    resumed.load_state_dict(json.loads(json.dumps(first.state_dict())))
    assert found_by(resumed, 120, lambda optimizer: optimizer.momentum) == expected[80:]


def test_after_a_warm_up_it_counts_from_there() -> None:
    optimizer = optimizer_at(0.1)
    cycle = OneCycleLR(optimizer, 0.2, total_steps=20)
    expected = [(cycle.rate(k), cycle.momentum(k)) for k in range(20)]
    schedule = SequentialLR(optimizer, [LinearLR(optimizer, total_iters=4), cycle], [5])
    assert schedule.writes == ("lr", "momentum")
    found = found_by(schedule, 25, lambda optimizer: optimizer.momentum)
    assert found[5:] == expected
    assert {momentum for _, momentum in found[:5]} == {0.95}


def test_together_with_stairs_the_rates_multiply() -> None:
    optimizer = optimizer_at(0.1)
    cycle, stairs = OneCycleLR(optimizer, 0.2, total_steps=20), StepLR(optimizer, 8, 0.5)
    expected = [(cycle.rate(k) * 0.5 ** (k // 8), cycle.momentum(k)) for k in range(20)]
    found = found_by(ChainedScheduler([cycle, stairs]), 20, lambda optimizer: optimizer.momentum)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "OneCycleLR: expected total_steps, or epochs and steps_per_epoch; got neither"),
        ({"epochs": 3}, "expected total_steps, or epochs and steps_per_epoch"),
        ({"epochs": 3, "steps_per_epoch": 0}, "OneCycleLR: steps_per_epoch: expected a whole number of at least 1"),
        ({"total_steps": 0}, "OneCycleLR: total_steps: expected a whole number of at least 1; got 0"),
        ({"total_steps": 9, "pct_start": 1.5}, "pct_start: expected a number from 0 to 1; got 1.5"),
        ({"total_steps": 9, "anneal_strategy": "cosine"}, "anneal_strategy: expected 'cos' or 'linear'; got 'cosine'"),
        ({"total_steps": 9, "max_momentum": 2}, "max_momentum: expected a number from 0 to 1"),
        ({"total_steps": 9, "div_factor": 0}, "div_factor: expected a number above 0; got 0"),
    ],
)
def test_refuses_what_makes_no_sense(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        OneCycleLR(optimizer_at(0.1), 0.2, **options)


def test_needs_a_momentum_to_cycle() -> None:
    optimizer = optim.AdaGrad([scalar()])
    with pytest.raises(ValueError, match="OneCycleLR: AdaGrad has no momentum to cycle: pass cycle_momentum=False"):
        OneCycleLR(optimizer, 0.2, total_steps=9)
    assert OneCycleLR(optimizer, 0.2, total_steps=9, cycle_momentum=False).writes == ("lr",)
