"""The tutorials' sources run on a device as they are: `MINIDL_BACKEND=cupy`, or the stand-in."""

from __future__ import annotations

import pytest

from minidl.classroom.source import sources
from tests.tutorials.conftest import TUTORIALS, Run

# The others make their batches with md.Tensor(array), which leaves them on the CPU; md.tensor(array) would not.
ON_DEVICE = [stem for stem in sources(TUTORIALS) if stem[:2] in ("01", "02", "03", "06")]


@pytest.mark.gpu
@pytest.mark.slow
@pytest.mark.parametrize("stem", ON_DEVICE)
def test_a_source_runs_on_a_device(stem: str, tutorial: Run) -> None:
    assert tutorial(stem)
