import json

import numpy as np
import pytest

from minidl import plot
from tests.plot.recordings import race


def by_title(figure, title):
    return next(ax for ax in figure.axes if ax.get_title(loc="left") == title)


def test_the_claim_is_who_ends_lowest_and_whether_the_seeds_overlap():
    recording = race()
    figure = plot.race(recording)
    finals = {arm: np.array(figure.numbers["arms"][arm]["final_loss"]) for arm in recording.arms}
    best = min(finals, key=lambda arm: np.median(finals[arm]))
    assert figure.caption.startswith(f"At the last step {best} has the lowest training loss in every seed, before")
    assert f"(medians {np.median(finals[best]):.3g} and " in figure.caption
    assert finals["uniform"].max() < finals["layer-specific"].min()
    json.dumps(figure.numbers, allow_nan=False)


def test_overlapping_seeds_are_called_so():
    recording = race()
    shifted = recording.loss.copy()
    shifted[0, 2] += 1.0
    assert plot.race(race(loss=shifted)).caption.endswith("their seeds overlap, so neither is ahead.")
    assert plot.race(race(arms=1)).caption.endswith(".")


def test_lines_are_medians_and_bands_go_from_the_smallest_to_the_largest_seed():
    recording = race()
    figure = plot.race(recording)
    ax = by_title(figure, "training loss")
    for a, arm in enumerate(recording.arms):
        band = figure.numbers["arms"][arm]["loss"]
        np.testing.assert_allclose(band["median"], np.median(recording.loss[a], axis=0))
        np.testing.assert_allclose(band["min"], recording.loss[a].min(axis=0))
        np.testing.assert_allclose(band["max"], recording.loss[a].max(axis=0))
        drawn = [line.get_ydata() for line in ax.lines]
        assert any(np.allclose(y, band["median"]) for y in drawn)
        areas = [path.vertices[:, 1] for c in ax.collections for path in c.get_paths()]
        assert any(np.isclose(y.min(), min(band["min"])) and np.isclose(y.max(), max(band["max"])) for y in areas)
        accuracy = figure.numbers["arms"][arm]["accuracy"]["median"]
        np.testing.assert_allclose(accuracy, np.median(recording.accuracy[a], axis=0))


def test_loss_and_accuracy_stand_against_time_and_steps_on_shared_axes():
    recording = race()
    figure = plot.race(recording)
    loss_time, accuracy_time, loss_step, accuracy_step = figure.axes[:4]
    assert accuracy_time.get_xlabel() == "seconds of training"
    assert accuracy_step.get_xlabel() == "step"
    assert loss_time.get_ylim() == loss_step.get_ylim()
    assert accuracy_time.get_ylim() == accuracy_step.get_ylim()
    assert loss_time.get_xlim() == accuracy_time.get_xlim()
    longest = max(np.median(recording.seconds[a], axis=0)[-1] for a in range(2))
    assert max(line.get_xdata()[-1] for line in loss_time.lines) == pytest.approx(longest)


def test_arms_are_labelled_where_they_end():
    figure = plot.race(race())
    for ax in figure.axes[2:4]:
        assert {text.get_text() for text in ax.texts} == {"uniform", "layer-specific"}
        assert all(ax.get_legend() is None for ax in figure.axes)


def test_arms_that_are_the_same_run_share_a_label():
    recording = race()
    same = {name: getattr(recording, name)[[0, 0]] for name in ("loss", "accuracy", "seconds")}
    figure = plot.race(race(**same))
    assert [len(ax.lines) for ax in figure.axes[:4]] == [1, 1, 1, 1]
    assert [text.get_text() for text in figure.axes[2].texts] == ["uniform = layer-specific"]


def test_the_sweep_shows_each_rate_in_order_the_best_and_what_diverged():
    figure = plot.race(race())
    sweep = figure.numbers["sweep"]["uniform"]
    assert sweep["rates"] == [0.1, 1.0, 10.0]
    assert sweep["median"] == [pytest.approx(1.05), pytest.approx(0.55), None]
    assert sweep["diverged"] == [False, False, True]
    assert sweep["best"] == 1.0
    ax = by_title(figure, "final validation loss")
    assert ax.get_xscale() == "log"
    assert [list(line.get_xdata()) for line in ax.lines if line.get_marker() == "x"] == [[10.0], [10.0]]
    assert "ring: best; x: diverged" in [text.get_text() for text in ax.texts]


def test_without_a_sweep_there_is_no_panel_for_it():
    figure = plot.race(race(sweep_arms=(), sweep_loss=np.zeros((0, 0, 0))))
    assert len(figure.axes) == 4
    assert figure.numbers["sweep"] == {}


def test_a_sweep_in_which_everything_diverged_can_be_drawn():
    figure = plot.race(race(sweep_loss=np.full((2, 3, 2), np.inf)))
    assert figure.numbers["sweep"]["uniform"]["best"] is None


def test_an_arm_that_diverged_does_not_win():
    recording = race()
    loss = recording.loss.copy()
    loss[0, :, 20:] = np.nan
    assert "layer-specific has" in plot.race(race(loss=loss)).caption


def test_many_points_are_drawn_as_means_of_neighbours():
    recording = race(steps=1000)
    figure = plot.race(recording)
    arm = figure.numbers["arms"]["uniform"]
    assert figure.numbers["points_per_mean"] == 17
    assert len(arm["steps"]) == 60  # the first stands for 16 losses, the last for 17
    means = recording.loss[0, :, :16].mean(axis=1)
    assert arm["loss"]["median"][0] == pytest.approx(np.median(means))


def crosses(ax):
    return [float(x) for line in ax.lines if line.get_marker() == "x" for x in line.get_xdata()]


def lost_from(step, arm=0, seeds=slice(None), value=np.nan):
    loss = race().loss.copy()
    loss[arm, seeds, step:] = value
    return race(loss=loss)


def test_an_arm_that_diverged_is_crossed_labelled_and_named():
    figure = plot.race(lost_from(20))
    assert figure.caption == (
        "At the last step only layer-specific has a finite median training loss, 0.208. Diverged, with a loss that is "
        "not finite: uniform (3 of 3 seeds)."
    )
    by_time, by_step = figure.axes[0], figure.axes[2]
    assert crosses(by_step) == [21]
    assert len(crosses(by_time)) == 1
    labels = {text.get_text(): text.xy[0] for text in by_step.texts}
    assert labels == {"uniform diverged": 20, "layer-specific": 40}
    arm = figure.numbers["arms"]["uniform"]
    assert arm["diverged_at"] == [21, 21, 21]
    assert arm["loss"]["median"][20:] == ["inf"] * 20
    json.dumps(figure.numbers, allow_nan=False)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_one_seed_that_diverged_leaves_the_median_and_the_band_of_the_others(value):
    figure = plot.race(lost_from(20, seeds=0, value=value))
    band = figure.numbers["arms"]["uniform"]["loss"]
    others = race().loss[0, 1:]
    np.testing.assert_allclose(band["min"][20:], others[:, 20:].min(axis=0))
    np.testing.assert_allclose(band["max"][20:], others[:, 20:].max(axis=0))
    np.testing.assert_allclose(band["median"][20:], others[:, 20:].max(axis=0))  # of three, one is beyond
    assert figure.caption.endswith("Diverged, with a loss that is not finite: uniform (1 of 3 seeds).")
    assert "uniform" in {text.get_text() for text in figure.axes[2].texts}


def test_where_every_arm_diverged_none_is_ahead():
    figure = plot.race(race(loss=np.full_like(race().loss, np.nan)))
    assert figure.caption.startswith("No arm ends with a finite median training loss. Diverged")
    figure.draw_without_rendering()


def test_losses_on_their_way_to_infinity_can_be_drawn():
    loss = race().loss.copy()
    loss[0, :, 10:] = 1.7e308
    loss[1, :, 10:] = 5e-324
    figure = plot.race(race(loss=loss, sweep_loss=loss[:, :, :2]))
    figure.draw_without_rendering()


def test_slides_have_larger_letters_for_the_same_room():
    paper, slides = plot.race(race()), plot.race(race(), style="slides")
    assert slides.get_figwidth() * slides.dpi == pytest.approx(paper.get_figwidth() * paper.dpi)
    assert slides.get_figwidth() < paper.get_figwidth()
