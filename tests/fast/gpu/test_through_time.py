"""A layer through time on a GPU: which lines run, and what they launch. That they compute the same: kernels/."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest

import minidl as md
from minidl.autograd.modes import plain
from minidl.fast import through_time
from minidl.fast.gpu.through_time import GRUThroughTime, LSTMThroughTime, RNNThroughTime
from tests.fast.gpu.kernels.agreement import assert_close, launches_of, needs_compiler, on_device
from tests.fast.gpu.kernels.test_recurrent import arrays_of, every_kind

pytestmark = [needs_compiler, pytest.mark.usefixtures("cupy")]

VERSIONS = {
    "tanh": lambda: RNNThroughTime("tanh"),
    "relu": lambda: RNNThroughTime("relu"),
    "lstm": LSTMThroughTime,
    "gru": GRUThroughTime,
}


@every_kind
def test_a_step_is_a_product_and_a_kernel_each_way(cupy: ModuleType, kind: str) -> None:
    grad, from_input, weight, bias, *state = map(on_device, arrays_of(kind, 7, 2, 3, "float32"))
    op = VERSIONS[kind]()
    out = op.forward(from_input, weight, bias, *state)
    forward = launches_of(lambda: op.forward(from_input, weight, bias, *state))
    assert forward in ((), ("matmul", f"{kind}_step") * 7)
    op.needed = 0b11111
    backward = launches_of(lambda: op.backward(grad, from_input, weight, bias, *state, out))
    steps = [name for name in backward if name in ("matmul", f"{kind}_step_back")]
    assert not backward or steps[:14] == [f"{kind}_step_back", "matmul"] * 7
    assert len(backward) < 14 + 10  # no further ones for each step


@every_kind
def test_it_fits_what_there_are_kernels_for(cupy: ModuleType, kind: str) -> None:
    _, from_input, *others = arrays_of(kind, 2, 2, 3, "float32")
    op = VERSIONS[kind]()
    assert op.fits(*map(on_device, (from_input, *others)))
    assert not op.fits(from_input, *others)
    assert type(op) in op.plain.versions
    assert issubclass(op.plain, through_time.ThroughTime)


@every_kind
def test_its_graph_can_be_walked_in_plain_lines(cupy: ModuleType, kind: str) -> None:
    """What the kernels kept of each step, the op's own lines can use."""
    _, *arrays = map(on_device, arrays_of(kind, 4, 2, 3, "float64"))
    found = []
    for lines in (md.enable_grad, plain):
        xs = [md.Tensor(array.copy(), requires_grad=True) for array in arrays]
        out = VERSIONS[kind]()(*xs)
        with lines():
            (out * out).sum().backward()
        found.append([md.backend.to_numpy(x.grad.data) for x in xs])
    for fast, slow in zip(*found, strict=True):
        assert_close(fast, np.asarray(slow))
