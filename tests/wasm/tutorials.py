"""What `python -m tests.wasm` runs twice of the tutorials: a line of JSON each, what it prints and its checks say.

python tutorials.py STEM ...
"""

import io
import json
import os
import sys
import time
import warnings
from contextlib import redirect_stdout

import matplotlib as mpl
import numpy as np

from minidl.check.collecting import collected
from minidl.classroom.source import CODE, read, sources
from minidl.classroom.student import with_solutions

mpl.use("Agg")
os.environ["MINIDL_PROGRESS"] = "0"


def tutorial(path):
    """What a source prints, and how many cases each of its exercises got right of how many."""
    names = {"__name__": "__main__"}
    said = io.StringIO()
    with collected() as results, redirect_stdout(said):
        for number, cell in enumerate(with_solutions(read(path)), 1):
            if cell.kind == CODE:
                exec(compile(cell.text, f"{path.name}, cell {number}", "exec"), names)
    return {"printed": said.getvalue(), "checks": {name: [r.right, r.cases] for name, r in results.items()}}


if __name__ == "__main__":
    print(json.dumps([sys.platform, f"Python {sys.version.split()[0]}", f"NumPy {np.__version__}"]), flush=True)
    for stem in sys.argv[1:]:
        started = time.perf_counter()
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always", UserWarning)
            try:
                found = tutorial(sources()[stem])
            except Exception as error:
                found = f"{type(error).__name__}: {error}"
        words = [str(warning.message) for warning in said]
        print(json.dumps([stem, found, words, round(time.perf_counter() - started, 2)]), flush=True)
