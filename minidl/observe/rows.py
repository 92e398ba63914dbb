"""Rows: the numbers of the steps so far, in bounded memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from minidl import backend
from minidl.observe.recording import PER_LAYER

MOST_BYTES = 32 * 2**20  # of kept rows
_BUNDLE = 256  # rows are joined in bundles, so that a long recording is not a million tiny device arrays


@dataclass(frozen=True)
class Row:
    """One recorded step.

    Attributes:
        step, backwards: its number, and how many walks it had.
        values: a float64 vector on the device.
        measured: which of them there were to measure, on the host.
    """

    step: int
    backwards: int
    values: Any
    measured: Any


class Rows:
    """Rows as they come; when they would take more than `MOST_BYTES`, every second one of those kept is let go.

    From then on every second, then every fourth, ... of the rows that come is kept. The first and the latest are always
    among them. So a recording of 20 layers holds between 6,400 and 12,800 steps once it is longer than that.

    Attributes:
        stride: how many rows come for one that is kept.
    """

    def __init__(self, width: int) -> None:
        self._most = max(2 * _BUNDLE, MOST_BYTES // (8 * width) // (2 * _BUNDLE) * 2 * _BUNDLE)
        self._width = width
        self._rows: list[Any] = []
        self._bundles: list[Any] = []
        self._about: list[Row] = []  # of the rows kept; their values are in the bundles
        self._latest: Row | None = None  # if it is not kept
        self._count = 0
        self.stride = 1

    def __len__(self) -> int:
        return len(self._about) + (self._latest is not None)

    def append(self, row: Row) -> None:
        """Add the row of the next recorded step."""
        kept = self._count % self.stride == 0
        self._count += 1
        self._latest = None if kept else row
        if not kept:
            return
        measured = row.measured
        if self._about and np.array_equal(measured, self._about[-1].measured):
            measured = self._about[-1].measured  # most steps share one
        self._about.append(Row(row.step, row.backwards, None, measured))
        self._rows.append(row.values)
        if len(self._rows) == _BUNDLE:
            self._bundles.append(backend.module_of(self._rows[0]).stack(self._rows))
            self._rows = []
            if len(self._about) == self._most:
                self._thin()
                self._latest = row

    def _thin(self) -> None:
        """Let every second row go."""
        halves = [bundle[::2] for bundle in self._bundles]
        pairs = zip(halves[::2], halves[1::2], strict=True)  # a whole number of pairs: see `_most`
        self._bundles = [backend.module_of(a).concatenate([a, b]) for a, b in pairs]
        self._about = self._about[::2]
        self.stride *= 2

    def table(self) -> Any:
        """All rows, (rows, width), on the host."""
        parts = [backend.to_numpy(bundle) for bundle in self._bundles]
        loose = [*self._rows, *([] if self._latest is None else [self._latest.values])]
        if loose:
            parts.append(backend.to_numpy(backend.module_of(loose[0]).stack(loose)))
        return np.concatenate(parts) if parts else np.zeros((0, self._width))

    def fields(self, layers: int) -> tuple[dict[str, Any], Any]:
        """The table as the fields of a FlowRecording, each (rows, layers), and the losses.

        What was measured and is no number becomes infinity: NaN is left to what was not there to measure.
        """
        table, about = self.table(), self.about()
        fields = table[:, :-1].reshape(len(about), len(PER_LAYER), layers)
        for row, one in zip(fields, about, strict=True):
            row[one.measured[:-1].reshape(row.shape) & np.isnan(row)] = np.inf
        return {name: np.ascontiguousarray(fields[:, i]) for i, name in enumerate(PER_LAYER)}, table[:, -1].copy()

    def about(self) -> list[Row]:
        """The rows without their values, in the order of `table`."""
        return [*self._about, *([] if self._latest is None else [self._latest])]
