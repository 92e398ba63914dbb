"""`md.ops` has every op class by its name."""

from __future__ import annotations

import pytest

import minidl as md
from minidl.functional.arithmetic import Mul


def test_an_op_is_found_by_its_name() -> None:
    assert md.ops.Mul is Mul
    assert {"Mul", "MatMul", "CrossEntropy", "Conv"} <= set(dir(md.ops))
    assert all(getattr(md.ops, name).plain is getattr(md.ops, name) for name in dir(md.ops))


def test_another_name_is_answered_by_the_one_that_was_meant() -> None:
    with pytest.raises(AttributeError, match=r"no op 'mul': did you mean Mul\?; dir\(md\.ops\) lists all"):
        md.ops.mul
