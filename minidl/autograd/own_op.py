"""Your first op: what is said where it is declared, made or called otherwise than an op has to be."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minidl import backend
from minidl.errors import DTypeError, describe, meant_by, takes

_DECLARED = ("saves_inputs", "saves_output", "reads", "differentiable")
_OF_PYTORCH = ("save_for_backward", "saved_tensors", "needs_input_grad", "mark_non_differentiable")


def made(cls: type[Any], *options: Any, **named: Any) -> Any:
    """`__new__` of an op of yours that has no `__init__`: `Mul(x, y)` for `Mul()(x, y)` is refused.

    Raises:
        TypeError: the op is given something.
    """
    if (options or named) and cls.__init__ is object.__init__:
        arguments = ", ".join(takes(cls.forward)[1:]) if hasattr(cls, "forward") else "x"
        raise TypeError(
            f"{cls.__name__} takes no options; got {', '.join(type(x).__name__ for x in (*options, *named.values()))}: "
            f"an op is made first and then called with its inputs, {cls.__name__}()({arguments})"
        )
    return object.__new__(cls)


def refuse_unknown(cls: type[Any]) -> None:
    """Refuse an op's class of which nobody was told when it was declared.

    Raises:
        TypeError: a class above it has an `__init_subclass__` that does not call the next one.
    """
    if "plain" not in vars(cls):
        above = next((base for base in cls.__mro__[1:] if "__init_subclass__" in vars(base)), cls.plain)
        raise TypeError(f"{cls.__name__}: {above.__name__}.__init_subclass__ has to call super().__init_subclass__()")


def misspelt(cls: type[Any], name: str) -> str:
    """What to add about a class without `name` that has a name much like it: "; it has 'foward'"."""
    written = meant_by(name, (key for kind in cls.__mro__ if kind.__module__ == cls.__module__ for key in vars(kind)))
    return f"; it has {written!r}" if written else ""


def refuse_undefined(op: Any, name: str, arguments: str) -> None:
    """Raise an AttributeError unless the op has the method `name`."""
    if not hasattr(op, name):
        kind = op.plain if hasattr(op, "plain") else type(op)
        what = "what it computes" if name == "forward" else "its gradient"
        raise AttributeError(
            f"{kind.__name__} does not say {what}: define {name}(self, {arguments}) in the class{misspelt(kind, name)}"
        )


def refuse_forward(op: Any, inputs: Sequence[Any], error: Exception) -> None:
    """Where `op.forward` is not there or could not be called with the inputs: raise what it takes, and what came."""
    refuse_undefined(op, "forward", "x")
    if not isinstance(error, TypeError) or not _at_the_call(error):
        return
    names = takes(op.plain.forward)
    if names and "ctx" in names:
        raise DTypeError(
            f"{op.plain.__name__}.forward takes ({', '.join(names)}): write def forward(self, x). What backward "
            f"needs is not saved in a ctx: say `saves_inputs = True` in the class, and it is handed the inputs"
        ) from error
    if names[:1] != ("self",):
        raise DTypeError(
            f"{op.plain.__name__}.forward takes ({', '.join(names)}): the first parameter of a method is the op "
            f"itself, def forward(self, x)"
        ) from error
    came = "; ".join(map(describe, inputs))
    raise DTypeError(f"{op.plain.__name__}.forward takes ({', '.join(names[1:])}); got {came or 'nothing'}") from error


def refuse_backward(op: Any, error: Exception) -> None:
    """Where `op.backward` is not there or could not be called with what it is handed: raise what to write.

    Raises:
        AttributeError: there is no backward.
        TypeError: it takes more or fewer arrays than the class has declared.
    """
    refuse_undefined(op, "backward", "grad_out")
    if not isinstance(error, TypeError) or not _at_the_call(error):
        return
    kind, names = op.plain, takes(op.plain.backward)
    if names[:1] == ("self",):
        names = names[1:]
    handed = ["grad_out", *(takes(kind.forward)[1:] if kind.saves_inputs else ()), *["output"] * kind.saves_output]
    declared = "".join(misspelt(kind, name) for name in _DECLARED if name not in vars(kind))
    if len(names) > len(handed):
        hint = (
            "say in the class what it is handed after grad_out: `saves_inputs = True` for the inputs, "
            "`saves_output = True` for the output"
        )
    else:
        says = " and ".join(f"{name} = True" for name in _DECLARED[:2] if getattr(kind, name))
        hint = f"the class says {says}: take them, or leave that out" if says else "define backward(self, grad_out)"
    raise TypeError(
        f"{kind.__name__}.backward takes ({', '.join(names)}), but is handed ({', '.join(handed)}): {hint}{declared}"
    ) from error


def explain_missing(op: Any, method: str, error: Exception) -> None:
    """Add to an AttributeError in your op what its arguments are, if that is what it is about."""
    if not isinstance(error, AttributeError):
        return
    if error.name in _OF_PYTORCH and not backend.is_array(error.obj):
        error.add_note(
            f"{op.plain.__name__}: an op saves nothing by itself: say `saves_inputs = True` or `saves_output = True` "
            f"in the class, and backward is handed the inputs or the output"
        )
    elif backend.is_array(error.obj):
        error.add_note(
            f"in {op.plain.__name__}.{method}, whose arguments are raw arrays: what a Tensor has as a method is a "
            f"function of minidl.functional, F.{error.name}(x), which takes raw arrays too"
        )


def _at_the_call(error: Exception) -> bool:
    """Whether the error was raised by the call of a method, and not by its lines."""
    return error.__traceback__ is None or error.__traceback__.tb_next is None
