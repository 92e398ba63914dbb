"""learning_curves: the losses of a training, its accuracy and its rate, over the steps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from matplotlib.axes import Axes

from minidl.plot.style import (
    ARMS,
    INK,
    QUIET,
    SMALL,
    ClaimFigure,
    drawable,
    label_ends,
    new_figure,
    plain_log_ticks,
    tidy,
    title,
    with_claim,
)


class Course(Protocol):
    """What is drawn of a training: the attributes of a `History`."""

    step_loss: list[float]
    step_rate: list[float]
    steps: list[int]
    train_loss: list[float]
    validation_loss: list[float]
    validation_accuracy: list[float]

    def settle(self) -> None:
        """Bring the losses of the last steps to the host."""


def learning_curves(history: Course) -> ClaimFigure:
    """Draw the loss of each step and the mean of each epoch, the validation loss, the accuracy and the rate.

        history = md.fit(model, optimizer, loader, epochs=10, validation=digits.validation)
        history.plot()                                        # or md.plot.learning_curves(history)

    Args:
        history: what `fit` returned.

    Losses are on a log axis if all are positive and they span more than a decade. The accuracy has a panel of its own
    if there is one, and so has the rate if it was not the same throughout.

    Returns:
        The figure, with `.caption` and `.numbers` (step_loss, steps, train_loss, validation_loss, validation_accuracy,
        step_rate).

    Raises:
        ValueError: the history has no step.
    """
    history.settle()
    if not history.step_loss:
        raise ValueError("the history has no step to draw: it is of a training that has not begun")
    accurate, changing = bool(history.validation_accuracy), len(set(history.step_rate)) > 1
    panels = 1 + accurate + changing
    figure = new_figure(6.4, 2.0 + 1.2 * (panels - 1))
    axes: list[Axes] = list(
        figure.subplots(panels, 1, sharex=True, squeeze=False, height_ratios=[1.6] + [1] * (panels - 1))[:, 0]
    )
    for ax in axes:
        tidy(ax)
    _losses(axes[0], history)
    if accurate:
        _accuracy(axes[1], history)
    if changing:
        title(axes[-1], "learning rate")
        axes[-1].plot(_numbered(history.step_rate), drawable(history.step_rate), color=INK, linewidth=1.2)
    axes[-1].set_xlabel("step", fontsize=SMALL, color=INK)
    names = ("step_loss", "steps", "train_loss", "validation_loss", "validation_accuracy", "step_rate")
    numbers = {"figure": "learning_curves", **{name: getattr(history, name) for name in names}}
    return with_claim(figure, _claim(history), numbers)


def _numbered(values: Sequence[float]) -> Any:
    """The numbers of the steps, from 1."""
    return np.arange(1, len(values) + 1)


def _losses(ax: Axes, history: Course) -> None:
    title(ax, "loss")
    ax.plot(_numbered(history.step_loss), drawable(history.step_loss), color=ARMS[5], linewidth=0.7, alpha=0.6)
    ends = [("each step", history.step_loss[-1], ARMS[5])]
    validated = history.steps[len(history.steps) - len(history.validation_loss) :]
    for label, steps, losses, colour in (
        ("training", history.steps, history.train_loss, ARMS[0]),
        ("validation", validated, history.validation_loss, ARMS[1]),
    ):
        if losses:
            ax.plot(steps, drawable(losses), "o-", color=colour, linewidth=1.4, markersize=3)
            ends.append((label, losses[-1], colour))
    finite = [x for x in (*history.step_loss, *history.validation_loss) if math.isfinite(x)]
    if finite and min(finite) > 0 and max(finite) > 10 * min(finite):
        ax.set_yscale("log")
        plain_log_ticks(ax.yaxis)
    ax.margins(x=0)
    labels, values, colours = zip(*(ends[1:] or ends), strict=True)
    label_ends(ax, len(history.step_loss), drawable(values), labels, colours)


def _accuracy(ax: Axes, history: Course) -> None:
    title(ax, "accuracy on the validation data, %")
    steps = history.steps[len(history.steps) - len(history.validation_accuracy) :]
    percent = 100 * np.asarray(history.validation_accuracy)
    ax.plot(steps, drawable(percent), "o-", color=ARMS[1], linewidth=1.4, markersize=3)
    best = int(np.argmax(percent))
    ax.annotate(
        f"{percent[best]:.1f}", (steps[best], percent[best]), xytext=(0, -5), textcoords="offset points",
        ha="right", va="top", fontsize=SMALL, color=QUIET,
    )  # fmt: skip


def _claim(history: Course) -> str:
    losses = history.train_loss or history.step_loss
    text = f"The training loss went from {losses[0]:.3g} to {losses[-1]:.3g} in {len(history.step_loss)} steps"
    if history.validation_loss:
        lowest = int(np.nanargmin([x if math.isfinite(x) else math.inf for x in history.validation_loss]))
        text += f"; the validation loss is lowest, {history.validation_loss[lowest]:.3g}, after epoch {lowest + 1}"
        text += f" of {len(history.validation_loss)}"
    if history.validation_accuracy:
        text += f", and the accuracy ends at {history.validation_accuracy[-1]:.1%}"
    return text + "."
