"""What `fit` checks and works out before the first step, so that nothing goes wrong after hours."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike, fspath
from typing import Any

from minidl.checks import is_whole, whole
from minidl.data import Loader, Source
from minidl.data.dataset import check_source
from minidl.files.writing import check_writable
from minidl.nn import Module
from minidl.optim import Optimizer
from minidl.training.checkpoint import Checkpoint, load_checkpoint

Path = str | PathLike[str]


def check_arguments(
    model: Module,
    optimizer: Optimizer,
    loader: Loader,
    validation: Source | None,
    callbacks: Sequence[Any],
    checkpoint: Path | None,
    checkpoint_every: int | None,
) -> None:
    """Raise if an argument of `fit` cannot be used.

    Raises:
        TypeError: the loader is no Loader, the validation data no source of data, or a callback has no method to call.
        ValueError: the validation data are empty, `checkpoint_every` is no number or has no path, or the optimizer is
            not of this model.
        OSError: the checkpoint cannot be written.
    """
    if not isinstance(loader, Loader):
        raise TypeError(
            f"fit: expected a Loader; got {type(loader).__name__}: Loader(dataset, batch_size=32) makes one"
        )
    if validation is not None:
        check_source(validation, "fit: expected a Dataset as validation")
        if len(validation) == 0:
            raise ValueError("fit: the validation data set is empty; leave it out")
    if checkpoint_every is not None and (checkpoint is None or not is_whole(checkpoint_every, 1)):
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
    if checkpoint is not None:
        try:
            check_writable(checkpoint)
        except (OSError, TypeError, ValueError) as error:
            error.add_note("fit writes its checkpoint there; nothing was trained yet")
            raise


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
        return load_checkpoint(resume)
    if checkpoint is None:
        raise ValueError("fit: resume=True goes on from `checkpoint`; give its path, or resume=path")
    try:
        return load_checkpoint(checkpoint)
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"fit: there is no checkpoint {fspath(checkpoint)} to resume; leave out resume=True to begin"
        ) from error
