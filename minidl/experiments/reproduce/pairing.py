"""Which runs are no pair: those of one seed that begin with other weights, as another version of a network makes them.

What differs between two arms is compared seed by seed, since the same seed gives the same first weights. Each run
keeps a checksum of its own (result.json: checks); of runs made before that was kept nothing is known.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from minidl.experiments.reproduce.names import SADDLE

KEY = "begins_with"  # of collected results
EXACT, ROUNDED = "first_weights", "begins_with"  # of a result.json's checks


def start_of(result: Mapping[str, Any]) -> str | None:
    """The checksum of the weights that a result.json says its run begins with; None if it does not say.

    Of all bits; at a saddle, which is found to rounding and has other last bits on another processor, of six decimals.
    """
    found = result["checks"].get(ROUNDED if result["spec"]["recipe"] == SADDLE else EXACT)
    return None if found is None else str(found)


def unpaired(results: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """The results that begin with other weights than most of their seed do, and in words why they are left out.

    Of two sides with as many, the one that comes later.
    """
    seeds: dict[int, dict[str, list[str]]] = {}  # {seed: {checksum: names}}
    for name, result in results.items():
        start = start_of(result)
        if start is not None:
            seeds.setdefault(result["spec"]["seed"], {}).setdefault(start, []).append(name)
    found = {}
    for groups in seeds.values():
        kept = max(groups.values(), key=len)
        for names in groups.values():
            for name in names if names is not kept else ():
                found[name] = (
                    f"begins with other weights ({_made_by([results[name]])}) than {_runs(len(kept))} of its seed "
                    f"({_made_by([results[one] for one in kept])}), and is no pair of theirs: delete the folders of "
                    "the ones or of the others, and they are done again"
                )
    return found


def apart(earlier: Sequence[Mapping[str, Any]], later: Sequence[Mapping[str, Any]]) -> list[int]:
    """The seeds whose collected runs begin with other weights in two parts of a reproduction."""
    starts: list[dict[int, set[str]]] = [{}, {}]
    for part, runs in zip(starts, (earlier, later), strict=True):
        for run in runs:
            if run.get(KEY) is not None:
                part.setdefault(run["seed"], set()).add(run[KEY])
    first, second = starts
    return sorted(seed for seed in first if seed in second and len(first[seed] | second[seed]) > 1)


def _runs(count: int) -> str:
    return f"{count} run{'s' * (count != 1)}"


def _made_by(results: Sequence[Mapping[str, Any]]) -> str:
    """The versions of minidl that made some results."""
    commits = {str(result["versions"].get("commit") or result["versions"].get("minidl")) for result in results}
    return f"minidl {' and '.join(sorted(commits))}"
