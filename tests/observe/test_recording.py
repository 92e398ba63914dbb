from dataclasses import fields, replace

import numpy as np
import pytest

from minidl.files.arrays import load_arrays, save_arrays
from minidl.observe import FlowRecording, RaceRecording
from minidl.observe.recording import PER_LAYER, as_recordings
from tests.observe.loops import recorded, small
from tests.plot.recordings import flow


def same(a, b):
    return a == b if isinstance(a, (str, tuple)) else np.array_equal(a, b, equal_nan=True)


def test_a_recording_comes_back_from_its_file_as_it_was(tmp_path):
    recording = recorded()
    recording.save(tmp_path / "run.npz")
    loaded = FlowRecording.load(tmp_path / "run.npz")
    for f in fields(FlowRecording):
        assert same(getattr(loaded, f.name), getattr(recording, f.name)), f.name


def test_the_file_is_plain_named_arrays_anyone_can_read(tmp_path):
    recording = recorded()
    recording.save(tmp_path / "run.npz")
    with np.load(tmp_path / "run.npz", allow_pickle=False) as arrays:
        assert list(arrays["layers"]) == list(recording.layers)
        np.testing.assert_array_equal(arrays["update_norm"], recording.update_norm)
        assert set(PER_LAYER) <= set(arrays.files)


def test_a_recording_without_notes_and_steps_can_be_saved(tmp_path):
    recording = recorded(steps=0)
    replace(recording, notes=()).save(tmp_path / "empty.npz")
    assert FlowRecording.load(tmp_path / "empty.npz").layers == recording.layers


def test_foreign_and_damaged_files_are_refused_by_name(tmp_path):
    save_arrays(tmp_path / "race.npz", {"arms": np.array(["a"])}, kind="race")
    with pytest.raises(ValueError, match=r"race\.npz is a race; expected a gradient flow"):
        FlowRecording.load(tmp_path / "race.npz")
    recorded().save(tmp_path / "cut.npz")
    whole = (tmp_path / "cut.npz").read_bytes()
    (tmp_path / "cut.npz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"cut\.npz is damaged"):
        FlowRecording.load(tmp_path / "cut.npz")
    recorded().save(tmp_path / "flow.npz")
    with pytest.raises(ValueError, match="expected a race"):
        RaceRecording.load(tmp_path / "flow.npz")


def as_another_version_writes(path, kind, name, change):
    """The file of a recording with one array dropped, or changed into something else."""
    arrays, _ = load_arrays(path, kind=kind)
    array = arrays.pop(name)
    if change is not None:
        arrays[name] = change(array)
    save_arrays(path, arrays, kind=kind)


CHANGES = pytest.mark.parametrize(
    "change",
    [
        None,
        lambda array: np.zeros((1, 2, 3, 4, 5)),
        lambda array: np.array(1j),
        lambda array: np.array([b"bytes"]),
    ],
    ids=["missing", "of five axes", "complex", "bytes"],
)


@CHANGES
@pytest.mark.parametrize("name", [f.name for f in fields(FlowRecording)])
def test_a_file_with_other_arrays_is_refused_by_file_and_array(tmp_path, name, change):
    recorded().save(tmp_path / "flow.npz")
    as_another_version_writes(tmp_path / "flow.npz", "gradient_flow", name, change)
    with pytest.raises(ValueError, match=rf"flow\.npz cannot be read as a gradient flow: .*'{name}'"):
        FlowRecording.load(tmp_path / "flow.npz")


def test_a_file_with_an_array_more_is_refused(tmp_path):
    recorded().save(tmp_path / "flow.npz")
    arrays, _ = load_arrays(tmp_path / "flow.npz", kind="gradient_flow")
    save_arrays(tmp_path / "flow.npz", {**arrays, "curvature": np.ones(4)}, kind="gradient_flow")
    with pytest.raises(ValueError, match=r"flow\.npz .*its array 'curvature' is not known here.*Make it anew"):
        FlowRecording.load(tmp_path / "flow.npz")


def test_a_file_whose_texts_are_none_is_refused(tmp_path):
    recorded().save(tmp_path / "flow.npz")
    as_another_version_writes(tmp_path / "flow.npz", "gradient_flow", "dtype", lambda array: np.array("float31"))
    with pytest.raises(ValueError, match=r"flow\.npz .*float64 as the dtype of the weights; got 'float31'"):
        FlowRecording.load(tmp_path / "flow.npz")
    no_character = np.frombuffer(np.array([0x110000], "<u4").tobytes(), "<U1").reshape(())
    as_another_version_writes(tmp_path / "flow.npz", "gradient_flow", "dtype", lambda array: no_character)
    with pytest.raises(ValueError, match=r"flow\.npz is damaged.*: 'dtype' holds numbers that stand for no"):
        FlowRecording.load(tmp_path / "flow.npz")


def test_arrays_that_do_not_fit_together_are_refused():
    recording = recorded()
    with pytest.raises(ValueError, match=r"update_norm must have one row a step and one column a layer, \(4, 3\)"):
        replace(recording, update_norm=recording.update_norm[:2])
    with pytest.raises(ValueError, match="4 losses and 3 outputs"):
        replace(recording, loss=recording.loss[:1])


def test_the_update_ratio_is_the_update_over_the_weights_and_nothing_moved_is_zero():
    recording = recorded(small(1), steps=1)
    frozen = replace(recording, update_norm=np.array([[0.0, 2.0]]), weight_norm=np.array([[0.0, 8.0]]))
    np.testing.assert_array_equal(frozen.update_ratio, [[0.0, 0.25]])


def test_a_step_is_an_index_into_what_was_recorded():
    recording = recorded(steps=3)
    assert [recording.row(step) for step in (0, 2, -1)] == [0, 2, 2]
    with pytest.raises(ValueError, match=r"has 3 steps, so step must be in -3\.\.2; got 3"):
        recording.row(3)
    with pytest.raises(ValueError, match=r"holds no step.*optimizer\.step\(\)"):
        recorded(steps=0).row(-1)


def test_seeds_must_belong_together():
    one, other = recorded(), recorded(small(3))
    assert as_recordings(one) == [one]
    with pytest.raises(ValueError, match="same layers and steps"):
        as_recordings([one, other])
    with pytest.raises(ValueError, match="at least one recording"):
        as_recordings([])


def test_what_a_file_is_told_about_its_run_comes_back_with_it(tmp_path):
    recorded().save(tmp_path / "run.npz", about={"key": "sgd-uniform"})
    recording, about = FlowRecording.load_with_about(tmp_path / "run.npz")
    assert about == {"key": "sgd-uniform"}
    assert recording.layers == recorded().layers


def test_what_is_not_finite_is_infinite_and_what_was_not_there_is_nan():
    recording = flow(steps=4, update_norm=[[1.0], [1.0], [np.inf], [1.0]], weight_gradient_rms=np.nan)
    np.testing.assert_array_equal(recording.not_finite.any(axis=1), [False, False, True, False])
    assert np.isinf(recording.update_ratio[2]).all()
    assert recording.diverged_at is None
    assert recording.divergence() == [
        "loss or gradients were not finite in 1 of 4 steps (layers fc1 to fc4)",
    ]
    lost = replace(recording, loss=np.array([1.0, 1.0, np.inf, np.inf]))
    assert lost.diverged_at == 2
    assert lost.verdict().startswith("from step 2 on loss is not finite: it diverged; ")
    weights = flow(steps=2, update_norm=np.inf, weight_norm=np.inf)
    assert np.isinf(weights.update_ratio).all()
