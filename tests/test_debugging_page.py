"""docs/debugging.md: each session on it is what Python's debugger says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.debugger import PACKAGE, PROMPT, transcript

PAGE = (Path(__file__).parents[1] / "docs" / "debugging.md").read_text(encoding="utf-8")
SCRIPTS = dict(re.findall(r"`(\w+\.py)`:\n\n```python\n(.*?)```", PAGE, re.DOTALL))
SESSIONS = re.findall(r"```text\n(\$ python (-m pdb )?(\w+\.py)\n.*?)```", PAGE, re.DOTALL)


def numbers_aside(text: str) -> str:
    """Without the numbers of lines in minidl's own files, which change with every edit."""
    return re.sub(r"(minidl/\S+\.py)(\(\d+\)|:\d+)", r"\1(..)", text).rstrip()


def test_there_are_three() -> None:
    assert len(SESSIONS) == len(SCRIPTS) == 3


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="a later pdb says the same in other words")
@pytest.mark.parametrize(("session", "under_pdb", "name"), SESSIONS, ids=[name for *_, name in SESSIONS])
def test_a_session_is_real(session: str, under_pdb: str, name: str, tmp_path: Path) -> None:
    script = tmp_path / name
    script.write_text(SCRIPTS[name], encoding="utf-8")
    commands = [line.removeprefix(PROMPT) for line in session.splitlines() if line.startswith(PROMPT)]
    found = transcript(script, commands, bool(under_pdb))
    assert numbers_aside(found) == numbers_aside(session)


def test_the_error_is_real(tmp_path: Path) -> None:
    (tmp_path / "nan.py").write_text(SCRIPTS["nan.py"], encoding="utf-8")
    lines = f"import sys, runpy; sys.path.insert(0, {str(PACKAGE.parent)!r}); runpy.run_path('nan.py')"
    done = subprocess.run([sys.executable, "-c", lines], cwd=tmp_path, capture_output=True, text=True)
    (said,) = re.findall(r"```text\n(minidl\.errors\.GraphError: .*?)```", PAGE, re.DOTALL)
    *_, where = said.splitlines()
    assert said.removesuffix(where + "\n").rstrip() in done.stderr
    assert where.strip().removeprefix("nan.py") in done.stderr
