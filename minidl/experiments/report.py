"""The report of a comparison: one HTML file that needs nothing beside it."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from minidl.errors import printable
from minidl.experiments.settings import BATCH_SIZE, SLOPE_CRITERION, TARGET_ACCURACY
from minidl.experiments.verdict import SIGNIFICANCE, SMALLEST_EFFECT

_STYLE = """
body { font: 16px/1.5 Georgia, serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; color: #222; }
h1, h2, h3, table, figcaption, .verdict b { font-family: system-ui, sans-serif; }
h1 { font-size: 1.7rem; } h2 { font-size: 1.25rem; margin-top: 2.2rem; }
table { border-collapse: collapse; font-size: .85rem; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .7rem; text-align: right; border-bottom: 1px solid #ddd; }
th:first-child, td:first-child { text-align: left; } thead th { border-bottom: 2px solid #444; }
td small { color: #666; } .scroll { overflow-x: auto; }
.verdict { border-left: .35rem solid #31688e; background: #f3f6f9; padding: .6rem 1rem; margin: 1rem 0; }
.caveat { border-left-color: #b8860b; background: #fbf7ec; }
figure { margin: 1.5rem 0; } figure svg { max-width: 100%; height: auto; } figcaption { font-size: .9rem; color: #333; }
code { font-size: .9em; background: #f4f4f4; padding: 0 .2em; }
"""


@dataclass(frozen=True)
class Picture:
    """A figure for the report: its SVG text and the claim it makes."""

    name: str
    svg: str
    caption: str


def headline(results: dict[str, Any]) -> list[str]:
    """The verdict of each method, as sentences for a terminal or a page."""
    sentences = []
    for method, found in results["methods"].items():
        if found["verdicts"] is None:
            sentences.append(f"{method}: no verdict: it needs the arms layer-specific and uniform.")
            continue
        (_, verdict), *others = found["verdicts"].items()
        beside = "; ".join(f"by {measure}: {other['kind']}" for measure, other in others)
        sentences.append(f"{method}: {verdict['kind']}. {verdict['reason']} Beside it, {beside}.")
    return sentences


COLUMNS = (
    "arm",
    "rate \u00d7 multiplier",
    "test accuracy, %",
    "test loss",
    f"steps to {TARGET_ACCURACY:.0%}",
    "time, s",
)


def table_rows(method: dict[str, Any]) -> list[tuple[str, ...]]:
    """The table of a method, a row an arm: medians with their range over seeds."""
    rows: list[tuple[str, ...]] = []
    for arm, row in method["arms"].items():
        rate = f"{row['base_rate']:g} \u00d7 {_middle(row['mean_multiplier'])}"
        if row["same_runs_as"]:
            rows.append((arm, rate, f"as {row['same_runs_as']}", "", "", ""))
            continue
        rows.append(
            (
                arm,
                rate,
                spread([100 * a for a in row["test_accuracy"]], "{:.1f}"),
                spread(row["test_loss"], "{:.3f}"),
                steps_text(row["steps_to_target"]),
                spread(row["seconds"], "{:.1f}"),
            )
        )
    return rows


def spread(values: Sequence[float], form: str) -> str:
    """'median (min\u2013max)'; one number where all agree. What is not finite counts as larger than everything else."""
    ranked = np.where(np.isfinite(values), values, np.inf)
    lost = int(np.isinf(ranked).sum())
    if lost == len(ranked):
        return "diverged"
    finite = ranked[np.isfinite(ranked)]
    low, middle, high = (form.format(value) for value in (finite.min(), np.median(ranked), finite.max()))
    middle = "diverged" if np.isinf(np.median(ranked)) else middle
    text = middle if low == high == middle else f"{middle} ({low}\u2013{high})"
    return text + (f", {lost} of {len(ranked)} diverged" if lost else "")


def _middle(multipliers: Sequence[float]) -> str:
    """The median of the mean multipliers of those seeds in which there is one."""
    known = [value for value in multipliers if np.isfinite(value)]
    return f"{np.median(known):.2f}" if known else "none that is finite"


def _signed(gain: float) -> str:
    return f"{gain:+.4g}".replace("inf", "\N{INFINITY}")


def steps_text(steps: Sequence[int | None]) -> str:
    """Median and range of the steps, and how many seeds never got there."""
    reached = [s for s in steps if s is not None]
    if not reached:
        return "never"
    # A seed that never arrived counts as later than every other, so the median may itself be "never".
    ordered = sorted(float("inf") if s is None else s for s in steps)
    middle = ordered[(len(ordered) - 1) // 2]
    missed = len(steps) - len(reached)
    text = "never" if middle == float("inf") else f"{middle:.0f}"
    text += f" ({min(reached)}\u2013{max(reached)})" if len(set(reached)) > 1 else ""
    return text + (f", {missed} of {len(steps)} never" if missed else "")


def render(results: dict[str, Any], pictures: Sequence[Picture], command: str, network: str) -> str:
    """The report as one HTML page."""
    settings = results["settings"]
    parts = [
        f"<h1>A rate per layer against one rate: {_text(', '.join(settings['methods']))} on handwritten digits</h1>",
        *(f'<p class="verdict"><b>Verdict.</b> {_text(line)}</p>' for line in headline(results)),
    ]
    for method, found in results["methods"].items():
        parts += [f"<h2>Results: {_text(method)}</h2>", _table(COLUMNS, table_rows(found))]
        parts.append(
            f"""<p>Median and (range) over {settings["seeds"]} seeds. The accuracy is taken after each epoch, so the
            steps to it are whole epochs. Training seconds leave evaluation out; they come from one machine and
            are no benchmark.</p>"""
        )
        if found["verdicts"]:
            parts.append("<p>The layer-specific arm against each other arm, paired by seed:</p>")
            parts += [_table(PAIRING_COLUMNS, pairing_rows(found["verdicts"]))]
        parts += _caveats(found)
    parts.append("<h2>Figures</h2>")
    for picture in pictures:
        parts.append(f"<figure>{picture.svg}<figcaption>{_text(picture.caption)}</figcaption></figure>")
    parts += [f"<p>{_text(line)}</p>" for found in results["methods"].values() for line in _flow_lines(found)]
    for method, found in results["methods"].items():
        if found["tuning"]:
            parts += [f"<h2>Tuning: {_text(method)}</h2>", _tuning_table(found["tuning"])]
    parts += _methods_section(results, network)
    parts.append(f"<h2>To repeat it</h2><p><code>{_text(command)}</code></p>")
    environment = ", ".join(f"{k} {v}" for k, v in results["environment"].items())
    parts.append(f"<p>{_text(environment)}. All numbers: results.json; every run: runs/*.npz.</p>")
    body = "\n".join(parts)
    title = "minidl compare"
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{_STYLE}</style></head>\n'
        f"<body>\n{body}\n</body></html>\n"
    )


PAIRING_COLUMNS = ("measure", "against", "median gain (range)", "of", "p better", "p worse", "outcome")


def pairing_rows(verdicts: dict[str, Any]) -> list[tuple[str, ...]]:
    """Every pairing of every measure: a positive gain is in favour of layer-specific, infinite where one diverged."""
    return [
        (
            measure,
            p["other"],
            f"{_signed(p['median_gain'])} ({_signed(p['smallest_gain'])} to {_signed(p['largest_gain'])})",
            f"{p['other_loss']:.4g}" if np.isfinite(p["other_loss"]) else "diverged",
            f"{p['p_better']:.3f}",
            f"{p['p_worse']:.3f}",
            p["outcome"],
        )
        for measure, verdict in verdicts.items()
        for p in verdict["pairings"]
    ]


def _flow_lines(found: dict[str, Any]) -> list[str]:
    return [f"{arm}: {words}" for arm, words in found["flow"].items()]


def _caveats(found: dict[str, Any]) -> list[str]:
    caveats = []
    if found["tuning"] and found["tuning"]["at_edge"]:
        caveats.append(
            f"The tuned rate of {', '.join(found['tuning']['at_edge'])} lies at the edge of the grid: a better one may "
            "lie beyond it."
        )
    for arm, row in found["arms"].items():
        steps = [step for step in row["diverged_at"] if step is not None]
        if steps and not row["same_runs_as"]:
            caveats.append(
                f"{arm} diverged in {len(steps)} of {len(row['diverged_at'])} seeds: from step {min(steps)} on, at the "
                "earliest, its loss is not finite. Such a loss ranks after every finite one."
            )
        lost = sum(a < 0.5 for a in row["test_accuracy"])
        if lost and not row["same_runs_as"] and max(max(r["test_accuracy"]) for r in found["arms"].values()) >= 0.5:
            caveats.append(
                f"{arm} ends below 50% accuracy in {lost} of {len(row['test_accuracy'])} seeds: it diverged, or never "
                "began to learn. Steps it took to an accuracy before that were not kept."
            )
    criterion = found["criterion"]
    if criterion and not criterion["met"]:
        caveats.append(
            "This network does not meet the criterion it should have been chosen by (see below): read the verdict as "
            "one about a network without a vanishing gradient, or one that nobody could train."
        )
    return [f'<p class="verdict caveat"><b>Caveat.</b> {_text(line)}</p>' for line in caveats]


def _tuning_table(tuning: dict[str, Any]) -> str:
    header = ("rule", *(f"{rate:g}" for rate in tuning["grid"]))
    rows = []
    for rule, losses in tuning["validation_loss"].items():
        with np.errstate(over="ignore", invalid="ignore"):
            means = np.mean(np.asarray(losses, dtype=np.float64), axis=1)
        best = int(np.argmin(np.where(np.isfinite(means), means, np.inf)))
        rows.append((rule, *(_mean_text(m) + (" *" if i == best else "") for i, m in enumerate(means))))
    note = (
        f"<p>Mean validation loss after the whole budget over the seeds {', '.join(map(str, tuning['seeds']))}, which "
        "are not reported, by base rate. * marks the rate that was chosen.</p>"
    )
    return _table(header, rows) + note


def _mean_text(mean: float) -> str:
    return f"{mean:.3f}" if np.isfinite(mean) else "diverged"


def _methods_section(results: dict[str, Any], network: str) -> list[str]:
    settings, data = results["settings"], results["data"]
    lines = [  # a page does not care where a line is broken
        f"""The data are the 1,797 handwritten 8x8 digits of the UCI repository: {data["train"]} to train,
        {data["validation"]} to tune, {data["test"]} to test, split once and for all, each class in proportion.
        {settings["epochs"]} epochs in batches of {BATCH_SIZE}. One seed gives every arm the same initial weights and
        the same order of the data.""",
        f"The network: {network}. {_criterion_text(results)}",
        """The layer-specific rate for layer l with gradient g_l (weights and bias together) is
        t (1 + ln(1 + 1/||g_l||)), Singh, De, Zhang, Goldstein and Taylor, arXiv:1510.04609. It is always larger than t,
        so part of any gain may be just a larger rate. Two controls replay the layer-specific run of the same seed
        without its differences between layers: 'constant' multiplies the uniform rate by that run's mean multiplier,
        'per-step' by its mean over layers at each step. The '-tuned' arms run at the base rate tuned for their rule;
        the other four share the rate tuned for layer-specific. Momentum, where used, is 0.9 in Caffe's form in every
        arm.""",
        f"""An arm beats another if an exact sign-flip test on the differences in final test loss, paired by seed, gives
        p <= {SIGNIFICANCE} and the median difference is at least {SMALLEST_EFFECT:.0%} of the other's loss.
        The p are one-sided, and with five seeds all five must agree (p = 1/32). Layer-specific 'helps' if it beats the
        uniform rate and every control. Its gain is 'explained by the larger rate' if it beats the uniform rate but is
        not even ahead of some control in the median. If it is ahead of a control, but not provably, the verdict is
        'undecided'; more seeds may tell. A run that diverged, so that its loss is not finite, ranks after every other.
        No correction is made for the number of controls: each of them has to be
        beaten.""",
    ]
    return ["<h2>How it was done</h2>", *(f"<p>{_text(line)}</p>" for line in lines)]


def _criterion_text(results: dict[str, Any]) -> str:
    """By which rule the network was chosen, and whether this run met it."""
    if results["settings"]["model"] != "mlp":
        return "It is an ordinary small network, in which gradients hardly vanish; no criterion chose it."
    rule = f"""It was chosen before any arms were compared: the deepest of its kind whose weight gradient falls by at
        least {-SLOPE_CRITERION} decades a layer towards the input at step 0 and of which at least one tuned arm passes
        {TARGET_ACCURACY:.0%} on the validation digits within the budget. (To repeat the choice, among 1 to 5 hidden
        layers: python -m minidl.experiments.choose.)"""
    texts = [
        f"In this run ({method}): {_slope_text(c['slope_decades_per_layer'])}, best tuned arm "
        f"{c['best_tuned_validation_accuracy']:.1%}: {'met' if c['met'] else 'NOT met'}."
        for method, found in results["methods"].items()
        if (c := found["criterion"])
    ]
    return f"{rule} {' '.join(texts) or 'It was not checked in this run, which tuned no rate.'}"


def _slope_text(slope: float) -> str:
    return f"{slope:.2f} decades a layer" if np.isfinite(slope) else "no slope to be fitted"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{_text(cell)}</th>" for cell in header)
    body = "".join(f"<tr>{''.join(f'<td>{_text(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _text(value: str) -> str:
    return html.escape(printable(value, keep="\n"))
