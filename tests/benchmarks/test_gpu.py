"""The GPU benchmark runs from end to end where there is no GPU, and writes what its page keeps."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import minidl as md
from benchmarks.gpu import brief, in_turn, run, summary
from benchmarks.gpu_cases import CASES
from benchmarks.gpu_report import markdown

ROOT = Path(__file__).parents[2]


def entry(ms: float, **more: Any) -> dict[str, Any]:
    return {"ms": ms, "asked_ms": ms / 2, "memory_mib": 3.0, **more}


def result(**more: Any) -> dict[str, Any]:
    libraries = {"torch": entry(2.0), "minidl": entry(3.0, launches=7), "graph": {**entry(1.0), "memory_mib": None}}
    known = {"case": "mlp", "mode": "float32", "losses": {}, "agree": True, "libraries": libraries, "errors": {}}
    return {**known, **more}


def found(*results: dict[str, Any], not_run: Any = ()) -> dict[str, Any]:
    return {"facts": {"name": "NVIDIA H100", "copy_gb_s": 2987.6}, "results": list(results), "not_run": list(not_run)}


def test_the_table_says_times_ratios_and_aims() -> None:
    text = markdown(found(result(), not_run=[["alexnet", "TF32"]]))
    assert "| NVIDIA H100 |" in text.replace("name | ", "")
    (row,) = (line for line in text.splitlines() if line.startswith("| MLP"))
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[1:8] == ["2.000 ms", "3.000 ms", "**1.50**", "2.0", "1.000 ms", "**.50**", "1.00"]
    assert cells[8:] == ["64,000", "1.500 ms", "- / 7", "3 / 3"]
    assert "Not run, for lack of time: alexnet (TF32)" in text


def test_what_failed_and_what_disagrees_is_said_and_the_rest_is_kept() -> None:
    failed = result(
        case="Ca", agree=False, libraries={"torch": entry(2.0)}, errors={"minidl": "Traceback\nRuntimeError: no"}
    )
    died = result(case="Cb", libraries={}, died="it was stopped after 100 s\nlast words")
    text = markdown(found(result(agree=False), failed, died))
    assert "(**the losses differ**)" in text
    assert "**Ca (float32), minidl failed**\n\n```\nTraceback\nRuntimeError: no\n```" in text
    assert "**Cb (float32), the process failed**\n\n```\nit was stopped after 100 s\nlast words" in text
    row = next(line for line in text.splitlines() if line.startswith("| convolution 20"))
    assert [cell.strip() for cell in row.strip("|").split("|")][1:4] == ["2.000 ms", "-", "-"]
    assert brief(failed) == "torch 2.000 ms; minidl FAILED: RuntimeError: no; DISAGREE {}"
    assert brief(died) == "DIED: it was stopped after 100 s"


def test_what_fails_in_one_library_leaves_the_other(standin: ModuleType) -> None:
    pytest.importorskip("torch")

    def fails(small: bool) -> Any:
        raise ValueError("not here")

    with md.using("cupy"):
        case = next(case for case in CASES if case.name == "Ca")
        kept: list[Any] = []
        broken = run(replace(case, torch=fails), "float32", True, lambda found: kept.append(copy.deepcopy(found)))
    assert "ValueError: not here" in broken["errors"]["torch"]
    assert set(broken["libraries"]) == {"minidl"}
    assert not broken["agree"]
    assert kept[-1] == broken
    assert "torch" in kept[0]["errors"]  # said at once


def test_a_trace_becomes_the_kernels_that_take_longest() -> None:
    def event(name: str, duration: float, kind: str = "kernel") -> dict[str, Any]:
        return {"cat": kind, "name": name, "dur": duration}

    events = [event("gemm", 500.0), event("add", 100.0), event("gemm", 700.0), event("copy", 1.0, "gpu_memcpy")]
    shown = summary([*events, event("aten::mm", 9000.0, "cpu_op"), {"name": "no category"}])
    assert shown["launches"] == 4
    assert shown["busy_ms"] == pytest.approx(1.301)
    assert shown["top"][0] == {"name": "gemm", "ms": 1.2, "times": 2}
    text = markdown(found(result(libraries={"torch": entry(2.0), "minidl": entry(3.0, **shown)})))
    assert "minidl: 1.301 of 3.000 ms busy, 4 launches, 3 kernels" in text
    assert "| gemm | 1.200 | 2 |" in text


def test_the_cases_are_those_that_were_asked_for() -> None:
    assert {case.name for case in CASES} >= {"mlp", "deep", "lenet", "lenet1024", "quick", "alexnet", "lstm", "chain"}
    assert sorted(in_turn()) == sorted(case.name for case in CASES)
    assert in_turn()[:3] == ["alexnet", "quick", "lenet"]


@pytest.mark.slow
def test_it_runs_from_end_to_end_on_the_standin(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    command = [sys.executable, "-m", "benchmarks.gpu", "--standin", "--output", str(tmp_path), "--modes", "TF32"]
    done = subprocess.run([*command, "--only", "mlp", "Ca"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    results = json.loads((tmp_path / "results.json").read_text())["results"]
    assert [(entry["case"], entry["errors"], entry["agree"]) for entry in results] == [
        ("mlp", {}, True),
        ("Ca", {}, True),
    ]
    assert set(results[0]["libraries"]) == {"torch", "minidl", "graph"}
    assert "convolution 20 -> 50" in (tmp_path / "gpu.md").read_text()
