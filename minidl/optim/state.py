"""What an optimizer remembers: arrays beside their parameters, and their way into a saved state and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from minidl import backend
from minidl.errors import DeviceError, DTypeError, ShapeError

if TYPE_CHECKING:
    from minidl.optim.optimizer import Optimizer


def prepare_slots(state: dict[str, Any], slots: tuple[str, ...], shape: Any, like: Any, dtype: Any, name: str) -> None:
    """Make the slots that are not there yet (0), beside `like`; those that are must be on its device."""
    for slot in slots:
        if slot not in state:
            state[slot] = backend.module_of(like).zeros(shape, dtype=dtype)
        elif type(state[slot]) is not type(like) and backend.device_of(state[slot]) != backend.device_of(like):
            raise DeviceError(
                f"{name!r} is on {backend.device_of(like)}, but its {slot} is on {backend.device_of(state[slot])}: "
                f"build the optimizer after .to(), or call optimizer.to({backend.device_of(like)!r})"
            )
        elif state[slot].dtype != dtype:
            raise DTypeError(
                f"{name!r} is now {dtype}, but its {slot} is {state[slot].dtype}: build the optimizer after "
                f"model.to(dtype=...)"
            )
        elif state[slot].shape != shape:
            raise ShapeError(
                f"{name!r} is now of shape {tuple(shape)}, but its {slot} is of {tuple(state[slot].shape)}: build the "
                f"optimizer after the parameter has its shape"
            )


def save_state(optimizer: Optimizer) -> dict[str, Any]:
    """Plain numbers, and copies of the arrays as NumPy arrays, by name."""
    saved: dict[str, Any] = {"lr": optimizer.lr, "step_count": optimizer.step_count}
    for entries in (optimizer.state, optimizer.layer_state):
        for name, slots in entries.items():
            for slot, value in slots.items():
                copied = np.array(backend.to_numpy(value)) if backend.is_array(value) else value
                saved[f"{name}/{slot}"] = copied
    return saved


def load_state(optimizer: Optimizer, saved: dict[str, Any]) -> None:
    """Write what `save_state` gave into the optimizer: all of it, or on an error nothing."""
    _check_names(optimizer, saved)
    loaded: list[tuple[dict[str, Any], dict[str, Any]]] = []
    for layer in optimizer.layers:
        for name, p in layer.parameters:
            arrays = _read_slots(saved, name, optimizer.slots, p._data.shape, p._data.dtype, p._data)
            loaded.append((optimizer.state[name], {"steps": int(saved[f"{name}/steps"]), **arrays}))
        like = layer.parameters[0][1]._data
        arrays = _read_slots(saved, layer.name, optimizer.layer_slots, (), np.dtype(np.float64), like)
        loaded.append((optimizer.layer_state[layer.name], arrays))
    step_count = int(saved["step_count"])
    optimizer.lr = float(saved["lr"])
    optimizer.step_count = step_count
    for target, values in loaded:
        target.clear()
        target.update(values)


def _check_names(optimizer: Optimizer, saved: dict[str, Any]) -> None:
    """Compare the names in a saved state with those of this optimizer."""
    required, possible = {"lr", "step_count"}, set()
    for layer in optimizer.layers:
        started = False
        for name, _ in layer.parameters:
            required.add(f"{name}/steps")
            slots = {f"{name}/{slot}" for slot in optimizer.slots}
            if int(saved.get(f"{name}/steps", 0)) > 0:
                required |= slots
                started = True
            possible |= slots
        slots = {f"{layer.name}/{slot}" for slot in optimizer.layer_slots}
        required |= slots if started else set()
        possible |= slots
    missing, unknown = sorted(required - set(saved)), sorted(set(saved) - required - possible)
    if missing or unknown:
        raise ValueError(
            f"the saved state does not fit this {type(optimizer).__name__}: missing {_listed(missing)}; not known here "
            f"{_listed(unknown)}. It has to come from the same method, with the same options, for the same model"
        )


def _read_slots(
    saved: dict[str, Any], name: str, slots: tuple[str, ...], shape: tuple[int, ...], dtype: Any, like: Any
) -> dict[str, Any]:
    """The arrays saved for one parameter or layer, checked, copied and brought to the device of `like`."""
    arrays: dict[str, Any] = {}
    for slot in slots:
        key = f"{name}/{slot}"
        if key in saved:
            value = saved[key]
            array = np.array(backend.to_numpy(value) if backend.is_array(value) else value, order="C")
            if array.shape != shape:
                raise ShapeError(f"the saved {key!r} has shape {array.shape}; expected {tuple(shape)}")
            if array.dtype != dtype:
                raise DTypeError(f"the saved {key!r} is {array.dtype}; expected {dtype}, as the parameter is")
            arrays[slot] = backend.to_device(array, backend.device_of(like))
    return arrays


def _listed(names: list[str]) -> str:
    shown = ", ".join(map(repr, names[:5])) or "nothing"
    return shown if len(names) <= 5 else f"{shown} and {len(names) - 5} more"
