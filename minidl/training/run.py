"""What `fit` does beside the training step: the history with its times, the checkpoint, and when to stop."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from os import PathLike, fspath
from typing import Any

from minidl import backend
from minidl.autograd.modes import ANOMALY, mode
from minidl.data import Loader, Source
from minidl.data.loader import Batches, Place
from minidl.data.progress import ProgressBar
from minidl.files.writing import path_of
from minidl.nn import Module
from minidl.optim import Optimizer
from minidl.optim.schedule import Schedule
from minidl.tensors.creation import tensor
from minidl.tensors.tensor import Tensor
from minidl.training.batch_loss import BatchLoss
from minidl.training.blame import Blame, odd_examples
from minidl.training.checkpoint import Checkpoint, Content, content_of
from minidl.training.description import describe
from minidl.training.evaluation import Evaluation, evaluate_unless
from minidl.training.history import History
from minidl.training.interrupt import StopOnInterrupt

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

    def __repr__(self) -> str:
        return f"TrainingState({type(self.model).__name__}, epoch {self.epoch}, step {self.step}, {self.history!r})"


class Run:
    """A run of `fit`: it keeps the history and its times, writes the checkpoint, and says when the training stops.

    An epoch is *open* from its first step until it is ended: with all its batches done it still is, while its
    validation runs. A run that was interrupted there is resumed with no batch left, and goes on with the validation.
    """

    def __init__(
        self,
        state: TrainingState,
        steps: int,
        loader: Loader,
        schedule: Schedule | None,
        loss: Callable[[Any, Any], Any],
        validation: Source | Loader | None,
        path: Path | None,
        every: int | None,
        interrupt: StopOnInterrupt,
        resumed: Checkpoint | None = None,
    ) -> None:
        self.state = state
        self.steps = steps
        self.loader = loader
        self.schedule = schedule
        self.loss = loss
        self.validation = validation
        self.path = None if path is None else os.path.abspath(path_of(path))  # the program may go to another folder
        self.every = every
        self.interrupt = interrupt
        self.place: Place | None = None  # where in the loader `fit` is, or was at the end of the last epoch
        # What seems to be a setting and is not yet known to be a counter. An option that a callback changes stays one.
        self.begun = {} if path is None else describe(*self._parts())
        if resumed is not None:
            self.begun = {what: entry for what, entry in self.begun.items() if what in resumed.settings}
        self.blame = Blame(state.optimizer)
        self.clock = time.perf_counter()
        if state.history.step_loss:  # of a resumed run
            dtype = next(p.dtype for p in state.model.parameters())
            state.loss = tensor(state.history.step_loss[-1], dtype=dtype)

    def begin_epoch(self) -> Batches:
        """The batches of the next epoch, or what is left of one. A callback may iterate over the loader meanwhile."""
        batches = iter(self.loader)
        self.place = batches.place
        return batches

    # ---- when it stops

    def is_done(self) -> bool:
        """Whether all steps are made, and no epoch waits to be ended."""
        return self.state.step >= self.steps and not (self._at_end_of_epoch() and self._epoch_is_open())

    def goes_on(self) -> bool:
        """Whether there is an epoch to begin, or one to go on with."""
        return not self.state.stop and not self.is_done()

    def stops_here(self) -> bool:
        """Whether the training ends after this step, with its epoch open; writes the checkpoint then.

        After the last step of an epoch only Ctrl-C stops it, and only where a validation would follow: what else there
        is to do takes no time.
        """
        if self._at_end_of_epoch():
            stops = self.interrupt.requested and self.validation is not None
        else:
            stops = self.state.stop or self.interrupt.requested or self.state.step >= self.steps
        if stops:
            self.stop()
        return stops

    def validate(self, loss: BatchLoss, bar: ProgressBar) -> bool:
        """Evaluate on the validation data, if there are any; False if Ctrl-C ended it, and with it the training."""
        if self.validation is None:
            return True
        random_before = backend.random_state()
        evaluation = None
        try:
            evaluation = evaluate_unless(
                lambda: self.interrupt.requested, self.state.model, self.validation, loss=loss.loss
            )
        finally:
            if evaluation is None:  # also after an error: the epoch's steps are kept
                backend.restore_random_state(random_before)
                self.stop()  # after the epoch's last batch, so that a resumed run begins with the validation
        if evaluation is None:
            return False
        self.state.evaluation = evaluation
        bar.validated(f"validation {evaluation.brief}")
        return True

    def stop(self) -> None:
        """End the training here, with the epoch open."""
        self.state.stop = True
        self.settle()
        self.save()

    def _at_end_of_epoch(self) -> bool:
        position = self.loader.position if self.place is None else self.place.position
        return position == len(self.loader)

    def _epoch_is_open(self) -> bool:
        ended = self.state.history.steps
        return self.state.step > (ended[-1] if ended else 0)

    # ---- what it keeps

    def note_step(self, batch_loss: Tensor, counted: Any) -> None:
        """A step was made, by a loss that is a mean of so many labels."""
        self.state.step += 1
        self.state.loss = batch_loss.detach()
        self.state.history.add_step(batch_loss._data, self.state.optimizer.lr, counted)
        self.blame.note_step(self.state.step)
        if mode.get() & ANOMALY:
            self.state.history.settle(self.advice)

    def advice(self, step: int) -> str:
        """What to do about a loss that was no number in this step, from 1, of the epoch that runs."""
        advice = self.blame.advice(step)
        if self.place is None:
            return advice
        ended = self.state.history.steps
        odd = odd_examples(self.loader, self.place.epoch, step - 1 - (ended[-1] if ended else 0))
        if odd is None:
            return advice
        return f"{advice}: {odd}" if self.blame.is_first(step) else f"{odd}: look there first"

    def end_epoch(self) -> None:
        """Put the epoch's numbers into the history."""
        evaluation = self.state.evaluation
        self.settle()
        if evaluation is None:
            self.state.history.end_epoch()
        else:
            self.state.history.end_epoch(evaluation.loss, evaluation.accuracy)

    def settle(self) -> None:
        """Wait for the losses, then read the clock: so the time of the work is counted, not that of asking for it."""
        self.state.history.settle(self.advice)
        now = time.perf_counter()
        self.state.history.open_seconds += now - self.clock
        self.clock = now

    def save(self, unless: Content | None = None) -> Content | None:
        """Write the checkpoint, if there is a path for it, `unless` it would hold the same; returns what it holds."""
        self.loader.stand_at(self.place if self._epoch_is_open() else None)
        if self.path is None:
            return None
        self.settle()
        state = self.state
        model, optimizer, loader, schedule, loss, validation = self._parts()
        content = content_of(model, optimizer, loader, schedule, state.history, loss, validation, begun=self.begun)
        if unless is None or not content.holds_the_same(unless):
            content.write(self.path)
        return content

    def _parts(self) -> tuple[Any, ...]:
        """What the checkpoint describes."""
        validation = "none" if self.validation is None else self.validation
        return self.state.model, self.state.optimizer, self.loader, self.schedule, self.loss, validation

    # ---- callbacks

    def call(self, callbacks: Sequence[Any], method: str) -> None:
        """Write the checkpoint that is due, and then call this method of each callback that has it.

        In this order, so that a callback that fails loses no step. What one of them has changed, such as the rate, is
        written as well. Where a callback fails and no checkpoint was due, what is trained is written all the same.
        """
        written = self.save() if method == "on_epoch" or self._is_due() else None
        functions = [getattr(callback, method, None) for callback in callbacks]
        try:
            for function in functions:
                if function is not None:
                    function(self.state)
        except Exception:
            if written is None:
                with suppress(FloatingPointError):  # nothing worth keeping: a loss is not finite
                    self.save()
            raise
        if written is not None and any(functions):
            self.save(unless=written)

    def _is_due(self) -> bool:
        """Whether a checkpoint is to be written after this step: one of every so many, or the last."""
        last = self.state.step >= self.steps and not self._at_end_of_epoch()
        return last or (self.every is not None and self.state.step % self.every == 0)


def interrupted_message(state: TrainingState, epochs: int, checkpoint: Path | None) -> str:
    """What to say after Ctrl-C."""
    where = f"interrupted after step {state.step}, {state.history.epochs} of {epochs} epochs finished"
    if checkpoint is None:
        return f"{where}; the model keeps what it learned, but fit was given no checkpoint to resume from"
    path = fspath(checkpoint)
    return (
        f"{where}; written to {path}. To go on, make model, optimizer and loader as before and call "
        f"fit(..., checkpoint={path!r}, resume=True)"
    )
