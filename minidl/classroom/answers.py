"""What students answered in a file, a notebook or a Python file in cells: the file is run, its checks are collected."""

from __future__ import annotations

import contextlib
import io
import json
import linecache
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from minidl.check.collecting import collected
from minidl.check.exercise import OPEN
from minidl.check.result import Result
from minidl.classroom.notebook import cells_in
from minidl.classroom.source import CODE, Cell, cells_of
from minidl.classroom.student import ANSWER, STUB


def cells_of_file(path: Path) -> list[Cell]:
    """The cells of a notebook (.ipynb) or of a Python file in cells.

    Raises:
        ValueError: the file is neither; the message names it.
    """
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".ipynb":
        return cells_of(text, path.name)
    try:
        return cells_in(json.loads(text))
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path.name} is no notebook: {error}") from error


def results_in(path: Path, seed: int | None = None) -> dict[str, Result]:
    """Run a file of answers, cell by cell, and return what its checks found, by the exercises' names.

    A cell that raises an error is left, and the next one run, as a grader does it. What they print is not shown; what
    failed stands in the results. The cells run in this process.

    Args:
        path: the file.
        seed: of the class; None leaves it to the file and to MINIDL_CHECK_SEED.
    """
    cells = cells_of_file(path)
    checks = [str(cell.options["check"]) for cell in cells if "check" in cell.options]
    last = max((i for i, cell in enumerate(cells) if "check" in cell.options), default=-1)
    names: dict[str, Any] = {"__name__": "__main__", "__file__": str(path), "__builtins__": __builtins__}
    raised: dict[str, str] = {}
    before: list[str] = []  # what failed on the way to a check
    with _beside(path), collected() as results, contextlib.redirect_stdout(io.StringIO()):
        if seed is not None:
            exec(f"import minidl as md; md.check.seed({seed})", names)
        for number, cell in enumerate(cells[: last + 1], 1):
            if cell.kind != CODE or "install" in cell.tags:
                continue
            error = _run(cell.text, names, f"{path.name}, cell {number}")
            if error:
                before.append(error)
            if "check" in cell.options:
                raised[str(cell.options["check"])] = "\n".join(before[-2:])
    for name in checks:
        if name not in results:
            results[name] = Result(name, 0, 1, difference=raised.get(name) or "its check did not run")
    return results


@contextlib.contextmanager
def _beside(path: Path) -> Iterator[None]:
    """Files beside the answers can be imported; figures are drawn without a display."""
    before = list(sys.path)
    sys.path.insert(0, str(path.parent.resolve()))
    with contextlib.suppress(ImportError):
        import matplotlib as mpl

        mpl.use("Agg")
    try:
        yield
    finally:
        sys.path[:] = before


def _run(text: str, names: dict[str, Any], where: str) -> str:
    """Run a cell; what it raised, in words."""
    lines = ["" if line.lstrip().startswith(("%", "!")) else line for line in text.split("\n")]  # Jupyter's own
    program = "\n".join(lines)
    linecache.cache[where] = (len(program), None, program.splitlines(keepends=True), where)
    try:
        exec(compile(program, where, "exec"), names)
    except (Exception, SystemExit) as error:
        return f"{where} raised {type(error).__name__}: {error}"
    return ""


class Answers:
    """The answers in a folder: of each tutorial the notebook NN_name.ipynb and the file NN_name.py, run when asked for.

    A file in which nothing was answered is not run. Answered in both, the better one counts.

    Args:
        folder: where they are.
        seed: of the class; None leaves it to the files.
    """

    def __init__(self, folder: str | Path, seed: int | None = None) -> None:
        self.folder, self.seed = Path(folder), seed
        self._results: dict[Path, dict[str, Result]] = {}

    def __getitem__(self, name: str) -> Result:
        """What the check of an exercise found; "not answered yet" where nothing was."""
        best = Result(name, 0, 1, difference=OPEN)
        for path in sorted(self.folder.glob(f"{name[1:3]}_*")):
            if path.suffix not in (".ipynb", ".py"):
                continue
            if path not in self._results:
                self._results[path] = results_in(path, self.seed) if is_touched(path) else {}
            found = self._results[path].get(name)
            if found is not None and (found.score > best.score or best.difference == OPEN):
                best = found
        return best


def is_touched(path: Path) -> bool:
    """Whether something was answered in a file: some cell of an exercise is no longer as it was handed out."""
    cells = [cell.text for cell in cells_of_file(path) if "exercise" in cell.options]
    return any(STUB not in text and ANSWER not in text for text in cells) or not cells
