"""python -m benchmarks: every workload, every peer that is installed, a table in markdown."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks import fresh, history, table
from benchmarks.machine import cores, described
from benchmarks.old import REDRAWN, NoCommitError, old_peer
from benchmarks.peers import LIBRARIES, Peer, able, alike, caffe_python, count, entrants
from benchmarks.race import DisagreementError, Result, race
from benchmarks.turns import PeerError
from benchmarks.workloads import WORKLOADS
from minidl.data.progress import Bar
from minidl.files.writing import check_writable, write_atomically

NAMES = (*WORKLOADS, "import", "memory")

ABOUT = """\
How fast minidl is beside PyTorch, NumPy by hand, HIPS autograd and MyGrad, as far as they are installed (the extra
`bench` installs them: pip install -e '.[bench]'). First all must compute the same; then they take turns, each in a
process of its own. What is printed are medians over the rounds of ratios taken within a round, as a table in markdown.

Without --cpu it is the time on the clock, with one thread and with several, for which the machine must do nothing else.
With --cpu it is processor time, and every library has one thread and keeps the memory that it frees: steady on a busy
machine too. Then minidl as it was at an older commit takes part, and Caffe, if CAFFE_PYTHON leads to a Python that has
it (`python -m benchmarks.caffe --help` says how to get one).

workloads:
"""
EXAMPLES = """
examples:
  python -m benchmarks                                        all of it, about six minutes
  python -m benchmarks --cpu                                  processor time of one thread each, on a busy machine
  python -m benchmarks --quick                                all of it, roughly, in two
  python -m benchmarks --only W5,Ca --rounds 15               two workloads, more precisely
  python -m benchmarks --output latest.md                     and write the table into a file
  python -m benchmarks --cpu --keep                           and add the ratios to benchmarks/history.csv
  python -m benchmarks --history                              the last runs that were kept, side by side

Leave the machine alone meanwhile, unless with --cpu: with two threads on two cores, any third program makes both wait.
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
    listed += "  import  time of the import in a fresh process\n"
    listed += "  memory  peaks of fresh processes over steps of W3, W4 and GPT\n"
    made = argparse.ArgumentParser(
        "python -m benchmarks", description=ABOUT + listed, epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    made.add_argument("--only", type=names, default=list(NAMES), metavar="W1,W3", help="these workloads (all)")
    made.add_argument("--cpu", action="store_true", help="processor time of one thread each")
    made.add_argument(
        "--rounds", type=count, metavar="N", help="how many turns each peer has (9, with --cpu 11; 3 if quick)"
    )
    made.add_argument(
        "--threads", type=count, default=min(2, cores()), metavar="N", help="threads (2); 1 comes besides"
    )
    made.add_argument(
        "--old", metavar="COMMIT", help=f"the older minidl that takes part with --cpu ({REDRAWN}); none: no other"
    )
    made.add_argument("--quick", action="store_true", help="shorter turns and fewer rounds: a rough look")
    made.add_argument("--keep", action="store_true", help="add the ratios to benchmarks/history.csv")
    made.add_argument("--history", action="store_true", help="measure nothing: show the last runs that were kept")
    made.add_argument("--output", type=Path, metavar="FILE", help="also write what is printed into this file")
    return made


@dataclass(frozen=True)
class Run:
    """How it is measured.

    Attributes:
        only: the workloads.
        rounds: how many turns each peer has.
        seconds: how long one is.
        steps: over how many of them memory is watched.
        clock: "wall", or "cpu" for processor time, with one thread each.
    """

    only: Sequence[str]
    rounds: int
    seconds: float
    steps: int
    clock: str


@dataclass(frozen=True)
class Found:
    """What came out: a result for each workload that is timed, milliseconds of imports, and memory by network."""

    results: list[Result]
    imports: dict[str, float]
    memory: dict[str, dict[str, fresh.Memory]]


def measure(run: Run, peers: Sequence[Peer]) -> Found:
    """Run the workloads. The first peer is the measure of the others."""
    one_each = [
        Peer(peer.library, peer.threads)
        for peer in peers
        if peer.threads == peers[0].threads and peer.library in LIBRARIES and not peer.blas_alone
    ]
    timed = [name for name in run.only if name in WORKLOADS]
    turns = run.rounds * sum(len(able(peers, name)) for name in timed)
    turns += run.rounds * len(one_each) * ("import" in run.only)
    turns += sum(len(able(one_each, name)) for name in fresh.NETWORKS) * ("memory" in run.only)
    with TurnBar(None, turns) as bar:
        results = [race(name, peers, run.rounds, run.seconds, bar.turn, run.clock) for name in timed]
        imports = fresh.import_times(one_each, run.rounds, bar.turn, run.clock) if "import" in run.only else {}
        memory = fresh.peaks(one_each, run.steps, bar.turn) if "memory" in run.only else {}
    return Found(results, imports, memory)


def written(run: Run, peers: Sequence[Peer], found: Found) -> str:
    """What came out, in markdown."""
    commit, clean = history.revision()
    which = "" if commit == "unknown" else f"minidl at {commit}{', changed' * (clean == 'no')}. "
    parts = [
        f"{described(peers[0].threads)} {which}{run.rounds} rounds.{table.disturbance(found.results)}",
        table.times(found.results, peers, run.clock) if found.results else "",
        table.beside(found.results, peers),
        table.once(found.imports, found.memory, run.clock),
        table.left_out([result.workload for result in found.results], peers),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def main(arguments: Sequence[str] | None = None) -> None:
    """The command."""
    command = parser()
    given = command.parse_args(arguments)
    if given.threads > cores():
        command.error(f"argument --threads: this machine has {cores()} cores; got {given.threads}")
    if given.old and not given.cpu:
        command.error("argument --old: an older minidl takes part with --cpu alone")
    clock, rounds, seconds = ("cpu", 11, 0.1) if given.cpu else ("wall", 9, 0.15)
    if given.quick:
        rounds, seconds = 3, 0.05
    run = Run(given.only, given.rounds or rounds, seconds, 20 if given.quick else 200, clock)
    try:
        kept = history.read(history.FILE) if given.history or given.keep else []
        if given.history:
            print(history.shown(kept), end="")
            return
        if given.output is not None:
            check_writable(given.output)
        with TemporaryDirectory() as folder:
            peers = entrants(1 if given.cpu else given.threads)
            if given.cpu:
                peers += [Peer("caffe", 1)] if caffe_python() else []
                peers += older(given.old, Path(folder)) if given.old != "none" else []
                peers = alike(peers)
            found = measure(run, peers)
        text = written(run, peers, found)
        print(text, end="")
        if given.keep:
            history.keep(history.rows_of(found.results, found.memory, peers, clock, given.quick), history.FILE)
        if given.output is not None:
            write_atomically(given.output, text.encode())
    except (DisagreementError, PeerError, NoCommitError, OSError, ValueError) as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit(130)


def older(commit: str | None, folder: Path) -> list[Peer]:
    """minidl at a commit, or before it was redrawn; nobody, and a word, if that is not here and was not asked for.

    Raises:
        NoCommitError: the commit was asked for and is not here.
    """
    try:
        return [old_peer(commit or REDRAWN, folder)]
    except NoCommitError:
        if commit:
            raise
        print(f"minidl at {REDRAWN} takes no part: this copy has no git history that far back", file=sys.stderr)
        return []


if __name__ == "__main__":
    main()
