"""minidl/observe/race.py."""

from dataclasses import fields

import numpy as np
import pytest

from minidl.observe import RaceRecording
from tests.observe.test_recording import CHANGES, as_another_version_writes, same


def race(**changes):
    values = {
        "arms": ["a", "b"],
        "seeds": [0, 1, 2],
        "steps": [1, 2, 3, 4],
        "loss": np.arange(24.0).reshape(2, 3, 4),
        "seconds": np.arange(24.0).reshape(2, 3, 4),
        "eval_steps": [2, 4],
        "accuracy": np.full((2, 3, 2), 0.5),
        "sweep_arms": ["a"],
        "sweep_rates": [0.1, 1.0],
        "sweep_loss": np.array([[[1.0, 2.0], [np.inf, 3.0]]]),
    }
    return RaceRecording(**{**values, **changes})


def test_a_race_comes_back_from_its_file_as_it_was(tmp_path):
    before = race(rates=[0.1, 1.0], notes=["a note"])
    before.save(tmp_path / "race.npz")
    after = RaceRecording.load(tmp_path / "race.npz")
    for f in fields(RaceRecording):
        assert same(getattr(after, f.name), getattr(before, f.name)), f.name
    assert np.isnan(race().rates).all()


def test_a_race_needs_no_sweep(tmp_path):
    before = race(sweep_arms=(), sweep_loss=np.zeros((0, 0, 0)))
    before.save(tmp_path / "race.npz")
    assert RaceRecording.load(tmp_path / "race.npz").sweep_arms == ()


@CHANGES
@pytest.mark.parametrize("name", [f.name for f in fields(RaceRecording)])
def test_a_file_with_other_arrays_is_refused_by_file_and_array(tmp_path, name, change):
    race(notes=["a note"]).save(tmp_path / "race.npz")
    as_another_version_writes(tmp_path / "race.npz", "race", name, change)
    with pytest.raises(ValueError, match=rf"race\.npz cannot be read as a race: .*{name}"):
        RaceRecording.load(tmp_path / "race.npz")


def test_the_time_of_an_evaluation_is_read_from_the_times_of_the_steps():
    seconds = np.tile([10.0, 20.0, 30.0, 40.0], (2, 3, 1))
    np.testing.assert_array_equal(race(seconds=seconds, eval_steps=[1, 3]).eval_seconds[0], [[10.0, 30.0]] * 3)


def test_a_race_names_everything_that_does_not_fit():
    with pytest.raises(ValueError, match=r"loss must have shape \(2, 3, 4\).*rates must have shape \(2,\), got \(1,\)"):
        race(loss=np.zeros((2, 3)), rates=[1.0])
    with pytest.raises(ValueError, match="sweep_loss must have shape"):
        race(sweep_loss=np.zeros((2, 2, 2)))
    with pytest.raises(ValueError, match="at least one arm, seed, step and evaluation"):
        race(seeds=[], loss=np.zeros((2, 0, 4)), seconds=np.zeros((2, 0, 4)), accuracy=np.zeros((2, 0, 2)))
