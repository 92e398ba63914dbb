"""Normalisation of groups: the kernels compute what the versions for the CPU do, in one launch or two."""

from __future__ import annotations

import math
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl as md
import minidl.functional as F
from minidl import backend
from minidl.fast.cpu import normalization as on_cpu
from minidl.fast.gpu import normalization as on_gpu
from minidl.fast.gpu.kernels import groups
from minidl.functional.normalization import Standardize
from tests.cupy_standin import kernels as standin_kernels
from tests.fast.gpu.kernels.agreement import (
    assert_close,
    both,
    few,
    launched,
    launches_of,
    needs_compiler,
    numbers,
    on_device,
    wide,
)

pytestmark = [needs_compiler, pytest.mark.usefixtures("cupy")]

CASES = [  # shape, axis
    ((5, 3), (0,)),  # batch norm of features
    ((4, 3, 5), (0, 2)),  # of sequences
    ((3, 2, 5, 7), (0, 2, 3)),  # of images
    ((40, 1, 9, 11), (0, 2, 3)),
    ((2, 70), (1,)),  # layer norm
    ((3, 5, 33), (2,)),
    ((3, 5, 33), (1, 2)),
    ((4, 9), (0, 1)),
    ((7,), (0,)),
    ((6, 2, 45), (2,)),  # group norm
]


def there_and_back(axis: Any, eps: float = 1e-5) -> Any:
    """A function of x and dL/dz that gives z, m, 1 / sqrt(v + eps) and dL/dx."""

    def run(x: Any, grad: Any) -> Any:
        if backend.device_of(x) == "numpy":
            op = Standardize(axis, eps)
            n = math.prod(x.shape[a] for a in axis)
            mean = x.sum(axis, keepdims=True) / n  # without a warning, of nothing too
            variance = np.square(x - mean).sum(axis, keepdims=True) / n
            scale = 1 / np.sqrt(variance + eps)
            z = op.forward(x, None, None)
        else:
            op = on_gpu.Standardize(axis, eps)
            z = op.forward(x, None, None)
            mean, scale, _ = op.kept
        op.needed = 1
        return z, mean, scale, op.backward(grad, x, None, None)[0]

    return run


@few(60)
@given(
    case=st.sampled_from(CASES),
    dtype=st.sampled_from(["float32", "float64"]),
    eps=st.sampled_from([1e-5, 0.5]),
    piece=st.sampled_from([1, 7, 64, 2048]),
    most=st.sampled_from([3, 512]),
)
def test_kernel_and_plain_version_agree(
    cupy: ModuleType, case: Any, dtype: str, eps: float, piece: int, most: int
) -> None:
    shape, axis = case
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(groups, "PIECE", piece)
        patch.setattr(groups, "MOST_PIECES", most)
        results, expected = both(there_and_back(axis, eps), numbers(shape, dtype), numbers(shape, dtype, 1))
    for found, plain in zip(results, expected, strict=True):
        assert_close(found, plain)


def batch_norm(momentum: Any = 0.1, affine: tuple[bool, bool] = (True, True)) -> Any:
    """A function of x, dL/dy, weight, bias and the running statistics that gives all that a step of training makes."""

    def run(x: Any, grad: Any, weight: Any, bias: Any, running_mean: Any, running_var: Any, *more: Any) -> Any:
        weight, bias = weight if affine[0] else None, bias if affine[1] else None
        version = on_cpu if backend.device_of(x) == "numpy" else on_gpu
        op = version.BatchNorm(1e-5, (running_mean, running_var, more[0] if more else momentum))
        op.needed = 7
        y = op.forward(x, weight, bias)
        mean, found = op.kept
        scale = 1 / np.sqrt(found + 1e-5) if version is on_cpu else found  # there it is the variance
        return y, mean, scale, running_mean, running_var, *op.backward(grad, x, weight, bias)

    return run


def batch(shape: tuple[int, ...], dtype: str) -> list[Any]:
    """The arrays that function takes; the running variance is positive."""
    arrays = [numbers(s, dtype, i) for i, s in enumerate((shape, shape, *((shape[1],) for _ in range(4))))]
    return [*arrays[:5], abs(arrays[5]) + 1]


@few(60)
@given(
    shape=st.sampled_from([(5, 3), (4, 3, 5), (3, 2, 5, 7), (40, 1, 9, 11), (2, 33, 3, 3)]),
    dtype=st.sampled_from(["float16", "float32", "float64"]),
    affine=st.sampled_from([(True, True), (True, False), (False, True), (False, False)]),
    momentum=st.sampled_from([0.1, 1.0, 0]),
    piece=st.sampled_from([1, 7, 64, 2048]),
    warp=st.sampled_from([1, 32]),
)
def test_batch_norm_agrees_with_its_plain_version(
    cupy: ModuleType, shape: Any, dtype: str, affine: Any, momentum: float, piece: int, warp: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(groups, "PIECE", piece)
        patch.setattr(standin_kernels, "threads_in_a_warp", warp)
        results, expected = both(batch_norm(momentum, affine), *batch(shape, dtype))
    for found, plain in zip(results, expected, strict=True):
        assert_close(found, plain)


@pytest.mark.parametrize("count", [np.array(0.25), np.array(1, np.float32)])
def test_a_momentum_that_only_the_device_knows(cupy: ModuleType, count: Any) -> None:
    results, expected = both(batch_norm(), *batch((4, 3, 5), "float32"), count)
    for found, plain in zip(results, expected, strict=True):
        assert_close(found, plain)


def test_running_statistics_that_are_not_contiguous_are_written_too(cupy: ModuleType) -> None:
    def run(x: Any, several: Any) -> Any:
        F.batch_norm(x, several[:, 0], several[:, 1], training=True)
        return several

    (found,), (plain,) = both(run, numbers((4, 3, 5), "float32"), np.ones((3, 2), np.float32))
    assert_close(found, plain)
    assert (found != 1).all()


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("piece", [64, 2048])
def test_launches_of_a_layer(cupy: ModuleType, dtype: str, piece: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(groups, "PIECE", piece)
    layer = md.nn.BatchNorm2d(3).to("cupy", dtype)
    x = md.Tensor(on_device(numbers((4, 3, 5, 5), dtype)), requires_grad=True)
    y = layer(x)
    grad = md.Tensor(on_device(numbers((4, 3, 5, 5), dtype)))
    forward, backward = launches_of(lambda: layer(x)), launches_of(lambda: y.backward(grad))
    one = piece > 100
    count = ("add",)
    assert not forward or forward == (("normalize",) if one else ("moments_of_pieces", "normalize")) + count
    assert not backward or backward == (("normalize_gradient",) if one else ("sums_of_pieces", "normalize_gradient"))


@wide
@pytest.mark.parametrize("piece", [64, 2048])
def test_launches(cupy: ModuleType, dtype: str, piece: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(groups, "PIECE", piece)
    x = on_device(numbers((4, 3, 5, 5), dtype))
    op = on_gpu.Standardize((0, 2, 3), 1e-5)
    op.needed = 1
    forward = launches_of(lambda: op.forward(x, None, None))
    backward = launches_of(lambda: op.backward(x, x, None, None))
    one = piece > 100
    assert forward in ((), ("normalize",) if one else ("moments_of_pieces", "normalize"))
    assert backward in ((), ("normalize_gradient",) if one else ("sums_of_pieces", "normalize_gradient"))


@wide
@pytest.mark.parametrize("piece", [3, 2048])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_group_with_what_is_not_finite_is_nan_and_no_other(
    cupy: ModuleType, dtype: str, piece: int, value: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(groups, "PIECE", piece)
    x, grad = numbers((4, 3, 5), dtype), numbers((4, 3, 5), dtype, 1)
    x[1, 2, 3] = value
    results, expected = both(there_and_back((0, 2)), x, grad)
    for found, plain in zip(results, expected, strict=True):
        np.testing.assert_array_equal(np.isnan(found), np.isnan(plain))
        assert_close(found[:, :2], plain[:, :2])
    assert np.isnan(results[0][:, 2]).all()


@wide
@pytest.mark.parametrize("shape", [(0, 3, 4), (2, 0, 4), (2, 3, 0)])
def test_of_nothing(cupy: ModuleType, dtype: str, shape: Any) -> None:
    for axis in ((0, 2), (2,), (1, 2)):
        results, expected = both(there_and_back(axis), numbers(shape, dtype), numbers(shape, dtype))
        for found, plain in zip(results, expected, strict=True):
            np.testing.assert_array_equal(found, plain, strict=True)


@pytest.mark.parametrize("piece", [50, 100_000])
def test_large_means_and_many_numbers_lose_nothing(
    cupy: ModuleType, piece: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(groups, "PIECE", piece)
    x = (numbers((50, 1, 40, 40), "float32") + 3000).astype(np.float32)
    exact = x.astype(np.float64)
    _, mean, scale = (backend.to_numpy(a) for a in groups.normalize(on_device(x), (0, 2, 3), 1e-5))
    np.testing.assert_allclose(mean.item(), exact.mean(), rtol=1e-7)  # the nearest float32
    np.testing.assert_allclose(scale.item(), 1 / np.sqrt(exact.var() + 1e-5), rtol=2e-7)


@wide
def test_any_layout(cupy: ModuleType, dtype: str) -> None:
    x, grad = numbers((5, 4, 3), dtype), numbers((3, 4, 5), dtype, 1)
    results, expected = both(lambda a, g: there_and_back((0, 2))(a.T, g), x, grad)
    for found, plain in zip(results, expected, strict=True):
        assert_close(found, plain)


LAYERS = {
    "batch_norm": lambda x, w: F.batch_norm(x, None, None, w, w, True),
    "layer_norm": lambda x, w: F.layer_norm(x, x.shape[1:]),
    "group_norm": lambda x, w: F.group_norm(x, 2, w, w),
}


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("name", LAYERS)
def test_in_the_functions_that_use_it(cupy: ModuleType, name: str, dtype: str) -> None:
    def step(x: Any, w: Any, grad: Any) -> Any:
        x, w = md.Tensor(x, requires_grad=True), md.Tensor(w, requires_grad=True)
        y = LAYERS[name](x, w)
        y.backward(md.Tensor(grad))
        return (y._data, x.grad._data) if w.grad is None else (y._data, x.grad._data, w.grad._data)

    results, expected = both(step, *(numbers(shape, dtype, i) for i, shape in enumerate([(3, 4, 5), (4,), (3, 4, 5)])))
    names = launched()
    assert not names or {"normalize", "normalize_gradient"} <= set(names)
    for found, plain in zip(results, expected, strict=True):
        assert_close(found, plain)


@wide
def test_second_derivatives_take_the_plain_lines(cupy: ModuleType, dtype: str) -> None:
    def penalty(x: Any, w: Any) -> Any:
        x = md.Tensor(x, requires_grad=True)
        slope = md.grad(F.sum(F.batch_norm(x, None, None, training=True) * w), x, create_graph=True)
        F.sum(slope * slope).backward()
        return x.grad._data

    (found,), (plain,) = both(penalty, numbers((6, 2, 3), dtype), numbers((6, 2, 3), dtype, 1))
    assert_close(found, plain)


@wide
def test_32_threads_add_up_among_themselves(cupy: ModuleType, dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standin_kernels, "threads_in_a_warp", 32)
    for piece in (50, 2048):
        monkeypatch.setattr(groups, "PIECE", piece)
        for shape, axis in CASES:
            results, expected = both(there_and_back(axis), numbers(shape, dtype), numbers(shape, dtype, 1))
            for found, plain in zip(results, expected, strict=True):
                assert_close(found, plain)
