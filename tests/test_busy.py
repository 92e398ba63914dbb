"""A training loop keeps the GPU busy: between two looks at its numbers the host waits for nothing.

On a GPU `float(loss)` in every step is the usual mistake: the program stops until all it asked for is computed, and
then the GPU stops until it is asked for more. The stand-in counts what would wait.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest

import minidl as md
from minidl import backend
from minidl.data import Dataset, Loader, progress
from minidl.data import transforms as T
from minidl.observe import GradientFlow
from minidl.optim import SGD, Adam, LayerSpecific, clip_grad_norm_
from minidl.optim.curves import CosineLR

RNG = np.random.default_rng(0)
BYTES = RNG.integers(0, 256, (24, 3, 8, 8), np.uint8)
LABELS = RNG.integers(0, 3, 24)
AUGMENT = T.Compose([T.RandomCrop(6), T.RandomHorizontalFlip(), T.ToFloat(), T.Normalize(0.5, 0.25)])


def network() -> Any:
    md.seed(0)
    return md.nn.Sequential(
        md.nn.Conv2d(3, 4, 3, padding=1),
        md.nn.BatchNorm2d(4),
        md.nn.ReLU(),
        md.nn.MaxPool2d(2),
        md.nn.Flatten(),
        md.nn.Dropout(0.5),
        md.nn.Linear(36, 3),
    )


class Clip:
    """A callback that looks at gradients, not at numbers."""

    def on_step(self, state: Any) -> None:
        clip_grad_norm_(state.model.parameters(), 1.0)


def waits_of_training(standin: ModuleType, epochs: int, **options: Any) -> int:
    """How often the host waited while it trained for so many epochs of 6 steps."""
    model = network()
    optimizer = SGD(model, lr=0.01, momentum=0.9, weight_decay=1e-4, layer_rate=LayerSpecific())
    loader = Loader(Dataset(BYTES, LABELS), batch_size=4, seed=0, transform=AUGMENT)
    standin.reset_synchronizations()
    md.fit(model, optimizer, loader, epochs=epochs, schedule=CosineLR(optimizer, 100), callbacks=[Clip()], **options)
    return len(standin.synchronizations())


def test_fit_waits_once_an_epoch_for_its_losses_and_never_in_a_step(standin: ModuleType) -> None:
    with md.using("cupy"):
        assert waits_of_training(standin, 1) == 1
        assert waits_of_training(standin, 3) == 3


def test_a_progress_bar_waits_when_it_is_drawn_and_not_between(
    standin: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("rich")
    monkeypatch.setattr(progress, "REFRESH", 1000.0)
    monkeypatch.setattr(progress, "in_terminal", lambda: True)
    with md.using("cupy"):
        # The losses; the first step's is drawn at once, and at the end the epoch's mean, which is at hand.
        assert waits_of_training(standin, 2, progress=True) == 2 + 1


def test_evaluating_waits_a_few_times_however_many_batches_there_are(standin: ModuleType) -> None:
    with md.using("cupy"):
        model = network()
        data = T.Mapped(Dataset(BYTES, LABELS), T.Compose([T.CenterCrop(6), T.ToFloat()]))
        for batch_size in (24, 6, 3):
            standin.reset_synchronizations()
            md.evaluate(model, data, batch_size=batch_size, progress=False)
            # The loss, and how many were right; of several batches also whether the first, taken twice, is a sum.
            assert len(standin.synchronizations()) == (2 if batch_size == 24 else 3)


def test_recording_gradient_flow_does_not_wait_in_a_step(standin: ModuleType) -> None:
    with md.using("cupy"):
        model = network()
        optimizer = Adam(model, lr=0.01)
        loader = Loader(Dataset(BYTES, LABELS), batch_size=4, seed=0, transform=AUGMENT)
        with GradientFlow(model, optimizer):
            standin.reset_synchronizations()
            for inputs, labels in loader:
                loss = md.functional.cross_entropy(model(md.Tensor(inputs)), labels)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            assert standin.synchronizations() == ()


def test_images_travel_as_bytes_and_become_the_same_floats_on_the_gpu(
    standin: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    def batches() -> list[Any]:
        loader = Loader(Dataset(BYTES, LABELS), batch_size=5, seed=0, transform=AUGMENT, workers=1)
        return [backend.to_numpy(inputs) for inputs, _ in loader]

    travelled: list[Any] = []
    pinned = backend.pinned
    monkeypatch.setattr(backend, "pinned", lambda array: travelled.append(array.dtype.name) or pinned(array))
    with md.using("numpy"):
        expected = batches()
    with md.using("cupy"):
        found = batches()
    assert set(travelled) == {"uint8", "int64"}
    for inputs, others in zip(found, expected, strict=True):
        assert inputs.dtype == np.float32
        np.testing.assert_array_equal(inputs, others)


@pytest.mark.parametrize(
    ("transform", "on_host", "anywhere"),
    [
        (T.ToFloat(), None, "Compose(transforms=[ToFloat(scale=0.1)])"),
        (T.RandomCrop(3), "RandomCrop(size=(3, 3), padding=(0, 0))", None),
        (
            T.Compose([T.ToFloat(0.1), T.CenterCrop(3), T.ToFloat(0.1)]),
            "Compose(transforms=[ToFloat(scale=0.1), CenterCrop(size=(3, 3))])",
            "Compose(transforms=[ToFloat(scale=0.1)])",
        ),
    ],
)
def test_only_the_last_steps_that_compute_may_run_anywhere(transform: Any, on_host: Any, anywhere: Any) -> None:
    parts = T.on_host_and_anywhere(transform)
    assert [None if part is None else repr(part).replace(repr(1 / 255), "0.1") for part in parts] == [on_host, anywhere]


def test_a_transform_of_ones_own_stays_on_the_host() -> None:
    class Own(T.ToFloat):
        def __call__(self, images: Any, rng: Any = None) -> Any:
            return np.sqrt(images, dtype=np.float32)

    own = T.Compose([Own()])
    assert T.on_host_and_anywhere(own) == (own, None)
