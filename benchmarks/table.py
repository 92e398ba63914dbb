"""What came out, in markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from benchmarks.peers import LIBRARIES, Peer, reason
from benchmarks.race import Result

# What minidl should reach, as a ratio to PyTorch with two threads, and what would be better still.
TARGETS = {"W1": 0.90, "W2": 0.95, "W3": 1.1, "W4": 2.0, "W5": 0.7, "Ca": 1.0, "Cb": 1.8, "Cc": 1.3}
STRETCH = {"W1": 0.80, "W2": 0.65, "W3": 0.95, "W4": 1.5, "W5": 0.6, "Ca": 0.8, "Cb": 1.6, "Cc": 1.1}
IMPORT_TARGET, MEMORY_TARGET = 40.0, 75.0  # milliseconds beyond NumPy's import; MiB
STEADY = 1.25  # the third quartile of the rounds over the first
FREE = 0.95  # of a core for each thread


def ratio(value: float | None) -> str:
    """Two figures, as far as they matter: .14, .94, 1.05, 2.3, 12."""
    if value is None:
        return "-"
    text = f"{value:.0f}" if value >= 9.95 else f"{value:.1f}" if value >= 1.995 else f"{value:.2f}"
    return text.removeprefix("0")


def duration(seconds: float) -> str:
    """A time with its unit: 8.31 us, .951 ms, 124 ms."""
    value, unit = (seconds * 1e6, "us") if seconds < 1e-4 else (seconds * 1e3, "ms")
    text = f"{value:.0f}" if value >= 99.95 else f"{value:#.3g}"
    return f"{text} {unit}".removeprefix("0")


def times(results: Sequence[Result], peers: Sequence[Peer]) -> str:
    """The table of what is timed in steps. The first of `peers` is the measure of the others."""
    first, *others = peers
    header = [f"ratio to {first.title} (its time)"]
    header += [f"{result.workload} ({duration(result.median(first))})" for result in results]
    rows = [[peer.title, *(ratio(result.ratio(peer, first)) for result in results)] for peer in others]
    ours = [peer for peer in peers if peer.library == "minidl"]
    if len(ours) > 1:
        best = [min(result.ratio(peer, first) for peer in ours) for result in results]
        rows.append(["**minidl, the faster**", *(f"**{ratio(value)}**" for value in best)])
    if first == Peer("torch", 2):
        for words, values in (("target", TARGETS), ("stretch", STRETCH)):
            rows.append([f"*minidl, {words}*", *(ratio(values.get(result.workload)) for result in results)])
    return markdown(header, rows)


def once(imports: Mapping[str, float], memory: Mapping[str, float], steps: int) -> str:
    """The table of import times and peaks; empty if neither was measured."""
    libraries = [library for library in LIBRARIES if library in {**imports, **memory}]
    rows = []
    if imports:
        found = [f"{imports[library]:.0f}" if library in imports else "-" for library in libraries]
        target = f"{imports['numpy'] + IMPORT_TARGET:.0f}" if "numpy" in imports else "-"
        rows.append(["import, ms", *found, f"NumPy + {IMPORT_TARGET:.0f} = {target}"])
    if memory:
        found = [f"{memory[library]:.0f}" if library in memory else "-" for library in libraries]
        rows.append([f"peak memory over {steps} steps of W3, MiB", *found, f"{MEMORY_TARGET:.0f}"])
    titles = [LIBRARIES[library].removesuffix(" by hand") for library in libraries]
    return markdown(["in a fresh process", *titles, "*minidl, target*"], rows) if rows else ""


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table: words to the left, numbers to the right."""
    lines = [header, ["---", *["--:"] * (len(header) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def left_out(workloads: Sequence[str], peers: Sequence[Peer]) -> str:
    """Which libraries are not installed, and which cannot do what, in words."""
    there = {peer.library for peer in peers}
    missing = [title for library, title in LIBRARIES.items() if library not in there]
    lines = [f"Not installed and so not timed: {', '.join(missing)}."] if missing else []
    why: dict[str, list[str]] = {}
    for library in LIBRARIES:
        for workload in workloads:
            if library in there and (words := reason(library, workload)):
                why.setdefault(words, []).append(workload)
    lines += [f"{', '.join(names)}: {words}." for words, names in why.items()]
    return "\n".join(lines)


def disturbance(results: Sequence[Result]) -> str:
    """A warning that names the workloads in which other programs ran, or a peer's time changed; else nothing."""
    words = ""
    if busy := [result.workload for result in results if result.share < FREE]:
        least = min(result.share for result in results)
        words += (
            f" **Not to be trusted: {', '.join(busy)}: other programs ran.** A thread had {least:.0%} of its core, and "
            f"of several threads each waits for the slowest."
        )
    if unsteady := [result.workload for result in results if max(map(result.spread, result.seconds)) > STEADY]:
        words += f" **Unsteady: {', '.join(unsteady)}:** between rounds a peer's time changed by over {STEADY - 1:.0%}."
    return words
