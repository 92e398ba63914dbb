"""A recurrent layer's walk: the kernels compute what the op's own lines do on NumPy, with two launches a step."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl as md
from minidl.fast.through_time import GRUWalk, LSTMWalk, RNNWalk, walk
from tests.fast.gpu.kernels.agreement import (
    assert_close,
    both,
    few,
    launches_of,
    needs_compiler,
    numbers,
    on_device,
    wide,
)

pytestmark = [needs_compiler, pytest.mark.usefixtures("cupy")]

KINDS = {  # a new op, its gates, the arrays of its state
    "tanh": (lambda: RNNWalk("tanh"), 1, 1),
    "relu": (lambda: RNNWalk("relu"), 1, 1),
    "lstm": (LSTMWalk, 4, 2),
    "gru": (GRUWalk, 3, 1),
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
        out = walk(KINDS[kind][0](), KINDS[kind][1], from_input, state, weight, bias)
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


@every_kind
def test_a_step_is_a_product_and_a_kernel_each_way(cupy: ModuleType, kind: str) -> None:
    grad, from_input, weight, bias, *state = map(on_device, arrays_of(kind, 7, 2, 3, "float32"))
    op = KINDS[kind][0]()
    out = op.forward(from_input, weight, bias, *state)
    forward = launches_of(lambda: op.forward(from_input, weight, bias, *state))
    assert forward in ((), ("matmul", f"{kind}_step") * 7)
    op.needed = 0b11111
    backward = launches_of(lambda: op.backward(grad, from_input, weight, bias, *state, out))
    steps = [name for name in backward if name in ("matmul", f"{kind}_step_back")]
    assert not backward or steps[:14] == [f"{kind}_step_back", "matmul"] * 7
    assert len(backward) < 14 + 10  # no further ones for each step


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
        out = walk(KINDS[kind][0](), KINDS[kind][1], xs[0], xs[3:], *xs[1:3])
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
