"""Scales: what single parameters' rates and weight decays are multiplied by."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, SupportsIndex

from minidl.checks import nonnegative
from minidl.settings import Setting


class Scale(NamedTuple):
    """What one parameter's rate and weight decay are multiplied by: Caffe's lr_mult and decay_mult."""

    lr: float = 1.0
    decay: float = 1.0


UNSCALED = Scale()


class Scales(dict[str, Scale]):
    """The scales by the names of the parameters; whatever is written is checked.

        optimizer.scales["fc1.bias"] = (2.0, 0.0)       # as optimizer.scale("fc1.bias", lr=2.0, decay=0.0)

    Args:
        names: the parameters there are.

    Raises:
        ValueError: (when written) a name that no parameter has, or no two finite numbers of at least 0.
    """

    def __init__(self, names: Iterable[str]) -> None:
        super().__init__()
        self.names = frozenset(names)

    def __setitem__(self, name: str, scale: Any) -> None:
        if name not in self.names:
            raise ValueError(f"scales: no parameter is called {name!r}; there are {', '.join(sorted(self.names))}")
        two = tuple(scale) if isinstance(scale, (tuple, list)) else ()
        if len(two) != 2:
            raise ValueError(f"scales[{name!r}]: expected two numbers, of the rate and of the decay; got {scale!r}")
        rate, decay = (
            nonnegative(value, f"scales[{name!r}]: {key}") for key, value in zip(Scale._fields, two, strict=True)
        )
        super().__setitem__(name, Scale(rate, decay))

    def update(self, *others: Any, **named: Any) -> None:
        """Write several of them, or on an error none."""
        new = Scales(self.names)
        for name, scale in dict(*others, **named).items():
            new[name] = scale
        super().update(new)

    def setdefault(self, name: str, scale: Any = UNSCALED) -> Scale:
        """The scale of a parameter, which is written if there is none."""
        if name not in self:
            self[name] = scale
        return self[name]

    def __ior__(self, others: Any) -> Scales:  # type: ignore[override, misc]
        self.update(others)
        return self

    def __reduce_ex__(self, protocol: SupportsIndex) -> tuple[Any, ...]:
        return _scales, (self.names, dict(self))


class ScalesSetting(Setting[Scales]):
    """The setting `scales` of an optimizer, which takes any dict of them."""

    def __init__(self) -> None:
        super().__init__(_mapping)

    def __set__(self, owner: Any, value: Any) -> None:
        scales = Scales(name for name, _ in owner._parameters())
        scales.update(self.check(value, f"{type(owner).__name__}: scales"))
        vars(owner)[self.name] = scales


def _mapping(value: Any, name: str) -> Any:
    if not isinstance(value, Mapping):
        raise TypeError(f"{name}: expected a dict of scales by the names of parameters; got {value!r}")
    return value


def _scales(names: frozenset[str], scales: Mapping[str, Scale]) -> Scales:
    made = Scales(names)
    made.update(scales)
    return made


def nonnegative_or_none(value: Any, name: str) -> float | None:
    """A finite number of at least 0 as a plain float, or None."""
    return None if value is None else nonnegative(value, name)
