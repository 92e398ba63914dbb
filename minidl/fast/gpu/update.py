"""An optimizer's whole step in one launch on a GPU: what `Optimizer.update_all` does parameter by parameter.

The formulas are those of `Optimizer` and of each method's `direction`, done by the kernels of `kernels/updates.cu` for
up to 30 parameters at once. The numbers that change from step to step (rates, decays, Adam's divisors) are computed
here as a small table, a row a parameter; a multiplier that a layer rate computed stays on the device, where the
kernel reads it.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from minidl import backend
from minidl.autograd.variable import writes_of
from minidl.fast.gpu import kernels
from minidl.fast.step_plan import Ahead, plan, product, share_memory, times
from minidl.fast.versions import Faster
from minidl.optim.layers import LayerGroup
from minidl.optim.optimizer import Optimizer
from minidl.optim.report import Seen
from minidl.optim.scales import UNSCALED, Scale
from minidl.optim.trained import slot_dtype, slots_beside
from minidl.tensors.tensor import Tensor
from minidl.types import Array


class Method(NamedTuple):
    """How a kernel does what an optimizer's class does.

    Attributes:
        kernel: its name in `kernels/updates.cu`.
        constants: its constants, from the optimizer.
        slots: the names of its slots in the kernel's order.
        numbers: the last two of a parameter's six numbers, from the optimizer and the number of the update, from 1.
    """

    kernel: str
    constants: Callable[[Any], tuple[float, ...]]
    slots: tuple[str, ...]
    numbers: Callable[[Any, int], tuple[float, float]] = lambda optimizer, k: (0.0, 0.0)


def _sgd_numbers(optimizer: Any, k: int) -> tuple[float, float]:
    return (1.0 if k == 1 else 1.0 - optimizer.dampening), 0.0


def _adam_numbers(optimizer: Any, k: int) -> tuple[float, float]:
    beta1, beta2 = optimizer.betas
    return 1.0 - beta1**k, 1.0 - beta2**k


_ADAM = Method("adam", lambda o: (*o.betas, o.eps), ("first_moment", "second_moment"), _adam_numbers)
METHODS = {
    "SGD": Method("sgd", lambda o: (o.momentum, float(o.nesterov)), ("velocity",), _sgd_numbers),
    "Adam": _ADAM,
    "AdamW": _ADAM,
    "RMSprop": Method(
        "rmsprop",
        lambda o: (o.alpha, o.eps, o.momentum, float(o.centered)),
        ("mean_square", "velocity", "mean_gradient"),
    ),
    "AdaGrad": Method("adagrad", lambda o: (o.eps,), ("squares",)),
}


class Update(NamedTuple):
    """One parameter in one step.

    Attributes:
        name, parameter: its name and the Tensor.
        weight, gradient: its raw arrays.
        state: what the method remembers of it, with no slot missing.
        multiplier: its layer rate's: a number, or a 0-d array on the device.
    """

    name: str
    parameter: Tensor
    weight: Array
    gradient: Array
    state: dict[str, Any]
    multiplier: Any


class Fused(Faster, Optimizer):
    """All parameters in one launch, or one for each 30. The errors that there are come before it."""

    where = "on a GPU, minidl's methods, arrays of one dtype and in C order"

    def fits(self) -> bool:
        """Not where there is no kernel: for the method; for arrays of several dtypes or devices, or not in C order;
        for gradients of another shape, which the plain lines broadcast; or for memory that two parameters share.
        """
        if not kernels.on_device(self.layers[0].parameters[0][1]._data) or method_of(self) is None:
            return False
        parameters = [named for layer in self.layers for named in taking_part(layer)]
        return bool(parameters) and has_kernel(self, parameters)

    def update_all(self) -> None:
        try:
            updates, seen = planned(self)
            launch(self, updates)
        except MemoryError as error:
            backend.explain_memory(error)
            raise
        for update in updates:
            if update.state is not self.state[update.name]:
                self.state[update.name].update(update.state)
        count(self, updates)
        self.remember(seen)


class OnDevice(Faster, Optimizer):
    """For what has no kernel: parameter by parameter, with little to launch besides the method's formula."""

    where = "on a GPU"

    def fits(self) -> bool:
        return type(self.layers[0].parameters[0][1]._data) is not np.ndarray and not share_memory(self)

    def update_all(self) -> None:
        try:
            plans, seen = plan(self, Ahead())
            updates = [
                times(d, move.after)
                for planned in plans
                for d, move in zip(planned.directions, planned.moves, strict=True)
            ]
        except MemoryError as error:
            backend.explain_memory(error)
            raise
        ready = iter(updates)
        for layer, planned in zip(seen, plans, strict=True):
            for (name, p), w, state in zip(planned.named, planned.weights, planned.new, strict=True):
                w -= next(ready)
                self.state[name].update(state or {})
                writes_of(p).bump()
            self.layer_state[layer.view.name].update(planned.layer_state)
        self.remember(seen)


def method_of(optimizer: Optimizer) -> Method | None:
    """The kernel's way to do a step of this optimizer, or None: another class, or a rule that looks at whole layers."""
    kind = type(optimizer)
    if not kind.__module__.startswith("minidl.optim.") or optimizer.layer_slots or optimizer._applies_to == "update":
        return None
    return METHODS.get(kind.__name__)


def taking_part(layer: LayerGroup) -> list[tuple[str, Tensor]]:
    """The layer's parameters that have a gradient and are not frozen, with their names."""
    return [(name, p) for name, p in layer.parameters if p._grad is not None and p._requires_grad]


def has_kernel(optimizer: Optimizer, parameters: list[tuple[str, Tensor]]) -> bool:
    """Whether the kernel takes these parameters with their gradients and what the method remembers of them."""
    weights, gradients = [p._data for _, p in parameters], [p._grad._data for _, p in parameters]  # type: ignore[union-attr]
    if not kernels.can_update(weights) or not kernels.kernels_for(*weights, *gradients):
        return False
    if _overlap(weights) or any(w.shape != g.shape for w, g in zip(weights, gradients, strict=True)):
        return False
    states = [optimizer.state[name] for name, _ in parameters]
    slots = [state[slot] for state in states for slot in optimizer.slots if slot in state]
    return not slots or (kernels.can_update(slots) and slots[0].dtype == slot_dtype(weights[0].dtype))


def prepare(optimizer: Optimizer, parameters: list[tuple[str, Tensor]]) -> None:
    """Make the slots of these parameters, as far as they are not there."""
    for name, p in parameters:
        w, state = p._data, optimizer.state[name]
        state.update(slots_beside(w, state, optimizer.slots, w.shape, slot_dtype(w.dtype), name))


def planned(optimizer: Optimizer) -> tuple[list[Update], list[Seen]]:
    """The updates of the coming step, for which there is a kernel, and what to keep for the report."""
    updates = []
    plans, seen = plan(optimizer)
    for layer, (named, weights, gradients, new, *_) in zip(seen, plans, strict=True):
        for (name, p), w, g, slots, m in zip(named, weights, gradients, new, layer.multipliers, strict=True):
            own = optimizer.state[name]
            updates.append(Update(name, p, w, g, {**own, **slots} if slots else own, m))
    return updates, seen


def launch(optimizer: Optimizer, updates: list[Update], live: Any = None) -> None:
    """Have the kernel make a step.

    Args:
        live: the table of `numbers`, on the device, from which the kernel then reads the rates when it runs.
    """
    method = METHODS[type(optimizer).__name__]
    multipliers = [update.multiplier if backend.is_array(update.multiplier) else None for update in updates]
    kernels.update(
        method.kernel,
        method.constants(optimizer),
        [update.weight for update in updates],
        [update.gradient for update in updates],
        [[update.state.get(slot) for slot in method.slots] for update in updates],
        [None if m is None else m.astype(np.float64, copy=False) for m in multipliers],
        numbers(optimizer, updates),
        live,
    )


def count(optimizer: Optimizer, updates: list[Update]) -> None:
    """Note that these parameters were updated."""
    for update in updates:
        optimizer.state[update.name]["steps"] += 1
        writes_of(update.parameter).bump()


def numbers(optimizer: Optimizer, updates: list[Update]) -> Any:
    """The table of `kernels.update` for the coming step."""
    method = METHODS[type(optimizer).__name__]
    rows: dict[Any, tuple[float, ...]] = {}  # most parameters have the same
    table = []
    for update in updates:
        before = 1.0 if backend.is_array(update.multiplier) else float(update.multiplier)
        scale = optimizer.scales.get(update.name, UNSCALED)
        key = before, scale, optimizer.state[update.name]["steps"] + 1
        if key not in rows:
            rows[key] = _row(optimizer, method, *key)
        table.append(rows[key])
    return np.array(table).reshape((len(updates), kernels.NUMBERS))


def _row(optimizer: Optimizer, method: Method, before: float, scale: Scale, k: int) -> tuple[float, ...]:
    """One parameter's numbers in its k-th update."""
    rate, decay = optimizer.lr * scale.lr, optimizer.weight_decay * scale.decay
    if optimizer.rate_inside:
        before, rate = product(before, rate), 1.0
    decays = (0.0, decay) if optimizer.decoupled_decay else (decay, 0.0)
    return before, rate, *decays, *method.numbers(optimizer, k)


def _overlap(arrays: list[Array]) -> bool:
    """Whether some of the arrays, each in C order, share memory."""
    spans = sorted((a.data.ptr, a.data.ptr + a.nbytes) for a in arrays if a.size)
    return any(stop > start for (_, stop), (start, _) in pairwise(spans))
