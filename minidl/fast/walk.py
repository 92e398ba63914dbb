"""The backward walk and its end, faster: the newest node is at hand, and what is asked at every node is written out.

The plain walk is in `autograd/backward.py`. Both give the same gradients, bit for bit.
"""

from __future__ import annotations

from heapq import heappop, heappush
from typing import Any

import numpy as np

from minidl import backend
from minidl.autograd.accumulation import accumulate, accumulation_lock
from minidl.autograd.backward import Walk, check_saved, complete, recalled
from minidl.autograd.diagnosis import explain_backward
from minidl.autograd.function import Function
from minidl.autograd.modes import OBSERVED, RECORD, mode
from minidl.autograd.passing import checked
from minidl.autograd.variable import Source
from minidl.autograd.way import Way
from minidl.autograd.writes import Stretch, activity
from minidl.fast.call import FOREIGN, SAVES, SAVES_INPUTS, SAVES_OUTPUT, new, traits_of
from minidl.fast.versions import Faster
from minidl.types import ArrayOrTensor

WHAT_IS_SAVED = SAVES | FOREIGN


class FastWalk(Faster, Walk):
    """`Walk.run` with the newest node at hand, and with what it calls written out."""

    where = "everywhere"

    @staticmethod
    def fits(walk: Any) -> bool:
        return True

    @staticmethod
    def run(
        grads: dict[Any, ArrayOrTensor], retain_graph: bool | None, create_graph: bool, way: Way | None = None
    ) -> dict[Any, ArrayOrTensor]:
        # Of the nodes that were met and not yet visited the newest is at hand, the others wait: in most graphs none do.
        newest: Any = None
        top = 0  # its order
        waiting: dict[int, Function] = {}  # by order of creation
        heap: list[int] = []  # their orders, negated: the newest comes first
        for source in grads:
            if isinstance(source, Function):
                waiting[source.order] = source
                heappush(heap, -source.order)
        if heap:
            top = -heappop(heap)
            newest = waiting.pop(top)
        before = mode.get()
        mode.set(before & ~RECORD | RECORD * create_graph)
        keep = create_graph if retain_graph is None else retain_graph
        unusual = 0 if before & OBSERVED else FOREIGN  # traits from which on somebody looks at what passes
        loud = backend.set_errors(backend.SILENT)
        try:
            while newest is not None:
                node = newest
                if heap:
                    top = -heappop(heap)
                    newest = waiting.pop(top)
                else:
                    newest, top = None, 0
                grad_out = grads.pop(node)
                traits, _, _ = type(node)._traits or traits_of(type(node))
                if node._extras is not None or traits >= unusual or grad_out.dtype is not node._dtype:
                    grad_out = complete(node, grad_out, way is None)
                if way is not None and not way.enters(node, grad_out):
                    continue
                inputs, needed = node.inputs, node.needed
                if inputs is None or (traits & SAVES and node._stretch.seen != activity.count):
                    check_saved(node)
                saved: Any = ()
                try:
                    if create_graph:
                        if traits & SAVES:
                            saved = recalled(node, create_graph)
                        found = node.plain.backward(node, grad_out, *saved)
                    elif traits & WHAT_IS_SAVED == SAVES_INPUTS:
                        if len(inputs) == 2:  # most have two or three: without a loop and a star
                            x, y = inputs
                            x = x._data if isinstance(x, Source) else x
                            y = y._data if isinstance(y, Source) else y
                            saved = x, y
                            found = node.backward(grad_out, x, y)
                        elif len(inputs) == 3:
                            x, y, z = inputs
                            x = x._data if isinstance(x, Source) else x
                            y = y._data if isinstance(y, Source) else y
                            z = z._data if isinstance(z, Source) else z
                            saved = x, y, z
                            found = node.backward(grad_out, x, y, z)
                        else:
                            saved = [x._data if isinstance(x, Source) else x for x in inputs]
                            found = node.backward(grad_out, *saved)
                    elif traits & WHAT_IS_SAVED == SAVES_OUTPUT:
                        saved = (node._data,)
                        found = node.backward(grad_out, node._data)
                    elif traits & SAVES:
                        saved = recalled(node, create_graph)
                        found = node.backward(grad_out, *saved)
                    else:
                        found = node.backward(grad_out)
                except Exception as error:
                    explain_backward(node, grad_out, error)
                    raise
                if type(found) is not tuple:
                    found = found if isinstance(found, tuple) else (found,)
                if len(found) != len(inputs) or traits >= unusual:
                    found = checked(node, grad_out, found)

                bit = 1
                for source, grad in zip(inputs, found, strict=False):
                    if needed & bit and grad is not None and (way is None or source in way.sources):
                        known = grads.get(source)
                        if known is not None:  # where several paths meet (a diamond, x * x), gradients add up
                            grads[source] = known + grad
                        elif order := source.order:
                            grads[source] = grad
                            if order > top:
                                if newest is not None:
                                    waiting[top] = newest
                                    heappush(heap, -top)
                                newest, top = source, order
                            else:
                                waiting[order] = source
                                heappush(heap, -order)
                        else:
                            for array in saved:
                                if array is grad:  # .grad must not be an array that others hold
                                    grad = grad.copy()
                            grads[source] = grad
                    bit += bit
                if not keep:
                    node.inputs = node._stretch = None
            return grads
        finally:
            mode.set(before | mode.get() & OBSERVED)
            backend.reset_errors(loud)

    @staticmethod
    def deliver(grads: dict[Any, ArrayOrTensor], seed: ArrayOrTensor) -> None:
        """As the plain one, if each gradient is an array for a leaf without hooks and without `.grad`; else by it.

        Nothing is delivered before all were looked at.
        """
        if mode.get() & OBSERVED:
            Walk.deliver(grads, seed)
            return
        handed_out, owned = {id(seed)}, []
        for leaf, grad in grads.items():
            data, extras, writes = leaf._data, leaf._extras, leaf._writes
            if (
                (type(grad) is not np.ndarray or grad.shape != data.shape or grad.dtype is not data.dtype)
                or (not leaf._requires_grad or leaf._grad is not None)
                or (extras is not None and (extras.hooks or extras.watchers or extras.retained))
                or (writes is not None and writes.stale is not None)
            ):
                Walk.deliver(grads, seed)
                return
            if grad.base is not None or grad is data or id(grad) in handed_out:
                grad = grad.copy()
            handed_out.add(id(grad))
            owned.append((leaf, grad))
        Stretch.end()
        late = []
        with accumulation_lock:
            for leaf, grad in owned:
                if leaf._grad is not None:  # another thread came first
                    late.append((leaf, grad))
                    continue
                result = new(leaf.result_class)
                result._data = grad
                result._grad = result._op = result._writes = result._extras = None
                result._requires_grad = False
                leaf._grad = result
        for leaf, grad in late:
            accumulate(leaf, grad, set())
