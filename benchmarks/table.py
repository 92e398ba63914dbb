"""The table in markdown: for each peer the ratios to PyTorch, and what minidl should reach."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.peers import LIBRARIES, Peer
from benchmarks.race import Result
from benchmarks.workloads import WORKLOADS


def ratio(value: float | None) -> str:
    """Two figures that matter: .086, .94, 1.3, 12."""
    if value is None:
        return ""
    text = f"{value:.0f}" if value >= 9.95 else f"{value:.1f}" if value >= 1.995 else f"{value:.2f}"
    return text.removeprefix("0")


def duration(seconds: float) -> str:
    """A time with its unit: 8.3 us, 1.9 ms."""
    unit, value = ("us", seconds * 1e6) if seconds < 1e-4 else ("ms", seconds * 1e3)
    return f"{value:#.2g} {unit}".replace(". ", " ") if value < 100 else f"{value:.0f} {unit}"


def times(results: Sequence[Result], peers: Sequence[Peer]) -> str:
    """The table of what is timed in steps. The first of `peers` is the measure of all."""
    measure, *others = peers
    header = [f"ratio to {measure.title} (its time)"]
    for result in results:
        header.append(f"{result.workload} ({duration(result.median(measure))})")
    rows = [[peer.title, *(_of(result, peer, measure) for result in results)] for peer in others]
    ours = [peer for peer in peers if peer.library == "minidl"]
    if len(ours) > 1:
        best = [min(ours, key=result.median) for result in results]
        found = [f"**{_of(result, peer, measure)}**" for result, peer in zip(results, best, strict=True)]
        rows.append(["**minidl, the better**", *found])
    rows.append(["*minidl, target*", *(ratio(WORKLOADS[result.workload].target) for result in results)])
    rows.append(["*minidl, stretch*", *(ratio(WORKLOADS[result.workload].stretch) for result in results)])
    return markdown(header, rows)


def _of(result: Result, peer: Peer, measure: Peer) -> str:
    return ratio(result.ratio(peer, measure)) if peer in result.seconds else "-"


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table: words to the left, numbers to the right."""
    lines = [header, ["---", *["--:"] * (len(header) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def missing(peers: Sequence[Peer]) -> str:
    """Which libraries are not installed, in words."""
    there = {peer.library for peer in peers}
    names = [title for library, title in LIBRARIES.items() if library not in there]
    return f"Not installed, so not timed: {', '.join(names)}." if names else ""
