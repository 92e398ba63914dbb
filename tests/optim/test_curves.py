"""Schedules by a formula: PyTorch's where it has them, Caffe's formula where it has not, and resumed exactly."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from minidl.optim import (
    SGD,
    CosineLR,
    ExponentialLR,
    InvLR,
    LambdaLR,
    LinearLR,
    MultiStepLR,
    PolynomialLR,
    Schedule,
    StepLR,
)
from tests.optim.trajectories import scalar
from tests.pytorch import torch


def optimizer_at(lr: float) -> SGD:
    return SGD([scalar()], lr=lr)


def rates(schedule: Schedule, steps: int) -> list[float]:
    """The rates of the first `steps` steps."""
    found = []
    for _ in range(steps):
        found.append(schedule.optimizer.lr)
        assert schedule.last_lr == schedule.optimizer.lr
        schedule.step()
    return found


def wavy(k: int) -> float:
    return 1.5 + (k % 7) * 0.9**k


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (lambda o: StepLR(o, 7, 0.3), lambda o: torch.optim.lr_scheduler.StepLR(o, 7, 0.3)),
        (lambda o: StepLR(o, 10), lambda o: torch.optim.lr_scheduler.StepLR(o, 10)),
        (lambda o: CosineLR(o, 99), lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, 99)),
        (lambda o: CosineLR(o, 120, 0.01), lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, 120, 0.01)),
        (lambda o: MultiStepLR(o, [5, 20, 20, 33]), lambda o: torch.optim.lr_scheduler.MultiStepLR(o, [5, 20, 20, 33])),
        (lambda o: MultiStepLR(o, (0, 7), 0.3), lambda o: torch.optim.lr_scheduler.MultiStepLR(o, (0, 7), 0.3)),
        (lambda o: ExponentialLR(o, 0.9), lambda o: torch.optim.lr_scheduler.ExponentialLR(o, 0.9)),
        (LinearLR, torch.optim.lr_scheduler.LinearLR),
        (lambda o: LinearLR(o, 0.1, 0.7, 33), lambda o: torch.optim.lr_scheduler.LinearLR(o, 0.1, 0.7, 33)),
        (lambda o: LambdaLR(o, wavy), lambda o: torch.optim.lr_scheduler.LambdaLR(o, wavy)),
        (PolynomialLR, torch.optim.lr_scheduler.PolynomialLR),
        (lambda o: PolynomialLR(o, 50, 0.5), lambda o: torch.optim.lr_scheduler.PolynomialLR(o, 50, 0.5)),
        (lambda o: PolynomialLR(o, 50, 2.0), lambda o: torch.optim.lr_scheduler.PolynomialLR(o, 50, 2.0)),
    ],
)
def test_equals_pytorch(ours: Callable[[Any], Schedule], theirs: Callable[[Any], Any]) -> None:
    reference = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.2)
    schedule = theirs(reference)
    expected = []
    for _ in range(100):
        expected.append(schedule.get_last_lr()[0])
        reference.step()
        schedule.step()
    assert rates(ours(optimizer_at(0.2)), 100) == pytest.approx(expected, rel=1e-12, abs=1e-15)


def test_milestones_come_in_any_order() -> None:
    assert rates(MultiStepLR(optimizer_at(1.0), [20, 5, 5], 0.5), 30) == [1.0] * 5 + [0.25] * 15 + [0.125] * 10
    schedule = MultiStepLR(optimizer_at(1.0), [1])
    schedule.step()
    assert schedule.get_last_lr() == pytest.approx([0.1])


def test_inv_is_caffes_formula() -> None:
    schedule = InvLR(optimizer_at(0.01), gamma=1e-4, power=0.75)
    expected = [0.01 * (1 + 1e-4 * k) ** -0.75 for k in range(50)]
    assert rates(schedule, 50) == pytest.approx(expected, rel=1e-15)
    assert schedule.rate(10_000) == pytest.approx(0.01 * 2**-0.75)


def test_cosine_stays_at_its_end() -> None:
    found = rates(CosineLR(optimizer_at(0.2), total_steps=4, min_lr=0.1), 8)
    assert found[2] == pytest.approx(0.15)
    assert found[4:] == [0.1] * 4


@pytest.mark.parametrize(
    "make",
    [
        lambda o: StepLR(o, 3, 0.7),
        lambda o: InvLR(o, 0.1, 0.75),
        lambda o: CosineLR(o, 20),
        lambda o: MultiStepLR(o, [3, 9, 12]),
        lambda o: ExponentialLR(o, 0.7),
        lambda o: LinearLR(o, total_iters=12),
        lambda o: PolynomialLR(o, 20, 0.5),
        lambda o: LambdaLR(o, wavy),
    ],
)
def test_resumes_exactly_also_on_an_optimizer_whose_rate_has_already_fallen(make: Callable[[Any], Schedule]) -> None:
    expected = rates(make(optimizer_at(0.2)), 20)
    first = make(optimizer_at(0.2))
    rates(first, 8)
    resumed = make(optimizer_at(first.optimizer.lr))
    resumed.load_state_dict(first.state_dict())
    assert rates(resumed, 12) == expected[8:]


def test_a_warm_up_begins_in_the_first_step() -> None:
    optimizer = optimizer_at(0.3)
    schedule = LinearLR(optimizer, start_factor=0.1, total_iters=9)
    assert optimizer.lr == schedule.last_lr == pytest.approx(0.03)
    assert schedule.base_lr == 0.3


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda o: StepLR(o, 0), "step_size"),
        (lambda o: StepLR(o, 2.5), "step_size"),
        (lambda o: StepLR(o, 3, -1), "gamma"),
        (lambda o: InvLR(o, float("nan"), 1), "gamma"),
        (lambda o: InvLR(o, 1e-4, -1), "power"),
        (lambda o: CosineLR(o, 0), "total_steps"),
        (lambda o: CosineLR(o, 10, -0.1), "min_lr"),
        (lambda o: MultiStepLR(o, 3), "MultiStepLR: milestones: expected a list of whole numbers of at least 0; got 3"),
        (lambda o: CosineLR(o, "a"), "CosineLR: total_steps: expected a whole number of at least 1; got 'a'"),
        (lambda o: MultiStepLR(o, [2.5]), "milestones"),
        (lambda o: MultiStepLR(o, [-1]), "milestones"),
        (lambda o: MultiStepLR(o, [3], gamma=-1), "gamma"),
        (lambda o: ExponentialLR(o, float("inf")), "gamma"),
        (
            lambda o: LambdaLR(o, lambda k: -1.0),
            r"LambdaLR: lr_lambda\(0\): expected a finite number of at least 0; got -1",
        ),
        (lambda o: LambdaLR(o, lambda k: None), r"LambdaLR: lr_lambda\(0\): expected a number; got None"),
        (lambda o: LinearLR(o, start_factor=0), "0 < start_factor <= 1"),
        (lambda o: LinearLR(o, end_factor=1.5), "end_factor <= 1; got .* and 1.5"),
        (lambda o: LinearLR(o, total_iters=0), "total_iters"),
        (lambda o: PolynomialLR(o, 0), "total_iters"),
        (lambda o: PolynomialLR(o, 5, -1), "power"),
        (lambda o: StepLR(o, 3).load_state_dict({"last_epoch": 3}), "'base_lr' and 'step_count'"),
        (
            lambda o: StepLR(o, 3).load_state_dict({"base_lr": 0.1, "step_count": -3}),
            "the saved 'step_count': expected",
        ),
    ],
)
def test_refuses_what_makes_no_sense(make: Callable[[Any], Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make(optimizer_at(0.1))


def test_lambda_takes_a_function() -> None:
    with pytest.raises(TypeError, match=r"LambdaLR: lr_lambda: expected a function of .*; got 0\.5"):
        LambdaLR(optimizer_at(0.1), 0.5)  # type: ignore[arg-type]


def test_lambda_shows_its_function_by_name() -> None:
    assert repr(LambdaLR(optimizer_at(0.1), wavy)).startswith("LambdaLR(lr_lambda=wavy, at step 0: lr=")
