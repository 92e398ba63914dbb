"""minidl/fast/graph/cublas.py: products as NumPy's, asked of cuBLAS itself, which may be captured."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import minidl as md
from minidl import backend
from minidl.fast.gpu.products import product
from minidl.fast.graph import capture
from minidl.fast.graph.cublas import Cublas

few = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
TOLERANCE = {"float16": 2e-3, "float32": 1e-5, "float64": 1e-12}


@st.composite
def operands(draw: Any) -> tuple[Any, Any]:
    """Two arrays that have a product: vectors, matrices, stacks that broadcast, transposed and cut ones, empty ones."""
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    n, k, m = (draw(st.integers(0, 5)) for _ in range(3))
    stacks = draw(st.sampled_from([((), ()), ((2,), ()), ((), (3,)), ((2, 1), (3,)), ((1,), (4,)), ((2, 3), (2, 3))]))
    shapes = [(*stacks[0], n, k), (*stacks[1], k, m)]
    if draw(st.booleans()) and not any(stacks):
        shapes[draw(st.integers(0, 1))] = (k,)
    arrays = []
    for shape in shapes:
        layout = draw(st.sampled_from(["plain", "transposed", "cut", "backwards"]))
        array = rng.standard_normal(shape)
        if layout == "transposed" and array.ndim > 1:
            array = np.ascontiguousarray(array.swapaxes(-1, -2)).swapaxes(-1, -2)
        elif layout == "cut":
            array = np.repeat(array, 2, axis=-1)[..., ::2]
        elif layout == "backwards":
            array = array[..., ::-1].copy()[..., ::-1]
        arrays.append(array)
    return arrays[0], arrays[1]


def on_device(array: Any, dtype: str) -> Any:
    """With the layout it has."""
    wider = backend.to_device(np.ascontiguousarray(array.astype(dtype)), "cupy")
    if array.ndim > 1 and not array.flags.c_contiguous:
        turned = backend.to_device(np.ascontiguousarray(array.astype(dtype).swapaxes(-1, -2)), "cupy")
        return turned.swapaxes(-1, -2)
    return wider


@few
@given(arrays=operands(), dtype=st.sampled_from(list(TOLERANCE)), other=st.sampled_from([None, *TOLERANCE]))
def test_it_is_numpys_product(cupy: ModuleType, arrays: Any, dtype: str, other: str | None) -> None:
    x, y = on_device(arrays[0], dtype), on_device(arrays[1], other or dtype)
    expected = np.matmul(backend.to_numpy(x).astype(np.float64), backend.to_numpy(y).astype(np.float64))
    backend.synchronize("cupy")  # the stream below waits for no other: x and y have to be there
    stream = backend.module("cupy").cuda.Stream(non_blocking=True)
    products = Cublas(stream)
    with stream:  # as while a step is captured: what CuPy itself does is on this stream too
        found = products.product(x, y)
        stream.synchronize()
    products.finish()
    kind = np.result_type(dtype, other or dtype)
    assert found.shape == expected.shape
    assert found.dtype == kind
    scale = max(1.0, float(np.abs(expected).max(initial=0)))
    np.testing.assert_allclose(backend.to_numpy(found), expected, rtol=0, atol=scale * TOLERANCE[kind.name])


def test_into_an_array_that_is_there(cupy: ModuleType) -> None:
    x, y = (backend.to_device(np.arange(6.0).reshape(shape), "cupy") for shape in ((2, 3), (3, 2)))
    backend.synchronize("cupy")
    stream = backend.module("cupy").cuda.Stream(non_blocking=True)
    products, out = Cublas(stream), backend.module("cupy").empty((2, 2))
    with stream:
        assert products.product(x, y, out) is out
        stream.synchronize()
    products.finish()
    np.testing.assert_array_equal(backend.to_numpy(out), [[10, 13], [28, 40]])


def test_what_has_no_product_is_refused(cupy: ModuleType) -> None:
    products = Cublas(backend.module("cupy").cuda.Stream(non_blocking=True))
    x, whole = backend.to_device(np.ones((2, 3)), "cupy"), backend.to_device(np.ones((3, 3), int), "cupy")
    with pytest.raises(md.ShapeError, match=r"got x \(2, 3\), y \(2, 3\)"):
        products.product(x, x)
    with pytest.raises(md.DTypeError, match="floating arrays; got int64 and int64"):
        products.product(whole, whole)
    products.finish()


def test_only_while_capture_it_is_asked(standin: ModuleType) -> None:
    """CuPy itself refuses there."""
    x = backend.to_device(np.ones((2, 3), np.float32), "cupy")
    standin.reset_launches()
    product(x, x.T)
    assert standin.launches() == ("matmul",)
    standin.reset_launches()
    graph, out = capture.captured(lambda: product(x, x.T))
    assert standin.launches()[-1] == "cublasGemmEx"
    assert np.isnan(backend.to_numpy(out)).all()  # nothing is done yet
    graph.launch()
    np.testing.assert_array_equal(backend.to_numpy(out), np.full((2, 2), 3))
    with pytest.raises(NotImplementedError, match="cuBLAS API during stream capture"):
        capture.captured(lambda: x @ x.T)


def test_a_missing_library_is_named(standin: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standin.cupy.cuda.runtime, "runtimeGetVersion", lambda: 99000)
    with pytest.raises(md.DeviceError, match=r"cannot be captured: .*cublas.*99.* cannot be loaded"):
        capture.captured(lambda: None)
