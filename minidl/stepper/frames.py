"""Where in the program something happens: the user's line, and the modules that are being called."""

from __future__ import annotations

import ast
import inspect
import linecache
import os
import sys
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, NamedTuple

from minidl.errors import printable
from minidl.nn import Module
from minidl.stepper.events import Call, File, Line

_HERE = str(Path(__file__).parent.parent) + os.sep
_LARGEST = 100_000  # characters of a file that are kept whole; of a larger one the lines around those that ran
_AROUND = 40


_WALKS = {"run": ("walk.py", "backward.py"), "walked": ("walking.py",)}  # functions that walk back


class Seen(NamedTuple):
    """Where a program is.

    Attributes:
        line: the user's line, a number among the tape's lines; None if it is not known.
        call: the innermost call of a module, or None.
        users: the user's innermost frame.
        walk: the frame of the backward walk that is running, or None.
        delivering: whether the walk has ended, and gradients are being added to what the leaves have already.
    """

    line: int | None
    call: int | None
    users: FrameType | None
    walk: FrameType | None
    delivering: bool


class Frames:
    """Looks at the running program's frames, and keeps of them numbers and texts.

    Of the frames themselves only those of the modules that were running at the last event are held, until the next: so
    a second call of a module is told from the first.

    Attributes:
        lines, files, calls: what was found, for the tape.
    """

    def __init__(self) -> None:
        self.lines: list[Line] = []
        self.calls: list[Call] = []
        self._line_numbers: dict[tuple[str, int, str], int] = {}
        self._file_names: list[str] = []
        self._times: dict[int, int] = {}  # by the id of a module: how often it was called
        self._running: list[tuple[FrameType, int]] = []  # frames of modules and their calls, the outermost first
        self._targets: dict[str, dict[int, str]] = {}
        self._own: dict[CodeType, bool] = {}

    def look(self) -> Seen:
        """Where the program is now."""
        frame: FrameType | None = sys._getframe(1)
        users: FrameType | None = None
        walk: FrameType | None = None
        delivering = False
        modules: list[tuple[FrameType, Module]] = []
        while frame is not None:
            code = frame.f_code
            own = self._own.get(code)
            if own is None:
                own = self._own[code] = code.co_filename.startswith(_HERE)
            if users is None and not own:
                users = frame
            elif own and code.co_name == "deliver" and code.co_filename.endswith("backward.py"):
                delivering = True
            elif own and walk is None and code.co_name in _WALKS and code.co_filename.endswith(_WALKS[code.co_name]):
                walk = frame
            if code.co_name == "forward" and code.co_argcount and code.co_varnames[0] == "self":
                module = _local(frame, "self")
                if isinstance(module, Module):
                    modules.append((frame, module))
            frame = frame.f_back
        return Seen(self._line(users), self._call(modules[::-1]), users, walk, delivering)

    def _line(self, frame: FrameType | None) -> int | None:
        if frame is None:
            return None
        key = frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_name
        number = self._line_numbers.get(key)
        if number is None:
            if key[0] not in self._file_names:
                self._file_names.append(key[0])
            number = self._line_numbers[key] = len(self.lines)
            self.lines.append(Line(self._file_names.index(key[0]), frame.f_lineno, printable(key[2])))
        return number

    def _call(self, modules: list[tuple[FrameType, Module]]) -> int | None:
        running: list[tuple[FrameType, int]] = []
        same = True
        for depth, (frame, module) in enumerate(modules):
            same = same and depth < len(self._running) and self._running[depth][0] is frame
            if same:
                running.append(self._running[depth])
                continue
            self._times[id(module)] = nth = self._times.get(id(module), 0) + 1
            path = printable(module._path() or type(module).__name__)
            parent = running[-1][1] if running else None
            running.append((frame, len(self.calls)))
            self.calls.append(Call(path, printable(module._label()), nth, parent))
        self._running = running
        return running[-1][1] if running else None

    def target(self, line: int | None) -> str:
        """The name that a line assigns to, "h" of `h = F.relu(x)`; "" if it is no such line."""
        if line is None:
            return ""
        file = self._file_names[self.lines[line].file]
        if file not in self._targets:
            self._targets[file] = _targets_of("".join(linecache.getlines(file)))
        return self._targets[file].get(self.lines[line].line, "")

    def files(self) -> list[File]:
        """The files of the lines, with their texts as they are now."""
        found = []
        for i, name in enumerate(self._file_names):
            lines, first = [line.rstrip("\r\n") for line in linecache.getlines(name)], 1
            if sum(map(len, lines)) > _LARGEST:
                used = [line.line for line in self.lines if line.file == i]
                first = max(1, min(used) - _AROUND)
                lines = lines[first - 1 : min(max(used) + _AROUND, first + 2000)]
            text = "\n".join(printable(line, keep="\t") for line in lines)
            found.append(File(_short(name), first, text))
        return found

    def let_go(self) -> None:
        """Hold no frame any more."""
        self._running = []


def _local(frame: FrameType, name: str) -> Any:
    """The value of a function's variable."""
    names = frame.f_locals
    found = names.get(name)
    _forget(frame, names)
    return found


def name_of(x: Any, frame: FrameType) -> str:
    """What a variable is called whose value is x, in a function or in its module; "" if there is none."""
    names = frame.f_locals
    found = next((name for name, held in [*names.items()] if held is x and name[0] != "_"), "")
    _forget(frame, names)
    if not found:
        found = next((name for name, held in [*frame.f_globals.items()] if held is x and name[0] != "_"), "")
    return printable(found)


def _forget(frame: FrameType, names: Any) -> None:
    """Empty the dict that Python before 3.13 leaves with a function's frame when its variables were looked at.

    It would keep them alive until the function ends. If somebody else holds it, by `locals()`, it stays as it is.
    """
    holders = 4  # the frame, our caller, the argument here and that of getrefcount
    in_function = frame.f_code.co_flags & inspect.CO_OPTIMIZED
    if in_function and type(names) is dict and sys.getrefcount(names) <= holders:
        names.clear()


def _short(file: str) -> str:
    """A file as a reader knows it, without where it lies on this machine."""
    if file.startswith("<"):
        return printable(file)
    try:
        relative = os.path.relpath(file)
    except ValueError:  # another drive, on Windows
        relative = ".."
    return printable(os.path.basename(file) if relative.startswith("..") else relative.replace(os.sep, "/"))


def _targets_of(text: str) -> dict[int, str]:
    """For each line of a program that belongs to `name = ...` the name; none where statements share a line."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        return {}
    found: dict[int, str] = {}
    taken: set[int] = set()
    for node in ast.walk(tree):
        target: Any = None
        if not isinstance(node, ast.stmt) or hasattr(node, "body") or hasattr(node, "cases"):
            continue
        if isinstance(node, ast.Assign) and len(node.targets) == 1:
            target = node.targets[0]
        elif isinstance(node, (ast.AnnAssign, ast.AugAssign)):
            target = node.target
        name = target.id if isinstance(target, ast.Name) else ""
        for line in range(node.lineno, (node.end_lineno or node.lineno) + 1):
            found[line] = "" if line in taken else name  # `h = w * x; s = "done"`: which of them made the value?
            taken.add(line)
    return found
