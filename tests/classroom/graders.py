"""The real graders, in an environment of their own: nbgrader and Otter-Grader want other versions than the tests do.

    python3 -m venv graders
    graders/bin/pip install . nbgrader==0.9.6 otter-grader==7.0.0
    MINIDL_GRADERS=graders pytest tests/classroom

Without MINIDL_GRADERS the tests that need them are skipped; where it is set, they fail for want of a grader.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import minidl
from tests.classroom.sample import FOLDER

ROOT = Path(minidl.__file__).parents[1]


def run_grader(folder: Path, command: str, *arguments: str) -> str:
    """Run one of their commands in a folder; what it said. A failure fails the test."""
    home = os.environ.get("MINIDL_GRADERS")
    if not home:
        pytest.skip("needs nbgrader and otter-grader: set MINIDL_GRADERS to their environment")
    programs = Path(home).resolve() / ("Scripts" if sys.platform == "win32" else "bin")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "COV"))}
    environment |= {
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": f"{ROOT}{os.pathsep}{FOLDER}",
        "MINIDL_PROGRESS": "0",
        "OPENBLAS_NUM_THREADS": "1",
    }
    done = subprocess.run([programs / command, *arguments], cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr
