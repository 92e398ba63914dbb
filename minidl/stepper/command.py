"""The command `minidl step`: its options, and what it does with them."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from minidl.errors import printable
from minidl.files.output import say
from minidl.files.writing import path_of
from minidl.stepper.kept import ELEMENTS
from minidl.stepper.running import Recorded, said, show_error
from minidl.stepper.tape import Tape

FAILED = 1
SAVED = (".npz", ".json")  # how the files of tapes end

_STEP = """\
Run a training script as `python SCRIPT` would, without any change to it, stop it after one training step, and walk
through that step, op by op, forward and back: values, gradients, formulas with their numbers, your lines of source.

A step ends when the optimizer's step() has ended. A script without one is recorded to its end; one that fails, up to
the failure, which is when it is wanted most."""

_MORE = """\
examples:
  minidl step train.py                         the first step, in the terminal; h there lists the commands
  minidl step train.py --epochs 3              what follows the script is the script's own
  minidl step --step 500 train.py              the 500th; the ones before run as fast as ever
  minidl step --html step.html train.py        as a page, too; opens in any browser, without a network
  minidl step --save step.npz --no-play train.py
  minidl step step.npz                         a saved one again
  echo "phase backward; g fc1.weight" | minidl step train.py

The options of minidl step stand before SCRIPT."""


def add_step(commands: Any, path: Callable[[str], Path]) -> None:
    """Add the command to the command line's.

    Args:
        commands: argparse's subparsers.
        path: makes a path of an argument.
    """
    parser = commands.add_parser(
        "step",
        allow_abbrev=False,
        help="walk through one training step of any script",
        usage="minidl step [OPTIONS] SCRIPT [ARGUMENTS ...]",
        description=_STEP,
        epilog=_MORE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--step", type=int, default=1, metavar="N", help="which training step (default: the first)")
    parser.add_argument("--html", type=path, metavar="FILE", help="write the step as a page")
    parser.add_argument("--save", type=path, metavar="FILE", help="keep the tape: FILE.npz or FILE.json")
    parser.add_argument("--no-play", action="store_true", help="do not open it in the terminal")
    parser.add_argument("--plain", action="store_true", help="run the plain lines, none of the fast versions")
    parser.add_argument(
        "--keep", type=int, default=ELEMENTS, metavar="M",
        help="keep arrays of up to M numbers whole, of larger ones a sample (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("script", metavar="SCRIPT", help="a Python file, or a saved tape")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, metavar="ARGUMENTS", help="handed to the script")
    parser.set_defaults(run=step)


def step(options: argparse.Namespace) -> int:
    """Record, say what was recorded, write the files, play; returns the exit status: the script's if it failed."""
    for name, endings in (("save", SAVED), ("html", (".html", ".htm"))):  # refused now, not after a long run
        file = getattr(options, name)
        if file is not None and file.suffix.lower() not in endings:
            raise ValueError(
                f"--{name}: expected a name that ends in {' or '.join(endings)}; got {printable(str(file))}"
            )
    # The script may change the folder it runs in.
    html, save = (None if file is None else file.absolute() for file in (options.html, options.save))
    tape, status = _opened(options) if options.script.lower().endswith(SAVED) else _recorded(options)
    if tape is None or not len(tape):
        return status or FAILED
    if save is not None:
        tape.save(save)
        say(f"tape: {save}", sys.stdout)
    if html is not None:
        tape.save_html(html)
        say(f"page: {html}", sys.stdout)
    if not options.no_play:
        tape.play()
    return status


def _opened(options: argparse.Namespace) -> tuple[Tape | None, int]:
    if options.arguments:
        raise ValueError(f"a saved tape takes no arguments; got {printable(' '.join(options.arguments))}")
    tape = Tape.load(options.script)
    if not len(tape):
        say(f"{options.script}: nothing was recorded, so there is nothing to step through", sys.stderr)
    return tape, 0


def _recorded(options: argparse.Namespace) -> tuple[Tape | None, int]:
    script = path_of(options.script)
    recorded = Recorded(script, options.arguments, options.step, options.keep, options.plain)
    streams = sys.stdin, sys.stdout, sys.stderr
    path = os.path.abspath(script)
    try:
        run = recorded.run()
        if run.error is not None:
            show_error(run.error, path)
    finally:
        sys.stdin, sys.stdout, sys.stderr = streams  # the script may have put others there
    run.error = None if run.error is None else run.error.with_traceback(None)  # let go of the script's frames
    say(f"minidl step: {said(run, script, options.step)}", sys.stdout)
    ours = [
        word
        for word in options.arguments
        if word.split("=")[0] in ("--html", "--save", "--no-play", "--plain", "--keep")
    ]
    if ours:
        say(f"minidl step: {ours[0]} was handed to the script; options of minidl step stand before SCRIPT", sys.stderr)
    return run.tape, run.status
