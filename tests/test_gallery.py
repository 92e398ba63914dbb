"""figures/: every figure of md.plot is in the gallery, small enough, shown in its README, and its claim holds."""

import importlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import figures
import minidl as md
from figures import GALLERY
from figures.__main__ import main, readme, short
from minidl import plot

HERE = Path(figures.__file__).parent
EVERY = pytest.mark.parametrize("name", GALLERY)


def drawn(name):
    """Caption and numbers of a figure, as they lie beside it."""
    found = json.loads((HERE / f"{name}.json").read_text(encoding="utf-8"))
    return found["caption"], found["numbers"]


def test_every_figure_of_plot_is_in_the_gallery():
    assert set(GALLERY) == set(plot.FIGURES)


@EVERY
def test_each_has_a_script_a_picture_and_its_numbers(name):
    module = importlib.import_module(f"figures.{name}")
    assert module.__doc__
    assert module.make.__doc__
    assert (HERE / f"{name}.png").stat().st_size < 200_000
    with Image.open(HERE / f"{name}.png") as image:
        assert image.width <= 2300
    assert drawn(name)[1]["figure"] == name


def test_all_together_are_small():
    sizes = [path.stat().st_size for name in GALLERY for path in HERE.glob(f"{name}.*")]
    assert sum(sizes) < 3_000_000
    assert max(sizes) < 200_000


@EVERY
def test_the_readme_shows_it_with_its_question_and_its_claim(name):
    text = (HERE / "README.md").read_text(encoding="utf-8")
    assert f"## {GALLERY[name]}\n\n![{name}]({name}.png)\n\n{drawn(name)[0]} " in text
    assert text == readme()


def test_a_figure_is_made_again_by_its_name(tmp_path, capsys):
    assert main(["graph", "--out", str(tmp_path), "--style", "slides"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("[1/1] graph")
    assert drawn("graph")[0] in printed
    assert sorted(path.name for path in tmp_path.iterdir()) == ["graph.json", "graph.png"]


def test_a_name_that_is_none_is_answered_with_all_names():
    command = [sys.executable, "-m", "figures", "pie"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=HERE.parent)
    assert done.returncode == 2
    assert "there is no figure 'pie'; there are graph, loss_curves," in done.stderr


def test_numbers_are_written_to_six_digits():
    assert short({"a": [1 / 3, 2, "x", None, True]}) == {"a": [0.333333, 2, "x", None, True]}


# ---- the claims, on the drawn numbers


def test_graph():
    caption, numbers = drawn("graph")
    leaves = {v["name"]: v["gradient_norm"] for v in numbers["values"] if v["kind"] == "leaf"}
    smallest, largest = min(leaves, key=leaves.get), max(leaves, key=leaves.get)
    assert f"{smallest} has the smallest gradient" in caption
    assert f"{leaves[smallest] / leaves[largest]:.2g} times that of {largest}" in caption


def test_loss_curves():
    caption, numbers = drawn("loss_curves")
    large = numbers["runs"]["256 units"]
    assert large["best_epoch"] == 1 + int(np.argmin(large["validation_loss"])) < len(large["steps"])
    assert large["train_loss"][-1] < large["train_loss"][large["best_epoch"] - 1]
    assert caption.endswith("overfitting.")


def test_decision_boundary():
    panels = drawn("decision_boundary")[1]["panels"]
    assert panels["32 hidden units"]["accuracy"] > panels["no hidden unit"]["accuracy"] + 0.05


def test_optimizer_paths():
    caption, numbers = drawn("optimizer_paths")
    ends = {name: way["excess"][-1] for name, way in numbers["ways"].items()}
    best, worst = min(ends, key=ends.get), max(ends, key=ends.get)
    assert f"{best} stands {ends[best]:.2g} above the lowest point, {worst} {ends[worst]:.2g}." in caption


def test_rate_range():
    for run in drawn("rate_range")[1]["runs"].values():
        smooth = np.array(run["smooth"])
        assert run["lowest"] == pytest.approx(run["rates"][int(np.argmin(smooth))])
        assert run["steepest"] < run["lowest"] < run["last"]


def test_confusion():
    caption, numbers = drawn("confusion")
    count = np.array(numbers["count"])
    assert numbers["accuracy"] == pytest.approx(np.trace(count) / count.sum(), rel=1e-5)
    assert caption.startswith(f"{np.trace(count) / count.sum():.1%} of {count.sum()} examples are right")


def test_filters_and_feature_maps():
    panels = drawn("filters")[1]["panels"]
    assert max(panels["after"]["norm"]) > 2 * max(panels["before"]["norm"])
    for row in drawn("feature_maps")[1]["rows"].values():
        assert 0 < row["zero_share"] < 1
        assert row["zero"] == sum(rms == 0 for rms in row["rms"])


def test_gradients_vanish_in_ten_sigmoid_layers_and_neither_behind_batch_norm_nor_in_relu():
    networks = drawn("gradient_flow")[1]["networks"]
    for name, falls in (("sigmoid", True), ("batch norm", False), ("relu", False)):
        sizes = np.array(networks[name]["weight_rms"])[[kind == "weight" for kind in networks[name]["kinds"]]]
        assert (sizes[0] < 1e-4 * sizes[-1]) == falls, name
    profile = drawn("flow_profile")[1]["networks"]
    assert set(profile) == set(networks)
    middle = {name: one["log10_median"]["output_gradient"] for name, one in
              drawn("distribution_grid")[1]["networks"].items()}  # fmt: skip
    assert middle["sigmoid"][0] < middle["sigmoid"][-1] - 4
    assert abs(middle["relu"][0] - middle["relu"][-1]) < 1


def test_attribution():
    caption, numbers = drawn("attribution")
    sigmoid = numbers["panels"]["sigmoid"]
    assert sigmoid["total"] == pytest.approx(sum(sigmoid["decades"]), rel=1e-4)
    assert -sigmoid["by_kind"]["Sigmoid"] > 0.8 * -sigmoid["total"]
    assert f"{-sigmoid['by_kind']['Sigmoid']:.2f} of them at Sigmoid" in caption
    normed = numbers["panels"]["batch norm"]["by_kind"]
    assert normed["BatchNorm"] > -normed["Sigmoid"] > 5  # it gives back what the sigmoids take


def test_theory_predicts_what_is_measured_and_the_bound_holds():
    for panel in drawn("theory")[1]["panels"].values():
        slopes = panel["decades_per_layer"]
        assert slopes["measured"] == pytest.approx(slopes["mean_field"], abs=0.05)
        assert (np.array(panel["measured"]) <= np.array(panel["bound"]) * 1.001).all()


def test_depth_sweep():
    numbers = drawn("depth_sweep")[1]
    slope = dict(zip(numbers["kinds"], numbers["slope"]["median"], strict=True))
    assert min(min(slope[kind]) for kind in slope if kind.startswith("sigmoid")) > 0.4
    assert max(abs(x) for x in slope["relu, He"]) < 0.1


def test_jacobian_spectrum():
    numbers = drawn("jacobian_spectrum")[1]
    low, high = numbers["levels"].index(0.1), numbers["levels"].index(0.9)
    spread = {name: panel["log10"][high][-1] - panel["log10"][low][-1] for name, panel in numbers["panels"].items()}
    assert spread["orthogonal"] < 1 < spread["random, residual"] < 5 < spread["random"]


def test_through_time():
    for name, network in drawn("through_time")[1]["networks"].items():
        fitted = np.polyfit(np.arange(len(network["median"])), np.log10(network["median"]), 1)[0]
        assert network["decades_per_step"] == pytest.approx(fitted, abs=1e-4)
        if network["radius"] <= 1:  # a saturated network does not do what theory says
            assert network["decades_per_step"] == pytest.approx(network["predicted"], abs=0.03), name


def test_a_rate_per_layer_moves_the_first_layer_more_and_so_does_a_larger_single_rate():
    median = {name: panel["median_log10_ratio"] for name, panel in drawn("update_heatmap")[1]["panels"].items()}
    assert median["rate per layer, 0.5"][0] > median["one rate, 0.5"][0] + 0.5
    assert median["one rate, 2"][0] > median["one rate, 0.5"][0] + 0.5
    for name in ("update_lines", "effective_rates", "who_learned"):
        assert set(drawn(name)[1]["networks"]) == set(median)
    assert "layer-specific" in drawn("rate_curve")[1]["curves"]


def test_race():
    caption, numbers = drawn("race")
    finals = {arm: np.array(one["final_loss"]) for arm, one in numbers["arms"].items()}
    best, second = sorted(finals, key=lambda arm: np.median(finals[arm]))
    assert ("in every seed" in caption) == (finals[best].max() < finals[second].min())
    for arm in finals:  # the best rate lies inside the range that was tried
        tried = numbers["sweep"][arm]["rates"]
        assert numbers["arms"][arm]["rate"] != tried[-1]


def test_is_a_small_gradient_low_curvature():
    caption, numbers = drawn("curvature")
    for name, panel in numbers["panels"].items():
        known = [rank for rank in panel["rank_correlation"] if rank is not None]
        assert [rank is not None for rank in panel["rank_correlation"]] == [
            max(row) / min(row) > 2 for row in panel["gradient_norm"]
        ]
        assert min(known) > 0.3
        steps = len(panel["steps"])
        if len(known) >= steps / 4:  # enough for an answer
            assert name == "sigmoid"
            assert f"{name}: yes, the smaller a layer's gradient, the lower its curvature" in caption
            assert f"rank correlation +{np.median(known):.2f} over {len(panel['layers'])} layers" in caption
            assert f"the {len(known)} of {steps} steps" in caption
        else:
            assert name == "relu"
            assert f"{name}: hardly ever is there anything to compare: at {len(known)} of {steps} steps" in caption
            assert f"rank correlation +{np.median(known):.2f} there" in caption
    panel = numbers["panels"]["sigmoid"]
    ranks = [np.argsort(np.argsort(row)) for row in (panel["gradient_norm"][0], panel["largest"][0])]
    assert np.corrcoef(*ranks)[0, 1] == pytest.approx(panel["rank_correlation"][0], abs=1e-6)


def test_landscape_line():
    caption, numbers = drawn("landscape_line")
    lines = numbers["lines"]
    assert lines["first weights to trained ones"]["barrier"] < 0.01
    assert caption.count("there is no barrier") == caption.count(": a barrier") == 1
    assert lines["one training to another"]["barrier"] > 0.1


# ---- the page that says how to read them

PAGE = (HERE.parent / "docs" / "figures.md").read_text(encoding="utf-8")


@EVERY
def test_the_page_says_which_question_it_answers_how_to_read_it_and_how_it_misleads(name):
    tables, reading = PAGE.split("## How to read each, and how it misleads")
    assert f"`{name}" in tables
    paragraphs = [text for text in reading.split("\n\n") if text.startswith("**") and name in text.split(".**")[0]]
    if name == "curvature":  # has a section of its own
        paragraphs = [reading.split("## Is a small gradient")[1]]
    assert len(paragraphs) == 1
    assert "misleads:*" in paragraphs[0].lower() or "mislead:*" in paragraphs[0].lower()


def test_the_example_of_the_page_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code = PAGE.split("```python\n")[1].split("```")[0]
    with md.using("numpy"):
        exec(compile(code, "docs/figures.md", "exec"), {})
    assert {path.name for path in tmp_path.iterdir()} == {
        "attribution.png", "attribution.svg", "attribution.json", "graph.npz",
    }  # fmt: skip
    assert plot.draw("graph.npz", "attribution").caption.startswith("graph: the gradient falls")
