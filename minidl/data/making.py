"""Making: how a batch is made from its number: the same bits in whatever thread or process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from minidl import backend
from minidl.data.dataset import Source, random_order
from minidl.data.steps import Transform, transformed


@dataclass(frozen=True, eq=False)
class Making:
    """What the batches of a Loader are made from. Threads may make some at once: nothing is written to it.

    Attributes:
        source: where the examples come from.
        batch_size: examples in a batch.
        transform: what happens to the inputs on the host; None for nothing.
    """

    source: Source
    batch_size: int
    transform: Transform | None

    def batch(
        self, seed: int, epoch: int, order: Any, number: int, empty: Callable[..., Any] = np.empty
    ) -> tuple[Any, Any]:
        """Batch `number` of one epoch: inputs and labels.

        Args:
            seed, epoch: with the number they decide what the transform draws.
            order: (N,) the indices of the examples in the order of the epoch.
            number: counted from 0.
            empty: makes the array for the inputs, if the transform can write into one: `numpy.empty(shape, dtype)`.
        """
        try:
            inputs, labels = self.source.take(order[number * self.batch_size : (number + 1) * self.batch_size])
            if self.transform is not None:
                # The key keeps these numbers apart from those of the order: a seed (s, e) is the same as (s, e, 0).
                key = np.random.SeedSequence((seed, epoch), spawn_key=(number,))
                inputs = transformed(inputs, self.transform, np.random.Generator(np.random.PCG64(key)), empty)
        except Exception as error:
            error.add_note(f"while the Loader made batch {number} of epoch {epoch}")
            raise
        return backend.native(inputs), backend.native(labels)


def order_of(count: int, shuffle: bool, seed: int, epoch: int) -> Any:
    """(count,) the indices of the examples in the order of one epoch, on the host."""
    return random_order(count, seed, epoch) if shuffle else np.arange(count)
