"""The section of one experiment in the report: its pictures, its tables, and where its numbers come from."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from minidl.experiments.reproduce.claims import seeds_words
from minidl.experiments.reproduce.drawing import curves, ends, looked, sample_words
from minidl.experiments.reproduce.evidence import (
    Arms,
    arms_of,
    diverged,
    final_accuracy,
    median,
    methods_of,
    shared_seeds,
)
from minidl.experiments.reproduce.grids import Grid, grids_of
from minidl.experiments.reproduce.layer_drawing import by_depth, over_time
from minidl.experiments.reproduce.names import ARMS, SADDLE, arm_named, method_named, note_of, words_of
from minidl.experiments.reproduce.outcome_claims import ITERATIONS
from minidl.experiments.reproduce.page import Block, Folded, Heading, Shown, Text
from minidl.experiments.reproduce.picture import Picture
from minidl.experiments.reproduce.recipes import RECIPES
from minidl.experiments.reproduce.saddle_claim import about_the_saddle, escape_table, escapes
from minidl.experiments.reproduce.saddle_drawing import escape_picture
from minidl.experiments.reproduce.tables import (
    arms_table,
    environment_table,
    layers_table,
    losses_at_the_end,
    progress_table,
    source_table,
    targets_table,
    time_table,
    tuning_table,
)
from minidl.plot.words import listed

_AS_GOOD = (
    "As good as one rate is at the end, with the same seed: an arm at the recipe's rate as one rate there, a tuned arm "
    "as one rate at its best rate."
)


def title_of(collected: dict[str, Any]) -> str:
    """The experiment and its scale."""
    return f"{words_of(collected['recipe']).title} ({collected['scale']})"


def experiment(collected: dict[str, Any], shown: Picture | None) -> list[Block]:
    """The blocks of one experiment.

    Args:
        collected: its results.
        shown: a picture that the report shows already.
    """
    note, about = note_of(collected), _recipe_words(collected["recipe"])
    blocks: list[Block] = [Heading(2, title_of(collected)), *([Text(about)] if about else [])]
    blocks += [Text(note, "note")] if note else []
    methods = methods_of(collected)
    if not methods:
        choosing = sum(run["role"] == "tuning" for run in collected["runs"])
        tuned = f", only {choosing} that choose a rate" if choosing else ""
        return [*blocks, Text(f"None of its reported runs is done{tuned}.")]
    if collected["recipe"] == SADDLE:
        blocks += _escaped(collected, methods)
    elif any(looked(arms_of(collected, method), ARMS) for method in methods):
        blocks += _trained(collected, methods, shown)
    return blocks + _sources(collected, methods)


def _recipe_words(name: str) -> str:
    """What a recipe says of itself: the network, how it was chosen, and what is known of Caffe's own runs."""
    recipe = RECIPES.get(name)
    texts = () if recipe is None else (recipe.title, recipe.criterion, recipe.expected)
    return " ".join(f"{text[:1].upper()}{text[1:].rstrip('.')}." for text in texts if text)


def _trained(collected: dict[str, Any], methods: Sequence[str], shown: Picture | None) -> list[Block]:
    blocks: list[Block] = []
    for method in methods:
        picture = curves(collected, method)
        if picture is None:
            continue
        arms = looked(arms_of(collected, method), ARMS)
        table: list[Block] = [arms_table(arms, words_of(collected["recipe"]).classes), Text(_AS_GOOD)]
        table += [Text(words) for words in _run_twice(collected, arms)]
        if method == methods[0]:
            blocks += [Shown(picture)] if shown is None or picture.name != shown.name else []
            blocks += table
        else:
            blocks.append(Folded(f"The same with {method_named(method)}", [Shown(picture), *table]))
    dots = ends(collected, methods)
    blocks += [Shown(dots)] if dots else []
    elsewhere = _reported_elsewhere(collected, methods)
    blocks += [Text(elsewhere)] if elsewhere else []
    for method in methods:
        layers = [Shown(picture) for picture in (by_depth(collected, method), over_time(collected, method)) if picture]
        if layers and method == methods[0]:
            blocks += layers
        elif layers:
            blocks.append(Folded(f"Layer by layer with {method_named(method)}", layers))
    numbers: list[Block] = []
    for method in methods:
        numbers += _numbers(collected, method, looked(arms_of(collected, method), ARMS))
    blocks.append(Folded("All numbers: on the way, in seconds, by layer, of the tuning", numbers))
    return blocks


def _run_twice(collected: dict[str, Any], arms: Arms) -> Iterator[str]:
    """Of a rule whose best rate is the recipe's, and that two versions of minidl ran there: how far apart they end."""
    for rule, runs in arms.items():
        pairs = [(runs[s], arms[f"{rule}-tuned"][s]) for s in shared_seeds(arms, [rule, f"{rule}-tuned"])]
        pairs = [
            (one, other) for one, other in pairs
            if one["base_rate"] == other["base_rate"] and not diverged(one) and not diverged(other)
        ]  # fmt: skip
        gaps = [abs(final_accuracy(one) - final_accuracy(other)) for one, other in pairs]
        apart = max((gap for gap in gaps if math.isfinite(gap)), default=0.0)
        if apart:
            places = [
                collected["environments"][run["environment"]].get("versions") or {} for pair in pairs for run in pair
            ]
            made_by = {str(place.get("commit") or place.get("minidl") or "unknown") for place in places}
            name, rate = arm_named(rule).capitalize(), pairs[0][0]["base_rate"]
            yield (
                f"{name} stands in the table twice at the base rate {rate:g}: it was run there again as its best rate "
                f"(minidl {listed(sorted(made_by))}), and as far as we know nothing differs but how sums are rounded. "
                f"Runs of one seed end up to {100 * apart:.2f} points apart: so much is chance."
            )


def _escaped(collected: dict[str, Any], methods: Sequence[str]) -> list[Block]:
    """What is shown of runs that begin at a saddle point."""
    blocks: list[Block] = []
    for method in methods:
        arms = escapes(arms_of(collected, method))
        picture = escape_picture(collected, method)
        if picture is None:
            continue
        if not blocks:
            blocks.append(Text(about_the_saddle(arms)))
        inside: list[Block] = [Shown(picture), escape_table(arms)]
        grids = grids_of(collected, method)
        if grids:
            score = "Mean number of steps until it has left, by base rate"
            inside.append(Folded("The tuning", _tuned(method_named(method), score, grids, "never")))
        blocks += inside if method == methods[0] else [Folded(f"The same with {method_named(method)}", inside)]
    return blocks


def _numbers(collected: dict[str, Any], method: str, arms: Arms) -> list[Block]:
    if not arms:
        return []
    name, note, recipe = method_named(method), note_of(collected), RECIPES.get(collected["recipe"])
    sample, classes = sample_words(arms), words_of(collected["recipe"]).classes
    alike = " These may be easier or harder than all: iterations are then too few or too many, in all arms alike."
    targets: list[Block] = [Text("Until so many are right:"), targets_table(arms, recipe.targets)] if recipe else []
    blocks: list[Block] = [
        Text(f"**{name}: on the way**"),
        Text(f"Right answers on the test set, in percent: mean, standard deviation, range and seeds.{sample} {note}"),
        progress_table(arms, "accuracy"),
        Text("Loss on the test set."),
        progress_table(arms, "loss"),
        losses_at_the_end(arms),
        Text(f"**{name}: how soon**"),
        Text(
            "Until as good as one rate at the end, with the same seed and the same kind of base rate; looked at a few "
            "times in a run, so iterations are those of a look. Medians with the range over the seeds; a seed that "
            f"never gets there counts as later than all others.{sample}{alike if sample else ''} Seconds depend on the "
            "machine and on what else it did: no merit of an arm."
        ),
        time_table(arms, classes),
        *targets,
    ]
    layers = layers_table(arms, collected["layers"])
    if layers is not None:
        blocks += [Text(f"**{name}: layer by layer**"), Text("Medians over the seeds, and along the way."), layers]
    grids = grids_of(collected, method)
    if grids:
        blocks += _tuned(name, "Mean validation loss by base rate", grids, "diverged")
    return blocks


def _tuned(name: str, score: str, grids: Mapping[str, Grid], lost: str) -> list[Block]:
    """The table of the tuning, and what is to be said of it."""
    blocks: list[Block] = [
        Text(f"**{name}: the tuning**"),
        Text(f"{score}; * is the best of a grid that is done."),
        tuning_table(grids, lost),
    ]
    edges = [rule for rule, grid in grids.items() if grid.at_edge]
    if edges:
        named = ", ".join(map(arm_named, edges))
        blocks.append(Text(f"At the edge of the grid, so a better rate may lie beyond it: {named}.", "note"))
    return blocks


def _reported_elsewhere(collected: dict[str, Any], methods: Sequence[str]) -> str:
    """What is said elsewhere about ImageNet, beside what was measured on some of its classes."""
    if collected["recipe"] != "imagenet32":
        return ""
    for method in methods:
        arms = looked(arms_of(collected, method), ("ln", "constant", "uniform"))  # in this order
        ratios = {arm: _ratios(arms, arm) for arm in ("ln", "constant")}
        if ratios["ln"]:
            larger = f", one larger rate {median(ratios['constant']):.2f} times" if ratios["constant"] else ""
            return (
                "A figure reported elsewhere, not in the paper's abstract, is about 15% less time on ImageNet. On "
                f"these 200 classes a rate per layer needs {median(ratios['ln']):.2f} times the iterations of one rate "
                f"to be as good as that ends{larger} ({method_named(method)}; medians of those that get there, of "
                f"{seeds_words(len(ratios['ln']))})."
            )
    return ""


def _ratios(arms: Arms, arm: str) -> list[float]:
    """The iterations of an arm over those of one rate until as good as that ends, for each seed in which both are."""
    if arm not in arms or "uniform" not in arms:
        return []
    pair = {name: arms[name] for name in (arm, "uniform")}
    own, base = (
        [ITERATIONS.number(pair[name][seed], pair["uniform"][seed]) for seed in shared_seeds(pair, [*pair])]
        for name in pair
    )
    return [a / b for a, b in zip(own, base, strict=True) if math.isfinite(a) and math.isfinite(b)]


def _sources(collected: dict[str, Any], methods: Sequence[str]) -> list[Block]:
    blocks: list[Block] = [
        Text(f"Every number is one of [{collected['recipe']}-{collected['scale']}.json]"
             f"({collected['recipe']}-{collected['scale']}.json), from these runs:")
    ]  # fmt: skip
    blocks += [source_table(collected, method, arms_of(collected, method)) for method in methods]
    return [Folded("Where the numbers come from", [*blocks, environment_table(collected)])]
