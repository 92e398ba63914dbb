"""The `minidl` command: `minidl compare`, `mnist`, `reproduce`, `plot`, `step` and `tutorials`."""

from __future__ import annotations

import argparse
import itertools
import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn, TextIO, cast

from minidl import backend, plot
from minidl.classroom.command import add_tutorials
from minidl.data import mnist
from minidl.errors import DeviceError, printable
from minidl.experiments.arms import ARMS, TITLES
from minidl.experiments.compare import expected_runs
from minidl.experiments.mnist import REFERENCE, train_lenet
from minidl.experiments.pipeline import run_comparison
from minidl.experiments.report import COLUMNS, headline, table_rows
from minidl.experiments.reproduce.command import add_reproduce
from minidl.experiments.settings import METHODS, MODELS, Settings
from minidl.files.output import Steady, finish, say
from minidl.files.writing import path_of
from minidl.plot.saving import figure_path
from minidl.stepper.command import add_step
from minidl.version import __version__

FAILED, USAGE_ERROR, INTERRUPTED = 1, 2, 130

_INTRODUCTION = """\
minidl: a deep-learning framework to read, to step through, and to plot gradients with.

  minidl compare                    does a rate per layer train better, and why? (under a minute)
  minidl compare --model conv       the same for a small convolutional network
  minidl mnist --download           Caffe's LeNet on the real MNIST, by Caffe's recipe (about a minute)
  minidl reproduce mnist            what the paper on such rates claims, tried with fair controls (hours)
  minidl plot RUN.npz FIGURE        draw a figure again from a recording
  minidl step train.py              walk through one training step of your own script, op by op
  minidl tutorials                  notebooks for a class, each with checks that name the mistake

In Python: import minidl as md. Every command has its own --help."""

_COMPARE = """\
Train one network on 1,797 handwritten digits from the same weights under several rules for the learning rate, and say
whether a rate per layer (arXiv:1510.04609) helps, or whether any larger rate would have done as well.

Layer l gets the rate t (1 + ln(1 + 1/|g_l|)): the smaller the gradient g_l of a layer, the larger its rate. In a deep
sigmoid network the layers near the input have tiny gradients, so they get the larger rates."""

_COMPARE_MORE = """\
arms (--rates):
{arms}

The first four run at one base rate, the one tuned for layer-specific; the -tuned ones at their own. Rates are tuned on
validation digits and on seeds that are not reported; --lr leaves the tuning out.

examples:
  minidl compare
  minidl compare --methods sgd,nesterov --seeds 10
  minidl compare --lr 0.5 --rates uniform,layer-specific --epochs 20
  minidl compare --out runs/mine          stop with Ctrl-C; the same command goes on where it was

The run folder then holds report.html (open it in a browser), results.json, the figures as png and svg with their
numbers as json, the recordings (npz, for `minidl plot`), and every run."""


_MNIST = """\
Train Caffe's LeNet (431,080 parameters) on MNIST as Caffe did: batches of 64, SGD with momentum 0.9, rate
0.01 (1 + 0.0001 k)^-0.75, weight decay 0.0005. About 96% of the test images are recognised after 500 iterations, 98%
after 1,500 and 99% after 5,000.

MNIST is looked for in --data, else in $MINIDL_DATA/mnist and in the user's cache; --download fetches it (12 MB)."""

_MNIST_MORE = """\
examples:
  minidl mnist --download
  minidl mnist --iterations 10000 --out runs/lenet       stop with Ctrl-C; the same command goes on where it was

The run folder then holds results.json, lenet.npz (weights: model.load_state_dict(md.load(...))), checkpoint.npz, the
figures loss_curves, update_heatmap and flow_profile (png, svg, json), and what they are drawn from: history.json and
flow.npz, for `minidl plot`."""


class _Parser(argparse.ArgumentParser):
    """Says what is wrong with the arguments without sending their control characters to the terminal."""

    def error(self, message: str) -> NoReturn:
        super().error(printable(message))


def build_parser() -> argparse.ArgumentParser:
    """The parser of the command line."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = _Parser(prog="minidl", description=_INTRODUCTION, formatter_class=raw)
    parser.add_argument("--version", action="version", version=f"minidl {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")

    arms = "\n".join(f"  {arm:<16}{TITLES[arm]}" for arm in ARMS)
    compare = commands.add_parser(
        "compare",
        allow_abbrev=False,
        help="compare one rate with a rate per layer",
        description=_COMPARE,
        epilog=_COMPARE_MORE.format(arms=arms),
        formatter_class=raw,
    )
    compare.add_argument("--model", choices=MODELS, default="mlp", help="the network (default: %(default)s)")
    compare.add_argument(
        "--methods", default="sgd", metavar="M,...", help=f"out of {', '.join(METHODS)} (default: sgd)"
    )
    compare.add_argument("--rates", metavar="ARM,...", help="the arms to run (default: all)")
    compare.add_argument("--seeds", type=int, default=5, metavar="N", help="reported seeds (default: %(default)s)")
    compare.add_argument("--epochs", type=int, metavar="N", help="passes over the data (default: 40; conv: 12)")
    compare.add_argument("--lr", type=float, metavar="T", help="one base rate for every arm, without tuning")
    compare.add_argument(
        "--backend", default=None, metavar="B", help="numpy or cupy (default: MINIDL_BACKEND or numpy)"
    )
    compare.add_argument("--out", type=_path, metavar="DIR", help="run folder (default: runs/compare-DATE-TIME)")
    compare.add_argument("--quiet", action="store_true", help="print the verdict and the folder, nothing else")
    compare.set_defaults(run=_compare)

    lenet = commands.add_parser(
        "mnist",
        allow_abbrev=False,
        help="train Caffe's LeNet on the real MNIST",
        description=_MNIST,
        epilog=_MNIST_MORE,
        formatter_class=raw,
    )
    lenet.add_argument("--iterations", type=int, default=1_500, metavar="N", help="steps (default: %(default)s)")
    lenet.add_argument(
        "--every", type=int, default=500, metavar="N", help="steps between looks at the test images (500)"
    )
    lenet.add_argument("--seed", type=int, default=0, metavar="N", help="of weights and order (default: %(default)s)")
    lenet.add_argument("--data", type=_path, metavar="DIR", help="the folder with MNIST's four files")
    lenet.add_argument("--download", action="store_true", help="fetch MNIST if it is not there")
    lenet.add_argument("--backend", default=None, metavar="B", help="numpy or cupy (default: MINIDL_BACKEND or numpy)")
    lenet.add_argument("--out", type=_path, metavar="DIR", help="run folder (default: runs/mnist-DATE-TIME)")
    lenet.set_defaults(run=_mnist)

    draw = commands.add_parser(
        "plot",
        allow_abbrev=False,
        help="draw a figure from a recording",
        description="Draw a figure again from one or several recordings (npz files in a run folder).",
        epilog=(
            "examples:\n  minidl plot runs/mine/race-sgd.npz race\n"
            "  minidl plot runs/mine/flow-sgd-uniform.npz flow_profile -o profile.png"
        ),
        formatter_class=raw,
    )
    draw.add_argument(
        "recordings", nargs="+", type=_path, metavar="RUN.npz", help="one recording, or several to compare"
    )
    draw.add_argument("figure", metavar="FIGURE", help=f"out of {', '.join(plot.FIGURES)}")
    draw.add_argument(
        "-o",
        "--out",
        type=_path,
        metavar="FILE",
        help="where to write FILE.png, .svg and .json (default: FIGURE beside it)",
    )
    draw.set_defaults(run=_plot)
    add_reproduce(commands, _path)
    add_step(commands, _path)
    add_tutorials(commands, _path)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Standard output and standard error may be closed before it ends (`minidl mnist | head`): the work goes on.

    Returns:
        The exit status: 0; 1 if the system ended a process or took no output; 2 for a wrong call; 130 for Ctrl-C.
    """
    try:
        status = _run(build_parser(), arguments)
    finally:
        lost = finish(sys.stdout)
        finish(sys.stderr)
    if lost is not None and not isinstance(lost, BrokenPipeError):
        say(f"minidl: what was printed is lost: {lost}", sys.stderr)
        return status or FAILED
    return status


def _run(parser: argparse.ArgumentParser, arguments: Sequence[str] | None) -> int:
    options = parser.parse_args(arguments)
    if options.command is None:
        parser.print_help()
        return USAGE_ERROR
    try:
        return int(options.run(options))
    except KeyboardInterrupt:
        return INTERRUPTED
    except ChildProcessError as error:
        say(f"minidl {options.command}: {error}", sys.stderr)
        return FAILED
    except (ValueError, DeviceError, OSError, FloatingPointError, MemoryError) as error:
        what = str(error) or "there is too little memory" if isinstance(error, MemoryError) else error
        say(f"minidl {options.command}: {what}", sys.stderr)
        return USAGE_ERROR


def _path(text: str) -> Path:
    """A path of the command line. (A shell leaves the ~ of --out=~/run as it is.)"""
    try:
        return Path(path_of(text))
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _compare(options: argparse.Namespace) -> int:
    if options.epochs is not None and options.epochs < 1:
        raise ValueError(f"--epochs: expected a whole number of at least 1; got {options.epochs}")
    arms = () if options.rates is None else _names(options.rates)
    if options.rates is not None and not arms:
        raise ValueError(f"--rates: expected at least one of {', '.join(ARMS)}; leave --rates out for all of them")
    settings = Settings(
        model=options.model,
        methods=_names(options.methods),
        arms=arms,
        seeds=options.seeds,
        epochs=options.epochs or 0,
        lr=options.lr,
        backend=options.backend or backend.current(),
    )
    backend.module(settings.backend)  # refuse now, not after the tuning
    folder = options.out or new_folder("compare")
    command = _command_of(settings, folder)
    kept = f"the finished runs are kept. To go on: {command}"
    try:
        results = _with_progress(settings, folder, command, quiet=options.quiet)
    except KeyboardInterrupt:
        say(f"\nstopped; {kept}", sys.stderr)
        return INTERRUPTED
    except ChildProcessError as error:
        raise ChildProcessError(f"{error}; {kept}") from error
    _print_results(results, folder, quiet=options.quiet)
    return 0


def new_folder(command: str) -> Path:
    """A new folder for a run, named by the second; a second run of that second gets another one."""
    name = Path("runs") / time.strftime(f"{command}-%Y%m%d-%H%M%S")
    for number in itertools.count(1):
        folder = name if number == 1 else name.with_name(f"{name.name}-{number}")
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            if not folder.parent.is_dir():
                raise  # runs is a file
        else:
            return folder
    raise AssertionError("there is always another number")


def _command_of(settings: Settings, folder: Path) -> str:
    """The command that makes exactly this comparison."""
    words = ["minidl", "compare", "--model", settings.model, "--methods", ",".join(settings.methods)]
    words += ["--rates", ",".join(settings.arms), "--seeds", str(settings.seeds), "--epochs", str(settings.epochs)]
    words += ["--lr", f"{settings.lr!r}"] if settings.lr is not None else []
    words += ["--backend", settings.backend, "--out", str(folder)]
    return shlex.join(words)


def _with_progress(settings: Settings, folder: Path, command: str, quiet: bool) -> dict[str, Any]:
    """Run the comparison under a progress bar; a plain line per stage where there is no terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(file=cast(TextIO, Steady(sys.stderr)), quiet=quiet)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=quiet or not console.is_terminal) as bar:
        task = bar.add_task("starting", total=expected_runs(settings))

        def say(text: str) -> None:
            bar.update(task, description=text)
            if not console.is_terminal:
                console.print(text)

        def runs_are_done() -> None:  # there may be fewer than were expected
            bar.update(task, total=bar.tasks[0].completed)

        return run_comparison(
            settings, folder, command, on_run=lambda key: bar.advance(task), say=say, on_last_run=runs_are_done
        )


def _print_results(results: dict[str, Any], folder: Path, quiet: bool) -> None:
    """The table and the verdict, on standard output."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    stream = Steady(sys.stdout)
    console = Console(file=cast(TextIO, stream), highlight=False, soft_wrap=not stream.isatty())
    for method, found in results["methods"].items():
        if not quiet:
            title = f"{method}: median and (range) over {results['settings']['seeds']} seeds"
            table = Table(title=title, box=box.SIMPLE, padding=0)
            rows = [[cell.replace(" (", "\n(") for cell in row] for row in table_rows(found)]
            for i, column in enumerate(COLUMNS):  # a number is never folded; a heading may be
                widest = max(len(line) for row in rows for line in row[i].split("\n"))
                table.add_column(column, justify="left" if i == 0 else "right", min_width=widest)
            for row in rows:
                table.add_row(*row)
            console.print(table)
    for line in headline(results):
        console.print(line, markup=False)
    console.print(printable(f"Report: {folder / 'report.html'}"), markup=False)


def _mnist(options: argparse.Namespace) -> int:
    words = ["minidl", "mnist", "--iterations", str(options.iterations), "--every", str(options.every)]
    words += ["--seed", str(options.seed)]
    words += ["--out", str(options.out)] if options.out else []
    words += ["--data", str(options.data)] if options.data else []
    words += ["--backend", options.backend] if options.backend else []
    try:
        with backend.using(options.backend or backend.current()):
            try:
                sets = mnist(root=options.data, download=options.download)
            except FileNotFoundError as error:
                raise FileNotFoundError(f"{error}. Here: {shlex.join([*words, '--download'])}") from error
            if options.out is None:  # only now, when there is something to put into it
                options.out = new_folder("mnist")
                words += ["--out", str(options.out)]
            results = train_lenet(sets, options.out, options.iterations, options.every, options.seed, _show_look)
    except KeyboardInterrupt:
        results = {"iterations": 0}
    if results["iterations"] < options.iterations:
        say(f"\nstopped. To go on: {shlex.join(words)}", sys.stderr)
        return INTERRUPTED
    if results["looks"]:
        last = results["looks"][-1]
        say(f"Test accuracy {last['accuracy']:.2%} after {last['iteration']} iterations", sys.stdout)
    say(f"Files: {options.out}", sys.stdout)
    return 0


def _show_look(look: dict[str, Any]) -> None:
    reference = REFERENCE.get(look["iteration"])
    beside = f"   (the same recipe in PyTorch: {reference:.1%})" if reference else ""
    say(f"{look['iteration']:>6} iterations   test accuracy {look['accuracy']:.2%}{beside}", sys.stdout)


def _plot(options: argparse.Namespace) -> int:
    target = options.out or options.recordings[0].with_name(options.figure)
    if options.figure in plot.FIGURES:
        figure_path(target)  # refused now, not when the figure is drawn
    figure = plot.draw(options.recordings, options.figure)
    for path in plot.save_figure(figure, target):
        say(str(path), sys.stdout)
    say(figure.caption, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
