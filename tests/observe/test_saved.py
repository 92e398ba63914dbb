from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest

from minidl.files.schema import NUMBERS, TEXT, Entry
from minidl.observe.saved import SavedRecording, finite_or_infinite


@dataclass(frozen=True, eq=False)
class Sizes(SavedRecording):
    kind: ClassVar[str] = "some_sizes"
    schema: ClassVar[dict[str, Entry]] = {
        "names": Entry(TEXT, ("N",)), "title": Entry(TEXT, ()), "sizes": Entry(NUMBERS, ("N", 2)),
    }  # fmt: skip
    names: Any
    title: Any
    sizes: Any


def test_a_recording_comes_back_from_its_file_as_it_was(tmp_path):
    Sizes(["a", "b"], "t", [[1, 2], [3, np.nan]]).save(tmp_path / "s.npz")
    found = Sizes.load(tmp_path / "s.npz")
    assert (found.names, found.title) == (("a", "b"), "t")
    np.testing.assert_array_equal(found.sizes, [[1, 2], [3, np.nan]])


def test_names_may_be_none_at_all():
    assert Sizes([], "t", np.zeros((0, 2))).names == ()


def test_arrays_that_do_not_fit_each_other_are_refused_by_name():
    with pytest.raises(ValueError, match=r"a some sizes recording: expected 'sizes' of shape \(2, 2\); got \(1, 2\)"):
        Sizes(["a", "b"], "t", [[1, 2]])
    with pytest.raises(ValueError, match="expected numbers as 'sizes'"):
        Sizes(["a"], "t", [["x", "y"]])


def test_a_file_of_another_kind_is_refused(tmp_path):
    @dataclass(frozen=True, eq=False)
    class Others(Sizes):
        kind: ClassVar[str] = "others"

    Others(["a"], "t", [[1, 2]]).save(tmp_path / "o.npz")
    with pytest.raises(ValueError, match=r"o\.npz is a others; expected a some sizes"):
        Sizes.load(tmp_path / "o.npz")


def test_what_was_measured_and_is_no_number_reads_infinity():
    assert [finite_or_infinite(x) for x in (1.0, np.nan, -np.inf)] == [1.0, np.inf, -np.inf]
