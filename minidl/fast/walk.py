"""The backward walk, faster: a heap finds the newest node, and what is asked at every node is written out.

The plain walk is in `autograd/backward.py`. Both give the same gradients, bit for bit.
"""

from __future__ import annotations

from heapq import heappop, heappush
from typing import Any

from minidl import backend
from minidl.autograd.backward import Walk, check_saved, complete, recalled
from minidl.autograd.diagnosis import explain_backward
from minidl.autograd.function import Function
from minidl.autograd.modes import OBSERVED, RECORD, mode
from minidl.autograd.passing import checked
from minidl.autograd.variable import Source
from minidl.autograd.way import Way
from minidl.autograd.writes import activity
from minidl.fast.call import FOREIGN, SAVES, SAVES_INPUTS, SAVES_OUTPUT, traits_of
from minidl.fast.versions import Faster
from minidl.types import ArrayOrTensor

WHAT_IS_SAVED = SAVES | FOREIGN


class FastWalk(Faster, Walk):
    """`Walk.run` with a heap of the nodes met, and with what it calls written out."""

    where = "everywhere"

    @staticmethod
    def fits(walk: Any) -> bool:
        return True

    @staticmethod
    def run(
        grads: dict[Any, ArrayOrTensor], retain_graph: bool | None, create_graph: bool, way: Way | None = None
    ) -> dict[Any, ArrayOrTensor]:
        nodes: dict[int, Function] = {}  # those met and not yet visited, by order of creation
        heap: list[int] = []  # their orders, negated: the newest comes first
        for source in grads:
            if isinstance(source, Function):
                nodes[source.order] = source
                heappush(heap, -source.order)
        before = mode.get()
        mode.set(before & ~RECORD | RECORD * create_graph)
        keep = create_graph if retain_graph is None else retain_graph
        unusual = 0 if before & OBSERVED else FOREIGN  # traits from which on somebody looks at what passes
        loud = backend.set_errors(backend.SILENT)
        try:
            while heap:
                node = nodes.pop(-heappop(heap))
                grad_out = grads.pop(node)
                traits, _ = traits_of[type(node)]
                if node._extras is not None or traits >= unusual or grad_out.dtype is not node._dtype:
                    grad_out = complete(node, grad_out, way is None)
                if way is not None and not way.enters(node, grad_out):
                    continue
                inputs, needed = node.inputs, node.needed
                if inputs is None or (traits & SAVES and node._stretch.seen != activity.count):
                    check_saved(node)
                saved: Any = ()
                if traits & WHAT_IS_SAVED == SAVES_INPUTS and not create_graph:
                    saved = []
                    for x in inputs:
                        saved.append(x._data if isinstance(x, Source) else x)
                elif traits & WHAT_IS_SAVED == SAVES_OUTPUT and not create_graph:
                    saved = (node._data,)
                elif traits & SAVES:
                    saved = recalled(node, create_graph)
                try:
                    if create_graph:
                        input_grads = node.plain.backward(node, grad_out, *saved)
                    elif not saved:
                        input_grads = node.backward(grad_out)
                    elif len(saved) == 2:  # a call with a star takes longer
                        input_grads = node.backward(grad_out, saved[0], saved[1])
                    else:
                        input_grads = node.backward(grad_out, *saved)
                except Exception as error:
                    explain_backward(node, grad_out, error)
                    raise
                if not isinstance(input_grads, tuple):
                    input_grads = (input_grads,)
                if len(input_grads) != len(inputs) or traits >= unusual:
                    input_grads = checked(node, grad_out, input_grads)

                i = 0
                for source in inputs:  # where several paths meet (a diamond, x * x), gradients add up
                    grad = input_grads[i]
                    if grad is not None and needed >> i & 1 and (way is None or source in way.sources):
                        if source in grads:
                            grads[source] = grads[source] + grad
                        elif isinstance(source, Function):
                            grads[source] = grad
                            nodes[source.order] = source
                            heappush(heap, -source.order)
                        else:
                            for array in saved:
                                if array is grad:  # .grad must not be an array that others hold
                                    grad = grad.copy()
                            grads[source] = grad
                    i += 1  # noqa: SIM113 - enumerate takes longer
                if not keep:
                    node.inputs = node._stretch = None
            return grads
        finally:
            mode.set(before | mode.get() & OBSERVED)
            backend.reset_errors(loud)
