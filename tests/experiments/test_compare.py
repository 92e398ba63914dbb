"""The protocol: paired arms, replayed multipliers, tuning, and a run folder that a stopped comparison goes on in."""

import json

import numpy as np
import pytest

from minidl.experiments import settings as settings_module
from minidl.experiments.compare import Comparison, best_index, expected_runs, tuned_rules
from minidl.experiments.runs import RunKey
from minidl.experiments.settings import GRIDS, Settings
from minidl.experiments.workers import Workers
from tests.experiments.conftest import small_settings


def test_a_comparison_that_was_stopped_goes_on_with_the_same_bits(tmp_path):
    settings = small_settings(epochs=1, seeds=2)
    with Workers(in_process=True) as workers:
        whole = Comparison(settings, tmp_path / "whole", workers).arm_runs("sgd")
        stopped = Comparison(settings, tmp_path / "stopped", workers)
        stopped.run_all([RunKey("sgd", "layer-specific", 0.5, 0), RunKey("sgd", "uniform", 0.5, 1)])
        done = []
        resumed = Comparison(settings, tmp_path / "stopped", workers, on_run=done.append).arm_runs("sgd")
    assert len(list((tmp_path / "stopped" / "runs").glob("*.npz"))) == 8
    assert len(done) == 8
    for arm in whole:
        for a, b in zip(whole[arm], resumed[arm], strict=True):
            np.testing.assert_array_equal(a.loss, b.loss)
            np.testing.assert_array_equal(a.test_accuracy, b.test_accuracy)


def test_a_folder_with_something_else_is_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("precious")
    with Workers(in_process=True) as workers:
        with pytest.raises(ValueError, match="not a comparison's folder; choose another --out"):
            Comparison(small_settings(), tmp_path, workers)
        Comparison(small_settings(), tmp_path / "run", workers)
        with pytest.raises(ValueError, match="comparison with other settings"):
            Comparison(small_settings(epochs=7), tmp_path / "run", workers)
        for content in ("{", "[]", '{"format": 1, "format": 1}'):
            (tmp_path / "run" / "settings.json").write_text(content)
            with pytest.raises(ValueError, match=r"settings\.json cannot be read.*; choose another --out"):
                Comparison(small_settings(), tmp_path / "run", workers)


def test_the_best_rate_has_the_lowest_mean_and_never_a_diverged_run():
    losses = np.array([[0.5, 0.7], [0.4, 0.5], [0.1, np.nan], [0.9, 0.9]])
    assert best_index(losses) == 1


def test_every_rule_is_tuned_over_the_whole_grid_on_seeds_that_are_not_reported(tmp_path, monkeypatch):
    monkeypatch.setitem(settings_module.GRIDS, "sgd", (0.1, 0.5))
    settings = small_settings(lr=None, epochs=1, seeds=1)
    with Workers(in_process=True) as workers:
        comparison = Comparison(settings, tmp_path / "run", workers)
        sweep = comparison.sweep("sgd")
        rates = comparison.base_rates("sgd")
        comparison.arm_runs("sgd")
    assert list(sweep) == ["uniform", "layer-specific", "constant", "per-step"]
    assert all(losses.shape == (2, 2) for losses in sweep.values())
    assert rates["uniform"] == rates["layer-specific"] == rates["constant"] == rates["per-step"]
    for rule in ("uniform", "constant", "per-step"):
        assert rates[f"{rule}-tuned"] == (0.1, 0.5)[best_index(sweep[rule])]
    names = [path.stem for path in (tmp_path / "run" / "runs").iterdir()]
    assert sum("seed1000" in name for name in names) == 2 * 2 * 4


def test_what_has_to_be_tuned_follows_from_the_arms():
    assert tuned_rules(Settings(lr=1.0)) == ()
    assert tuned_rules(Settings(arms=("uniform", "layer-specific"))) == ("layer-specific",)
    assert tuned_rules(Settings(arms=("uniform",))) == ("uniform",)
    assert tuned_rules(Settings()) == ("uniform", "layer-specific", "constant", "per-step")
    assert expected_runs(Settings(lr=1.0)) == 4 * 5
    assert expected_runs(Settings()) == 4 * 2 * len(GRIDS["sgd"]) + (7 + 2) * 5


def test_the_settings_are_written_where_the_runs_are(one_epoch):
    saved = json.loads((one_epoch.folder / "settings.json").read_text())
    assert saved["settings"] == one_epoch.settings.as_dict()
