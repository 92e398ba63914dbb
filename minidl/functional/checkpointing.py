"""checkpoint, checkpoint_sequential: less memory for one more forward.

>>> import minidl as md, minidl.functional as F
>>> w = md.tensor([1.0, 2.0], requires_grad=True)
>>> y = F.checkpoint(lambda x: F.tanh(F.tanh(x)), w)  # keeps w, not the tanh of it
>>> y.sum().backward()  # which is computed again here
>>> w.grad
Tensor([0.24686792, 0.03132534])

How it works is told in docs/checkpoint.md; the node that stands for the function is in autograd/recomputation.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import Any

from minidl import backend
from minidl.autograd.recomputation import checkpointed, stands_aside
from minidl.autograd.variable import Variable
from minidl.checks import whole
from minidl.errors import DTypeError, describe, takes
from minidl.habits.option_names import OF_CHECKPOINT


def checkpoint(function: Callable[..., Any], *inputs: Any, **named: Any) -> Any:
    """`function(*inputs, **named)`, which keeps for its backward what goes in, and computes the rest once more.

    Values and gradients are those without, to the last bit; the backward takes one forward longer. With about sqrt(n)
    of n equal layers in each checkpoint, memory grows as sqrt(n) (Chen et al., arXiv:1604.06174).

        h = F.checkpoint(self.block, h)         # in a model's forward

    The function is called now, and again in the backward. It must then do the same: minidl's random streams are put
    back for that (dropout draws the same), running statistics are not counted twice; but what else it changes, prints
    or counts happens twice, np.random too. If it comes to other numbers, that is an error. It may return one Tensor, or
    a tuple, list or dict of them, and use Tensors that are not among its inputs, such as the weights of a model. Module
    hooks and hooks that it registers itself are called again too.

    Under `no_grad` it is just called. So it is while a tape, breakpoint or `md.detect_anomaly` watches the forward:
    they show every op of it, and what they show is kept.

    Args:
        function: a function, or a model.
        inputs, named: what it is called with.

    Raises:
        DTypeError: `function` cannot be called.
        TypeError: an option of PyTorch's that is not needed here.
        GraphError: the function writes into its inputs; or, in the backward, it does something else than in the
            forward, or an operand was overwritten since.
    """
    if isinstance(function, Variable) or not callable(function):
        raise DTypeError(
            f"checkpoint: expected a function or a model, then what it is called with; got {describe(function)} first. "
            f"Write F.checkpoint(model, x), not F.checkpoint(model(x))"
        )
    _refuse_options(function, named)
    return function(*inputs, **named) if stands_aside() else checkpointed(function, inputs, named)


def checkpoint_sequential(functions: Any, segments: int, x: Any) -> Any:
    """The functions one after the other, as nn.Sequential calls them, in `segments` parts, each a `checkpoint`.

    Of n layers of one size a segment keeps its input alone, and while it is computed once more all its inside: least
    with about sqrt(n) segments. The last one is no checkpoint: the backward begins with it at once.

    Args:
        functions: an nn.Sequential, or a list of functions or models.
        segments: how many, from 1 to the number of functions; their lengths differ by at most 1.
        x: what the first is called with.

    Raises:
        DTypeError: `functions` is neither.
        ValueError: there are not so many functions.
    """
    parts = functions.children() if hasattr(functions, "children") else functions
    several = (
        isinstance(parts, Iterable) and not isinstance(parts, (str, dict, Variable)) and not backend.is_array(parts)
    )
    chain: list[Callable[..., Any]] = list(parts) if several else []
    if not chain or not all(map(callable, chain)):
        raise DTypeError(
            f"checkpoint_sequential: expected an nn.Sequential or a list of functions; got {describe(functions)}: for "
            f"other models call F.checkpoint(block, x) in their forward"
        )
    if whole(segments, "checkpoint_sequential: segments") > len(chain):
        raise ValueError(
            f"checkpoint_sequential: expected at most as many segments as functions, {len(chain)}; got {segments}"
        )
    ends = [len(chain) * i // segments for i in range(segments + 1)]
    for start, end in pairwise(ends):
        part = _Chain(chain[start:end])
        x = part(x) if end == len(chain) else checkpoint(part, x)
    return x


class _Chain:
    """Functions, one called after the other."""

    def __init__(self, functions: list[Callable[..., Any]]) -> None:
        self.functions = functions

    def __call__(self, x: Any) -> Any:
        for function in self.functions:
            x = function(x)
        return x


def _refuse_options(function: Callable[..., Any], named: dict[str, Any]) -> None:
    """Raise a TypeError for options of PyTorch's checkpoint, unless the function has one of that name."""
    options = [name for name in named if name in OF_CHECKPOINT]
    taken = takes(getattr(function, "forward", function)) or () if options else ()
    unknown = [name for name in options if name not in taken]
    if unknown:
        reasons = "; ".join(f"{name}: {OF_CHECKPOINT[name]}" for name in unknown)
        raise TypeError(
            f"checkpoint() got options that it has not: leave them out. {reasons}. (What is named goes to the function)"
        )
