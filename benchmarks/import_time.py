"""How long `import minidl` takes beyond NumPy's own import.

    python benchmarks/import_time.py

Each import runs in a process of its own, with compiled bytecode at hand; medians of rounds that alternate.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time

ROUNDS = 15


def seconds(statement: str, environment: dict[str, str]) -> float:
    """Wall time of a fresh interpreter that runs `statement`."""
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", statement], env=environment, check=True)
    return time.perf_counter() - started


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as cache:
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
        environment["PYTHONPYCACHEPREFIX"] = cache
        seconds("import minidl", environment)  # compiles
        pairs = [(seconds("import numpy", environment), seconds("import minidl", environment)) for _ in range(ROUNDS)]
    numpy_ms, minidl_ms = (statistics.median(column) * 1e3 for column in zip(*pairs, strict=True))
    extra = statistics.median(b - a for a, b in pairs) * 1e3
    print(f"import numpy {numpy_ms:.0f} ms, import minidl {minidl_ms:.0f} ms, of which minidl's own {extra:.0f} ms")


if __name__ == "__main__":
    main()
