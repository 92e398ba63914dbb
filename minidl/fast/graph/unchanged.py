"""What a replay relies on: which steps can be captured, and what must be unchanged before each replay.

A replay runs no Python. It repeats what Python decided when the step was captured, by a setting, a hook or an array's
address. So all of that is compared before each replay: a change would not be noticed otherwise.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from minidl import backend
from minidl.autograd.modes import OBSERVED, RECORD, mode
from minidl.autograd.variable import Variable
from minidl.errors import DeviceError, GraphError
from minidl.fast.gpu import kernels
from minidl.fast.gpu import update as fused
from minidl.nn import Module, Parameter
from minidl.optim import LARS, LayerSpecific, Optimizer, Uniform
from minidl.tensors.tensor import Tensor

RATES = (Uniform, LayerSpecific, LARS)  # layer rates that compute on the device, and the same in every step
COMPARED = (bool, int, float, complex, str, bytes, type(None))  # by value
OWN = ("_hooks", "_place", "_buffers")  # what Module keeps for itself
HOOKS = "registered hooks"  # no attribute has such a name
MISSING = object()

Loss = Callable[[Any, Any], Any]
Facts = dict[tuple[str, str], Any]  # by (where, what)


def check_can_be_captured(model: Module, optimizer: Optimizer, loss: Loss) -> None:
    """Refuse a step that can be seen beforehand not to be fit for capturing.

    Raises:
        DeviceError, ValueError, GraphError: as `GraphedStep` says.
    """
    devices = {backend.device_of(p._data) for p in model.parameters()}
    if not devices:
        raise ValueError("GraphedStep: this model has no parameters, so that there is nothing to train")
    if devices != {"cupy"}:
        raise DeviceError(f"GraphedStep captures work on a GPU, and the model is on {' and '.join(sorted(devices))}")
    trained = [p._data for p in model.parameters() if p.requires_grad]
    if not kernels.can_update(trained):
        raise DeviceError(
            "GraphedStep needs kernels, which there are for parameters that are not all frozen, have one floating "
            "dtype and lie in C order"
        )
    rate, kind = optimizer.layer_rate, type(optimizer).__name__
    if optimizer.layer_slots:
        raise ValueError(f"GraphedStep: {kind} with a rule for whole layers has no kernel; leave that option out")
    if fused.method_of(optimizer) is None or type(rate) not in RATES:
        raise ValueError(
            f"GraphedStep: expected SGD, Adam, AdamW, RMSprop or AdaGrad, with no layer rate, LayerSpecific or LARS; "
            f"what {kind} with {rate!r} computes on the host would stay what it was when captured"
        )
    own = {id(p) for _, p in optimizer._parameters()}
    others = [name for name, p in model.named_parameters() if p.requires_grad and id(p) not in own]
    for where, _, attributes in _owners(model, loss):
        tensors = [(key, x) for key, x in attributes.items() if isinstance(x, Tensor) and id(x) not in own]
        others += [f"{key} of {where}" for key, x in tensors if x.requires_grad and x._op is None]
    if others:
        raise ValueError(
            f"GraphedStep: the gradients of {', '.join(others[:3])} would add up from step to step, since the "
            f"optimizer does not have them; freeze them, requires_grad = False"
        )
    hooked = [where for (where, what), value in facts(model, optimizer, loss).items() if what == HOOKS and value]
    if hooked or mode.get() & OBSERVED:
        reason = (
            f"hooks of {', '.join(hooked)}"
            if hooked
            else "who looks at every array, as detect_anomaly() and md.record() do,"
        )
        raise GraphError(f"GraphedStep: a replay runs no Python, so not {reason} either")


def facts(model: Module, optimizer: Optimizer, loss: Loss) -> Facts:
    """All that a replay takes to be as it was captured: settings as they are, arrays and other objects by their `id`.

    Numbers that go to the device with every step (`fused.numbers`) are not among them. (An `id` belongs to an object
    while it lives: keep the `objects` whose facts are kept.)
    """
    found: Facts = {}
    for where, owner, attributes in _owners(model, loss):
        if isinstance(owner, Module):
            hooks = owner._hooks
            found[where, HOOKS] = hooks is not None and bool(hooks.pre or hooks.forward or hooks.backward)
        for key, value in attributes.items():
            if type(value) in COMPARED:
                found[where, key] = value
            elif key not in OWN:
                found[where, key] = _fact(value)

    rate, method = optimizer.layer_rate, fused.method_of(optimizer)
    found["the optimizer", HOOKS] = bool(optimizer._pre_hooks or optimizer._post_hooks)
    found["the optimizer", "settings"] = None if method is None else method.constants(optimizer)
    found["the optimizer", "layer_rate"] = id(rate), _fact(vars(rate))
    if type(rate) is not Uniform:  # it may have looked at the gradients with their decay
        found["the optimizer", "weight_decay"] = optimizer.weight_decay
        found["the optimizer", "scales"] = tuple(optimizer.scales.items())
    for name, state in optimizer.state.items():
        for slot in optimizer.slots:
            found[name, slot] = id(state.get(slot))
    found["detect_anomaly()", "mode"] = mode.get() & (OBSERVED | RECORD)
    return found


def objects(model: Module, optimizer: Optimizer, loss: Loss) -> list[Any]:
    """What `facts` knows by its `id`."""
    kept: list[Any] = [optimizer.layer_rate]
    waiting = [value for _, _, attributes in _owners(model, loss) for value in attributes.values()]
    waiting += [array for state in optimizer.state.values() for array in state.values()]
    while waiting:
        value = waiting.pop()
        kept.append(value)
        if isinstance(value, Tensor):
            kept.append(value._data)
        elif isinstance(value, (tuple, list, set)):
            waiting += value
        elif isinstance(value, dict):
            waiting += value.values()
    return kept


def _owners(model: Module, loss: Loss) -> Iterator[tuple[str, Any, dict[str, Any]]]:
    """(where, an object, its attributes) for the model's modules and for what the loss consists of."""
    for name, module in model.named_modules():
        yield name or "the model", module, vars(module)
    whole, parts = getattr(loss, "__self__", loss), _parts_of(loss)
    yield "the loss", whole, getattr(whole, "__dict__", {})
    yield "the loss", None, parts
    held = (*getattr(whole, "__dict__", {}).values(), *parts.values())
    for part in (part for part in (whole, *held) if isinstance(part, Module)):
        for name, module in part.named_modules():
            if module is not whole:
                yield f"the loss, {name or type(part).__name__}", module, vars(module)


def _parts_of(loss: Any) -> dict[str, Any]:
    """What a function, a method or a partial consists of, by name."""
    parts: dict[str, Any] = {"function": getattr(loss, "__func__", loss)}  # a method is a new object each time
    if isinstance(loss, functools.partial):
        parts |= {"func": loss.func, "args": loss.args, "keywords": loss.keywords}
    for name, cell in zip(_free_variables(loss), getattr(loss, "__closure__", None) or (), strict=False):
        parts[f"variable {name}"] = _content(cell)
    return parts


def _free_variables(function: Any) -> tuple[str, ...]:
    """The names of a function's variables that belong to the one around it."""
    return tuple(getattr(getattr(function, "__code__", None), "co_freevars", ()))


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not assigned yet
        return None


def _fact(value: Any) -> Any:
    if isinstance(value, Tensor):
        hooked = value._extras is not None and bool(value._extras.hooks)
        return id(value), id(value._data), value._requires_grad, hooked
    if isinstance(value, (tuple, list, set)):  # the members that they have now
        return tuple(map(_fact, value))
    if isinstance(value, dict):
        return tuple((key, _fact(member)) for key, member in value.items())
    return value if isinstance(value, (*COMPARED, np.generic)) else id(value)


def refuse_changes(captured: Facts, now: Facts) -> None:
    """Raise if something that a replay relies on has changed.

    Raises:
        GraphError: something has.
    """
    if captured == now:
        return
    where, what = next(key for key in [*now, *captured] if captured.get(key, MISSING) != now.get(key, MISSING))
    raise GraphError(
        f"GraphedStep: {what!r} of {where!r} is not what it was when the step was captured, and a replay would not "
        f"notice; put it back, or make a new GraphedStep"
    )


class Placeholder:
    """Stands for a Tensor that forward has left in an attribute: the attribute may be assigned again, but not read."""

    def __init__(self, where: str, key: str) -> None:
        self.place = f"{key!r} of {where!r}"

    def __getattr__(self, name: str) -> Any:
        raise GraphError(
            f"GraphedStep: forward goes on from what it left in {self.place} in the step before; a replay "
            f"would read an array that nobody writes to any more. Keep it in a buffer, and write to its elements"
        )


class Shown(NamedTuple):
    """A Tensor that a step leaves in an attribute of a module: (where, what), the module's attributes, the Tensor."""

    place: tuple[str, str]
    attributes: dict[str, Any]
    value: Tensor


class Snapshot:
    """The attributes of model and loss before a step, to see what it changes and to put them back.

    Args:
        shown: (where, what) of Tensors that a step leaves in attributes, say for somebody to look at: not to be read.
    """

    def __init__(self, model: Module, optimizer: Optimizer, loss: Loss, shown: Sequence[tuple[str, str]] = ()) -> None:
        self._parts = model, optimizer, loss
        owners = [(owner, attributes) for _, owner, attributes in _owners(model, loss) if owner is not None]
        self._attributes = [(attributes, dict(attributes)) for _, attributes in owners]
        members = [value for attributes in self._attributes for value in attributes[1].values()]
        self._members = [(value, copy.copy(value)) for value in members if isinstance(value, (list, dict, set))]
        self._facts, self._kept = facts(*self._parts), objects(*self._parts)
        modules = [module for module, _ in owners if isinstance(module, Module)]
        self._buffers = [vars(module)[key] for module in modules for key in module._buffers]
        self._counts = [_writes(x) for x in self._buffers]
        for where, owner, attributes in _owners(model, loss):
            for key in [key for key in attributes if (where, key) in shown and owner is not None]:
                attributes[key] = Placeholder(where, key)

    def undo(self) -> None:
        """Put everything back: what was assigned while capturing, nobody has computed."""
        for attributes, before in self._attributes:
            attributes.clear()
            attributes.update(before)
        for value, members in self._members:
            value.clear()
            value.extend(members) if isinstance(value, list) else value.update(members)

    def assigned(self) -> list[Shown]:
        """The Tensors that a step leaves in attributes of modules.

        Raises:
            GraphError: it has changed something else, which a replay would not.
        """
        found, others = self._changes()
        if others:
            where, what = others[0]
            raise GraphError(
                f"GraphedStep: a step changes {what!r} of {where!r}, which a replay does not. What changes from step "
                f"to step must be a buffer, to whose elements forward writes: self.count[...] = value"
            )
        return found

    def shown(self) -> list[tuple[str, str]]:
        """(where, what) of the same Tensors; does not raise."""
        return [shown.place for shown in self._changes()[0]]

    def _changes(self) -> tuple[list[Shown], list[tuple[str, str]]]:
        """The Tensors that were left in attributes, and (where, what) of all other changes."""
        model, optimizer, loss = self._parts
        found, places = [], set()
        for where, owner, attributes in _owners(model, loss):
            for key, value in list(attributes.items()) if isinstance(owner, Module) else ():
                if isinstance(value, Placeholder):  # it was neither assigned nor used
                    attributes[key] = next(before[key] for own, before in self._attributes if own is attributes)
                elif isinstance(value, Tensor) and not isinstance(value, Parameter) and key not in owner._buffers:
                    places.add((where, key))
                    if _fact(value) != self._facts.get((where, key), MISSING):
                        found.append(Shown((where, key), attributes, value))
        now = facts(model, optimizer, loss)
        slots = {(name, slot) for name in optimizer.state for slot in optimizer.slots}
        changed = [key for key in {**now, **self._facts} if now.get(key, MISSING) != self._facts.get(key, MISSING)]
        return found, [key for key in changed if key not in places and key not in slots]

    def written(self) -> list[Variable]:
        """The buffers whose elements it writes to."""
        return [x for x, count in zip(self._buffers, self._counts, strict=True) if _writes(x) != count]


def _writes(x: Variable) -> int:
    return 0 if x._writes is None else x._writes.count
