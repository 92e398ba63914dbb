"""minidl/experiments/reproduce/replaying.py: a control replays its own twin, and no folder is taken for another's."""

import numpy as np
import pytest

from minidl.experiments.reproduce.replaying import own_result, replayed_by
from minidl.experiments.reproduce.results import write_replay, write_result
from tests.experiments.reproduce.fake import result, small_plan

UNIFORM, LN, CONSTANT = (run.as_spec() for run in small_plan().runs[:3])


@pytest.fixture
def twin(tmp_path):
    write_replay(tmp_path, np.arange(1.0, 5.0))
    write_result(tmp_path, result(LN, 0.05))
    return tmp_path


def test_a_control_replays_the_ln_run_and_no_other_rate_replays_anything(twin):
    assert replayed_by(CONSTANT, 0.05, twin).tolist() == [1, 2, 3, 4]
    assert replayed_by(CONSTANT, 0.05 + 1e-12, twin) is not None  # a result has six digits
    assert replayed_by(UNIFORM, 0.05, twin) is None


@pytest.mark.parametrize(
    ("name", "value"),
    [("recipe", "digits"), ("scale", "paper"), ("method", "nesterov"), ("seed", 1), ("iterations", 5)],
)
def test_the_ln_run_of_something_else_is_refused_and_what_differs_told(twin, name, value):
    with pytest.raises(ValueError, match=f"replays the ln run .*: its {name} is {LN[name]!r}, not {value!r}$"):
        replayed_by(CONSTANT | {name: value}, 0.05, twin)


def test_the_ln_run_at_another_base_rate_is_refused(twin):
    with pytest.raises(ValueError, match=r"is sgd-ln-recipe-seed0: it is at 0\.05, not at 0\.1$"):
        replayed_by(CONSTANT, 0.1, twin)


def test_a_run_of_another_rate_is_refused(tmp_path):
    write_result(tmp_path, result(UNIFORM, 0.05))
    with pytest.raises(ValueError, match=r"its rate is 'uniform', not 'ln'$"):
        replayed_by(CONSTANT, 0.05, tmp_path)


def test_a_control_without_a_folder_to_replay_is_refused():
    with pytest.raises(ValueError, match=r"sgd-constant-recipe-seed0 replays the ln run .*: name its folder"):
        replayed_by(CONSTANT, 0.05, None)


def test_the_result_in_a_folder_is_taken_only_for_its_own_run(twin):
    assert own_result(LN, 0.05, twin)["spec"] == LN
    for spec, base_rate in ((LN | {"iterations": 5}, 0.05), (LN, 0.06), (UNIFORM, 0.05)):
        with pytest.raises(ValueError, match="holds the result of another run, sgd-ln-recipe-seed0: name another fol"):
            own_result(spec, base_rate, twin)
