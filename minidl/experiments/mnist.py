"""What `minidl mnist` runs: Caffe's LeNet on the real MNIST, by Caffe's recipe.

The folder of a run holds results.json (the test accuracy at each look), lenet.npz (the weights, for `md.load`),
checkpoint.npz, from which the same command goes on: after Ctrl-C, or for more steps; history.json and flow.npz, the
losses and the gradients, with the figures drawn from them.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from minidl import backend, models, nn, optim, plot
from minidl.checks import whole
from minidl.data import Dataset, DataSplits, Loader
from minidl.data.dataset import fingerprint
from minidl.data.progress import in_terminal
from minidl.experiments.results import as_json
from minidl.files.reading import read_json
from minidl.files.schema import check_plain
from minidl.files.weights import save
from minidl.files.writing import check_writable, path_of, write_atomically
from minidl.observe import FlowRecording, GradientFlow
from minidl.training import History, TrainingState, fit
from minidl.training.checkpoint import load_checkpoint
from minidl.training.evaluation import evaluate

BATCH, LR, MOMENTUM, DECAY, GAMMA, POWER = 64, 0.01, 0.9, 5e-4, 1e-4, 0.75
RECORDED = 25  # steps between two whose gradients are recorded
REFERENCE = {500: 0.966, 1_000: 0.982, 1_500: 0.984, 3_000: 0.989}  # this recipe on these images in PyTorch, one seed

RESULTS = {  # what results.json holds
    "seed": int,
    "iterations": int,
    "looks": [{"iteration": int, "accuracy": (float, None), "loss": (float, None)}],
    "data": (str, None),  # a checksum of the images and labels; older files have none
}


def train_lenet(
    sets: DataSplits,
    folder: Path,
    iterations: int = 1_500,
    every: int = 500,
    seed: int = 0,
    on_look: Callable[[dict[str, Any]], None] = lambda look: None,
) -> dict[str, Any]:
    """Train LeNet and look at the test images every so many iterations; returns what results.json holds.

    The recipe (Caffe's examples/mnist/lenet_solver.prototxt): pixels over 256, batches of 64, SGD with momentum 0.9 in
    Caffe's form, rate 0.01 (1 + 1e-4 k)^-0.75, biases at twice the rate, weight decay 5e-4. Unlike Caffe, which reads
    the images in their order, each epoch has a new order.

    Args:
        sets: MNIST, from `data.mnist`.
        folder: where the files go. If a run of the same seed is there already, it is continued.
        iterations: steps, of one batch each.
        every: how often to look at the test images, which nothing is chosen by.
        seed: of weights and order.
        on_look: called with {"iteration", "accuracy", "loss"} after each look.

    Raises:
        ValueError: numbers out of range, or the folder holds a run of another seed or damaged files.
        OSError: the folder cannot be written to.
    """
    for name, value, least in (("iterations", iterations, 1), ("every", every, 1), ("seed", seed, 0)):
        whole(value, name, least)
    # Caffe divides bytes by 256, `data.mnist` by 255.
    train, test = (replace(part, inputs=part.inputs * np.float32(255 / 256)) for part in (sets.train, sets.test))

    backend.seed(seed)
    model = models.lenet()
    optimizer = optim.SGD(model, lr=LR, momentum=MOMENTUM, weight_decay=DECAY, momentum_form="caffe")
    optimizer.scale("*.bias", lr=2.0)
    schedule = optim.InvLR(optimizer, gamma=GAMMA, power=POWER)
    loader = Loader(train, BATCH, seed=seed, drop_last=True)

    folder = Path(path_of(folder))
    path = folder / "checkpoint.npz"
    found = load_checkpoint(path) if path.exists() else None
    done = 0 if found is None else len(found.history.step_loss)
    data = f"{fingerprint(train)} {fingerprint(test)}"
    record = _Record(folder / "results.json", seed, iterations, every, test, on_look, data)
    if found is not None and (found.loader or {}).get("seed") != seed:
        raise ValueError(f"{path} is not of a run with seed {seed}: name another folder")
    record.write(done)  # a folder that cannot be written to is found out now
    check_writable(folder / "lenet.npz")
    if found is not None and (done >= iterations or record.lacks(done)):
        model.load_state_dict(found.model)
        if record.lacks(done):
            record.look(model, done)
    if done < iterations:
        options: Any = {"checkpoint": path, "checkpoint_every": every, "resume": done > 0}
        options["progress"] = None if in_terminal() else False  # in a file, the looks are its lines
        with GradientFlow(model, optimizer, every=RECORDED, steps=iterations - done) as flow:
            history = fit(model, optimizer, loader, steps=iterations, schedule=schedule, callbacks=[record], **options)
        record.write(len(history.step_loss))
        _draw(folder, history, replace(flow.recording, steps=flow.recording.steps + done), seed)
    save(model.state_dict(), folder / "lenet.npz")
    return record.results


def _draw(folder: Path, history: History, flow: FlowRecording, seed: int) -> None:
    """Keep the losses and the gradients of the run, also of the part before it went on, and draw them."""
    path = folder / "flow.npz"
    if flow.steps[:1] > 0 and path.exists():
        with suppress(ValueError):  # a damaged one, or of another run: what is there now is kept instead
            earlier, about = FlowRecording.load_with_about(path)
            flow = earlier.followed_by(flow) if about == {"seed": seed} else flow
    history.save(folder / "history.json")
    flow.save(path, about={"seed": seed})
    plot.save_figure(plot.loss_curves(history), folder / "loss_curves")
    if len(flow.steps):
        plot.save_figure(plot.update_heatmap(flow), folder / "update_heatmap")
        plot.save_figure(plot.flow_profile(flow), folder / "flow_profile")


class _Record:
    """A callback of `fit`: looks at the test images, and keeps results.json."""

    def __init__(
        self,
        path: Path,
        seed: int,
        iterations: int,
        every: int,
        test: Dataset,
        on_look: Callable[[dict[str, Any]], None],
        data: str | None = None,
    ) -> None:
        self.path, self.iterations, self.every, self.test, self.on_look = path, iterations, every, test, on_look
        self.results: dict[str, Any] = {"seed": seed, "iterations": 0, "looks": [], "data": data}
        if path.exists():
            try:
                kept = {"data": data, **read_json(path, dict, "is damaged")}
                check_plain(kept, RESULTS, f"{path} is damaged")
                self.results = kept
            except ValueError as error:
                raise ValueError(f"{error}. Delete it, the run goes on without it") from error
            if self.results["seed"] != seed:
                raise ValueError(
                    f"{path} is of a run with seed {self.results['seed']}, not {seed}: name another folder"
                )
            if self.results["data"] != data:
                raise ValueError(f"{path} is of a run with other images or labels: name another folder")

    def on_step(self, state: TrainingState) -> None:
        """After each step."""
        if self.is_due(state.step):
            self.look(state.model, state.step)

    def is_due(self, step: int) -> bool:
        """Whether there is a look after so many steps."""
        return step % self.every == 0 or step == self.iterations

    def lacks(self, step: int) -> bool:
        """Whether a look was due after so many steps, and was not taken: the run was stopped between step and look."""
        looks = [look["iteration"] for look in self.results["looks"]]
        return step not in looks and (self.is_due(step) or not looks)

    def look(self, model: nn.Module, step: int) -> None:
        """Evaluate on the test images after so many steps."""
        found = evaluate(model, self.test, progress=False)
        look = {"iteration": step, "accuracy": found.accuracy, "loss": found.loss}
        self.results["looks"] = [*(earlier for earlier in self.results["looks"] if earlier["iteration"] < step), look]
        self.write(step)
        self.on_look(look)

    def write(self, iterations: int) -> None:
        """Put results.json on the disk, after so many iterations."""
        self.results["iterations"] = iterations
        write_atomically(self.path, json.dumps(as_json(self.results), indent=1, allow_nan=False).encode())
