"""A whole small comparison: its files, its numbers against the runs they come from, the criterion for its network."""

import json
import re

import numpy as np

from minidl.experiments.pipeline import run_comparison
from minidl.experiments.report import headline
from minidl.experiments.results import as_json, slope_per_layer
from minidl.experiments.runs import Run
from minidl.files.arrays import load_arrays
from minidl.observe import FlowRecording, RaceRecording
from tests.experiments.conftest import small_settings

FIGURES = ("race-sgd", "update_heatmap-sgd", "flow_profile-sgd", "gradient_flow-sgd")


def test_the_folder_has_everything(finished):
    folder, _ = finished
    for name in FIGURES:
        assert {p.suffix for p in folder.glob(f"{name}.*")} >= {".png", ".svg", ".json"}
    assert (folder / "report.html").stat().st_size > 50_000
    assert len(list((folder / "runs").glob("*.npz"))) == 4 * 5
    assert not list(folder.rglob("*.tmp*"))


def test_the_results_are_the_runs_numbers(finished):
    folder, results = finished
    assert json.loads((folder / "results.json").read_text()) == json.loads(json.dumps(as_json(results)))
    row = results["methods"]["sgd"]["arms"]["constant"]
    for seed in range(5):
        run = Run.from_arrays(load_arrays(folder / "runs" / f"sgd-constant-0.5-seed{seed}.npz", kind="run")[0])
        assert row["test_loss"][seed] == run.test_loss[-1]
        assert row["test_accuracy"][seed] == run.test_accuracy[-1]


def test_the_recorded_flow_is_that_of_the_first_seeds_run(finished):
    folder, _ = finished
    flow = FlowRecording.load(folder / "flow-sgd-layer-specific.npz")
    run = Run.from_arrays(load_arrays(folder / "runs" / "sgd-layer-specific-0.5-seed0.npz", kind="run")[0])
    np.testing.assert_array_equal(np.asarray(flow.loss, np.float32), np.asarray(run.loss, np.float32))
    np.testing.assert_allclose(flow.multiplier.mean(axis=1), run.mean_multiplier, rtol=1e-6)


def test_the_race_recording_holds_every_arm_and_seed(finished):
    folder, _ = finished
    race = RaceRecording.load(folder / "race-sgd.npz")
    assert list(race.arms) == ["uniform", "layer-specific", "constant", "per-step"]
    assert race.loss.shape == (4, 5, 2 * 34)
    assert np.all(np.diff(race.seconds, axis=-1) > 0)


def test_the_report_shows_every_figure_and_its_claim(finished):
    folder, results = finished
    page = (folder / "report.html").read_text()
    assert page.count("<figure>") == len(FIGURES) == len(results["figures"])
    assert len(re.findall(r"<svg", page)) == len(FIGURES)
    assert "minidl compare --lr 0.5" in page


def test_in_the_chosen_network_the_gradient_falls_half_a_decade_a_layer(finished):
    folder, _ = finished
    flow = FlowRecording.load(folder / "flow-sgd-uniform.npz")
    assert slope_per_layer(flow.weight_gradient_rms[0]) >= 0.5


def test_there_is_no_verdict_where_no_arm_learned_anything(finished):
    _, results = finished  # two epochs are not enough for this network
    method = results["methods"]["sgd"]
    assert max(np.median(row["test_accuracy"]) for row in method["arms"].values()) < 0.5
    for verdict in method["verdicts"].values():
        assert verdict["kind"] == "undecided"
        assert verdict["reason"].startswith("No arm learned the task")


def test_a_comparison_in_which_every_run_diverged_says_so_everywhere(tmp_path):
    settings = small_settings(lr=1e300, epochs=1, seeds=1)
    done = []
    results = run_comparison(
        settings, tmp_path, command="minidl compare --lr 1e300",
        on_run=done.append, say=done.append, on_last_run=lambda: done.append("all runs"),
    )  # fmt: skip
    assert done[-3:] == ["all runs", "recording the gradient flow", "drawing"]  # a bar of the runs is full by then
    assert len(done) == 4 + 4
    _, line, _ = headline(results)
    assert "Diverged: uniform in 1 of 1 seeds, layer-specific in 1 of 1 seeds, constant in 1 of 1 seeds" in line

    def refuse(constant):
        raise AssertionError(f"{constant} is no JSON")

    kept = json.loads((tmp_path / "results.json").read_text(), parse_constant=refuse)["methods"]["sgd"]
    assert kept["arms"]["uniform"]["test_loss"] == [None]
    assert kept["arms"]["uniform"]["diverged_at"] == [2]
    assert "from step 1 on loss and gradients are not finite: it diverged" in kept["flow"]["uniform"]
    page = (tmp_path / "report.html").read_text()
    assert "uniform diverged in 1 of 1 seeds: from step 2 on" in page
    for figure in ("race", "update_heatmap", "flow_profile"):
        caption = json.loads((tmp_path / f"{figure}-sgd.json").read_text(), parse_constant=refuse)["caption"]
        assert "iverged" in caption, figure
