"""minidl/training/history.py: the course of a training as plain numbers, and its file."""

import json
import math

import numpy as np
import pytest

from minidl import backend
from minidl.training.history import History
from tests.arrays import device


def course():
    """Two epochs of two steps, and one step of a third."""
    history = History()
    for epoch in range(2):
        for step in range(2):
            history.add_step(device(np.float32(epoch + step / 4)), 0.5 / (epoch + 1))
        history.open_seconds += 1.5
        history.end_epoch(0.1 * epoch, 0.9)
    history.add_step(device(np.float32(7)), 0.25)
    history.open_seconds += 0.5
    return history


def test_steps_and_epochs_are_noted():
    history = course()
    assert history.epochs == 2
    assert history.step_loss == [0, 0.25, 1, 1.25]  # the open epoch's loss is on the device still
    assert history.steps == [2, 4]
    assert history.train_loss == [0.125, 1.125]
    assert history.validation_loss == [0.0, 0.1]
    assert history.validation_accuracy == [0.9, 0.9]
    assert history.rates == [0.5, 0.25]
    assert history.seconds == [1.5, 1.5]
    assert not history.interrupted
    history.settle()
    assert history.step_loss == [0, 0.25, 1, 1.25, 7]
    assert history.step_rate == [0.5, 0.5, 0.25, 0.25, 0.25]


def test_without_validation_its_lists_stay_empty():
    history = History()
    history.add_step(device(np.float64([2.0])), 1)  # a loss of shape (1,) is a loss, too
    history.end_epoch()
    assert history.train_loss == [2.0]
    assert history.validation_loss == history.validation_accuracy == []


def test_no_step_waits_for_the_device(standin):
    history = History()
    for i in range(50):
        history.add_step(backend.to_device(np.asarray(np.float32(i)), "cupy"), 0.1)
    assert standin.synchronizations() == ()
    history.settle()
    assert standin.synchronizations() == ("asnumpy",)
    assert history.step_loss == list(range(50))


@pytest.mark.parametrize(("value", "word"), [(math.nan, "nan"), (math.inf, "inf")])
def test_a_loss_that_is_no_number_is_named_with_its_step_and_rate(value, word):
    history = History()
    for i in range(40):
        history.add_step(device(np.float32(value if i >= 36 else 1)), 10.0)
    with pytest.raises(FloatingPointError, match=f"loss became {word} at step 37 with lr=10; try a smaller rate"):
        history.end_epoch()
    assert len(history.step_loss) == 40


def test_the_mean_of_no_labels_is_no_fault():
    history = History()
    for loss, counted in [(1.0, 4), (math.nan, device(np.float32(0))), (3.0, 1)]:
        history.add_step(device(np.float32(loss)), 0.1, counted)
    history.end_epoch()
    assert history.step_loss[0::2] == [1.0, 3.0]
    assert math.isnan(history.step_loss[1])
    assert history.train_loss == [2.0]
    history.add_step(device(np.float32(math.nan)), 0.1, 0)
    history.end_epoch()
    assert math.isnan(history.train_loss[1])
    history.add_step(device(np.float32(math.nan)), 0.1, device(np.float32(1)))
    with pytest.raises(FloatingPointError, match=r"at step 5 with lr=0\.1; ask the teacher of step 5"):
        history.settle(lambda step: f"ask the teacher of step {step}")


def test_the_file_gives_back_the_same_history(tmp_path):
    history = course()
    path = tmp_path / "new" / "history.json"
    history.save(path)
    assert History.load(path) == history
    assert json.loads(path.read_text())["train_loss"] == [0.125, 1.125]


def test_the_file_is_strict_json_also_with_nan(tmp_path):
    history = course()
    history.validation_loss[1] = math.nan
    path = tmp_path / "history.json"
    history.save(path)
    assert "NaN" not in path.read_text()
    assert math.isnan(History.load(path).validation_loss[1])


def test_a_loaded_history_shares_nothing_with_what_it_was_made_from():
    entries = course().as_dict()
    History.from_dict(entries).step_loss.append(1.0)
    assert len(entries["step_loss"]) == 5


def broken(**changes):
    return json.dumps({"kind": "history", "format": 1, **course().as_dict(), **changes})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (broken()[:100], "is damaged or not a history"),
        ("", "is damaged or not a history"),
        ("[1, 2]", "is damaged or not a history"),
        ('{"loss": 1}', "is damaged or not a history"),
        ('{"kind": "race", "format": 1}', "is a race of format 1; expected a history of format 1"),
        (
            '{"kind": "history", "format": 1}',
            "the history: it has no entry 'step_loss'; expected 'step_loss', 'step_rate'",
        ),
        (broken(curvature=[]), "the history: its entry 'curvature' is not known here"),
        (broken(steps=[1]), "do not fit each other"),
        (broken(steps=[2, 9]), "do not fit each other"),
        (broken(steps=[-2, 4]), "do not fit each other"),
        (broken(steps=[4, 2]), "do not fit each other"),
        (broken(steps=[2, 3.5]), "do not fit each other"),
        (broken(validation_loss=[0.1] * 3), "do not fit each other"),
        (broken(validation_loss=[0.1]), "do not fit each other"),  # fewer than accuracies
        (broken()[:-1] + ', "seconds": []}', "the entry 'seconds' comes twice"),
        (broken(step_rate=["0.1"] * 5), "the history, step_rate, 0: expected a number; got '0.1'"),
        (broken(seconds=3.0), "the history, seconds: expected a list; got 3.0"),
        (broken(interrupted=[True]), r"the history, interrupted: expected true or false; got \[True\]"),
        (broken(interrupted=1), "the history, interrupted: expected true or false; got 1"),
        (broken(rates=[True, False]), "the history, rates, 0: expected a number; got True"),
    ],
)
def test_a_damaged_or_foreign_file_is_refused_by_name(tmp_path, text, words):
    path = tmp_path / "broken.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=rf"broken\.json.*{words}"):
        History.load(path)


def test_a_missing_file_is_a_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="none"):
        History.load(tmp_path / "none.json")


def test_validation_data_may_come_later():
    entries = course().as_dict()
    history = History.from_dict({**entries, "validation_loss": [0.5], "validation_accuracy": []})
    assert history.validation_loss == [0.5]
