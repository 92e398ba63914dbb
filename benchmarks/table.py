"""What came out, in markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from benchmarks.fresh import Memory
from benchmarks.peers import LIBRARIES, Peer, reason
from benchmarks.race import Result

# What minidl should reach, as a ratio to PyTorch: of processor time with one thread each, and of time with two.
TARGETS = {
    "W1": 0.85, "W2": 0.80, "W3": 0.90, "W4": 1.00, "W5": 0.60, "Ca": 0.95, "Cb": 1.00, "Cc": 0.80, "LSTM": 1.30,
    "LN": 1.00, "GN": 1.10, "BN": 0.90, "CE": 1.20, "Att": 1.30,
}  # fmt: skip
BESIDE_CAFFE = {"W3": 0.75, "W4": 0.50}
IMPORT_TARGET, MEMORY_TARGET = 40.0, 75.0  # milliseconds beyond NumPy's import; MiB
HEADINGS = {"wall": "time", "cpu": "processor time, one thread each"}
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


def times(results: Sequence[Result], peers: Sequence[Peer], clock: str = "wall") -> str:
    """The table of what is timed in steps: a row for each workload, a column for each of `peers`.

    The first of them is the measure of the others. With the clock "cpu" all have one thread, which the heading says.
    """
    first, *others = peers
    names = {peer: peer.name if clock == "cpu" else peer.title for peer in peers}
    ours = [peer for peer in peers if peer.library == "minidl"]
    with_targets = clock == "cpu" or first == Peer("torch", 2)
    header = [f"{HEADINGS[clock]}: ratio to {first.name}", f"{names[first]} takes"]
    header += [f"**{names[peer]}**" if ours == [peer] else names[peer] for peer in others]
    header += ["**minidl, the faster**"] * (len(ours) > 1) + ["*minidl, target*"] * with_targets
    rows = []
    for result in results:
        row = [result.workload, duration(result.median(first))]
        for peer in others:
            value = ratio(result.ratio(peer, first))
            row.append(f"**{value}**" if ours == [peer] else value)
        if len(ours) > 1:
            row.append(f"**{ratio(min(result.ratio(peer, first) for peer in ours))}**")
        if with_targets:
            row.append(ratio(TARGETS.get(result.workload)))
        rows.append(row)
    return markdown(header, rows)


def beside(results: Sequence[Result], peers: Sequence[Peer]) -> str:
    """minidl's time over Caffe's and over an older minidl's, each with one thread; empty if neither was there."""
    measures = [peer for peer in peers if peer.library in ("caffe", "old")]
    ours = next((peer for peer in peers if peer.library == "minidl" and peer.threads == 1), None)
    header, rows = ["minidl's time over that of"], []
    for measure in measures:
        header += [measure.name] + ["*target*"] * (measure.library == "caffe")
    for result in results:
        found = {measure: result.ratio(ours, measure) for measure in measures}
        row = [result.workload]
        for measure, value in found.items():
            row += [ratio(value)] + [ratio(BESIDE_CAFFE.get(result.workload))] * (measure.library == "caffe")
        if any(found.values()):
            rows.append(row)
    return markdown(header, rows) if rows else ""


def once(imports: Mapping[str, float], memory: Mapping[str, Mapping[str, Memory]], clock: str = "wall") -> str:
    """The table of import times and memory; empty if neither was measured."""
    there = set(imports).union(*memory.values())
    libraries = [library for library in LIBRARIES if library in there]
    rows = []
    if imports:
        found = [f"{imports[library]:.0f}" if library in imports else "-" for library in libraries]
        target = f"{imports['numpy'] + IMPORT_TARGET:.0f}" if "numpy" in imports else "-"
        rows.append(
            [f"import, ms{' of processor time' * (clock == 'cpu')}", *found, f"NumPy + {IMPORT_TARGET:.0f} = {target}"]
        )
    for network, measured in memory.items():
        for words, name in (("beyond the import", "beyond"), ("in all", "peak")):
            found = [f"{getattr(measured[at], name):.0f}" if at in measured else "-" for at in libraries]
            target = f"{MEMORY_TARGET:.0f}" if network == "W3" and name == "peak" else "-"
            if name == "beyond" and "torch" in measured:
                target = f"PyTorch's = {measured['torch'].beyond:.0f}"
            rows.append([f"memory of {network} at its peak, {words}, MiB", *found, target])
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
    lines += [f"{', '.join(dict.fromkeys(names))}: {words}." for words, names in why.items()]
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
