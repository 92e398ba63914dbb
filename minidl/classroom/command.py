"""The command `minidl tutorials`: its options, and what it does with them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from minidl.check.seeding import whole
from minidl.classroom.handout import written
from minidl.classroom.nbgrader import nbgrader
from minidl.classroom.otter import otter
from minidl.classroom.plain import plain
from minidl.classroom.source import sources
from minidl.errors import printable
from minidl.files.output import say

FORMATS = {"plain": plain, "nbgrader": nbgrader, "otter": otter}

_TUTORIALS = """\
Copy the tutorials for a class into a folder: notebooks and Python files with lines to write where the solutions stand,
and what checks them.

A check draws fresh cases, shows what was computed beside what was expected, and often names the mistake. It needs no
network, and keeps nothing but a small file of progress beside the notebooks."""

_MORE = """\
formats (--format):
  plain        notebooks, Python files to step through, a test file: pytest -m t03 checks tutorial 3
  nbgrader     source/ of an nbgrader course, with points, partial credit and cells to grade by hand
  otter        a notebook a tutorial for `otter assign`

examples:
  minidl tutorials                                   the plain set, into ./tutorials
  minidl tutorials class --seed 2026                 another class, other cases to be checked on
  minidl tutorials course --format nbgrader
  minidl tutorials course --format otter --only 3,4

The solutions are public, in the repository of minidl. A seed changes the cases, not the answers."""

_NEXT = {
    "plain": "cd {folder}; jupyter lab {stem}.ipynb, or: pytest",
    "nbgrader": "cd {folder}; nbgrader generate_assignment {stem}",
    "otter": "cd {folder}/{stem}; otter assign {stem}.ipynb dist",
}


def add_tutorials(commands: Any, path: Callable[[str], Path]) -> None:
    """Add the command to the command line's.

    Args:
        commands: argparse's subparsers.
        path: makes a path of an argument.
    """
    parser = commands.add_parser(
        "tutorials",
        allow_abbrev=False,
        help="copy the tutorials for a class, as notebooks with checks",
        description=_TUTORIALS,
        epilog=_MORE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", nargs="?", type=path, default=Path("tutorials"), metavar="DIR", help="where to")
    parser.add_argument("--format", choices=FORMATS, default="plain", help="for whom (default: %(default)s)")
    parser.add_argument("--only", default="", metavar="N,...", help="the numbers of some tutorials (default: all)")
    parser.add_argument("--seed", metavar="N", help="of the class: what the checks' cases are drawn from")
    parser.add_argument("--force", action="store_true", help="write over files that are there, answers too")
    parser.set_defaults(run=tutorials)


def tutorials(options: argparse.Namespace) -> int:
    """Write the set and say what was written.

    Raises:
        ValueError: a number of a tutorial or a seed that is none.
        FileExistsError: files with other contents are there, and --force was not said.
    """
    seed = None if options.seed is None else whole(options.seed, "--seed")
    chosen = _chosen(sources(), options.only)
    files = FORMATS[options.format](chosen, seed)
    paths = written(files, options.folder, options.force)
    folder = printable(str(options.folder))
    many = "1 tutorial" if len(chosen) == 1 else f"{len(chosen)} tutorials"
    say(f"{many}, {len(paths)} files in {folder} (for {options.format})", sys.stdout)
    say("next: " + _NEXT[options.format].format(folder=folder, stem=next(iter(chosen))), sys.stdout)
    return 0


def _chosen(there: dict[str, Path], only: str) -> dict[str, Path]:
    numbers = [number.strip() for number in only.split(",") if number.strip()]
    if not numbers:
        return there
    known = {int(stem[:2]): stem for stem in there}
    wrong = [number for number in numbers if not number.isdecimal() or int(number) not in known]
    if wrong:
        raise ValueError(f"--only: there is no tutorial {printable(wrong[0])}; there are {', '.join(map(str, known))}")
    stems = [known[int(number)] for number in numbers]
    return {stem: path for stem, path in there.items() if stem in stems}
