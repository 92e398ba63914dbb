"""minidl/training/arguments.py: what does not fit is refused before the first step."""

import numpy as np
import pytest

from minidl.data import Dataset
from minidl.training import fit
from tests.training.runs import DATA, At, Run

# ---- arguments


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"epochs": 0}, ValueError, "fit: epochs: expected a whole number of at least 1; got 0"),
        ({"epochs": 2.0}, ValueError, "epochs: expected a whole number"),
        ({"steps": 0}, ValueError, "fit: steps: expected a whole number of at least 1; got 0"),
        ({"epochs": None}, ValueError, "say how long to train: epochs=, steps= or both"),
        ({"validation": (1, 2)}, TypeError, "expected a Dataset as validation; got tuple"),
        ({"checkpoint": "a.npz", "checkpoint_every": True}, ValueError, "a whole number of at least 1"),
        ({"checkpoint_every": 5}, ValueError, "needs a path, checkpoint="),
        ({"checkpoint": "a.npz", "checkpoint_every": 0}, ValueError, "a whole number of at least 1"),
        ({"callbacks": [print]}, TypeError, r"objects with on_step\(state\) or on_epoch\(state\)"),
        ({"callbacks": [At]}, TypeError, r"objects with on_step\(state\) or on_epoch\(state\)"),
        (
            {"validation": Dataset(np.zeros((0, 6)), np.zeros(0))},
            ValueError,
            "the validation data set is empty; leave it out",
        ),
    ],
)
def test_arguments_that_do_not_fit_are_refused_before_the_first_step(options, error, words):
    run = Run()
    before = run.state()
    with pytest.raises(error, match=words):
        run.fit(**options)
    np.testing.assert_equal(run.state(), before)


def test_a_data_set_in_place_of_a_loader_is_refused():
    run = Run()
    with pytest.raises(TypeError, match=r"expected a Loader; got Dataset: Loader\(dataset, batch_size=32\) makes one"):
        fit(run.model, run.optimizer, DATA, epochs=1)


def test_an_optimizer_of_another_model_is_refused():
    run = Run()
    with pytest.raises(ValueError, match="updates none of this model's parameters"):
        fit(run.model, Run().optimizer, run.loader, epochs=1)
