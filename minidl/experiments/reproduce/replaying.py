"""What is checked of a run against others: the result in its own folder, and the `ln` run that a control replays.

A control shows something only if it replays the run beside which it is judged: the same recipe, method, seed and number
of steps, at the same base rate. So this is checked where the control is done, whatever the plan says.
"""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

from minidl.experiments.reproduce.methods import REPLAYED
from minidl.experiments.reproduce.results import read_replay, read_result, rounded
from minidl.files.writing import path_of


def key_of(spec: Mapping[str, Any]) -> dict[str, Any]:
    """What makes a run what it is; not the order in which it is done."""
    return {name: spec[name] for name in ("recipe", "scale", "method", "rate", "seed", "iterations")}


def own_result(spec: Mapping[str, Any], base_rate: float, folder: Path) -> dict[str, Any]:
    """The result that is there, if it is of this run.

    Raises:
        ValueError: it is that of another, or damaged.
    """
    found = read_result(folder)
    if key_of(found["spec"]) != key_of(spec) or found["base_rate"] != rounded(base_rate):
        raise ValueError(f"{folder} holds the result of another run, {found['spec']['id']}: name another folder")
    return found


def replayed_by(spec: Mapping[str, Any], base_rate: float, twin: str | PathLike[str] | None) -> Any:
    """(T,) what a run replays; None if it replays nothing.

    Args:
        spec: the run.
        base_rate: its own.
        twin: the folder of the `ln` run.

    Raises:
        ValueError: `twin` is left out, or is not the run with the same method, base rate, seed and steps; or what it
            has left is damaged.
        FileNotFoundError: it is not done.
    """
    if spec["rate"] not in REPLAYED:
        return None
    wanted = f"{spec['id']} replays the ln run with the same method, base rate and seed"
    if twin is None:
        raise ValueError(f"{wanted}: name its folder")
    folder = Path(path_of(twin))
    found = read_result(folder)
    differences = [
        f"its {name} is {found['spec'][name]!r}, not {value!r}"
        for name, value in {**key_of(spec), "rate": "ln"}.items()
        if found["spec"][name] != value
    ]
    if found["base_rate"] != rounded(base_rate):
        differences.append(f"it is at {found['base_rate']:g}, not at {base_rate:g}")
    if differences:
        raise ValueError(f"{wanted}; {folder} is {found['spec']['id']}: {', '.join(differences)}")
    return read_replay(folder)
