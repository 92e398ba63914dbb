"""The program behind a tape: enough to compute its forward again."""

from __future__ import annotations

import numpy as np
import pytest

import minidl as md
import minidl.functional as F
from minidl.stepper import program
from tests.arrays import tensor


def test_every_op_can_be_called_again() -> None:
    x = tensor(np.arange(6.0).reshape(2, 3), requires_grad=True)
    with md.record() as tape:
        loss = F.sum(F.exp(x[:, 1:] * 0.5), axis=1)[0]
    assert tape.program is not None
    known = dict(tape.program.arrays)
    for event in tape:
        op = tape.program.ops[event.number]
        known[event.output] = op(*[known[v] for v in event.inputs])  # type: ignore[index]
    np.testing.assert_array_equal(known[tape.value("loss").number], loss.numpy())
    assert repr(tape.program).startswith("Program(5 ops, 2 arrays")


def test_a_large_program_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program, "BYTES", 100)
    with md.record() as tape:
        F.exp(tensor(np.ones(1000)))
    assert tape.program is None


def test_leaves_are_kept_as_they_were() -> None:
    w = tensor([1.0], requires_grad=True)
    with md.record() as tape:
        F.sum(w * 2).backward()
        with md.no_grad():
            w += 1
    assert tape.program is not None
    assert tape.program.arrays[tape.value("w").number] == [1.0]
