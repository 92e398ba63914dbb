"""What `fit` checks and works out before the first step, so that nothing goes wrong after hours."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import zip_longest
from os import PathLike, fspath
from typing import Any

from minidl.checks import is_whole, whole
from minidl.data import Loader, Source
from minidl.data.dataset import check_source
from minidl.errors import describe
from minidl.files.writing import check_writable, path_of
from minidl.nn import Module
from minidl.optim import Optimizer
from minidl.optim.plateau import ReduceLROnPlateau
from minidl.optim.schedule import Schedule
from minidl.training.checkpoint import Checkpoint, load_checkpoint

Path = str | PathLike[str]


def check_model(model: Any, name: str, order: str) -> None:
    """Refuse what is no Module: a TypeError that says in which order `name`, 'fit' or 'evaluate', takes its arguments.

    Raises:
        TypeError: it is no Module, or the class of one.
    """
    if isinstance(model, type):
        raise TypeError(f"{name}: expected a model; got the class {model.__name__}: make one, {model.__name__}(...)")
    if not isinstance(model, Module):
        raise TypeError(f"{name}: expected a model, a Module; got {describe(model)}: the order is {order}")


def check_arguments(
    model: Module,
    optimizer: Optimizer,
    loader: Loader,
    validation: Source | None,
    schedule: Schedule | None,
    callbacks: Sequence[Any],
    checkpoint: Path | None,
    checkpoint_every: int | None,
) -> None:
    """Raise if an argument of `fit` cannot be used.

    Raises:
        TypeError: the model is no Module, the optimizer no Optimizer, the loader no Loader, the validation data no
            source of data, the schedule no Schedule, or a callback has no method to call.
        ValueError: the validation data are empty or of other classes, `checkpoint_every` is no number or has no path,
            the optimizer is not of this model, the schedule not of this optimizer, or it needs a validation loss that
            there is not.
        OSError: the checkpoint cannot be written.
    """
    order = "fit(model, optimizer, loader, loss, epochs=...)"
    check_model(model, "fit", order)
    if isinstance(optimizer, type):
        raise TypeError(f"fit: expected an optimizer; got the class {optimizer.__name__}: {optimizer.__name__}(model)")
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"fit: expected an Optimizer; got {describe(optimizer)}: the order is {order}")
    if not isinstance(loader, Loader):
        raise TypeError(
            f"fit: expected a Loader; got {type(loader).__name__}: Loader(dataset, batch_size=32) makes one"
        )
    if validation is not None:
        check_source(validation, "fit: expected a Dataset as validation")
        if len(validation) == 0:
            raise ValueError("fit: the validation data set is empty; leave it out")
        check_classes(loader.dataset.classes, validation.classes)
    if checkpoint_every is not None and (checkpoint is None or not is_whole(checkpoint_every, 1)):
        raise ValueError(
            f"fit: checkpoint_every={checkpoint_every!r} needs a path, checkpoint=..., and a whole number of at least 1"
        )
    trained = {id(p) for layer in optimizer.layers for _, p in layer.parameters}
    if not any(id(p) in trained for p in model.parameters()):
        raise ValueError("fit: the optimizer updates none of this model's parameters; make it for this model")
    if schedule is not None and not isinstance(schedule, Schedule):
        raise TypeError(f"fit: expected a Schedule, such as CosineLR(optimizer, ...); got {describe(schedule)}")
    if schedule is not None and schedule.optimizer is not optimizer:
        raise ValueError("fit: the schedule writes the rate of another optimizer; make it for this one")
    if isinstance(schedule, ReduceLROnPlateau) and (validation is None or schedule.mode == "max"):
        raise ValueError(
            "fit: ReduceLROnPlateau is stepped with the validation loss, which should fall: pass validation=..., and "
            "make the schedule with mode='min'"
        )
    if not isinstance(callbacks, Iterable):
        raise TypeError(f"fit: expected a list of callbacks; got {describe(callbacks)}: put it in a list, [callback]")
    for callback in callbacks:
        if isinstance(callback, type) or not (hasattr(callback, "on_step") or hasattr(callback, "on_epoch")):
            raise TypeError(
                f"fit: expected callbacks to be objects with on_step(state) or on_epoch(state); got {callback!r}"
            )
    if checkpoint is not None:
        try:
            check_writable(checkpoint)
        except (OSError, TypeError, ValueError) as error:
            error.add_note("fit writes its checkpoint there; nothing was trained yet")
            raise


def check_classes(trained: tuple[str, ...] | None, validated: tuple[str, ...] | None) -> None:
    """Refuse to validate with labels that name other classes than those of the training; None is not known.

    Raises:
        ValueError: label k stands for another class in the one than in the other.
    """
    if trained is None or validated is None or tuple(trained) == tuple(validated):
        return
    for k, (here, there) in enumerate(zip_longest(trained, validated)):
        if here != there:
            raise ValueError(
                f"fit: the validation data have other classes than the training data: label {k} is {there!r} there and "
                f"{here!r} here, of {len(validated)} and {len(trained)} classes. Folders need the same class folders "
                f"in both, texts one vocabulary: characters(..., vocabulary=training.classes)"
            )


def length(epochs: int | None, steps: int | None, steps_an_epoch: int) -> tuple[int, int]:
    """How many epochs, whole or begun, and how many steps there are in all.

    Raises:
        ValueError: neither is given, or one is no whole number of at least 1.
    """
    epochs, steps = (
        value if value is None else whole(value, f"fit: {name}")
        for name, value in (("epochs", epochs), ("steps", steps))
    )
    limits = [limit for limit in (steps, None if epochs is None else epochs * steps_an_epoch) if limit is not None]
    if not limits:
        raise ValueError("fit: say how long to train: epochs=, steps= or both")
    return -(-min(limits) // steps_an_epoch), min(limits)


def checkpoint_to_resume(resume: bool | Path, checkpoint: Path | None) -> Checkpoint:
    """The checkpoint that `resume` names, or with True the one at the path `checkpoint`.

    Raises:
        ValueError: True without a path, or a file that is no checkpoint.
        FileNotFoundError: there is no such file.
    """
    if not isinstance(resume, bool):
        return load_checkpoint(path_of(resume))
    if checkpoint is None:
        raise ValueError("fit: resume=True goes on from `checkpoint`; give its path, or resume=path")
    try:
        return load_checkpoint(checkpoint)
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"fit: there is no checkpoint {fspath(checkpoint)} to resume; leave out resume=True to begin"
        ) from error
