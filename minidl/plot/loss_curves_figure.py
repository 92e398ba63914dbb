"""loss_curves: training and validation loss of a run, or of several, and the accuracy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from minidl.observe.history import Course
from minidl.plot.networks import as_networks
from minidl.plot.style import (
    ARMS,
    INK,
    QUIET,
    SMALL,
    ClaimFigure,
    binned,
    drawable,
    given_axes,
    label_ends,
    mark_not_finite,
    new_figure,
    plain_log_ticks,
    sentences,
    tidy,
    title,
    with_claim,
)

_POINTS = 120  # more steps than this are drawn as means of neighbouring ones


def loss_curves(
    histories: Course | Mapping[str, Course], axes: Axes | Sequence[Axes] | None = None, style: str = "paper"
) -> ClaimFigure:
    """Draw the loss of each step (pale), the mean training loss of each epoch (solid) and the validation loss (dashed).

    A ring marks the epoch with the lowest validation loss. Where there is an accuracy it has a panel of its own. The
    training loss of an epoch is the mean over its steps, during which the network still learns, so it lies half an
    epoch behind: early it may be above the validation loss. Losses that span more than a decade get a log axis.

    Args:
        histories: what `fit` returned, or {label: history}, one colour each.
        axes: one for the loss, and one for the accuracy if there is any.
        style: "paper", or "slides" for a projector.

    A loss that is not finite is a cross at the upper edge.

    Returns:
        The figure, with `.caption` and `.numbers`: for each label `steps` (at the end of each epoch), `train_loss`,
        `validation_loss`, `validation_accuracy`, `best_epoch` (from 1) and `diverged`.

    A history without a finished epoch, of `fit(..., steps=...)`, has only the loss of each step, drawn solid.

    Raises:
        ValueError: a history has no step.
    """
    runs = as_networks(histories, (Course,))
    numbers = {label: _numbers(label, history) for label, history in runs.items()}
    accuracy = any(n["validation_accuracy"] for n in numbers.values())
    if axes is None:
        axes = list(new_figure(6.6 if accuracy else 4.2, 2.9, style).subplots(1, 1 + accuracy, squeeze=False)[0])
    axes = given_axes(axes, 1 + accuracy)
    colours = [ARMS[k % len(ARMS)] for k in range(len(runs))]
    for (label, history), colour in zip(runs.items(), colours, strict=True):
        _losses(axes[0], history, numbers[label], colour)
    if accuracy:
        for n, colour in zip(numbers.values(), colours, strict=True):
            axes[1].plot(_at(n, "validation_accuracy"), n["validation_accuracy"], color=colour, linewidth=1.6)
    _limits(axes[0], list(numbers.values()))
    for ax, words in zip(axes, ("loss", "validation accuracy"), strict=False):
        tidy(ax)
        title(ax, words)
        ax.set_xlim(left=0)
        ax.set_xlabel("step", fontsize=SMALL, color=INK)
    _labels(axes, numbers, colours)
    claims = {label: _claim(n) for label, n in numbers.items()}
    return with_claim(axes[0].figure, sentences(claims), {"figure": "loss_curves", "runs": numbers})


def _numbers(label: str, history: Course) -> dict[str, Any]:
    history.settle()
    if not history.step_loss:
        raise ValueError(f"the history{f' {label!r}' if label else ''} has no step to draw")
    validation = np.array(history.validation_loss, dtype=np.float64)
    best = None
    if np.isfinite(validation).any():
        first = history.epochs - len(validation) + 1  # of the epochs with validation data
        best = first + int(np.argmin(np.where(np.isfinite(validation), validation, np.inf)))
    epochs = bool(history.epochs)
    train = history.train_loss if epochs else history.step_loss
    losses = [*train, *history.validation_loss]
    return {
        "steps": list(history.steps) if epochs else list(range(1, len(train) + 1)),
        "each": "epoch" if epochs else "step",
        "train_loss": list(train),
        "validation_loss": list(history.validation_loss),
        "validation_accuracy": list(history.validation_accuracy),
        "best_epoch": best,
        "diverged": not np.isfinite(losses).all(),
    }


def _at(numbers: Mapping[str, Any], key: str) -> list[int]:
    """The steps of the last epochs, those that have a value of `key`."""
    return numbers["steps"][len(numbers["steps"]) - len(numbers[key]) :]


def _losses(ax: Axes, history: Course, numbers: dict[str, Any], colour: str) -> None:
    runs = binned(history.step_loss, _POINTS)
    steps = [(run.start + run.stop + 1) / 2 for run in runs]
    with np.errstate(invalid="ignore", over="ignore"):
        means = [float(np.mean(history.step_loss[run])) for run in runs]
    ax.plot(steps, drawable(means), color=colour, linewidth=0.8, alpha=0.35, zorder=2)
    ax.plot(numbers["steps"], drawable(numbers["train_loss"]), color=colour, linewidth=1.6, zorder=3)
    validation = numbers["validation_loss"]
    if validation:
        places = _at(numbers, "validation_loss")
        ax.plot(places, drawable(validation), color=colour, linewidth=1.6, linestyle=(0, (3, 1.5)), zorder=4)
        if numbers["best_epoch"] is not None:
            best = numbers["best_epoch"] - 1
            at = best - (len(numbers["steps"]) - len(validation))
            ax.plot(numbers["steps"][best], validation[at], "o", mfc="white", mec=colour, ms=6, mew=1.4, zorder=5)
    for key in ("train_loss", "validation_loss"):
        lost = ~np.isfinite(np.array(numbers[key], dtype=np.float64))
        mark_not_finite(ax, np.array(_at(numbers, key))[lost], colour)


def _limits(ax: Axes, runs: Sequence[Mapping[str, Any]]) -> None:
    values = drawable(np.concatenate([n[key] for n in runs for key in ("train_loss", "validation_loss")]))
    values = values[np.isfinite(values)]
    if values.size and values.min() > 0 and values.max() > 10 * values.min():
        ax.set_yscale("log")
        plain_log_ticks(ax.yaxis)
        ax.set_ylim(values.min() / 1.4, values.max() * 1.4)
    elif values.size:
        low, high = min(0.0, float(values.min())), float(values.max())
        ax.set_ylim(low, high + 0.08 * (high - low or 1.0))


def _labels(axes: Sequence[Axes], numbers: Mapping[str, Any], colours: Sequence[str]) -> None:
    ends, words, xs, inks = [], [], [], []
    for (label, n), colour in zip(numbers.items(), colours, strict=True):
        for key, kind in (("train_loss", "training"), ("validation_loss", "validation")):
            if n[key]:
                ends.append(float(drawable(n[key])[-1]))
                words.append(f"{label} {kind}".strip())
                xs.append(n["steps"][-1])
                inks.append(colour)
    label_ends(axes[0], xs, ends, words, inks)
    if len(axes) > 1 and len(numbers) > 1:
        accuracies = [n["validation_accuracy"][-1] if n["validation_accuracy"] else np.nan for n in numbers.values()]
        label_ends(axes[1], [n["steps"][-1] for n in numbers.values()], accuracies, list(numbers), colours)
    elif len(axes) > 1:
        last = next(iter(numbers.values()))["validation_accuracy"][-1]
        axes[1].annotate(f"{last:.1%} at the end", (1, 0), xycoords="axes fraction", xytext=(-2, 4),
                         textcoords="offset points", ha="right", fontsize=SMALL, color=QUIET)  # fmt: skip


def _claim(n: Mapping[str, Any]) -> str:
    train, validation = n["train_loss"], n["validation_loss"]
    if n["diverged"]:
        first = int(np.flatnonzero(~np.isfinite(train))[0]) + 1 if not np.isfinite(train).all() else None
        return "a loss is not finite" + (f" from {n['each']} {first} on" if first else ": the validation loss")
    if not validation:
        ends = f"from {train[0]:.3g} in the first {n['each']} to {train[-1]:.3g} in the last"
        return f"the training loss {'falls' if train[-1] < train[0] else 'goes'} {ends}"
    best, epochs = n["best_epoch"], len(n["steps"])
    at = validation[best - 1 - (epochs - len(validation))]
    text = f"the validation loss is lowest after epoch {best} of {epochs}, {at:.3g}"
    if best < epochs and validation[-1] > 1.05 * at:
        text += f"; then it grows to {validation[-1]:.3g} while the training loss falls to {train[-1]:.3g}: overfitting"
        return text if train[-1] < train[best - 1] else text.split("; then")[0]
    return text
