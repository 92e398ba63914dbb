"""Kernels on the stand-in: CUDA C++ runs as it is written, and what a GPU would misread is refused."""

from __future__ import annotations

import platform
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from tests.cupy_standin import kernels, launches, reset_launches
from tests.cupy_standin.kernels import COMPILER

pytestmark = pytest.mark.skipif(COMPILER is None, reason="needs a C++ compiler")

SCALE = """
struct Two { double a; int n[2]; };
extern "C" __global__ void scale(const T* __restrict__ x, T* y, const long long count, const Two two) {
    for (long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x; i < count; i += gridDim.x * blockDim.x)
        y[i] = (float)x[i] * (float)two.a + two.n[1];
}
"""
TWO = np.dtype([("a", "f8"), ("n", "i4", 2)], align=True)


@pytest.fixture
def cp(standin: ModuleType) -> Any:
    return standin.cupy


@pytest.fixture
def full_warps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads that wait for each other, 32 to a warp."""
    monkeypatch.setattr(kernels, "threads_in_a_warp", 32)


def on(cp: Any, values: Any, dtype: Any = None) -> Any:
    return cp.asarray(np.asarray(values, dtype))


def two(a: float, n: int) -> Any:
    return np.array((a, (0, n)), TWO)


@pytest.mark.parametrize(("c_type", "dtype"), [("float", "f4"), ("double", "f8"), ("__half", "f2")])
def test_a_kernel_runs_over_its_grid(cp: Any, c_type: str, dtype: str) -> None:
    kernel = cp.RawKernel(f"#include <cuda_fp16.h>\n{SCALE}", "scale", options=(f"-DT={c_type}",))
    x, y = on(cp, np.arange(1000), dtype), cp.empty(1000, dtype=dtype)
    reset_launches()
    kernel((7,), (32,), (x, y, np.int64(1000), two(0.5, 3)))
    np.testing.assert_array_equal(cp.asnumpy(y), np.arange(1000) * 0.5 + 3)
    assert launches() == ("scale",)


@pytest.mark.parametrize(
    ("misuse", "words"),
    [
        (lambda x: (x, x, 3, two(1, 1)), "explicit"),
        (lambda x: (x, x, np.int32(3), two(1, 1)), "int32"),
        (lambda x: (x, x, np.int64(3), np.array((1.0, 2), "f8,i4")), "bytes"),
        (lambda x: (x, x.astype(np.float64), np.int64(3), two(1, 1)), "float64"),
        (lambda x: (x, np.ones(3, np.float32), np.int64(3), two(1, 1)), "numpy.ndarray"),
        (lambda x: (x, x, np.int64(3)), "4 parameters"),
        (lambda x: (x, x, x, two(1, 1)), "array"),
    ],
)
def test_arguments_must_have_the_types_that_are_declared(cp: Any, misuse: Any, words: str) -> None:
    kernel = cp.RawKernel(SCALE, "scale", options=("-DT=float",))
    with pytest.raises(TypeError, match=words):
        kernel((1,), (32,), misuse(on(cp, np.ones(3), np.float32)))


def test_a_block_has_at_most_1024_threads_and_source_must_compile(cp: Any) -> None:
    x = on(cp, np.ones(3), np.float32)
    kernel = cp.RawKernel(SCALE, "scale", options=("-DT=float",))
    with pytest.raises(ValueError, match="1024"):
        kernel((1,), (32, 64), (x, x, np.int64(3), two(1, 1)))
    with pytest.raises(TypeError, match="tuple"):
        kernel(1, (32,), (x, x, np.int64(3), two(1, 1)))
    with pytest.raises(RuntimeError, match=r"(?s)CompileException.*nonsense"):
        cp.RawKernel('extern "C" __global__ void f() { nonsense; }', "f")((1,), (1,), ())


SUMS = """
extern "C" __global__ void sums(const int* x, int* per_warp, int* per_block) {
    __shared__ int parts[32];
    int total = x[blockIdx.x * blockDim.x + threadIdx.x];
    for (int bits = warpSize / 2; bits > 0; bits /= 2) total += __shfl_xor_sync(0xffffffff, total, bits);
    if (threadIdx.x % warpSize == 0) {
        per_warp[(blockIdx.x * blockDim.x + threadIdx.x) / warpSize] = total;
        parts[threadIdx.x / warpSize] = total;
    }
    __syncthreads();
    if (threadIdx.x == 0) {
        int all = 0;
        for (int i = 0; i < blockDim.x / warpSize; i++) all += parts[i];
        atomicAdd(per_block, all);
    }
}
"""


def test_threads_wait_for_each_other(cp: Any, full_warps: None) -> None:
    x, warps, total = on(cp, np.arange(192), np.int32), cp.zeros(6, dtype=np.int32), cp.zeros(1, dtype=np.int32)
    cp.RawKernel(SUMS, "sums")((2,), (96,), (x, warps, total))
    np.testing.assert_array_equal(cp.asnumpy(warps), np.arange(192).reshape(6, 32).sum(1))
    assert cp.asnumpy(total)[0] == np.arange(192).sum()


def test_threads_that_wait_for_ever_are_found(cp: Any, full_warps: None) -> None:
    code = 'extern "C" __global__ void f(int* x) { if (threadIdx.x < 3) __syncthreads(); x[0] = 1; }'
    with pytest.raises(RuntimeError, match="never come"):
        cp.RawKernel(code, "f")((1,), (32,), (cp.zeros(1, dtype=np.int32),))


# ---- ElementwiseKernel


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_an_elementwise_kernel_broadcasts(cp: Any, dtype: Any) -> None:
    kernel = cp.ElementwiseKernel("T x, T y, float64 a", "T z", "z = (float)x * (float)y + (float)a", "axpy")
    x, y = np.arange(6).reshape(3, 2).astype(dtype), np.array([1, 2], dtype)
    reset_launches()
    z = kernel(on(cp, x.T.copy()).T, on(cp, y), 0.5)
    assert z.dtype == dtype
    np.testing.assert_array_equal(cp.asnumpy(z), x * y + dtype(0.5))
    assert launches().count("axpy") == 1
    assert kernel(on(cp, x[:0]), on(cp, y), 0.5).shape == (0, 2)
    assert kernel(on(cp, x)[0, 0], on(cp, y)[1], 0.5).shape == ()
    out = on(cp, np.ones((3, 2), dtype))
    assert kernel(on(cp, x), on(cp, y), 0.5, out) is out


def test_an_elementwise_kernel_refuses_what_has_no_type(cp: Any) -> None:
    kernel = cp.ElementwiseKernel("T x, T y", "T z", "z = x + y", "add")
    x = on(cp, np.ones(2, np.float32))
    with pytest.raises(TypeError, match="mismatched"):
        kernel(x, x.astype(np.float64))
    with pytest.raises(TypeError, match="type of its own"):
        kernel(x, 2.0)
    with pytest.raises(TypeError, match="Unsupported"):
        kernel(x, np.ones(2, np.float32))
    with pytest.raises(ValueError, match="not allowed"):
        cp.ElementwiseKernel("T i", "T z", "z = i", "f")


# ---- how a GPU rounds

MULTIPLY_ADD = """
extern "C" __global__ void multiply_add(const A* x, A* z) { z[0] = x[0] * x[1] + x[2]; z[1] = x[3] * x[4]; }
"""


def rounded(cp: Any, dtype: str, by: str) -> list[float]:
    """(1 + e)(1 - e) - 1 with e the step after 1, and twice the largest number too small to be a normal one."""
    c_type, limits = {"float32": "float", "float64": "double"}[dtype], np.finfo(dtype)
    x = on(cp, [1 + limits.eps, 1 - limits.eps, -1, limits.smallest_normal - limits.smallest_subnormal, 2], dtype)
    z = cp.empty(2, dtype=dtype)
    if by == "RawKernel":
        cp.RawKernel(f"typedef {c_type} A;{MULTIPLY_ADD}", "multiply_add")((1,), (1,), (x, z))
    else:
        run = cp.ElementwiseKernel("T a, T b, T c", "T z", "z = a * b + c", preamble=f"typedef {c_type} A;")
        z[0], z[1] = run(x[0], x[1], x[2]), run(x[3], x[4], x[3] * 0)
    return [float(value) for value in cp.asnumpy(z)]


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="known of these processors only")
@pytest.mark.parametrize("by", ["RawKernel", "ElementwiseKernel"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_kernels_round_as_a_gpu_if_told_so(cp: Any, dtype: str, by: str, monkeypatch: pytest.MonkeyPatch) -> None:
    limits = np.finfo(dtype)
    doubled = float(2 * (limits.smallest_normal - limits.smallest_subnormal))
    monkeypatch.setattr(kernels, "arithmetic", "cpu")
    assert rounded(cp, dtype, by) == [0, doubled]
    monkeypatch.setattr(kernels, "arithmetic", "gpu")
    assert rounded(cp, dtype, by) == [-(float(limits.eps) ** 2), 0 if dtype == "float32" else doubled]
    assert np.float32(1e-39) * np.float32(1) != 0  # NumPy still computes as before


def test_memory_nobody_wrote_to_shows(cp: Any) -> None:
    assert np.isnan(cp.asnumpy(cp.empty((2, 3)))).all()
    assert np.isnan(cp.asnumpy(cp.empty_like(on(cp, [1.0])))).all()
    assert (cp.asnumpy(cp.empty(3, dtype=np.int64)) == -1).all()


def test_views_are_not_launches(cp: Any) -> None:
    x = on(cp, np.ones((2, 3)))
    reset_launches()
    x.T.reshape(-1)
    assert launches() == ("reshape",)  # a copy: x.T is not in order
    x.reshape(-1)[2:]
    x += 1
    assert launches() == ("reshape", "add")
