"""Which parameters an optimizer updates, grouped by the layer that owns them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeAlias

from minidl.errors import DTypeError, GraphError, describe, warn
from minidl.nn import Module, Parameter
from minidl.tensors.tensor import Tensor

ModelOrParameters: TypeAlias = Module | Iterable[Tensor]  # what an optimizer is made for


@dataclass(frozen=True)
class LayerGroup:
    """One layer's parameters, which share a layer rate.

    Attributes:
        name: the layer's dotted name in the model ("fc1"), as in recordings and figures.
        parameters: (name, parameter) pairs, for example ("fc1.weight", ...) and ("fc1.bias", ...).
    """

    name: str
    parameters: list[tuple[str, Tensor]]


def collect_layers(source: ModelOrParameters) -> list[LayerGroup]:
    """Group the parameters of a model, or a list (any iterable) of parameters, by the layer that owns them.

    A model gives the names. In a list, a parameter goes by its own `name`, and its layer by that name's front part (or
    its class); a Tensor that no layer owns is a layer by itself. Names serve as keys of the saved state, so a name
    that comes twice (two models in one list) gets a number: "fc1.weight", "fc1.weight#2".

    Raises:
        DTypeError: `source` is a single Tensor or no iterable, or something in it is no Tensor.
        GraphError: one of the Tensors is the result of an op, so that updating it would change no weight.
        ValueError: there is no parameter, or one comes twice.
    """
    if isinstance(source, Module):
        groups = [LayerGroup(name, list(own)) for name, _, own in source.layer_parameters()]
        forgotten = [name for name, tensor in _plain_tensors(source) if tensor.requires_grad]
        if groups and forgotten:
            warn(
                f"{forgotten[0]} requires a gradient but is no Parameter, so that no optimizer updates it: wrap it, "
                f"nn.Parameter(...)"
            )
    else:
        groups = _grouped(source)
    parameters = [entry for group in groups for entry in group.parameters]
    if not parameters:
        plain = _plain_tensors(source) if isinstance(source, Module) else []
        raise ValueError(
            "expected at least one parameter; got none. A model without parameters has nothing to train, and a "
            "generator that was used before is empty: make it again"
            + (f". {plain[0][0]} is a Tensor and no Parameter: wrap it, nn.Parameter(...)" if plain else "")
        )
    return groups


def _plain_tensors(model: Module) -> list[tuple[str, Tensor]]:
    """(name, tensor) of each leaf that is an attribute in the model, and neither a Parameter nor a buffer."""
    return [
        (f"{type(module).__name__}.{key}", value)
        for module in model.modules()
        for key, value in module.__dict__.items()
        if isinstance(value, Tensor) and not isinstance(value, Parameter) and key not in module._buffers
        if value.is_leaf
    ]


def _remark(source: Any) -> str:
    """What was meant, if `source` is often given for a model or its parameters."""
    if isinstance(source, type):
        return f": make a model of the class, {source.__name__}(...)"
    if isinstance(source, (int, float)):
        return ": the model comes first, and then the rate"
    if hasattr(source, "forward"):
        return f": a model is a Module: class {type(source).__name__}(nn.Module)"
    return ": call it" if callable(source) else ""


def _grouped(source: Any) -> list[LayerGroup]:
    """The entries of a plain list of parameters by owner, in the order of the list."""
    if isinstance(source, Tensor):
        raise DTypeError(
            f"expected a model or a list of parameters; got one {describe(source)}: put it in a list, [parameter]"
        )
    if not isinstance(source, Iterable):
        raise DTypeError(f"expected a model or a list of parameters; got {type(source).__name__}{_remark(source)}")
    entries = list(source)
    _check(entries)
    groups: dict[int, LayerGroup] = {}
    names: set[str] = set()
    layer_names: set[str] = set()
    for i, p in enumerate(entries):
        owner = getattr(p, "owner", None)
        name = p.name or f"parameter{i}"
        key = id(p) if owner is None else id(owner)
        if key not in groups:
            layer = name if owner is None else name.rpartition(".")[0] or type(owner).__name__
            groups[key] = LayerGroup(_unused(layer, layer_names), [])
        groups[key].parameters.append((_unused(name, names), p))
    return list(groups.values())


def _check(entries: list[Any]) -> None:
    """Refuse what is no parameter, and what is there twice."""
    seen: dict[int, int] = {}
    for i, p in enumerate(entries):
        if not isinstance(p, Tensor):
            remark = ""
            if isinstance(p, Module):
                remark = ": give one optimizer [*one.parameters(), *other.parameters()]"
            elif isinstance(p, dict):
                remark = ". Rates of their own are given by optimizer.scale('*.bias', lr=2.0)"
            raise DTypeError(f"expected parameters, which are Tensors; entry {i} is {describe(p)}{remark}")
        if not p.is_leaf:
            raise GraphError(
                f"expected parameters; {describe(p)} (entry {i}) is the result of an op. Give the optimizer the "
                f"tensors it was computed from, or detach() it first and require its gradient"
            )
        if id(p) in seen:
            raise ValueError(f"expected each parameter once; entry {i}, {describe(p)}, is entry {seen[id(p)]} again")
        seen[id(p)] = i


def _unused(name: str, used: set[str]) -> str:
    """`name`, numbered if it is used already; noted as used."""
    candidate, count = name, 1
    while candidate in used:
        count += 1
        candidate = f"{name}#{count}"
    used.add(candidate)
    return candidate
