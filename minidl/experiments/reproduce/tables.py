"""The report's tables: what each arm reached, how soon, at which rate, and from which runs each number comes."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from minidl.experiments.reproduce.comparisons import Measure, numbers_of
from minidl.experiments.reproduce.evidence import (
    Arms,
    Run,
    at_look,
    by_layer,
    diverged,
    final_accuracy,
    final_loss,
    have_learned,
    ids_of,
    iterations_to,
    median,
)
from minidl.experiments.reproduce.grids import Grid, mean_score
from minidl.experiments.reproduce.names import arm_named, method_named
from minidl.experiments.reproduce.outcome_claims import CPU_SECONDS, ITERATIONS, SECONDS
from minidl.experiments.reproduce.page import Table

AT = (0.1, 0.3, 0.6, 1.0)  # parts of a run after which the tables look


def arms_table(arms: Arms, classes: int = 0) -> Table:
    """A row an arm: its rate, where it ends and how soon it was as good as one rate ends. Medians, with the range.

    Args:
        arms: the runs of one method.
        classes: of which guessing takes one; 0 if it is not known.
    """
    head = ("arm", "base rate", "mean factor", "right at the end, %", "iterations until as good as one rate", "seeds")
    rows = []
    for arm, runs in arms.items():
        found = list(runs.values())
        ends = [math.nan if diverged(run) else 100 * final_accuracy(run) for run in found]
        rows.append((
            arm_named(arm), _rates(found), _known([run.get("mean_multiplier") for run in found], "{:.3g}"),
            spread(ends, "{:.2f}", largest_first=True), _soon(arms, arm, ITERATIONS, "{:,.0f}", classes),
            str(len(found)),
        ))  # fmt: skip
    return Table(head, rows)


def progress_table(arms: Arms, key: str) -> Table:
    """Accuracy (in percent) or loss on the test set at several iterations: mean, sd, range and number of seeds."""
    looks = sorted({step for runs in arms.values() for run in runs.values() for step in run["looks"]["iteration"]})
    steps = sorted({min(looks, key=lambda step: abs(step - part * looks[-1])) for part in AT})
    factor, form = (100.0, "{:.2f}") if key == "accuracy" else (1.0, "{:.4g}")
    rows = []
    for arm, runs in arms.items():
        cells = []
        for step in steps:
            found = [run for run in runs.values() if step in run["looks"]["iteration"]]
            lost = [math.isnan(at_look(run, step, "loss")) for run in found]
            values = [factor * at_look(run, step, key) for run, gone in zip(found, lost, strict=True) if not gone]
            cells.append(moments(values, form, sum(lost)))
        rows.append((arm_named(arm), *cells))
    return Table(("arm", *(f"after {step:,}" for step in steps)), rows)


def targets_table(arms: Arms, targets: Sequence[float]) -> Table:
    """Iterations until so many of the test images are right, whatever one rate reaches."""
    found = [
        (
            arm_named(arm),
            *(_steps([iterations_to(run, target) for run in runs.values()], "{:,.0f}") for target in targets),
        )
        for arm, runs in arms.items()
    ]
    return Table(("arm", *(f"until {target:.0%}" for target in targets)), found)


def time_table(arms: Arms, classes: int = 0) -> Table:
    """Iterations and seconds until as good as one rate is at the end, and seconds of the whole training."""
    head = ("arm", "iterations", "seconds by the clock", "processor's seconds", "seconds of all iterations")
    rows = []
    for arm, runs in arms.items():
        whole = _known([run.get("seconds") for run in runs.values()], "{:.3g}")
        measures = ((ITERATIONS, "{:,.0f}"), (SECONDS, "{:.3g}"), (CPU_SECONDS, "{:.3g}"))
        rows.append((arm_named(arm), *(_soon(arms, arm, measure, form, classes) for measure, form in measures), whole))
    return Table(head, rows)


def layers_table(arms: Arms, layers: Sequence[str]) -> Table | None:
    """A row a layer, medians over the seeds; None if none was recorded."""
    columns: list[tuple[str, list[float]]] = []
    for arm, key, when, name in (
        ("uniform", "norms", "first", "norm at the start"),
        ("uniform", "norms", "middle", "norm along the way"),
        ("ln", "multipliers", "middle", "factor of a rate per layer"),
        ("uniform", "relative_updates", "middle", "|dw|/|w|, one rate"),
        ("constant", "relative_updates", "middle", "|dw|/|w|, one larger rate"),
        ("ln", "relative_updates", "middle", "|dw|/|w|, a rate per layer"),
    ):
        found = [by_layer(run, key, when) for run in arms.get(arm, {}).values()]
        found = [values for values in found if len(values) == len(layers)]
        if found:
            columns.append((name, [median(column) for column in np.array(found).T]))
    if not columns or not layers:
        return None
    rows = [(layer, *(_short(values[k]) for _, values in columns)) for k, layer in enumerate(layers)]
    return Table(("layer", *(name for name, _ in columns)), rows)


def tuning_table(grids: Mapping[str, Grid], lost: str) -> Table:
    """Mean score (`tuning_score`) of each rule by base rate, the best marked.

    Args:
        grids: of one method (`grids_of`).
        lost: what an infinite score is called.
    """
    rates = list(next(iter(grids.values())).scores)
    rows = []
    for rule, grid in grids.items():
        cells = [_score(grid.scores[rate], grid.seeds, lost) + " *" * (rate == grid.best) for rate in rates]
        rows.append((arm_named(rule), *cells))
    return Table(("rule", *(f"{rate:g}" for rate in rates)), rows)


def open_table(recipes: Sequence[tuple[str, dict[str, Arms]]]) -> Table | None:
    """What the paper leaves open: ln against log10, AdaGrad by element against by layer; right answers at the end."""
    rows = []
    for title, methods in recipes:
        for method, arms in methods.items():
            if "ln" in arms and "log10" in arms:
                name = f"{title}, {method_named(method)}: ln or log10"
                rows += _open_row(name, arms["ln"], arms["log10"])
        for arm in ("uniform", "ln"):
            pair = [methods.get(method, {}).get(arm, {}) for method in ("adagrad", "adagrad-layer")]
            if all(pair):
                rates = [_rates(list(runs.values())) for runs in pair]
                name = f"{title}, AdaGrad, {arm_named(arm)}: by element (at {rates[0]}) or by layer (at {rates[1]})"
                rows += _open_row(name, pair[0], pair[1])
    return Table(("what is open", "the first", "the second", "second less first", "seeds"), rows) if rows else None


def _open_row(name: str, first: dict[int, Run], second: dict[int, Run]) -> list[tuple[str, ...]]:
    """The row of two arms over the seeds that both have; none without such a seed."""
    seeds = sorted(set(first) & set(second))
    ends = [
        [math.nan if diverged(runs[seed]) else 100 * final_accuracy(runs[seed]) for seed in seeds]
        for runs in (first, second)
    ]
    known = [gap for a, b in zip(*ends, strict=True) if not math.isnan(gap := b - a)]
    span = f" ({min(known):+.2f} to {max(known):+.2f})" if len(known) > 1 else ""
    gap = f"{median(known):+.2f}{span}" if known else "unknown"
    both = [spread(one, "{:.2f}", largest_first=True) for one in ends]
    return [(name, *both, gap, str(len(seeds)))] if seeds else []


# ---- where the numbers come from


def source_table(collected: dict[str, Any], method: str, arms: Arms) -> Table:
    """For each arm its runs, seeds and base rate, and the number of the environment they were made in."""
    rows = []
    for arm, runs in arms.items():
        places = sorted({run["environment"] + 1 for run in runs.values()})
        rows.append((
            f"{method_named(method)}, {arm_named(arm)}", f"`{'`, `'.join(short_ids(ids_of(arms, [arm])))}`",
            ", ".join(map(str, runs)), _rates(list(runs.values())), ", ".join(map(str, places)),
        ))  # fmt: skip
    return Table(("arm", "runs", "seeds", "base rate", "environment"), rows, words=True)


def environment_table(collected: dict[str, Any]) -> Table:
    """The commands, versions and machines of the runs, by number."""
    rows = []
    for number, found in enumerate(collected["environments"], start=1):
        versions = found.get("versions") or {}
        threads = found.get("threads")
        rows.append((
            str(number), f"`{found.get('command') or 'unknown'}`", f"{versions.get('commit') or 'unknown'}",
            ", ".join(f"{name} {versions[name]}" for name in ("minidl", "numpy", "python") if name in versions),
            f"{found.get('machine') or 'unknown'}; {threads} thread{'s' * (threads != 1)}; {found.get('backend')}",
        ))  # fmt: skip
    return Table(("environment", "command", "commit", "versions", "machine"), rows, words=True)


def short_ids(ids: Sequence[str]) -> list[str]:
    """Ids that differ in their seed alone as one: sgd-ln-recipe-seed0, 1, 2 are sgd-ln-recipe-seed{0,1,2}."""
    groups: dict[str, list[str]] = {}
    for name in ids:
        found = re.fullmatch(r"(.*seed)(\d+)", name)
        groups.setdefault(found[1] if found else name, []).append(found[2] if found else "")
    return [stem + (f"{{{','.join(ends)}}}" if len(ends) > 1 else ends[0]) for stem, ends in groups.items()]


# ---- numbers in words


def spread(values: Sequence[float], form: str, largest_first: bool = False) -> str:
    """'median (min-max)'; NaN is a run that diverged, which ranks after every other.

    Args:
        largest_first: whether large numbers are the good ones, after which a diverged run ranks.
    """
    known = [value for value in values if math.isfinite(value)]
    if not known:
        return "diverged" if len(values) else "none"
    sign = -1.0 if largest_first else 1.0
    middle = median([sign * value if math.isfinite(value) else math.inf for value in values])
    text = form.format(sign * middle) if math.isfinite(middle) else "diverged"
    text += f" ({form.format(min(known))}\u2013{form.format(max(known))})" if len(known) > 1 else ""
    lost = len(values) - len(known)
    return text + (f", {lost} of {len(values)} diverged" if lost else "")


def moments(values: Sequence[float], form: str, lost: int) -> str:
    """'mean \u00b1 sd (min-max; n)' over the seeds that did not diverge, and how many did."""
    gone = f"{lost} diverged" if lost else ""
    if not values:
        return gone or "not looked at"
    text = form.format(float(np.mean(values)))
    if len(values) > 1:
        text += f" \u00b1 {form.format(float(np.std(values, ddof=1)))}"
        text += f" ({form.format(min(values))}\u2013{form.format(max(values))}; n={len(values)})"
    else:
        text += " (n=1)"
    return f"{text}, {gone}" if gone else text


def _soon(arms: Arms, arm: str, measure: Measure, form: str, classes: int) -> str:
    """How soon the seeds of an arm were as good as one rate is at the end."""
    base = arms.get("uniform-tuned" if arm.endswith("-tuned") else "uniform", {})
    if base and not have_learned(list(base.values()), classes):
        return "one rate learned nothing"
    values = numbers_of(arms, arm, measure)
    return _steps(values, form) if values else "nothing to compare with"


def _steps(values: Sequence[float], form: str) -> str:
    """'median (min-max)' of iterations or seconds; infinite for a seed that never gets there."""
    known = [value for value in values if math.isfinite(value)]
    if not known:
        return "never"
    middle, never = median(values), len(values) - len(known)
    several = len(set(known)) > 1
    span = f"{form.format(min(known))}\u2013{form.format(max(known))}" if several else form.format(known[0])
    if not math.isfinite(middle):
        return f"never in {never} of {len(values)}, else {span}"
    return form.format(middle) + f" ({span})" * several + (f", {never} of {len(values)} never" if never else "")


def _known(values: Sequence[Any], form: str) -> str:
    known = [float(value) for value in values if value is not None]
    return form.format(median(known)) if known else "unknown"


def _rates(runs: Sequence[Run]) -> str:
    rates = sorted({float(run["base_rate"]) for run in runs if run.get("base_rate") is not None})
    return ", ".join(f"{rate:g}" for rate in rates)


def _score(scores: Sequence[float], seeds: int, lost: str) -> str:
    """The mean score of the runs of one rate, of as many as there are tuning seeds; `lost` if it is infinite."""
    if not scores:
        return "not run"
    part = f" ({len(scores)} of {seeds} seeds)" if len(scores) < seeds else ""
    mean = mean_score(scores)
    return (lost if math.isinf(mean) else f"{mean:.4g}") + part


def _short(value: float) -> str:
    return f"{value:.3g}" if math.isfinite(value) else "unknown"


def losses_at_the_end(arms: Arms) -> Table:
    """Loss on the test set and on the training batches at the end, medians with the range."""
    rows = []
    for arm, runs in arms.items():
        test = [x if math.isfinite(x := final_loss(run)) else math.nan for run in runs.values()]
        train = [math.nan if run.get("train_loss") is None else float(run["train_loss"]) for run in runs.values()]
        rows.append((arm_named(arm), spread(test, "{:.4g}"), spread(train, "{:.4g}")))
    return Table(("arm", "test loss", "training loss, last 5% of the steps"), rows)
