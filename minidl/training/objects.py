"""What an object is made of, in words: its class, its options, and the code that it runs, where that is a user's own.

    told = Told()
    told.tell("loss", loss)
    told.entries        # {"loss": Fact("focal", CERTAIN), "global GAMMA of the loss": Fact("2.0", LIKELY), ...}

Two objects that are made alike are told alike, in every process: nothing depends on addresses, on the order of sets, or
on where in its file a function stands. What is told is followed from object to object: to the options of an object, to
the functions that a function calls and the values that it reads, by the names in its code. Of minidl and of installed
packages names alone are told, since their code changes with their versions.

How certain it is that something is a setting, and not a counter, cannot always be seen: `Certainty` has three degrees.
What changes from step to step belongs in a buffer, which is saved; or in an attribute that begins with an underscore,
which is not looked at.
"""

from __future__ import annotations

import enum
import functools
import inspect
import math
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import islice
from types import FunctionType, MethodType, ModuleType
from typing import Any, NamedTuple

import numpy as np

from minidl import backend
from minidl.nn import Module
from minidl.tensors.tensor import Tensor
from minidl.training.instructions import PYTHON, instructions_of
from minidl.training.texts import ITEMS, is_minidls, is_own, is_wrapper, name_of, plain_text, short

PLAIN = (bool, float, str, tuple)  # attributes of these types are settings; a whole number may be a counter
MOST = 1000  # entries of one object
_DEEP = 40  # objects within objects
_OF_A_MODULE = ("training",)
_EMPTY = object()
_OF_MINIDL = ("foreign", "plain", "versions")  # attributes of classes that minidl writes itself
_MAKERS = ("__init__", "__post_init__")
# Methods that make an object, copy, compare or show it, and have no part in what it does afterwards.
_BESIDE = {"extra_repr", "state_dict", "load_state_dict"} | {
    f"__{name}__"
    for name in (
        *("init", "new", "post_init", "init_subclass", "set_name", "class_getitem", "del"),
        *("repr", "str", "format", "dir", "sizeof", "eq", "hash", "lt", "le", "gt", "ge", "setattr", "delattr"),
        *("reduce", "reduce_ex", "getstate", "setstate", "copy", "deepcopy"),
    )
}


class Certainty(enum.IntEnum):
    """How certain it is that an entry tells a setting, and not something that changes in the training."""

    POSSIBLE = 0  # what is written in the course of the training: a counter; or what may be
    LIKELY = 1  # what code reads, and is not seen to write
    CERTAIN = 2  # an option, code


class Fact(NamedTuple):
    """What is told of one thing, and how certain it is a setting."""

    text: str
    certainty: Certainty


class Use(NamedTuple):
    """What the code that has to do with an object does with its attributes, by their names.

    Attributes:
        read, written: by the methods that are told, and by the code that has the object.
        counted: written by any method, but those that make the object.
        changes: whether any of these seems to change what a list, a dict or an array holds.
    """

    read: frozenset[str]
    written: frozenset[str]
    counted: frozenset[str]
    changes: bool


class Told:
    """The entries that tell what some objects are made of, by name; see the top of this file.

    Args:
        elsewhere: objects that are told in another place; of them the class is named.
    """

    def __init__(self, elsewhere: Iterable[Any] = ()) -> None:
        self.entries: dict[str, Fact] = {}
        self._met = {id(thing): thing for thing in elsewhere}  # who is met again is not told again
        self._shown: dict[int, set[str]] = {}  # of which options: the others are, where other code reads them
        self._variables: set[tuple[type, str]] = set()  # of classes, that were told
        self._depth = 0  # how many objects inside those that were asked for
        self._end = math.inf  # how many entries there may be

    def put(self, what: str, text: str, certainty: Certainty = Certainty.CERTAIN) -> None:
        """Add an entry. A second one of a name is joined to the first: there may be two classes of one name."""
        first = self.entries.get(what)
        if first is not None:
            self.entries[what] = Fact(short(f"{first.text}; {text}"), min(first.certainty, certainty))
        else:
            self.entries[what] = Fact(text, certainty)

    def tell(
        self,
        what: str,
        value: Any,
        certainty: Certainty = Certainty.CERTAIN,
        read: frozenset[str] = frozenset(),
    ) -> None:
        """Add the entry called `what` for a value, and further ones for what it is made of.

        Args:
            read: the names that are read after a dot by the code which has this value.
        """
        if self._depth == 0:
            self._end = len(self.entries) + MOST
        elif len(self.entries) >= self._end:
            return
        self._depth += 1
        self._tell(what, value, certainty, read)
        self._depth -= 1

    def _tell(self, what: str, value: Any, certainty: Certainty, read: frozenset[str]) -> None:
        if isinstance(value, dict) and (keys := read & value.keys()):  # others are not for the code that has it
            for entry in sorted(keys) if self._depth <= _DEEP else ():
                self.tell(f"entry {entry!r} of the {what}", value[entry], certainty, read)
            return
        text = plain_text(value)
        if text is not None:
            self.put(what, text, certainty)
        elif isinstance(value, functools.partial):
            self.put(what, f"partial of {name_of(value.func)}", certainty)
            self.tell(f"function of the {what}", value.func, certainty)
            for key, part in (*enumerate(value.args), *sorted(value.keywords.items())):
                self.tell(f"argument {key} of the {what}", part, certainty, read)
        elif isinstance(value, MethodType):
            self.put(what, f"{name_of(value.__func__)} of {name_of(value.__self__)}", certainty)
            self._tell_function(what, value.__func__)
            self.tell(f"object of the {what}", value.__self__, certainty, _read_by([value.__func__]))
        elif isinstance(value, FunctionType):
            self.put(what, name_of(value), certainty)
            self._tell_function(what, value)
        elif isinstance(value, type):
            self.put(what, name_of(value), certainty)
            self._tell_class(value, read, made=True)
        elif isinstance(value, ModuleType):
            self.put(what, name_of(value), certainty)
            if self._is_new(value) and is_own(value):
                for name in sorted(read & vars(value).keys()):
                    self._tell_variable(f"{name} of the module {name_of(value)}", vars(value)[name], read)
        elif isinstance(value, (list, tuple, deque)):
            self.put(what, f"{name_of(value)} of {len(value)}", certainty)
            if self._is_new(value):
                for i, part in enumerate(islice(value, ITEMS)):
                    self.tell(f"entry {i} of the {what}", part, certainty, read)
        elif isinstance(value, dict):
            self.put(what, f"{name_of(value)} of {len(value)}", certainty)
            if self._is_new(value):
                for key, part in islice(value.items(), ITEMS):
                    self.tell(f"entry {plain_text(key) or name_of(key)} of the {what}", part, certainty, read)
        elif isinstance(value, (set, frozenset)):
            self.put(what, f"{name_of(value)} of {len(value)}", certainty)
        elif is_wrapper(value):  # what functools.cache makes of a function
            self.put(what, name_of(value), certainty)
            self.tell(f"function of the {what}", value.__wrapped__, certainty)
        else:
            self._tell_object(what, value, certainty, read)

    def tell_options(
        self,
        what: str,
        thing: Any,
        certainty: Certainty = Certainty.CERTAIN,
        left_out: Iterable[str] = (),
        read: frozenset[str] = frozenset(),
    ) -> None:
        """Add an entry for each option of an object, and for the code of its class; none for the object itself."""
        self._end = len(self.entries) + MOST
        own = self._tell_class(type(thing), read)
        for key, value, sure in _options(thing, own, left_out):
            self.tell(f"{key} of the {what}", value, min(certainty, sure), own.read)

    def _tell_object(self, what: str, thing: Any, certainty: Certainty, read: frozenset[str]) -> None:
        """Its class with the plain ones of its options, and an entry for each of the others."""
        own = self._tell_class(type(thing), read)
        if self._is_new(thing):
            self._shown[id(thing)] = set()
        elif id(thing) not in self._shown or self._depth > _DEEP:
            self.put(what, type(thing).__name__, certainty)
            return
        before, shown, others = self._shown[id(thing)].copy(), [], []
        for key, value, sure in _options(thing, own, _OF_A_MODULE if isinstance(thing, Module) else ()):
            if key in before:
                continue
            self._shown[id(thing)].add(key)
            text = plain_text(value) if sure == Certainty.CERTAIN else None
            if text is None:
                others.append((key, value, sure))
            else:
                shown.append(f"{key}={text}")
        self.put(what, short(f"{type(thing).__name__}({', '.join(shown)})"), certainty)
        for key, value, sure in others:
            self.tell(f"{key} of the {what}", value, min(certainty, sure), own.read)

    def _tell_function(self, what: str, function: Any) -> None:
        """The code of a function of the user's own, and what that reads."""
        if not isinstance(function, FunctionType) or not is_own(function) or not self._is_new(function):
            return
        found = instructions_of(function.__code__)
        self.put(f"code of the {what} in {PYTHON}", found.checksum)
        names = function.__code__.co_varnames[: function.__code__.co_argcount]
        defaults = function.__defaults__ or ()
        given = dict(zip(names[len(names) - len(defaults) :], defaults, strict=True)) | (function.__kwdefaults__ or {})
        for name, value in given.items():
            self.tell(f"default {name} of the {what}", value, Certainty.CERTAIN, found.attributes)
        around = dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=True))
        for name in found.read:
            if name in around:
                value = _content(around[name])
            elif name in function.__globals__:
                value = function.__globals__[name]
            else:
                continue  # a function of Python's own
            if value is not _EMPTY and name != "__class__":  # that of a method's own class is for `super()`
                written = name in found.written or (found.changes and _holds_others(value))
                self._tell_variable(f"{name} of the {what}", value, found.attributes, written)

    def _tell_variable(self, what: str, value: Any, read: frozenset[str], written: bool = False) -> None:
        """A variable that a function reads from around it, and perhaps writes."""
        self.tell(what, value, Certainty.POSSIBLE if value is None or written else Certainty.LIKELY, read)

    def _tell_class(self, kind: type, read: frozenset[str] = frozenset(), made: bool = False) -> Use:
        """The code of a class of the user's own, and what that reads. Returns what its methods do, together.

        Told are the methods that minidl or Python calls, and those whose names are `read`, also by one that is told.

        Args:
            made: whether code was met that makes objects of this class.
        """
        own = [cls for cls in kind.__mro__ if is_own(cls)]
        attributes, written, values = set(read), set[str](), list[tuple[str, Any]]()
        called = dict.fromkeys(_called_by_others(kind, own, made)) if own else {}
        all_there_is = [instructions_of(function.__code__) for cls in own for function in _methods_of(cls)]
        counted = frozenset[str]().union(*(found.written for found in all_there_is))
        changes = any(found.changes for found in all_there_is)
        waiting = deque((*called, *sorted(read - called.keys()))) if own else deque()
        called.update(dict.fromkeys(waiting))
        while waiting:
            name = waiting.popleft()
            for cls in (cls for cls in own if name in vars(cls)):
                functions = list(_functions_of(vars(cls)[name]))
                if not functions:
                    values.append((name, vars(cls)[name]))
                for function in functions:
                    found = instructions_of(function.__code__)
                    if name not in _MAKERS:
                        written |= found.written
                    further = sorted(found.attributes - called.keys())
                    attributes |= found.attributes
                    called.update(dict.fromkeys(further))
                    waiting += further
                    self._tell_function(f"{name} of the class {kind.__name__}", function)
                if not any("super" in instructions_of(function.__code__).read for function in functions):
                    break  # what stands behind in the order of inheritance is hidden
        for name, value in values:
            self._tell_class_variable(kind, name, value, written)
        return Use(frozenset(attributes), frozenset(written), counted, changes)

    def _tell_class_variable(self, kind: type, name: str, value: Any, written: set[str]) -> None:
        """An attribute of a class that is no method."""
        if (
            name.startswith("_")
            or name in _OF_MINIDL
            or hasattr(type(value), "__set__")
            or (kind, name) in self._variables
        ):
            return
        self._variables.add((kind, name))
        sure = isinstance(value, PLAIN) or name.isupper()
        self.tell(f"{name} of the class {kind.__name__}", value, _certainty(value, sure, name in written, likely=True))

    def _is_new(self, thing: Any) -> bool:
        """Whether it is met for the first time, and there is room to tell it. It is kept: its id is nobody else's."""
        if id(thing) in self._met or len(self.entries) >= self._end or self._depth > _DEEP:
            return False
        self._met[id(thing)] = thing
        return True


# ---- what objects and functions hold


def _called_by_others(kind: type, own: list[type], made: bool) -> Iterator[str]:
    """The names of the methods of a user's class that minidl calls, or Python: `forward`, `direction`, `__call__`."""
    theirs = [cls for cls in kind.__mro__ if is_minidls(cls)]
    for name in (name for cls in own for name in vars(cls)):
        acts = name not in _BESIDE and (_is_dunder(name) or any(hasattr(base, name) for base in theirs))
        if acts or name in ("forward", "backward", "take") or (made and name in _MAKERS):
            yield name


def _methods_of(cls: type) -> Iterator[FunctionType]:
    """The functions of one class, but those that make its objects."""
    for name in (name for name in vars(cls) if name not in _MAKERS):
        yield from _functions_of(vars(cls)[name])


def _holds_others(value: Any) -> bool:
    """Whether it holds values that can be changed in it."""
    return isinstance(value, (list, dict, set, deque, Tensor)) or backend.is_array(value)


def _options(thing: Any, use: Use, left_out: Iterable[str]) -> Iterator[tuple[str, Any, Certainty]]:
    """The attributes of an object that are settings, in the order of their names, each with how certain that is.

    That is what its class takes under their name, truth values, tuples, functions and modules; of an object of minidl
    also other numbers and texts, and of a user's own what the code reads of it. Of a configuration it is that alone, if
    such is seen: it may also hold how many epochs there are.
    """
    kind = type(thing)
    minidls, own, taken = is_minidls(kind), is_own(kind), _taken_by(kind)  # type: ignore[arg-type]
    read_only = own and _only_holds(kind) and not taken.isdisjoint(use.read)
    for key, value in sorted(_attributes(thing).items()):
        if key.startswith("_") or key in left_out or (read_only and key not in use.read):
            continue
        known = key in taken or (isinstance(thing, Module) and (isinstance(value, Module) or key == "forward"))
        plain = isinstance(value, (*PLAIN, np.floating, np.bool_, FunctionType))
        shown = known or (minidls and plain) or (own and isinstance(value, (bool, tuple, np.bool_, FunctionType)))
        if shown or key in use.read or (isinstance(thing, Module) and isinstance(value, Tensor)):
            counted = key in (use.written if known or plain else use.counted)
            likely = key in use.read and not (use.changes and _holds_others(value))
            yield key, value, _certainty(value, known or plain, counted, likely)


def _only_holds(kind: type) -> bool:
    """Whether a class of the user's own has no methods but those that make, copy, compare and show its objects."""
    own = [cls for cls in kind.__mro__ if cls is not object]
    return all(map(is_own, own)) and all(method.__name__ in _BESIDE for cls in own for method in _methods_of(cls))


def _certainty(value: Any, known: bool, counted: bool, likely: bool) -> Certainty:
    """How certain it is that an attribute is a setting.

    Args:
        known: whether its name or its type say so.
        counted: whether the code of its class writes it.
        likely: whether that reads it, and does not seem to change what it holds.
    """
    if counted:
        return Certainty.POSSIBLE
    if known:
        return Certainty.CERTAIN
    return Certainty.LIKELY if likely and value is not None else Certainty.POSSIBLE


def _attributes(thing: Any) -> dict[str, Any]:
    found = dict(getattr(thing, "__dict__", {}))
    for cls in type(thing).__mro__:
        slots = vars(cls).get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if not name.startswith("_") and hasattr(thing, name):
                found[name] = getattr(thing, name)
    return found


@functools.lru_cache(1024)
def _taken_by(kind: type) -> frozenset[str]:
    """The names of the arguments that a class takes, or one of those it is made of."""
    names: set[str] = set()
    for cls in kind.__mro__:
        if is_own(cls) or is_minidls(cls):
            with suppress(TypeError, ValueError):  # a class that does not say
                names |= inspect.signature(cls).parameters.keys()
    return frozenset(names)


def _functions_of(value: Any) -> Iterator[FunctionType]:
    """The functions of the user's own that an attribute of a class calls."""
    if isinstance(value, (staticmethod, classmethod)):
        value = value.__func__
    for function in (value, getattr(value, "fget", None), getattr(value, "func", None)):
        function = inspect.unwrap(function) if callable(function) else function
        if isinstance(function, FunctionType) and is_own(function):
            yield function


def _read_by(functions: Iterable[Any]) -> frozenset[str]:
    own = [function for function in functions if isinstance(function, FunctionType) and is_own(function)]
    return frozenset().union(*(instructions_of(function.__code__).attributes for function in own))


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not assigned yet
        return _EMPTY


def _is_dunder(name: str) -> bool:
    return name.startswith("__") and name.endswith("__") and name not in _BESIDE
