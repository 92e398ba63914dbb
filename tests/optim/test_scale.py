"""Rates and weight decays of single parameters: PyTorch's parameter groups, Caffe's lr_mult and decay_mult."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from minidl.optim import LARS, SGD, AdaGrad, Adam, AdamW, LayerRate, LayerSpecific, Optimizer, RMSprop
from tests.arrays import host, tensor
from tests.optim.trajectories import Pair, give, gradient
from tests.pytorch import torch

METHODS: dict[str, tuple[Callable[..., Optimizer], Callable[..., Any]]] = {
    "sgd": (SGD, torch.optim.SGD),
    "momentum": (
        lambda p, **options: SGD(p, momentum=0.9, nesterov=True, **options),
        lambda p, **options: torch.optim.SGD(p, momentum=0.9, nesterov=True, **options),
    ),
    "adagrad": (AdaGrad, torch.optim.Adagrad),
    "rmsprop": (RMSprop, torch.optim.RMSprop),
    "adam": (Adam, torch.optim.Adam),
    "adamw": (AdamW, torch.optim.AdamW),
}


@pytest.mark.parametrize(("ours", "theirs"), METHODS.values(), ids=METHODS.keys())
def test_equals_pytorchs_parameter_groups(ours: Callable[..., Optimizer], theirs: Callable[..., Any]) -> None:
    model = Pair()
    named = model.named_parameters()
    optimizer = ours(model, lr=0.02, weight_decay=0.1).scale("*.bias", lr=2.0, decay=0.0).scale("second.*", decay=3.0)
    settings = {  # the bias of the second layer was scaled twice
        "first.weight": {},
        "first.bias": {"lr": 0.04, "weight_decay": 0.0},
        "second.weight": {"weight_decay": 0.1 * 3.0},
        "second.bias": {"lr": 0.04, "weight_decay": 0.1 * 3.0},
    }
    references = {name: torch.nn.Parameter(torch.from_numpy(host(p))) for name, p in named}
    groups = [{"params": [q], **settings[name]} for name, q in references.items()]
    reference = theirs(groups, lr=0.02, weight_decay=0.1)
    for k in range(50):
        for name, p in named:
            p.grad = tensor(gradient(host(p), k))
            references[name].grad = torch.from_numpy(gradient(references[name].detach().numpy(), k))
        optimizer.step()
        reference.step()
        for name, p in named:
            np.testing.assert_allclose(host(p), references[name].detach().numpy(), rtol=1e-12, atol=1e-12)


def steps(optimizer: SGD, model: Pair, rates: list[float]) -> Any:
    """The first layer's bias (0.5 at first) after a step at each rate, with a gradient of 1."""
    path = []
    for rate in rates:
        optimizer.lr = rate
        give(model.first.bias, [1])
        optimizer.step()
        path.append(host(model.first.bias)[0])
    return path


def test_in_caffes_form_the_rate_is_inside_the_velocity() -> None:
    model = Pair()
    optimizer = SGD(model, momentum=0.5, weight_decay=0.1, momentum_form="caffe").scale("first.bias", lr=2, decay=3)
    # g = 1 + .3 w; v1 = .2 g1; v2 = .5 v1 + .02 g2
    v1 = 0.2 * (1 + 0.3 * 0.5)
    v2 = 0.5 * v1 + 0.02 * (1 + 0.3 * (0.5 - v1))
    np.testing.assert_allclose(steps(optimizer, model, [0.1, 0.01]), [0.5 - v1, 0.5 - v1 - v2], rtol=1e-14)


def test_in_pytorchs_form_it_is_outside() -> None:
    model = Pair()
    optimizer = SGD(model, momentum=0.5).scale("first.bias", lr=2)
    np.testing.assert_allclose(steps(optimizer, model, [0.1, 0.01]), [0.5 - 0.2, 0.5 - 0.2 - 0.02 * 1.5], rtol=1e-14)


def test_a_layer_rate_multiplies_it_and_sees_the_parameters_own_decay() -> None:
    model = Pair()
    seen: list[Any] = []

    def rate(view: Any) -> float:
        seen.append((view.decays, [host(d)[0] for d in view.direction]))
        return 5.0

    optimizer = SGD(model, lr=0.1, weight_decay=0.5, layer_rate=rate).scale("*.bias", lr=2.0, decay=0.0)
    give(model.first.weight, [1, 1])
    give(model.first.bias, [1])
    optimizer.step()
    assert seen == [([0.5, 0.0], [1.5, 1.0])]
    np.testing.assert_allclose(host(model.first.weight), [1 - 0.5 * 1.5, 2 - 0.5 * 2], rtol=1e-14)
    np.testing.assert_allclose(host(model.first.bias), [0.5 - 2 * 0.5], rtol=1e-14)
    assert optimizer.layer_report()["first"].rate == pytest.approx(0.5)  # the layer's


def test_the_layer_specific_norm_with_decay_has_each_parameters_own_decay_in_it() -> None:
    model = Pair()
    rate = LayerSpecific(norm_of="gradient+decay")
    optimizer = SGD(model, weight_decay=1.0, layer_rate=rate).scale("first.weight", decay=0.0)
    give(model.first.weight, [2, 1])
    give(model.first.bias, [1.5])  # 2 with decay
    optimizer.step()
    assert optimizer.layer_report()["first"].multiplier == pytest.approx(1 + math.log(1 + 1 / 3))


def test_a_rate_for_the_update_sees_it_without_the_parameters_rate() -> None:
    class Seen(LayerRate):
        applies_to = "update"

        def __call__(self, view: Any) -> float:
            assert [host(d)[0] for d in view.direction] == [1.0]
            return 3.0

    model = Pair()
    optimizer = SGD(model, layer_rate=Seen()).scale("first.bias", lr=2.0)
    assert steps(optimizer, model, [0.1]) == pytest.approx([0.5 - 0.1 * 2 * 3])


def test_a_rate_of_0_freezes() -> None:
    model = Pair()
    assert steps(SGD(model, weight_decay=0.1).scale("first.*", lr=0), model, [0.1, 0.1]) == [0.5, 0.5]


def test_later_calls_override_and_leave_what_they_do_not_name() -> None:
    optimizer = SGD(Pair())
    assert optimizer.scale("*", lr=3.0) is optimizer
    optimizer.scale("*.bias", decay=0.0).scale("second.bias", lr=1.0)
    assert optimizer.scales == {
        "first.weight": (3.0, 1.0),
        "first.bias": (3.0, 0.0),
        "second.weight": (3.0, 1.0),
        "second.bias": (1.0, 0.0),
    }


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("bias",), r"no parameter is called 'bias'; there are first.weight, first.bias, second.weight, second.bias"),
        (("*.Bias", 2.0), "no parameter is called"),
        (("*.bias",), "lr=, decay= or both"),
        (("*.bias", -1.0), "scale: lr: expected a finite number"),
        (("*.bias", 1.0, float("inf")), "scale: decay: expected a finite number"),
        (("*.bias", "fast"), "scale: lr: expected a number"),
    ],
)
def test_refuses_what_makes_no_sense_and_changes_nothing(arguments: Any, words: str) -> None:
    optimizer = SGD(Pair(), layer_rate=LARS())
    with pytest.raises(ValueError, match=words):
        optimizer.scale(*arguments)
    assert optimizer.scales == {}
