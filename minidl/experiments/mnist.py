"""What `minidl mnist` runs: Caffe's LeNet on the real MNIST, by Caffe's recipe.

The folder of a run holds results.json (the test accuracy at each look), lenet.npz (the weights, for `md.load`) and
checkpoint.npz, from which the same command goes on: after Ctrl-C, or for more steps.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from minidl import backend, models, optim
from minidl.checkpoint import load_checkpoint
from minidl.data import Dataset, Loader, mnist
from minidl.storage import write_atomically
from minidl.training import TrainingState, evaluate, fit
from minidl.weights import save

BATCH, LR, MOMENTUM, DECAY, GAMMA, POWER = 64, 0.01, 0.9, 5e-4, 1e-4, 0.75
REFERENCE = {500: 0.966, 1_000: 0.982, 1_500: 0.984, 3_000: 0.989}  # this recipe on these images in PyTorch, one seed

Progress = Callable[[dict[str, float]], None]


def train_lenet(
    folder: Path,
    iterations: int = 1_500,
    every: int = 500,
    seed: int = 0,
    root: str | PathLike[str] | None = None,
    download: bool = False,
    on_look: Progress = lambda look: None,
    progress: bool | None = None,
) -> dict[str, Any]:
    """Train LeNet and look at the test images every so many iterations; returns what results.json holds.

    The recipe (Caffe's examples/mnist/lenet_solver.prototxt): pixels over 256, batches of 64, SGD with momentum 0.9 in
    Caffe's form, rate 0.01 (1 + 1e-4 k)^-0.75, biases at twice the rate, weight decay 5e-4. Unlike Caffe, which reads
    the images in their order, each epoch has a new order.

    Args:
        folder: where the files go. If a run of the same seed is there already, it is continued.
        iterations: steps, of one batch each.
        every: how often to look at the test images, which nothing is chosen by.
        seed: of weights and order.
        root, download: as for `data.mnist`.
        on_look: called with {"iteration", "accuracy", "loss"} after each look.
        progress: as for `fit`.

    Raises:
        ValueError: numbers out of range, or the folder holds a run of another seed.
        FileNotFoundError, ConnectionError: MNIST is not there, or could not be fetched.
    """
    for name, value in (("iterations", iterations), ("every", every)):
        if value < 1:
            raise ValueError(f"expected {name} to be at least 1; got {value}")
    sets = mnist(root=root, download=download)
    train, test = _over_256(sets.train), _over_256(sets.test)

    backend.seed(seed)
    model = models.lenet()
    optimizer = optim.SGD(model, lr=LR, momentum=MOMENTUM, weight_decay=DECAY, momentum_form="caffe")
    optimizer.scale("*.bias", lr=2.0)
    schedule = optim.InvLR(optimizer, gamma=GAMMA, power=POWER)
    loader = Loader(train, BATCH, seed=seed, drop_last=True)

    record = _Record(folder, seed, iterations, every, test, on_look)
    checkpoint = folder / "checkpoint.npz"
    done = len(load_checkpoint(checkpoint).history.step_loss) if checkpoint.exists() else 0
    if done < iterations:
        epochs = -(-iterations // len(loader))
        history = fit(
            model,
            optimizer,
            loader,
            epochs=epochs,
            schedule=schedule,
            callbacks=[record],
            checkpoint=checkpoint,
            checkpoint_every=every,
            resume=done > 0,
            progress=progress,
        )
        save(model.state_dict(), folder / "lenet.npz")
        record.results["interrupted"] = history.interrupted
        record.write()
    return record.results


class _Record:
    """A callback of `fit`: looks at the test images, keeps results.json, and stops the training in time."""

    def __init__(self, folder: Path, seed: int, iterations: int, every: int, test: Dataset, on_look: Progress) -> None:
        self.path = folder / "results.json"
        self.iterations, self.every, self.test, self.on_look = iterations, every, test, on_look
        self.results: dict[str, Any] = {"seed": seed, "looks": [], "interrupted": False}
        if self.path.exists():
            self.results = json.loads(self.path.read_text(encoding="utf-8"))
            if self.results["seed"] != seed:
                raise ValueError(
                    f"{folder} holds a run with seed {self.results['seed']}; got seed {seed}: name another folder"
                )

    def on_step(self, state: TrainingState) -> None:
        """After each step."""
        state.stop = state.stop or state.step >= self.iterations
        if state.step % self.every == 0 or state.step == self.iterations:
            found = evaluate(state.model, self.test)
            look = {"iteration": state.step, "accuracy": found.accuracy or 0.0, "loss": found.loss}
            kept = [earlier for earlier in self.results["looks"] if earlier["iteration"] < state.step]
            self.results["looks"] = [*kept, look]
            self.write()
            self.on_look(look)

    def write(self) -> None:
        """Put results.json on the disk."""
        write_atomically(self.path, json.dumps(self.results, indent=1).encode())


def _over_256(dataset: Dataset) -> Dataset:
    """Caffe divides pixels by 256, `mnist` by 255."""
    return replace(dataset, inputs=dataset.inputs * np.float32(255 / 256))
