"""History: what `fit` returns, the course of a training that can draw itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from minidl.observe.history import Course

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class History(Course):
    """The course of a training: `step_loss` and `step_rate` of each step; `steps` (how many were done by its end),
    `train_loss`, `validation_loss`, `validation_accuracy`, `rates` and `seconds` of each epoch; and `interrupted`.

    `Course`, its base in minidl/observe/history.py, says what each of them is.

    history = md.fit(model, optimizer, loader, epochs=10, validation=digits.validation)
    history.validation_loss                               # after each epoch
    history.plot()
    history.save("history.json")
    """

    def plot(self) -> Figure:
        """The losses and the accuracy of the run as a figure: `md.plot.loss_curves(history)`."""
        from minidl.plot import loss_curves

        return loss_curves(self)
