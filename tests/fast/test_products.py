"""minidl/fast/products.py: MatMul and Linear with a function for their products."""

from __future__ import annotations

import numpy as np
import pytest

from minidl.fast.products import LinearByProduct, MatMulByProduct
from minidl.functional import products
from tests.fast.gpu.kernels.agreement import assert_close, numbers


def counted(parts, op):
    """A class with the lines of both whose products are NumPy's, and counted; it is no registered version."""
    made = []

    def product(x, y):
        made.append((x.shape, y.shape))
        return x @ y

    lines = {**vars(op), **{name: vars(parts)[name] for name in ("forward", "backward")}, "product": product}
    lines |= {"product": staticmethod(product), "add_up": staticmethod(lambda x, axis: x.sum(axis))}
    lines.pop("__slots__", None)
    return type(op.__name__, (products.Function,), lines), made


@pytest.mark.parametrize(
    "shapes", [((4, 3), (3, 5)), ((3,), (3, 5)), ((4, 3), (3,)), ((3,), (3,)), ((2, 4, 3), (3, 5))]
)
def test_matmul_is_made_of_three_products(shapes):
    x, y = (numbers(shape, "float64", i) for i, shape in enumerate(shapes))
    with_product, made = counted(MatMulByProduct, products.MatMul)
    results = []
    for op in (with_product(), products.MatMul()):
        op.needed = 3
        z = np.asarray(op.forward(x, y))
        results.append([z, *op.backward(numbers(z.shape, "float64", 5), x, y)])
    assert len(made) == 3
    for found, expected in zip(*results, strict=True):
        assert_close(found, expected)


@pytest.mark.parametrize("needed", [7, 1, 2, 4, 6])
def test_only_the_gradients_that_are_needed_are_made(needed):
    x, weight, bias = (numbers(shape, "float64", i) for i, shape in enumerate([(2, 4, 3), (5, 3), (5,)]))
    with_product, made = counted(LinearByProduct, products.Linear)
    results = []
    for op in (with_product(), products.Linear()):
        op.needed = needed
        z = op.forward(x, weight, bias)
        results.append([z, *op.backward(numbers(z.shape, "float64", 5), x, weight, bias)])
    assert len(made) == 1 + (needed & 1) + (needed >> 1 & 1)
    for i, (found, expected) in enumerate(zip(*results, strict=True)):
        assert (found is None) == (expected is None) == (i > 0 and not needed >> i - 1 & 1)
        if found is not None:
            assert_close(found, expected)
