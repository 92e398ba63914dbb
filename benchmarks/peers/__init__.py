"""The peers: which library computes, with how many threads, and what it can compute.

Each `with_LIBRARY.py` has `STEPS`: for each workload the function that makes one step of it from the `Workload`. A
step is a function without arguments. Of a network it returns the loss before the update; of a layer y, dx and the
gradients of its parameters in their order, of the chain (y, dx, da, db), and of the loss (loss, dx), as NumPy's arrays.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

Step = Callable[[], Any]

ROOT = Path(__file__).parents[2]
LIBRARIES = {
    "torch": "PyTorch",
    "numpy": "NumPy by hand",
    "autograd": "HIPS autograd",
    "mygrad": "MyGrad",
    "minidl": "minidl",
}
BOTH = ("torch", "numpy", "minidl")  # timed with one thread and with several
BLOCKS = "of the Transformer's four blocks the others compute one (Att)"
CANNOT: dict[str, dict[str, str]] = {
    "autograd": {
        **dict.fromkeys(
            ("W3", "W4", "Ca", "Cb", "Cc"),
            "HIPS autograd has one convolution, SciPy's convolve; it takes 80 to 120 times PyTorch's time",
        ),
        "GPT": BLOCKS,
    },
    "mygrad": {"W4": "MyGrad pools only where windows fit and has no mean pooling", "GPT": BLOCKS},
    "numpy": {"GPT": BLOCKS},
    "old": {"GPT": BLOCKS},
    "caffe": dict.fromkeys(
        ("W1", "W2", "W5", "Ca", "Cb", "Cc", "LSTM", "GRU", "LN", "GN", "BN", "CE", "Att", "GPT"),
        "no network of Caffe's",
    ),
}
KEEP_FREED = {"MALLOC_TRIM_THRESHOLD_": str(64 << 20), "MALLOC_MMAP_THRESHOLD_": str(32 << 20)}  # as minidl sets them
THREADS = ("OMP", "OPENBLAS", "MKL", "VECLIB", "MINIDL")


@dataclass(frozen=True)
class Peer:
    """A library with a number of threads.

    Attributes:
        library: its name; of minidl as it was at another commit "old", and of Caffe "caffe".
        threads: how many.
        blas_alone: the threads are BLAS's, which minidl leaves alone.
        keep_freed: the C library (glibc) keeps the memory that is freed, as it does for minidl always. Else it is by
            luck, by the order in which arrays are freed, whether it does or each step waits for its pages again.
        commit: of "old", which it is.
        folder: of "old", where its files are (`benchmarks.old`); its process is started there.
    """

    library: str
    threads: int
    blas_alone: bool = False
    keep_freed: bool = False
    commit: str = ""
    folder: str = ""

    @property
    def title(self) -> str:
        threads = f"{self.threads} thread{'s' if self.threads > 1 else ''}"
        return f"{self.name}, {threads}{' of BLAS alone' if self.blas_alone else ''}"

    @property
    def name(self) -> str:
        """Its title without threads."""
        return {"old": f"minidl at {self.commit}", "caffe": "Caffe", **LIBRARIES}[self.library]

    @property
    def at(self) -> Path:
        """The folder in which its process is started: there `import minidl` finds what is to be measured."""
        return Path(self.folder) if self.folder else ROOT

    def environment(self) -> dict[str, str]:
        """The variables of a process that computes with so many threads: they are read when the libraries load."""
        names = [f"{name}_{'MAXIMUM' if name == 'VECLIB' else 'NUM'}_THREADS" for name in THREADS]
        variables = dict.fromkeys(names, str(self.threads))
        if self.blas_alone:
            variables["MINIDL_TUNE_PROCESS"] = "0"
        elsewhere = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
        variables["PYTHONPATH"] = os.pathsep.join([str(self.at), *elsewhere])
        return (KEEP_FREED if self.keep_freed else {}) | dict(os.environ) | variables


def reason(library: str, workload: str) -> str | None:
    """Why a library is not timed on a workload; None if it is."""
    return CANNOT.get(library, {}).get(workload)


def able(peers: Sequence[Peer], workload: str) -> list[Peer]:
    """Those that can compute it."""
    return [peer for peer in peers if reason(peer.library, workload) is None]


def count(text: str) -> int:
    """A whole number of at least 1, from the command line."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 1; got {text!r}")
    return int(text)


def installed(library: str) -> bool:
    """Whether it can be imported; it is not loaded."""
    return importlib.util.find_spec(library) is not None


def caffe_python() -> str:
    """The Python that has Caffe, of the variable CAFFE_PYTHON; empty if there is none."""
    return shutil.which(os.environ.get("CAFFE_PYTHON", "")) or ""


def alike(peers: Sequence[Peer]) -> list[Peer]:
    """The peers, all with freed memory kept."""
    return [replace(peer, keep_freed=True) for peer in peers]


def entrants(threads: int) -> list[Peer]:
    """Who takes part: every library that is installed, PyTorch with all threads first, as the measure of the others."""
    counts = {library: (threads, 1) if library in BOTH and threads > 1 else (threads,) for library in LIBRARIES}
    peers = [Peer(library, count) for library in LIBRARIES if installed(library) for count in counts[library]]
    return [*peers, Peer("minidl", threads, blas_alone=True)] if threads > 1 else peers


def steps_of(library: str) -> ModuleType:
    """The module of a library's steps; only this loads the library."""
    return importlib.import_module(f"benchmarks.peers.with_{library}")
