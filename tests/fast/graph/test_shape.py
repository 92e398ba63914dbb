"""minidl/fast/graph/shape.py: many arrays are joined in a captured step too."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest

import minidl as md
import minidl.functional as F
from minidl import backend
from minidl.fast.graph import capture


@pytest.mark.parametrize("count", [8, 9, 70])
def test_more_than_eight_arrays_are_joined_without_a_table_from_the_host(standin: ModuleType, count: int) -> None:
    arrays = [backend.to_device(np.full((2, i % 3), i, np.float32), "cupy") for i in range(count)]
    graph, out = capture.captured(lambda: F.concatenate(arrays, axis=-1))
    graph.launch()
    np.testing.assert_array_equal(backend.to_numpy(out), np.concatenate([backend.to_numpy(a) for a in arrays], axis=1))
    if count > 8:
        with pytest.raises(RuntimeError, match="H2D transfers are disallowed"):
            capture.captured(lambda: standin.cupy.concatenate(arrays, axis=1))


def test_their_gradients_are_cut_where_they_were_joined(standin: ModuleType) -> None:
    parts = [md.Tensor(backend.to_device(np.full((2, i % 3), i, np.float32), "cupy"), True) for i in range(12)]
    weights = np.arange(24, dtype=np.float32).reshape(2, 12)

    def step() -> list[md.Tensor]:
        joined = F.concatenate(parts, axis=1)
        return md.grad(F.sum(joined * md.Tensor(places)), parts)

    places = backend.to_device(weights, "cupy")
    step()
    graph, grads = capture.captured(step)
    graph.launch()
    found = np.concatenate([backend.to_numpy(grad.data) for grad in grads], axis=1)
    np.testing.assert_array_equal(found, weights)
