import numpy as np

from minidl import backend
from minidl.observe.recording import PER_LAYER
from minidl.observe.rows import MOST_BYTES, Row, Rows
from tests.arrays import device


def filled(width, count, value=lambda i: i):
    rows = Rows(width)
    measured = np.ones(width, dtype=bool)
    for i in range(count):
        rows.append(Row(i, 1, device(np.full(width, float(value(i)))), measured))
    return rows


def test_all_rows_are_kept_while_there_is_room():
    rows = filled(3, 1000)
    assert len(rows) == 1000
    assert rows.stride == 1
    np.testing.assert_array_equal(rows.table()[:, 2], np.arange(1000))
    assert [row.step for row in rows.about()] == list(range(1000))


def test_of_a_long_recording_every_nth_row_is_kept_and_always_the_first_and_the_last():
    width = MOST_BYTES // 8 // 600  # 600 rows would fill the room: 512 are kept at most
    for count in (511, 512, 513, 700, 1023, 1024, 1025, 3000):
        rows = filled(width, count)
        steps = [row.step for row in rows.about()]
        assert steps[0] == 0
        assert steps[-1] == count - 1
        assert len(steps) <= 512
        assert set(np.diff(steps[:-1])) <= {rows.stride}
        np.testing.assert_array_equal(rows.table()[:, 0], steps)


def test_100000_steps_of_20_layers_take_less_than_100_mb():
    """Computed: the rows that can be kept at most, and the arrays of a recording made of them."""
    width = 20 * len(PER_LAYER) + 1
    most = Rows(width)._most
    row = 8 * width
    assert most * row <= MOST_BYTES
    assert 2 * MOST_BYTES + most * 8 < 100e6  # the table that is brought home, and the fields copied out of it


def test_rows_of_many_layers_are_bounded_too():
    assert Rows(8 * 6001)._most == 512


def test_nothing_recorded_is_an_empty_table():
    rows = Rows(4)
    assert len(rows) == 0
    assert rows.table().shape == (0, 4)
    assert backend.device_of(rows.table()) == "numpy"


def test_rows_share_what_was_measured():
    rows = filled(3, 5)
    assert len({id(row.measured) for row in rows.about()}) == 1
