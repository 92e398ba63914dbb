"""Turns what went wrong inside an op into words: which op, which operands, what to do."""

from __future__ import annotations

import opcode
import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np

from minidl import backend
from minidl.autograd.odd_operands import odd_among, remark
from minidl.autograd.own_op import explain_missing, refuse_backward, refuse_forward
from minidl.autograd.variable import Variable
from minidl.errors import AxisError, DeviceError, DTypeError, GraphError, ShapeError, describe

_HERE = str(Path(__file__).parent.parent) + os.sep
_FEW = 6  # inputs that an error lists
HOW_TO_SEE_LINES = "To see the line of your program, run it inside `with md.detect_anomaly():`."


def users_lines(limit: int = 3) -> str:
    """The innermost lines of the running program that are not minidl's own."""
    import traceback  # only where something went wrong

    frames = [frame for frame in traceback.extract_stack() if not frame.filename.startswith(_HERE)]
    return "\n".join(f"  {frame.filename}:{frame.lineno} in {frame.name}: {frame.line}" for frame in frames[-limit:])


def _name(op: Any) -> str:
    return str(op.plain.__name__)


def explain_forward(op: Any, inputs: Sequence[Any], arrays: Sequence[Any], error: Exception) -> None:
    """Where `op.forward` failed: raise an error of the same family that names the op and its operands, if one is known.

    The new error is raised here without being kept in a variable: a variable would refer to the error, and the error by
    its traceback to the variable, so that the arrays of the failed step stayed in memory until Python looks for such
    circles.
    """
    refuse_forward(op, inputs, error)
    operands = "; ".join(describe(x) for x in inputs)
    homes = backend.devices_of(a for a in arrays if backend.is_array(a))
    if len(homes) > 1:
        where = "" if homes <= {"numpy", "cupy"} else f" (they live on {', '.join(sorted(homes))})"
        raise DeviceError(
            f"{_name(op)} needs its operands on one device; got {operands}{where}. Move one with .to('numpy') or "
            f".to('cupy')"
        ) from error
    if "read-only" in str(error) and not type(op).__module__.startswith("minidl."):
        raise GraphError(
            f"{_name(op)}.forward wrote into its arguments, which other ops use too: work on a copy, x = x.copy()"
        ) from error
    odd = odd_among(inputs)
    if odd and isinstance(error, (TypeError, AttributeError, ValueError)):
        raise DTypeError(f"{_name(op)} expected Tensors, arrays or numbers; got {operands}{remark(odd[0])}") from error
    if isinstance(error, (ShapeError, DTypeError, DeviceError)):
        raise type(error)(f"{_name(op)}: {error}") from error
    message = f"{_name(op)} failed on {operands}: {error}"
    if isinstance(error, np.exceptions.AxisError):
        raise AxisError(message) from error
    if isinstance(error, IndexError):
        raise IndexError(message) from error
    if isinstance(error, ValueError):
        raise ShapeError(message) from error
    if isinstance(error, TypeError):
        raise DTypeError(message) from error
    if isinstance(error, MemoryError):
        backend.explain_memory(error)
        error.add_note(f"in {_name(op)}, of {operands}")
    if op.foreign:
        explain_missing(op, "forward", error)


def made_at(op: Any) -> str:
    """The lines that called the op, if anomaly mode remembers them."""
    where = op._extras.where if op._extras is not None else None
    return f"It was called at\n{where}" if where else HOW_TO_SEE_LINES


def explain_backward(op: Any, grad_out: Any, error: Exception) -> None:
    """Add to an error from `op.backward` which op it was, with its shapes, and where it was called."""
    raised_in = error.__traceback__.tb_next if error.__traceback__ is not None else None
    if raised_in is not None and raised_in.tb_frame.f_code.co_name != "backward":
        return  # by the walk itself, or by a hook
    refuse_backward(op, error)
    if op.foreign:
        explain_missing(op, "backward", error)
    backend.explain_memory(error)
    if "read-only" in str(error) and not type(op).__module__.startswith("minidl."):
        error.add_note(f"{_name(op)}.backward wrote into its arguments, which others use too: work on a copy, g.copy()")
    known = [_describe_saved(x) for x in op.inputs or () if getattr(x, "_data", None) is not None]
    if len(known) > _FEW:
        known[_FEW:] = [f"and {len(known) - _FEW} more"]
    error.add_note(
        f"in the backward of {_name(op)}, for an output gradient of shape {tuple(grad_out.shape)}"
        + (f" and inputs {'; '.join(known)}" if known else "")
        + f". {made_at(op)}"
    )


def overwritten(op: Any, counts: dict[int, int]) -> GraphError:
    """The error for a saved array that was written between the forward and this backward.

    `counts` are the writes to what it saved by now, as `Function.saved_writes` gives them.
    """
    written = [x for i, x in enumerate(op.saved()) if counts.get(i) != op._saved_writes.get(i)]
    names = dict.fromkeys("its output" if x is op else _describe_saved(x) for x in written)
    return GraphError(
        f"{_name(op)} saved values for its backward that were overwritten since: {', '.join(names)}. Write in place "
        f"only after backward(), or write to a copy: t = t.copy() before, or t = t + 1 instead of t += 1. "
        f"{made_at(op)}"
    )


def _describe_saved(x: Any) -> str:
    """A leaf as it is; a node, which does not hold its Tensor, by the Tensor's name and its op."""
    if isinstance(x, Variable) or backend.is_array(x):
        return describe(x)
    name = x._extras.name if x._extras is not None else None
    return f"the output {f'{name!r} ' if name else ''}of {_name(x)}, of shape {tuple(x._data.shape)}"


def wrong_result(op: Any, given: Any) -> DTypeError:
    """The error for what a custom op's forward returned and is no array of numbers."""
    if isinstance(given, Variable) and not op.foreign:
        return DTypeError(
            f"{_name(op)} takes its options for constants; got one that requires a gradient, which would be lost: hand "
            f"it over as a number, t.item()"
        )
    hint = ""
    if given is None:
        hint = ": is its `return` missing?"
    elif isinstance(given, (list, tuple)):
        hint = ": an op has one output; np.stack makes one array of several, np.array one of numbers"
    elif isinstance(given, Variable):
        hint = ": it is handed raw arrays and computes with raw arrays, functions of minidl.functional give them too"
    elif isinstance(given, complex) or getattr(given, "dtype", np.dtype(bool)).kind == "c":
        hint = ": write one op for the real part, x.real, and one for the imaginary part"
    if backend.is_array(given):
        return DTypeError(f"{_name(op)}.forward must return real numbers; got {describe(given)}{hint}")
    return DTypeError(f"{_name(op)}.forward must return one array; got {type(given).__name__}{hint}")


def taken_name(cls: type[Any], names: set[str]) -> AttributeError:
    """The error for a custom op that has attributes named as the engine's own."""
    return AttributeError(
        f"{cls.__name__}: the engine keeps something of its own under the name {' and '.join(sorted(names))}; call the "
        f"attribute of your op something else"
    )


def not_of_an_instance(cls: type[Any], names: set[str]) -> AttributeError:
    """The error for a custom op of which an instance says what its class has to say."""
    name = sorted(names)[0]
    return AttributeError(
        f"{cls.__name__}: {name} is read from the class; write `{name} = ...` there, beside forward, not in a method"
    )


def wrong_number_of_gradients(op: Any, given: tuple[Any, ...]) -> GraphError:
    """The error for a backward that returns more or fewer gradients than the op has inputs."""
    came = f"got {len(given)}"
    if len(given) == 1 and given[0] is None:
        came = "got None: is its `return` missing?"
    elif len(given) < len(op.inputs):
        came += "; None stands for an input without one, such as a number"
    if len(given) == 1 and isinstance(given[0], list):
        came = f"got a list: return a tuple, {', '.join(f'grad_{i}' for i in range(len(op.inputs)))}"
    return GraphError(f"{_name(op)}.backward must return one gradient per input: expected {len(op.inputs)}, {came}")


def no_gradient(op: Any) -> GraphError:
    """The error for a custom op of one input whose backward returns None."""
    return GraphError(
        f"{_name(op)}.backward returned None: is its `return` missing? An op without a gradient says `differentiable = "
        f"False` in the class"
    )


def wrong_gradient(op: Any, i: int, given: Any, shape: tuple[int, ...]) -> GraphError:
    """The error for what a custom op's backward returned and is no gradient of its input i, which has `shape`."""
    hint = ""
    if isinstance(given, list):
        hint = ": return an array, or for several inputs a tuple of arrays"
    elif isinstance(given, complex) or getattr(given, "dtype", np.dtype(bool)).kind == "c":
        hint = ": the gradient of a real input is real, for example the .real of what was computed"
    elif isinstance(given, (int, float)) and not isinstance(given, (bool, np.generic)):
        hint = f": where the slope is a number, return grad_out * {given}"
    elif getattr(given, "shape", None) not in (None, shape):
        hint = ". Where an input was broadcast, sum its gradient over the axes along which it was repeated"
    return GraphError(
        f"{_name(op)}.backward must return a gradient of shape {shape} for input {i}, as the input has, of real "
        f"numbers; got {describe(given)}{hint}. {made_at(op)}"
    )


def warn_of_no_grad(x: Any) -> None:
    """Warn whoever reads the `.grad` of a result of an op, where backward() leaves none, unless it was asked to."""
    op = x._op
    extras = None if op is None else op._extras
    if op is None or (extras is not None and extras.retained is not None and extras.retained() is x):
        return
    warnings.warn(
        f"{describe(x)} is the result of an op, {op.plain.__name__}, and has no .grad: backward() leaves gradients at "
        f"leaves, the tensors that no op made. If it shall be a weight, update that in place: `with md.no_grad(): "
        f"w -= rate * w.grad`; w = w - rate * w.grad makes a result of it. To see the gradient of a result call its "
        f"retain_grad() before backward()",
        stacklevel=3,
    )


def refuse_unpacking(x: Variable, frame: FrameType) -> None:
    """Refuse that the line which runs in `frame` unpacks x into two where PyTorch's `max` would return two results.

    That can be seen where x has not two parts, or was recorded as a maximum.

    Raises:
        ValueError: it does.
    """
    code, place = frame.f_code.co_code, frame.f_lasti
    if code[place] != opcode.opmap["UNPACK_SEQUENCE"] or code[place + 1] != 2:
        return
    if x._data.shape[:1] != (2,) or (x._op is not None and _name(x._op) in ("Max", "Min")):
        raise ValueError(
            f"{describe(x)} is not two results to unpack: max, min and sort return the values alone, as NumPy's. For "
            f"the places write x.argmax(axis=1)"
        )
