"""minidl/fast/cpu/indexing.py: the gradients of rows, sorted and added up."""

from __future__ import annotations

import numpy as np
import pytest

import minidl as md
import minidl.functional as F
from minidl.fast.cpu import indexing

pytestmark = pytest.mark.usefixtures("faster_versions")


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("named", [(), (1,), (50,), (0,), (6, 7)])
@pytest.mark.parametrize("shape", [(9, 4), (3, 2, 5), (300, 1), (2, 0)])
def test_sorted_rows_make_what_the_plain_lines_make(dtype: str, named: tuple[int, ...], shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    index = np.asarray(rng.integers(-shape[0], shape[0], named))
    x = (rng.integers(-20, 20, (*named, *shape[1:])) / 8).astype(dtype)
    grads = []
    for mode in (md.plain(), md.enable_grad()):
        weight = md.Tensor(np.zeros(shape, dtype), requires_grad=True)
        with mode:
            weight[index].backward(x)
        assert weight.grad is not None
        grads.append(weight.grad._data)
    np.testing.assert_array_equal(*grads, strict=True)


@pytest.mark.parametrize("index", ["uint8", "int8", "int64"])
def test_places_of_any_integer_dtype(index: str) -> None:
    weight = md.Tensor(np.zeros((300, 2), np.float32), requires_grad=True)
    places = np.array([100, 3, 100]).astype(index)
    weight[places].sum().backward()
    assert weight.grad is not None
    assert weight.grad._data[[100, 3, 0], 0].tolist() == [2, 1, 0]


def test_it_is_taken_for_rows_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = []
    own = indexing.AddAt.forward
    monkeypatch.setattr(indexing.AddAt, "forward", lambda self, x: taken.append(self.shape) or own(self, x))
    places = np.array([0, 1, 1])
    for shape, index in (((3,), places), ((3, 2), places), ((3, 2), (places, 0)), ((3, 2), slice(2))):
        F.sum(md.Tensor(np.zeros(shape), requires_grad=True)[index]).backward()
    assert taken == [(3, 2)]
