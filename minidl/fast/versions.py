"""Faster: what turns a subclass of an op into a faster version of it.

    class ReLU(Faster, activation.ReLU):  # the op it replaces comes last
        __slots__ = ()  # the op instance becomes one of these: it can have nothing more
        where = "on a GPU"

        def fits(self, x):  # `self` is still the plain op
            return kernels.on_device(x)

        def backward(self, grad_out, out):
            return kernels.fused("relu_gradient", grad_out, out)

`forward` must leave on `self` all that the op's own forward leaves there (shapes, axes, masks): under
`create_graph=True`, which hands Tensors to `backward`, the op's own lines run. What only the version's own `backward`
needs it puts in `self.kept`. A plain `backward` must call no method that a version overrides.
A test finds every version here and holds it equal to its op.
"""

from __future__ import annotations

import inspect
from functools import partialmethod
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from minidl.checks import yes_or_no
from minidl.tables import text_table

_PACKAGE = Path(__file__).parent.parent
_all: list[type[Any]] = []
_off: set[type[Any]] = set()  # those that `use` has turned off


class Faster:
    """A faster version of the first of its base classes that is none itself.

    Attributes:
        where: in words, for which operands it fits.
        takes: the class of the first operand, if that is all that decides. `fits` is made of it, and the call of an op
            does not ask it, which saves time.
    """

    __slots__ = ()
    where: ClassVar[str] = ""
    takes: ClassVar[type[Any] | None] = None
    foreign: ClassVar[bool]
    versions: ClassVar[tuple[type[Any], ...]]
    plain: ClassVar[type[Any]]

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "takes" in vars(cls):
            cls.fits = partialmethod(_first_is, cls.takes)  # type: ignore[attr-defined]
        elif "fits" in vars(cls):
            cls.takes = None  # what its parent takes is no longer all that decides
        plain: Any = next(base for base in cls.__mro__ if not issubclass(base, Faster))
        if plain is not object:
            cls.plain = plain
            cls.foreign = getattr(plain, "foreign", False)
            _all.append(cls)
            _register(plain)


def _first_is(owner: Any, kind: type[Any], first: Any, *others: Any, **named: Any) -> bool:
    """The `fits` of a version that says what it takes; `owner` is the plain op still."""
    return type(first) is kind


def _register(plain: Any) -> None:
    """Let a class know its versions that are on, in the order in which they were made.

    A version of a version, for fewer operands, comes before it.
    """
    own = [cls for cls in _all if cls.plain is plain]
    asked = sorted(own, key=lambda cls: -sum(issubclass(cls, other) for other in own))
    plain.versions = tuple([cls for cls in asked if cls not in _off])
    for cls in own:
        cls.versions = plain.versions  # an op may be called again, and fit another one


def use(name: str, on: bool = True) -> None:
    """Whether minidl may choose the faster versions of this name, in the whole program. It may at first.

    Args:
        name: of a version, as `md.fast.table()` shows it, or of a file without its folder and ending: "winograd" stands
            for all versions in `cpu/winograd.py`. What is off is left to the next version that fits, or to the op.
        on: whether they may be chosen.

    Raises:
        ValueError: there is no version of this name, or `on` is neither True nor False.
    """
    named = [cls for cls in _all if name in (cls.__qualname__, cls.__module__.rpartition(".")[2])]
    if not named:
        raise ValueError(f"md.fast.use: no version or file of versions is named {name!r}; md.fast.table() shows them")
    on = yes_or_no(on, "md.fast.use: on")
    for cls in named:
        (_off.discard if on else _off.add)(cls)
        _register(cls.plain)


class Row(NamedTuple):
    """One faster version: what it replaces, its name, for what it fits, and the file that has its lines."""

    op: str
    version: str
    where: str
    file: str


def table() -> Table:
    """Every faster version there is: the op it replaces, its name, where it fits, and the file to read."""
    rows = []
    for cls in _all:
        plain: Any = cls.plain
        path = Path(inspect.getfile(cls)).relative_to(_PACKAGE.parent).as_posix()
        rows.append(Row(plain.__qualname__, cls.__qualname__, cls.where, path))
    return Table(sorted(rows))


class Table(list[Row]):
    """Rows that show themselves as a table of four columns."""

    def __repr__(self) -> str:
        return text_table([Row("op", "version", "fits", "file"), *self], rule=False)
