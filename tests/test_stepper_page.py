"""docs/stepper.md: its blocks run in order and print what it says; its sessions are what `minidl step` says."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import minidl as md
from minidl.cli import main

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "stepper.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"(`\w+\.py`:\n\n)?```python\n(.*?)```\n(?:\n```text\n(?!\$)(.*?)```)?", PAGE, re.DOTALL)
(TRAIN,) = [code for script, code, _ in BLOCKS if script]
SESSIONS = re.findall(r"```text\n\$ minidl step train\.py\n(.*?)```", PAGE, re.DOTALL)
TYPED = re.compile(r"^ *(?:\(\d+\)|your number:) ?(.*)$", re.MULTILINE)


def test_its_blocks_run_in_order_and_print_what_stands_below_them(tmp_path: Path) -> None:
    blocks = [(code, printed) for script, code, printed in BLOCKS if not script]
    (tmp_path / "blocks.py").write_text("print('---')\n".join(code for code, _ in blocks), encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "MINIDL_BACKEND": "numpy"}
    command = [sys.executable, "blocks.py"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    said = done.stdout.split("---\n")
    assert len(said) == len(blocks) >= 10
    for (_, printed), found in zip(blocks, said, strict=True):
        if printed:
            assert found == printed
    assert {"step.html", "two.html", "heat.svg", "step.npz"} <= {path.name for path in tmp_path.iterdir()}


def test_there_are_two_sessions() -> None:
    assert len(SESSIONS) == 2


@pytest.mark.parametrize("session", SESSIONS, ids=["walk", "quiz"])
def test_a_session_is_real(session: str, tmp_path: Path, monkeypatch: Any, capsys: Any) -> None:
    (tmp_path / "train.py").write_text(TRAIN, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(sys, "stdin", io.StringIO("\n".join([*TYPED.findall(session), ""])))
    with md.using("numpy"):
        assert main(["step", "train.py"]) == 0
    *left_out, shown = session.rstrip().rpartition("[...]\n")  # the beginning, which has been shown before
    said = capsys.readouterr().out.rstrip()
    assert said.endswith(shown) if any(left_out) else said == shown
