"""fit and evaluate: the training loop, as one would write it by hand, with what one forgets by hand."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from os import PathLike, fspath
from typing import Any

import numpy as np

from minidl import backend
from minidl import functional as F
from minidl.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from minidl.data import Loader, Source
from minidl.data.dataset import check_source
from minidl.history import History
from minidl.interrupt import StopOnInterrupt
from minidl.modes import ANOMALY, mode, no_grad
from minidl.nn import Module
from minidl.optim import Optimizer
from minidl.optim.schedules import Schedule
from minidl.progress import ProgressBar
from minidl.tensor import Tensor

__all__ = [
    "Checkpoint",
    "Evaluation",
    "History",
    "TrainingState",
    "evaluate",
    "fit",
    "load_checkpoint",
    "save_checkpoint",
]

Path = str | PathLike[str]


@dataclass(frozen=True)
class Evaluation:
    """How well a model does on a data set.

    Attributes:
        loss: the mean loss over all examples.
        accuracy: the share of labels that were predicted; None if the labels are no classes.
    """

    loss: float
    accuracy: float | None

    @property
    def brief(self) -> str:
        """The one number that fits into a line: the accuracy, or else the loss."""
        return f"{self.accuracy:.2%}" if self.accuracy is not None else f"loss {self.loss:.4f}"

    def __str__(self) -> str:
        return f"loss {self.loss:.4f}" + (f", accuracy {self.accuracy:.2%}" if self.accuracy is not None else "")


@dataclass
class TrainingState:
    """What a callback is given.

    Attributes:
        model, optimizer: what is trained, and by what.
        history: the course so far; losses of the running epoch join `step_loss` when it ends.
        epoch: the number of the epoch, from 0.
        step: the number of steps done, over all epochs.
        loss: the last step's loss, a 0-d Tensor without history; `.item()` waits for a GPU.
        evaluation: the last one on the validation data, or None.
        stop: set it to True and the training ends after this step or epoch.
    """

    model: Module
    optimizer: Optimizer
    history: History
    epoch: int = 0
    step: int = 0
    loss: Tensor | None = None
    evaluation: Evaluation | None = None
    stop: bool = False


def fit(
    model: Module,
    optimizer: Optimizer,
    train_loader: Loader,
    loss: Callable[[Any, Any], Any] = F.cross_entropy,
    *,
    epochs: int,
    validation: Source | None = None,
    schedule: Schedule | None = None,
    callbacks: Sequence[Any] = (),
    checkpoint: Path | None = None,
    checkpoint_every: int | None = None,
    resume: bool | Path | None = None,
    progress: bool | None = None,
) -> History:
    """Train a model.

        md.seed(0)                                              # the same weights, order and dropout every time
        model = md.models.mlp((64, 32, 10))
        optimizer = md.optim.SGD(model, lr=0.5)
        history = md.fit(model, optimizer, loader, epochs=10, validation=digits.validation)

    The model is put into training mode first, also if it was left in evaluation mode. Ctrl-C ends the training after
    the running step: the checkpoint, if there is a path for one, is written and the history is returned with
    `interrupted=True`; a second Ctrl-C interrupts at once. A run that is resumed gives the same weights, bit for bit,
    as one that never stopped.

    Args:
        model: called with a batch of inputs as a Tensor.
        optimizer: made for this model.
        train_loader: hands out (inputs, labels).
        loss: loss(model's output, labels), a mean over the batch.
        epochs: how many epochs there are in all; a resumed run does what is left of them.
        validation: evaluated after every epoch.
        schedule: stepped after every step of the optimizer.
        callbacks: objects with `on_step(state)`, `on_epoch(state)` or both; `state` is a `TrainingState`.
        checkpoint: a file, written anew after every epoch and when the training stops within one.
        checkpoint_every: write it every so many steps, too.
        resume: True to go on from `checkpoint`, or the path of another one; model, optimizer, loader and schedule
            must be made as they were for it.
        progress: show a progress bar. None shows it in a terminal, once the training has taken a second.

    Returns:
        The history, that of a resumed run from its beginning.

    Raises:
        FloatingPointError: a loss became NaN or infinite. Noticed at the end of the epoch, before a checkpoint is
            written; in anomaly mode (`md.detect_anomaly`) at once.
        ValueError, TypeError: arguments that do not fit, or a checkpoint that cannot be resumed; nothing is changed.
        FileNotFoundError: there is no checkpoint to resume.
    """
    _check(model, optimizer, train_loader, epochs, validation, callbacks, checkpoint, checkpoint_every)
    history = History()
    if resume:
        history = _checkpoint_to(resume, checkpoint).resume(model, optimizer, train_loader, schedule)
    state = TrainingState(model, optimizer, history, history.epochs, len(history.step_loss))
    model.train()

    with (
        StopOnInterrupt() as interrupt,
        ProgressBar(progress, epochs * len(train_loader), done=state.step) as bar,
    ):
        keeper = _Keeper(state, train_loader, schedule, checkpoint, checkpoint_every, interrupt)
        while state.epoch < epochs and not state.stop:
            for inputs, labels in train_loader:
                batch_loss = loss(model(Tensor(inputs)), labels)
                optimizer.zero_grad()
                batch_loss.backward()
                optimizer.step()

                keeper.record(batch_loss)
                if schedule is not None:
                    schedule.step()
                bar.step(f"epoch {state.epoch + 1}/{epochs}", batch_loss._data)
                _call(callbacks, "on_step", state)
                if keeper.stops_here():
                    break
            else:  # the epoch was not left early
                if validation is not None:
                    state.evaluation = evaluate(model, validation, loss=loss)
                    bar.validated(f"validation {state.evaluation.brief}")
                keeper.close_epoch()
                _call(callbacks, "on_epoch", state)
                keeper.save()
                state.epoch += 1
                state.stop = state.stop or interrupt.requested
    history.interrupted = interrupt.requested and state.epoch < epochs
    if history.interrupted:
        print(_interrupted(state, epochs, checkpoint), file=sys.stderr)
    return history


class _Keeper:
    """Keeps the books of a run: the history with its times, and the checkpoint."""

    def __init__(
        self,
        state: TrainingState,
        loader: Loader,
        schedule: Schedule | None,
        path: Path | None,
        every: int | None,
        interrupt: StopOnInterrupt,
    ) -> None:
        self.state = state
        self.loader = loader
        self.schedule = schedule
        self.path = path
        self.every = every
        self.interrupt = interrupt
        self.clock = time.perf_counter()

    def record(self, batch_loss: Tensor) -> None:
        """Note a step that was just made."""
        self.state.step += 1
        self.state.loss = batch_loss.detach()
        self.state.history.add_step(batch_loss._data, self.state.optimizer.lr)
        if mode.get() & ANOMALY:
            self.state.history.settle()

    def stops_here(self) -> bool:
        """Whether the training ends after this step, within the epoch. Writes the checkpoints that are due."""
        within = self.loader.position < len(self.loader)  # at its end the epoch is closed in any case
        stops = within and (self.state.stop or self.interrupt.requested)
        if stops:
            self.state.stop = True
            self.settle()
        if stops or (within and self.every is not None and self.state.step % self.every == 0):
            self.save()
        return stops

    def close_epoch(self) -> None:
        """Put the epoch's numbers into the history."""
        evaluation = self.state.evaluation
        self.settle()
        if evaluation is None:
            self.state.history.end_epoch()
        else:
            self.state.history.end_epoch(evaluation.loss, evaluation.accuracy)

    def settle(self) -> None:
        """Wait for the losses, then stop the clock: so the time of the work is counted, not that of asking for it."""
        self.state.history.settle()
        now = time.perf_counter()
        self.state.history.open_seconds += now - self.clock
        self.clock = now

    def save(self) -> None:
        """Write the checkpoint, if there is a path for it."""
        if self.path is not None:
            self.settle()
            history = self.state.history
            save_checkpoint(self.path, self.state.model, self.state.optimizer, self.loader, self.schedule, history)


def evaluate(
    model: Module, dataset: Source, batch_size: int = 256, loss: Callable[[Any, Any], Any] = F.cross_entropy
) -> Evaluation:
    """The mean loss of a model over a data set, and its accuracy if the labels are classes.

    Runs in evaluation mode and without recording; every module's mode is put back. The data go where the model's
    weights are. Up to rounding, the batch size changes nothing: each batch counts by its number of examples.

    Args:
        model: called with a batch of inputs as a Tensor. Its outputs, (N, C) or (N, C, ...), are scores of C classes if
            the labels are integers of shape (N,) or (N, ...); the highest is the prediction.
        dataset: what to evaluate on: a Dataset or another source; `data.Mapped` is one with a transform.
        batch_size: examples at a time.
        loss: loss(model's output, labels), a mean over the batch.

    Raises:
        ValueError: there are no examples, or the batch size is none.
        TypeError: `dataset` is no source of data.
    """
    check_source(dataset, "evaluate: expected a Dataset")
    if len(dataset) == 0:
        raise ValueError("evaluate: expected at least one example; the data set is empty")
    if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
        raise ValueError(f"evaluate: expected a batch size of at least 1; got {batch_size!r}")
    home = next((p.device for p in model.parameters()), backend.current())
    total_loss: Any = 0.0
    correct: Any = None
    with _evaluating(model):
        for start in range(0, len(dataset), batch_size):
            examples = dataset.take(np.arange(start, min(start + batch_size, len(dataset))))
            inputs, labels = (backend.to_device(array, home) for array in examples)
            outputs = model(Tensor(inputs))
            total_loss = total_loss + loss(outputs, labels)._data.astype("float64") * len(labels)
            if labels.dtype.kind in "iu" and outputs.ndim == labels.ndim + 1:
                hits = (outputs._data.argmax(axis=1) == labels).sum()
                correct = hits if correct is None else correct + hits
    accuracy = None if correct is None else int(correct) / dataset.labels.size
    return Evaluation(float(total_loss) / len(dataset), accuracy)


@contextmanager
def _evaluating(model: Module) -> Iterator[None]:
    """Evaluation mode without recording; afterwards every module is in the mode it was in."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with no_grad():
            yield
    finally:
        for module, training in modes:
            module.training = training


def _call(callbacks: Sequence[Any], method: str, state: TrainingState) -> None:
    for callback in callbacks:
        function = getattr(callback, method, None)
        if function is not None:
            function(state)


def _check(
    model: Module,
    optimizer: Optimizer,
    loader: Loader,
    epochs: int,
    validation: Source | None,
    callbacks: Sequence[Any],
    checkpoint: Path | None,
    checkpoint_every: int | None,
) -> None:
    """Refuse before the first step what would go wrong later."""
    if not isinstance(loader, Loader):
        raise TypeError(
            f"fit: expected a Loader; got {type(loader).__name__}: Loader(dataset, batch_size=32) makes one"
        )
    if validation is not None:
        check_source(validation, "fit: expected a Dataset as validation")
        if len(validation) == 0:
            raise ValueError("fit: the validation data set is empty; leave it out")
    if isinstance(epochs, bool) or not isinstance(epochs, int) or epochs < 1:
        raise ValueError(f"fit: expected epochs to be a whole number of at least 1; got {epochs!r}")
    if checkpoint_every is not None and (
        checkpoint is None or not isinstance(checkpoint_every, int) or checkpoint_every < 1
    ):
        raise ValueError(
            f"fit: checkpoint_every={checkpoint_every!r} needs a path, checkpoint=..., and a whole number of at least 1"
        )
    trained = {id(p) for layer in optimizer.layers for _, p in layer.parameters}
    if not any(id(p) in trained for p in model.parameters()):
        raise ValueError("fit: the optimizer updates none of this model's parameters; make it for this model")
    for callback in callbacks:
        if isinstance(callback, type) or not (hasattr(callback, "on_step") or hasattr(callback, "on_epoch")):
            raise TypeError(
                f"fit: expected callbacks to be objects with on_step(state) or on_epoch(state); got {callback!r}"
            )


def _checkpoint_to(resume: bool | Path, checkpoint: Path | None) -> Checkpoint:
    if not isinstance(resume, bool):
        return load_checkpoint(resume)
    if checkpoint is None:
        raise ValueError("fit: resume=True goes on from `checkpoint`; give its path, or resume=path")
    try:
        return load_checkpoint(checkpoint)
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"fit: there is no checkpoint {fspath(checkpoint)} to resume; leave out resume=True to begin"
        ) from error


def _interrupted(state: TrainingState, epochs: int, checkpoint: Path | None) -> str:
    """What to say after Ctrl-C."""
    where = f"interrupted after step {state.step}, {state.history.epochs} of {epochs} epochs finished"
    if checkpoint is None:
        return f"{where}; the model keeps what it learned, but fit was given no checkpoint to resume from"
    path = fspath(checkpoint)
    return (
        f"{where}; written to {path}. To go on, make model, optimizer and loader as before and call "
        f"fit(..., checkpoint={path!r}, resume=True)"
    )
