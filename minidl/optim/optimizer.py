"""Optimizer: the step that every method shares, layer by layer, and the state it keeps by name."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from minidl import backend
from minidl.autograd import version_of
from minidl.errors import DeviceError, DTypeError, ShapeError
from minidl.hooks import RemovableHandle
from minidl.optim.layer_rates import LayerView, as_layer_rate, read_multipliers
from minidl.optim.layers import LayerGroup, ModelOrParameters, collect_layers
from minidl.tensor import Tensor


@dataclass(frozen=True)
class LayerReport:
    """What the last step did to one layer.

    Attributes:
        grad_norm: ||g_l||_2 of its gradients, weights and biases together, before weight decay.
        multiplier: its layer rate's multiplier; the mean, if its tensors have different ones.
        rate: its effective rate, lr times the multiplier.
        floored: whether the layer rate found the norm too small to use.
        tensor_multipliers: the multiplier of each of its tensors that had a gradient.
    """

    grad_norm: Any
    multiplier: Any
    rate: Any
    floored: Any
    tensor_multipliers: tuple[Any, ...]


class Optimizer(ABC):
    """Updates parameters from their gradients: a method (the subclass) with a layer rate.

    A step does for each layer l, in the order of the model (t is `lr`, decay is `weight_decay`):

        g   <-  gradient + decay * w
        s   <-  m_l * g                  a layer rate for the gradient has its say
        d   <-  the method's direction from g and s (for plain SGD: s)
        d   <-  M_l * d                  a layer rate for the update has its say
        w   <-  w - t * d

    Parameters without a gradient, and frozen ones (`requires_grad=False`), are passed over. The weights' arrays are
    written in place and their versions counted up, so that a backward over a graph from before the step is refused.
    Nothing in a step waits for the device.

    Args:
        model_or_params: a model, or an iterable of parameters.
        lr: the base rate t, which schedules write.
        weight_decay: L2 regularisation: decay * w is added to the gradient.
        layer_rate: None (uniform), a `LayerRate`, or a function of a `LayerView` that returns a multiplier.

    Attributes:
        layers: the parameters, grouped by layer.
        step_count: how many steps were made.
        state: what the method remembers of each parameter, by the parameter's name; "steps" counts its updates.
        layer_state: what it remembers of whole layers, by the layer's name.

    Raises:
        ValueError, DTypeError, GraphError: a number out of its range, or parameters that cannot be optimized.
    """

    settings: ClassVar[tuple[str, ...]] = ("lr", "weight_decay")  # what repr() shows

    def __init__(
        self,
        model_or_params: ModelOrParameters,
        lr: float,
        weight_decay: float = 0.0,
        layer_rate: Callable[[LayerView], Any] | None = None,
    ) -> None:
        self.layers: list[LayerGroup] = collect_layers(model_or_params)
        self.lr = lr
        self.weight_decay = nonnegative("weight_decay", weight_decay)
        self.layer_rate, self._applies_to = as_layer_rate(layer_rate)
        self.step_count = 0
        self.state: dict[str, dict[str, Any]] = {name: {"steps": 0} for name, _ in self._parameters()}
        self.layer_state: dict[str, dict[str, Any]] = {layer.name: {} for layer in self.layers}
        self._last: list[tuple[LayerView, list[Any], float]] = []  # each layer's view, multipliers and base rate
        self._pre_hooks: dict[int, Callable[[Any], None]] = {}
        self._post_hooks: dict[int, Callable[[Any], None]] = {}

    @property
    def lr(self) -> float:
        """The base rate, a plain float."""
        return self._lr

    @lr.setter
    def lr(self, value: float) -> None:
        self._lr = nonnegative("lr", value)

    # ---- what a method defines

    @property
    def slots(self) -> tuple[str, ...]:
        """The names of the arrays, shaped as the parameter and 0 at first, that the method keeps in `state`."""
        return ()

    @property
    def layer_slots(self) -> tuple[str, ...]:
        """The names of the 0-d float64 numbers, 0 at first, that it keeps in `layer_state`."""
        return ()

    @property
    def rate_inside(self) -> bool:
        """Whether t multiplies the gradient, before the method, instead of the direction after it."""
        return False

    @abstractmethod
    def direction(self, state: dict[str, Any], gradient: Any, scaled: Any) -> Any:
        """The direction d for one parameter. Neither array may be written to.

        `gradient` is g, which statistics that only normalise are made of; `scaled` is s = m_l g, which d is made of.
        `state["steps"]` is 1 in the parameter's first update.
        """

    def directions(self, layer: str, states: list[dict[str, Any]], gradients: list[Any], scaled: list[Any]) -> Any:
        """The directions for a layer's parameters: each by itself, unless the method looks at the whole layer."""
        return [self.direction(*entry) for entry in zip(states, gradients, scaled, strict=True)]

    # ---- the step

    def step(self) -> None:
        """Update every parameter that has a gradient.

        Raises:
            DeviceError, DTypeError: parameters were moved or converted since the last step, and the state was not.
            ValueError, ShapeError, DTypeError, DeviceError: the layer rate returned something else than a multiplier.
        """
        for hook in tuple(self._pre_hooks.values()):
            hook(self)
        self._last = []
        for layer in self.layers:
            self._step_layer(layer)
        self.step_count += 1
        for hook in tuple(self._post_hooks.values()):
            hook(self)

    def _step_layer(self, layer: LayerGroup) -> None:
        trained = [(name, p) for name, p in layer.parameters if p._grad is not None and p._requires_grad]
        if not trained:
            return
        weights = [p._data for _, p in trained]
        raw_gradients = [_gradient_of(name, p) for name, p in trained]
        gradients = raw_gradients
        if self.weight_decay:
            gradients = [g + self.weight_decay * w for g, w in zip(raw_gradients, weights, strict=True)]
        view = LayerView(layer.name, weights, raw_gradients, gradients, self.step_count)

        inside, outside = (self.lr, 1.0) if self.rate_inside else (1.0, self.lr)
        before, after = [inside] * len(trained), [outside] * len(trained)  # what multiplies g, and what d
        if self._applies_to == "gradient":
            multipliers = read_multipliers(self.layer_rate, view)
            before = [m if inside == 1.0 else m * inside for m in multipliers]
        scaled = [_times(g, factor) for g, factor in zip(gradients, before, strict=True)]
        if self.layer_slots:
            _prepare(self.layer_state[layer.name], self.layer_slots, (), weights[0], np.float64, layer.name)
        states = [self._ready_state(name, w) for (name, _), w in zip(trained, weights, strict=True)]
        directions = self.directions(layer.name, states, gradients, scaled)
        if self._applies_to == "update":
            view.direction = directions
            multipliers = read_multipliers(self.layer_rate, view)
            after = [m * outside for m in multipliers]

        for (_, p), w, d, factor in zip(trained, weights, directions, after, strict=True):
            w -= _times(d, factor)
            version_of(p).bump()
        view.direction = ()
        self._last.append((view, multipliers, self.lr))

    def _ready_state(self, name: str, weight: Any) -> dict[str, Any]:
        """A parameter's state for its next update, made if this is the first."""
        state = self.state[name]
        _prepare(state, self.slots, weight.shape, weight, weight.dtype, name)
        state["steps"] += 1
        return state

    def zero_grad(self) -> None:
        """Forget the gradients: every parameter's `.grad` becomes None."""
        for _, p in self._parameters():
            p._grad = None

    def _parameters(self) -> Iterator[tuple[str, Tensor]]:
        for layer in self.layers:
            yield from layer.parameters

    # ---- what happened

    @property
    def raw_report(self) -> dict[str, LayerReport]:
        """What the last step did to each layer it updated; numbers that are on a GPU stay there.

        A layer's gradient norm is computed when it is first needed: by its rate, or here. Until the next step the
        optimizer keeps the gradients for that, also after `zero_grad()`.
        """
        report: dict[str, LayerReport] = {}
        for view, multipliers, lr in self._last:
            multiplier = multipliers[0]
            if any(m is not multiplier for m in multipliers):
                multiplier = sum(multipliers[1:], start=multiplier) / len(multipliers)
            report[view.name] = LayerReport(
                view.gradient_norm, multiplier, multiplier * lr, view.floored, tuple(multipliers)
            )
        return report

    def layer_report(self) -> dict[str, LayerReport]:
        """`raw_report` as Python numbers (waits for the GPU)."""
        return {
            name: LayerReport(
                float(raw.grad_norm),
                float(raw.multiplier),
                float(raw.rate),
                bool(raw.floored),
                tuple(float(m) for m in raw.tensor_multipliers),
            )
            for name, raw in self.raw_report.items()
        }

    def register_step_pre_hook(self, hook: Callable[[Any], None]) -> RemovableHandle:
        """Call `hook(optimizer)` at the beginning of every step. Returns a handle with `remove()`."""
        return RemovableHandle(self._pre_hooks, hook)

    def register_step_post_hook(self, hook: Callable[[Any], None]) -> RemovableHandle:
        """Call `hook(optimizer)` at the end of every step. Returns a handle with `remove()`."""
        return RemovableHandle(self._post_hooks, hook)

    # ---- state

    def to(self, device: str) -> Any:
        """Move the state to 'numpy' or 'cupy', after the model was moved there; return self.

        Raises:
            DeviceError: there is no such device; nothing was moved.
        """
        backend.module(device)
        for state in (*self.state.values(), *self.layer_state.values()):
            for slot, value in state.items():
                if backend.is_array(value):
                    state[slot] = backend.to_device(value, device)
        return self

    def state_dict(self) -> dict[str, Any]:
        """All that is needed to go on from here bit for bit: plain numbers and copies as NumPy arrays, by name.

        Keys: "lr", "step_count", for each parameter "fc1.weight/steps" and what the method keeps of it
        ("fc1.weight/velocity"), and what it keeps of layers ("fc1/squared_norms").
        """
        state: dict[str, Any] = {"lr": self.lr, "step_count": self.step_count}
        for entries in (self.state, self.layer_state):
            for name, slots in entries.items():
                for slot, value in slots.items():
                    copied = np.array(backend.to_numpy(value)) if backend.is_array(value) else value
                    state[f"{name}/{slot}"] = copied
        return state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict()` saved. Everything is checked before anything is changed.

        Raises:
            ValueError: names that are missing, or that this method or model does not have.
            ShapeError, DTypeError: an array that does not fit its parameter.
        """
        self._check_names(state)
        loaded: list[tuple[dict[str, Any], dict[str, Any]]] = []
        for name, p in self._parameters():
            arrays = _read_slots(state, name, self.slots, p._data.shape, p._data.dtype, p._data)
            loaded.append((self.state[name], {"steps": int(state[f"{name}/steps"]), **arrays}))
        for layer in self.layers:
            like = layer.parameters[0][1]._data
            arrays = _read_slots(state, layer.name, self.layer_slots, (), np.dtype(np.float64), like)
            loaded.append((self.layer_state[layer.name], arrays))
        self.lr = float(state["lr"])
        self.step_count = int(state["step_count"])
        for target, values in loaded:
            target.clear()
            target.update(values)
        self._last = []

    def _check_names(self, state: dict[str, Any]) -> None:
        """Compare the names in a saved state with those of this optimizer."""
        required, possible = {"lr", "step_count"}, set()
        for layer in self.layers:
            started = False
            for name, _ in layer.parameters:
                required.add(f"{name}/steps")
                slots = {f"{name}/{slot}" for slot in self.slots}
                if int(state.get(f"{name}/steps", 0)) > 0:
                    required |= slots
                    started = True
                possible |= slots
            slots = {f"{layer.name}/{slot}" for slot in self.layer_slots}
            required |= slots if started else set()
            possible |= slots
        missing, unknown = sorted(required - set(state)), sorted(set(state) - required - possible)
        if missing or unknown:
            raise ValueError(
                f"the saved state does not fit this {type(self).__name__}: missing {_listed(missing)}; not known here "
                f"{_listed(unknown)}. It has to come from the same method, with the same options, for the same model"
            )

    def __repr__(self) -> str:
        settings = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.settings)
        count = sum(len(layer.parameters) for layer in self.layers)
        return (
            f"{type(self).__name__}({settings}, layer_rate={self.layer_rate!r}; {count} parameters in "
            f"{len(self.layers)} layers)"
        )


def nonnegative(what: str, value: Any) -> float:
    """`value` as a plain float, refused unless it is finite and at least 0."""
    number = _number(what, value)
    if not (math.isfinite(number) and number >= 0):
        raise ValueError(f"expected {what} to be a finite number of at least 0; got {value!r}")
    return number


def fraction(what: str, value: Any) -> float:
    """`value` as a plain float, refused unless it is at least 0 and below 1."""
    number = _number(what, value)
    if not 0 <= number < 1:
        raise ValueError(f"expected {what} to be at least 0 and below 1; got {value!r}")
    return number


def _number(what: str, value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        raise ValueError(f"expected {what} to be a number; got {value!r}") from error


def _times(array: Any, factor: Any) -> Any:
    """factor * array in the array's dtype: the array itself where the factor is the plain number 1."""
    if type(factor) is float:  # a Python number never promotes
        return array if factor == 1.0 else array * factor
    return array * factor.astype(array.dtype, copy=False)


def _gradient_of(name: str, p: Tensor) -> Any:
    """The raw gradient of a parameter, known to be on its device."""
    gradient = p._grad._data  # type: ignore[union-attr]
    if type(gradient) is not type(p._data) and backend.device_of(gradient) != backend.device_of(p._data):
        raise DeviceError(
            f"parameter {name!r} is on {backend.device_of(p._data)} and its gradient on {backend.device_of(gradient)}: "
            f"call zero_grad() after .to(), and then backward()"
        )
    return gradient


def _prepare(state: dict[str, Any], slots: tuple[str, ...], shape: Any, like: Any, dtype: Any, name: str) -> None:
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


def _read_slots(
    state: dict[str, Any], name: str, slots: tuple[str, ...], shape: tuple[int, ...], dtype: Any, like: Any
) -> dict[str, Any]:
    """The arrays saved for one parameter or layer, checked, copied and brought to the device of `like`."""
    arrays: dict[str, Any] = {}
    for slot in slots:
        key = f"{name}/{slot}"
        if key in state:
            value = state[key]
            saved = np.array(backend.to_numpy(value) if backend.is_array(value) else value)
            if saved.shape != shape:
                raise ShapeError(f"the saved {key!r} has shape {saved.shape}; expected {tuple(shape)}")
            if saved.dtype != dtype:
                raise DTypeError(f"the saved {key!r} is {saved.dtype}; expected {dtype}, as the parameter is")
            arrays[slot] = backend.to_device(saved, backend.device_of(like))
    return arrays


def _listed(names: list[str]) -> str:
    shown = ", ".join(map(repr, names[:5])) or "nothing"
    return shown if len(names) <= 5 else f"{shown} and {len(names) - 5} more"
