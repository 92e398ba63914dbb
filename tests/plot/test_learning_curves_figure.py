import json
import math

import numpy as np
import pytest

from minidl import plot
from minidl.training import History


def history(epochs=4, steps=5, validation=True, rate=lambda step: 0.1, loss=lambda step: 3.0 / step):
    found, step = History(), 0
    for epoch in range(epochs):
        for _ in range(steps):
            step += 1
            found.add_step(np.array(loss(step)), rate(step))
        found.end_epoch(*((1.0 / (epoch + 1), 0.5 + epoch / 10) if validation else ()))
    return found


def headings(figure):
    return [ax.get_title(loc="left") for ax in figure.axes]


def test_losses_and_accuracy_have_a_panel_each_and_the_rate_where_it_changes():
    assert headings(plot.learning_curves(history(validation=False))) == ["loss"]
    assert headings(plot.learning_curves(history())) == ["loss", "accuracy on the validation data, %"]
    changing = plot.learning_curves(history(rate=lambda step: 0.1 / step))
    assert headings(changing)[-1] == "learning rate"


def test_what_is_drawn_is_what_the_history_says():
    run = history()
    figure = run.plot()
    each, training, validation = figure.axes[0].lines
    np.testing.assert_allclose(each.get_ydata(), run.step_loss)
    np.testing.assert_allclose(training.get_ydata(), run.train_loss)
    np.testing.assert_allclose(validation.get_xdata(), run.steps)
    assert figure.axes[0].get_yscale() == "log"
    assert figure.numbers["train_loss"] == run.train_loss
    json.dumps(figure.numbers, allow_nan=False)


def test_the_claim_has_the_numbers():
    assert plot.learning_curves(history()).caption == (
        "The training loss went from 1.37 to 0.168 in 20 steps; the validation loss is lowest, 0.25, after epoch 4 of "
        "4, and the accuracy ends at 80.0%."
    )


def test_steps_without_a_finished_epoch_are_drawn_too():
    run = history(epochs=0)
    run.add_step(np.array(2.0), 0.1)
    assert plot.learning_curves(run).caption == "The training loss went from 2 to 2 in 1 steps."


def test_losses_that_are_not_finite_leave_gaps():
    run = history(validation=False)
    run.step_loss[6] = math.nan  # of a batch whose labels were all to be ignored
    each = plot.learning_curves(run).axes[0].lines[0].get_ydata()
    assert np.flatnonzero(np.isnan(each)).tolist() == [6]


def test_a_history_without_steps_is_refused():
    with pytest.raises(ValueError, match="the history has no step to draw"):
        History().plot()
