"""minidl/experiments/runs.py: a run's numbers, and its file."""

import numpy as np
import pytest

from minidl.experiments.compare import Comparison
from minidl.experiments.runs import RunKey
from minidl.experiments.workers import Workers
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
