"""What earlier runs found: a table in `history.csv`, to which `python -m benchmarks --keep` adds."""

from __future__ import annotations

import csv
import datetime
import io
import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import astuple, dataclass, fields
from pathlib import Path

from benchmarks import table
from benchmarks.fresh import Memory
from benchmarks.machine import versions
from benchmarks.old import git
from benchmarks.peers import LIBRARIES, Peer
from benchmarks.race import Result
from minidl.files.writing import write_atomically

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

FILE = Path(__file__).with_name("history.csv")
SHOWN = 5  # runs side by side


@dataclass(frozen=True)
class Row:
    """One ratio.

    Attributes:
        date: the day and the minute, UTC; the same for all rows of a run.
        commit: which minidl it was; "unknown" where there is no git.
        clean: "yes" if its files were those of the commit, else "no".
        measured: "cpu, 1 thread" (processor time), "wall, 2 threads" (time of PyTorch's so many), or "memory"; with
            ", rough" behind it what --quick found, which is not to be compared with the rest.
        versions: of Python and the libraries.
        workload: its name.
        peer: whose time or memory, and with how many threads.
        measure: over whose.
        ratio: the median over the rounds, to four figures.
    """

    date: str
    commit: str
    clean: str
    measured: str
    versions: str
    workload: str
    peer: str
    measure: str
    ratio: str


def rows_of(
    results: Sequence[Result],
    memory: Mapping[str, Mapping[str, Memory]],
    peers: Sequence[Peer],
    clock: str,
    rough: bool = False,
) -> list[Row]:
    """The ratios of a run: of each peer to the first, of minidl also to Caffe and to an older minidl."""
    first = peers[0]
    ours = [peer for peer in peers if peer.library == "minidl" and peer.threads == 1]
    threads = "1 thread" if first.threads == 1 else f"{first.threads} threads"
    pairs = [(peer, first) for peer in peers[1:]]
    pairs += [(one, peer) for one in ours for peer in peers if peer.library in ("caffe", "old")]
    found = [
        (f"{clock}, {threads}", result.workload, peer.title, measure.title, ratio)
        for result in results
        for peer, measure in pairs
        if (ratio := result.ratio(peer, measure)) is not None
    ]
    for network, measured in memory.items():
        if "torch" in measured:
            found += [
                ("memory", network, LIBRARIES[library], LIBRARIES["torch"], one.beyond / measured["torch"].beyond)
                for library, one in measured.items()
                if library != "torch"
            ]
    date = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M")
    commit, clean, used = *revision(), versions()
    return [
        Row(date, commit, clean, how + ", rough" * rough, used, workload, peer, measure, f"{ratio:.4g}")
        for how, workload, peer, measure, ratio in found
    ]


def revision() -> tuple[str, str]:
    """The commit of minidl and the benchmarks, and whether their files are those of the commit."""
    try:
        changed = git("status", "--porcelain", "--", "minidl", "benchmarks", ":!benchmarks/*.csv", ":!benchmarks/*.md")
        return git("rev-parse", "--short=10", "HEAD").decode().strip(), "no" if changed.strip() else "yes"
    except (OSError, subprocess.CalledProcessError):
        return "unknown", "no"


def read(file: Path) -> list[Row]:
    """The rows of a file; none if there is no file.

    Raises:
        ValueError: it is another table.
    """
    if not file.exists():
        return []
    names = [field.name for field in fields(Row)]
    with file.open(encoding="utf-8", newline="") as opened:
        header, *rows = list(csv.reader(opened)) or [[]]
    if header != names or any(len(row) != len(names) for row in rows):
        raise ValueError(f"{file}: expected a table with the columns {', '.join(names)}; got {', '.join(header)}")
    return [Row(*row) for row in rows]


def keep(new: Sequence[Row], file: Path) -> None:
    """Add rows to a file, which holds either the old rows or all of them, also after a crash.

    Two runs that end together both find their place: one waits for the other.

    Raises:
        ValueError: the file is another table; it stays as it was.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    with _alone_in(file.parent):
        writer.writerow([field.name for field in fields(Row)])
        writer.writerows(astuple(row) for row in [*read(file), *new])
        write_atomically(file, text.getvalue().encode())


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Other processes that come here with this folder wait until it is left, where the system can lock one."""
    if fcntl is None:
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)  # which unlocks it


def shown(rows: Sequence[Row], runs: int = SHOWN) -> str:
    """The last runs side by side, in markdown: minidl's ratios, one table for each way of measuring."""
    parts = []
    for measured in dict.fromkeys(row.measured for row in rows):
        ours = [row for row in rows if row.measured == measured and row.peer.startswith("minidl")]
        dates = list(dict.fromkeys(row.date for row in ours))[-runs:]
        at = {(row.workload, row.peer, row.measure, row.date): float(row.ratio) for row in ours if row.date in dates}
        commits = {row.date: row.commit + ("" if row.clean == "yes" else ", changed") for row in ours}
        header = [measured, "", "over", *(f"{date} ({commits[date]})" for date in dates)]
        lines = [
            [workload, peer, measure, *(table.ratio(at.get((workload, peer, measure, date))) for date in dates)]
            for workload, peer, measure in dict.fromkeys(key[:3] for key in at)
        ]
        if lines:
            parts.append(table.markdown(header, lines))
    return "\n\n".join(parts) + "\n" if parts else "No run was kept yet: python -m benchmarks --keep\n"
