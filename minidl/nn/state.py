"""A model's state, its parameters and buffers by name: what `state_dict` gives and `load_state_dict` takes."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from typing import Any, NamedTuple

import numpy as np

from minidl import backend
from minidl.autograd.variable import Variable, writes_of
from minidl.tensors.tensor import Tensor
from minidl.types import Array, TensorLike


class Unmatched(NamedTuple):
    """The names that `load_state_dict(..., strict=False)` left out.

    Attributes:
        missing: those that the model has and the state does not.
        unexpected: those that the state has and the model does not.
    """

    missing: list[str]
    unexpected: list[str]


def tensors_by_name(model: Any) -> dict[str, Tensor]:
    """All parameters and buffers of a Module by dotted name, module by module: the order of PyTorch's state."""
    own = {id(module): parameters for _, module, parameters in model.layer_parameters()}
    entries: dict[str, Tensor] = {}
    for name, module in model.named_modules():
        entries.update(own.get(id(module), []))
        entries.update((dotted(name, key), module.__dict__[key]) for key in module._buffers)
    return entries


def tied_names(model: Any) -> dict[str, str]:
    """Further names of parameters: name -> the name in `tensors_by_name`.

    A parameter has several names if it is tied (assigned to several modules), or if its module occurs several times.
    """
    listed = {id(x): name for name, x in tensors_by_name(model).items()}
    children = {id(child) for module in model.modules() for child in module.children()}
    further: dict[str, str] = {}
    waiting = [("", model)]
    while waiting:  # by every path, where `named_modules` takes each module once
        path, module = waiting.pop()
        for key, value in module.__dict__.items():
            name = dotted(path, key)
            if id(value) in children:
                waiting.append((name, value))
            elif listed.get(id(value), name) != name:
                further[name] = listed[id(value)]
    return further


def dotted(path: str, key: str) -> str:
    """The name of attribute `key` of the module at `path`: 'encoder.fc1', or 'fc1' of the model itself."""
    return f"{path}.{key}" if path else key


def save(tensors: Mapping[str, Tensor]) -> dict[str, Array]:
    """A NumPy copy of each tensor, by name."""
    return {name: np.array(backend.to_numpy(x.shown())) for name, x in tensors.items()}


def load(
    label: str, tensors: Mapping[str, Tensor], state: Mapping[str, TensorLike], strict: bool, tied: Mapping[str, str]
) -> Unmatched:
    """Write the arrays of `state` into the tensors of the same names: all of them, or on an error none.

    Args:
        label: what messages call the model.
        tensors: the model's, by name.
        state: what to load.
        strict: whether missing and unexpected names are an error.
        tied: further names of some tensors. What the state has under one of these must equal what it has under the
            tensor's own name, or is taken where that is missing.

    Raises:
        TypeError: `state` is no mapping from names to arrays.
        ValueError: names, shapes or dtypes that do not fit; the message lists all of them.
    """
    if not isinstance(state, Mapping):
        remark = ": md.load(path) reads one" if isinstance(state, (str, PathLike)) else ""
        remark = ": give its state_dict()" if hasattr(state, "state_dict") else remark
        raise TypeError(f"load_state_dict: expected a dict of arrays by name; got {type(state).__name__}{remark}")
    problems: list[str] = []
    state = dict(state)
    for name in [n for n in tied if n in state]:
        value = state.pop(name)
        if not _equal(state.setdefault(tied[name], value), value):
            problems.append(f"{name}: is tied to {tied[name]} in the model, and has other values in the state")
    unmatched = Unmatched([n for n in tensors if n not in state], [n for n in state if n not in tensors])
    if strict and unmatched.missing:
        problems.append(f"missing from the state: {', '.join(unmatched.missing)}")
    if strict and unmatched.unexpected:
        problems.append(f"not in the model: {', '.join(map(str, unmatched.unexpected))}")
    arrays: dict[str, Any] = {}
    for name, x in tensors.items():
        if name in state:
            array, problem = _fitted(state[name], x)
            arrays[name] = array
            problems += [f"{name}: {problem}"] if problem else []
    if problems:
        hint = "\nstrict=False loads the names that match and leaves the others" if strict and any(unmatched) else ""
        raise ValueError(
            f"load_state_dict: the state does not fit {label}; nothing was changed\n  " + "\n  ".join(problems) + hint
        )
    for name, array in arrays.items():
        tensors[name]._data[...] = array
        writes_of(tensors[name]).bump()
    return unmatched


def _equal(first: TensorLike, second: TensorLike) -> bool:
    raws = [value.shown() if isinstance(value, Variable) else value for value in (first, second)]
    first, second = (backend.to_numpy(backend.asarray(raw)) for raw in raws)
    return np.array_equal(first, second, equal_nan=True)


def _fitted(value: TensorLike, x: Tensor) -> tuple[Array, str]:
    """`value` as an array with the dtype and device of x, or what is wrong with it."""
    raw = value.shown("load_state_dict") if isinstance(value, Variable) else value
    try:
        array = raw if backend.is_array(raw) else np.asarray(raw)
    except (TypeError, ValueError) as error:
        return None, f"expected an array of numbers; got {type(raw).__name__} ({error})"
    want = x._data
    if array.dtype.kind not in "fiub" or not np.can_cast(array.dtype, want.dtype, "same_kind"):
        return None, f"the model has dtype {want.dtype}, the state {array.dtype}"
    if array.shape != want.shape:
        return None, f"the model has shape {tuple(want.shape)}, the state {tuple(array.shape)}"
    return backend.to_device(array.astype(want.dtype, copy=False), backend.device_of(want)), ""
