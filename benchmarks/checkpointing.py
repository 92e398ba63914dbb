"""python -m benchmarks.checkpointing: peak memory against depth, with and without F.checkpoint.

Each depth is trained in fresh processes, which take turns; medians over the rounds. Memory is the peak of the process
beyond what it had with the weights and the batch made. Written into figures/: checkpoint.png, .svg, .json.

    python -m benchmarks.checkpointing with 64      is such a process: it prints MiB
"""

from __future__ import annotations

import argparse
import math
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import minidl as md
import minidl.functional as F
from benchmarks.fresh import peak, printed
from benchmarks.machine import described
from benchmarks.peers import Peer, count
from minidl.data.progress import Bar

ROOT = Path(__file__).parents[1]
DEPTHS = tuple(2**k for k in range(2, 9))
WAYS = ("without", "with")
WIDTH, BATCH = 64, 16384  # an output of a layer is 4 MiB
STEPS = 2


def measure(way: str, depth: int) -> float:
    """MiB at the peak of some steps beyond what this process had before the first."""
    layers = [layer for _ in range(depth) for layer in (md.nn.Linear(WIDTH, WIDTH), md.nn.Tanh())]
    model = md.nn.Sequential(*layers)
    x = md.Tensor(np.random.default_rng(0).standard_normal((BATCH, WIDTH), dtype=np.float32))
    optimizer = md.optim.SGD(model, lr=0.01)
    blocks = [md.nn.Sequential(*layers[i : i + 2]) for i in range(0, 2 * depth, 2)]
    segments = round(math.sqrt(depth))
    before = peak()
    for _ in range(STEPS):
        y = F.checkpoint_sequential(blocks, segments, x) if way == "with" else model(x)
        loss = F.mean(y * y)
        del y
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return peak() - before


def in_fresh_process(way: str, depth: int) -> float:
    """`measure` in a process of its own, with one thread."""
    command = ["-m", "benchmarks.checkpointing", way, str(depth)]
    return float(printed(command, Peer("minidl", 1).environment()))


def run(rounds: int) -> dict[str, Any]:
    """Measure all: for each way MiB by depth, and on what it was measured."""
    places = [(way, depth) for depth in DEPTHS for way in WAYS]
    found: dict[tuple[str, int], list[float]] = {place: [] for place in places}
    with Bar(None, rounds * len(places), label="depths, each in a fresh process") as bar:
        for _ in range(rounds):
            for place in places:
                found[place].append(in_fresh_process(*place))
                bar.advance()
    mebibytes = {way: [statistics.median(found[way, depth]) for depth in DEPTHS] for way in WAYS}
    return {
        "figure": "checkpoint", "measured": described(1), "rounds": rounds,
        "layer_mebibytes": WIDTH * BATCH * 4 / 2**20, "depths": list(DEPTHS), "mebibytes": mebibytes,
    }  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        "python -m benchmarks.checkpointing",
        description="Peak memory of minidl against depth, with F.checkpoint_sequential in sqrt(depth) "
        "segments and without, each in fresh processes; writes figures/checkpoint.png, .svg and .json. Two minutes.",
    )
    parser.add_argument("way", nargs="?", choices=WAYS, help="only this one, printed and not drawn")
    parser.add_argument("depth", nargs="?", type=count, help="at this depth")
    parser.add_argument("--rounds", type=count, default=3, metavar="N", help="processes a depth (3)")
    parser.add_argument(
        "--output", type=Path, default=ROOT / "figures" / "checkpoint", metavar="PATH", help="without suffix"
    )
    given = parser.parse_args(arguments)
    if given.way is not None:
        if given.depth is None:
            parser.error(f"a depth for {given.way!r} too")
        print(measure(given.way, given.depth))
        return
    from benchmarks.checkpointing_figure import draw
    from minidl.plot import save_figure

    figure = draw(run(given.rounds))
    for path in save_figure(figure, given.output):
        print(path)
    print(figure.caption)


if __name__ == "__main__":
    main()
