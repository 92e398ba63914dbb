"""An optimizer's whole step in one launch on a GPU: what `Optimizer.step` does parameter by parameter.

The formulas are those of `Optimizer` and of each method's `direction`, done by the kernels of
`backend/kernels/updates.cu` for up to 30 parameters at once. The numbers that change from step to step (rates, decays,
Adam's divisors) are computed here as a small table, a row a parameter; a multiplier that a layer rate computed stays on
the device, where the kernel reads it.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from minidl import backend
from minidl.autograd.variable import (
    writes_of,
)
from minidl.fast.gpu import kernels
from minidl.optim.layer_rates import LayerView, read_multipliers
from minidl.optim.state import prepare_slots

if TYPE_CHECKING:
    from minidl.optim.optimizer import Optimizer


class Method(NamedTuple):
    """How a kernel does what an optimizer's class does.

    Attributes:
        kernel: its name in `backend.kernels.METHODS`.
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


class Trained(NamedTuple):
    """One parameter in one step.

    Attributes:
        name, parameter: its name and the Tensor.
        gradient: its raw gradient.
        multiplier: its layer rate's: a number, or a 0-d array on the device.
    """

    name: str
    parameter: Any
    gradient: Any
    multiplier: Any


def method_of(optimizer: Optimizer) -> Method | None:
    """The kernel's way to do a step of this optimizer, or None: another class, or a rule that looks at whole layers."""
    kind = type(optimizer)
    if not kind.__module__.startswith("minidl.optim.") or optimizer.layer_slots or optimizer._applies_to == "update":
        return None
    return METHODS.get(kind.__name__)


def fused_step(optimizer: Optimizer) -> bool:
    """Update every parameter that has a gradient, as `Optimizer.step` does; False: nothing was done, see `planned`.

    Hooks and `step_count` are left to the caller. An error, of too little memory for instance, comes before any weight
    or count is changed. (Where False is returned the plain lines update one layer after the other.)

    Raises: what `Optimizer.step` raises.
    """
    if not kernels.on_device(optimizer.layers[0].parameters[0][1]._data):
        return False
    steps = planned(optimizer)
    if steps is None:
        return False
    launch(optimizer, steps)
    count(optimizer, steps)
    return True


def planned(optimizer: Optimizer) -> list[Trained] | None:
    """The parameters that take part in the coming step, with their slots made and their layer rates asked.

    None if there is no kernel for the step: none for the method; arrays of several dtypes or devices, or not in C
    order; gradients of another shape, which the plain lines broadcast; or memory that two parameters share, which one
    has to update after the other.
    """
    if method_of(optimizer) is None:
        return None
    layers = [(layer, own) for layer in optimizer.layers if (own := taking_part(layer))]
    parameters = [named for _, own in layers for named in own]
    weights, gradients = [p._data for _, p in parameters], [p._grad._data for _, p in parameters]
    if not parameters or not kernels.can_update(weights) or not kernels.kernels_for(*weights, *gradients):
        return None
    if _overlap(weights) or any(w.shape != g.shape for w, g in zip(weights, gradients, strict=True)):
        return None
    prepare(optimizer, parameters)
    slots = [optimizer.state[name][slot] for name, _ in parameters for slot in optimizer.slots]
    if slots and not kernels.can_update(slots):
        return None
    steps, report = [], []
    for layer, own in layers:
        view, multipliers = _asked(optimizer, layer, own)
        report.append((view, multipliers, optimizer.lr))
        steps += [Trained(name, p, p._grad._data, m) for (name, p), m in zip(own, multipliers, strict=True)]
    optimizer._last = report
    return steps


def taking_part(layer: Any) -> list[tuple[str, Any]]:
    """The layer's parameters that have a gradient and are not frozen, with their names."""
    return [(name, p) for name, p in layer.parameters if p._grad is not None and p._requires_grad]


def prepare(optimizer: Optimizer, parameters: list[tuple[str, Any]]) -> None:
    """Make the slots of these parameters, as far as they are not there."""
    for name, p in parameters:
        prepare_slots(optimizer.state[name], optimizer.slots, p._data.shape, p._data, p._data.dtype, name)


def launch(optimizer: Optimizer, steps: list[Trained], live: Any = None) -> None:
    """Have the kernel make a step.

    Args:
        live: the table of `numbers`, on the device, from which the kernel then reads the rates when it runs.
    """
    method = METHODS[type(optimizer).__name__]
    multipliers = [step.multiplier if backend.is_array(step.multiplier) else None for step in steps]
    kernels.update(
        method.kernel,
        method.constants(optimizer),
        [step.parameter._data for step in steps],
        [step.gradient for step in steps],
        [[optimizer.state[step.name].get(slot) for slot in method.slots] for step in steps],
        [None if m is None else m.astype(np.float64, copy=False) for m in multipliers],
        numbers(optimizer, steps),
        live,
    )


def count(optimizer: Optimizer, steps: list[Trained]) -> None:
    """Note that these parameters were updated."""
    for step in steps:
        optimizer.state[step.name]["steps"] += 1
        writes_of(step.parameter).bump()


def numbers(optimizer: Optimizer, steps: list[Trained]) -> Any:
    """The table of `backend.kernels.update` for the coming step."""
    method = METHODS[type(optimizer).__name__]
    rows: dict[Any, tuple[float, ...]] = {}  # most parameters have the same
    table = []
    for step in steps:
        before = 1.0 if backend.is_array(step.multiplier) else float(step.multiplier)
        scale = optimizer.scales.get(step.name, (1.0, 1.0))
        key = before, scale, optimizer.state[step.name]["steps"] + 1
        if key not in rows:
            rows[key] = _row(optimizer, method, *key)
        table.append(rows[key])
    return np.array(table).reshape((len(steps), kernels.NUMBERS))


def _row(optimizer: Optimizer, method: Method, before: float, scale: tuple[float, float], k: int) -> tuple[float, ...]:
    """One parameter's numbers in its k-th update."""
    rate, decay = optimizer.lr * scale[0], optimizer.weight_decay * scale[1]
    if optimizer.rate_inside:
        before, rate = before * rate, 1.0
    decays = (0.0, decay) if optimizer.decoupled_decay else (decay, 0.0)
    return before, rate, *decays, *method.numbers(optimizer, k)


def _asked(optimizer: Optimizer, layer: Any, own: list[tuple[str, Any]]) -> tuple[LayerView, list[Any]]:
    """What the layer's rate sees of these parameters of the layer, and its multipliers."""
    weights, gradients = [p._data for _, p in own], [p._grad._data for _, p in own]
    scales = [optimizer.scales.get(name, (1.0, 1.0)) for name, _ in own]
    decays = [0.0 if optimizer.decoupled_decay else optimizer.weight_decay * decay for _, decay in scales]
    view = LayerView(layer.name, weights, gradients, None, optimizer.step_count, decays)
    multipliers = read_multipliers(optimizer.layer_rate, view)
    view.direction = ()
    return view, multipliers


def _overlap(arrays: list[Any]) -> bool:
    """Whether some of the arrays, each in C order, share memory."""
    spans = sorted((a.data.ptr, a.data.ptr + a.nbytes) for a in arrays if a.size)
    return any(stop > start for (_, stop), (start, _) in pairwise(spans))
