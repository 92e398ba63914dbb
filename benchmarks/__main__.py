"""python -m benchmarks: every workload, every peer that is installed, a table in markdown."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from benchmarks import table
from benchmarks.peers import entrants
from benchmarks.race import race
from benchmarks.workloads import WORKLOADS
from minidl.progress import Bar


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--only", default=",".join(WORKLOADS))
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args(arguments)
    names = given.only.split(",")
    peers = entrants(given.threads)
    results = []
    with Bar(None, len(names) * len(peers) * given.rounds) as bar:
        for name in names:

            def advance(label: str) -> None:
                bar._label = label
                bar.advance()

            results.append(race(name, peers, given.rounds, 0.1, advance))
    print(table.times(results, peers))


if __name__ == "__main__":
    main()
