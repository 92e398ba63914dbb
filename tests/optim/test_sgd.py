"""SGD goes PyTorch's ways, and Caffe's."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from minidl.optim import SGD, LayerSpecific
from tests.arrays import host
from tests.optim.trajectories import Pair, assert_same_path, give, run, scalar
from tests.pytorch import torch

COMBINATIONS = [
    {"momentum": momentum, "dampening": dampening, "nesterov": nesterov, "weight_decay": weight_decay}
    for momentum, dampening, nesterov, weight_decay in itertools.product((0, 0.9), (0, 0.3), (False, True), (0, 0.05))
    if not nesterov or (momentum and not dampening)
]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("options", COMBINATIONS, ids=str)
def test_equals_pytorch_over_100_steps(options: dict[str, Any], dtype: str) -> None:
    assert_same_path(
        lambda parameters: SGD(parameters, lr=0.05, **options),
        lambda parameters: torch.optim.SGD(parameters, lr=0.05, **options),
        dtype,
    )


def test_caffes_velocity_keeps_the_rate_of_each_gradient() -> None:
    # v1 = .1 * 1 = .1;  v2 = .5 * .1 + .2 * 2 = .45;  v3 = .5 * .45 + .05 * -1 = .175
    w = scalar(1.0)
    optimizer = SGD([w], lr=0.1, momentum=0.5, momentum_form="caffe")
    path = run(optimizer, w, gradients=[1, 2, -1], rates=[0.1, 0.2, 0.05])
    np.testing.assert_allclose(path, [0.9, 0.45, 0.275], rtol=1e-14)


def test_pytorchs_velocity_takes_todays_rate() -> None:
    # v = 1, 2.5, .25 and each step is today's rate times v
    w = scalar(1.0)
    optimizer = SGD([w], lr=0.1, momentum=0.5)
    path = run(optimizer, w, gradients=[1, 2, -1], rates=[0.1, 0.2, 0.05])
    np.testing.assert_allclose(path, [0.9, 0.4, 0.3875], rtol=1e-14)


def test_caffes_nesterov_step_is_1_plus_mu_v_new_less_mu_v_old() -> None:
    # v = .1, .45, .175 as above; steps 1.5 * .1 - 0, 1.5 * .45 - .5 * .1, 1.5 * .175 - .5 * .45
    w = scalar(1.0)
    optimizer = SGD([w], lr=0.1, momentum=0.5, nesterov=True, momentum_form="caffe")
    path = run(optimizer, w, gradients=[1, 2, -1], rates=[0.1, 0.2, 0.05])
    np.testing.assert_allclose(path, [0.85, 0.225, 0.1875], rtol=1e-14)


def test_caffes_weight_decay_is_in_the_gradient() -> None:
    # v1 = .1 (1 + .5 * 1) = .15, w = .85;  v2 = .5 * .15 + .1 (1 + .5 * .85) = .2175
    w = scalar(1.0)
    path = run(SGD([w], lr=0.1, momentum=0.5, weight_decay=0.5, momentum_form="caffe"), w, gradients=[1, 1])
    np.testing.assert_allclose(path, [0.85, 0.6325], rtol=1e-14)


@pytest.mark.parametrize("nesterov", [False, True])
def test_both_forms_make_the_same_steps_at_a_constant_rate_also_layer_specific(nesterov: bool) -> None:
    ends = []
    for form in ("pytorch", "caffe"):
        w = scalar(1.0)
        optimizer = SGD([w], lr=0.1, momentum=0.9, nesterov=nesterov, momentum_form=form, layer_rate=LayerSpecific())
        ends.append(run(optimizer, w, gradients=[1, 0.01, -3, 0.2, 1e-4]))
    np.testing.assert_allclose(ends[0], ends[1], rtol=1e-13)


@pytest.mark.parametrize("form", ["pytorch", "caffe"])
def test_the_multiplier_is_inside_the_velocity(form: str) -> None:
    # multipliers 3, 1 and gradients 1, 1: v = 3 then .5 * 3 + 1 = 2.5, of which t = .1 is stepped
    w = scalar(1.0)
    rate = [3.0, 1.0]
    optimizer = SGD([w], lr=0.1, momentum=0.5, momentum_form=form, layer_rate=lambda view: rate[view.step])
    np.testing.assert_allclose(run(optimizer, w, gradients=[1, 1]), [0.7, 0.45], rtol=1e-14)


def test_without_momentum_nothing_is_remembered() -> None:
    w = scalar()
    optimizer = SGD([w], lr=0.1)
    run(optimizer, w, gradients=[1, 2])
    assert optimizer.state == {"parameter0": {"steps": 2}}


def test_the_gradient_is_left_as_it_was() -> None:
    model = Pair()
    for p in model.parameters():
        give(p, np.full(p.shape, 0.25))
    SGD(
        model, lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.1, momentum_form="caffe", layer_rate=LayerSpecific()
    ).step()
    assert all((host(p.grad) == 0.25).all() for p in model.parameters())


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"momentum": -0.1}, "momentum"),
        ({"momentum": float("nan")}, "momentum"),
        ({"dampening": -1}, "dampening"),
        ({"weight_decay": -1e-4}, "weight_decay"),
        ({"weight_decay": None}, "weight_decay"),
        ({"nesterov": True}, "needs momentum"),
        ({"nesterov": True, "momentum": 0.9, "dampening": 0.1}, "no dampening"),
        ({"momentum_form": "keras"}, "'pytorch' or 'caffe'"),
        ({"momentum_form": "caffe", "momentum": 0.9, "dampening": 0.1}, "dampening"),
    ],
)
def test_refuses_options_that_make_no_sense(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        SGD([scalar()], lr=0.1, **options)
