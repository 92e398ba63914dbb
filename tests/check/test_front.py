"""md.check: its exercises are found by name."""

from __future__ import annotations

import pytest

import minidl as md


def test_every_exercise_is_an_attribute_and_in_dir() -> None:
    found = md.check.exercises()
    assert found
    for exercise in found:
        assert getattr(md.check, exercise.name) is exercise
        assert exercise.name in dir(md.check)


def test_those_of_a_tutorial_stand_in_its_order() -> None:
    assert [e.name[:3] for e in md.check.exercises(3)] == ["t03"] * len(md.check.exercises(3))
    with pytest.raises(ValueError, match="there is no tutorial 99"):
        md.check.exercises(99)


def test_a_wrong_name_is_answered_with_the_ones_of_its_tutorial() -> None:
    with pytest.raises(AttributeError, match=r"there is no exercise 't03_x': t03_\w+"):
        md.check.t03_x
    with pytest.raises(AttributeError, match=r"there is no exercise 'x': dir\(md.check\) lists them"):
        md.check.x
    assert not hasattr(md.check, "__path")
