"""An optimizer's way into a saved state and back: plain numbers, and arrays by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from minidl import backend
from minidl.checks import whole
from minidl.errors import DTypeError, ShapeError, describe
from minidl.optim.layers import LayerGroup
from minidl.optim.trained import slot_dtype
from minidl.types import Array, DType, Shape

State = dict[str, dict[str, Any]]  # numbers and arrays by the name of a parameter or layer, and by their own name


def flat(used: Sequence[str], *states: State) -> dict[str, Any]:
    """The entries of several states under names such as "fc1.weight/velocity"; arrays as copies on NumPy.

    Those that are not `used`, such as the velocity of a momentum that was set to 0 later, are left out.
    """
    saved = {}
    for state in states:
        for name, own in state.items():
            for key in (key for key in own if key in used):
                value = own[key]
                saved[f"{name}/{key}"] = np.array(backend.to_numpy(value)) if backend.is_array(value) else value
    return saved


def saved_count(saved: dict[str, Any], name: str) -> int:
    """A number of steps in a saved state, which may be an array of no axes as well.

    Raises:
        ValueError: it is no whole number of at least 0.
    """
    value = saved[name]
    if backend.is_array(value) and value.shape == ():
        value = value.item()
    return whole(value, f"the saved {name!r}", 0)


def read_states(
    saved: dict[str, Any], method: str, layers: Sequence[LayerGroup], slots: Sequence[str], layer_slots: Sequence[str]
) -> tuple[State, State]:
    """The state of parameters, and that of layers, from what `flat` made of them.

    Args:
        saved: what `Optimizer.state_dict` returned.
        method: the optimizer's class, for the error.
        layers: whose state it is.
        slots, layer_slots: the names of the arrays that the method keeps of a parameter and of a layer.

    Raises:
        TypeError: `saved` is no dict.
        ValueError, ShapeError, DTypeError: as `Optimizer.load_state_dict` says.
    """
    if not isinstance(saved, Mapping):
        raise TypeError(f"expected what {method}.state_dict() returned, a dict; got {describe(saved)}")
    _check_names(saved, method, layers, slots, layer_slots)
    state, layer_state = {}, {}
    for layer in layers:
        for name, p in layer.parameters:
            w = p._data
            arrays = _read_arrays(saved, name, slots, w.shape, slot_dtype(w.dtype), w)
            state[name] = {"steps": saved_count(saved, f"{name}/steps"), **arrays}
        like = layer.parameters[0][1]._data
        layer_state[layer.name] = _read_arrays(saved, layer.name, layer_slots, (), np.dtype(np.float64), like)
    return state, layer_state


def _check_names(
    saved: dict[str, Any], method: str, layers: Sequence[LayerGroup], slots: Sequence[str], layer_slots: Sequence[str]
) -> None:
    """Compare the names in a saved state with those that this optimizer has."""
    required, possible = {"lr", "step_count"}, {"initial_lr"}
    for layer in layers:
        started = False
        for name, _ in layer.parameters:
            required.add(f"{name}/steps")
            own = {f"{name}/{slot}" for slot in slots}
            if f"{name}/steps" in saved and saved_count(saved, f"{name}/steps") > 0:
                required |= own
                started = True
            possible |= own
        own = {f"{layer.name}/{slot}" for slot in layer_slots}
        required |= own if started else set()
        possible |= own
    missing, unknown = sorted(required - set(saved)), sorted(set(saved) - required - possible)
    if missing or unknown:
        raise ValueError(
            f"the saved state does not fit this {method}: missing {_listed(missing)}; not known here "
            f"{_listed(unknown)}. It has to come from the same method, with the same options, for the same model"
        )


def _read_arrays(
    saved: dict[str, Any], name: str, slots: Sequence[str], shape: Shape, dtype: DType, like: Array
) -> dict[str, Array]:
    """The arrays saved for one parameter or layer, checked, copied and brought to the device of `like`."""
    arrays = {}
    for slot in slots:
        key = f"{name}/{slot}"
        if key in saved:
            value = saved[key]
            array = backend.native(np.array(backend.to_numpy(value) if backend.is_array(value) else value, order="C"))
            if array.shape != shape:
                raise ShapeError(f"the saved {key!r} has shape {array.shape}; expected {tuple(shape)}")
            if array.dtype == np.float16 == like.dtype:
                array = array.astype(dtype)  # saved by a version of minidl that kept it in the parameter's dtype
            if array.dtype != dtype:
                raise DTypeError(
                    f"the saved {key!r} is {array.dtype}; expected {dtype} for a parameter of {like.dtype}"
                )
            arrays[slot] = backend.to_device(array, backend.device_of(like))
    return arrays


def _listed(names: list[str]) -> str:
    shown = ", ".join(map(repr, names[:5])) or "nothing"
    return shown if len(names) <= 5 else f"{shown} and {len(names) - 5} more"
