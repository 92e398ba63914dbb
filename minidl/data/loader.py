"""Loader: a data set in batches, in an order that can be repeated."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from minidl import backend
from minidl.data.dataset import Dataset, is_whole, random_order
from minidl.errors import describe

MOVED_WHOLE = 2**30  # bytes; a data set up to this size is put on the device once, a larger one batch by batch


class Loader:
    """Hands out a data set batch by batch, in a new order every epoch.

        for inputs, labels in loader:           # one epoch
            ...

    Batches are raw arrays, copies, on the backend that is current when the Loader is made. The order of epoch e depends
    on `seed` and e only, not on the backend or on the version of NumPy. Each `for` is the next epoch, also after one
    that was left early.

    Attributes:
        epoch: the number of the epoch that runs, or comes next.
        position: how many batches of it have been handed out.

    Args:
        dataset: what to hand out.
        batch_size: examples in a batch; the last batch of an epoch has what is left.
        shuffle: put the examples into a new random order every epoch.
        seed: of these orders, a non-negative integer; None draws one from minidl's generator, which `md.seed` starts.
        drop_last: leave out a last batch that is smaller.

    Raises:
        TypeError, ValueError: no data set, no batch to hand out, or a batch size or seed that is none.
    """

    def __init__(
        self,
        dataset: Dataset,
        batch_size: int,
        shuffle: bool = True,
        seed: int | None = None,
        drop_last: bool = False,
    ) -> None:
        if not isinstance(dataset, Dataset):
            raise TypeError(f"Loader: expected a Dataset; got {describe(dataset)}: wrap it, Dataset(inputs, labels)")
        if not is_whole(batch_size) or batch_size < 1:
            raise ValueError(f"Loader: expected a batch size of at least 1; got {batch_size!r}")
        if seed is not None and (not is_whole(seed) or seed < 0):
            raise ValueError(f"Loader: expected a non-negative integer as the seed; got {seed!r}")
        if len(dataset) == 0:
            raise ValueError("Loader: expected at least one example; the data set is empty")
        if drop_last and batch_size > len(dataset):
            raise ValueError(
                f"Loader: drop_last leaves no batch: a batch has {batch_size} examples and the data set {len(dataset)}"
            )
        self.dataset = dataset
        self.batch_size = int(batch_size)
        self.shuffle = shuffle
        self.drop_last = drop_last
        self.seed = int(backend.generator().integers(2**63)) if seed is None else int(seed)
        self.epoch = 0
        self.position = 0
        self._resumes = False  # whether the next `for` continues at `position`
        self._device = backend.current()
        self._inputs, self._labels = dataset.inputs, dataset.labels
        if self._inputs.nbytes + self._labels.nbytes <= MOVED_WHOLE:
            self._inputs = backend.to_device(self._inputs, self._device)
            self._labels = backend.to_device(self._labels, self._device)

    def __len__(self) -> int:
        """The number of batches in an epoch."""
        whole, rest = divmod(len(self.dataset), self.batch_size)
        return whole + (rest > 0 and not self.drop_last)

    def order(self, epoch: int) -> Any:
        """(N,) the indices of the examples in the order of one epoch, on the host."""
        if not self.shuffle:
            return np.arange(len(self.dataset))
        return random_order(len(self.dataset), self.seed, epoch)

    def __iter__(self) -> Iterator[tuple[Any, Any]]:
        if self.position > 0 and not self._resumes:  # the last `for` was left early
            self.epoch, self.position = self.epoch + 1, 0
        self._resumes = False
        epoch = self.epoch
        order = backend.to_device(self.order(epoch), backend.device_of(self._inputs))
        for batch in range(self.position, len(self)):
            chosen = order[batch * self.batch_size : (batch + 1) * self.batch_size]
            self.epoch, self.position = epoch, batch + 1
            yield (
                backend.to_device(self._inputs[chosen], self._device),
                backend.to_device(self._labels[chosen], self._device),
            )
        self.epoch, self.position = epoch + 1, 0

    def state_dict(self) -> dict[str, Any]:
        """Where the Loader is, as plain data: another Loader of the same data continues from there."""
        return {
            "epoch": self.epoch,
            "position": self.position,
            "seed": self.seed,
            "examples": len(self.dataset),
            "batch_size": self.batch_size,
            "shuffle": self.shuffle,
            "drop_last": self.drop_last,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state_dict` was taken: the next `for` hands out what was still to come of that epoch.

        Raises:
            ValueError: the state is of a Loader with other examples or batches, or no state; nothing is changed.
        """
        own = self.state_dict()
        if set(state) != set(own):
            raise ValueError(f"Loader: expected a state with {', '.join(own)}; got {', '.join(map(str, state))}")
        for key in ("examples", "batch_size", "shuffle", "drop_last"):
            if state[key] != own[key]:
                raise ValueError(f"Loader: the state was taken with {key}={state[key]}; this Loader has {own[key]}")
        for key in ("epoch", "position", "seed"):
            if not is_whole(state[key]) or state[key] < 0:
                raise ValueError(f"Loader: expected a non-negative integer as {key} of the state; got {state[key]!r}")
        if state["position"] > len(self):
            raise ValueError(f"Loader: the state is at batch {state['position']} of {len(self)}")
        self.epoch, self.position, self.seed = state["epoch"], state["position"], state["seed"]
        self._resumes = True

    def __repr__(self) -> str:
        return f"Loader({self.dataset!r}, {len(self)} batches of {self.batch_size}, seed={self.seed})"
