"""What a run leaves: result.json, strict JSON, and for the runs that others replay replay.npz."""

from __future__ import annotations

import json
import math
import os
import platform
import subprocess
import time
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from minidl.files.arrays import load_arrays, save_arrays
from minidl.files.reading import read_json
from minidl.files.schema import FLOATS, Entry, check_plain
from minidl.files.writing import write_atomically
from minidl.version import __version__

RESULT, REPLAY, CHECKPOINT, ERROR = "result.json", "replay.npz", "checkpoint.npz", "error.txt"
FORMAT = 1
DIGITS = 6  # significant ones of every number
_NUMBER = (float, None)  # null stands for what is not finite

SPEC = {
    "id": str,
    "recipe": str,
    "scale": str,
    "method": str,
    "rate": str,
    "base": (str, float),
    "seed": int,
    "role": str,
    "iterations": int,
    "needs": [str],
    "stage": int,
}
RESULTS = {
    "format": int,
    "spec": SPEC,
    "base_rate": float,
    "command": str,
    "versions": {"minidl": str, "commit": (str, None), "numpy": str, "python": str},
    "machine": str,
    "threads": int,
    "backend": str,
    "data": {"name": str, "fingerprint": str, "train": int, "validation": int, "test": int},
    "iterations": int,
    "seconds": float,
    "cpu_seconds": float,
    "looks": [
        {
            "iteration": int,
            "accuracy": float,
            "loss": _NUMBER,
            "examples": int,
            "seconds": _NUMBER,
            "cpu_seconds": _NUMBER,
        }
    ],
    "validation": {"accuracy": float, "loss": _NUMBER},
    "train_loss": _NUMBER,
    "diverged_at": (int, None),
    "layers": [str],
    "curve": {"steps": [int], "loss": [_NUMBER]},
    "flow": {
        "steps": [int],
        "norms": [[_NUMBER]],
        "multipliers": [[_NUMBER]],
        "relative_updates": [[_NUMBER]],
        "floored": [[int]],
    },
    "mean_multiplier": _NUMBER,
    "checks": dict,
}
SADDLE = {  # one entry more of the runs that begin at a saddle: see saddle.py
    "loss": float,
    "gradient_norm": float,
    "smallest": float,
    "largest": float,
    "negative": int,
    "parameters": int,
    "distance": float,
    "threshold": float,
    "left_at": (int, None),
    "highest": float,
    "up_until": int,
    "curvature": {
        "steps": [int],
        "loss": [_NUMBER],
        "distance": [_NUMBER],
        "gradient_norms": [[_NUMBER]],
        "multipliers": [([_NUMBER], None)],
        "smallest": [_NUMBER],
        "largest": [_NUMBER],
        "negative": [int],
    },
}


def rounded(value: Any, digits: int = DIGITS) -> Any:
    """Plain data with all floats to so many significant digits, and null for those that are not finite."""
    if isinstance(value, Mapping):
        return {key: rounded(item, digits) for key, item in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [rounded(item, digits) for item in value]
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if isinstance(value, (float, np.floating)):
        return float(f"{value:.{digits}g}") if math.isfinite(value) else None
    return int(value) if isinstance(value, np.integer) else value


def as_text(result: Mapping[str, Any]) -> str:
    """JSON with one entry a line, and lists of numbers in one line each."""
    rows = [f"{json.dumps(key)}: {json.dumps(value, allow_nan=False)}" for key, value in result.items()]
    return "{\n" + ",\n".join(rows) + "\n}\n"


def _schema(result: Mapping[str, Any]) -> dict[str, Any]:
    return {**RESULTS, "saddle": SADDLE} if "saddle" in result else RESULTS


def write_result(folder: Path, result: Mapping[str, Any]) -> dict[str, Any]:
    """Write result.json, and return what it holds.

    Raises:
        ValueError: `result` is no result.
        OSError: it cannot be written.
    """
    plain = rounded(result)
    check_plain(plain, _schema(plain), f"{folder / RESULT}")
    write_atomically(folder / RESULT, as_text(plain).encode())
    return dict(plain)


def read_result(folder: Path) -> dict[str, Any]:
    """The result of a run that is done.

    Raises:
        FileNotFoundError: it is not done.
        ValueError: the file is damaged. The message names it.
    """
    path = folder / RESULT
    found = read_json(path, dict, "is damaged: delete it, and the run is done again")
    again = "delete it, and the run is done again"
    check_plain(found, _schema(found), f"{path} is not a result that this version can read ({again})")
    if found["format"] != FORMAT:
        raise ValueError(f"{path} has format {found['format']}; this version of minidl reads format {FORMAT}: {again}")
    return dict(found)


def tuning_score(result: Mapping[str, Any]) -> float:
    """What the base rate of an arm is chosen by, on seeds that are not reported; small is good.

    The validation loss at the end; for a run that begins at a saddle point what is compared there, the steps until it
    has left. Infinite for a run that diverged, or never left.
    """
    score = result["saddle"]["left_at"] if "saddle" in result else (result.get("validation") or {}).get("loss")
    return math.inf if score is None or result.get("diverged_at") is not None else float(score)


def is_done(folder: Path) -> bool:
    """Whether the run there is done."""
    return (folder / RESULT).exists()


def write_replay(folder: Path, mean_multiplier: np.ndarray) -> None:
    """Write the mean over layers of an `ln` run's multipliers, (T,) for its T steps."""
    save_arrays(folder / REPLAY, {"mean_multiplier": mean_multiplier}, kind="replay")


def read_replay(folder: Path) -> np.ndarray:
    """(T,) the multipliers of an `ln` run, to be replayed.

    Raises:
        FileNotFoundError, ValueError: they are not there, or damaged. The message names the file.
    """
    try:
        arrays, _ = load_arrays(folder / REPLAY, kind="replay", schema={"mean_multiplier": Entry(FLOATS, ("T",))})
    except (FileNotFoundError, ValueError) as error:
        raise type(error)(f"{error}. Delete the folder {folder}, and the run in it is done again") from error
    return arrays["mean_multiplier"]


# ---- where it was run


def versions() -> dict[str, str | None]:
    """Of minidl, the commit of its source where it is known, NumPy and Python."""
    return {
        "minidl": __version__,
        "commit": commit(),
        "numpy": np.__version__,
        "python": platform.python_version(),
    }


@cache
def commit() -> str | None:
    """The commit that minidl's source lies at, with a + if files were changed since; None if it is no git checkout."""
    root = Path(__file__).parents[3]
    if not (root / ".git").exists():
        return None
    try:
        head = _git(root, "rev-parse", "--short=10", "HEAD")
        return head + ("+" if _git(root, "status", "--porcelain", "--untracked-files=no", "--", "minidl") else "")
    except (OSError, subprocess.SubprocessError):
        return None


def _git(root: Path, *words: str) -> str:
    found = subprocess.run(["git", "-C", str(root), *words], capture_output=True, text=True, timeout=20, check=True)
    return found.stdout.strip()


@cache
def machine() -> str:
    """The processor and the number of cores."""
    name = platform.processor() or platform.machine()
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            name = next((line.partition(":")[2].strip() for line in file if line.startswith("model name")), name)
    except OSError:
        pass
    return f"{name}, {os.cpu_count() or 1} cores"


class Stopwatch:
    """Seconds by the clock and of the processor, of those times in which it ran."""

    def __init__(self, seconds: float = 0.0, cpu_seconds: float = 0.0) -> None:
        self._passed = seconds, cpu_seconds
        self._begun: tuple[float, float] | None = None

    def start(self) -> None:
        """Run from now on."""
        self._begun = time.perf_counter(), time.process_time()

    def stop(self) -> None:
        """Stand still."""
        self._passed, self._begun = self.read(), None

    def read(self) -> tuple[float, float]:
        """(seconds, seconds of the processor) so far."""
        if self._begun is None:
            return self._passed
        now = time.perf_counter(), time.process_time()
        return tuple(p + n - b for p, n, b in zip(self._passed, now, self._begun, strict=True))  # type: ignore[return-value]
