"""The tutorials' exercises, and the checks of their answers: `md.check.t03_matmul_backward(my_function)`.

A check runs your answer on fresh cases, compares it with the right one (gradients with finite differences), and says
what it found: the case, what you computed beside what was expected, the line of yours that failed, and, where it
recognises the mistake, a hint. It survives an answer that raises an error, changes nothing of yours, works offline.

`dir(md.check)` lists the exercises, `print(md.check.t03_matmul_backward)` shows one, `md.check.progress()` what you
have done. The solutions stand in the tutorials; they are no secret.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
from typing import Any

from minidl.check.remembering import progress
from minidl.check.result import Result
from minidl.check.seeding import seed

__all__ = ["Result", "exercises", "progress", "seed"]

_TUTORIAL = re.compile(r"t\d\d")


def exercises(tutorial: int | None = None) -> list[Any]:
    """The exercises of a tutorial, in its order; without a number, those of all tutorials."""
    wanted = sorted(module.name for module in pkgutil.iter_modules(__path__) if _TUTORIAL.fullmatch(module.name))
    if tutorial is not None:
        wanted = [name for name in wanted if name == f"t{tutorial:02d}"]
        if not wanted:
            raise ValueError(f"there is no tutorial {tutorial}")
    return [exercise for name in wanted for exercise in importlib.import_module(f"minidl.check.{name}").EXERCISES]


def __getattr__(name: str) -> Any:
    """`t03_matmul_backward` is an exercise in the module t03."""
    if _TUTORIAL.match(name):
        for exercise in exercises():
            if exercise.name == name:
                return exercise
    near = [exercise.name for exercise in exercises() if exercise.name[:3] == name[:3]]
    known = ", ".join(near) if near else "dir(md.check) lists them"
    raise AttributeError(f"there is no exercise {name!r}: {known}")


def __dir__() -> list[str]:
    return sorted([*__all__, *(exercise.name for exercise in exercises())])
