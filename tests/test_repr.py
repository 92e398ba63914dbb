"""Everything that a program holds in its hands says in a few words what it is: no address, no thousands of numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minidl as md
import minidl.functional as F
from minidl import data, nn, observe, optim, training
from minidl.data import transforms
from tests.arrays import device

PACKAGES = (md, nn, optim, data, data.transforms, md.models, observe, md.plot, training, md.curvature)
LONGEST = 1000  # letters, in one line or several


def public_classes() -> dict[str, type]:
    found = {}
    for package in PACKAGES:
        for name in package.__all__:
            thing = getattr(package, name)
            if isinstance(thing, type) and thing.__module__.startswith("minidl."):
                found[f"{package.__name__}.{name}"] = thing
    return found


@pytest.mark.parametrize("name", public_classes())
def test_every_public_class_has_words_of_its_own(name: str) -> None:
    cls = public_classes()[name]
    if getattr(cls, "_is_protocol", False) or issubclass(cls, Exception):
        return
    assert cls.__repr__ is not object.__repr__


def trained() -> dict[str, Any]:
    """One of each kind, after a short training."""
    rng = np.random.default_rng(0)
    numbers = data.Dataset(rng.normal(size=(2000, 6)).astype(np.float32), rng.integers(0, 3, 2000))
    model = md.models.mlp((6, 5, 3))
    optimizer = optim.SGD(model, lr=0.1, layer_rate=optim.LayerSpecific())
    loader = data.Loader(numbers, 4)
    step = optim.StepLR(optimizer, step_size=3)
    with observe.GradientFlow(model, optimizer) as flow:
        history = training.fit(model, optimizer, loader, epochs=1, validation=numbers, progress=False)
    loss = F.cross_entropy(model(md.zeros(2000, 6)), device(numbers.labels))
    return {
        "history": history,
        "flow": flow,
        "recording": flow.recording,
        "report": optimizer.layer_report(),
        "state": training.TrainingState(model, optimizer, history),
        "loss": loss,
        "node": loss._op,
        "input node": loss._op.inputs[0],
        "tensor": md.randn(100, 100),
        "data set": numbers,
        "splits": data.digits(),
        "loader": loader,
        "batches": iter(loader),
        "mapped": data.Mapped(numbers, transforms.ToFloat()),
        "mean image": transforms.MeanImage(np.zeros((3, 32, 32), np.float32)),
        "SGD": optimizer,
        "Adam": optim.Adam(model),
        "step": step,
        "chained": optim.ChainedScheduler([step, optim.InvLR(optimizer, 0.1, 0.75)]),
        "sequence": optim.SequentialLR(optimizer, [step, optim.CosineLR(optimizer, 9)], [4]),
        "rate": optim.LARS(),
        "replayed": optim.Replayed([1.0] * 5000),
        "layers": model.layers(),
        "handle": model.register_forward_hook(lambda *args: None),
        "mode": md.no_grad(),
        "evaluation": training.evaluate(model, numbers),
    }


def test_what_a_program_holds_is_short_and_has_no_address() -> None:
    for name, thing in trained().items():
        text = repr(thing)
        assert "object at 0x" not in text, name
        assert len(text) <= LONGEST, (name, text)


class Twice(md.Function):
    def forward(self, x: Any) -> Any:
        return 2 * x

    def backward(self, grad_out: Any, x: Any) -> Any:
        return 2 * grad_out


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Twice()(md.tensor([1.0], requires_grad=True))._op, "Twice() of Tensor (1,)"),
        (lambda: F.relu(md.tensor([1.0], requires_grad=True))._op, "ReLU() of Tensor (1,)"),
        (
            lambda: optim.StepLR(optim.SGD([md.tensor([1.0])], lr=0.5), 3),
            "StepLR(step_size=3, gamma=0.1, at step 0: lr=0.5)",
        ),
        (lambda: md.no_grad(), "no_grad()"),
        (lambda: training.History(), "History(0 epochs, 0 steps; 0.0 s)"),
    ],
)
def test_words(make: Callable[[], Any], words: str) -> None:
    assert repr(make()) == words
