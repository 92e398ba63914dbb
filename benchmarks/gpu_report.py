"""The results of `benchmarks.gpu` in markdown: what benchmarks/gpu.md keeps."""

from __future__ import annotations

from typing import Any

from benchmarks.gpu_cases import CASES
from benchmarks.table import ratio

CASE = {case.name: case for case in CASES}
MEMORY = (
    "Memory is what each library has taken from the device for the step: of PyTorch its peak with the workspaces of "
    "cuBLAS and cuDNN, of minidl CuPy's pool, without cuBLAS's own 32 MiB."
)


def markdown(found: dict[str, Any]) -> str:
    """All tables."""
    parts = ["# minidl and PyTorch on a GPU", _facts(found["facts"])]
    for mode, words in (("float32", "Products of float32 matrices are exact"), ("TF32", "TF32 is on in both")):
        results = [result for result in found["results"] if result["mode"] == mode]
        if results:
            parts += [f"## {mode}", f"{words}. Times of a training step, forward and backward.", _times(results)]
    if found["not_run"]:
        parts.append("Not run, for lack of time: " + ", ".join(f"{name} ({mode})" for name, mode in found["not_run"]))
    parts.append(MEMORY)
    parts += [_failure(result, what, words) for result in found["results"] for what, words in _failures(result)]
    profiles = [_profile(result) for result in found["results"]]
    if any(profiles):
        parts += ["## What takes the time", "One step each, milliseconds on the GPU.", *filter(None, profiles)]
    return "\n\n".join(parts) + "\n"


def _facts(facts: dict[str, Any]) -> str:
    rows = [f"| {name} | {_number(value)} |" for name, value in facts.items() if value is not None]
    return "\n".join(["| | |", "|---|---|", *rows])


def _number(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value).replace("\n", " ")


def _times(results: list[dict[str, Any]]) -> str:
    columns = ["", "PyTorch", "minidl", "ratio", "aim", "with a graph", "ratio", "aim", "a second", "asked for in"]
    columns += ["launches", "memory, MiB"]
    header = f"| {' | '.join(columns)} |\n|---|{'--:|' * (len(columns) - 1)}"
    return "\n".join([header, *map(_row, results)])


def _row(result: dict[str, Any]) -> str:
    case, found = CASE[result["case"]], result["libraries"]
    theirs, ours, graph = (found.get(name) for name in ("torch", "minidl", "graph"))
    fastest = min((entry["ms"] for entry in (ours, graph) if entry), default=None)
    cells = [
        case.about + ("" if result["agree"] or not (theirs and ours) else " (**the losses differ**)"),
        _ms(theirs),
        _ms(ours),
        _ratio(ours, theirs),
        ratio(case.target[0]),
        _ms(graph),
        _ratio(graph, theirs),
        ratio(case.target[1]) if case.graph else "-",
        f"{case.batch / fastest * 1e3:,.0f}" if fastest else "-",
        f"{ours['asked_ms']:.3f} ms" if ours else "-",
        _pair(theirs, ours, "launches"),
        _pair(theirs, ours, "memory_mib"),
    ]
    return "| " + " | ".join(cells) + " |"


def _ms(entry: dict[str, Any] | None) -> str:
    return f"{entry['ms']:.3f} ms" if entry else "-"


def _ratio(entry: dict[str, Any] | None, to: dict[str, Any] | None) -> str:
    return f"**{ratio(entry['ms'] / to['ms'])}**" if entry and to else "-"


def _pair(*args: Any) -> str:
    *entries, key = args
    values = [None if entry is None else entry.get(key) for entry in entries]
    return " / ".join("-" if value is None else f"{value:,.0f}" for value in values)


def _failures(result: dict[str, Any]) -> list[tuple[str, str]]:
    """(what, its last words) of all that went wrong in a case."""
    died = [("the process", result["died"])] if "died" in result else []
    return [*result["errors"].items(), *died]


def _failure(result: dict[str, Any], what: str, words: str) -> str:
    return f"**{result['case']} ({result['mode']}), {what} failed**\n\n```\n{words[-1500:].strip()}\n```"


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
