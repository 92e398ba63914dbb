"""What a training is made of, in words: compared when a run is resumed, so that it goes on as what it was.

`kinds` names the classes, `settings` what they were made with: a layer's options, a schedule's numbers, the code of a
function. The latter is as much as can be seen from outside. What changes from step to step belongs in a buffer, which
is saved; or in an attribute that begins with an underscore, which is not looked at.
"""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from types import CodeType, FunctionType, MethodType
from typing import Any

import numpy as np

from minidl import backend
from minidl.data import Loader, Mapped
from minidl.data.dataset import checksum
from minidl.nn import Module
from minidl.optim import Optimizer
from minidl.optim.schedule import Schedule
from minidl.tensors.tensor import Tensor

PYTHON = f"Python {sys.version_info.major}.{sys.version_info.minor}"  # each has bytecode of its own
_PLAIN = (bool, float, str, tuple)  # attributes that are settings; a whole number may be a counter
_OF_A_MODULE = ("training", "forward")
_OF_A_SCHEDULE = ("optimizer", "base_lr", "step_count", "schedulers", "best")
_DEEP = 5  # objects within objects
_LONG = 100  # letters


def kinds(
    model: Module, optimizer: Optimizer | None, loader: Loader | None, schedule: Schedule | None
) -> dict[str, str]:
    """The classes of everything that is saved, and the optimizer's settings: what it is, by its place."""
    found = {f"module {name}".rstrip(): type(module).__name__ for name, module in model.named_modules()}
    for name, part in (("optimizer", optimizer), ("schedule", schedule), ("loader", loader)):
        if part is not None:
            found[name] = type(part).__name__
    if optimizer is not None:
        found["layer rate"] = type(optimizer.layer_rate).__name__
        written = ("lr",) if schedule is None else schedule.writes
        fixed = [s for s in optimizer.settings if s not in written]
        found |= {f"{s} of the optimizer": repr(getattr(optimizer, s)) for s in fixed}
        scaled = {name: scale for name, scale in optimizer.scales.items() if scale != (1.0, 1.0)}
        found |= {f"scale of {name}": f"lr={scale.lr}, decay={scale.decay}" for name, scale in scaled.items()}
    return found


def settings(
    model: Module,
    optimizer: Optimizer | None = None,
    loader: Loader | None = None,
    schedule: Schedule | None = None,
    loss: Callable[..., Any] | None = None,
) -> dict[str, str]:
    """What everything was made with, by its place; also which parameters are frozen, and what the loss is."""
    found: dict[str, str] = {}
    all_evaluate = not any(module.training for module in model.modules())  # then `fit` lets all of them train
    for name, module in model.named_modules():
        where = f"module {name}" if name else "model"
        if not module.children():
            found[f"mode of the {where}"] = "training" if module.training or all_evaluate else "evaluation"
        for key, value in _options(module, _OF_A_MODULE):
            if not isinstance(value, (Module, Tensor)):
                found |= _described(f"{key} of the {where}", value)
        if not _is_minidls(type(module)):
            found |= _code(f"forward of the class {type(module).__name__}", [getattr(type(module), "forward", None)])
    for name, p in model.named_parameters():
        found[f"parameter {name}"] = f"{p.dtype}, {'trained' if p.requires_grad else 'frozen'}"
    if optimizer is not None:
        found |= _described("rule of the layer rate", optimizer.layer_rate)
    if schedule is not None:
        found |= _of_a_schedule("schedule", schedule)
    if loader is not None:
        source = loader.dataset
        found |= _described("transform of the loader", loader.transform)
        found["data set"] = type(source).__name__
        found["classes of the data set"] = _text(source.classes, [])
        if isinstance(source, Mapped):
            found |= _described("transform of the data set", source.transform)
    if loss is not None:
        found |= _described("loss", loss)
    return found


def differences(saved: Mapping[str, str], here: Mapping[str, str], only_shared: bool = False) -> list[str]:
    """Where the two differ, each as a sentence.

    Args:
        only_shared: leave out what only one of them has: another version of minidl or Python may know other settings.
    """
    found = []
    for what in {**here, **saved}:
        both = what in saved and what in here
        if saved.get(what) != here.get(what) and (both or not only_shared):
            label = "the model" if what == "module" else f"the {what}"
            found.append(
                f"{label} is {saved.get(what) or 'missing'} in the checkpoint and {here.get(what) or 'missing'} here"
            )
    return found


def _of_a_schedule(where: str, schedule: Schedule) -> dict[str, str]:
    found: dict[str, str] = {}
    for key, value in _options(schedule, _OF_A_SCHEDULE):
        found |= _described(f"{key} of the {where}", value)
    for i, inner in enumerate(getattr(schedule, "schedulers", ())):
        found[f"schedule {i} of the {where}"] = type(inner).__name__
        found |= _of_a_schedule(f"schedule {i} of the {where}", inner)
    return found


def _options(thing: Any, left_out: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """The attributes of an object that are settings: those its class takes under their name, and other plain ones."""
    try:
        taken = inspect.signature(type(thing)).parameters
    except (TypeError, ValueError):  # a class that does not say
        taken = {}  # type: ignore[assignment]
    for key, value in getattr(thing, "__dict__", {}).items():
        known = key in taken or isinstance(value, (*_PLAIN, FunctionType))
        if known and not key.startswith("_") and key not in left_out:
            yield key, value


def _described(what: str, value: Any) -> dict[str, str]:
    """An entry for a value, and one for the code of the functions in it."""
    functions: list[Any] = []
    return {what: _text(value, functions), **_code(what, functions)}


def _code(what: str, functions: list[Any]) -> dict[str, str]:
    """An entry for the code of functions that are not minidl's own, which changes with its versions."""
    codes = [f.__code__ for f in functions if isinstance(f, FunctionType) and not _is_minidls(f)]
    return {f"code of the {what} in {PYTHON}": _digest(repr([_of_code(code) for code in codes]))} if codes else {}


def _is_minidls(thing: FunctionType | type) -> bool:
    return (thing.__module__ or "").startswith("minidl.")


def _of_code(code: CodeType) -> tuple[Any, ...]:
    return code.co_code, code.co_names, [_constant(value) for value in code.co_consts]


def _constant(value: Any) -> Any:
    if isinstance(value, CodeType):  # a function inside the function
        return _of_code(value)
    if isinstance(value, frozenset):  # its order is another in every process
        return sorted(map(repr, value))
    return [_constant(member) for member in value] if isinstance(value, tuple) else value


def _text(value: Any, functions: list[Any], depth: int = 0) -> str:
    """A value in words, the same in another process; functions that are met on the way are added to the list."""

    def inner(part: Any) -> str:
        return _text(part, functions, depth + 1)

    if isinstance(value, Tensor):
        if value.requires_grad:  # it is learned
            return type(value).__name__
        value = value._data
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, (bool, int, float, complex, str, bytes)):
        return _short(repr(value))
    if backend.is_array(value):
        return f"{value.dtype} {tuple(value.shape)} {checksum(value)}"
    if isinstance(value, type):
        return value.__name__
    if depth > _DEEP or isinstance(value, (Optimizer, Schedule, Loader)):  # what these are is told apart
        return type(value).__name__
    if isinstance(value, (tuple, list)):
        return _short(f"({', '.join(map(inner, value))})")
    if isinstance(value, (set, frozenset)):
        return _short(f"{{{', '.join(sorted(map(inner, value)))}}}")
    if isinstance(value, dict):
        return _short(f"{{{', '.join(sorted(f'{inner(key)}: {inner(member)}' for key, member in value.items()))}}}")
    if isinstance(value, functools.partial):
        return f"partial of {inner(value.func)} with {inner(value.args)} and {inner(value.keywords)}"
    if isinstance(value, MethodType):
        return f"{inner(value.__func__)} of {inner(value.__self__)}"
    if isinstance(value, FunctionType) and _is_minidls(value):  # its defaults may change with the version, too
        return value.__name__
    if isinstance(value, FunctionType):
        functions.append(value)
        held = [*(value.__defaults__ or ()), *(value.__kwdefaults__ or {}).values(), *_closed_over(value)]
        return _short(value.__name__ + (f" with {inner(held)}" if held else ""))
    if callable(value) and hasattr(value, "__name__"):  # a function of C
        return str(value.__name__)
    call = getattr(type(value), "forward" if isinstance(value, Module) else "__call__", None)
    if isinstance(call, FunctionType):
        functions.append(call)
    options = [f"{key}={inner(part)}" for key, part in _options(value, _OF_A_MODULE)]
    return _short(f"{type(value).__name__}({', '.join(options)})")


def _closed_over(function: FunctionType) -> Iterator[Any]:
    """The numbers, texts, arrays and functions that a function takes from the one around it.

    A list or another object may be there to be changed in every step.
    """
    for cell in function.__closure__ or ():
        try:
            value = cell.cell_contents
        except ValueError:  # not assigned yet
            continue
        plain = isinstance(value, (int, *_PLAIN, np.generic, FunctionType))
        if plain or backend.is_array(value) or isinstance(value, Tensor):
            yield value


def _short(text: str) -> str:
    """A long text as its beginning and a checksum."""
    return text if len(text) <= _LONG else f"{text[: _LONG // 2]}... ({_digest(text)})"


def _digest(text: str) -> str:
    return checksum(np.frombuffer(text.encode(errors="surrogatepass"), np.uint8))
