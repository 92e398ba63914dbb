"""minidl/fast/gpu/pooling.py: one launch each, and what the plain ops give."""

from __future__ import annotations

from contextlib import nullcontext
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import minidl as md
import minidl.functional as F
from minidl.fast.gpu import kernels
from minidl.fast.gpu import pooling as versions
from minidl.functional.geometry import Window
from minidl.functional.pooling import AvgPool, MaxPool, PutChosen, SpreadMean, TakeChosen
from tests.arrays import host
from tests.fast.gpu.kernels.agreement import (
    assert_close,
    both,
    dtypes,
    launched,
    launches_of,
    needs_compiler,
    numbers,
    on_device,
)

pytestmark = [needs_compiler, pytest.mark.usefixtures("cupy")]

POOLS = {
    "max": lambda x: F.max_pool2d(x, 3, 2, 1, True),
    "mean": lambda x: F.avg_pool2d(x, 3, 2, 1, True),
    "mean without padding": lambda x: F.avg_pool2d(x, (2, 3), 1, (1, 0), count_include_pad=False),
    "max of sequences": lambda x: F.max_pool1d(x[:, 0], 2),
}


@dtypes
def test_each_is_one_launch(cupy: ModuleType, dtype: str) -> None:
    window = Window((2, 2), (2, 2), (0, 0), (1, 1), (6, 6), (3, 3))
    x, grad = on_device(numbers((2, 3, 6, 6), dtype)), on_device(numbers((2, 3, 3, 3), dtype))
    pool = MaxPool(window)
    pool(x)
    for name, op, array in [
        ("max_pool", MaxPool(window), x),
        ("put_chosen", PutChosen(window, pool.chosen), grad),
        ("take_chosen", TakeChosen(window, pool.chosen), x),
        ("mean_pool", AvgPool(window, True), x),
        ("spread_mean", SpreadMean(window, True), grad),
    ]:
        assert launches_of(lambda op=op, array=array: op(array)) in ((), (name,))
        assert type(op) is getattr(versions, type(op).plain.__name__)


@dtypes
@pytest.mark.parametrize("name", POOLS)
def test_value_gradient_and_second_gradient_agree_with_the_plain_ops(cupy: ModuleType, name: str, dtype: str) -> None:
    def derivatives() -> list[Any]:
        x = md.Tensor(on_device(np.round(numbers((2, 3, 7, 6), dtype))), True)
        y = POOLS[name](x)
        grad_out = md.Tensor(on_device(numbers(y.shape, dtype, 1)))
        first = md.grad(y, x, grad_out, retain_graph=True)
        grad = md.grad(y * y, x, grad_out, create_graph=True)
        return [host(t) for t in (y, first, grad, md.grad((grad * grad).sum(), x))]

    found = derivatives()
    with md.plain():
        expected = derivatives()
    for ours, plain in zip(found, expected, strict=True):
        assert_close(ours, plain)


@pytest.mark.parametrize("plain_forward", [True, False])
@pytest.mark.parametrize("name", POOLS)
def test_a_plain_forward_may_have_a_fast_backward_and_the_other_way_round(
    cupy: ModuleType, name: str, plain_forward: bool
) -> None:
    values = np.round(numbers((2, 3, 7, 6), "float64"))
    x, other = (md.Tensor(on_device(values), True) for _ in range(2))
    with md.plain() if plain_forward else nullcontext():
        y = POOLS[name](x)
    with nullcontext() if plain_forward else md.plain():
        y.sum().backward()
    with md.plain():
        POOLS[name](other).sum().backward()
    np.testing.assert_allclose(host(x.grad), host(other.grad), rtol=1e-12)


def test_a_window_with_more_places_than_int16_can_count_has_no_version(
    cupy: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernels, "MOST_PLACES", 3)
    window = Window((2, 2), (1, 1), (1, 0), (1, 1), (5, 4), (6, 3))

    def there_and_back(x: Any) -> Any:
        op = MaxPool(window)
        best = op(x)
        return best, PutChosen(window, op.chosen)(best), TakeChosen(window, op.chosen)(x)

    results, expected = both(there_and_back, numbers((2, 3, 5, 4), "float32"))
    assert not {"max_pool", "put_chosen", "take_chosen"} & set(launched())
    for found, plain in zip(results, expected, strict=True):
        np.testing.assert_array_equal(found, plain, strict=True)
