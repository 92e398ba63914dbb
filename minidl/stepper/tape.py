"""Tape: one recording of a program's steps, to be walked through in time, forward and back."""

from __future__ import annotations

from os import PathLike

from minidl.stepper import saving
from minidl.stepper.contents import TapeContents


class Tape(TapeContents):
    """What happened, event by event; made by `md.record()` or read from a file.

        with md.record() as tape:
            loss = F.mean((x @ w - y) ** 2)
            loss.backward()
            optimizer.step()
        tape[0]                          # the first event
        tape.play()                      # in the terminal; `tape` alone in a notebook; tape.save_html("step.html")
        tape.save("step.npz")

    See `TapeContents` for what it holds, and for what is known at any moment.
    """

    def save(self, path: str | PathLike[str]) -> None:
        """Write it as plain arrays (`step.npz`) or as text (`step.json`); `Tape.load` reads both."""
        saving.save(self, path)

    @classmethod
    def load(cls, path: str | PathLike[str]) -> Tape:
        """Read what `save` wrote.

        Raises:
            ValueError: the file is no tape, or it is damaged; it is named.
        """
        return saving.load(path, cls)
