"""Loader: a data set in batches, in an order that can be repeated."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import Any

from minidl import backend
from minidl.backend.starting import say_once
from minidl.checks import whole, yes_or_no
from minidl.data.ahead import in_order
from minidl.data.dataset import Dataset, Source, check_source, fingerprint, is_whole
from minidl.data.making import Making, order_of
from minidl.data.processes import Processes
from minidl.data.steps import Transform, check_transform
from minidl.data.transforms import on_host_and_anywhere
from minidl.data.worker import Epoch
from minidl.habits.answers import Options
from minidl.settings import Setting

MOVED_WHOLE = 2**30  # bytes; a data set up to this size is put on the device once, a larger one batch by batch


@dataclass(eq=False)
class Place:
    """Where an iteration over a Loader is.

    Attributes:
        epoch: the number of the epoch that it hands out; -1 before its first batch, with which that is chosen.
        position: how many batches of it have been handed out.
        begun_at: the position at which it began, which is not 0 if it resumes an epoch.
    """

    epoch: int = -1
    position: int = 0
    begun_at: int = 0

    def is_look(self) -> bool:
        """Whether no more than one batch was asked for, as by `next(iter(loader))`."""
        return self.position - self.begun_at <= 1


class Batches:
    """One iteration over a Loader: what `iter(loader)` returns. It hands out one epoch, whatever others do meanwhile.

    Attributes:
        place: where it is.
    """

    def __init__(self, loader: Loader) -> None:
        self.place = Place()
        self._batches = loader._hand_out(self.place)
        self._count = len(loader)

    def __repr__(self) -> str:
        return f"Batches(at {self.place.position} of {self._count})"

    def __iter__(self) -> Batches:
        return self

    def __next__(self) -> tuple[Any, Any]:
        return next(self._batches)

    def close(self) -> None:
        """End it here: its threads, if it has any, make no further batch."""
        self._batches.close()


class Loader(Options):
    """Hands out a data set batch by batch, in a new order every epoch.

        for inputs, labels in loader:           # one epoch
            ...

    Batches are raw arrays, copies, on the backend that is current when the Loader is made. The order of epoch e depends
    on `seed` and e only, not on the backend or on the version of NumPy. Each `for` is the next epoch, also after one
    that was left early. Several iterations may run at the same time, in loops inside each other, in `zip`, or with
    `next(iter(loader))` to look at a batch: each is an epoch of its own, and takes nothing from the others.

    With workers, threads make the next batches while the training computes with this one: at most two batches a worker
    are made ahead. The batches are the same, bit for bit, for any number of workers: what a transform draws for a batch
    depends on `seed`, epoch and batch only (and on the version of NumPy). An error in making a batch is raised when it
    is that batch's turn. A `for` that ends, however it ends, leaves no thread behind. A forked process cannot go on
    with its parent's `for`, whose threads it has not: that is a RuntimeError; it can begin its own. (A fork of a
    process that uses a GPU can do neither, since CUDA works in no fork.) Where the system starts no threads, as in a
    browser, the caller makes the batches, the same ones, and a warning says so once.

    A batch that has to go to a GPU goes there while the GPU computes with the one before (`backend.sent_ahead`), so one
    more batch is made ahead. The last steps of a transform, if they only compute with pixels, are done on the GPU.

    Attributes:
        epoch: the number of the epoch that runs, or comes next. Of several iterations it is that which handed out the
            last batch and has not ended; one that was asked for a single batch, while another went on, does not count.
        position: how many batches of it have been handed out.

    Args:
        dataset: what to hand out: a Dataset or another source of data.
        batch_size: examples in a batch; the last batch of an epoch has what is left.
        shuffle: put the examples into a new random order every epoch.
        seed: of these orders, a non-negative integer; None draws one from minidl's generator, which `md.seed` starts.
        drop_last: leave out a last batch that is smaller.
        transform: a function of a batch's inputs, a NumPy array, and of a random generator, that returns what to hand
            out instead: see `minidl.data.transforms`.
        workers: how many threads make batches ahead; 0 makes each when it is asked for. They pay where making a batch
            takes long: for files and transforms, not for small arrays in memory.
        processes: let the workers be processes instead of threads. They pay where threads wait for each other: with
            many of them, and for transforms that are written in Python. They start with the first `for`, which takes a
            second, and stay until `close`, the end of the program, or until nobody refers to the Loader. Data set and
            transform are sent to each (so both must be of classes in modules, and small), and the program must begin
            its work under `if __name__ == "__main__":`.

    Raises:
        TypeError, ValueError: no data set, no batch to hand out, or another argument that is none.
    """

    seed = Setting(whole, 0)
    shuffle = Setting(yes_or_no)
    _idle: Processes | None = None  # that no iteration uses

    def __init__(
        self,
        dataset: Source,
        batch_size: int,
        shuffle: bool = True,
        seed: int | None = None,
        drop_last: bool = False,
        transform: Transform | None = None,
        workers: int = 0,
        processes: bool = False,
    ) -> None:
        check_source(dataset, "Loader: expected a Dataset")
        if not is_whole(batch_size) or batch_size < 1:
            raise ValueError(f"Loader: expected a batch size of at least 1; got {batch_size!r}")
        if transform is not None:
            check_transform(transform, "Loader")
        if not is_whole(workers) or workers < 0:
            raise ValueError(f"Loader: expected a number of workers of at least 0; got {workers!r}")
        if len(dataset) == 0:
            raise ValueError("Loader: expected at least one example; the data set is empty")
        shuffle = yes_or_no(shuffle, "Loader: shuffle")
        drop_last = yes_or_no(drop_last, "Loader: drop_last")
        if drop_last and batch_size > len(dataset):
            raise ValueError(
                f"Loader: drop_last leaves no batch: a batch has {batch_size} examples and the data set {len(dataset)}"
            )
        self.dataset = dataset
        self.batch_size = int(batch_size)
        self.shuffle = yes_or_no(shuffle, "Loader: shuffle")
        self.drop_last = drop_last
        self.seed = int(backend.generator().integers(2**63)) if seed is None else seed
        self.transform = transform
        self.workers = int(workers)
        self.processes = yes_or_no(processes, "Loader: processes")
        self._next_epoch = 0  # what the next `for` begins
        self._running: list[Place] = []  # of iterations that have begun and not ended; who handed out last is last
        self._left: Place | None = None  # where the last of them was left early, or a state is to be resumed
        self._resumes = False  # whether the next `for` continues there
        self._device = backend.current()
        self._home = "numpy"  # where batches are made; they end on the device
        if isinstance(dataset, Dataset):
            if transform is None and workers == 0:
                small = dataset.inputs.nbytes + dataset.labels.nbytes <= MOVED_WHOLE
                self._home = self._device if small else backend.device_of(dataset.inputs)
            dataset = dataset.to(self._home)
        self._source = dataset
        self._crosses = self._device == "cupy" and self._home == "numpy"
        self._on_host: Transform | None = transform
        self._on_arrival: Transform | None = None
        if transform is not None and self._crosses:
            self._on_host, self._on_arrival = on_host_and_anywhere(transform)
        self._making = Making(self._source, self.batch_size, self._on_host)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in ("dataset", "batch_size", "drop_last", "transform", "workers", "processes") and name in vars(self):
            raise AttributeError(f"Loader: {name} is what the Loader was made with: make another one")
        super().__setattr__(name, value)

    def __len__(self) -> int:
        """The number of batches in an epoch."""
        full, rest = divmod(len(self.dataset), self.batch_size)
        return full + (rest > 0 and not self.drop_last)

    def order(self, epoch: int) -> Any:
        """(N,) the indices of the examples in the order of one epoch, on the host."""
        return order_of(len(self.dataset), self.shuffle, self.seed, epoch)

    def batch(self, epoch: int, number: int) -> tuple[Any, Any]:
        """Batch `number` of one epoch, counted from 0, made once more: the bits that a `for` hands out there.

        Raises:
            IndexError: an epoch has no such batch.
        """
        if not 0 <= number < len(self):
            raise IndexError(f"Loader: expected the number of a batch, from 0 to {len(self) - 1}; got {number!r}")
        made = self._make(self.seed, epoch, backend.to_device(self.order(epoch), self._home), number)
        with closing(self._delivered(one for one in [made])) as delivered:
            inputs, labels = next(delivered)
        return inputs if self._on_arrival is None else self._on_arrival(inputs, None), labels

    @property
    def epoch(self) -> int:
        return self._place().epoch

    @property
    def position(self) -> int:
        return self._place().position

    def _place(self) -> Place:
        return self._running[-1] if self._running else self._left or Place(self._next_epoch, 0)

    def __iter__(self) -> Batches:
        return Batches(self)

    def _hand_out(self, place: Place) -> Generator[tuple[Any, Any]]:
        """The batches of the epoch whose turn it is; `place` says how far that has come."""
        self._check_process()
        self._begin(place)
        finished = False
        order = backend.to_device(self.order(place.epoch), self._home)
        todo = range(place.position, len(self))
        try:
            with (
                closing(self._made(place, order, todo)) as made,
                closing(self._delivered(made)) as batches,
            ):
                for batch, (inputs, labels) in zip(todo, batches, strict=True):
                    place.position = batch + 1
                    self._running = [*self._others(place, with_looks=place.is_look()), place]
                    yield inputs if self._on_arrival is None else self._on_arrival(inputs, None), labels
                    self._check_process()
            finished = True
        finally:
            self._running = self._others(place, with_looks=not finished)
            if not self._running:
                self._left = None if finished else place

    def _check_process(self) -> None:
        """Refuse to go on where CUDA was in use before this process was forked."""
        if "cupy" in (self._device, self._home):
            backend.refuse_cuda_in_fork()

    def _others(self, place: Place, with_looks: bool) -> list[Place]:
        """Where the iterations are that run beside the one at `place`."""
        return [other for other in self._running if other is not place and (with_looks or not other.is_look())]

    def _begin(self, place: Place) -> None:
        """Put an iteration that begins now where it starts."""
        place.epoch = self._next_epoch
        if self._resumes and self._left is not None:
            place.epoch, place.position, place.begun_at = self._left.epoch, self._left.position, self._left.position
        self._resumes = False
        self._next_epoch = max(self._next_epoch, place.epoch + 1)

    def stand_at(self, place: Place | None) -> None:
        """Let `epoch`, `position` and `state_dict` be those of the iteration that is here, whoever handed out last.

        Args:
            place: the iteration's; None for between two epochs, where the next one begins.
        """
        self._running, self._left = [], place

    def _make(self, seed: int, epoch: int, order: Any, number: int) -> tuple[Any, Any]:
        """One batch at home, made here."""
        return self._at_home(self._making.batch(seed, epoch, order, number))

    def _at_home(self, batch: tuple[Any, Any]) -> tuple[Any, Any]:
        """A batch in memory from which it goes to the device."""
        inputs, labels = batch
        return (backend.pinned(inputs), backend.pinned(labels)) if self._crosses else (inputs, labels)

    def _made(self, place: Place, order: Any, todo: Sequence[int]) -> Generator[tuple[Any, Any]]:
        """The batches `todo` of an epoch, made by whoever is to make them."""
        make = partial(self._make, self.seed, place.epoch, order)
        if not (self.processes and self.workers and todo):
            yield from in_order(make, todo, self.workers)
            return
        epoch = Epoch(self.seed, self.shuffle, place.epoch)
        pool = self._taken()
        if pool is not None and not pool.is_ready():
            pool.close()
            pool = None
        if pool is None:  # while the processes start, there is this one to train with; and its size is theirs
            first = make(todo[0])
            size = sum(getattr(array, "nbytes", 0) for array in first)
            whole, left = min(self.batch_size, len(self.dataset)), len(self.dataset) - todo[0] * self.batch_size
            pool = self._started(-(-size * whole // min(whole, left)))  # an epoch's last batch may be smaller
        else:
            first = None
        try:
            if first is not None:
                yield first
                first, todo = None, todo[1:]
            if pool is None:
                yield from in_order(make, todo, self.workers)
            else:
                yield from map(self._at_home, pool.batches(epoch, todo))
        finally:
            if pool is not None:
                self._keep(pool)

    def _started(self, largest: int) -> Processes | None:
        """The processes; None, and a warning, where the system starts none."""
        try:
            return Processes(self._making, self.workers, largest)
        except (OSError, NotImplementedError, ImportError) as error:
            say_once("Loader(processes=True)", "processes", error, "Threads make the batches, the same ones")
        return None

    def _keep(self, pool: Processes) -> None:
        """Let the next epoch use these processes; of several that run at once, only one iteration's are kept."""
        if pool.is_broken:
            pool.close()
            return
        spare, self._idle = self._taken(), pool
        if spare is not None:
            spare.close()

    def close(self) -> None:
        """End the processes that `processes=True` keeps from one `for` to the next; a further one starts new ones."""
        pool = self._taken()
        if pool is not None:
            pool.close()

    def _taken(self) -> Processes | None:
        """The idle processes, which are the caller's alone from now on, whatever other threads do."""
        taken: Processes | None = vars(self).pop("_idle", None)
        return taken

    def __getstate__(self) -> dict[str, Any]:
        """What a copy of this Loader has: all but the processes, which answer one Loader."""
        return {name: value for name, value in vars(self).items() if name != "_idle"}

    def _delivered(self, made: Generator[tuple[Any, Any]]) -> Generator[Any]:
        """The batches where the training is: the one place where they cross to a GPU."""
        if self._crosses:
            return backend.sent_ahead(made)
        if self._home == self._device:
            return made
        return (tuple(backend.to_device(array, self._device) for array in batch) for batch in made)

    def state_dict(self) -> dict[str, Any]:
        """Where the Loader is, as plain data: another Loader of the same data continues from there."""
        return {
            "epoch": self.epoch,
            "position": self.position,
            "next_epoch": self._next_epoch,
            "seed": self.seed,
            "examples": len(self.dataset),
            "batch_size": self.batch_size,
            "shuffle": self.shuffle,
            "drop_last": self.drop_last,
            "data": fingerprint(self.dataset),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state_dict` was taken: the next `for` hands out what was still to come of that epoch.

        Raises:
            ValueError: the state is of a Loader with other examples or batches, or no state; nothing is changed.
        """
        own = self.state_dict()
        # States that were saved before there were these have no checksum of the data, and no next epoch.
        state = {"data": own["data"], "next_epoch": 0, **state}
        if set(state) != set(own):
            raise ValueError(f"Loader: expected a state with {', '.join(own)}; got {', '.join(map(str, state))}")
        for key in ("examples", "batch_size", "shuffle", "drop_last"):
            if state[key] != own[key]:
                raise ValueError(f"Loader: the state was taken with {key}={state[key]}; this Loader has {own[key]}")
        if state["data"] != own["data"]:
            raise ValueError(
                "Loader: the state was taken with other data: their labels or inputs are not those of this Loader's "
                "data set, though there are as many"
            )
        for key in ("epoch", "position", "next_epoch", "seed"):
            if not is_whole(state[key]) or state[key] < 0:
                raise ValueError(f"Loader: expected a non-negative integer as {key} of the state; got {state[key]!r}")
        if state["position"] > len(self):
            raise ValueError(f"Loader: the state is at batch {state['position']} of {len(self)}")
        self.seed = state["seed"]
        self._next_epoch = max(state["next_epoch"], state["epoch"] + (state["position"] > 0))
        self.stand_at(Place(state["epoch"], state["position"]))
        self._resumes = True

    def __repr__(self) -> str:
        return f"Loader({self.dataset!r}, {len(self)} batches of {self.batch_size}, seed={self.seed})"
