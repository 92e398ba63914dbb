"""A tensor of many numbers shows itself on one line, quickly, exactly where it says so, and without ever raising."""

from __future__ import annotations

import tracemalloc
from types import ModuleType

import numpy as np
import pytest

import minidl as md
import minidl.functional as F
from minidl import backend
from minidl.tensors import summary_line
from tests.arrays import device, tensor

RNG = np.random.default_rng(0)


def test_few_numbers_are_shown_and_more_are_summed_up() -> None:
    with md.using("numpy"):
        assert repr(md.zeros(2)) == "Tensor([0., 0.])"
        assert repr(md.zeros(10, 10)).count("0.") == 100
        assert repr(md.zeros(101)) == "Tensor((101,) float32, all 0)"


def test_the_line_says_what_it_is_and_where_its_numbers_lie() -> None:
    numbers = np.linspace(-1, 1, 160, dtype=np.float32).reshape(8, 20)
    x = tensor(numbers, requires_grad=True)
    x.name = "w"
    home = " cupy" if x.device == "cupy" else ""
    assert (
        repr(x)
        == f"Tensor('w' (8, 20) float32{home}, -1 to 1, mean {numbers.mean():.4g}, ████████, requires_grad=True)"
    )
    assert repr(x * 1).endswith("████████, op=Mul)")
    with md.detect_anomaly():
        y = x * 2  # here
    assert "op=Mul, at " in repr(y)
    assert repr(y).endswith("y = x * 2  # here)")


def test_what_is_not_finite_is_counted() -> None:
    numbers = np.zeros(200, np.float32)
    numbers[:3], numbers[3] = np.nan, -np.inf
    numbers[4] = 1
    assert "0 to 1, " in repr(tensor(numbers))
    assert "3 NaN, 1 infinite" in repr(tensor(numbers))
    assert "200 NaN" in repr(tensor(np.full(200, np.nan)))
    assert "all 7" in repr(tensor(np.full(200, 7)))
    assert "1 of them True" in repr(tensor(np.full(200, True)))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf])
def test_one_number_that_is_not_finite_is_found_among_many(dtype: type, order: str, odd: float) -> None:
    numbers = np.full((501, 301), np.finfo(dtype).max, dtype, order=order)
    assert summary_line.finite(device(numbers))
    assert ", finite" in repr(tensor(numbers))
    for place in ((0, 0), (500, 300), (211, 17)):
        found = numbers.copy(order)
        found[place] = odd
        assert not summary_line.finite(device(found))
        assert "not finite" in repr(tensor(found))


def test_a_large_one_is_sampled_and_says_so() -> None:
    x = tensor(RNG.standard_normal((1000, 1024)).astype(np.float32))
    line = repr(x)
    assert line.count("~") == 4
    low, high = (float(word.strip("~,")) for word in line.split(" float32")[1].split("mean")[0].split() if "~" in word)
    assert -6 < low < -2 < 2 < high < 6
    some = summary_line._sample(x._data)
    assert 3000 < some.size <= 5000
    columns = np.unique(np.arange(0, x.size, x.size // some.size) % 1024)
    assert len(columns) > 100
    assert "~" in repr(x.T.astype("float32"))


def test_ten_million_are_not_gone_through() -> None:
    """Were they looked at all, a mask of them alone would take ten megabytes."""
    x = md.Tensor(np.ones((10_000, 1000), np.float32))
    tracemalloc.start()
    try:
        repr(x)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


def test_a_few_bytes_leave_the_device(standin: ModuleType) -> None:
    with md.using("cupy"):
        x = md.zeros(1000, 1000)
    standin.reset_synchronizations()
    assert "cupy, ~all 0, finite" in repr(x)
    assert len(standin.synchronizations()) <= 2


def test_it_never_raises() -> None:
    assert repr(md.Tensor.__new__(md.Tensor)).startswith("Tensor(<cannot be shown: ")
    x = tensor(np.ones(200), requires_grad=True)
    x.name = "\x1b[31mred"
    assert "\x1b" not in repr(x)
    assert repr(tensor(np.ones((0, 3)))).startswith("Tensor([]")
    h = F.exp(x)
    assert "op=Exp" in repr(h)
    assert backend.device_of(h._data) == backend.current()
    assert repr(md.nn.Linear(20, 20).weight).startswith("Parameter('weight' (20, 20) float32")
