"""minidl/fast/cpu/products.py: matrix products shared out among threads."""

from __future__ import annotations

import numpy as np
import pytest

import minidl as md
import minidl.functional as F
from minidl.fast.cpu import products
from minidl.fast.cpu import threads as parallel
from minidl.fast.cpu.products import is_wide, product
from minidl.fast.cpu.threads import set_num_threads

pytest.importorskip("threadpoolctl")


@pytest.fixture
def threads(monkeypatch):
    """Sets the number of threads for one test, in which any product is worth sharing out."""
    monkeypatch.setattr(parallel, "_threads", parallel._Threads())
    monkeypatch.setattr(parallel, "WORTH", 0)
    monkeypatch.setattr(products, "WORTH", 0)
    yield set_num_threads
    parallel._threads.set(1)


@pytest.mark.parametrize(("rows", "columns"), [(50, 30), (30, 50)])
def test_each_thread_makes_a_part_of_the_longer_side(monkeypatch, threads, rows, columns):
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((rows, 40)), rng.standard_normal((columns, 40)).T
    whole, parts, matmul = x @ y, [], np.matmul
    threads(3)
    monkeypatch.setattr(np, "matmul", lambda a, b, out: parts.append(out.shape) or matmul(a, b, out=out))
    np.testing.assert_allclose(product(x, y), whole, rtol=1e-12, atol=1e-12)
    assert sorted(parts) == ([(16, 30), (17, 30), (17, 30)] if rows > columns else [(30, 16), (30, 17), (30, 17)])


def test_a_stack_times_one_matrix_is_shared_out_by_rows_and_two_stacks_by_matrices(monkeypatch, threads):
    rng = np.random.default_rng(0)
    stack, other, y = (rng.standard_normal(s) for s in ((4, 5, 40), (4, 40, 6), (40, 7)))
    cases = (stack, y), (stack, other), (stack.reshape((2, 2, 5, 40)), other.reshape((2, 2, 40, 6)))
    wholes, parts, matmul = [a @ b for a, b in cases], [], np.matmul
    threads(2)
    monkeypatch.setattr(np, "matmul", lambda a, b, out: parts.append(out.shape) or matmul(a, b, out=out))
    for (a, b), whole in zip(cases, wholes, strict=True):
        found = product(a, b)
        np.testing.assert_allclose(found, whole, rtol=1e-12, atol=1e-12)
        assert found.base is None
    assert parts == [*[(10, 7)] * 2, *[(2, 5, 6)] * 2, *[(1, 2, 5, 6)] * 2]


@pytest.mark.parametrize(
    ("first", "second"), [((3, 4, 5), (2, 1, 5, 6)), ((1, 4, 5), (3, 5, 6)), ((4, 5), (3, 5, 6)), ((5,), (3, 5, 6))]
)
def test_stacks_that_are_repeated_are_numpys(threads, first, second):
    threads(2)
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal(first), rng.standard_normal(second)
    np.testing.assert_array_equal(product(x, y), x @ y)


def test_a_stack_that_lies_otherwise_in_memory_and_an_empty_one(threads):
    threads(2)
    stack, y = np.random.default_rng(0).standard_normal((5, 3, 4)).transpose(2, 1, 0), np.ones((5, 2))
    np.testing.assert_array_equal(product(stack, y), stack @ y)
    assert product(np.ones((0, 3, 5)), y).shape == (0, 3, 2)
    assert product(np.ones((3, 0, 5)), np.ones((3, 5, 2))).shape == (3, 0, 2)
    np.testing.assert_array_equal(product(np.ones((2, 3, 0)), np.ones((0, 4))), np.zeros((2, 3, 4)))


def test_a_small_product_is_not_shared_out(monkeypatch, threads):
    threads(2)
    monkeypatch.setattr(np, "matmul", None)  # what a thread calls
    monkeypatch.setattr(products, "WORTH", 1 << 23)
    x = np.ones((5, 6))
    np.testing.assert_array_equal(product(x.T, x), np.full((6, 6), 5))
    np.testing.assert_array_equal(product(np.ones((3, 4, 5)), x), np.full((3, 4, 6), 5))


@pytest.mark.parametrize("shape", [(50, 40), (2, 25, 40), (40,)])
def test_a_layer_and_a_product_are_the_same_shared_out_and_alone(threads, shape):
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal(s) for s in (shape, (30, 40), (30,))]

    def step():
        x, weight, bias = (md.Tensor(a, requires_grad=True) for a in arrays)
        y = F.linear(x, weight, bias) + F.matmul(x, weight.T)
        return [y, *md.grad(F.sum(y * y), [x, weight, bias])]

    threads(1)
    alone = step()
    threads(3)
    for found, expected in zip(step(), alone, strict=True):
        np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=1e-12, atol=1e-12)


@pytest.mark.usefixtures("faster_versions")
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize(("samples", "features", "units"), [(2, 130, 9), (3, 128, 12), (1, 130, 9), (0, 130, 9)])
@pytest.mark.parametrize("with_bias", [True, False])
def test_a_wide_layer_is_turned_and_its_result_lies_in_c_order(dtype, samples, features, units, with_bias):
    rng = np.random.default_rng(0)
    x, weight, bias = (rng.integers(-4, 5, s).astype(dtype) for s in ((samples, features), (units, features), units))
    found = F.linear(x, weight, bias if with_bias else None)
    np.testing.assert_array_equal(found, x @ weight.T + (bias if with_bias else 0))
    assert found.flags.c_contiguous
    assert found.base is None
    assert is_wide(x, units) == (dtype == "float32" and samples > 1)
