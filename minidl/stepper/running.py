"""`minidl step SCRIPT`: runs anybody's program as `python SCRIPT` would, and records one training step of it."""

from __future__ import annotations

import builtins
import io
import os
import sys
import threading
import types
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.machinery import SourceFileLoader
from typing import Any

from minidl.autograd.hooks import RemovableHandle, after_backward, after_step
from minidl.autograd.modes import plain
from minidl.checks import whole
from minidl.errors import printable
from minidl.stepper.events import BACKWARD, UPDATE
from minidl.stepper.kept import ELEMENTS
from minidl.stepper.recorder import record
from minidl.stepper.tape import Tape


class Stop(BaseException):
    """Ends the program after its step. (No Exception, so that `except Exception` of the program lets it pass.)"""


@dataclass
class Run:
    """What came of running a program.

    Attributes:
        tape: of the step; None if the program never came to it.
        steps: how many steps its optimizers made.
        backwards: how many times it called backward().
        stopped: whether it was stopped after the step; it ended by itself otherwise.
        error: what it ended with, unless all was well.
        status: the exit status that Python would have ended with.
    """

    tape: Tape | None = None
    steps: int = 0
    backwards: int = 0
    stopped: bool = False
    error: BaseException | None = None
    status: int = 0


class Recorded:
    """Runs a program and records its step number `step`; what comes before that is not recorded, and as fast as ever.

    A step ends when the optimizer's step() has ended. A program without an optimizer is recorded to its end.

    Args:
        script: the path of the program.
        arguments: what it finds in sys.argv after its name.
        step: which step to record, from 1.
        elements: up to how many numbers an array is kept whole.
        on_plain_lines: run what is meant for reading instead of the fast versions.
    """

    def __init__(
        self,
        script: str,
        arguments: Sequence[str] = (),
        step: int = 1,
        elements: int = ELEMENTS,
        on_plain_lines: bool = False,
    ) -> None:
        self.script, self.arguments, self.on_plain_lines = script, list(arguments), on_plain_lines
        self.step = whole(step, "--step", 1)
        self.elements = whole(elements, "--keep", 1)
        self.found = Run()
        self._recorder: record | None = None
        self._handle: RemovableHandle | None = None

    def __repr__(self) -> str:
        return f"Recorded({self.script!r}, step={self.step})"

    def run(self) -> Run:
        """Run it.

        Raises:
            FileNotFoundError: there is no such script.
            ValueError: it is no Python file.
        """
        source = _read(self.script)
        with ExitStack() as around:
            around.enter_context(RemovableHandle(after_backward, self._count_backward))
            if self.on_plain_lines:
                around.enter_context(plain())
            if self.step == 1:
                self._begin()
            self._handle = RemovableHandle(after_step, self._after_step)
            main = types.ModuleType("__main__")  # held here: its variables have to be there when the recording ends
            try:
                run_as_main(self.script, source, self.arguments, main)
            except Stop:
                self.found.stopped = True
            except SystemExit as end:
                self.found.status = _status(end)
            except BaseException as error:
                self.found.error = error
                self.found.status = 130 if isinstance(error, KeyboardInterrupt) else 1
            finally:
                self._handle.remove()
                self._end()
        return self.found

    def _begin(self) -> None:
        self._thread = threading.get_ident()  # what another thread does is not recorded, and cannot end it
        self._recorder = record(elements=self.elements, title=os.path.basename(self.script))
        self.found.tape = self._recorder.__enter__()

    def _end(self) -> None:
        recorder, self._recorder = self._recorder, None
        if recorder is not None:
            error = self.found.error
            recorder.__exit__(None if error is None else type(error), error, None)

    def _count_backward(self, loss: Any) -> None:
        self.found.backwards += 1

    def _after_step(self, optimizer: Any) -> None:
        self.found.steps += 1
        if self.found.steps == self.step - 1:
            self._begin()
            # The recorder has to hear of the next step before this stops the program, so it stands before it.
            if self._handle is not None:
                self._handle.remove()
            self._handle = RemovableHandle(after_step, self._after_step)
        elif self._recorder is not None and self.found.steps >= self.step and self._thread == threading.get_ident():
            self._end()
            raise Stop


def run_as_main(script: str, source: bytes, arguments: Sequence[str], main: types.ModuleType) -> None:
    """Run a file as the main module, as `python SCRIPT ARGUMENTS` does; everything is put back afterwards.

    `main`, an empty module, becomes `__main__`: the script's own with its `__file__`, so that what it pickles, and the
    processes that it starts, find it.
    """
    path = os.path.abspath(script)
    vars(main).update(
        __file__=path,
        __builtins__=builtins,
        __loader__=SourceFileLoader("__main__", path),
        __package__=None,
        __spec__=None,
    )
    kept = sys.argv, sys.path[:], sys.modules.get("__main__")
    sys.argv = [script, *arguments]
    if not getattr(sys.flags, "safe_path", False):
        sys.path[:1] = [os.path.dirname(os.path.realpath(script))]
    sys.modules["__main__"] = main
    try:
        exec(compile(source, path, "exec", dont_inherit=True), vars(main))
    except BaseException as error:
        error.__traceback__ = _of_the_script(error, path)
        raise
    finally:
        sys.argv, sys.path[:] = kept[0], kept[1]
        if kept[2] is not None:
            sys.modules["__main__"] = kept[2]


def _of_the_script(error: BaseException, path: str) -> types.TracebackType | None:
    """The traceback from the script's first frame on; None for what was wrong before it ran."""
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename != path:
        trace = trace.tb_next
    return trace


def show_error(error: BaseException, path: str) -> None:
    """Print a traceback as Python does at the end of a program, without the frames of this module."""
    trace = _of_the_script(error, os.path.abspath(path))
    error.__traceback__ = trace
    sys.excepthook(type(error), error, trace)


def _read(script: str) -> bytes:
    if os.path.isdir(script):
        raise ValueError(f"expected a Python file or a saved tape; {printable(script)} is a folder")
    try:
        with io.open_code(os.path.abspath(script)) as file:
            source = file.read()
    except FileNotFoundError:
        raise FileNotFoundError(f"there is no file {printable(script)}") from None
    if b"\0" in source:
        raise ValueError(f"{printable(script)} is not Python's text; expected a script, or a tape (.npz, .json)")
    return source


def _status(end: SystemExit) -> int:
    """The exit status that Python makes of a SystemExit; what is no number is printed, as Python does."""
    if end.code is None:
        return 0
    if isinstance(end.code, int):
        return end.code & 0xFF
    print(end.code, file=sys.stderr)
    return 1


def said(run: Run, script: str, step: int) -> str:
    """What happened, in a line or two."""
    name, tape = printable(os.path.basename(script)), run.tape
    if run.stopped and tape is not None:
        return f"stopped {name} after its optimizer's step {run.steps}{_line_of_last(tape)}"
    how = f"failed with {type(run.error).__name__}" if run.error is not None else "ended"
    if isinstance(run.error, KeyboardInterrupt):
        how = "was interrupted"
    elif run.error is None and run.status:
        how = f"ended with status {run.status}"
    if run.steps < step and step > 1:
        made = f"{name} {how} before step {step}: its optimizer made {run.steps} step{'s' * (run.steps != 1)}"
        return made + ("; here is what came after the last" if tape else "")
    if not tape:
        return (
            f"{name} {how}, and computed nothing with minidl's tensors: there is nothing to step through"
            + _elsewhere(run)
        )
    if run.error is not None:
        return f"{name} {how}; here is what it did up to there"
    if not tape.find(BACKWARD):
        return f"{name} {how} without calling backward(): there is a forward, and no gradient" + _elsewhere(run)
    if tape.find(UPDATE):
        return f"{name} {how} without an optimizer's step(); here is all that it did"
    return f"{name} {how} without updating a weight by an optimizer; here is all that it did"


def _elsewhere(run: Run) -> str:
    if not run.steps and not run.backwards:
        return ""
    return ". (It trained in a thread of its own; a recording follows only the thread that it began in.)"


def _line_of_last(tape: Tape) -> str:
    found = tape.source(tape[-1], of_caller=True)
    return "" if found is None else f" ({found[0]}:{found[1]}  {printable(found[2].strip())})"
