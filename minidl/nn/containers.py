"""Modules made of modules: Sequential, ModuleList, ModuleDict and Residual."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Self

from minidl.errors import ShapeError
from minidl.nn.module import Module
from minidl.types import TensorLike


class ModuleList(Module):
    """A list of modules, registered so that their parameters are found. It has no forward: call its modules yourself.

    Args:
        modules: the modules; they are named '0', '1', ...
    """

    def __init__(self, modules: Iterable[Module] = ()) -> None:
        super().__init__()
        for module in modules:
            self.append(module)

    def append(self, module: Module) -> Self:
        """Add a module at the end, named by its position; returns self."""
        self._add(str(len(self)), module)
        return self

    def _add(self, name: str, module: Any) -> None:
        kind = type(self).__name__
        _check_module(kind, name, module)
        if name in self.__dict__:
            raise ValueError(f"{kind}: the name {name!r} is taken; names must differ")
        setattr(self, name, module)

    def __len__(self) -> int:
        return len(self.children())

    def __iter__(self) -> Iterator[Module]:
        return iter(self.children())

    def __getitem__(self, index: int) -> Module:
        return self.children()[index]

    def __setitem__(self, index: int, module: Module) -> None:
        setattr(self, self.named_children()[index][0], module)


class Sequential(ModuleList):
    """Modules called one after the other, each with the output of the one before.

        nn.Sequential(nn.Linear(64, 30), nn.ReLU(), nn.Linear(30, 10))                         # named '0', '1', '2'
        nn.Sequential([("fc1", nn.Linear(64, 30)), ("act1", nn.ReLU()), ("fc2", nn.Linear(30, 10))])

    A named module is an attribute: `model.fc1`; all are reached by position too: `model[0]`, `model[-1]`.

    Args:
        modules: the modules; or one list of (name, module) pairs; or one dict, as an OrderedDict, of modules by name.

    Raises:
        TypeError: something among them is no Module, or the list has modules without names.
        ValueError: two modules have the same name.
    """

    def __init__(self, *modules: Any) -> None:
        super().__init__()
        if len(modules) == 1 and isinstance(modules[0], Mapping):
            pairs = list(modules[0].items())
        elif len(modules) == 1 and isinstance(modules[0], (list, tuple)):
            pairs = [pair if isinstance(pair, tuple) and len(pair) == 2 else ("", pair) for pair in modules[0]]
            if any(name == "" for name, _ in pairs):
                raise TypeError(
                    "Sequential: expected (name, module) pairs in the list; for modules without names write them as "
                    "arguments: Sequential(*modules)"
                )
        else:
            pairs = [(str(i), module) for i, module in enumerate(modules)]
        for name, module in pairs:
            self._add(name, module)

    def forward(self, x: TensorLike) -> TensorLike:
        for module in self.children():
            x = module(x)
        return x

    def __getitem__(self, index: int | slice) -> Any:
        """The module at a position; for a slice a Sequential that shares the modules and their names."""
        return Sequential(self.named_children()[index]) if isinstance(index, slice) else self.children()[index]


class ModuleDict(Module):
    """Modules by name, registered so that their parameters are found. It has no forward: call its modules yourself.

        heads = nn.ModuleDict({"digit": nn.Linear(64, 10), "parity": nn.Linear(64, 2)})
        heads["digit"](x)
        for name, head in heads.items(): ...

    They keep the order in which they were added, and are attributes too: `heads.digit`.

    Args:
        modules: a dict of modules by name, or (name, module) pairs.

    Raises:
        TypeError: something among them is no Module, or a name is no text.
        ValueError: a name is empty, has a dot, or is one of ModuleDict's own attributes, such as 'keys'.
    """

    def __init__(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]] = ()) -> None:
        super().__init__()
        self.update(modules)

    def __setitem__(self, name: str, module: Module) -> None:
        if not isinstance(name, str):
            raise TypeError(f"ModuleDict: expected a text as the name of a module; got {name!r}")
        _check_module("ModuleDict", name, module)
        if name not in self and (hasattr(type(self), name) or name in self.__dict__):
            raise ValueError(f"ModuleDict: the name {name!r} is taken: every ModuleDict has an attribute of that name")
        setattr(self, name, module)

    def __getitem__(self, name: str) -> Module:
        try:
            return dict(self.named_children())[name]
        except KeyError:
            raise KeyError(f"ModuleDict: no module {name!r}; it holds {', '.join(self) or 'nothing'}") from None

    def __delitem__(self, name: str) -> None:
        self[name]  # raises if there is none
        delattr(self, name)

    def __len__(self) -> int:
        return len(self.children())

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def __contains__(self, name: object) -> bool:
        return name in self.keys()

    def keys(self) -> list[str]:
        """The names."""
        return [name for name, _ in self.named_children()]

    def values(self) -> list[Module]:
        """The modules."""
        return self.children()

    def items(self) -> list[tuple[str, Module]]:
        """(name, module) of each."""
        return self.named_children()

    def update(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]]) -> None:
        """Add modules; one whose name is there already takes the other's place."""
        for name, module in modules.items() if isinstance(modules, (Mapping, ModuleDict)) else modules:
            self[name] = module

    def pop(self, name: str) -> Module:
        """Take a module out, and return it."""
        module = self[name]
        del self[name]
        return module

    def clear(self) -> None:
        """Take all modules out."""
        for name in self.keys():
            del self[name]


class Residual(Module):
    """y = body(x) + shortcut(x): the body learns only what is to be added to x (He et al. 2016, arXiv:1512.03385).

    Where the shortcut is x itself, dL/dx = dL/dy (1 + d body/dx): the gradient passes even if d body/dx vanishes.

    Args:
        body: the module whose output is added to the shortcut's.
        shortcut: None for x itself. Where the body changes the shape, a module that changes it in the same way, such as
            a 1x1 convolution with the body's stride.

    Raises:
        ShapeError: (in the forward) body and shortcut give different shapes.
    """

    def __init__(self, body: Module, shortcut: Module | None = None) -> None:
        super().__init__()
        _check_module("Residual", "body", body)
        if shortcut is not None:
            _check_module("Residual", "shortcut", shortcut)
        self.body = body
        self.shortcut = shortcut

    def forward(self, x: TensorLike) -> TensorLike:
        residual = self.body(x)
        shortcut = x if self.shortcut is None else self.shortcut(x)
        if residual.shape != shortcut.shape:
            raise ShapeError(
                f"Residual: the body gives {residual.shape}, the shortcut {shortcut.shape}: give it a shortcut that "
                f"changes the shape as the body does, such as nn.Conv2d(in_channels, out_channels, 1, stride)"
            )
        return residual + shortcut


def _check_module(kind: str, name: str, module: Any) -> None:
    """Raise if `module`, to be registered as `name`, is no Module; the message says what was probably meant."""
    if isinstance(module, type) and issubclass(module, Module):
        raise TypeError(f"{kind}: got the class {module.__name__} for {name!r}; make one: {module.__name__}(...)")
    if not isinstance(module, Module):
        hint = f"; for the function {module.__name__} use the module of that name" if callable(module) else ""
        raise TypeError(f"{kind}: expected a Module for {name!r}; got {type(module).__name__}{hint}")
