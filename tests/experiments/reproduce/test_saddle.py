"""minidl/experiments/reproduce/saddle.py: runs that begin beside a saddle."""

import json

import numpy as np
import pytest

from minidl.experiments.reproduce import saddle as module
from minidl.experiments.reproduce.doing import do_run, result_of
from minidl.experiments.reproduce.plan import PlannedRun
from minidl.experiments.reproduce.results import RESULTS, SADDLE, read_replay, read_result
from minidl.experiments.reproduce.saddle import DISTANCE, LEFT, perform_saddle, start_of
from minidl.experiments.reproduce.saddle_point import Curvature, curvature_at, loss_at, saddle_point
from minidl.tensors.tensor import Tensor

HERE = curvature_at(saddle_point())
LAST = ("seconds", "cpu_seconds", "looks")  # that hold times


def planned(rate="uniform", method="sgd", seed=0, iterations=5):
    return PlannedRun("saddle", "quick", method, rate, "recipe", seed, "report", iterations)


def perform(folder, rate="uniform", base_rate=0.01, twin=None, **changes):
    return perform_saddle(planned(rate, **changes).as_spec(), folder, base_rate=base_rate, twin=twin)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """With one short run of each rate."""
    folder = tmp_path_factory.mktemp("saddle")
    perform(folder / "ln", "ln")
    for rate in ("uniform", "constant", "per-step"):
        perform(folder / rate, rate, twin=folder / "ln")
    return folder


@pytest.fixture(scope="module")
def leaving(tmp_path_factory):
    """{base rate: a run with one rate for all layers that leaves the saddle}; the Hessian is left out on the way."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "curvature_at", lambda w: Curvature(*HERE))
        runs = {0.2: 100, 0.1: 450, 0.1 / 3: 1200}
        return {t: perform(tmp_path_factory.mktemp("left"), base_rate=t, iterations=n) for t, n in runs.items()}


def test_the_start_is_at_a_fixed_distance_in_the_direction_of_the_seed():
    for seed in (0, 1):
        assert np.linalg.norm(start_of(seed) - saddle_point()) == pytest.approx(DISTANCE, rel=1e-9)
    assert np.abs(start_of(0) - start_of(1)).max() > 1e-4


def test_the_runs_of_a_seed_begin_at_the_same_weights_whatever_their_rate(folder):
    found = [read_result(folder / rate) for rate in ("uniform", "ln", "constant", "per-step")]
    assert len({result["checks"]["first_weights"] for result in found}) == 1
    assert len({result["checks"]["last_weights"] for result in found}) == 4
    [first] = {result["saddle"]["curvature"]["loss"][0] for result in found}
    assert first == pytest.approx(loss_at(Tensor(start_of(0))).item(), rel=1e-5)


def test_a_result_holds_what_other_runs_hold_and_the_saddle(folder):
    found = result_of(planned(), folder / "uniform")
    assert found.keys() == RESULTS.keys() | {"saddle"}
    saddle = found["saddle"]
    assert saddle.keys() == SADDLE.keys()
    assert saddle["gradient_norm"] < 1e-12
    assert (saddle["negative"], saddle["parameters"]) == (21, 298)
    assert saddle["threshold"] == pytest.approx(LEFT * saddle["loss"], rel=1e-5)
    assert {len(of) for of in saddle["curvature"].values()} == {len(saddle["curvature"]["steps"])}
    assert saddle["curvature"]["steps"][0] == 0
    assert saddle["curvature"]["multipliers"][0] is None
    assert [look["iteration"] for look in found["looks"]] == saddle["curvature"]["steps"][1:]
    assert found["layers"] == ["fc1", "fc2", "fc3"]
    assert len((folder / "uniform" / "result.json").read_bytes()) < 20_000


def test_near_the_saddle_the_gradient_of_every_layer_is_small_and_its_rate_per_layer_large(folder):
    curvature = read_result(folder / "ln")["saddle"]["curvature"]
    for norms, multipliers in zip(curvature["gradient_norms"], curvature["multipliers"], strict=True):
        assert max(norms) < 0.02
        assert multipliers is None or min(multipliers) > 4.9


def test_the_controls_replay_the_layer_specific_run(folder):
    replay = read_replay(folder / "ln")
    assert len(replay) == 5
    constant, per_step = (read_result(folder / rate)["flow"]["multipliers"] for rate in ("constant", "per-step"))
    np.testing.assert_allclose(constant, replay.mean(), rtol=1e-3)
    steps = np.array(read_result(folder / "per-step")["flow"]["steps"]) - 1
    np.testing.assert_allclose(per_step, np.repeat(replay[steps][:, None], 3, axis=1), rtol=1e-3)


def test_a_control_without_the_run_it_replays_is_refused(tmp_path):
    with pytest.raises(ValueError, match="replays the ln run"):
        perform(tmp_path, "constant")


def test_a_control_wants_the_layer_specific_run_of_its_own_seed_method_steps_and_base_rate(folder, tmp_path):
    for words, changes in (
        (r"its seed is 0, not 1", {"seed": 1}),
        (r"its method is 'sgd', not 'nesterov'", {"method": "nesterov"}),
        (r"its iterations is 5, not 6", {"iterations": 6}),
        (r"it is at 0\.01, not at 0\.03", {"base_rate": 0.03}),
    ):
        with pytest.raises(ValueError, match=f"replays the ln run with the same .*seed; .*{words}"):
            perform(tmp_path, "constant", twin=folder / "ln", **changes)
    with pytest.raises(ValueError, match=r"its rate is 'uniform', not 'ln'"):
        perform(tmp_path, "per-step", twin=folder / "uniform")
    assert list(tmp_path.iterdir()) == []


def test_a_run_begun_again_gives_the_same_bits(folder, tmp_path):
    again, before = perform(tmp_path, "ln"), read_result(folder / "ln")
    assert {key: again[key] for key in again if key not in LAST} == {
        key: before[key] for key in before if key not in LAST
    }


@pytest.mark.parametrize("rate", [0.1, 0.1 / 3])
def test_it_has_left_at_the_first_step_after_which_the_loss_is_below_the_threshold(leaving, rate):
    saddle, curvature = leaving[rate]["saddle"], leaving[rate]["saddle"]["curvature"]
    assert 0 < saddle["left_at"] < leaving[rate]["iterations"]
    for step, loss in zip(curvature["steps"], curvature["loss"], strict=True):
        assert (loss < saddle["threshold"]) == (step >= saddle["left_at"])


def test_a_rate_above_the_largest_stable_one_is_seen_to_throw_a_run_up_the_walls(leaving):
    """The largest is 0.14 with momentum 0.9."""
    for rate, thrown in ((0.2, True), (0.1, False)):
        saddle, losses = leaving[rate]["saddle"], np.array(leaving[rate]["curve"]["loss"])
        assert (saddle["highest"] > 2 * saddle["loss"], saddle["up_until"] > 0) == (thrown, thrown)
        way = losses[: saddle["left_at"]] if saddle["left_at"] else losses
        assert saddle["highest"] == pytest.approx(max(way.max(), saddle["loss"]), rel=1e-4)


def test_a_larger_rate_leaves_sooner_as_theory_says(leaving):
    """Which is why a larger rate for all layers has to be ruled out before the layers get the credit."""

    def growth(t):
        """Of the distance along the eigenvalue -c: d_k+1 = (1 + mu + t c) d_k - mu d_k-1, so its logarithm a step is"""
        b = 1.9 - t * HERE.smallest
        return np.log((b + np.sqrt(b**2 - 4 * 0.9)) / 2)

    sooner, later = (leaving[t]["saddle"]["left_at"] for t in (0.1, 0.1 / 3))
    assert later / sooner == pytest.approx(growth(0.1) / growth(0.1 / 3), rel=0.05)
    assert later / sooner > 2.5


def test_a_run_that_has_not_left_says_so(folder):
    assert read_result(folder / "uniform")["saddle"]["left_at"] is None


@pytest.mark.parametrize("method", ["nesterov", "adagrad", "adagrad-layer"])
def test_the_other_methods_run(method, tmp_path):
    assert perform(tmp_path, "ln", 0.01, method=method, iterations=2)["diverged_at"] is None


def test_a_run_that_diverges_says_when_and_knows_no_more_than_chance(tmp_path):
    found = perform(tmp_path, base_rate=1e8, iterations=60)
    assert 1 < found["diverged_at"] <= 60
    assert found["validation"] == {"accuracy": 0.1, "loss": None}
    assert len(found["looks"]) == len({look["iteration"] for look in found["looks"]})
    assert found["looks"][-1] == {
        "iteration": 60, "accuracy": 0.1, "loss": None, "examples": 0, "seconds": None, "cpu_seconds": None
    }  # fmt: skip
    json.loads((tmp_path / "result.json").read_text(encoding="utf-8"), parse_constant=pytest.fail)


def test_it_is_done_and_stopped_like_other_runs(tmp_path):
    def stop(spec, folder, base_rate, twin, on_iteration):
        def ask(done):
            if done == 3:
                raise KeyboardInterrupt

        return perform_saddle(spec, folder, None, base_rate, twin, ask)

    assert do_run(stop, planned().as_spec(), tmp_path, 0.1, None) == "it was asked to stop"
    assert do_run(perform_saddle, planned().as_spec(), tmp_path, 0.1, None) is None
    assert result_of(planned(), tmp_path)["base_rate"] == 0.1


def test_a_run_that_is_done_is_only_read_and_another_is_refused(folder):
    assert perform(folder / "uniform") == read_result(folder / "uniform")
    with pytest.raises(ValueError, match="holds the result of another run, sgd-uniform-recipe-seed0"):
        perform(folder / "uniform", seed=1)
    with pytest.raises(ValueError, match="holds the result of another run, sgd-uniform-recipe-seed0"):
        perform(folder / "uniform", iterations=6)


def test_a_spec_that_cannot_be_is_refused(tmp_path):
    with pytest.raises(ValueError, match="the spec of a run: it has no entry 'recipe'"):
        perform_saddle({"id": "x"}, tmp_path)
    with pytest.raises(ValueError, match="its base rate is 'recipe': give the number"):
        perform_saddle(planned().as_spec(), tmp_path)
