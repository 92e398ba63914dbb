"""race: who is ahead, against steps and against wall time, and how each method's final loss depends on its rate."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from minidl.checks import choice
from minidl.observe import RaceRecording
from minidl.observe.verdict import first_of_the_rest
from minidl.plot.arguments import check_recording
from minidl.plot.style import (
    ARMS,
    INK,
    QUIET,
    SMALL,
    ClaimFigure,
    binned,
    drawable,
    label_ends,
    mark_not_finite,
    new_figure,
    plain_log_ticks,
    tidy,
    title,
    with_claim,
)

_LETTERS = 34  # more do not fit side by side below the panel of the sweep
_POINTS = 60  # more points than this are drawn as means of neighbouring ones


AGAINST = ("both", "steps")


def race(recording: RaceRecording, against: str = "both", style: str = "paper") -> ClaimFigure:
    """Draw loss and accuracy against wall time and against steps, and the final loss against the base rate.

    Lines are medians over the seeds, bands go from the smallest to the largest seed. Against time, a line's x is the
    median over the seeds of the time at that step. Of more than 60 losses, neighbouring ones are drawn as their mean
    (minibatch losses jump). On the right the tuning sweep, if there was one: the final validation loss of each base
    rate tried, median and range over the tuning seeds; a ring marks the best, a cross on top a rate that diverged.

    A loss that is not finite (NaN or infinite) counts as larger than every finite one. Where the median is not finite a
    line ends, and a cross on top says so; bands are those of the seeds that are finite.

    Args:
        recording: the arms' runs.
        against: "both", or "steps" to leave the wall time out, which is a machine's and no merit of an arm.
        style: "paper", or "slides" for a projector.

    Returns:
        The figure, with `.caption` and `.numbers`: for each arm `loss`, `accuracy` (each median, min, max; "inf" where
        none is finite), `steps`, `eval_steps`, `seconds`, `final_loss` and `final_accuracy` (one a seed), `diverged_at`
        (one a seed: the step from which on the loss is not finite, or None), `rate`; and `sweep`: for each arm that was
        tuned `rates`, `diverged`, `median`, `min`, `max`.

    Raises:
        TypeError: it is no RaceRecording.
    """
    check_recording(recording, RaceRecording, "race")
    named = list(dict.fromkeys([*recording.arms, *recording.sweep_arms]))
    colours = {arm: ARMS[i % len(ARMS)] for i, arm in enumerate(named)}
    numbers = _numbers(recording)
    swept = bool(numbers["sweep"])

    choice(against, "race: against", AGAINST)
    timed = against == "both"
    widths = [1.0] * (1 + timed) + [0.95] * swept
    figure = new_figure(1.2 + (2.8 if timed else 0.8) + 2.85 * (len(widths) - timed), 4.6, style)
    grid = figure.add_gridspec(2, len(widths), width_ratios=widths)
    columns: dict[str, tuple[Axes, Axes]] = {}
    for k, unit in enumerate(("seconds", "steps") if timed else ("steps",)):
        shared = next(iter(columns.values()), (None, None))
        losses, accuracies = (figure.add_subplot(grid[row, k], sharey=shared[row]) for row in (0, 1))
        accuracies.sharex(losses)
        columns[unit] = (losses, accuracies)
    loss_step, accuracy_step = columns["steps"]

    together = _same_runs(recording)
    for arm in (arms[0] for arms in reversed(together)):  # the first on top
        panel, colour = numbers["arms"][arm], colours[arm]
        shade = 0.16 if len(recording.arms) <= 4 else 0.08
        lost = np.flatnonzero(np.isinf(panel["loss"]["median"]))[:1]
        for unit, (losses, accuracies) in columns.items():
            _line(losses, panel[unit], panel["loss"], colour, shade)
            _line(accuracies, panel[f"eval_{unit}"], panel["accuracy"], colour, shade)
            mark_not_finite(losses, panel[unit][lost], colour)
    (left_loss, left_accuracy), *others = columns.values()
    title(left_loss, "training loss")
    title(left_accuracy, "accuracy")
    for losses, accuracies in columns.values():
        for ax in (losses, accuracies):
            tidy(ax)
            ax.margins(x=0)
        losses.set_xlim(left=0)
        losses.tick_params(labelbottom=False)
    _log_loss(left_loss, numbers)
    for ax in itertools.chain(*others):
        ax.tick_params(labelleft=False)
    for unit, name in (("seconds", "seconds of training"), ("steps", "step")):
        if unit in columns:
            columns[unit][1].set_xlabel(name, fontsize=SMALL, color=INK)
    if swept:
        _sweep(figure.add_subplot(grid[:, -1]), numbers["sweep"], colours)

    for ax, key, steps in ((loss_step, "loss", "steps"), (accuracy_step, "accuracy", "eval_steps")):
        shown = [numbers["arms"][arms[0]] for arms in together]
        last = [_last_finite(panel[key]["median"]) for panel in shown]
        ended = [at == len(panel[key]["median"]) - 1 for at, panel in zip(last, shown, strict=True)]
        edge = recording.steps[-1] if key == "loss" else recording.eval_steps[-1]
        label_ends(
            ax,
            [edge if whole else panel[steps][at] for whole, at, panel in zip(ended, last, shown, strict=True)],
            [drawable(panel[key]["median"][at]) for at, panel in zip(last, shown, strict=True)],
            [" = ".join(arms) + ("" if whole else " diverged") for arms, whole in zip(together, ended, strict=True)],
            [colours[arms[0]] for arms in together],
        )
    return with_claim(figure, _claim(recording, numbers), numbers)


def _same_runs(recording: RaceRecording) -> list[list[str]]:
    """The arms, those that are the very same runs together: they are drawn once and share a label."""
    groups: list[list[int]] = []
    for a in range(len(recording.arms)):
        same = [g for g in groups if _equal(recording.loss, g[0], a) and _equal(recording.seconds, g[0], a)]
        if same:
            same[0].append(a)
        else:
            groups.append([a])
    return [[recording.arms[a] for a in group] for group in groups]


def _equal(values: Any, a: int, b: int) -> bool:
    return bool(np.array_equal(values[a], values[b], equal_nan=True))


def _numbers(recording: RaceRecording) -> dict[str, Any]:
    runs = binned(recording.steps, _POINTS)
    loss = _mean_of_runs(np.where(np.isfinite(recording.loss), recording.loss, np.inf), runs)
    seconds = _mean_of_runs(recording.seconds, runs)
    steps = np.array([recording.steps[run].mean() for run in runs])
    arms: dict[str, Any] = {}
    for a, arm in enumerate(recording.arms):
        arms[arm] = {
            "steps": steps,
            "seconds": np.median(seconds[a], axis=0),
            "loss": _band(loss[a]),
            "eval_steps": recording.eval_steps,
            "eval_seconds": np.median(recording.eval_seconds[a], axis=0),
            "accuracy": _band(recording.accuracy[a]),
            "final_loss": loss[a, :, -1],
            "diverged_at": [_diverged_at(recording, line) for line in recording.loss[a]],
            "final_accuracy": recording.accuracy[a, :, -1],
            "rate": recording.rates[a],
        }
    order = np.argsort(recording.sweep_rates)
    sweep = {
        arm: _sweep_of(recording.sweep_rates[order], losses[order])
        for arm, losses in zip(recording.sweep_arms, recording.sweep_loss, strict=False)
        if losses.size
    }
    return {
        "figure": "race",
        "seeds": recording.seeds,
        "points_per_mean": runs[-1].stop - runs[-1].start,
        "arms": arms,
        "sweep": sweep,
        "notes": recording.notes,
    }


def _mean_of_runs(values: Any, runs: list[slice]) -> Any:
    with np.errstate(over="ignore"):
        return np.stack([values[..., run].mean(axis=-1) for run in runs], axis=-1)


def _band(values: Any) -> dict[str, Any]:
    """Median over the seeds (the first axis), smallest and largest of those that are finite.

    For the median what is not finite is larger than everything else. Where no seed is finite all three are infinite.
    """
    finite = np.isfinite(values)
    values = np.where(finite, values, np.inf)
    largest = np.where(finite, values, -np.inf).max(axis=0)
    with np.errstate(over="ignore"):
        median = np.median(values, axis=0)
    return {"median": median, "min": values.min(axis=0), "max": np.where(finite.any(axis=0), largest, np.inf)}


def _last_finite(values: Any) -> int:
    """Where the last finite number is; 0 if there is none."""
    finite = np.flatnonzero(np.isfinite(values))
    return int(finite[-1]) if len(finite) else 0


def _diverged_at(recording: RaceRecording, loss: Any) -> Any:
    """The step from which on the loss of one seed is not finite, or None."""
    first = first_of_the_rest(~np.isfinite(loss))
    return None if first is None else recording.steps[first]


def _sweep_of(rates: Any, losses: Any) -> dict[str, Any]:
    """The rates tried and the final losses; a rate has diverged if a seed has no finite loss."""
    diverged = ~np.isfinite(losses).all(axis=1)
    band = {key: np.where(diverged, np.nan, line) for key, line in _band(losses.T).items()}
    best = None if diverged.all() else rates[np.nanargmin(band["median"])]
    return {"rates": rates, "diverged": diverged, "best": best, **band}


def _line(ax: Axes, x: Any, band: dict[str, Any], colour: str, shade: float) -> None:
    finite = {key: drawable(line) for key, line in band.items()}
    ax.fill_between(x, finite["min"], finite["max"], color=colour, alpha=shade, linewidth=0)
    ax.plot(x, finite["median"], color=colour, linewidth=1.5)


def _log_loss(ax: Axes, numbers: dict[str, Any]) -> None:
    """Losses that span more than a decade go on a log axis, from the smallest to the largest band."""
    values = drawable(np.concatenate([arm["loss"][key] for arm in numbers["arms"].values() for key in ("min", "max")]))
    values = values[np.isfinite(values)]
    if not values.size:
        return
    low, high = float(values.min()), float(values.max())
    if low > 0 and high > 10 * low:
        ax.set_yscale("log")
        plain_log_ticks(ax.yaxis)
        ax.set_ylim(low / 1.15, high * 1.15)
    else:
        ax.set_ylim(min(0.0, low), high + 0.06 * (high - low or 1.0))


def _sweep(ax: Axes, sweeps: dict[str, Any], colours: dict[str, str]) -> None:
    tidy(ax)
    title(ax, "final validation loss")
    ax.set_xlabel("base rate", fontsize=SMALL, color=INK)
    ax.set_xscale("log")
    sweeps = {arm: {**s, **{key: drawable(s[key]) for key in ("median", "min", "max")}} for arm, s in sweeps.items()}
    values = np.concatenate([sweep[key] for sweep in sweeps.values() for key in ("min", "max")])
    values = values[np.isfinite(values)]
    if values.size and values.min() > 0 and values.max() > 10 * values.min():
        ax.set_yscale("log")
        plain_log_ticks(ax.yaxis)
    for arm, sweep in sweeps.items():
        rates, colour = sweep["rates"], colours[arm]
        ax.fill_between(rates, sweep["min"], sweep["max"], color=colour, alpha=0.16, linewidth=0)
        ax.plot(rates, sweep["median"], "-o", color=colour, linewidth=1.5, markersize=3.5)
        gone = rates[sweep["diverged"]]
        if gone.size:
            top = ax.get_xaxis_transform()
            ax.plot(gone, np.ones(gone.size), "x", color=colour, markersize=5, transform=top, clip_on=False)
        best = rates == sweep["best"]
        ax.plot(rates[best], sweep["median"][best], "o", mfc="none", mec=colour, ms=9, mew=1.3)
    plain_log_ticks(ax.xaxis)
    if sum(len(f"{rate:g} ") for rate in {rate for sweep in sweeps.values() for rate in sweep["rates"]}) > _LETTERS:
        ax.tick_params(axis="x", labelrotation=90)
    diverged = any(sweep["diverged"].any() for sweep in sweeps.values())
    ax.annotate(
        "ring: best" + ("; x: diverged" if diverged else ""), (0, 0), xycoords="axes fraction", xytext=(2, 3),
        textcoords="offset points", fontsize=SMALL - 1, color=QUIET,
    )  # fmt: skip
    last = [
        int(np.flatnonzero(~sweep["diverged"])[-1]) if not sweep["diverged"].all() else 0 for sweep in sweeps.values()
    ]
    ends = [sweep["median"][i] for sweep, i in zip(sweeps.values(), last, strict=True)]
    xs = [sweep["rates"][i] for sweep, i in zip(sweeps.values(), last, strict=True)]
    label_ends(ax, xs, ends, list(sweeps), [colours[arm] for arm in sweeps])


def _claim(recording: RaceRecording, numbers: dict[str, Any]) -> str:
    """Which arm ends with the lowest training loss, if the seeds tell the first from the second."""
    finals = {
        arm: np.nan_to_num(numbers["arms"][arm]["final_loss"], nan=np.inf, posinf=np.inf) for arm in recording.arms
    }
    order = sorted(finals, key=lambda arm: float(np.median(finals[arm])))
    best, window = order[0], numbers["points_per_mean"]
    seeds = {arm: sum(at is not None for at in numbers["arms"][arm]["diverged_at"]) for arm in recording.arms}
    lost = [f"{arm} ({count} of {len(recording.seeds)} seeds)" for arm, count in seeds.items() if count]
    diverged = f" Diverged, with a loss that is not finite: {', '.join(lost)}." if lost else ""
    if np.isinf(np.median(finals[best])):
        return f"No arm ends with a finite median training loss.{diverged}"
    when = f"Over the last {window} of {len(recording.steps)} steps" if window > 1 else "At the last step"
    if len(order) == 1:
        return f"{when} {best} has a median training loss of {np.median(finals[best]):.3g}.{diverged}"
    second = order[1]
    if np.isinf(np.median(finals[second])):
        return f"{when} only {best} has a finite median training loss, {np.median(finals[best]):.3g}.{diverged}"
    values = f"{np.median(finals[best]):.3g} and {np.median(finals[second]):.3g}"
    if finals[best].max() < finals[second].min():
        return (
            f"{when} {best} has the lowest training loss in every seed, before {second} (medians {values}).{diverged}"
        )
    return (
        f"{when} {best} and {second} have the lowest median training losses, {values}; their seeds overlap, so neither "
        f"is ahead.{diverged}"
    )
