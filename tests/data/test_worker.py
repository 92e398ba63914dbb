"""minidl/data/worker.py: what a process does that makes batches, called here in a thread of this one."""

import threading
from multiprocessing import Pipe

import numpy as np
import pytest

from minidl.data import worker
from minidl.data.making import Making
from minidl.data.worker import ALIGNED, Epoch, Slot
from tests.data.sources import Damaged, Squares

PATIENCE = 30


@pytest.fixture
def asking(monkeypatch):
    """A pipe to `work` with two slots of 2,000 bytes; it has to end when the pipe is closed."""
    monkeypatch.setattr(worker.signal, "signal", lambda *arguments: None)  # not of this process
    ours, theirs = Pipe()
    slots = [bytearray(2000), bytearray(2000)]
    thread = threading.Thread(target=worker.work, args=(theirs, slots))
    thread.start()
    yield ours, slots
    ours.close()
    thread.join(PATIENCE)
    assert not thread.is_alive()


def test_a_batch_is_written_into_the_slot_that_is_named(asking):
    pipe, slots = asking
    pipe.send(Making(Squares(), 4, None))
    pipe.send((Epoch(0, False, 0), 1, 1))
    kind, places = pipe.recv()
    assert kind == "slot"
    inputs, labels = (
        np.frombuffer(slots[1], np.uint8)[begin : begin + size].view(dtype).reshape(shape)
        for begin, size, dtype, shape in places
    )
    np.testing.assert_array_equal(inputs, Squares().take(np.arange(4, 8))[0])
    assert labels.tolist() == [4, 5, 6, 7]
    assert slots[0] == bytearray(2000)


@pytest.mark.parametrize(("size", "slot"), [(4, None), (20, 0)], ids=["no slot", "too large"])
def test_what_has_no_slot_goes_through_the_pipe(asking, size, slot):
    pipe, _ = asking
    pipe.send(Making(Squares(), size, None))
    pipe.send((Epoch(5, True, 2), 0, slot))
    kind, layouts = pipe.recv()
    assert kind == "pipe"
    inputs, labels = (np.frombuffer(pipe.recv_bytes(), dtype).reshape(shape) for dtype, shape in layouts)
    expected = Making(Squares(), size, None).batch(5, 2, worker.order_of(23, True, 5, 2), 0)
    np.testing.assert_array_equal(inputs, expected[0])
    np.testing.assert_array_equal(labels, expected[1])


def test_an_error_is_the_answer_and_the_next_batch_is_made(asking):
    pipe, _ = asking
    pipe.send(Making(Damaged(), 4, None))
    for number in (3, 0):
        pipe.send((Epoch(0, False, 0), number, 0))
    kind, (error, where) = pipe.recv()
    assert (kind, type(error)) == ("error", OSError)
    assert "in take" in where
    assert pipe.recv()[0] == "slot"


def test_arrays_in_a_slot_begin_at_multiples_and_lie_elsewhere_if_they_do_not_fit():
    memory = bytearray(3 * ALIGNED)
    slot, base = Slot(memory), np.frombuffer(memory, np.uint8)
    first, second, third = slot.empty((1,), "u1"), slot.empty((2,), "f8"), slot.empty((9,), "f8")
    assert [np.shares_memory(base, array) for array in (first, second, third)] == [True, True, False]
    assert slot.place_of(first)[0] == 0
    assert slot.place_of(second) == (ALIGNED, 16, np.dtype("f8"), (2,))
    assert slot.place_of(third) is None
    assert slot.place_of(np.arange(4, dtype="i4"))[0] == 2 * ALIGNED
    assert base[2 * ALIGNED : 2 * ALIGNED + 16].view("i4").tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("strange", [[1, 2], np.array(["a", None], object)], ids=["a list", "objects"])
def test_objects_have_no_place_in_a_slot(strange):
    assert Slot(bytearray(1000)).place_of(strange) is None
