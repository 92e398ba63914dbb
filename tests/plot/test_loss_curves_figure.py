import json

import numpy as np
import pytest
from matplotlib.figure import Figure

from minidl.plot.loss_curves_figure import loss_curves
from minidl.training import History


def history(train=(2.0, 1.0, 0.5, 0.2), validation=(1.5, 0.9, 1.0, 1.3), accuracy=(0.2, 0.5, 0.6, 0.6), per_epoch=5):
    steps = [per_epoch * (k + 1) for k in range(len(train))]
    return History(
        step_loss=[loss for loss in train for _ in range(per_epoch)], step_rate=[0.1] * (per_epoch * len(train)),
        steps=steps, train_loss=list(train), validation_loss=list(validation), validation_accuracy=list(accuracy),
        rates=[0.1] * len(train), seconds=[1.0] * len(train),
    )  # fmt: skip


def test_the_claim_is_the_best_epoch_and_overfitting_after_it():
    figure = loss_curves(history())
    assert figure.numbers["runs"][""]["best_epoch"] == 2
    assert figure.caption == (
        "The validation loss is lowest after epoch 2 of 4, 0.9; then it grows to 1.3 while the training loss falls to "
        "0.2: overfitting."
    )
    json.dumps(figure.numbers, allow_nan=False)


def test_a_validation_loss_that_still_falls_is_not_called_overfitting():
    figure = loss_curves(history(validation=(1.5, 0.9, 0.8, 0.7)))
    assert figure.caption == "The validation loss is lowest after epoch 4 of 4, 0.7."


def test_training_is_solid_and_validation_dashed_at_the_end_of_each_epoch():
    ax, accuracy = loss_curves(history()).axes
    pale, train, validation, ring = ax.lines
    assert len(pale.get_xdata()) == 20
    assert (train.get_linestyle(), validation.get_linestyle()) == ("-", "--")
    assert list(train.get_xdata()) == list(validation.get_xdata()) == [5, 10, 15, 20]
    assert list(train.get_ydata()) == [2.0, 1.0, 0.5, 0.2]
    assert (ring.get_xdata(), ring.get_ydata()) == ([10], [0.9])
    assert list(accuracy.lines[0].get_ydata()) == [0.2, 0.5, 0.6, 0.6]
    assert accuracy.get_xlim()[1] > 19


def test_runs_are_compared_by_colour_and_labelled_at_their_ends():
    figure = loss_curves({"a": history(), "b": history(validation=(), accuracy=())})
    assert [t.get_text() for t in figure.axes[0].texts] == ["a training", "a validation", "b training"]
    assert figure.caption.endswith("b: the training loss falls from 2 in the first epoch to 0.2 in the last.")


def test_validation_that_began_later_stands_at_the_last_epochs():
    ax = loss_curves(history(validation=(1.0, 0.9), accuracy=())).axes[0]
    assert list(ax.lines[2].get_xdata()) == [15, 20]
    assert loss_curves(history(validation=(1.0, 0.9), accuracy=())).numbers["runs"][""]["best_epoch"] == 4


def test_a_loss_that_is_not_finite_is_crossed_and_named():
    figure = loss_curves(history(train=(2.0, np.nan, np.nan, 1.0), validation=(), accuracy=()))
    assert figure.caption == "A loss is not finite from epoch 2 on."
    assert [list(x.get_xdata()) for x in figure.axes[0].lines if x.get_marker() == "x"] == [[10, 15]]
    json.dumps(figure.numbers, allow_nan=False)


def test_it_draws_into_given_axes_and_wants_a_step():
    axes = Figure().subplots(1, 2)
    assert loss_curves(history(), axes=axes) is axes[0].figure
    with pytest.raises(ValueError, match="no step to draw"):
        loss_curves(History())


def test_a_history_without_a_finished_epoch_shows_its_steps():
    run = History()
    for loss in (2.0, 3.0):
        run.add_step(np.array(loss), 0.1)
    figure = run.plot()
    assert list(figure.axes[0].lines[1].get_ydata()) == [2.0, 3.0]
    assert figure.caption == "The training loss goes from 2 in the first step to 3 in the last."
