"""The tables: medians, means, spreads, how soon, and from which runs."""

import copy
import math

import numpy as np
import pytest

from minidl.experiments.reproduce.evidence import arms_of
from minidl.experiments.reproduce.grids import grids_of
from minidl.experiments.reproduce.tables import (
    arms_table,
    environment_table,
    layers_table,
    losses_at_the_end,
    moments,
    open_table,
    progress_table,
    short_ids,
    source_table,
    spread,
    targets_table,
    time_table,
    tuning_table,
)


def row(table, name):
    return dict(zip(table.head, next(cells for cells in table.rows if cells[0] == name), strict=True))


def test_the_table_of_arms(collected_case):
    arms = arms_of(collected_case("clear gain"), "sgd")
    table = arms_table(arms)
    found = row(table, "a rate per layer")
    ends = [100 * run["looks"]["accuracy"][-1] for run in arms["ln"].values()]
    assert found["right at the end, %"] == f"{np.median(ends):.2f} ({min(ends):.2f}\u2013{max(ends):.2f})"
    assert found["base rate"] == "0.01"
    assert found["seeds"] == "5"
    assert found["iterations until as good as one rate"].startswith("300")
    assert row(arms_table(arms_of(collected_case("diverges"), "sgd")), "a rate per layer") == {
        "arm": "a rate per layer", "base rate": "0.01", "mean factor": "3", "right at the end, %": "diverged",
        "iterations until as good as one rate": "never", "seeds": "5",
    }  # fmt: skip


def test_on_the_way_mean_sd_range_and_number_of_seeds(collected_case):
    arms = arms_of(collected_case("clear gain"), "sgd")
    table = progress_table(arms, "accuracy")
    assert table.head == ("arm", "after 100", "after 300", "after 600", "after 1,000")
    values = [100 * run["looks"]["accuracy"][2] for run in arms["uniform"].values()]
    assert row(table, "one rate")["after 100"] == (
        f"{np.mean(values):.2f} \u00b1 {np.std(values, ddof=1):.2f} ({min(values):.2f}\u2013{max(values):.2f}; n=5)"
    )
    lost = progress_table(arms_of(collected_case("diverges"), "sgd"), "loss")
    assert row(lost, "a rate per layer")["after 1,000"] == "5 diverged"


def test_how_soon_by_three_clocks(collected_case):
    found = row(time_table(arms_of(collected_case("clear gain"), "sgd")), "a rate per layer")
    assert found["seconds by the clock"] == "6"
    assert found["processor's seconds"] == "5.7"
    assert found["seconds of all iterations"] == "20"


def test_layer_by_layer(collected_case):
    collected = collected_case("clear gain")
    table = layers_table(arms_of(collected, "sgd"), collected["layers"])
    assert [cells[0] for cells in table.rows] == collected["layers"]
    assert float(row(table, "fc1")["norm at the start"]) == pytest.approx(1e-4, rel=0.2)
    assert layers_table({}, collected["layers"]) is None


def test_the_tuning_marks_the_best(collected_case):
    table = tuning_table(grids_of(collected_case("clear gain"), "sgd"), "diverged")
    assert table.head == ("rule", "0.003", "0.01", "0.03")
    assert [[cell.endswith(" *") for cell in cells[1:]] for cells in table.rows] == [[False, True, False]] * 3


def test_a_grid_that_is_not_done_has_no_best_rate(collected_case):
    collected = collected_case("clear gain", missing=("sgd-ln-grid0.01-seed1001", "sgd-per-step-grid0.03-seed1000",
                                                      "sgd-per-step-grid0.03-seed1001"))  # fmt: skip
    table = tuning_table(grids_of(collected, "sgd"), "diverged")
    assert [any("*" in cell for cell in cells) for cells in table.rows] == [True, False, False]
    assert table.rows[1][2].endswith(" (1 of 2 seeds)")
    assert table.rows[2][3] == "not run"


def test_from_a_saddle_point_the_best_rate_is_that_which_leaves_soonest(collected_case):
    collected = copy.deepcopy(collected_case("clear gain", recipe="saddle", saddle="layers"))
    for run in collected["runs"]:
        if run["role"] == "tuning":
            run["saddle"]["left_at"] = None if run["base_rate"] == 0.01 else int(1 / run["base_rate"])
    table = tuning_table(grids_of(collected, "sgd"), "never")
    assert table.rows[0] == ("one rate", "333", "never", "33 *")


def test_how_soon_a_stated_part_is_right(collected_case):
    arms = arms_of(copy.deepcopy(collected_case("clear gain")), "sgd")
    for run in arms["uniform"].values():
        run["looks"] |= {"iteration": [10, 20, 30], "loss": [1.0] * 3, "accuracy": [0.4, 0.6, 0.9]}
    arms["uniform"][4]["looks"]["accuracy"] = [0.4, 0.4, 0.4]
    table = targets_table(arms, (0.5, 0.9, 0.95))
    assert table.head == ("arm", "until 50%", "until 90%", "until 95%")
    assert table.rows[0] == ("one rate", "20, 1 of 5 never", "30, 1 of 5 never", "never")


def test_who_never_gets_there_more_often_than_not_never_does(collected_case):
    arms = arms_of(copy.deepcopy(collected_case("clear gain")), "sgd")
    for seed, run in arms["uniform"].items():
        run["looks"] |= {"iteration": [10, 20], "loss": [1.0] * 2, "accuracy": [0.6 * (seed == 0), 0.6 * (seed < 2)]}
    assert targets_table(arms, (0.5,)).rows[0][1] == "never in 3 of 5, else 10\u201320"


def test_where_one_rate_learned_nothing_there_is_nothing_to_reach(collected_case):
    arms = arms_of(collected_case("one rate learns nothing"), "sgd")
    assert row(arms_table(arms, 10), "a rate per layer")["iterations until as good as one rate"] == (
        "one rate learned nothing"
    )


def test_what_is_open_is_a_difference_by_seed(collected_case):
    methods = {m: arms_of(collected_case("clear gain", methods=("adagrad", "adagrad-layer")), m)
               for m in ("adagrad", "adagrad-layer")}  # fmt: skip
    table = open_table([("MNIST", methods)])
    names = [cells[0] for cells in table.rows]
    assert names == ["MNIST, AdaGrad: ln or log10", "MNIST, AdaGrad, one scalar a layer: ln or log10",
                     "MNIST, AdaGrad, one rate: by element (at 0.01) or by layer (at 0.01)",
                     "MNIST, AdaGrad, a rate per layer: by element (at 0.01) or by layer (at 0.01)"]  # fmt: skip
    assert table.rows[0][3].startswith("-1.0")
    assert table.rows[0][4] == "5"
    alone = {"adagrad": {"ln": {0: methods["adagrad"]["ln"][0]}, "log10": methods["adagrad"]["log10"]}}
    first = open_table([("MNIST", alone)]).rows[0]
    assert (first[4], "(" in first[1] + first[2] + first[3]) == (
        "1",
        False,
    )  # one seed has no range, and is compared alone
    assert open_table([("MNIST", {"sgd": {}})]) is None


def test_every_row_says_which_runs_it_is_made_of(collected_case):
    collected = collected_case("clear gain")
    table = source_table(collected, "sgd", arms_of(collected, "sgd"))
    assert row(table, "SGD with momentum, a rate per layer")["runs"] == "`sgd-ln-recipe-seed{0,1,2,3,4}`"
    assert row(table, "SGD with momentum, a rate per layer")["environment"] == "1"
    place = environment_table(collected).rows[0]
    assert place == ("1", "`minidl reproduce mnist`", "abc1234", "minidl 0.1.0, numpy 2.4, python 3.11",
                     "a machine, 2 cores; 1 thread; numpy")  # fmt: skip


def test_ids_that_differ_by_their_seed_are_one():
    assert short_ids(["a-seed0", "a-seed12", "b-seed1", "x"]) == ["a-seed{0,12}", "b-seed1", "x"]


def test_spreads_in_words():
    assert spread([1.0, 2.0, 4.0], "{:.1f}") == "2.0 (1.0\u20134.0)"
    assert spread([2.0], "{:.1f}") == "2.0"
    assert spread([1.0, math.nan, math.nan], "{:.1f}") == "diverged, 2 of 3 diverged"
    assert spread([90.0, 80.0, math.nan], "{:.0f}", largest_first=True) == "80 (80\u201390), 1 of 3 diverged"
    assert spread([math.nan], "{:.1f}") == "diverged"
    assert spread([], "{:.1f}") == "none"
    assert moments([1.0, 3.0], "{:.1f}", 1) == "2.0 \u00b1 1.4 (1.0\u20133.0; n=2), 1 diverged"
    assert moments([], "{:.1f}", 0) == "not looked at"


def test_losses_at_the_end(collected_case):
    assert row(losses_at_the_end(arms_of(collected_case("diverges"), "sgd")), "a rate per layer")["test loss"] == (
        "diverged"
    )


def test_the_median_of_two_seeds_lies_between_them():
    def run(accuracies):
        return {"looks": {"iteration": [100, 200], "accuracy": accuracies, "loss": [1.0, 1.0]}}

    table = targets_table({"ln": {0: run([0.9, 0.9]), 1: run([0.5, 0.9])}}, (0.9,))
    assert table.rows[0][1] == "150 (100\u2013200)"
    late = targets_table({"ln": {0: run([0.9, 0.9]), 1: run([0.5, 0.5])}}, (0.9,))
    assert late.rows[0][1] == "never in 1 of 2, else 100"
