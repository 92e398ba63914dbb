"""Tape: one recording of a program's steps, to be walked through in time, forward and back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from os import PathLike

from minidl.checks import yes_or_no
from minidl.errors import GraphError
from minidl.stepper import saving
from minidl.stepper.checking import Check, check
from minidl.stepper.contents import TapeContents
from minidl.stepper.dot import dot_of
from minidl.stepper.events import Event, Value
from minidl.stepper.html import save_html
from minidl.stepper.notebook import Page, shown
from minidl.stepper.terminal import play
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
        keep = retain_graph is not None and yes_or_no(retain_graph, "live: retain_graph")
        for _ in walked(loss, keep):
            yield from self.events[seen:]
            seen = len(self.events)
        yield from self.events[seen:]

    def check(self, key: Value | str, place: tuple[int, ...] | None = None, eps: float | None = None) -> Check:
        """Hold one number of a gradient to a finite difference: is the backward right there?

            print(tape.check("w", (1, 3)))   # "the backward says 0.52031, moving w[1, 3] by +-1e-05 changes..."

        See `minidl.stepper.checking.check`. The tape keeps the answer, for pages and files.

        Raises:
            KeyError, IndexError: there is no such value, or place.
            GraphError: it has no gradient, or the forward cannot be computed again; the message says what to do.
        """
        found = check(self, key, place, eps)
        same = [c for c in self.checks if c["value"] == found.value and tuple(c["index"]) == found.index]
        for old in same:
            self.checks.remove(old)
        self.checks.append(found.plain())
        return found

    def play(self, commands: str | Sequence[str] | None = None) -> None:
        """Walk through it: in the terminal, in a notebook's cell, or by commands from a pipe; `h` lists them.

            tape.play()                                     # asks for commands until q
            tape.play("phase backward; n; g w 0 1")         # does these, and ends

        Inside the block that records it begins where the program is.

        Args:
            commands: what to do instead of asking: lines, or one text; `;` separates commands too.
        """
        play(self, commands)

    def save(self, path: str | PathLike[str]) -> None:
        """Write it as plain arrays (`step.npz`) or as text (`step.json`); `Tape.load` reads both."""
        saving.save(self, path)

    def save_html(self, path: str | PathLike[str], other: TapeContents | None = None) -> None:
        """Write it as one page (`step.html`) that opens from the disk, without a network, and is walked through there.

        The page stays below 650 KB where that can be: of large arrays it holds samples, and says so.

        Args:
            path: the file; its name ends in .html.
            other: a second tape, to be laid beside this one: both are walked through in lockstep, and the page says
                where they part.

        Raises:
            ValueError: the name does not end in .html, or nothing is on a tape.
            OSError: the file cannot be written.
        """
        save_html(self, path, other)

    def page(self, other: TapeContents | None = None, height: int | None = None) -> Page:
        """Its page for a notebook, which shows it below the cell; a tape at the end of a cell does so by itself.

            tape.page(height=900)
            sgd.page(layer_specific)     # two tapes side by side, in lockstep

        It is alive after saving and opening again, without a kernel; a LeNet step takes 0.6 MB of the notebook.

        Args:
            other: a second tape, to be laid beside this one.
            height: of the frame, in pixels; None: 640, or 860 for two.

        Raises:
            ValueError: the height is no positive whole number.
        """
        return Page(self, other, height)

    def _repr_html_(self) -> str:
        """Itself at the end of a notebook's cell."""
        return shown(self)

    def to_dot(self) -> str:
        """Its graph in Graphviz's language: ops in frames, one a layer; the leaves beside each op that uses them."""
        return dot_of(self)

    @classmethod
    def load(cls, path: str | PathLike[str]) -> Tape:
        """Read what `save` wrote.

        Raises:
            ValueError: the file is no tape, or it is damaged; it is named.
        """
        return saving.load(path, cls)
