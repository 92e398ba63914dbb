"""The command `minidl reproduce`: its options, and what it does with them."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from minidl.checks import whole
from minidl.data import cifar10, mnist
from minidl.experiments.reproduce.cluster import Cluster
from minidl.experiments.reproduce.collected import collect
from minidl.experiments.reproduce.holding import Hold, UnwritableError, writing_to
from minidl.experiments.reproduce.methods import METHOD_TITLES, METHODS, RATE_TITLES, RATES
from minidl.experiments.reproduce.names import SADDLE
from minidl.experiments.reproduce.plan import FILE, Plan, make_plan
from minidl.experiments.reproduce.plan_file import check_folder, open_plan, read_plan
from minidl.experiments.reproduce.recipes import RECIPES, SCALES, TUNING_SEEDS, Recipe, recipe_named
from minidl.experiments.reproduce.report import headline
from minidl.experiments.reproduce.results import is_done
from minidl.experiments.reproduce.running import CACHE, perform
from minidl.experiments.reproduce.saddle import perform_saddle
from minidl.experiments.reproduce.scheduling import RUNS, Outcome, do
from minidl.experiments.reproduce.sets import read
from minidl.experiments.reproduce.writing import write
from minidl.files.output import say
from minidl.tables import text_table

FAILED, INTERRUPTED = 1, 130
NAMED = 5  # results that are left out
BUILT_IN = "digits"  # data that come with minidl
_DOWNLOADS: dict[str, Callable[..., object]] = {"mnist": mnist, "cifar10": cifar10}

_REPRODUCE = """\
Try what arXiv:1510.04609 claims: that a rate for each layer, t (1 + ln(1 + 1/|g|)) for a layer with the gradient g,
trains deep networks better and in less time than one rate t for all.

The networks and how they are trained are Caffe's of that time. A larger rate alone may train faster too, so beside one
rate and a rate for each layer there are controls, which are as large and treat all layers alike; and one rate, a rate
for each layer and a control are also run at base rates tuned for each of them, on validation images and on seeds that
are not reported. The report says what came out, claim by claim: confirmed, only through the larger rate, not
confirmed, or undecided."""

_MORE = """\
experiments (steps of a run, and about how many core-hours all runs of all methods take; one method takes a quarter.
Runs that tell most come first, and what is done when you stop can be reported):
{costs}

methods (--methods):
{methods}

rates (--rates), with t the base rate:
{rates}

examples:
  minidl reproduce mnist --download               stop with Ctrl-C; the same command goes on where it was
  minidl reproduce mnist --methods sgd --seeds 5 --out runs/mine
  minidl reproduce cifar10-quick --scale paper --workers 8 --data ~/data
  minidl reproduce deep-mlp --plan-only           write the plan, from which runs may be deleted, and say what it costs
  minidl reproduce mnist --report-only            the report of what is done so far

The folder then holds plan.json, a folder for each run in runs/ (result.json: losses, accuracies, the layers' gradients
and rates, and what it was run with), results.json with all of them, and report/index.html: open it in a browser."""


def add_reproduce(commands: Any, path: Callable[[str], Path]) -> None:
    """Add the command to the command line's.

    Args:
        commands: argparse's subparsers.
        path: makes a path of an argument.
    """
    names = [name for name in RECIPES if name != "digits"]
    parser = commands.add_parser(
        "reproduce",
        allow_abbrev=False,
        help="try what arXiv:1510.04609 claims, with fair controls",
        description=_REPRODUCE,
        epilog=_MORE.format(
            costs=_costs(names),
            methods="\n".join(f"  {name:<16}{title}" for name, title in METHOD_TITLES.items()),
            rates="\n".join(f"  {name:<16}{title}" for name, title in RATE_TITLES.items()),
        ),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("experiment", metavar="EXPERIMENT", help=f"one of {', '.join(names)}")
    parser.add_argument(
        "--scale", choices=SCALES, default="quick", help="Caffe's number of steps, or about a tenth (default: quick)"
    )
    parser.add_argument("--data", type=path, metavar="DIR", help="where the data lie (default: $MINIDL_DATA, a cache)")
    parser.add_argument("--download", action="store_true", help="fetch MNIST or CIFAR-10 if it is not there")
    parser.add_argument("--out", type=path, metavar="DIR", help="the folder (default: runs/reproduce-EXPERIMENT-SCALE)")
    parser.add_argument("--methods", metavar="M,...", help="some of the methods (default: all)")
    parser.add_argument("--rates", metavar="R,...", help="some of the rates (default: all)")
    parser.add_argument(
        "--seeds",
        type=int,
        metavar="N",
        help="how many are reported (default: 3 or 5; imagenet fewer). Fewer than 5 can decide nothing; more can be "
        "asked for later, in the same folder",
    )
    parser.add_argument("--workers", type=int, metavar="N", help="runs at a time, a core each (default: one a core)")
    parser.add_argument("--dask", metavar="ADDRESS", help="do the runs on the workers of this dask scheduler")
    only = parser.add_mutually_exclusive_group()
    only.add_argument("--plan-only", action="store_true", help="write plan.json and say what it costs; run nothing")
    only.add_argument("--report-only", action="store_true", help="write the report of what is done; run nothing")
    parser.add_argument("--quiet", action="store_true", help="show no progress")
    parser.set_defaults(run=reproduce)


def reproduce(options: argparse.Namespace) -> int:
    """Do what the options say; returns the exit status.

    Raises:
        ValueError, FileNotFoundError: options that cannot be, a folder of something else, data that are not there.
        UnwritableError: the folder cannot be made or written to.
    """
    recipe = recipe_named(options.experiment)
    out = options.out or Path("runs") / f"reproduce-{recipe.name}-{options.scale}"
    if options.report_only:
        _check_experiment(out, recipe)
        return _report(out)
    if options.workers is not None:
        whole(options.workers, "--workers", 1)
    if options.download:
        _check_download(recipe)
    wanted = plan_of(recipe, options.scale, _names(options.methods), _names(options.rates), options.seeds)
    command = command_of(options, out)
    check_folder(out)
    with Hold(Path(os.path.abspath(out))) as hold:  # before the plan is looked at: another process may follow it
        plan = open_plan(wanted, out)
        if options.plan_only:
            say(in_short(plan, recipe), sys.stdout)
            say(f"Plan: {out / FILE}. To follow it: {command}", sys.stdout)
            return 0
        if not all(is_done(out / RUNS / run.id) for run in plan.runs):
            prepare(recipe, options, out, command)
        outcome = _follow(plan, out, options, command, hold)
    words = outcome.words(command)
    if outcome.stopped:
        say(f"\n{words}\nThe report of what is done: {command} --report-only", sys.stderr)
        return INTERRUPTED
    if words:
        say(words, sys.stderr)
    return _report(out) or (0 if outcome.complete else FAILED)


def _follow(plan: Plan, out: Path, options: argparse.Namespace, command: str, hold: Hold) -> Outcome:
    """Do the plan's runs, here or on a cluster."""
    data = None if options.data is None else Path(os.path.abspath(options.data))
    run = partial(perform_saddle if plan.recipe == SADDLE else perform, data=data, command=command)
    show = False if options.quiet else None
    if options.dask is None:
        return do(plan, out, run, options.workers, show=show, hold=hold)
    with Cluster(options.dask, out) as cluster:
        return do(plan, out, run, pool=cluster, show=show, hold=hold)


def _check_experiment(out: Path, recipe: Recipe) -> None:
    """See that a folder holds this experiment. Without a plan the report says what is there.

    Raises:
        ValueError: it holds another, or its plan is damaged.
    """
    try:
        found = read_plan(out / FILE).recipe
    except (FileNotFoundError, NotADirectoryError):
        return
    if found != recipe.name:
        raise ValueError(f"{out} holds the experiment {found}, not {recipe.name}: name that, or another --out")


def _report(out: Path) -> int:
    """Say what came out and which results are left out, and write the report; returns the exit status.

    It is `FAILED` if a result was left out, since its run is then not done, or the report could not be written.
    """
    found = collect(out)
    for line in headline([found]):
        say(line, sys.stdout)
    lost = [f"{name} is left out: {why}" for name, why in found["damaged"].items()]
    more = [f"{len(lost) - NAMED} more are left out: the report names them"] if len(lost) > NAMED else []
    for line in [*lost[:NAMED], *more]:
        say(f"minidl reproduce: {line}", sys.stderr)
    try:
        with writing_to(out, "Make it from a copy of the folder that can be written to: --report-only --out COPY"):
            write(found, out)
    except UnwritableError as error:
        say(f"minidl reproduce: the report is not written: {error}", sys.stderr)
        return FAILED
    say(f"Report: {out / 'report' / 'index.html'}", sys.stdout)
    return FAILED if found["damaged"] else 0


def plan_of(
    recipe: Recipe,
    scale: str,
    methods: Sequence[str] | None = None,
    rates: Sequence[str] | None = None,
    seeds: int | None = None,
) -> Plan:
    """The plan of a recipe at a scale; for None with all methods, all rates, as many seeds as the recipe has.

    Raises:
        ValueError: an unknown method or rate, or a number out of its range.
    """
    return make_plan(
        recipe.name,
        scale,
        iterations=recipe.iterations[scale],
        methods=METHODS if methods is None else methods,
        rates=RATES if rates is None else rates,
        seeds=recipe.seeds[scale] if seeds is None else whole(seeds, "--seeds", 1),
        tuning_seeds=TUNING_SEEDS,
        base_rates=recipe.base_rates,
        grids={method: recipe.grid(method) for method in METHODS},
    )


def _check_download(recipe: Recipe) -> None:
    """Refuse to download what cannot be, or need not be."""
    if recipe.data == BUILT_IN:
        raise ValueError(f"--download: {recipe.name} needs no download, its digits come with minidl: leave it out")
    if recipe.data not in _DOWNLOADS:
        raise ValueError(f"--download fetches MNIST and CIFAR-10; {recipe.name} needs other data: name them by --data")


def prepare(recipe: Recipe, options: argparse.Namespace, out: Path, command: str) -> None:
    """Have the data there, downloaded and decoded, before any run begins.

    Raises:
        FileNotFoundError: they are not there. The message says where they come from.
    """
    if options.download:
        _DOWNLOADS[recipe.data](root=options.data, download=True)
    try:
        read(recipe.data, options.data, out / CACHE)
    except FileNotFoundError as error:
        remedy = f". Here: {command} --download" if recipe.data in _DOWNLOADS else ""
        raise FileNotFoundError(f"{error}{remedy}") from error


def command_of(options: argparse.Namespace, out: Path) -> str:
    """The words that go on with this reproduction."""
    words = ["minidl", "reproduce", options.experiment, "--scale", options.scale]
    for name in ("methods", "rates", "seeds", "data", "workers", "dask"):
        if getattr(options, name) is not None:
            words += [f"--{name}", str(getattr(options, name))]
    return shlex.join([*words, "--out", str(out)])


# ---- what it costs


def core_hours(plan: Plan, recipe: Recipe) -> float:
    """About how long one core would take for all runs."""
    return sum(run.iterations for run in plan.runs) * recipe.milliseconds / 3.6e6


def in_short(plan: Plan, recipe: Recipe) -> str:
    """How many runs there are in each stage, and about how many core-hours they take."""
    rows = [("stage", "runs", "core-hours", "what")]
    for stage in sorted({run.stage for run in plan.runs}):
        runs = [run for run in plan.runs if run.stage == stage]
        hours = sum(run.iterations for run in runs) * recipe.milliseconds / 3.6e6
        what = ", ".join(dict.fromkeys(f"{run.rate} ({_kind(run.base)})" for run in runs))
        rows.append((str(stage), str(len(runs)), f"{hours:.2f}", what))
    rows.append(("all", str(len(plan.runs)), f"{core_hours(plan, recipe):.2f}", f"{recipe.title}, scale {plan.scale}"))
    return text_table(rows, numbers=(0, 1, 2))


def _kind(base: str | float) -> str:
    return base if isinstance(base, str) else "tuning"


def _costs(names: Sequence[str]) -> str:
    lines = []
    for name in names:
        recipe = RECIPES[name]
        costs = [f"{recipe.iterations[s]:,} ({_hours(core_hours(plan_of(recipe, s), recipe))})" for s in SCALES]
        where = "" if recipe.tuned else " on a CPU: it wants a GPU"
        lines += [f"  {name:<20}{recipe.title}", f"{'':22}quick {costs[0]}, paper {costs[1]}{where}"]
    return "\n".join(lines)


def _hours(hours: float) -> str:
    return f"{hours:.1f} h" if hours < 10 else f"{hours:,.0f} h"


def _names(text: str | None) -> tuple[str, ...] | None:
    """The names in a list with commas; None if the option was not given."""
    return None if text is None else tuple(name.strip() for name in text.split(",") if name.strip())
