"""What an error says of a name or an option that minidl spells otherwise: the line to write.

The tables are in the files beside this one, and as a page in docs/from_pytorch.md. Nothing here runs until a name was
not found, or an option not known.
"""

from __future__ import annotations

import importlib
import inspect
import opcode
import sys
from types import CodeType, FrameType
from typing import Any, Never, Self

import numpy as np

from minidl.habits.function_names import AUTOGRAD, FUNCTIONS, MODULES, TORCH
from minidl.habits.option_names import LEFT_OUT, RENAMED
from minidl.habits.tensor_names import TENSOR, Answers
from minidl.habits.training_names import (
    DATA,
    INITIALISERS,
    LAYERS,
    MODULE,
    NEAR,
    OPTIMIZER,
    OPTIMIZERS,
    OWN_OP,
    SCHEDULE,
    TRANSFORMS,
)

# Where a name may be typed, and the tables of what is known there.
PLACES: dict[str, tuple[Answers, ...]] = {
    "minidl": (TORCH, FUNCTIONS),
    "minidl.functional": (FUNCTIONS,),
    "minidl.autograd": (AUTOGRAD,),
    "minidl.nn": (LAYERS,),
    "minidl.nn.init": (INITIALISERS,),
    "minidl.optim": (OPTIMIZERS,),
    "minidl.data": (DATA,),
    "minidl.data.transforms": (TRANSFORMS,),
    "Tensor": (TENSOR,),
    "Module": (MODULE,),
    "Optimizer": (OPTIMIZER,),
    "Schedule": (SCHEDULE,),
    "Function": (OWN_OP,),
}

# Rooms with public names, and how one writes them.
ROOMS = {
    "minidl.functional": "F",
    "minidl.nn": "nn",
    "minidl.nn.init": "nn.init",
    "minidl.optim": "md.optim",
    "minidl.data": "md.data",
    "minidl.models": "md.models",
    "minidl": "md",
}


def answer(place: str, name: str) -> str:
    """The end of an error about `name` typed at `place`: ': write x.reshape(3, 2)'; empty if nothing is known."""
    for table in PLACES[place]:
        if name in table:
            return f"{'; the nearest there is' if name in NEAR else ''}: write {table[name][1]}"
    if place not in ROOMS or name.startswith("_"):
        return ""
    rooms = [place, *(room for room in ROOMS if room != place)]
    for spelt in (str, str.lower):  # as it was typed, else in other letters: Adagrad, Relu
        for room in rooms:
            for public in _public(room):
                if spelt(public) == spelt(name):
                    return f": write {ROOMS[room]}.{public}"
    return f": write np.{name}(x.numpy())" if place == "minidl" and callable(getattr(np, name, None)) else ""


def _public(room: str) -> list[str]:
    """The public names of a room: its `__all__`, or if it has none, of initialisers, what ends as they do."""
    module = importlib.import_module(room)
    return getattr(module, "__all__", None) or [name for name in vars(module) if name.endswith("_") and name[0] != "_"]


def missing_name(module: str, name: str) -> Exception:
    """The error for `module.name`, or for `from module import name`, where there is no such name."""
    said = answer(module, name)
    if said and _is_import_from(sys._getframe(2)):  # Python would replace an AttributeError by words of its own
        return ImportError(f"cannot import name {name!r} from {module!r}{said}", name=name)
    return AttributeError(f"module {module!r} has no attribute {name!r}{said}", name=name)


def _is_import_from(frame: FrameType) -> bool:
    """Whether the line that runs in `frame` is `from ... import ...`."""
    return frame.f_code.co_code[frame.f_lasti] == opcode.opmap["IMPORT_FROM"]


class ModulesOfPyTorch:
    """The last that Python asks for a module: what to write for one of PyTorch's that minidl has not."""

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> None:
        """None, for other names.

        Raises:
            ModuleNotFoundError: `import minidl.nn.functional` and the like.
        """
        if fullname in MODULES:
            raise ModuleNotFoundError(f"No module named {fullname!r}: write {MODULES[fullname]}", name=fullname)


sys.meta_path.append(ModulesOfPyTorch())


class Missing:
    """A name of PyTorch's in a class that has it not: reading it is the AttributeError that says what to write.

    `hasattr` is False. (A `__getattr__` of the class would say the same, and make every attribute of it slower to read:
    in Python 3.11 Tensors' four times.) An attribute of that name, of an object or of a subclass, hides it.
    """

    __slots__ = ("name", "place")

    def __init__(self, place: str, name: str) -> None:
        self.place = place
        self.name = name

    def __get__(self, instance: object, owner: type) -> Never:
        kind = owner.__name__
        said = answer(self.place, self.name)
        if self.place == "Function":
            said = said.replace("Cube", kind)
        raise AttributeError(f"{kind!r} object has no attribute {self.name!r}{said}", name=self.name)

    def __repr__(self) -> str:
        return f"PyTorch's name for {PLACES[self.place][0][self.name][1]}"


class _Answered:
    """The base of the classes below: Tab and `dir` show what is there, not what is only answered."""

    __slots__ = ()

    def __dir__(self) -> list[str]:
        answered = {name for cls in type(self).__mro__ for name, value in vars(cls).items() if type(value) is Missing}
        own = {name for cls in type(self).__mro__ for name, value in vars(cls).items() if type(value) is not Missing}
        return sorted(set(object.__dir__(self)) - (answered - own))


def _missing(place: str) -> dict[str, Missing]:
    return {name: Missing(place, name) for table in PLACES[place] for name in table}


class TensorNames(_Answered):
    """The last base of Tensor: names that PyTorch's has and it has not."""

    __slots__ = ()
    locals().update(_missing("Tensor"))


class FunctionNames(_Answered):
    """The last base of Function, likewise."""

    __slots__ = ()
    locals().update(_missing("Function"))


class OptimizerNames(_Answered):
    """The last base of Optimizer, likewise."""

    locals().update(_missing("Optimizer"))


class ScheduleNames(_Answered):
    """The last base of Schedule, likewise."""

    locals().update(_missing("Schedule"))


# ---- options


def unknown_option(call: str, unknown: dict[str, Any]) -> TypeError:
    """The error for options that the function which asks for it does not know.

    Args:
        call: the function with its operands, 'F.sum(x)'; what else it was given is found in its frame.
        unknown: the options with their values, {'dim': 1}.
    """
    frame = sys._getframe(1)
    return _error_of(call, unknown, _given_options(frame), _names_taken(frame.f_code))


def _names_taken(code: CodeType) -> tuple[str, ...]:
    """The names of the arguments that a function takes."""
    return code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]


def _is_answered(name: str, taken: tuple[str, ...]) -> bool:
    """Whether an option is to be left out, or is called otherwise by a function that takes the names `taken`."""
    return name in LEFT_OUT or RENAMED.get(name) in taken


def _error_of(call: str, unknown: dict[str, Any], given: list[str], taken: tuple[str, ...]) -> TypeError:
    """The error for unknown options of a call that has the options `given` beside them."""
    function = call.partition("(")[0]
    names = ", ".join(f"{name!r}" for name in unknown)
    text = f"{function}() got {'options' if len(unknown) > 1 else 'an option'} that it has not, {names}"
    if not all(_is_answered(name, taken) for name in unknown):
        return TypeError(text)
    reasons = [f"; {name}: {LEFT_OUT[name]}" for name in unknown if name in LEFT_OUT]
    options = [*given, *(f"{RENAMED[name]}={_operand(value)}" for name, value in unknown.items() if name in RENAMED)]
    if "unbiased" in unknown:
        options.append(f"ddof={int(bool(unknown['unbiased']))}")
    start = call.removesuffix(")").removesuffix(",")
    between = ", " if options and not start.endswith("(") else ""
    return TypeError(f"{text}: write {start}{between}{', '.join(options)}){''.join(reasons)}")


def _given_options(frame: FrameType) -> list[str]:
    """The options that the function running in `frame` was given another value of than its default: ['axis=1']."""
    code = frame.f_code
    function: Any = frame.f_globals.get(code.co_name)
    if getattr(function, "__code__", None) is not code:
        return []
    given = [
        (name, frame.f_locals[name])
        for name, option in inspect.signature(function).parameters.items()
        if option.default is not option.empty and frame.f_locals[name] is not option.default
    ]
    return [f"{name}={_operand(value)}" for name, value in given]


class Options:
    """The base of classes that say, when one is made with options of PyTorch's that they have not, what to write."""

    __slots__ = ()

    def __new__(cls, *given: Any, **options: Any) -> Self:
        if given or options:
            refuse_unknown(cls, given, options)
        return super().__new__(cls)


VAR_ARGUMENTS, VAR_KEYWORDS = 0x04, 0x08  # flags of Python's for functions with *given and **options


def refuse_unknown(cls: type, given: tuple[Any, ...], options: dict[str, Any]) -> None:
    """Raise the TypeError for arguments that `cls.__init__` does not take, if PyTorch does."""
    code = getattr(cls.__init__, "__code__", None)  # type: ignore[misc]
    if code is None or code.co_flags & (VAR_ARGUMENTS | VAR_KEYWORDS):
        return
    room = next((f"{ROOMS[room]}." for room in ROOMS if cls.__module__.startswith(f"{room}.")), "")
    taken = code.co_argcount - 1
    known = _names_taken(code)[1:]
    unknown = {name: value for name, value in options.items() if name not in known}
    call = [_operand(value) for value in given[:taken]]
    if "params" in unknown:  # an optimizer's first argument, which may be a model here
        call.append(_operand(unknown.pop("params")))
    call += [f"{name}={_operand(value)}" for name, value in options.items() if name in known]
    line = f"{room}{cls.__name__}({', '.join(call)})"
    if not unknown and "params" in options and room:
        raise TypeError(f"{room}{cls.__name__}() takes a model or parameters as its first argument: write {line}")
    if len(given) > taken and room:
        raise TypeError(f"{room}{cls.__name__}() takes at most {taken} arguments; got {len(given)}: write {line}")
    if unknown and all(_is_answered(name, known) for name in unknown):
        raise _error_of(line, unknown, [], known)


USUAL = {"Module": "model", "Optimizer": "optimizer", "Dataset": "dataset", "Tensor": "x", "list": "model.parameters()"}


def _operand(value: Any) -> str:
    """An argument as one would write it: numbers and texts as they are, others by their usual name."""
    if isinstance(value, type) and issubclass(value, np.generic):
        return f"np.{value.__name__}"
    plain = isinstance(value, (int, float, str, type(None))) or (
        isinstance(value, (tuple, list)) and all(isinstance(part, (int, float)) for part in value)
    )
    if plain and len(repr(value)) < 40:
        return repr(value)
    return next((USUAL[kind.__name__] for kind in type(value).__mro__ if kind.__name__ in USUAL), "...")
