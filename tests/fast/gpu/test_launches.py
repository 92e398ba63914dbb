"""How many launches a training step asks of a GPU: small networks take as long as it takes to ask.

One launch costs some microseconds, whatever it does. PyTorch with cuDNN needs about as many for these networks; the
numbers are here so that nobody adds one without noticing. (CuPy makes two of some that count as one here.)
"""

from __future__ import annotations

from collections import Counter
from types import ModuleType

import pytest

import minidl as md
from benchmarks.gpu_cases import CASES
from tests.cupy_standin.kernels import COMPILER

pytestmark = pytest.mark.skipif(COMPILER is None, reason="kernels without a GPU need a C++ compiler")

STEPS = {  # launches of a forward, a backward and a step of SGD
    "mlp": 23,  # 3 layers
    "deep": 150,  # 21
    "lenet": 37,
    "quick": 52,
    "lstm": 229,  # 50 steps through time
    "chain": 60,  # 10 times x*a + b: 2 forward, 3 backward, 1 to add up a gradient
    "Ca": 17,  # with a loss of 3 and its gradient of 5
}


@pytest.mark.parametrize("name", STEPS)
def test_a_step_launches_no_more_than_it_did(name: str, standin: ModuleType) -> None:
    (case,) = (case for case in CASES if case.name == name)
    with md.using("cupy"):
        step = case.minidl(True)
        for _ in range(2):  # slots and counters are made once
            step()
        standin.reset_launches()
        standin.reset_synchronizations()
        step()
    launches = standin.launches()
    assert len(launches) <= STEPS[name], Counter(launches)
    assert standin.synchronizations() == ()
