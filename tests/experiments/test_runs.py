"""minidl/experiments/runs.py: a run's numbers, and its file."""

from dataclasses import fields

import numpy as np
import pytest

from minidl.experiments.compare import Comparison
from minidl.experiments.runs import RUN_ARRAYS, Run, RunKey, rule_for
from minidl.experiments.workers import Workers
from minidl.files.arrays import load_arrays, save_arrays
from minidl.optim import LayerSpecific
from tests.experiments.conftest import small_settings


def test_a_run_is_called_after_what_it_is():
    assert str(RunKey("sgd", "uniform", 0.5, 3)) == "sgd-uniform-0.5-seed3"


def test_a_run_has_a_loss_for_each_step_and_an_accuracy_for_each_epoch(one_epoch):
    run = one_epoch.arm_runs("sgd")["uniform"][0]
    assert run.loss.shape == run.seconds.shape == run.mean_multiplier.shape
    assert list(run.eval_steps) == [len(run.loss)]
    assert run.test_accuracy.shape == run.test_loss.shape == (1,)
    assert np.all(np.diff(run.seconds) > 0)
    assert 0 <= run.validation_accuracy <= 1


def test_a_damaged_run_file_is_named(tmp_path):
    settings = small_settings(epochs=1, seeds=1)
    key = RunKey("sgd", "uniform", 0.5, 0)
    with Workers(in_process=True) as workers:
        Comparison(settings, tmp_path / "run", workers).run_all([key])
        path = tmp_path / "run" / "runs" / f"{key}.npz"
        path.write_bytes(path.read_bytes()[:-100])
        with pytest.raises(ValueError, match=path.name):
            Comparison(settings, tmp_path / "run", workers).run_all([key])


def test_the_table_of_a_runs_file_has_all_that_a_run_left():
    assert list(RUN_ARRAYS) == [f.name for f in fields(Run)]


@pytest.mark.parametrize("name", list(RUN_ARRAYS))
def test_a_run_file_with_other_arrays_is_refused_by_file_and_array(tmp_path, name):
    key, settings = RunKey("sgd", "uniform", 0.5, 0), small_settings(epochs=1, seeds=1)
    run = Run(*(np.ones(3) for _ in range(2)), np.array([3]), np.ones(1), np.ones(1), 0.5, 0.5, np.ones(3))
    with Workers(in_process=True) as workers:
        path = Comparison(settings, tmp_path / "run", workers).folder / "runs" / f"{key}.npz"
        for change in ({}, {name: np.array(["text"])}, {name: np.ones((2, 2))}):
            arrays = {other: array for other, array in run.arrays().items() if other != name} | change
            save_arrays(path, arrays, kind="run", meta={"key": str(key)})
            with pytest.raises(ValueError, match=rf"{key}\.npz cannot be read as a run: .*'{name}'"):
                Comparison(settings, tmp_path / "run", workers).run_all([key])
        save_arrays(path, run.arrays(), kind="run", meta={"key": str(key)})
        assert list(load_arrays(path, kind="run", schema=RUN_ARRAYS)[0]) == list(RUN_ARRAYS)


def made_up_twin(multipliers):
    empty = np.zeros(len(multipliers))
    return Run(empty, empty, empty, empty, empty, 0.0, 0.0, np.array(multipliers))


def test_only_controls_look_at_the_layer_specific_run():
    twin = made_up_twin([2.0, 4.0])
    assert rule_for(RunKey("sgd", "uniform", 0.5, 0), twin) == (1.0, None)
    factor, rule = rule_for(RunKey("sgd", "layer-specific", 0.5, 0), twin)
    assert (factor, type(rule)) == (1.0, LayerSpecific)
    assert rule_for(RunKey("sgd", "constant", 0.5, 0), twin) == (3.0, None)
    assert rule_for(RunKey("sgd", "per-step", 0.5, 0), twin)[1].multipliers == (2.0, 4.0)
    with pytest.raises(ValueError, match="replays the layer-specific run"):
        rule_for(RunKey("sgd", "constant", 0.5, 0), None)


def test_the_controls_of_a_run_that_diverged_replay_what_came_before():
    twin = made_up_twin([2.0, 4.0, np.nan, np.nan])
    assert rule_for(RunKey("sgd", "constant", 0.5, 0), twin) == (3.0, None)
    assert rule_for(RunKey("sgd", "per-step", 0.5, 0), twin)[1].multipliers == (2.0, 4.0, 4.0, 4.0)
    lost = made_up_twin([np.nan, np.inf])
    assert rule_for(RunKey("sgd", "constant", 0.5, 0), lost) == (1.0, None)
    assert rule_for(RunKey("sgd", "per-step", 0.5, 0), lost)[1].multipliers == (1.0, 1.0)
