"""What minidl changes in the process that it runs in, beyond itself, and the one switch for it.

1. From minidl's first matrix product or loop over blocks on, BLAS has one thread: `cpu/blas.py` says why.
2. From `import minidl` on, the C library keeps up to 64 MiB of memory that was freed: `cpu/memory.py` says why.

Both change how fast other code in the process runs, and how much memory it holds; neither changes what anything
computes beyond rounding. `md.fast.tune_process(False)` undoes both. With `MINIDL_TUNE_PROCESS=0` in the environment
neither is done: BLAS has the threads it comes with, and minidl's loops run on one.
"""

from __future__ import annotations

import os

from minidl.checks import yes_or_no
from minidl.fast.cpu.memory import keep_freed_memory
from minidl.fast.cpu.threads import hold_blas


def tune_process(on: bool = True) -> None:
    """Whether minidl may hold BLAS to one thread and let the C library keep freed memory. It may at first.

    Without these, minidl's loops and products run on one thread, BLAS has its own, and freed memory is given back to
    the system at once. `minidl/fast/process.py` says more. `MINIDL_TUNE_PROCESS=0` in the environment is the same for a
    whole program.

    Raises:
        ValueError: `on` is neither True nor False.
    """
    on = yes_or_no(on, "md.fast.tune_process: on")
    hold_blas(on)
    keep_freed_memory(on)


def tune_unless_forbidden() -> None:
    """What `import minidl` does: tune the process unless the environment says MINIDL_TUNE_PROCESS=0.

    Raises:
        ValueError: MINIDL_TUNE_PROCESS is neither 0 nor 1.
    """
    given = os.environ.get("MINIDL_TUNE_PROCESS") or "1"
    if given not in ("0", "1"):
        raise ValueError(f"MINIDL_TUNE_PROCESS: expected 0 or 1; got {given!r}")
    if given == "1":
        tune_process()
    else:
        hold_blas(False)  # the C library is left as it came
