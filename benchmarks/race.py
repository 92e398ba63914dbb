"""Who is faster: all peers compute the same first, then they take turns.

A round times every peer once, in an order that rotates from round to round, for about the same time each. A ratio is
taken within a round, between two turns that are at most seconds apart, and the median is over the rounds: a machine
that is slow for a while is so for both.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from benchmarks.peers import Peer, reason
from benchmarks.turns import Contestant
from benchmarks.workloads import WORKLOADS

TOLERANCE = 2e-3  # float32, sums in another order, over some steps


@dataclass
class Result:
    """What a race found: of each peer the seconds of every round (of an operation, where a step has many)."""

    workload: str
    seconds: dict[Peer, list[float]] = field(default_factory=dict)

    def median(self, peer: Peer) -> float:
        return statistics.median(self.seconds[peer])

    def ratio(self, peer: Peer, measure: Peer) -> float:
        """Median over the rounds of `peer`'s time over that of `measure`."""
        return statistics.median(a / b for a, b in zip(self.seconds[peer], self.seconds[measure], strict=True))


class DisagreementError(Exception):
    """Two peers do not compute the same: their times must not be compared."""


def check(workload: str, found: dict[Peer, list[Any]]) -> None:
    """Whether all peers have the results of the first one.

    Raises:
        DisagreementError: they differ by more than rounding.
    """
    first, *others = found
    for peer in others:
        for i, (ours, theirs) in enumerate(zip(found[peer], found[first], strict=True)):
            off = float(np.abs(ours - theirs).max() / np.abs(theirs).max())
            if not off < TOLERANCE:
                raise DisagreementError(
                    f"{workload}: {peer.title} and {first.title} do not compute the same. Result {i} differs by "
                    f"{off:.1e} of the largest number: {ours.ravel()[:5]} and {theirs.ravel()[:5]}. Nothing was timed"
                )


def race(workload: str, peers: Sequence[Peer], rounds: int, seconds: float, advance: Callable[[str], None]) -> Result:
    """Time `workload`.

    Args:
        peers: who takes part.
        rounds: how many times each peer has its turn.
        seconds: how long a turn is, about; at least one step.
        advance: told after each turn whose it was.
    """
    result = Result(workload)
    steps: dict[Peer, int] = {}
    with ExitStack() as stack:
        there: dict[Peer, Contestant] = {}
        for peer in peers:
            if reason(peer.library, workload) is None:
                there[peer] = stack.enter_context(Contestant(peer, workload))
        check(workload, {peer: contestant.results(WORKLOADS[workload].steps) for peer, contestant in there.items()})
        for peer, contestant in there.items():
            steps[peer] = max(1, round(seconds / contestant.turn(max(1, WORKLOADS[workload].steps))))
            result.seconds[peer] = []
        order = list(there)
        for k in range(rounds):
            start = k % len(order)
            for peer in order[start:] + order[:start]:
                result.seconds[peer].append(there[peer].turn(steps[peer]) / WORKLOADS[workload].parts)
                advance(f"{workload}, {peer.title}")
    return result
