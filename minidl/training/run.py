"""What `fit` does beside the training step: the history with its times, the checkpoint, and when to stop."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from os import PathLike, fspath
from typing import Any

from minidl import backend
from minidl.autograd.modes import ANOMALY, mode
from minidl.data import Loader, Source
from minidl.data.progress import ProgressBar
from minidl.nn import Module
from minidl.optim import Optimizer
from minidl.optim.schedules import Schedule
from minidl.tensors.creation import tensor
from minidl.tensors.tensor import Tensor
from minidl.training.checkpoint import save_checkpoint
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
        validation: Source | None,
        path: Path | None,
        every: int | None,
        interrupt: StopOnInterrupt,
    ) -> None:
        self.state = state
        self.steps = steps
        self.loader = loader
        self.schedule = schedule
        self.validation = validation
        self.path = path
        self.every = every
        self.interrupt = interrupt
        self.clock = time.perf_counter()
        if state.history.step_loss:  # of a resumed run
            dtype = next(p.dtype for p in state.model.parameters())
            state.loss = tensor(state.history.step_loss[-1], dtype=dtype)

    def call(self, callbacks: Sequence[Any], method: str) -> None:
        """Call this method of each callback that has it. If one fails, what is trained is in the checkpoint."""
        try:
            for callback in callbacks:
                function = getattr(callback, method, None)
                if function is not None:
                    function(self.state)
        except Exception:
            with suppress(FloatingPointError):  # nothing worth keeping: a loss is not finite
                self.save()
            raise

    # ---- when it stops

    def is_done(self) -> bool:
        """Whether all steps are made, and no epoch waits to be ended."""
        return self.state.step >= self.steps and not (self._at_end_of_epoch() and self._epoch_is_open())

    def goes_on(self) -> bool:
        """Whether there is an epoch to begin, or one to go on with."""
        return not self.state.stop and not self.is_done()

    def stops_here(self) -> bool:
        """Whether the training ends after this step, with its epoch open. Writes the checkpoints that are due.

        After the last step of an epoch only Ctrl-C stops it, and only where a validation would follow: what else there
        is to do takes no time.
        """
        if self._at_end_of_epoch():
            stops = self.interrupt.requested and self.validation is not None
        else:
            stops = self.state.stop or self.interrupt.requested or self.state.step >= self.steps
        if stops:
            self.stop()
        elif self.every is not None and self.state.step % self.every == 0 and not self._at_end_of_epoch():
            self.save()
        return stops

    def validate(self, loss: Callable[[Any, Any], Any], bar: ProgressBar) -> bool:
        """Evaluate on the validation data, if there are any; False if Ctrl-C ended it, and with it the training."""
        if self.validation is None:
            return True
        random_before = backend.random_state()
        evaluation = evaluate_unless(lambda: self.interrupt.requested, self.state.model, self.validation, loss=loss)
        if evaluation is not None:
            self.state.evaluation = evaluation
            bar.validated(f"validation {evaluation.brief}")
            return True
        backend.restore_random_state(random_before)
        # The loader is where it was after the epoch's last batch, so that a resumed run begins with the validation.
        self.loader.epoch, self.loader.position = self.loader.epoch - 1, len(self.loader)
        self.stop()
        return False

    def stop(self) -> None:
        """End the training here, with the epoch open."""
        self.state.stop = True
        self.settle()
        self.save()

    def _at_end_of_epoch(self) -> bool:
        return self.loader.position == len(self.loader)

    def _epoch_is_open(self) -> bool:
        ended = self.state.history.steps
        return self.state.step > (ended[-1] if ended else 0)

    # ---- what it keeps

    def note_step(self, batch_loss: Tensor) -> None:
        """A step was made."""
        self.state.step += 1
        self.state.loss = batch_loss.detach()
        self.state.history.add_step(batch_loss._data, self.state.optimizer.lr)
        if mode.get() & ANOMALY:
            self.state.history.settle()

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
