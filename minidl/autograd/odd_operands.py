"""What is no operand of an op, though it was given as one, and what may have been meant."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minidl import backend
from minidl.autograd.variable import Source, Variable
from minidl.errors import DTypeError


def refuse_several(name: str, x: Any) -> None:
    """Refuse what cannot be made one array: a list of Tensors, which would lose their history, or of unequal arrays.

    The name is "" where the message gets it later.

    Raises:
        DTypeError: x is such a list or tuple.
    """
    expected = f"{f'{name}: ' if name else ''}expected a Tensor, an array or a number; got"
    if holds_variable(x):
        raise DTypeError(
            f"{expected} a {type(x).__name__} of Tensors. F.stack makes one of them; a recurrent layer returns "
            f"(output, state): use the first"
        )
    if isinstance(x, (list, tuple)) and any(map(backend.is_array, x)) and len(set(map(np.shape, x))) > 1:
        shapes = ", ".join(str(np.shape(part)) for part in x)
        raise DTypeError(
            f"{expected} a {type(x).__name__} of arrays of shapes {shapes}. A batch of a Loader is (inputs, labels): "
            f"for inputs, labels in loader"
        )


def refuse_nothing(name: str, x: Any) -> None:
    """Refuse None as an operand of the function `name`, of which NumPy makes an array of objects."""
    if x is None:
        raise DTypeError(f"{name}: expected a Tensor, an array or a number; got None{remark(x)}")


def odd_among(operands: Sequence[Any]) -> list[Any]:
    """Those operands of an op that can be none. From the third on, None stands for one that was left out."""
    return [x for i, x in enumerate(operands) if not (is_operand(x) or (x is None and i >= 2))]


def holds_variable(x: Any) -> bool:
    """Whether x is a list or tuple with a Tensor somewhere in it."""
    return isinstance(x, (list, tuple)) and any(isinstance(part, Variable) or holds_variable(part) for part in x)


def is_operand(x: Any) -> bool:
    """Whether an op can be handed x: a Tensor, an array, a number, or a list, of which an array can be made."""
    return isinstance(x, (Variable, np.generic, int, float, complex, list, tuple)) or backend.is_array(x)


def remark(x: Any) -> str:
    """What to add about something that is no operand: a full stop and a sentence, or nothing."""
    name = type(x).__name__
    if x is None:
        return ". A function gives None if its `return` is missing, as in a model's forward"
    if isinstance(x, type):
        return f". {x.__name__} is a class: make one, and call it with its input"
    if isinstance(x, Source) or hasattr(x, "forward"):
        return f". {name} is {'an op' if isinstance(x, Source) else 'a layer'} that was not called: {name}(...)(x)"
    if hasattr(x, "take") or hasattr(x, "dataset"):
        return f". Of a {name} take the batches: for inputs, labels in md.data.Loader(dataset, batch_size=32)"
    return f". {x.__name__} is a function: call it, {x.__name__}(x)" if callable(x) and hasattr(x, "__name__") else ""
