"""minidl/fast/cpu/arithmetic.py: a product's gradients, where nothing was repeated and where something was."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import minidl as md


def gradients(x: Any, y: Any, needed: tuple[bool, bool]) -> list[Any]:
    operands = [md.Tensor(a, requires_grad=wanted) for a, wanted in zip((x, y), needed, strict=True)]
    (operands[0] * operands[1]).sum().backward()
    return [None if p.grad is None else p.grad._data for p in operands]


@pytest.mark.usefixtures("faster_versions")
@pytest.mark.parametrize("needed", [(True, True), (True, False), (False, True)])
@pytest.mark.parametrize("shapes", [((3, 4), (3, 4)), ((3, 4), (4,)), ((1, 4), (3, 1)), ((), ()), ((0, 2), (0, 2))])
@pytest.mark.parametrize("dtypes", [("float32", "float32"), ("float32", "float64"), ("float16", "float16")])
def test_the_bits_are_those_of_the_plain_lines(dtypes: Any, shapes: Any, needed: Any) -> None:
    rng = np.random.default_rng(0)
    x, y = (np.asarray(rng.normal(0, 1, s)).astype(d) for s, d in zip(shapes, dtypes, strict=True))
    found = gradients(x, y, needed)
    with md.plain():
        expected = gradients(x, y, needed)
    for ours, theirs in zip(found, expected, strict=True):
        assert (ours is None) == (theirs is None)
        if theirs is not None:
            assert (ours.dtype, ours.shape) == (theirs.dtype, theirs.shape)
            np.testing.assert_allclose(ours, theirs, rtol=1e-3 if "float16" in dtypes else 1e-6)


@pytest.mark.usefixtures("faster_versions")
def test_a_square_and_a_number() -> None:
    x = md.Tensor(np.array([1.0, -2.0]), requires_grad=True)
    (x * x * 3).sum().backward()
    np.testing.assert_array_equal(x.grad._data, [6, -12])
