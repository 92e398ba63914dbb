"""History: what `fit` returns, the course of a training that can draw itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from minidl.observe.history import Course

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class History(Course):
    """The course of a training, by step and by epoch: see `Course` for what it holds.

    history = md.fit(model, optimizer, loader, epochs=10, validation=digits.validation)
    history.validation_loss                               # after each epoch
    history.plot()
    history.save("history.json")
    """

    def plot(self) -> Figure:
        """The losses and the accuracy of the run as a figure: `md.plot.loss_curves(history)`."""
        from minidl.plot import loss_curves

        return loss_curves(self)
