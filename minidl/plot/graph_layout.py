"""Where the boxes of a graph stand: in ranks, from what is given to what is computed last, with few crossings.

After Sugiyama, Tagawa and Toda, IEEE Trans. Systems, Man, and Cybernetics 11 (1981): ranks by the longest way, an order
in each rank by the mean place of the neighbours, to and fro, and long edges that bend in every rank they pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from minidl.plot.style import spread

_SWEEPS = 12


@dataclass(frozen=True)
class Layout:
    """Places in units of one box.

    Attributes:
        rank: for each value how many steps it stands from the beginning, from 0.
        place: for each value where it stands in its rank; two of a rank are at least 1 apart.
        routes: for each edge its (rank, place) points, the two ends included.
    """

    rank: list[int]
    place: list[float]
    routes: list[list[tuple[int, float]]]


def layout(count: int, edges: Sequence[tuple[int, int]]) -> Layout:
    """Place `count` values and the `edges` (from, to) between them; `from` is smaller than `to`."""
    rank = _ranks(count, edges)
    chains = []  # each edge through a point of its own in every rank between
    ranks = list(rank)
    for start, end in edges:
        chain = [start]
        for between in range(rank[start] + 1, rank[end]):
            chain.append(len(ranks))
            ranks.append(between)
        chains.append([*chain, end])
    above: list[list[int]] = [[] for _ in ranks]
    below: list[list[int]] = [[] for _ in ranks]
    for chain in chains:
        for a, b in pairwise(chain):
            below[a].append(b)
            above[b].append(a)
    given = {
        i for i in range(count) if not above[i]
    }  # what nothing leads to stands beside the rest, where there is room
    rows = [[i for i, r in enumerate(ranks) if r == level and i not in given] for level in range(max(ranks) + 1)]
    places = [0.0] * len(ranks)
    for row in rows:
        for k, i in enumerate(row):
            places[i] = k - (len(row) - 1) / 2
    for sweep in range(_SWEEPS):
        for row in rows if sweep % 2 == 0 else rows[::-1]:
            near = above if sweep % 2 == 0 else below
            wanted = [_mean([places[j] for j in near[i] if j not in given], places[i]) for i in row]
            for i, place in zip(row, spread(wanted, 1.0), strict=True):
                places[i] = place
    for level, row in enumerate(rows):
        taken = [places[i] for i in row]
        for i in sorted(given):
            if ranks[i] == level:
                places[i] = _free(_mean([places[j] for j in below[i]], 0.0), taken)
                taken.append(places[i])
    return Layout(rank, places[:count], [[(ranks[i], places[i]) for i in chain] for chain in chains])


def _ranks(count: int, edges: Sequence[tuple[int, int]]) -> list[int]:
    """The longest way to each value; what nothing leads to stands just before the first that reads it."""
    rank = [0] * count
    read_by: list[list[int]] = [[] for _ in range(count)]
    made = [False] * count
    for start, end in sorted(edges, key=lambda edge: edge[1]):
        rank[end] = max(rank[end], rank[start] + 1)
        read_by[start].append(end)
        made[end] = True
    return [min(rank[j] for j in read_by[i]) - 1 if not made[i] and read_by[i] else rank[i] for i in range(count)]


def _free(wanted: float, taken: list[float]) -> float:
    """The place nearest to `wanted` that is at least 1 from all that are `taken`; the left one of two."""
    candidates = [wanted, *(x - 1 for x in taken), *(x + 1 for x in taken)]
    free = [x for x in candidates if all(abs(x - y) >= 1 - 1e-9 for y in taken)]
    return min(free, key=lambda x: (abs(x - wanted), x))


def _mean(values: list[float], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise
