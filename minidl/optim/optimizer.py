"""Optimizer: the step that every method shares, layer by layer, and the state it keeps by name."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from fnmatch import fnmatchcase
from typing import Any, ClassVar, Self

import numpy as np

from minidl import backend
from minidl.autograd.hooks import RemovableHandle, after_step, before_step
from minidl.autograd.variable import writes_of
from minidl.autograd.versions import Versioned, chosen
from minidl.checks import nonnegative, whole
from minidl.functional.precision import widened
from minidl.habits.answers import OptimizerNames, Options
from minidl.optim.layer_rates import Uniform
from minidl.optim.layer_view import LayerView
from minidl.optim.layers import LayerGroup, ModelOrParameters, collect_layers
from minidl.optim.multipliers import LayerRateSetting, read_multipliers
from minidl.optim.report import LayerReports, Seen, as_numbers, largest_multiplier, norms_by_array, rates_of, report_of
from minidl.optim.scales import UNSCALED, ScalesSetting, nonnegative_or_none
from minidl.optim.state import flat, read_states, saved_count
from minidl.optim.trained import (
    Trained,
    check_direction,
    check_writable,
    gradient_of,
    slot_dtype,
    slots_beside,
    takes_part,
)
from minidl.settings import Setting
from minidl.tensors.tensor import Tensor
from minidl.types import Array


class Optimizer(Versioned, Options, ABC, OptimizerNames):
    """Updates parameters from their gradients: a method (the subclass) with a layer rate.

    A step does for each parameter w of each layer l, in the order of the model (t is `lr`, decay is `weight_decay`):

        g   <-  gradient + decay * w
        s   <-  m_l * g                  m_l is the multiplier of a layer rate that applies to the gradient, else 1
        d   <-  direction(g, s)          the method's formula; for plain SGD it is s
        d   <-  M_l * d                  M_l is the multiplier of a layer rate that applies to the update, else 1
        w   <-  w - t * d

    With `decoupled_decay` (AdamW's) decay * w is added to d instead of g, before M_l is computed. With `rate_inside`
    (Caffe's momentum) t multiplies s instead of d. `scale` gives single parameters another t and decay than the rest.

    Parameters without a gradient, and frozen ones (`requires_grad=False`), are passed over. A step that fails, whatever
    the reason, has changed nothing. The weights' arrays are written in place, and the writes are counted, so that a
    backward over a graph from before the step is refused. float16 parameters are updated in float32, and what the
    method remembers of them is float32: eps and the squares of small gradients would be 0 in float16.

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

    Its settings, here and in the subclasses, are checked whenever they are written: see `Setting`.

    Raises:
        ValueError, DTypeError, GraphError: a number out of its range, or parameters that cannot be optimized.
    """

    settings: ClassVar[tuple[str, ...]] = ("lr", "weight_decay")  # what repr() shows
    decoupled_decay: ClassVar[bool] = False

    lr = Setting(nonnegative)
    weight_decay = Setting(nonnegative)
    layer_rate = LayerRateSetting()
    initial_lr = Setting(nonnegative_or_none)
    step_count = Setting(whole, 0)
    scales = ScalesSetting()
    _applies_to: str  # what the layer rate applies to

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "update_all" in vars(cls) or "update_layer" in vars(cls):
            cls.versions = ()  # a subclass that steps in its own way is not replaced by faster versions of this one

    def __init__(
        self,
        model_or_params: ModelOrParameters,
        lr: float,
        weight_decay: float = 0.0,
        layer_rate: Callable[[LayerView], Any] | None = None,
    ) -> None:
        self.layers: list[LayerGroup] = collect_layers(model_or_params)
        self.lr = lr
        self._asked_lr = self.lr  # when a run is resumed it has to be the same; `lr` itself changes with a schedule
        self.weight_decay = weight_decay
        self.layer_rate = layer_rate
        self.step_count = 0
        self.state: dict[str, dict[str, Any]] = {name: {"steps": 0} for name, _ in self._parameters()}
        self.scales = {}
        self.initial_lr = None
        self.layer_state: dict[str, dict[str, Any]] = {layer.name: {} for layer in self.layers}
        self._last: Sequence[Seen] = []  # what the last step did to each layer
        self._pre_hooks: dict[int, Callable[[Any], None]] = {}
        self._post_hooks: dict[int, Callable[[Any], None]] = {}

    # ---- what a method defines

    @property
    def slots(self) -> tuple[str, ...]:
        """The names of the arrays, shaped as the parameter and 0 at first, that the method keeps in `state`."""
        return ()

    @property
    def layer_slots(self) -> tuple[str, ...]:
        """The names of the 0-d float64 arrays, 0 at first, that it keeps in `layer_state`."""
        return ()

    @property
    def rate_inside(self) -> bool:
        """Whether t multiplies the gradient, before the method, instead of the direction after it."""
        return False

    @abstractmethod
    def direction(self, state: dict[str, Any], gradient: Array, scaled: Array) -> Array:
        """The direction d for one parameter, element by element: the method's formula.

        `gradient` is g and `scaled` is s = m_l g. d is made of s; what only normalises it, such as Adam's mean square,
        is made of g. Neither may be written to. `state` has the method's slots, to be written in place, those of the
        layer, and "steps", which is 1 in the parameter's first update. All arrays may be a part of the parameter only,
        because a faster version of the step may update a large one block by block.
        """

    def see_layer(self, state: dict[str, Any], gradients: Sequence[Array]) -> None:
        """Bring the layer's slots in `state` up to date with all its gradients g; called before `direction`."""

    # ---- the step

    def step(self) -> None:
        """Update every parameter that has a gradient; on an error nothing was changed.

        Raises:
            DeviceError, DTypeError, ShapeError: parameters were moved, converted or given another shape since the last
                step, and the state was not.
            ValueError, ShapeError, DTypeError, DeviceError: the layer rate returned something else than a multiplier;
                or a ValueError: a parameter's array cannot be written to.
        """
        for hook in (*before_step.values(), *self._pre_hooks.values()):
            hook(self)
        chosen(self).update_all(self)
        vars(self)["step_count"] += 1  # known to be a whole number: the check is skipped
        for hook in (*self._post_hooks.values(), *after_step.values()):
            hook(self)

    def update_all(self) -> None:
        """Update layer after layer. What changes is copied first, and put back if something fails."""
        named = [(name, p) for name, p in self._parameters() if takes_part(p)]
        for name, p in named:
            check_writable(name, p._data)
        weights = [(p, p._data.copy()) for _, p in named]
        states = copy.deepcopy((self.state, self.layer_state))
        seen: list[Seen] = []
        try:
            for layer in self.layers:
                trained = [self.trained(name, p) for name, p in layer.parameters if takes_part(p)]
                if trained:
                    seen.append(self.update_layer(layer.name, trained))
        except BaseException:
            for p, w in weights:
                p._data[...] = w
            self.state, self.layer_state = states
            raise
        for p, _ in weights:
            writes_of(p).bump()
        self.remember(seen)

    def update_layer(self, name: str, trained: Sequence[Trained]) -> Seen:
        """The arrows of the class's docstring for the parameters of the layer `name`."""
        view = self.view(name, trained)
        before = self.multipliers("gradient", view)
        layer_state = self.updated_layer_state(name, view)
        directions = []
        for p, m in zip(trained, before, strict=True):
            w, g = widened(p.weight), widened(p.gradient)
            if p.decay and not self.decoupled_decay:
                g = g + p.decay * w
            s = scaled(g, m, p.lr if self.rate_inside else 1.0)
            d = self.direction({**p.state, **layer_state} if layer_state else p.state, g, s)
            if p.decay and self.decoupled_decay:
                d = d + p.decay * w
            check_direction(type(self).__name__, p.name, p.weight, d)
            directions.append(d)
        view.direction = directions
        after = self.multipliers("update", view)
        for p, d, m in zip(trained, directions, after, strict=True):
            w = p.weight
            w -= scaled(d, m, 1.0 if self.rate_inside else p.lr)
        return Seen(view, before if self._applies_to == "gradient" else after, self.lr, [p.writes for p in trained])

    # ---- what a step asks for

    def trained(self, name: str, p: Tensor) -> Trained:
        """A parameter that takes part in the step, with "steps" in its state counted up and no slot missing.

        Raises:
            DeviceError, DTypeError, ShapeError: its gradient, or what the method remembers of it, does not fit it.
        """
        w, g, scale, state = p._data, gradient_of(name, p), self.scales.get(name, UNSCALED), self.state[name]
        state |= slots_beside(w, state, self.slots, w.shape, slot_dtype(w.dtype), name)
        state["steps"] += 1
        return Trained(name, w, g, self.lr * scale.lr, self.weight_decay * scale.decay, state, writes_of(p._grad))  # type: ignore[arg-type]

    def view(self, name: str, trained: Sequence[Trained]) -> LayerView:
        """What the layer rate is shown of these parameters of the layer `name`."""
        decays = [0.0 if self.decoupled_decay else p.decay for p in trained]
        return LayerView(
            name, [p.weight for p in trained], [p.gradient for p in trained], None, self.step_count, decays
        )

    def multipliers(self, scales: str, view: LayerView) -> list[Any]:
        """The layer rate's multiplier for each parameter in the view; 1 unless the rate scales what `scales` says."""
        if scales != self._applies_to or type(self.layer_rate) is Uniform:
            return [1.0] * len(view.params)
        return read_multipliers(self.layer_rate, view)

    def updated_layer_state(self, name: str, view: LayerView) -> dict[str, Array]:
        """What the method remembers of the layer `name`, brought up to date with all its gradients."""
        state, slots = self.layer_state[name], self.layer_slots
        if slots:
            state |= slots_beside(view.params[0], state, slots, (), np.dtype(np.float64), name)
            self.see_layer(state, view.direction)
        return state

    def remember(self, seen: list[Seen]) -> None:
        """Keep what the step did, for the report. Norms that nobody has asked for yet are computed when one does."""
        self._last = seen
        for view, _, _, writes in seen:
            view.direction = ()
            view.measure_before(writes)

    # ---- settings

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
        checked = {key: nonnegative(value, f"scale: {key}") for key, value in given.items() if value is not None}
        if not checked:
            raise ValueError(f"scale: say by what {pattern!r} is multiplied: lr=, decay= or both")
        for name in matched:
            self.scales[name] = self.scales.get(name, UNSCALED)._replace(**checked)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients: every parameter's `.grad` becomes None, or with `set_to_none=False` 0."""
        for layer in self.layers:
            for _, p in layer.parameters:
                if set_to_none is True:
                    p._grad = None
                else:
                    p.zero_grad(set_to_none)

    def _parameters(self) -> Iterator[tuple[str, Tensor]]:
        for layer in self.layers:
            yield from layer.parameters

    # ---- what happened

    @property
    def raw_report(self) -> LayerReports:
        """What the last step did to each layer it updated; numbers that are on a GPU stay there.

        A layer's gradient norm is computed when it is first needed: by its rate, by this report, or just before one of
        the gradients is written to. Until the next step the optimizer keeps the gradients for that, also after
        `zero_grad()`.
        """
        return LayerReports({seen.view.name: report_of(seen) for seen in self._last})

    def raw_rates(self) -> dict[str, tuple[Any, Any, Any]]:
        """Multiplier, rate and floored of `raw_report`, for which no norm has to be computed."""
        return {seen.view.name: rates_of(seen) for seen in self._last}

    def layer_report(self) -> LayerReports:
        """`raw_report` as Python numbers (waits for the GPU)."""
        return LayerReports({name: as_numbers(report) for name, report in self.raw_report.items()})

    def largest_multiplier(self) -> tuple[str, float] | None:
        """The name of the layer that had the largest multiplier in the last step, and that multiplier.

        None without a layer rate, and where no multiplier is at hand: one on a GPU is not waited for. NaN is none.
        """
        if type(self.layer_rate) is Uniform:
            return None
        return largest_multiplier(self._last)

    def gradient_norms(self) -> dict[int, Any]:
        """||g||_2 of those gradients of the last step of which it is known: a layer rate, or a report, needed it.

        On the device, by the id of the parameter's array; so a recorder does not measure them again. Parameters that
        share one array are left out: it does not say whose gradient is meant.
        """
        return norms_by_array(seen.view for seen in self._last)

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

        Keys: "lr", "step_count", "initial_lr" if there is one; for each parameter "fc1.weight/steps" and what the
        method keeps of it ("fc1.weight/velocity", float32 for float16 parameters); and what it keeps of layers
        ("fc1/squared_norms").
        """
        kept = flat(("steps", *self.slots, *self.layer_slots), self.state, self.layer_state)
        first = {} if self.initial_lr is None else {"initial_lr": self.initial_lr}
        return {"lr": self.lr, "step_count": self.step_count, **first, **kept}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict()` saved. Everything is checked before anything is changed.

        Of float16 parameters float16 arrays are taken too, as minidl saved them before it kept float32 ones.

        Raises:
            ValueError: names that are missing, or that this method or model does not have; no number of steps.
            ShapeError, DTypeError: an array that does not fit its parameter.
        """
        states = read_states(state, type(self).__name__, self.layers, self.slots, self.layer_slots)
        kind, step_count = type(self).__name__, saved_count(state, "step_count")
        lr = nonnegative(state["lr"], f"{kind}: lr")
        self.initial_lr = nonnegative_or_none(state.get("initial_lr"), f"{kind}: initial_lr")
        self.lr, self.step_count = lr, step_count
        self.state.update(states[0])
        self.layer_state.update(states[1])
        self._last = []

    def __repr__(self) -> str:
        settings = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.settings)
        count = sum(len(layer.parameters) for layer in self.layers)
        return (
            f"{type(self).__name__}({settings}, layer_rate={self.layer_rate!r}; {count} parameters in "
            f"{len(self.layers)} layers)"
        )


def scaled(array: Array, multiplier: Any, rate: float) -> Array:
    """rate * multiplier * array in the array's dtype.

    Computed in float64, because a factor alone may be beyond the dtype: LARS's is 1e40 where a gradient is 1e-40.
    """
    return (array.astype(np.float64) * multiplier * rate).astype(array.dtype)
