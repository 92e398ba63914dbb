"""The call of an op, and its recording, faster: what is asked of every op is written out, and as seldom as possible.

The plain lines are in `autograd/function.py`. A call of a Python function takes as long as ten of its operations, so
that a step of a small network would spend most of its time there.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from sys import getrefcount
from typing import Any

import numpy as np

from minidl.autograd.diagnosis import explain_forward
from minidl.autograd.function import Function, as_result, check_recordable, creation_order, share_writes
from minidl.autograd.modes import RECORD
from minidl.autograd.operands import READY, converted
from minidl.autograd.own_op import refuse_unknown
from minidl.autograd.variable import Variable
from minidl.autograd.writes import Stretch, WriteCount, activity
from minidl.backend import SILENT, reset_errors, set_errors
from minidl.fast.versions import Faster

# What an op's class says of itself, in one number.
SAVES_INPUTS, SAVES_OUTPUT, DIFFERENTIABLE, FOREIGN = 1, 2, 4, 8
SAVES = SAVES_INPUTS | SAVES_OUTPUT

_NEVER: dict[int, int] = {}  # no counts: nothing was written
_NONE: list[WriteCount] = []  # nothing is guarded
_EVERY = -1  # every bit: all inputs
SINGLE = np.dtype(np.float32)  # the dtype of most results, known by its identity
new = object.__new__

# References to a new op while it is called: the expression `Mul()`, two frames, the argument of `getrefcount`. An op
# that is a node already has another one, from its result or from a later node. (A node whose result is gone, and which
# no other node refers to, cannot be walked any more: it may be used again.) Only an op with more references is asked
# whether it is a node: to find that an attribute is missing takes Python as long as a fifth of the whole call. From
# Python 3.14 on references are counted otherwise, and every op is asked.
_HELD_BY_ITS_CALL = 4 if sys.version_info < (3, 14) else 0


class _Read(dict[int, int]):
    """`Function.reads` of a class, in bits: inputs whose gradient is wanted -> inputs that are read for it."""

    def __init__(self, reads: tuple[tuple[int, ...], ...]) -> None:
        for needed in range(1, 1 << len(reads)):
            wanted = [read for i, read in enumerate(reads) if needed >> i & 1]
            self[needed] = sum(1 << i for i in set().union(*wanted))

    def __missing__(self, needed: int) -> int:
        return _EVERY


def traits_of(op: type[Function]) -> tuple[int, _Read, type[Function]]:
    """What an op's class says of itself, and what it reads: looked up once for an op, not six times.

    It is left with the class, and not in a table here, which would keep for ever the classes that are made on the way.
    The class itself stands last: one that has not been told of may have those of a class above it.

    Raises:
        TypeError: nobody was told of this class.
    """
    refuse_unknown(op)
    saves = SAVES_INPUTS * op.saves_inputs + SAVES_OUTPUT * op.saves_output
    op._traits = saves + DIFFERENTIABLE * op.differentiable + FOREIGN * op.foreign, _Read(op.reads or ()), op
    return op._traits


def _call(op: Function, inputs: tuple[Any, ...], mode: int) -> Any:
    """Call an op, and record it if a gradient may be asked for: any number of inputs."""
    arrays: list[Any] = []
    tensor: Any = None
    needed, bit, loose = 0, 1, False  # of `needed` bit i says whether input i wants a gradient
    for x in inputs:
        if isinstance(x, Variable):
            tensor, writes = x, x._writes
            if x._requires_grad:
                needed += bit
            arrays.append(x._data if writes is None or writes.stale is None else x.shown(type(op).__name__))
        else:
            loose = loose or type(x) not in READY or (type(x) is np.ndarray and not x.dtype.isnative)
            arrays.append(x)
        bit += bit
    traits, reads, known = type(op)._traits or traits_of(type(op))
    if known is not type(op):
        traits, reads, known = traits_of(type(op))
    if loose or traits >= FOREIGN or (tensor is None and type(arrays[0]) is not np.ndarray):
        arrays = converted(op, inputs, arrays)
    if op.versions:  # as `chosen`, written out
        kind = type(arrays[0])
        for version in op.versions:
            if kind is version.takes or (version.takes is None and version.fits(op, *arrays)):
                op.__class__ = version
                break
        else:
            op.__class__ = op.plain  # it may have been another version in an earlier call

    loud = set_errors(SILENT)
    try:
        data = op.forward(*arrays)
    except Exception as error:
        explain_forward(op, inputs, arrays, error)
        raise
    finally:
        reset_errors(loud)

    if type(data) is not np.ndarray or traits >= FOREIGN:
        data = as_result(data, op)
    if tensor is None:
        return data
    result = new(tensor.result_class)
    result._data = data
    result._grad = result._writes = result._extras = None
    is_input = data is arrays[0] or data is arrays[-1] or (len(arrays) > 2 and id(data) in map(id, arrays))
    if needed and traits & DIFFERENTIABLE and mode & RECORD:
        if getrefcount(op) > _HELD_BY_ITS_CALL or data.dtype.kind != "f" or traits >= FOREIGN:
            check_recordable(op, data)
        if traits >= FOREIGN:
            op._shapes = [np.shape(array) for array in arrays]
        saves, counts, guarded = traits & SAVES_INPUTS, _NEVER, _NONE
        read = reads[needed] if saves else 0
        entries, i = arrays, 0  # one list: each array is replaced by what the node keeps of its input
        for x in inputs:
            if not isinstance(x, Variable):
                if not saves:
                    entries[i] = None
            elif saves:
                made_by = x._op
                if made_by is not None:
                    made_by._data = entries[i]
                entries[i] = x if made_by is None else made_by
                if read >> i & 1:
                    writes = x._writes
                    if writes is None:
                        if made_by is None:
                            writes = x._writes = WriteCount()
                            writes.saved = True
                    else:
                        if writes.count or writes._guards is not None:
                            counts, guarded = _noted(i, writes, counts, guarded)
                        writes.saved = True
            elif x._op is not None:
                entries[i] = x._op
            else:
                entries[i] = x if x._requires_grad else None
            i += 1  # noqa: SIM113 - enumerate takes longer
        op.inputs = tuple(entries)
        op.needed = needed
        op.order = next(creation_order)
        op._data = data if traits & SAVES_OUTPUT else None
        op._dtype = data.dtype
        op._saved_writes = counts
        op._writes = op._extras = None
        if traits & SAVES:
            latest = Stretch.latest()
            op._stretch = latest if latest is not None and latest.seen == activity.count else Stretch.begin()
            for writes in guarded:
                writes.guard_for(op._stretch)
        result._op = op
        result._requires_grad = True
    else:
        result._op = None
        result._requires_grad = False
    if is_input or data.base is not None:  # it may share memory with an input
        share_writes(result, inputs)
    return result


def _call_of_two(op: Function, inputs: tuple[Any, Any], mode: int) -> Any:
    """The same for two inputs, as most operators have: without the loops."""
    x, y = inputs
    tensor: Any = None
    needed, loose = 0, False
    if isinstance(x, Variable):
        tensor, writes = x, x._writes
        if x._requires_grad:
            needed = 1
        x_array = x._data if writes is None or writes.stale is None else x.shown(type(op).__name__)
    else:
        loose = type(x) not in READY or (type(x) is np.ndarray and not x.dtype.isnative)
        x_array = x
    if isinstance(y, Variable):
        tensor, writes = y, y._writes
        if y._requires_grad:
            needed += 2
        y_array = y._data if writes is None or writes.stale is None else y.shown(type(op).__name__)
    else:
        loose = loose or type(y) not in READY or (type(y) is np.ndarray and not y.dtype.isnative)
        y_array = y
    traits, reads, known = type(op)._traits or traits_of(type(op))
    if known is not type(op):
        traits, reads, known = traits_of(type(op))
    if loose or traits >= FOREIGN or (tensor is None and type(x_array) is not np.ndarray):
        x_array, y_array = converted(op, inputs, [x_array, y_array])
    if op.versions:
        kind = type(x_array)
        for version in op.versions:
            if kind is version.takes or (version.takes is None and version.fits(op, x_array, y_array)):
                op.__class__ = version
                break
        else:
            op.__class__ = op.plain

    loud = set_errors(SILENT)
    try:
        data = op.forward(x_array, y_array)
    except Exception as error:
        explain_forward(op, inputs, [x_array, y_array], error)
        raise
    finally:
        reset_errors(loud)

    if type(data) is not np.ndarray or traits >= FOREIGN:
        data = as_result(data, op)
    if tensor is None:
        return data
    result = new(tensor.result_class)
    result._data = data
    result._grad = result._writes = result._extras = None
    if needed and traits & DIFFERENTIABLE and mode & RECORD:
        dtype = data.dtype
        if getrefcount(op) > _HELD_BY_ITS_CALL or (dtype is not SINGLE and dtype.kind != "f") or traits >= FOREIGN:
            check_recordable(op, data)
        if traits >= FOREIGN:
            op._shapes = [np.shape(x_array), np.shape(y_array)]
        made_by_x = x._op if isinstance(x, Variable) else None
        made_by_y = y._op if isinstance(y, Variable) else None
        counts, guarded = _NEVER, _NONE
        if traits & SAVES_INPUTS:
            if made_by_x is not None:
                made_by_x._data = x_array
            if made_by_y is not None:
                made_by_y._data = y_array
            read = reads[needed]
            if read & 1 and isinstance(x, Variable):
                writes = x._writes
                if writes is None:
                    if made_by_x is None:
                        writes = x._writes = WriteCount()
                        writes.saved = True
                else:
                    if writes._guards is not None:
                        counts, guarded = _noted(0, writes, counts, guarded)
                    elif writes.count:
                        counts = {**counts, 0: writes.count}
                    writes.saved = True
            if read & 2 and isinstance(y, Variable):
                writes = y._writes
                if writes is None:
                    if made_by_y is None:
                        writes = y._writes = WriteCount()
                        writes.saved = True
                else:
                    if writes._guards is not None:
                        counts, guarded = _noted(1, writes, counts, guarded)
                    elif writes.count:
                        counts = {**counts, 1: writes.count}
                    writes.saved = True
            of_x = made_by_x if made_by_x is not None else x if isinstance(x, Variable) else x_array
            of_y = made_by_y if made_by_y is not None else y if isinstance(y, Variable) else y_array
        else:
            of_x = made_by_x if made_by_x is not None else x if needed & 1 else None
            of_y = made_by_y if made_by_y is not None else y if needed & 2 else None
        op.inputs = of_x, of_y
        op.needed = needed
        op.order = next(creation_order)
        op._dtype = dtype
        op._data = data if traits & SAVES_OUTPUT else None
        op._saved_writes = counts
        op._writes = op._extras = None
        if traits & SAVES:
            latest = Stretch.latest()
            op._stretch = latest if latest is not None and latest.seen == activity.count else Stretch.begin()
            for writes in guarded:
                writes.guard_for(op._stretch)
        result._op = op
        result._requires_grad = True
    else:
        result._op = None
        result._requires_grad = False
    if data is x_array or data is y_array or data.base is not None:
        share_writes(result, inputs)
    return result


def _noted(
    i: int, writes: WriteCount, counts: dict[int, int], guarded: list[WriteCount]
) -> tuple[dict[int, int], list[WriteCount]]:
    """`counts` and `guarded` with those of input i, whose memory is watched.

    Before the node says that it saves the memory: a write that is found now makes the count forget who has.
    """
    count = writes.settled()
    return {**counts, i: count} if count else counts, [*guarded, writes]


class _Calls(dict[int, Callable[[Function, tuple[Any, ...], int], Any]]):
    """By the number of its inputs, what calls an op."""

    def __missing__(self, inputs: int) -> Callable[[Function, tuple[Any, ...], int], Any]:
        self[inputs] = _call
        return _call


class FastCall(Faster, Function):
    """`Function.__call__` and `Function._record` as one function, once for two inputs and once for any number."""

    __slots__ = ()
    where = "everywhere"
    call = _Calls({2: _call_of_two})

    def fits(self, *arrays: Any) -> bool:
        return True
