"""einsum: sums of products written as subscripts, "ij,jk->ik" for the product of two matrices.

>>> import numpy as np, minidl.functional as F
>>> x = np.array([[1.0, 2.0], [3.0, 4.0]])
>>> F.einsum("ii", x), F.einsum("ij->j", x), F.einsum("ij,kj->ik", x, x)
(array(5.), array([4., 6.]), array([[ 5., 11.],
       [11., 25.]]))
"""

from __future__ import annotations

import numpy as np

from minidl.autograd.function import Function
from minidl.backend import module_of
from minidl.errors import ShapeError
from minidl.functional.arranging import diagonal
from minidl.functional.broadcasting import repeated, unbroadcast
from minidl.functional.precision import HALF
from minidl.functional.reshaping import array_like
from minidl.types import Array, ArrayOrTensor, Gradients, TensorLike

LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


class Einsum(Function):
    """z[output] = the sum over all other letters of x_0[s_0] x_1[s_1] ...

    So dL/dx_0[s_0] is the sum over all letters that are not in s_0 of dL/dz[output] x_1[s_1] ...: an einsum again, of
    the gradient and the other operands. A letter that stands in s_0 alone was only summed over: along it the gradient
    is repeated. Each letter stands once in each subscript (`einsum` takes diagonals first).
    """

    saves_inputs = True
    __slots__ = ("output", "subscripts")

    def __init__(self, subscripts: list[str], output: str) -> None:
        self.subscripts = subscripts
        self.output = output

    def forward(self, *operands: Array) -> Array:
        formula = f"{','.join(self.subscripts)}->{self.output}"
        dtype = np.result_type(*[x.dtype for x in operands])
        if dtype == HALF:
            operands = tuple([x.astype(np.float32) for x in operands])
        # `optimize` has two operands multiplied as matrices where that is possible
        product = module_of(*operands).einsum(formula, *operands, optimize=len(operands) > 1)
        return product.astype(dtype)

    def backward(self, grad_out: ArrayOrTensor, *operands: ArrayOrTensor) -> Gradients:
        grads: list[ArrayOrTensor] = []
        for i, (x, own) in enumerate(zip(operands, self.subscripts, strict=True)):
            if not self.needs(i):
                grads.append(None)
                continue
            others = [j for j in range(len(operands)) if j != i]
            subscripts = [self.output, *[self.subscripts[j] for j in others]]
            found = "".join([letter for letter in own if any(letter in s for s in subscripts)])
            grad = Einsum(subscripts, found)(grad_out, *[operands[j] for j in others])
            lengths = iter(grad.shape)
            grad = grad.reshape([next(lengths) if letter in found else 1 for letter in own])
            once = [1 if length == 1 else n for length, n in zip(x.shape, grad.shape, strict=True)]
            grads.append(repeated(unbroadcast(grad, tuple(once)), x.shape).astype(x.dtype))
        return tuple(grads)


def einsum(subscripts: str, *operands: TensorLike) -> ArrayOrTensor:
    """Einstein's sum, as `numpy.einsum`: a letter for each axis, products of what has the same letter, summed.

        einsum("ij,jk->ik", x, y)       x @ y
        einsum("bqd,bkd->bqk", x, y)    the product of each query with each key
        einsum("ij->j", x)              x.sum(axis=0)
        einsum("ii->i", x)              the diagonal; einsum("ii", x) its sum, the trace
        einsum("...i,...i->...", x, y)  "..." are axes that broadcast

    Args:
        subscripts: the letters of each operand, between commas, and after -> those of the result. What does not stand
            there is summed over. Without -> the result has the letters that stand once, in the order of the alphabet.
        operands: as many as there are groups of letters.

    Raises:
        ValueError: `subscripts` is no such formula.
        TypeError: the operands are in a list.
        ShapeError: the operands do not fit it.
    """
    if not isinstance(subscripts, str):
        raise ValueError(f'einsum: expected subscripts such as "ij,jk->ik" first; got {type(subscripts).__name__}')
    if len(operands) == 1 and isinstance(operands[0], (list, tuple)) and any(hasattr(x, "ndim") for x in operands[0]):
        kind = type(operands[0]).__name__
        raise TypeError(
            f"einsum: expected one operand after another; got a {kind}: write F.einsum({subscripts!r}, *operands)"
        )
    several = [array_like(x) for x in operands]
    groups, output = _read(subscripts.replace(" ", ""), [x.ndim for x in several])
    for i, letters in enumerate(groups):
        while len(set(letters)) < len(letters):
            letter = next(letter for letter in letters if letters.count(letter) > 1)
            first = letters.index(letter)
            second = letters.index(letter, first + 1)
            if several[i].shape[first] != several[i].shape[second]:
                raise ShapeError(f"einsum: {letter!r} stands for two lengths in {subscripts!r} of {several[i].shape}")
            several[i] = diagonal(several[i], 0, first, second)
            letters = "".join([other for k, other in enumerate(letters) if k not in (first, second)]) + letter
        groups[i] = letters
    return Einsum(groups, output)(*several)


def _read(formula: str, ndims: list[int]) -> tuple[list[str], str]:
    """The letters of each operand, one an axis, and those of the result; "..." replaced by letters of its own.

    Raises:
        ValueError, ShapeError: it is no formula for operands of so many axes.
    """
    left, arrow, output = formula.partition("->")
    groups = left.split(",")
    for group in [*groups, output]:
        letters = group.replace("...", "", 1)
        if not all(letter in LETTERS for letter in letters):
            raise ValueError(f'einsum: expected letters, commas, one -> and "..."; got {formula!r}')
    if len(groups) != len(ndims):
        raise ValueError(f"einsum: {formula!r} is about {len(groups)} operands; got {len(ndims)}")
    free = [letter for letter in reversed(LETTERS) if letter not in formula]
    dotted = [n - len(group) + 3 if "..." in group else 0 for group, n in zip(groups, ndims, strict=True)]
    stand_in = "".join(free[: max(dotted, default=0)])
    if not arrow:
        once = [letter for letter in LETTERS if left.count(letter) == 1]
        output = ("..." if "..." in left else "") + "".join(sorted(once))
    for i, n in enumerate(ndims):
        if "..." in groups[i] and dotted[i] >= 0:
            groups[i] = groups[i].replace("...", stand_in[len(stand_in) - dotted[i] :])
        if len(groups[i]) != n or "." in groups[i]:
            raise ShapeError(f"einsum: {formula!r} does not have a letter for each axis of operand {i}, which has {n}")
    output = output.replace("...", stand_in)
    if len(set(output)) < len(output) or not set(output) <= set("".join(groups)):
        raise ValueError(f"einsum: each letter of the result has to stand there once, and before ->; got {formula!r}")
    return groups, output
