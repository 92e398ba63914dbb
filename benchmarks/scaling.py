"""python -m benchmarks.scaling: how step time and memory grow with batch, width, depth and image size.

Each size is trained in fresh processes, which take turns over all sizes; medians over the rounds. Memory is the peak
of the process beyond what it had with minidl imported. Written into figures/: scaling.png, .svg, .json.

    python -m benchmarks.scaling depth 64      is such a process: it prints seconds a step, and MiB
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import minidl as md
import minidl.functional as F
from benchmarks.fresh import peak
from benchmarks.machine import described, share
from benchmarks.peers import Peer, count
from minidl.data.progress import Bar

ROOT = Path(__file__).parents[1]
WARM_UP, SECONDS, AT_LEAST = 2, 0.4, 3  # steps that do not count; time each process is given, but so many steps


@dataclass(frozen=True)
class Scale:
    """One size that grows.

    Attributes:
        name: as on the figure.
        about: the network, in words.
        sizes: each twice the one before.
        network: of a size, the model and a batch of inputs for it.
        time, memory: the exponents that the arithmetic and the arrays demand at large sizes.
    """

    name: str
    about: str
    sizes: tuple[int, ...]
    network: Callable[[int], tuple[Any, Any]]
    time: int
    memory: int


def _normal(*shape: int) -> Any:
    return np.random.default_rng(0).standard_normal(shape, dtype=np.float32)


def _lenet(batch: int) -> tuple[Any, Any]:
    return md.models.lenet(), _normal(batch, 1, 28, 28)


def _wide(width: int) -> tuple[Any, Any]:
    return md.models.mlp((width, width, width, width, 10), activation="relu"), _normal(64, width)


def _deep(depth: int) -> tuple[Any, Any]:
    return md.models.mlp((64,) * depth + (10,), activation="sigmoid"), _normal(64, 64)


def _convolutions(size: int) -> tuple[Any, Any]:
    model = md.nn.Sequential(
        md.nn.Conv2d(3, 16, 3, padding=1), md.nn.ReLU(), md.nn.MaxPool2d(2),
        md.nn.Conv2d(16, 32, 3, padding=1), md.nn.ReLU(), md.nn.AdaptiveAvgPool2d(1),
        md.nn.Flatten(), md.nn.Linear(32, 10),
    )  # fmt: skip
    return model, _normal(16, 3, size, size)


SCALES: dict[str, Scale] = {
    scale.name: scale
    for scale in (
        Scale("batch", "LeNet", tuple(2**k for k in range(11)), _lenet, 1, 1),
        Scale("width", "MLP, 3 wide layers, batch 64", tuple(2**k for k in range(5, 13)), _wide, 2, 2),
        Scale("depth", "MLP, layers of 64, batch 64", tuple(2**k for k in range(1, 10)), _deep, 1, 1),
        Scale("side", "2 convolutions, 16 square images", tuple(2**k for k in range(3, 9)), _convolutions, 2, 2),
    )
}


def measure(name: str, size: int) -> tuple[float, float]:
    """Seconds of a step (the median), and MiB at the peak beyond what this process has now."""
    before = peak()
    model, batch = SCALES[name].network(size)
    inputs, labels = md.Tensor(batch), np.arange(len(batch)) % 10
    optimizer = md.optim.SGD(model, lr=0.01)

    def step() -> float:
        began = time.perf_counter()
        loss = F.cross_entropy(model(inputs), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return time.perf_counter() - began

    for _ in range(WARM_UP):
        step()
    times: list[float] = []
    while sum(times) < SECONDS or len(times) < AT_LEAST:
        times.append(step())
    return statistics.median(times), peak() - before


def in_fresh_process(name: str, size: int, threads: int) -> tuple[float, float]:
    """`measure` in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.scaling", name, str(size)]
    environment = Peer("minidl", threads).environment()
    done = subprocess.run(command, env=environment, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    seconds, mebibytes = map(float, done.stdout.split())
    return seconds, mebibytes


def run(rounds: int, threads: int) -> dict[str, Any]:
    """Measure all: for each scale its sizes, seconds and MiB, and on what it was measured."""
    places = [(name, size) for name, scale in SCALES.items() for size in scale.sizes]
    found: dict[tuple[str, int], list[tuple[float, float]]] = {place: [] for place in places}
    with Bar(None, rounds * len(places), label="sizes, each in a fresh process") as bar:
        free = []
        for _ in range(rounds):
            free.append(share(threads))
            for place in places:
                found[place].append(in_fresh_process(*place, threads))
                bar.advance()
    scales = {}
    for name, scale in SCALES.items():
        columns = [zip(*found[name, size], strict=True) for size in scale.sizes]
        seconds, mebibytes = zip(*([statistics.median(column) for column in pair] for pair in columns), strict=True)
        scales[name] = {
            "about": scale.about, "sizes": scale.sizes, "seconds": seconds, "mebibytes": mebibytes,
            "demanded": {"seconds": scale.time, "mebibytes": scale.memory},
        }  # fmt: skip
    return {
        "figure": "scaling", "measured": described(threads), "rounds": rounds, "threads": threads,
        "share_of_a_core": min(free), "scales": scales,
    }  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        "python -m benchmarks.scaling",
        description="Step time and peak memory of minidl against batch, width, depth and image size, each size in "
        "fresh processes; writes figures/scaling.png, .svg and .json. About three minutes: leave the machine alone.",
        epilog="With a scale and a size it measures just that, in this process: python -m benchmarks.scaling depth 64",
    )
    parser.add_argument("scale", nargs="?", choices=list(SCALES), help="only this one, printed and not drawn")
    parser.add_argument("size", nargs="?", type=count, help="at this size")
    parser.add_argument("--rounds", type=count, default=3, metavar="N", help="processes a size (3)")
    parser.add_argument(
        "--threads", type=count, default=1, metavar="N", help="threads (1, so that exponents mean work)"
    )
    parser.add_argument(
        "--output", type=Path, default=ROOT / "figures" / "scaling", metavar="PATH", help="without suffix"
    )
    given = parser.parse_args(arguments)
    if given.scale is not None:
        if given.size is None:
            parser.error(f"a size of {given.scale} too")
        print(*measure(given.scale, given.size))
        return
    from benchmarks.scaling_figure import draw
    from benchmarks.table import FREE
    from minidl.plot import save_figure

    measured = run(given.rounds, given.threads)
    if measured["share_of_a_core"] < FREE:
        print("Not to be trusted: other programs ran.")
    figure = draw(measured)
    for path in save_figure(figure, given.output):
        print(path)
    print(figure.caption)


if __name__ == "__main__":
    main()
