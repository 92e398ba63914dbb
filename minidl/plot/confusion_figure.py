"""confusion: which class is taken for which, and the mistakes the network is surest of."""

from __future__ import annotations

import math
from typing import Any, cast

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb

from minidl.observe.confusion_recording import ConfusionRecording
from minidl.plot.style import (
    INK,
    LONGEST_LABEL,
    QUIET,
    SMALL,
    ClaimFigure,
    height_for_names,
    literal,
    new_figure,
    tidy,
    title,
    with_claim,
)

_WRITTEN = 20  # classes up to which each number is written


def confusion(recording: ConfusionRecording, ax: Axes | None = None, style: str = "paper") -> ClaimFigure:
    """Draw how often class i (row) was taken for class j (column), and the worst mistakes beside it.

    The colour of a field is the logarithm of its share of the row, so that a rare mistake is seen beside many right
    answers; right answers are on the diagonal, framed. A field that is empty is white. The mistakes beside it are those
    with the highest probability of a wrong class, the surest first; they are drawn if the inputs are images.

    Args:
        recording: of `observe.confusion`.
        ax: draw the matrix alone, here.
        style: "paper", or "slides" for a projector.

    Returns:
        The figure, with `.caption` and `.numbers`: `classes`, `count`, `accuracy`, `not_finite`, `most_common` mistake
        (class, taken for, how often), `worst` (number, truth, answer, probability).
    """
    images = _images(recording) if ax is None else []
    if ax is None:
        names = [literal(name, LONGEST_LABEL) for name in recording.classes]
        side = min(4.2, max(2.0, 0.32 * len(names)) + 0.06 * max(map(len, names)))
        below = height_for_names(names, 0.8 * side)
        figure = new_figure(side + 0.5 + (2.5 if images else 0.0), side + 0.25 + below, style)
        if images:
            matrix, beside = cast(Any, figure.subfigures(1, 2, width_ratios=[side + 0.5, 2.5]))
            ax = matrix.subplots()
            _worst(beside, recording, images)
        else:
            ax = figure.subplots()
    else:
        figure = ax.figure  # type: ignore[assignment]
    _matrix(ax, recording)
    numbers = {
        "figure": "confusion",
        "classes": recording.classes,
        "count": recording.count,
        "accuracy": recording.accuracy,
        "not_finite": recording.not_finite,
        "most_common": _most_common(recording),
        "worst": [
            {"number": n, "truth": recording.classes[t], "answer": recording.classes[a], "probability": p}
            for n, t, a, p in zip(
                recording.worst, recording.truth, recording.answer, recording.probability, strict=True
            )
        ],
    }
    return with_claim(figure, _claim(recording), numbers)


def _matrix(ax: Axes, recording: ConfusionRecording) -> None:
    classes, count = len(recording.classes), recording.count
    share = count / np.maximum(count.sum(axis=1, keepdims=True), 1)
    floor = 1.0 / max(int(count.sum(axis=1).max()), 2)  # one example of the largest class
    with np.errstate(divide="ignore"):
        depth = 1 - np.log10(np.maximum(share, floor)) / np.log10(floor)  # 0 to 1
    colours = colormaps["cividis_r"](0.08 + 0.87 * depth)[..., :3]
    colours[count == 0] = 1.0
    ax.imshow(colours, interpolation="nearest", aspect="equal")
    for i, j in np.ndindex(count.shape):
        if count[i, j] and classes <= _WRITTEN:
            dark = np.dot(to_rgb(colours[i, j]), [0.2126, 0.7152, 0.0722]) < 0.45
            ax.text(j, i, str(count[i, j]), ha="center", va="center", fontsize=SMALL - 1 - (classes > 12),
                    color="white" if dark else INK)  # fmt: skip
    for k in range(classes):
        x, y = [k - 0.5, k + 0.5, k + 0.5, k - 0.5, k - 0.5], [k - 0.5, k - 0.5, k + 0.5, k + 0.5, k - 0.5]
        ax.plot(x, y, color=INK, linewidth=0.7)
    tidy(ax, grid=None)
    for side in ("left", "bottom"):
        ax.spines[side].set_visible(False)
    names = [literal(name, LONGEST_LABEL) for name in recording.classes]
    stride = math.ceil(classes / 30)
    upright = max(map(len, names)) > 2
    ax.set_xticks(range(0, classes, stride), names[::stride], rotation=90 if upright else 0)
    ax.set_yticks(range(0, classes, stride), names[::stride])
    ax.tick_params(length=0)
    ax.set_xlabel("taken for", fontsize=SMALL, color=INK)
    ax.set_ylabel("is", fontsize=SMALL, color=INK)
    title(ax, f"{recording.accuracy:.1%} right")


def _images(recording: ConfusionRecording) -> list[Any]:
    """The worst mistakes as (H, W) or (H, W, 3) from 0 to 1; none if the inputs are no images."""
    found = []
    for image in np.asarray(recording.images, dtype=np.float64):
        side = math.isqrt(image.size)
        if image.ndim == 1 and side**2 == image.size and side > 3:
            image = image.reshape(side, side)
        elif image.ndim == 3 and image.shape[0] in (1, 3):
            image = image.transpose(1, 2, 0) if image.shape[0] == 3 else image[0]
        if image.ndim < 2:
            return []
        low, high = float(np.nanmin(image)), float(np.nanmax(image))
        found.append((image - low) / ((high - low) or 1.0))
    return found


def _worst(figure: Any, recording: ConfusionRecording, images: list[Any]) -> None:
    columns = 2
    grid = figure.subplots(math.ceil(len(images) / columns), columns, squeeze=False)
    for ax in grid.flat:
        ax.axis("off")
    for k, (ax, image) in enumerate(zip(grid.flat, images, strict=False)):
        ax.imshow(image, cmap="gray", interpolation="nearest")
        truth, answer = (literal(recording.classes[index[k]], 12) for index in (recording.truth, recording.answer))
        ax.set_title(f"{truth} as {answer}, {recording.probability[k]:.0%}", fontsize=SMALL - 1, color=INK, pad=2)
    figure.suptitle("surest mistakes", fontsize=SMALL, color=QUIET)


def _most_common(recording: ConfusionRecording) -> tuple[str, str, int] | None:
    mistakes = recording.count - np.diag(np.diag(recording.count))
    if not mistakes.any():
        return None
    i, j = np.unravel_index(int(np.argmax(mistakes)), mistakes.shape)
    return recording.classes[int(i)], recording.classes[int(j)], int(mistakes[i, j])


def _claim(recording: ConfusionRecording) -> str:
    text = f"{recording.accuracy:.1%} of {recording.count.sum() + recording.not_finite} examples are right"
    common = _most_common(recording)
    if common:
        times = "once" if common[2] == 1 else f"{common[2]} times"
        text += f"; the most common mistake takes {common[0]} for {common[1]}, {times}"
    if recording.not_finite:
        text += f"; {recording.not_finite} have scores that are not finite (NaN or infinite)"
    return text + "."
