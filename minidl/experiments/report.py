"""The report of a comparison: one HTML file that needs nothing beside it."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from minidl.errors import printable
from minidl.experiments.answer import QUESTION, answer, in_detail, what_it_does
from minidl.experiments.results import STEPS
from minidl.experiments.settings import BATCH_SIZE, SLOPE_CRITERION, TARGET_ACCURACY
from minidl.experiments.verdict import ALIKE, KEPT_OF_THE_GAIN, SIGNIFICANCE, SMALLEST_EFFECT

_STYLE = """
:root { color-scheme: light; }
body { font: clamp(16px, 12px + .45vw, 24px)/1.5 Georgia, serif; max-width: 62rem; margin: 1.5rem auto;
  padding: 0 1rem; color: #222; background: #fff; }
h1, h2, h3, table, figcaption, summary, b { font-family: system-ui, sans-serif; }
h1 { font-size: 1.7rem; line-height: 1.2; margin-bottom: .4rem; } h2 { font-size: 1.25rem; margin-top: 2.2rem; }
h3 { font-size: 1.05rem; }
.about { color: #555; margin-top: 0; }
.answer { border-left: .35rem solid #31688e; background: #f3f6f9; padding: .7rem 1rem; font-size: 1.15rem; }
.caveat { border-left: .35rem solid #b8860b; background: #fbf7ec; padding: .6rem 1rem; }
table { border-collapse: collapse; font-size: .85rem; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .7rem; text-align: right; border-bottom: 1px solid #ddd; vertical-align: top; }
th:first-child, td:first-child { text-align: left; padding-left: 0; } thead th { border-bottom: 2px solid #444; }
td small { display: block; color: #555; max-width: 24rem; font-weight: normal; }
.scroll { overflow-x: auto; }
figure { margin: 1.8rem 0; } figure svg { max-width: none; height: auto; }
figcaption { font-size: .9rem; color: #333; }
details { border-top: 1px solid #ddd; padding: .5rem 0; } summary { font-size: 1.1rem; cursor: pointer; }
code { font-size: .9em; background: #f4f4f4; padding: 0 .2em; overflow-wrap: anywhere; }
@media (max-width: 40rem) {
  thead { display: none; } tr { display: grid; padding: .5rem 0; border-bottom: 1px solid #ddd; }
  td, td:first-child { text-align: left; border: 0; padding: .05rem 0; }
  td[data-of]:not(:empty)::before { content: attr(data-of) ": "; color: #555; }
}
@media print { body { font-size: 11pt; max-width: none; } figure, tr { break-inside: avoid; }
  figure svg { min-width: 0; } .scroll { overflow: visible; } h2 { break-after: avoid; } }
"""


@dataclass(frozen=True)
class Picture:
    """A figure for the report: its SVG text and the claim it makes."""

    name: str
    svg: str
    caption: str


def headline(results: dict[str, Any]) -> list[str]:
    """The answer and the verdict of each method, as lines for a terminal."""
    lines = [QUESTION]
    for method, found in results["methods"].items():
        lines.append(f"{method}: {' '.join(answer(found, results['settings']['seeds']))}")
        if found["verdicts"] is not None:
            (_, verdict), *_ = found["verdicts"].items()
            lines.append(f"{method}: verdict: {verdict['kind']}.")
    return lines


COLUMNS = ("arm", "correct at the end, %", STEPS, "test loss at the end")


def table_rows(method: dict[str, Any]) -> list[tuple[str, ...]]:
    """The table of a method, a row an arm: medians with their range over seeds."""
    rows: list[tuple[str, ...]] = []
    for arm, row in method["arms"].items():
        if row["same_runs_as"]:
            rows.append((arm, f"as {row['same_runs_as']}", "", ""))
            continue
        accuracy = spread([100 * a for a in row["test_accuracy"]], "{:.1f}")
        rows.append((arm, accuracy, steps_text(row["steps_to_target"]), spread(row["test_loss"], "{:.3f}")))
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
    """The report as one HTML page: question, answer, table and figures first, the statistics folded away."""
    parts = [f"<h1>{QUESTION}</h1>", f'<p class="about">{_text(_in_short(results))}</p>']
    for method, found in results["methods"].items():
        heading = f"<b>{_text(method)}.</b> " if len(results["methods"]) > 1 else ""
        parts.append(f'<p class="answer">{heading}{_text(" ".join(answer(found, results["settings"]["seeds"])))}</p>')
    for method, found in results["methods"].items():
        parts += [f"<h2>What was compared: {_text(method)}</h2>", _arms_table(found)]
        parts.append(f"<p>{_text(_reading(results))}</p>")
        parts += [f"<p>{_text(line)}</p>" for line in in_detail(found)]
        parts += _caveats(found)
    parts.append("<h2>Figures</h2>")
    for picture in pictures:
        drawing = f'<div class="scroll">{picture.svg}</div>'
        parts.append(f"<figure>{drawing}<figcaption>{_text(picture.caption)}</figcaption></figure>")
    parts += [f"<p>{_text(line)}</p>" for found in results["methods"].values() for line in _flow_lines(found)]
    parts += _folded("The statistics", _statistics(results))
    parts += _folded("How it was done", _methods_section(results, network))
    environment = ", ".join(f"{k} {v}" for k, v in results["environment"].items())
    again = [
        f"<p><code>{_text(command)}</code></p>",
        f"<p>{_text(environment)}. All numbers: results.json; every run: runs/*.npz.</p>",
    ]
    parts += _folded("To repeat it", again)
    body = "\n".join(parts)
    title = "minidl compare"
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{_STYLE}</style></head>\n'
        f"<body>\n{body}\n</body></html>\n"
    )


def _folded(heading: str, parts: Sequence[str]) -> list[str]:
    return [f"<details><summary>{_text(heading)}</summary>", *parts, "</details>"]


def _in_short(results: dict[str, Any]) -> str:
    """What was done, in a sentence."""
    settings = results["settings"]
    network = "a network of sigmoid layers" if settings["model"] == "mlp" else "a small convolutional network"
    return (
        f"{network.capitalize()} was trained on {results['data']['train']:,} images of handwritten digits, from "
        f"{settings['seeds']} random starts, the same for every rule of the learning rate, and tested on "
        f"{results['data']['test']:,} others."
    )


def _reading(results: dict[str, Any]) -> str:
    """How the table is to be read."""
    seeds = results["settings"]["seeds"]
    numbers = f"The middle one of {seeds} starts, with the range of all in brackets." if seeds > 1 else "One start."
    return f"{numbers} A test is made after every pass over the training images, so steps are whole passes."


def _arms_table(found: dict[str, Any]) -> str:
    """The arms with what each of them does, and what came out."""
    head = "".join(f"<th>{_text(cell)}</th>" for cell in COLUMNS)
    body = "".join(
        f"<tr><td><b>{_text(arm)}</b><small>{_text(what_it_does(arm, found))}</small></td>"
        # Of an arm that has the runs of another, the description says so.
        f"{''.join(map(_cell, COLUMNS[1:], [''] * 3 if found['arms'][arm]['same_runs_as'] else cells))}</tr>"
        for arm, *cells in table_rows(found)
    )
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _statistics(results: dict[str, Any]) -> list[str]:
    """Verdicts with their reasons, every pairing, the tuning, and the seconds."""
    parts = []
    for method, found in results["methods"].items():
        parts.append(f"<h3>{_text(method)}</h3>")
        for measure, verdict in (found["verdicts"] or {}).items():
            parts.append(f"<p><b>By {_text(measure)}: {_text(verdict['kind'])}.</b> {_text(verdict['reason'])}</p>")
        if found["verdicts"]:
            parts.append("<p>The layer-specific arm against each other arm, paired by seed:</p>")
            parts.append(_table(PAIRING_COLUMNS, pairing_rows(found["verdicts"])))
        if found["tuning"]:
            parts += [f"<p>Tuning of {_text(method)}:</p>", _tuning_table(found["tuning"])]
        seconds = [
            (arm, spread(row["seconds"], "{:.1f}")) for arm, row in found["arms"].items() if not row["same_runs_as"]
        ]
        parts.append("<p>Seconds of training, on one machine and without the tests: no merit of an arm.</p>")
        parts.append(_table(("arm", "seconds"), seconds))
    return parts


PAIRING_COLUMNS = ("measure", "against", "median gain (range)", "of", "p better", "p worse", "p as well", "outcome")


def pairing_rows(verdicts: dict[str, Any]) -> list[tuple[str, ...]]:
    """Every pairing of every measure: a positive gain is in favour of layer-specific, infinite where one diverged."""
    return [
        (
            measure,
            p["other"],
            f"{_signed(p['median_gain'])} ({_signed(p['smallest_gain'])} to {_signed(p['largest_gain'])})",
            f"{p['other_loss']:.4g}" if np.isfinite(p["other_loss"]) else p["lost"],
            f"{p['p_better']:.3f}",
            f"{p['p_worse']:.3f}",
            f"{p['p_as_well']:.3f}",
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
    return [f'<p class="caveat"><b>Caveat.</b> {_text(line)}</p>' for line in caveats]


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
        uniform rate and every control. That a control does as well has to be shown too, by a test of equivalence: the
        same test must say that the control is behind by less than {KEPT_OF_THE_GAIN:.0%} of what layer-specific gains
        over the uniform rate, and it may not be behind by {SMALLEST_EFFECT:.0%} in the median. Then the gain is
        'explained by the larger rate'. There is 'no difference' if the uniform rate itself is shown to be behind by
        less than {ALIKE:.0%} of its loss. Everything else is 'undecided'; more seeds may tell. A run that diverged, so
        that its loss is not finite, ranks after every other. No correction is made for the number of controls: each of
        them has to be beaten.""",
    ]
    return [f"<p>{_text(line)}</p>" for line in lines]


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
    body = "".join(f"<tr>{''.join(map(_cell, header, row))}</tr>" for row in rows)
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _cell(heading: str, text: str) -> str:
    """A cell that knows its heading: on a narrow screen it stands beside it."""
    return f'<td data-of="{_text(heading)}">{_text(text)}</td>'


def _text(value: str) -> str:
    return html.escape(printable(value, keep="\n"))
