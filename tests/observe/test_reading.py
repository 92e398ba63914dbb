import numpy as np
import pytest

import minidl as md
from minidl.files.arrays import save_arrays
from minidl.observe import FlowRecording, RaceRecording
from tests.observe.loops import recorded
from tests.plot.recordings import race


def test_a_recording_of_any_kind_is_loaded(tmp_path):
    recorded().save(tmp_path / "flow.npz")
    race().save(tmp_path / "race.npz")
    assert isinstance(md.observe.load(tmp_path / "flow.npz"), FlowRecording)
    assert isinstance(md.observe.load(tmp_path / "race.npz"), RaceRecording)


def test_other_files_are_refused_by_name(tmp_path):
    save_arrays(tmp_path / "weights.npz", {"a": np.zeros(2)}, kind="weights")
    with pytest.raises(ValueError, match=r"weights\.npz is a weights, which is no recording; recordings are: gradient"):
        md.observe.load(tmp_path / "weights.npz")
    (tmp_path / "text.npz").write_text("no zip")
    with pytest.raises(ValueError, match=r"text\.npz is damaged"):
        md.observe.load(tmp_path / "text.npz")
    np.savez(tmp_path / "foreign.npz", a=np.zeros(2))
    with pytest.raises(ValueError, match=r"foreign\.npz was not written by minidl"):
        md.observe.load(tmp_path / "foreign.npz")
    with pytest.raises(FileNotFoundError):
        md.observe.load(tmp_path / "nowhere.npz")
