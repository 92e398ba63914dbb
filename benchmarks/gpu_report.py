"""The results of `benchmarks.gpu` in markdown: what benchmarks/gpu.md keeps."""

from __future__ import annotations

from typing import Any

from benchmarks.gpu_cases import CASES
from benchmarks.table import ratio

CASE = {case.name: case for case in CASES}


def markdown(found: dict[str, Any]) -> str:
    """All tables."""
    parts = ["# minidl and PyTorch on a GPU", _facts(found["facts"])]
    for mode, words in (("float32", "Products of float32 matrices are exact"), ("TF32", "TF32 is on in both")):
        results = [result for result in found["results"] if result["mode"] == mode]
        if results:
            parts += [f"## {mode}", f"{words}. Times of a training step, forward and backward.", _times(results)]
    if found["not_run"]:
        parts.append("Not run, for lack of time: " + ", ".join(f"{name} ({mode})" for name, mode in found["not_run"]))
    parts += [
        f"{result['case']} ({result['mode']}) without a graph: {result['graph_error']}"
        for result in found["results"]
        if "graph_error" in result and CASE[result["case"]].target[1] < CASE[result["case"]].target[0]
    ]
    parts += [_failure(result) for result in found["results"] if "error" in result]
    profiles = [_profile(result) for result in found["results"] if "error" not in result]
    if any(profiles):
        parts += ["## What takes the time", "One step each, milliseconds on the GPU.", *filter(None, profiles)]
    return "\n\n".join(parts) + "\n"


def _facts(facts: dict[str, Any]) -> str:
    rows = [f"| {name} | {_number(value)} |" for name, value in facts.items() if value is not None and name != "trace"]
    return "\n".join(["| | |", "|---|---|", *rows])


def _number(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _times(results: list[dict[str, Any]]) -> str:
    columns = ["", "PyTorch", "minidl", "ratio", "aim", "with a graph", "ratio", "aim", "a second", "asked for in"]
    columns += ["launches", "memory, MiB"]
    header = f"| {' | '.join(columns)} |\n|---|{'--:|' * (len(columns) - 1)}"
    return "\n".join([header, *(_row(result) for result in results if "error" not in result)])


def _row(result: dict[str, Any]) -> str:
    case, found = CASE[result["case"]], result["libraries"]
    theirs, ours, graph = found["torch"], found["minidl"], found.get("graph")
    cells = [
        case.about + ("" if result["agree"] else " (**the losses differ**)"),
        _ms(theirs),
        _ms(ours),
        f"**{ratio(ours['ms'] / theirs['ms'])}**",
        ratio(case.target[0]),
        _ms(graph) if graph else "-",
        f"**{ratio(graph['ms'] / theirs['ms'])}**" if graph else "-",
        ratio(case.target[1]),
        f"{case.batch / min(ours['ms'], graph['ms'] if graph else ours['ms']) * 1e3:,.0f}",
        f"{ours['asked_ms']:.3f} ms",
        f"{theirs.get('launches', '-')} / {ours.get('launches', '-')}",
        f"{theirs['memory_mib']:,.0f} / {ours['memory_mib']:,.0f}",
    ]
    return "| " + " | ".join(cells) + " |"


def _ms(entry: dict[str, Any]) -> str:
    return f"{entry['ms']:.3f} ms"


def _failure(result: dict[str, Any]) -> str:
    return f"**{result['case']} ({result['mode']}) failed**: {result['error']}\n\n```\n{result['trace'][-1500:]}\n```"


def _profile(result: dict[str, Any]) -> str:
    tables = []
    for library, entry in result["libraries"].items():
        if "profile_error" in entry:
            tables.append(f"{library}: no profile, {entry['profile_error']}")
        elif "top" in entry:
            busy = f"{entry['busy_ms']:.3f} of {entry['ms']:.3f} ms busy, {entry['launches']} launches"
            rows = [f"| {_short(top['name'])} | {top['ms']:.3f} | {top['times']} |" for top in entry["top"]]
            head = [f"{library}: {busy}, {entry['kernels']} kernels", "", "| kernel | ms | times |", "|---|--:|--:|"]
            tables.append("\n".join(head + rows))
    title = f"### {CASE[result['case']].about}, {result['mode']}"
    return "\n\n".join([title, *tables]) if tables else ""


def _short(name: str) -> str:
    return name.replace("|", " ").replace("\n", " ")[:90]
