"""One run of the plan, where it is done: in a process of this machine, or by a worker of a cluster.

It holds its folder meanwhile, so that no two processes write to it; and whatever goes wrong in it is its own failure,
told in its folder and to the scheduler, and stops nothing else.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from minidl.experiments.reproduce.holding import Hold, LostError
from minidl.experiments.reproduce.plan import PlannedRun
from minidl.experiments.reproduce.results import ERROR, RESULT, is_done, read_result
from minidl.files.writing import write_atomically

STOPPED = "it was asked to stop"
_ORDER = {"needs", "stage"}  # when a run is done, not what it is

# perform(spec, folder, base_rate=..., twin=..., on_iteration=...): does the run and leaves result.json in its folder.
Perform = Callable[..., object]


def do_run(perform: Perform, spec: Mapping[str, Any], folder: Path, base_rate: float, twin: Path | None) -> str | None:
    """Do a run, or go on with it from its checkpoint.

    Returns None, or in one line what went wrong; or `STOPPED`, and then it has left a checkpoint. (At a
    KeyboardInterrupt a worker of a cluster would end.)

    If another process has the folder this waits, and then does what is still to be done: a cluster that lost sight of
    a worker begins its run again elsewhere, though the worker may still be there.

    Args:
        perform: what a run is.
        spec: which.
        folder: its own.
        base_rate: the rate that its layers' rates are multiples of.
        twin: the folder of the layer-specific run that it replays.
    """
    try:
        with Hold(folder, wait=True) as hold:
            if not is_done(folder):
                (folder / ERROR).unlink(missing_ok=True)
                perform(spec, folder, base_rate=base_rate, twin=twin, on_iteration=hold.at)
            if not is_done(folder):
                raise RuntimeError(f"it ended without a {RESULT}")
    except KeyboardInterrupt:
        return STOPPED
    except LostError as error:
        return one_line(error)
    except (Exception, SystemExit) as error:
        note_failure(folder, spec["id"], one_line(error), "".join(traceback.format_exception(error)))
        return one_line(error)
    return None


def one_line(error: BaseException) -> str:
    """An error in one line: `ValueError: its first line`."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def note_failure(folder: Path, name: str, why: str, details: str = "") -> None:
    """Leave error.txt in the folder of a run that failed."""
    text = f"The run {name} failed: {why}\nIt is tried again when the same command is given again.\n\n{details}"
    with suppress(OSError):  # then the scheduler alone tells it
        write_atomically(folder / ERROR, text.encode(errors="backslashreplace"))


def result_of(run: PlannedRun, folder: Path) -> dict[str, Any] | None:
    """What a run that is done has left; None if it is not done.

    Raises:
        ValueError: the file is damaged, or that of another run. The message names it and says what to do.
    """
    if not is_done(folder):
        return None
    found, own = read_result(folder), run.as_spec()
    for name in own.keys() - _ORDER:
        if found["spec"][name] != own[name]:
            raise ValueError(
                f"{folder / RESULT} is of another run than plan.json says: expected {name} {own[name]!r}; got "
                f"{found['spec'][name]!r}. Mend the plan, or delete the folder, and the run is done again"
            )
    return found
