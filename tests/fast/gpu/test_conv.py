"""minidl/fast/gpu/conv.py: the products of a convolution on a GPU, against the plain ops on NumPy."""

from __future__ import annotations

import math
from contextlib import nullcontext
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import minidl as md
import minidl.functional as F
from minidl import backend
from minidl.fast.gpu import conv as versions
from minidl.functional.conv import Conv, ConvInput, ConvWeight
from minidl.functional.geometry import Geometry
from tests.arrays import host
from tests.fast.gpu.kernels.agreement import needs_compiler, on_device

pytestmark = [needs_compiler, pytest.mark.usefixtures("cupy")]
few = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def run(op: Any, *arrays: Any) -> Any:
    """What the op makes of the arrays; and that it was the version that made it."""
    result = op(*arrays)
    assert type(op) is getattr(versions, type(op).plain.__name__)
    return result


def run_plain(op: Any, *arrays: Any) -> Any:
    with md.plain():
        return op(*arrays)


@st.composite
def convolutions(draw: Any) -> Any:
    """(x_shape, weight_shape, geometry)."""
    n, groups = draw(st.integers(1, 2)), draw(st.integers(1, 2))
    axes = [[draw(st.integers(1, most)) for most in (3, 3, 2)] for _ in range(n)]  # kernel, stride, dilation
    kernel, stride, dilation = (tuple(numbers) for numbers in zip(*axes, strict=True))
    padding = tuple(draw(st.integers(0, 2)) for _ in range(n))
    sizes = tuple(draw(st.integers(d * (k - 1) + 1, 8)) for k, d in zip(kernel, dilation, strict=True))
    channels, filters = draw(st.integers(1, 2)), draw(st.integers(1, 3))
    geometry = Geometry(stride, padding, dilation, groups)
    x_shape = (draw(st.integers(0, 4)), channels * groups, *sizes)
    return x_shape, (filters * groups, channels, *kernel), geometry


@few
@given(case=convolutions(), dtype=st.sampled_from(["float32", "float64"]), block=st.sampled_from([1, 500, 1 << 30]))
def test_all_three_products(cupy: ModuleType, case: Any, dtype: str, block: int) -> None:
    x_shape, weight_shape, geometry = case
    rng = np.random.default_rng(0)
    x, weight, bias = (rng.standard_normal(shape).astype(dtype) for shape in (x_shape, weight_shape, weight_shape[:1]))
    out = geometry.positions(x_shape[2:], weight_shape[2:])
    grad = rng.standard_normal((x_shape[0], weight_shape[0], *out)).astype(dtype)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(versions, "BLOCK", block)
        for make, arrays in (
            (lambda: Conv(geometry), (x, weight, bias)),
            (lambda: Conv(geometry, out), (x, weight, None)),
            (lambda: ConvInput(geometry, x_shape), (grad, weight)),
            (lambda: ConvWeight(geometry, weight_shape), (x, grad)),
        ):
            found, expected = host(run(make(), *map(on_device, arrays))), run_plain(make(), *arrays)
            assert found.dtype == expected.dtype
            assert found.shape == expected.shape
            tolerance = (1e-5 if dtype == "float32" else 1e-13) * math.prod(out) * max(1, x_shape[0])
            np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * 10)


@few
@given(case=convolutions(), wanted=st.lists(st.booleans(), min_size=3, max_size=3), block=st.sampled_from([1, 500]))
def test_gradients_together_are_the_same_as_apart(cupy: ModuleType, case: Any, wanted: Any, block: int) -> None:
    x_shape, weight_shape, geometry = case
    out = geometry.positions(x_shape[2:], weight_shape[2:])
    x, weight, grad = map(np.ones, (x_shape, weight_shape, (x_shape[0], weight_shape[0], *out)))
    for array in (x, weight, grad):
        array[...] = np.random.default_rng(0).integers(-4, 5, array.shape)  # whole: their sums are exact
    apart = (
        run_plain(ConvInput(geometry, x_shape), grad, weight),
        run_plain(ConvWeight(geometry, weight_shape), x, grad),
        grad.sum(axis=(0, *range(2, x.ndim))),
    )
    together = versions.Conv(geometry)
    together.needed = sum(1 << i for i in range(3) if wanted[i])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(versions, "BLOCK", block)
        found = together.backward(*map(on_device, (grad, x, weight, np.ones(len(weight)))))
    for ours, expected, is_wanted in zip(found, apart, wanted, strict=True):
        assert (ours is not None) == is_wanted
        if is_wanted:
            np.testing.assert_array_equal(host(ours), expected, strict=True)


def test_blocks_share_the_images_evenly(monkeypatch: pytest.MonkeyPatch) -> None:
    def sizes(images: int, of_a_block: int) -> list[int]:
        monkeypatch.setattr(versions, "BLOCK", of_a_block * 3 * 4 * 9 * 8)
        blocks = versions._blocks(np.empty((images, 3, 5, 5)), (2, 2), (3, 3))
        return [len(range(images)[block]) for block in blocks]

    assert sizes(256, 244) == [128, 128]
    assert sizes(10, 4) == [4, 4, 2]
    assert sizes(5, 5) == [5]
    assert sizes(3, 1) == [1, 1, 1]
    assert sizes(0, 4) == []


def test_a_step_makes_rows_of_the_gradient_once(standin: ModuleType) -> None:
    x, weight, bias = (
        md.tensor(np.ones(shape, np.float32), device="cupy", requires_grad=True)
        for shape in ((4, 4, 6, 6), (8, 4, 3, 3), (8,))
    )
    y = F.conv2d(x, weight, bias, padding=1)
    grad = backend.to_device(np.ones(y.shape, np.float32), "cupy")
    standin.reset_launches()
    y.backward(grad)
    expected = ("side_by_side", "sums_of_rows", "matmul", "add_columns", "columns", "matmul")
    assert tuple(name for name in standin.launches() if name in expected) == expected
    assert [host(a.grad.data).sum() for a in (x, weight, bias)] == [4 * 4 * 8 * 16**2] * 2 + [4 * 8 * 36]


def test_it_makes_one_product_a_group_and_does_not_wait(standin: ModuleType) -> None:
    x, weight = (backend.to_device(np.ones(shape, np.float32), "cupy") for shape in ((4, 4, 6, 6), (8, 2, 3, 3)))
    geometry = Geometry((1, 1), (1, 1), (1, 1), 2)
    standin.reset_launches()
    standin.reset_synchronizations()
    y = run(Conv(geometry), x, weight, x[0, :2, 0, 0].repeat(4))
    assert standin.launches().count("matmul") == 2
    run(ConvInput(geometry, x.shape), y, weight)
    run(ConvWeight(geometry, weight.shape), x, y)
    assert standin.launches().count("matmul") == 6
    assert standin.synchronizations() == ()


@pytest.mark.parametrize("n", [1, 2])
def test_float16_keeps_its_dtype(n: int, standin: ModuleType) -> None:
    geometry = Geometry((1,) * n, (0,) * n, (1,) * n, 1)
    x = backend.to_device(np.ones((2, 3, *(4,) * n), np.float16), "cupy")
    weight = backend.to_device(np.ones((5, 3, *(2,) * n), np.float16), "cupy")
    y = run(Conv(geometry), x, weight, None)
    assert y.dtype == np.float16
    assert set(host(y).reshape(-1)) == {3 * 2**n}
    assert run(ConvInput(geometry, x.shape), y, weight).dtype == np.float16
    assert run(ConvWeight(geometry, weight.shape), x, y).dtype == np.float16


@pytest.mark.parametrize("padding", ["same", 1])
def test_gradients_and_second_gradients_agree_with_the_plain_ops(cupy: ModuleType, padding: Any) -> None:
    rng = np.random.default_rng(1)
    arrays = [rng.standard_normal(shape) for shape in ((2, 4, 6, 5), (6, 2, 3, 2), (6,))]

    def derivatives() -> list[Any]:
        tensors = [md.Tensor(on_device(array), True) for array in arrays]
        y = F.conv2d(*tensors, padding=padding, groups=2)
        first = md.grad((y**3).sum(), tensors, retain_graph=True)
        grads = md.grad((y**3).sum(), tensors, create_graph=True)
        second = md.grad(sum((grad * grad).sum() for grad in grads), tensors)
        return [host(t) for t in (y, *first, *grads, *second)]

    found = derivatives()
    with md.plain():
        expected = derivatives()
    for ours, plain in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, plain, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("plain_forward", [True, False])
def test_a_plain_forward_may_have_a_fast_backward_and_the_other_way_round(
    cupy: ModuleType, plain_forward: bool
) -> None:
    arrays = [np.arange(math.prod(shape)).reshape(shape) % 7.0 for shape in ((2, 3, 5), (4, 3, 2), (4,))]
    tensors = [md.Tensor(on_device(array), True) for array in arrays]
    with md.plain() if plain_forward else nullcontext():
        y = F.conv1d(*tensors)
    with nullcontext() if plain_forward else md.plain():
        y.backward(on_device(np.ones(y.shape)))
    with md.plain():
        expected = md.grad(F.conv1d(*tensors).sum(), tensors)
    for tensor, grad in zip(tensors, expected, strict=True):
        np.testing.assert_array_equal(host(tensor.grad), host(grad))
