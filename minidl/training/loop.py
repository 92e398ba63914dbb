"""fit: the training loop, as one would write it by hand, with what one forgets by hand."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from os import PathLike, fspath
from typing import Any

from minidl import functional as F
from minidl.autograd.modes import ANOMALY, mode
from minidl.checks import whole
from minidl.data import Loader, Source
from minidl.data.dataset import check_source
from minidl.data.progress import ProgressBar
from minidl.nn import Module
from minidl.optim import Optimizer
from minidl.optim.schedules import Schedule
from minidl.tensors.tensor import Tensor
from minidl.training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from minidl.training.evaluation import Evaluation, evaluate
from minidl.training.history import History
from minidl.training.interrupt import StopOnInterrupt

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
    epochs: int | None = None,
    steps: int | None = None,
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
        steps: or how many steps, if the training may end within an epoch; what is reached first of the two ends it.
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
    _check(model, optimizer, train_loader, validation, callbacks, checkpoint, checkpoint_every)
    epochs, steps = _length(epochs, steps, len(train_loader))
    history = History()
    if resume:
        history = _checkpoint_to(resume, checkpoint).resume(model, optimizer, train_loader, schedule)
    state = TrainingState(model, optimizer, history, history.epochs, len(history.step_loss))
    model.train()

    with (
        StopOnInterrupt() as interrupt,
        ProgressBar(progress, steps, done=state.step) as bar,
    ):
        keeper = _Keeper(state, steps, train_loader, schedule, checkpoint, checkpoint_every, interrupt)
        while state.step < steps and not state.stop:
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
                    state.evaluation = evaluate(model, validation, loss=loss, progress=False)
                    bar.validated(f"validation {state.evaluation.brief}")
                keeper.close_epoch()
                _call(callbacks, "on_epoch", state)
                keeper.save()
                state.epoch += 1
                state.stop = state.stop or interrupt.requested
    history.interrupted = interrupt.requested and state.step < steps
    if history.interrupted:
        print(_interrupted(state, epochs, checkpoint), file=sys.stderr)
    return history


class _Keeper:
    """Keeps the books of a run: the history with its times, and the checkpoint."""

    def __init__(
        self,
        state: TrainingState,
        steps: int,
        loader: Loader,
        schedule: Schedule | None,
        path: Path | None,
        every: int | None,
        interrupt: StopOnInterrupt,
    ) -> None:
        self.state = state
        self.steps = steps
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
        stops = within and (self.state.stop or self.interrupt.requested or self.state.step >= self.steps)
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


def _call(callbacks: Sequence[Any], method: str, state: TrainingState) -> None:
    for callback in callbacks:
        function = getattr(callback, method, None)
        if function is not None:
            function(state)


def _check(
    model: Module,
    optimizer: Optimizer,
    loader: Loader,
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


def _length(epochs: int | None, steps: int | None, epoch: int) -> tuple[int, int]:
    """How many epochs, whole or begun, and how many steps there are in all; an epoch has `epoch` steps."""
    epochs, steps = (
        value if value is None else whole(value, f"fit: {name}")
        for name, value in (("epochs", epochs), ("steps", steps))
    )
    limits = [limit for limit in (steps, None if epochs is None else epochs * epoch) if limit is not None]
    if not limits:
        raise ValueError("fit: say how long to train: epochs=, steps= or both")
    return -(-min(limits) // epoch), min(limits)


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
