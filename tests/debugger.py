"""Drives a real pdb through a pipe."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import minidl as md

PACKAGE = Path(md.__file__).parent
PROMPT = "(Pdb) "
# What Python says of itself around a program that runs under `python -m pdb`, and not in every version.
_OWN = re.compile(r"^  (\S*bdb\.py\(\d+\)run\(\)\n-> .*|<string>\(1\)<module>\(\))\n", re.MULTILINE)
_END = re.compile(r"(The program finished and will be restarted|Post mortem debugger finished).*", re.DOTALL)


def pdb(script: Path, commands: Sequence[str], under_pdb: bool = True) -> list[str]:
    """What pdb says at the beginning, and after each command; files of the package are written minidl/..."""
    environment = {**os.environ, "PYTHONPATH": str(PACKAGE.parent), "MINIDL_BACKEND": "numpy", "COLUMNS": "200"}
    for name in ("PYTHONBREAKPOINT", "MINIDL_PLAIN"):
        environment.pop(name, None)
    done = subprocess.run(
        [sys.executable, *(["-m", "pdb"] if under_pdb else []), script.name],
        input="\n".join([*commands, ""]),
        cwd=script.parent,
        env=environment,
        text=True,
        capture_output=True,
        timeout=60,
    )
    text = done.stdout.replace(str(PACKAGE), "minidl").replace(str(script.parent) + os.sep, "")
    return [_END.sub("", _OWN.sub("", part)) for part in text.split(PROMPT)]


def transcript(script: Path, commands: Sequence[str], under_pdb: bool = True) -> str:
    """The same as a terminal shows it, with the commands behind the prompts."""
    first, *answers = pdb(script, commands, under_pdb)
    start = f"$ python {'-m pdb ' if under_pdb else ''}{script.name}\n"
    said = [f"{PROMPT}{command}\n{answer}" for command, answer in zip(commands, answers, strict=False)]
    return start + first + "".join(said)
