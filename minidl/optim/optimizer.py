"""Optimizer: the step that every method shares, layer by layer, and the state it keeps by name."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np

from minidl import backend
from minidl.autograd.hooks import RemovableHandle
from minidl.autograd.variable import (
    writes_of,
)
from minidl.errors import DeviceError
from minidl.fast.cpu.update import Move, directed, times, update
from minidl.fast.gpu.update import fused_step
from minidl.optim.layer_rates import LayerView, Uniform, as_layer_rate, read_multipliers
from minidl.optim.layers import LayerGroup, ModelOrParameters, collect_layers
from minidl.optim.state import load_state, prepare_slots, save_state
from minidl.tensors.tensor import Tensor


@dataclass(frozen=True)
class LayerReport:
    """What the last step did to one layer.

    Attributes:
        grad_norm: ||g_l||_2 of its gradients, weights and biases together, before weight decay.
        multiplier: its layer rate's multiplier; the mean, if its tensors have different ones.
        rate: its effective rate, lr times the multiplier, without what `scale` adds for single parameters.
        floored: whether the layer rate found the norm too small to use.
        tensor_multipliers: the multiplier of each of its tensors that had a gradient.
    """

    grad_norm: Any
    multiplier: Any
    rate: Any
    floored: Any
    tensor_multipliers: tuple[Any, ...]


class Scale(NamedTuple):
    """What one parameter's rate and weight decay are multiplied by: Caffe's lr_mult and decay_mult."""

    lr: float = 1.0
    decay: float = 1.0


UNSCALED = Scale()


class Optimizer(ABC):
    """Updates parameters from their gradients: a method (the subclass) with a layer rate.

    A step does for each layer l, in the order of the model (t is `lr`, decay is `weight_decay`):

        g   <-  gradient + decay * w
        s   <-  m_l * g                  a layer rate for the gradient has its say
        d   <-  the method's direction from g and s (for plain SGD: s)
        d   <-  M_l * d                  a layer rate for the update has its say
        w   <-  w - t * d

    Decoupled decay (AdamW's) is not in g: it joins the direction, d <- d + decay * w, before a rate for the update
    looks at it. t and decay are those of the parameter: `scale` can give it others than the rest have.

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
        scales: the multipliers of the parameters that have their own, by the parameter's name; `scale` sets them.
        initial_lr: the rate before the first schedule, from which all schedules start; None while there is none.

    Raises:
        ValueError, DTypeError, GraphError: a number out of its range, or parameters that cannot be optimized.
    """

    settings: ClassVar[tuple[str, ...]] = ("lr", "weight_decay")  # what repr() shows
    decoupled_decay: ClassVar[bool] = False

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
        self.scales: dict[str, Scale] = {}
        self.initial_lr: float | None = None
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
        """The direction d for one parameter, element by element: the method's formula.

        `gradient` is g, which statistics that only normalise are made of; `scaled` is s = m_l g, which d is made of.
        Neither may be written to. `state` has the method's slots, to be written in place, those of the layer, and
        "steps", 1 in the parameter's first update. All may be a part of the parameter only: a large one is updated
        block by block, in the processor's cache.
        """

    def see_layer(self, state: dict[str, Any], gradients: Sequence[Any]) -> None:  # noqa: B027 - most do not look
        """Bring the layer's slots in `state` up to date with all its gradients; called before `direction`."""

    # ---- the step

    def step(self) -> None:
        """Update every parameter that has a gradient.

        Raises:
            DeviceError, DTypeError: parameters were moved or converted since the last step, and the state was not.
            ValueError, ShapeError, DTypeError, DeviceError: the layer rate returned something else than a multiplier.
        """
        for hook in tuple(self._pre_hooks.values()):
            hook(self)
        try:
            if not fused_step(self):  # on a GPU all parameters are updated in one launch, if the method has a kernel
                self._last = []
                for layer in self.layers:
                    self._step_layer(layer)
        except MemoryError as error:
            backend.explain_memory(error)
            raise
        self.step_count += 1
        for hook in tuple(self._post_hooks.values()):
            hook(self)

    def _step_layer(self, layer: LayerGroup) -> None:
        trained = [(name, p) for name, p in layer.parameters if p._grad is not None and p._requires_grad]
        if not trained:
            return
        slots, lr, rate_inside = self.slots, self.lr, self.rate_inside
        weights, gradients, rates, decays = [], [], [], []
        for name, p in trained:
            scale, w = self.scales.get(name, UNSCALED), p._data
            weights.append(w)
            gradients.append(_gradient_of(name, p))
            rates.append(lr * scale.lr)
            decays.append(self.weight_decay * scale.decay)
            if slots:
                prepare_slots(self.state[name], slots, w.shape, w, w.dtype, name)
        none = [0.0] * len(trained)
        in_gradient, in_direction = (none, decays) if self.decoupled_decay else (decays, none)
        view = LayerView(layer.name, weights, gradients, None, self.step_count, in_gradient)
        multipliers: list[Any] = [1.0] * len(trained)
        if self._applies_to == "gradient" and type(self.layer_rate) is not Uniform:
            multipliers = read_multipliers(self.layer_rate, view)
        of_layer: dict[str, Any] = {}
        if self.layer_slots:
            of_layer = self.layer_state[layer.name]
            prepare_slots(of_layer, self.layer_slots, (), weights[0], np.float64, layer.name)
            self.see_layer(of_layer, view.direction)

        directions = []  # of a rate for the update
        for i, (name, p) in enumerate(trained):
            w, g, state, m, t = weights[i], gradients[i], self.state[name], multipliers[i], rates[i]
            state["steps"] += 1
            if of_layer:
                state = {**state, **of_layer}
            before, after = (m * t, 1.0) if rate_inside else (m, t)
            move = Move(in_gradient[i], before, in_direction[i], after)
            if self._applies_to == "gradient":
                update(self.direction, w, g, state, slots, move)
                writes_of(p).bump()
            else:
                directions.append(directed(self.direction, w, g, state, move))
        if directions:  # a layer's have to exist together: their norm decides how far each goes
            view.direction = directions
            multipliers = read_multipliers(self.layer_rate, view)
            for (_, p), d, m, t in zip(trained, directions, multipliers, rates, strict=True):
                p._data -= times(d, m if rate_inside else m * t)
                writes_of(p).bump()
        view.direction = ()
        self._last.append((view, multipliers, self.lr))

    def scale(self, pattern: str, lr: float | None = None, decay: float | None = None) -> Self:
        """Give parameters a rate and a weight decay of their own, as Caffe's lr_mult and decay_mult do.

            optimizer.scale("*.bias", lr=2.0, decay=0.0)

        A parameter's rate is then lr times the optimizer's, its decay is decay times `weight_decay`, in every method
        and with every layer rate (in Caffe's form of momentum inside the velocity). Later calls override earlier ones.

        Args:
            pattern: names of parameters, "fc1.bias", with the wildcards *, ? and [...] of `fnmatch`.
            lr, decay: the multipliers; one that is left out stays as it is, at first 1.

        Raises:
            ValueError: no parameter's name matches, there is no multiplier, or one is negative or not finite.
        """
        names = [name for name, _ in self._parameters()]
        matched = [name for name in names if fnmatchcase(name, pattern)]
        if not matched:
            raise ValueError(f"scale: no parameter is called {pattern!r}; there are {', '.join(names)}")
        given = {"lr": lr, "decay": decay}
        checked = {key: nonnegative(f"scale: {key}", value) for key, value in given.items() if value is not None}
        if not checked:
            raise ValueError(f"scale: say by what {pattern!r} is multiplied: lr=, decay= or both")
        for name in matched:
            self.scales[name] = self.scales.get(name, UNSCALED)._replace(**checked)
        return self

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

    def gradient_norms(self) -> dict[int, Any]:
        """||g||_2 of each gradient of the last step, by the id of its parameter's array; on the device.

        The layer rate, the report and a recorder share these: each is computed once, when the first of them asks.
        Parameters that share one array are left out: it does not say whose gradient is meant.
        """
        views = [view for view, _, _ in self._last]
        pairs = [(id(w), norm) for view in views for w, norm in zip(view.params, view.gradient_norms, strict=True)]
        times = Counter(key for key, _ in pairs)
        return {key: norm for key, norm in pairs if times[key] == 1}

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
            DeviceError, MemoryError: there is no such device, or too little memory; nothing was moved.
        """
        backend.module(device)
        moved = [
            (state, slot, backend.to_device(value, device))
            for state in (*self.state.values(), *self.layer_state.values())
            for slot, value in state.items()
            if backend.is_array(value)
        ]
        for state, slot, value in moved:
            state[slot] = value
        return self

    def state_dict(self) -> dict[str, Any]:
        """All that is needed to go on from here bit for bit: plain numbers and copies as NumPy arrays, by name.

        Keys: "lr", "step_count", for each parameter "fc1.weight/steps" and what the method keeps of it
        ("fc1.weight/velocity"), and what it keeps of layers ("fc1/squared_norms").
        """
        return save_state(self)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict()` saved. Everything is checked before anything is changed.

        Raises:
            ValueError: names that are missing, or that this method or model does not have.
            ShapeError, DTypeError: an array that does not fit its parameter.
        """
        load_state(self, state)
        self._last = []

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


def _gradient_of(name: str, p: Tensor) -> Any:
    """The raw gradient of a parameter, known to be on its device."""
    gradient = p._grad._data  # type: ignore[union-attr]
    if type(gradient) is not type(p._data) and backend.device_of(gradient) != backend.device_of(p._data):
        raise DeviceError(
            f"parameter {name!r} is on {backend.device_of(p._data)} and its gradient on {backend.device_of(gradient)}: "
            f"call zero_grad() after .to(), and then backward()"
        )
    return gradient
