"""What a training step must be like to be recorded (`graphed.py`), and must stay like while it is replayed.

A replay runs no Python. So all that Python decided while recording, by a setting, a hook or an array's place in
memory, is looked at again before each replay: what has changed would not be noticed otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from minidl import backend
from minidl.autograd import Variable
from minidl.backend import kernels
from minidl.errors import DeviceError, GraphError
from minidl.modes import ANOMALY, RECORD, mode
from minidl.nn import Module
from minidl.optim import LARS, LayerSpecific, Optimizer, Uniform, fused
from minidl.tensor import Tensor

RATES = (Uniform, LayerSpecific, LARS)  # layer rates that compute on the device, and the same in every step
COMPARED = (bool, int, float, complex, str, bytes, type(None))  # by value
OWN = ("_hooks", "_place", "_buffers")  # what Module keeps for itself
HOOKS = "hooks"
MISSING = object()

Loss = Callable[[Any, Any], Any]
Facts = dict[tuple[str, str], Any]  # by (where, what)


def check(model: Module, optimizer: Optimizer, loss: Loss) -> None:
    """Refuse what cannot be recorded and can be seen beforehand.

    Raises:
        DeviceError, ValueError, GraphError: as `GraphedStep` says.
    """
    devices = {backend.device_of(p._data) for p in model.parameters()}
    if devices != {"cupy"}:
        raise DeviceError(f"GraphedStep records work on a GPU, and the model is on {' and '.join(sorted(devices))}")
    if not kernels.can_update([p._data for p in model.parameters()]):
        raise DeviceError("GraphedStep needs kernels, which there are for parameters of one floating dtype on a GPU")
    rate, kind = optimizer.layer_rate, type(optimizer).__name__
    if optimizer.layer_slots:
        raise ValueError(f"GraphedStep: {kind} with a rule for whole layers has no kernel; leave that option out")
    if fused.method_of(optimizer) is None or type(rate) not in RATES:
        raise ValueError(
            f"GraphedStep: expected SGD, Adam, AdamW, RMSprop or AdaGrad, with no layer rate, LayerSpecific or LARS; "
            f"what {kind} with {rate!r} computes on the host would stay what it was when recorded"
        )
    own = {id(p) for _, p in optimizer._parameters()}
    learned = [named for part in _modules(model, loss) for named in part.named_parameters()]
    others = [name for name, p in learned if p.requires_grad and id(p) not in own]
    if others:
        raise ValueError(
            f"GraphedStep: the gradients of {', '.join(others[:3])} would add up from step to step, since the "
            f"optimizer does not have them; freeze them, requires_grad = False"
        )
    hooked = [where for (where, what), value in facts(model, optimizer, loss).items() if what == HOOKS and value]
    if hooked or mode.get() & ANOMALY:
        reason = f"hooks of {', '.join(hooked)}" if hooked else "detect_anomaly(), which looks at every array"
        raise GraphError(f"GraphedStep: a replay runs no Python, so not {reason} either")


def facts(model: Module, optimizer: Optimizer, loss: Loss) -> Facts:
    """All that a replay takes to be as it was recorded: settings as they are, arrays and other objects by their `id`.

    Numbers that go to the device with every step (`fused.numbers`) are not among them. (An `id` belongs to an object
    while it lives: keep the `objects` whose facts are kept.)
    """
    found: Facts = {}
    for part in _modules(model, loss):
        for name, module in part.named_modules():
            where = name or ("the model" if part is model else "the loss")
            hooks = module._hooks
            found[where, HOOKS] = hooks is not None and bool(hooks.pre or hooks.forward or hooks.backward)
            _add_attributes(found, where, vars(module))
    if not isinstance(loss, Module):
        found["the loss", "function"] = id(loss)
        _add_attributes(found, "the loss", getattr(loss, "__dict__", {}))

    rate, method = optimizer.layer_rate, fused.method_of(optimizer)
    found["the optimizer", HOOKS] = bool(optimizer._pre_hooks or optimizer._post_hooks)
    found["the optimizer", "settings"] = None if method is None else method.constants(optimizer)
    found["the optimizer", "layer_rate"] = id(rate)
    _add_attributes(found, "the layer rate", vars(rate))
    if type(rate) is not Uniform:  # it may have looked at the gradients with their decay
        found["the optimizer", "weight_decay"] = optimizer.weight_decay
        found["the optimizer", "scales"] = tuple(optimizer.scales.items())
    for name, state in optimizer.state.items():
        for slot in optimizer.slots:
            found[name, slot] = id(state.get(slot))
    found["detect_anomaly()", "mode"] = mode.get() & (ANOMALY | RECORD)
    return found


def objects(model: Module, optimizer: Optimizer, loss: Loss) -> list[Any]:
    """What `facts` knows by its `id`."""
    kept: list[Any] = [loss, optimizer.layer_rate]
    holders: list[Any] = [loss, optimizer.layer_rate]
    holders += [module for part in _modules(model, loss) for module in part.modules()]
    for attributes in (getattr(holder, "__dict__", {}) for holder in holders):
        for value in attributes.values():
            kept.append(value)
            if isinstance(value, Tensor):
                kept.append(value._data)
            elif isinstance(value, (list, dict, set)):
                kept += value.values() if isinstance(value, dict) else value
    return kept + [array for state in optimizer.state.values() for array in state.values()]


def _modules(model: Module, loss: Loss) -> Iterator[Module]:
    """The model, and the loss if it is a module too."""
    yield model
    if isinstance(loss, Module):
        yield loss


def _add_attributes(found: Facts, where: str, attributes: dict[str, Any]) -> None:
    for key, value in attributes.items():
        if type(value) in COMPARED:
            found[where, key] = value
        elif key not in OWN:
            found[where, key] = _fact(value)


def _fact(value: Any) -> Any:
    if isinstance(value, Tensor):
        hooked = value._extras is not None and bool(value._extras.hooks)
        return id(value), id(value._data), value._requires_grad, hooked
    if isinstance(value, (tuple, list, set)):  # the members that they have now
        return tuple(map(_fact, value))
    if isinstance(value, dict):
        return tuple((key, _fact(member)) for key, member in value.items())
    return value if isinstance(value, (*COMPARED, np.generic)) else id(value)


def refuse_changes(recorded: Facts, now: Facts) -> None:
    """Raise if something that a replay relies on has changed.

    Raises:
        GraphError: something has.
    """
    if recorded == now:
        return
    where, what = next(key for key in [*now, *recorded] if recorded.get(key, MISSING) != now.get(key, MISSING))
    raise GraphError(
        f"GraphedStep: {what!r} of {where!r} is not what it was when the step was recorded, and a replay would not "
        f"notice; put it back, or make a new GraphedStep"
    )


class Forward:
    """What a forward does to the attributes of modules while it is recorded; made before."""

    def __init__(self, model: Module, loss: Loss) -> None:
        self._before = [
            (name or "the model", module, dict(vars(module)))
            for part in _modules(model, loss)
            for name, module in part.named_modules()
        ]
        self._counts = [
            (value, value._version.count if value._version is not None else 0)
            for _, module, attributes in self._before
            for key, value in attributes.items()
            if key in module._buffers
        ]

    def undo(self) -> None:
        """Give the modules the attributes that they had: what a recording has assigned nobody has computed."""
        for _, module, attributes in self._before:
            vars(module).clear()
            vars(module).update(attributes)

    def assigned(self) -> set[tuple[str, str]]:
        """(where, what) of the Tensors that it has assigned, say for somebody to look at: replays write to them.

        Raises:
            GraphError: it has assigned a buffer or something else, which a replay would not.
        """
        tensors: set[tuple[str, str]] = set()
        for where, module, before in self._before:
            for key, value in vars(module).items():
                if key in OWN or (key in before and _fact(before[key]) == _fact(value)):
                    continue
                if not isinstance(value, Variable) or key in module._buffers:
                    raise GraphError(
                        f"GraphedStep: forward assigns {key!r} of {where!r}, which a replay does not; write to the "
                        f"elements of a buffer instead: self.{key}[...] = value"
                    )
                tensors.add((where, key))
        return tensors

    def written(self) -> list[Variable]:
        """The buffers whose elements it writes to."""
        now = ((x, x._version.count if x._version is not None else 0) for x, _ in self._counts)
        return [x for (x, count), (_, before) in zip(now, self._counts, strict=True) if count != before]
