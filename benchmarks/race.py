"""Who is faster: all peers compute the same first, then they take turns.

A round times every peer once, in an order that rotates from round to round, for about the same time each. A ratio is
taken within a round, between two turns that are at most seconds apart, and the median is over the rounds: a machine
that is slow for a while is so for both. Processor time (`clock="cpu"`) does not count what others take of the machine:
on a busy one its ratios are steady where those of the wall's clock are worth nothing.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from benchmarks.machine import cores, share
from benchmarks.peers import Peer, able
from benchmarks.turns import Contestant
from benchmarks.workloads import WORKLOADS

TOLERANCE = 2e-5  # float32, sums in another order, over some steps


@dataclass
class Result:
    """What a race found.

    Attributes:
        workload: its name.
        seconds: of each peer the time of every round: of a step, or of an operation where a step has many.
        share: of a core that this machine had for each thread, the smaller of before and after; 1 if nobody else ran.
    """

    workload: str
    seconds: dict[Peer, list[float]] = field(default_factory=dict)
    share: float = 1.0

    def median(self, peer: Peer) -> float:
        """The time of a peer."""
        return statistics.median(self.seconds[peer])

    def spread(self, peer: Peer) -> float:
        """How steady a peer's time was: its third quartile over the first."""
        first, third = np.quantile(self.seconds[peer], [0.25, 0.75])
        return float(third / first)

    def ratio(self, peer: Peer, measure: Peer) -> float | None:
        """Median over the rounds of `peer`'s time over that of `measure`; None if one of them was not there."""
        if peer not in self.seconds or measure not in self.seconds:
            return None
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
            if not off < TOLERANCE:  # also if it is NaN
                raise DisagreementError(
                    f"{workload}: {peer.title} and {first.title} do not compute the same. Result {i} differs by "
                    f"{off:.1e} of the largest number: {ours.ravel()[:5]} and {theirs.ravel()[:5]}. Nothing was timed"
                )


def race(
    workload: str,
    peers: Sequence[Peer],
    rounds: int,
    seconds: float,
    advance: Callable[[str], None],
    clock: str = "wall",
) -> Result:
    """Time a workload.

    Args:
        workload: its name.
        peers: who takes part, if it can.
        rounds: how many turns each has.
        seconds: how long a turn is, about; at least one step.
        advance: told after each turn whose it was.
        clock: "wall" or "cpu", as in `Contestant.turn`.

    Raises:
        DisagreementError: the peers do not compute the same.
        PeerError: one of them ended in an error.
    """
    result = Result(workload)
    trial, parts = WORKLOADS[workload].steps, WORKLOADS[workload].parts
    with ExitStack() as stack:
        there = {peer: stack.enter_context(Contestant(peer, workload)) for peer in able(peers, workload)}
        check(workload, {peer: contestant.results(trial) for peer, contestant in there.items()})
        steps = {peer: max(1, round(seconds / contestant.turn(trial, clock))) for peer, contestant in there.items()}
        most = min(cores(), max(peer.threads for peer in peers))
        result.share = share(most) if clock == "wall" else 1.0
        order = list(there)
        for _ in range(rounds):
            for peer in order:
                result.seconds.setdefault(peer, []).append(there[peer].turn(steps[peer], clock) / parts)
                advance(f"{workload}, {peer.title}")
            order.append(order.pop(0))
        if clock == "wall":
            result.share = min(result.share, share(most))
    return result
