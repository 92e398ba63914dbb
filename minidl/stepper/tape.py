"""Tape: one recording of a program's steps, to be walked through in time, forward and back."""

from __future__ import annotations

from collections.abc import Iterator
from os import PathLike

from minidl.errors import GraphError
from minidl.stepper import saving
from minidl.stepper.contents import TapeContents
from minidl.stepper.events import Event
from minidl.stepper.walking import walked
from minidl.tensors.tensor import Tensor


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

    def live(self, loss: Tensor, retain_graph: bool | None = None) -> Iterator[Event]:
        """`loss.backward()`, event by event: the program waits between them, as long as you like.

            with md.record() as tape:
                loss = F.mean(F.tanh(x @ w))
                for event in tape.live(loss):
                    print(event)

        The `.grad`s are filled when the last op's backward has run; a loop that is left earlier fills none.

        Raises:
            GraphError: the block of this tape has ended, or `loss` has no history.
        """
        if not self.recording:
            raise GraphError("tape.live(loss) belongs inside the block `with md.record() as tape:`, which has ended")
        seen = len(self.events)
        for _ in walked(loss, retain_graph):
            yield from self.events[seen:]
            seen = len(self.events)
        yield from self.events[seen:]

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
