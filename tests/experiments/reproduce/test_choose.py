"""How rates and depths are chosen: the lowest validation loss, the deepest network that some rate trains."""

import pytest

from minidl.experiments.reproduce import choose
from minidl.experiments.reproduce.choose import Search, accuracy_of, choose_depth, choose_rate, loss_of, main


def result(loss, accuracy):
    return {"validation": {"loss": loss, "accuracy": accuracy}}


def test_a_rate_at_which_a_run_diverges_is_the_worst():
    assert loss_of([result(1.0, 0.5), result(2.0, 0.3)]) == 1.5
    assert loss_of([result(1.0, 0.5), result(None, 0.1)]) == float("inf")
    assert accuracy_of([result(1.0, 0.5), result(None, 0.1)]) == pytest.approx(0.3)


def test_the_rate_with_the_lowest_loss_is_chosen_and_what_is_done_is_kept(tmp_path, capsys, monkeypatch):
    search = Search(tmp_path, steps=30)
    assert choose_rate(search, "digits", "sgd", (0.001, 0.3, 1e30)) == 0.3
    assert "inf" in capsys.readouterr().out
    main(["rates", str(tmp_path), "digits", "--methods", "sgd", "--rates", "0.3,0.001", "--steps", "30"])
    assert "chosen: 0.3" in capsys.readouterr().out
    assert len(list((tmp_path / "runs").iterdir())) == 6


def test_of_rates_that_do_as_well_the_smaller_is_chosen(tmp_path, capsys):
    losses = {1.0: 0.1542, 10.0: 0.1535, 0.1: 0.2}

    class Pretended(Search):
        def found(self, recipe, method, rate):
            return [result(losses[rate], 0.9)]

    assert choose_rate(Pretended(tmp_path), "digits", "sgd", (0.1, 1.0, 10.0)) == 1.0


def test_the_deepest_network_that_some_rate_trains_is_chosen(tmp_path, monkeypatch, capsys):
    accuracies = {2: (0.5, 0.98), 3: (0.2, 0.91), 4: (0.3, 0.89)}

    class Pretended(Search):
        def found(self, recipe, method, rate):
            return [result(1.0, accuracies[int(recipe.removeprefix("deep-mlp-"))][int(rate)])]

    monkeypatch.setattr(choose, "slope", lambda hidden: 0.6)
    assert choose_depth(Pretended(tmp_path), (2, 3, 4), (0, 1)) == 3
    assert [line.split()[-1] for line in capsys.readouterr().out.splitlines()[1:]] == ["met", "met", "met"]
    assert choose_depth(Pretended(tmp_path), (4,), (0, 1)) is None
