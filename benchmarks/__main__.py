"""python -m benchmarks: every workload, every peer that is installed, a table in markdown."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks import fresh, table
from benchmarks.machine import cores, described
from benchmarks.peers import able, count, entrants
from benchmarks.race import DisagreementError, race
from benchmarks.turns import PeerError
from benchmarks.workloads import WORKLOADS
from minidl.data.progress import Bar

NAMES = (*WORKLOADS, "import", "memory")

ABOUT = """\
How fast minidl is beside PyTorch, NumPy by hand, HIPS autograd and MyGrad, as far as they are installed (the extra
`bench` installs them: pip install -e '.[bench]'). First all must compute the same; then they take turns, each in a
process of its own. What is printed are medians over the rounds of ratios taken within a round, as a table in markdown.

workloads:
"""
EXAMPLES = """
examples:
  python -m benchmarks                                        all of it, about eight minutes
  python -m benchmarks --quick                                all of it, roughly, in two
  python -m benchmarks --only W5,Ca --rounds 15               two workloads, more precisely
  python -m benchmarks --output benchmarks/latest.md          and keep the table

Leave the machine alone meanwhile: with two threads on two cores, any third program makes both wait.
"""


class TurnBar(Bar):
    """The bar of a race: which workload, whose turn."""

    def turn(self, label: str) -> None:
        """Count one turn."""
        self._label = label
        self.advance()


def names(text: str) -> list[str]:
    """The workloads named in `text`, in the order of the table."""
    asked = [name.strip() for name in text.split(",")]
    unknown = [name for name in asked if name not in NAMES]
    if unknown:
        raise argparse.ArgumentTypeError(f"unknown: {', '.join(unknown)}; there are {', '.join(NAMES)}")
    return [name for name in NAMES if name in asked]


def parser() -> argparse.ArgumentParser:
    """The command line."""
    listed = "".join(f"  {name:8}{workload.about}\n" for name, workload in WORKLOADS.items())
    listed += "  import  seconds of the import in a fresh process\n  memory  peak of a fresh process over steps of W3\n"
    made = argparse.ArgumentParser(
        "python -m benchmarks", description=ABOUT + listed, epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    made.add_argument("--only", type=names, default=list(NAMES), metavar="W1,W3", help="these workloads (all)")
    made.add_argument("--rounds", type=count, metavar="N", help="how many turns each peer has (9; 3 if quick)")
    made.add_argument(
        "--threads", type=count, default=min(2, cores()), metavar="N", help="threads (2); 1 comes besides"
    )
    made.add_argument("--quick", action="store_true", help="shorter turns and fewer rounds: a rough look")
    made.add_argument("--output", type=Path, metavar="FILE", help="also write what is printed into this file")
    return made


def measure(only: Sequence[str], rounds: int, threads: int, quick: bool) -> str:
    """Run the workloads; what came out, in markdown."""
    peers = entrants(threads)
    one_each = [peer for peer in peers if peer.threads == threads]
    timed = [name for name in only if name in WORKLOADS]
    steps = 20 if quick else 200
    turns = rounds * sum(len(able(peers, name)) for name in timed)
    turns += rounds * len(one_each) * ("import" in only) + len(able(one_each, fresh.NETWORK)) * ("memory" in only)
    with TurnBar(None, turns) as bar:
        results = [race(name, peers, rounds, 0.05 if quick else 0.2, bar.turn) for name in timed]
        imports = fresh.import_times(one_each, rounds, bar.turn) if "import" in only else {}
        memory = fresh.peaks(one_each, steps, bar.turn) if "memory" in only else {}
    parts = [
        f"{described(threads)} {rounds} rounds.{table.disturbance(results)}",
        table.times(results, peers) if results else "",
        table.once(imports, memory, steps),
        table.left_out(timed, peers),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def main(arguments: Sequence[str] | None = None) -> None:
    """The command."""
    command = parser()
    given = command.parse_args(arguments)
    if given.threads > cores():
        command.error(f"argument --threads: this machine has {cores()} cores; got {given.threads}")
    try:
        text = measure(given.only, given.rounds or (3 if given.quick else 9), given.threads, given.quick)
    except (DisagreementError, PeerError) as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
    print(text, end="")
    if given.output is not None:
        given.output.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
