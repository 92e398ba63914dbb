"""The protocol: paired arms, replayed multipliers, tuning, and a run folder that a stopped comparison goes on in."""

import json
import shutil
from dataclasses import replace
from itertools import chain, combinations

import numpy as np
import pytest

from minidl.experiments import settings as settings_module
from minidl.experiments.compare import Comparison, best_index, expected_runs, tuned_rules
from minidl.experiments.results import summarise
from minidl.experiments.runs import RunKey
from minidl.experiments.settings import GRIDS, Settings
from minidl.experiments.workers import Workers
from minidl.files.arrays import load_arrays, save_arrays
from minidl.observe import FlowRecording
from minidl.observe.recording import PER_LAYER
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


SHOWN = ("uniform", "layer-specific")


def results_of(settings, folder):
    """What results.json says of a comparison, without the seconds, which no two runs share."""
    with Workers(in_process=True) as workers:
        comparison = Comparison(settings, folder, workers)
        results = summarise(comparison, {"sgd": comparison.record_all("sgd", SHOWN)})
    for row in results["methods"]["sgd"]["arms"].values():
        assert len(row.pop("seconds")) == settings.seeds
    return results


def complete_from(kept, whole, folder, settings):
    """The results of a comparison that was stopped when only the files `kept` were finished."""
    (folder / "runs").mkdir(parents=True)
    for name in ("settings.json", *kept):
        shutil.copy(whole / name, folder / name)
    return results_of(settings, folder)


def test_a_comparison_ends_with_the_same_results_whichever_of_its_runs_were_finished_when_it_was_stopped(tmp_path):
    settings = small_settings(epochs=1, seeds=1)
    with Workers(in_process=True) as workers:
        Comparison(settings, tmp_path / "whole", workers).arm_runs("sgd")
    expected = results_of(settings, tmp_path / "whole")
    multipliers = {arm: row["mean_multiplier"] for arm, row in expected["methods"]["sgd"]["arms"].items()}
    assert multipliers["uniform"] == [1.0]
    assert multipliers["layer-specific"] == multipliers["per-step"]
    assert multipliers["constant"] == pytest.approx(multipliers["layer-specific"])
    files = [f"runs/{path.name}" for path in sorted((tmp_path / "whole" / "runs").iterdir())]
    assert len(files) == 4
    for number, kept in enumerate(chain.from_iterable(combinations(files, n) for n in range(4))):
        assert complete_from(kept, tmp_path / "whole", tmp_path / f"stopped{number}", settings) == expected, kept
    flows = ["flow-sgd-uniform.npz", "flow-sgd-layer-specific.npz"]
    for number, flow in enumerate(flows):
        kept = [*files, flow]
        assert complete_from(kept, tmp_path / "whole", tmp_path / f"drawing{number}", settings) == expected


def test_a_tuned_comparison_ends_with_the_same_results_whatever_was_finished(tmp_path, monkeypatch):
    monkeypatch.setitem(settings_module.GRIDS, "sgd", (0.1, 0.5))
    settings = small_settings(lr=None, epochs=1, seeds=1, tuning_seeds=(10_000,))
    expected = results_of(settings, tmp_path / "whole")
    files = [f"runs/{path.name}" for path in sorted((tmp_path / "whole" / "runs").iterdir())]
    chosen = np.random.default_rng(0)
    for number in range(4):
        kept = [name for name in files if chosen.random() < 0.5]
        assert complete_from(kept, tmp_path / "whole", tmp_path / f"stopped{number}", settings) == expected, kept


@pytest.mark.parametrize("left", [[], ["runs/"], [".settings.json.1f3a5c7e.part"], ["runs/", ".settings.json.0.part"]])
def test_a_comparison_killed_before_its_settings_were_written_is_begun_again(tmp_path, left):
    folder = tmp_path / "run"
    folder.mkdir()
    for name in left:
        (folder / name).mkdir() if name.endswith("/") else (folder / name).write_text("{")
    with Workers(in_process=True) as workers:
        Comparison(small_settings(), folder, workers)
        Comparison(small_settings(), folder, workers)  # and a second process goes on with it
    assert json.loads((folder / "settings.json").read_text())["settings"] == small_settings().as_dict()


def test_the_settings_are_the_first_that_a_comparison_writes(tmp_path, monkeypatch):
    seen = []

    def killed(path, content):
        seen.append((path.name, list(path.parent.iterdir()) if path.parent.exists() else []))
        raise KeyboardInterrupt

    monkeypatch.setattr("minidl.experiments.compare.write_atomically", killed)
    with Workers(in_process=True) as workers, pytest.raises(KeyboardInterrupt):
        Comparison(small_settings(), tmp_path / "run", workers)
    assert seen == [("settings.json", [])]


def test_a_folder_of_runs_without_settings_is_left_alone(tmp_path):
    (tmp_path / "run" / "runs").mkdir(parents=True)
    (tmp_path / "run" / "runs" / "sgd-uniform-0.5-seed0.npz").write_text("precious")
    with Workers(in_process=True) as workers, pytest.raises(ValueError, match="not a comparison's folder"):
        Comparison(small_settings(), tmp_path / "run", workers)


def test_files_of_another_run_are_refused_by_name(tmp_path):
    settings = small_settings(epochs=1, seeds=2)
    results_of(settings, tmp_path / "run")
    results_of(small_settings(epochs=2, seeds=1), tmp_path / "longer")
    swaps = {
        "runs/sgd-uniform-0.5-seed0.npz": (
            "run/runs/sgd-layer-specific-0.5-seed0.npz",
            "its key is sgd-layer-specific",
        ),
        "runs/sgd-uniform-0.5-seed1.npz": ("run/runs/sgd-uniform-0.5-seed0.npz", "0.5-seed0, expected .*0.5-seed1"),
        "runs/sgd-constant-0.5-seed0.npz": ("longer/runs/sgd-constant-0.5-seed0.npz", "its epochs is 2, expected 1"),
        "flow-sgd-uniform.npz": ("run/flow-sgd-layer-specific.npz", "its key is sgd-layer-specific"),
    }
    for name, (other, words) in swaps.items():
        own = (tmp_path / "run" / name).read_bytes()
        shutil.copy(tmp_path / other, tmp_path / "run" / name)
        with pytest.raises(ValueError, match=rf"{name} is of another run: .*{words}.*\. Delete it"):
            results_of(settings, tmp_path / "run")
        (tmp_path / "run" / name).write_bytes(own)
    results_of(settings, tmp_path / "run")


def test_a_file_of_another_length_is_refused_by_name(tmp_path):
    settings = small_settings(epochs=1, seeds=1)
    results_of(settings, tmp_path / "run")
    path, about = tmp_path / "run" / "runs" / "sgd-uniform-0.5-seed0.npz", "holds 33 losses and 1 evaluations"
    arrays, meta = load_arrays(path, kind="run")
    shorter = {name: array[:-1] for name, array in arrays.items() if array.shape == arrays["loss"].shape}
    save_arrays(path, arrays | shorter, kind="run", meta=meta)
    with pytest.raises(ValueError, match=rf"{path.name} {about}; expected 34 and 1"):
        results_of(settings, tmp_path / "run")
    save_arrays(path, arrays, kind="run", meta=meta)
    path = tmp_path / "run" / "flow-sgd-uniform.npz"
    flow, meta = FlowRecording.load_with_about(path)
    replace(flow, steps=flow.steps[1:], loss=flow.loss[1:], **{f: getattr(flow, f)[1:] for f in PER_LAYER}).save(
        path, about=meta
    )
    with pytest.raises(ValueError, match=rf"{path.name} holds 33 steps; expected 34"):
        results_of(settings, tmp_path / "run")


@pytest.mark.parametrize("left", [b"", b"no file of arrays", None], ids=["empty", "other", "cut off"])
def test_a_damaged_file_says_that_it_is_to_be_deleted(tmp_path, left):
    settings = small_settings(epochs=1, seeds=1)
    results_of(settings, tmp_path / "run")
    for name, then in (
        ("runs/sgd-uniform-0.5-seed0.npz", "the run is made anew"),
        ("flow-sgd-uniform.npz", "it is recorded anew"),
    ):
        path = tmp_path / "run" / name
        own = path.read_bytes()
        path.write_bytes(own[: len(own) // 2] if left is None else left)
        with pytest.raises(ValueError, match=rf"{path.name} .*\. Delete it, and {then}$"):
            results_of(settings, tmp_path / "run")
        path.unlink()
        results_of(settings, tmp_path / "run")
        assert path.exists()


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
