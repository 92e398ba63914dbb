"""What several tests of the versions for the CPU need."""

from __future__ import annotations

import pytest

from minidl.fast.cpu import normalization, pooling, rows
from minidl.fast.cpu import threads as parallel


@pytest.fixture(params=[1, 3])
def threads(request, monkeypatch):
    """One thread, and three of which each gets a part however small it is."""
    if request.param > 1:
        pytest.importorskip("threadpoolctl")
    monkeypatch.setattr(parallel, "_threads", parallel._Threads())
    monkeypatch.setattr(parallel, "WORTH", 0)
    for room in (normalization, pooling, rows):
        monkeypatch.setattr(room, "SHARED", 0)
    parallel.set_num_threads(request.param)
    yield request.param
    parallel._threads.set(1)
