"""A recurrent layer through time: the kernels compute what the op's own lines do on NumPy, with two launches a step."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl as md
from minidl.fast.through_time import GRUThroughTime, LSTMThroughTime, RNNThroughTime
from tests.fast.gpu.kernels.agreement import assert_close, both, few, needs_compiler, numbers, wide

pytestmark = [needs_compiler, pytest.mark.usefixtures("cupy")]

KINDS = {  # a new op, its gates, the arrays of its state
    "tanh": (lambda: RNNThroughTime("tanh"), 1, 1),
    "relu": (lambda: RNNThroughTime("relu"), 1, 1),
    "lstm": (LSTMThroughTime, 4, 2),
    "gru": (GRUThroughTime, 3, 1),
}
every_kind = pytest.mark.parametrize("kind", KINDS)


def arrays_of(kind: str, steps: int, samples: int, size: int, dtype: str) -> list[Any]:
    """dL/dout, from_input, weight_hh, bias_hh and the state; weights as of a layer, which do not amplify rounding."""
    _, gates, states = KINDS[kind]
    rows = gates * size
    shapes = [(states, steps, samples, size), (steps, samples, rows), (rows, size), (rows,)]
    shapes += [(samples, size)] * states
    arrays = [numbers(shape, dtype, seed) for seed, shape in enumerate(shapes)]
    arrays[2] /= np.sqrt(size).astype(dtype)
    return arrays


def there_and_back(kind: str) -> Any:
    """A function of the arrays, as `arrays_of` has them, that gives the states and all gradients."""

    def run(grad: Any, *arrays: Any) -> Any:
        xs = [None if array is None else md.Tensor(array, requires_grad=True) for array in arrays]
        from_input, weight, bias, *state = xs
        out = KINDS[kind][0]()(from_input, weight, bias, *state)
        out.backward(md.Tensor(grad))
        return (out._data, *(x.grad._data for x in xs if x is not None))

    return run


@few(40)
@given(
    kind=st.sampled_from(list(KINDS)),
    dtype=st.sampled_from(["float32", "float64"]),
    steps=st.integers(1, 6),
    samples=st.integers(0, 5),
    size=st.integers(1, 40),
    bias=st.booleans(),
)
def test_kernel_and_plain_version_agree(
    cupy: ModuleType, kind: str, dtype: str, steps: int, samples: int, size: int, bias: bool
) -> None:
    arrays = arrays_of(kind, steps, samples, size, dtype)
    if not bias:
        arrays[3] = None
    results, expected = both(there_and_back(kind), *arrays)
    for found, plain in zip(results, expected, strict=True):
        assert_close(found, plain)


@wide
@every_kind
def test_any_layout(cupy: ModuleType, kind: str, dtype: str) -> None:
    arrays = arrays_of(kind, 3, 4, 5, dtype)
    turned = [np.ascontiguousarray(array.T) for array in arrays]
    results, expected = both(lambda *xs: there_and_back(kind)(*[x.T for x in xs]), *turned)
    for found, plain in zip(results, expected, strict=True):
        assert_close(found, plain)


@wide
@every_kind
def test_more_units_than_threads(cupy: ModuleType, kind: str, dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("minidl.fast.gpu.kernels.launch.MOST_BLOCKS", 1)
    results, expected = both(there_and_back(kind), *arrays_of(kind, 2, 13, 41, dtype))
    for found, plain in zip(results, expected, strict=True):
        assert_close(found, plain)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@every_kind
def test_what_is_not_finite_spoils_what_it_does_on_numpy(cupy: ModuleType, kind: str, value: float) -> None:
    arrays = arrays_of(kind, 3, 4, 5, "float64")
    arrays[1][1, 2, 3] = value
    results, expected = both(there_and_back(kind), *arrays)
    for found, plain in zip(results, expected, strict=True):
        np.testing.assert_allclose(found, plain, rtol=1e-10, atol=1e-12)


@every_kind
def test_second_derivatives_take_the_plain_lines(cupy: ModuleType, kind: str) -> None:
    def penalty(_: Any, *arrays: Any) -> Any:
        xs = [md.Tensor(array, requires_grad=True) for array in arrays]
        out = KINDS[kind][0]()(*xs)
        slopes = md.grad((out * out).sum(), xs, create_graph=True)
        sum((slope * slope).sum() for slope in slopes).backward()
        return tuple(x.grad._data for x in xs)

    results, expected = both(penalty, *arrays_of(kind, 3, 2, 4, "float64"))
    for found, plain in zip(results, expected, strict=True):
        assert_close(found, plain)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("make", [md.nn.RNN, md.nn.LSTM, md.nn.GRU])
def test_in_the_layers_that_use_it(cupy: ModuleType, make: Any, dtype: str) -> None:
    def step(x: Any) -> Any:
        md.seed(0)
        layer = make(4, 6, num_layers=2).to(str(md.Tensor(x).device)).to(dtype)
        output, last = layer(md.Tensor(x))
        ends = last if isinstance(last, tuple) else (last,)
        ((output * output).sum() + sum((end * end).sum() for end in ends)).backward()
        return (output._data, *(p.grad._data for p in layer.parameters()))

    results, expected = both(step, numbers((5, 3, 4), dtype))
    for found, plain in zip(results, expected, strict=True):
        assert_close(found, plain)
