"""The blocks of a network that runs straight through: each layer with what follows it until the next layer."""

from __future__ import annotations

from dataclasses import dataclass

from minidl.errors import describe
from minidl.nn import Module, Sequential
from minidl.tensors.tensor import Tensor


@dataclass(frozen=True)
class Block:
    """A layer and the modules without parameters behind it: fc1 and its sigmoid. Its output is h of the layer."""

    name: str
    modules: tuple[Module, ...]

    def __call__(self, x: Tensor) -> Tensor:
        for module in self.modules:
            x = module(x)
        return x


def blocks_of(model: Module) -> list[Block]:
    """The blocks of a Sequential, input to output; what stands before the first layer belongs to its block.

    Raises:
        TypeError: it is no Sequential, so that it is not known in which order its modules are called.
        ValueError: it has no parameters.
    """
    if not isinstance(model, Sequential):
        raise TypeError(f"expected a Sequential, whose modules are called one after the other; got {describe(model)}")
    found: list[tuple[str, list[Module]]] = []
    first: list[Module] = []
    for name, module in model.named_children():
        if module.parameters():
            found.append((name, [*first, module]))
            first = []
        elif found:
            found[-1][1].append(module)
        else:
            first.append(module)
    if not found:
        raise ValueError(f"expected a model with layers that own parameters; {model!r} has none")
    return [Block(name, tuple(modules)) for name, modules in found]
