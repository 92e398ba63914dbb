"""minidl/settings.py: a setting is checked whenever it is written, and reading it costs nothing."""

from __future__ import annotations

import copy
import math
import pickle
from collections.abc import Callable
from typing import Any

import pytest

from minidl import optim
from minidl.checks import nonnegative
from minidl.settings import Setting
from tests.arrays import host
from tests.optim.trajectories import give, scalar

NO_SHARE: list[Any] = [5, -0.1, math.nan, "0.5", True, None]
NO_SIZE: list[Any] = [-0.1, math.nan, math.inf, "0.5", True, None]
NO_TRUTH: list[Any] = ["no", 1, None]
NO_FRACTION: list[Any] = [1, -0.1, math.nan, "0.5", True, None]
NO_COUNT: list[Any] = [0, -1, 2.5, "3", True, None]
NO_STEPS: list[Any] = [3, [2.5], [-1], ["3"], None]


def sgd() -> optim.SGD:
    return optim.SGD([scalar()], lr=0.1, momentum=0.9)


WRONG: dict[str, tuple[Callable[[], Any], dict[str, list[Any]]]] = {
    "SGD": (
        sgd,
        {
            "lr": NO_SIZE,
            "weight_decay": NO_SIZE,
            "momentum": NO_SHARE,
            "dampening": NO_SIZE,
            "nesterov": NO_TRUTH,
            "momentum_form": ["torch", None, 3],
            "layer_rate": [optim.LayerSpecific, "layer-specific", 2.0],
            "initial_lr": [-1.0, "0.1", math.nan],
        },
    ),
    "AdaGrad": (lambda: optim.AdaGrad([scalar()]), {"eps": NO_SIZE, "denominator": ["row", None]}),
    "Adam": (
        lambda: optim.Adam([scalar()]),
        {"betas": [(0.9, 1), (math.nan, 0.9), 0.9, (0.9,), ("0.9", "0.9"), "ab", None], "eps": NO_SIZE, "lr": NO_SIZE},
    ),
    "AdamW": (lambda: optim.AdamW([scalar()]), {"weight_decay": NO_SIZE, "layer_rate": [optim.TrustRatio]}),
    "RMSprop": (
        lambda: optim.RMSprop([scalar()]),
        {"alpha": NO_FRACTION, "eps": NO_SIZE, "momentum": NO_SHARE, "centered": NO_TRUTH},
    ),
    "LayerSpecific": (optim.LayerSpecific, {"norm_scope": ["row"], "norm_of": ["weights"], "log": ["2", 10]}),
    "LARS": (optim.LARS, {"eta": NO_SIZE, "norm_scope": ["row"]}),
    "TrustRatio": (optim.TrustRatio, {"norm_scope": ["row"]}),
    "Replayed": (lambda: optim.Replayed([1.0]), {"multipliers": [[], "12", [math.nan], [-1.0], ["1"], 3]}),
    "StepLR": (lambda: optim.StepLR(sgd(), 3), {"step_size": NO_COUNT, "gamma": NO_SIZE, "base_lr": NO_SIZE}),
    "MultiStepLR": (lambda: optim.MultiStepLR(sgd(), [3]), {"milestones": NO_STEPS, "gamma": NO_SIZE}),
    "ExponentialLR": (lambda: optim.ExponentialLR(sgd(), 0.9), {"gamma": NO_SIZE, "step_count": [-1, 2.5, "3"]}),
    "LinearLR": (
        lambda: optim.LinearLR(sgd()),
        {"start_factor": [0, 1.5, "1", True], "end_factor": [-1, 1.5, "1", True], "total_iters": NO_COUNT},
    ),
    "PolynomialLR": (lambda: optim.PolynomialLR(sgd()), {"total_iters": NO_COUNT, "power": NO_SIZE}),
    "InvLR": (lambda: optim.InvLR(sgd(), 1e-4, 0.75), {"gamma": NO_SIZE, "power": NO_SIZE}),
    "CosineLR": (lambda: optim.CosineLR(sgd(), 9), {"total_steps": NO_COUNT, "min_lr": NO_SIZE}),
    "SequentialLR": (
        lambda: (lambda o: optim.SequentialLR(o, [optim.StepLR(o, 2), optim.StepLR(o, 3)], [5]))(sgd()),
        {"milestones": [[], [1, 2], [-1], 5], "schedulers": [[], ["step"]]},
    ),
    "ChainedScheduler": (lambda: optim.ChainedScheduler([optim.StepLR(sgd(), 2)]), {"schedulers": [[], [0.5]]}),
}
EVERY = [(make, name, value) for make, wrong in WRONG.values() for name, values in wrong.items() for value in values]


@pytest.mark.parametrize(("make", "name", "value"), EVERY)
def test_what_makes_no_sense_is_refused_by_name_and_the_old_value_stays(make: Any, name: str, value: Any) -> None:
    owner = make()
    before = getattr(owner, name)
    with pytest.raises((TypeError, ValueError), match="expected"):
        setattr(owner, name, value)
    assert getattr(owner, name) is before


@pytest.mark.parametrize("kind", WRONG)
def test_every_setting_there_is_was_tried(kind: str) -> None:
    tried = {name for make, wrong in WRONG.values() for name in wrong if isinstance(make(), getattr(optim, kind))}
    own = {name for name, value in vars(getattr(optim, kind)).items() if isinstance(value, Setting)}
    assert own <= tried


def test_the_message_names_class_and_setting() -> None:
    with pytest.raises(ValueError, match=r"SGD: momentum: expected a number from 0 to 1; got 5"):
        sgd().momentum = 5
    with pytest.raises(ValueError, match=r"SGD: weight_decay: expected a finite number of at least 0; got nan"):
        sgd().weight_decay = math.nan
    with pytest.raises(ValueError, match=r"SGD: lr: expected a number; got '0.1'"):
        optim.SGD([scalar()], lr="0.1")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"SGD: lr: expected a number; got True"):
        optim.SGD([scalar()], lr=True)
    with pytest.raises(TypeError, match=r"SGD: layer_rate: expected a layer rate, such as LayerSpecific\(\)"):
        sgd().layer_rate = optim.LayerSpecific


def test_settings_that_exclude_each_other_are_refused_later_too() -> None:
    optimizer = optim.SGD([scalar()], momentum=0.9, nesterov=True)
    with pytest.raises(ValueError, match="Nesterov's step needs momentum"):
        optimizer.momentum = 0
    assert optimizer.momentum == 0.9
    optimizer.momentum_form = "caffe"
    with pytest.raises(ValueError, match="TrustRatio would divide it out"):
        optimizer.layer_rate = optim.TrustRatio()
    assert type(optimizer.layer_rate) is optim.Uniform
    optimizer.nesterov = False
    optimizer.momentum = 0


@pytest.mark.parametrize("rate", [optim.TrustRatio(), optim.LayerSpecific(), lambda view: 3.0])
def test_a_layer_rate_that_is_written_later_is_used_as_one_from_the_beginning(rate: Any) -> None:
    weights = []
    for later in (False, True):
        w = scalar(2.0)
        optimizer = optim.AdamW([w], lr=0.1, layer_rate=optim.LARS() if later else rate)
        optimizer.layer_rate = rate
        give(w, [0.5])
        optimizer.step()
        weights.append(host(w))
    assert weights[0] == weights[1]
    optimizer.layer_rate = None
    assert type(optimizer.layer_rate) is optim.Uniform


def test_a_number_becomes_a_plain_float() -> None:
    optimizer = sgd()
    optimizer.weight_decay = 1
    assert type(optimizer.weight_decay) is float
    assert optim.Adam([scalar()], betas=[0, 0.5]).betas == (0.0, 0.5)  # type: ignore[arg-type]


def test_reading_calls_nothing() -> None:
    class Owner:
        size = Setting(nonnegative)

    assert not hasattr(Setting, "__get__")
    owner = Owner()
    owner.size = 2
    assert vars(owner) == {"size": 2.0}
    assert owner.size == 2.0


def test_copies_keep_their_settings() -> None:
    for copied in (copy.deepcopy(sgd()), pickle.loads(pickle.dumps(optim.LARS(0.5)))):
        with pytest.raises(ValueError, match="expected"):
            setattr(copied, "momentum" if isinstance(copied, optim.SGD) else "eta", -1)
