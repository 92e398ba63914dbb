"""Which parameters an optimizer updates, grouped by the layer that owns them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeAlias

from minidl.errors import DTypeError, GraphError, describe
from minidl.nn import Module
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
    else:
        groups = _grouped(source)
    parameters = [entry for group in groups for entry in group.parameters]
    if not parameters:
        raise ValueError(
            "expected at least one parameter; got none. A model without parameters has nothing to train, and a "
            "generator that was used before is empty: make it again"
        )
    return groups


def _grouped(source: Any) -> list[LayerGroup]:
    """The entries of a plain list of parameters by owner, in the order of the list."""
    if isinstance(source, Tensor):
        raise DTypeError(
            f"expected a model or a list of parameters; got one {describe(source)}: put it in a list, [parameter]"
        )
    if not isinstance(source, Iterable):
        raise DTypeError(f"expected a model or a list of parameters; got {type(source).__name__}")
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
            scaled = (
                ". Rates of their own are given by optimizer.scale('*.bias', lr=2.0)" if isinstance(p, dict) else ""
            )
            raise DTypeError(f"expected parameters, which are Tensors; entry {i} is {describe(p)}{scaled}")
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
