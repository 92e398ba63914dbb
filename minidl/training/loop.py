"""fit: the training loop as one would write it by hand, with a history, validation, checkpoints and Ctrl-C."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from os import PathLike
from typing import Any

from minidl import functional as F
from minidl.checks import yes_or_no
from minidl.data import Loader, Source
from minidl.data.progress import ProgressBar
from minidl.files.output import say
from minidl.nn import Module
from minidl.optim import Optimizer
from minidl.optim.plateau import ReduceLROnPlateau
from minidl.optim.schedule import Schedule
from minidl.tensors.tensor import Tensor
from minidl.training.arguments import check_arguments, checkpoint_to_resume, length
from minidl.training.batch_loss import BatchLoss
from minidl.training.history import History
from minidl.training.interrupt import StopOnInterrupt
from minidl.training.run import Run, TrainingState, interrupted_message

Path = str | PathLike[str]


def fit(
    model: Module,
    optimizer: Optimizer,
    train_loader: Loader,
    loss: Callable[[Any, Any], Any] = F.cross_entropy,
    *,
    epochs: int | None = None,
    steps: int | None = None,
    validation: Source | Loader | None = None,
    schedule: Schedule | None = None,
    callbacks: Sequence[Any] = (),
    checkpoint: Path | None = None,
    checkpoint_every: int | None = None,
    resume: bool | Path | None = None,
    allow_changes: bool = False,
    progress: bool | None = None,
) -> History:
    """Train a model.

        md.seed(0)                                              # the same weights, order and dropout every time
        model = md.models.mlp((64, 32, 10))
        optimizer = md.optim.SGD(model, lr=0.5)
        history = md.fit(model, optimizer, loader, epochs=10, validation=digits.validation)

    A model that was left in evaluation mode is put into training mode first. A part that is in evaluation mode, while
    another is not, stays in it: after `model.norm1.eval()` a BatchNorm keeps its statistics, and a Dropout so treated
    drops nothing, all through the training. (`requires_grad_(False)` keeps its parameters.)

    Ctrl-C ends the training after the running step, or the running batch of a validation: the checkpoint, if there is a
    path for one, is written and the history is returned with `interrupted=True`. A validation that was left out is made
    when the run is resumed. A second Ctrl-C interrupts at once. A run that is resumed gives the same weights, bit for
    bit, as one that never stopped.

    Args:
        model: called with a batch of inputs as a Tensor.
        optimizer: made for this model.
        train_loader: hands out (inputs, labels).
        loss: loss(model's output, labels), a mean over the batch.
        epochs: how many epochs there are in all; a resumed run does what is left of them.
        steps: or how many steps, if the training may end within an epoch; what is reached first of the two ends it.
        validation: evaluated after every epoch, a Dataset, another source, or a Loader.
        schedule: stepped after every step of the optimizer; a `ReduceLROnPlateau` after every epoch, with the
            validation loss.
        callbacks: objects with `on_step(state)`, `on_epoch(state)` or both; `state` is a `TrainingState`. They are
            called when the checkpoint that is due has been written, which is written again if they changed something.
        checkpoint: a file, written anew after every epoch and when the training stops within one, also by an error in
            a callback.
        checkpoint_every: write it every so many steps, too.
        resume: True to go on from `checkpoint`, or the path of another one; model, optimizer, loader and schedule
            must be made as they were for it, and the loss and the validation data be the same, also in what they read
            from around them. (What changes in the training is no setting: keep it in a buffer, or it begins anew.
            Callbacks are not compared.)
        allow_changes: go on although something is made otherwise, such as the schedule, the learning rate, the size of
            the batches or the data set: what is here counts from now on (`Checkpoint.resume` says how). Otherwise that
            is refused by name.
        progress: show a progress bar, or, where none can be drawn since the output goes to a file, a line for each
            epoch on standard error. None shows the bar in a terminal once the training has taken a second, and in a
            notebook at once; False shows nothing.

    Returns:
        The history, that of a resumed run from its beginning.

    Raises:
        FloatingPointError: a loss became NaN or infinite. Noticed at the end of the epoch, before a checkpoint is
            written; in anomaly mode (`md.detect_anomaly`) at once. (The mean over a batch of which all labels are to be
            ignored is NaN as well, with a gradient of 0: the training goes on.)
        ValueError, TypeError: arguments that do not fit, or a checkpoint that cannot be resumed; nothing is changed.
        FileNotFoundError: there is no checkpoint to resume.
        OSError: the checkpoint cannot be written; this is found out before the first step.
    """
    check_arguments(model, optimizer, train_loader, validation, schedule, callbacks, checkpoint, checkpoint_every)
    batch_loss_of = BatchLoss(loss, "fit")
    yes_or_no(allow_changes, "fit: allow_changes")
    length(epochs, steps, train_loader, History())  # before anything is changed
    history = History()
    found = checkpoint_to_resume(resume, checkpoint) if resume is not None and resume is not False else None
    if found is not None:
        meant: Any = {"loss": loss, "validation": validation or "none", "allow_changes": allow_changes}
        history = found.resume(model, optimizer, train_loader, schedule, **meant)
    epochs, steps = length(epochs, steps, train_loader, history)
    state = TrainingState(model, optimizer, history, history.epochs, len(history.step_loss))
    if not any(module.training for module in model.modules()):
        model.train()

    with StopOnInterrupt() as interrupt, ProgressBar(progress, steps, done=state.step) as bar:
        known = None if allow_changes else found
        run = Run(
            state, steps, train_loader, schedule, loss, validation, checkpoint, checkpoint_every, interrupt, known
        )
        while run.goes_on():
            for inputs, labels in run.begin_epoch():
                batch_loss = batch_loss_of(model(Tensor(inputs)), labels)
                optimizer.zero_grad()
                batch_loss.backward()
                optimizer.step()

                run.note_step(batch_loss, batch_loss_of.counted(len(labels)))
                if schedule is not None and not isinstance(schedule, ReduceLROnPlateau):
                    schedule.step()
                bar.step(f"epoch {state.epoch + 1}/{epochs}", batch_loss._data)
                run.call(callbacks, "on_step")
                if run.stops_here():
                    break
            else:  # all batches of the epoch are done
                if not run.validate(batch_loss_of, bar):
                    break
                if isinstance(schedule, ReduceLROnPlateau) and state.evaluation is not None:
                    schedule.step(state.evaluation.loss)
                run.end_epoch()
                bar.end_epoch(state.epoch + 1, epochs, history.train_loss[-1], history.seconds[-1])
                run.call(callbacks, "on_epoch")
                state.epoch += 1
                state.stop = state.stop or interrupt.requested
        history.interrupted = interrupt.requested and not run.is_done()
    if history.interrupted:
        say(interrupted_message(state, epochs, checkpoint), sys.stderr)
    return history
