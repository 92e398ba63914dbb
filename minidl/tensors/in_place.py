"""Writing in place: `t += u`, `t[i] = u`.

Without history a write goes into the tensor's memory and is counted, so that a backward that needed the old values
notices. With history nothing is overwritten: the tensor takes over another array and the node that made it, and what
the graph saved of the old values stays right.
"""

from __future__ import annotations

import weakref
from typing import Any

import numpy as np

from minidl import backend
from minidl import functional as F
from minidl.autograd.modes import is_grad_enabled
from minidl.autograd.variable import Variable, extras_of, writes_of
from minidl.autograd.writes import WriteCount
from minidl.errors import DTypeError, GraphError, ShapeError, describe

STALE = (
    "it shares memory with a tensor that was written in place afterwards, with history, and does not show that write. "
    "Take the view (or detach) again after writing, and write through t[...] = ..., not a view"
)


def write_item(x: Variable, index: Any, value: Any) -> None:
    """x[index] = value; recorded, if x or the value requires a gradient.

    Raises:
        GraphError: x is a leaf that requires a gradient.
        IndexError, ShapeError: the index does not fit x, or the value does not broadcast to the place.
    """
    writes = x._writes
    if writes is not None and _stores_back(x, index, value, writes):
        writes.stale = None
    if is_grad_enabled() and (x._requires_grad or (isinstance(value, Variable) and value._requires_grad)):
        become(x, F.setitem(x, index, value))
    else:
        writes_of(x).announce()
        F.write_item(x, index, value)
        writes_of(x).bump()


def _stores_back(x: Variable, index: Any, value: Any, writes: WriteCount) -> bool:
    """Whether this is the end of `x[index] += u`: Python has changed the view x[index], and now stores it back.

    Stored in another place, the view would leave its own unwritten.
    """
    if writes.writer is None or writes.writer() is not value:
        return False
    return backend.same_place(F.getitem(x._data, index), writes.written)


def become(x: Any, result: Any) -> Any:
    """Finish an operation in place: let x have the values, and the history if there is one, of `result`.

    Other tensors that share x's old memory do not show a write with history; using them is an error from then on.

    Raises:
        ShapeError, DTypeError: x cannot hold the result.
        GraphError: x is a leaf that requires a gradient, and this is recorded.
    """
    if result.shape != x.shape:
        raise ShapeError(f"in place, {describe(x)} cannot become shape {result.shape}; write t = t + u instead")
    if result.dtype != x.dtype:
        if not np.can_cast(result.dtype, x.dtype, "same_kind"):
            raise DTypeError(f"in place, {describe(x)} cannot become {result.dtype}; write t = t + u instead")
        result = F.astype(result, x.dtype)
    writes_of(x).announce()
    if not result._requires_grad:
        x._data[...] = result._data
        writes_of(x).bump()
        return x
    if x._op is None and x._requires_grad:
        raise GraphError(
            f"{describe(x)} is a leaf that requires a gradient: writing in place would lose it. Update weights "
            f"inside `with md.no_grad():`, or make a new tensor: t = t + u"
        )
    old_op, before, after = x._op, x._writes, WriteCount()
    if before is not None:
        before.stale = STALE
        before.writer = weakref.ref(x)
        before.written = x._data
    after.count = 0 if before is None else before.count
    after.bump()
    after.saved = True
    x._data, x._op, x._requires_grad, x._writes = result._data, result._op, True, after
    x._op._writes = after
    if x._extras is not None:
        extras_of(x._op).name = x._extras.name
    if old_op is not None and old_op._extras is not None and old_op._extras.retained is not None:
        extras_of(x._op).retained = old_op._extras.retained  # x wants the gradient of what it is now
        old_op._extras.retained = None
    return x
