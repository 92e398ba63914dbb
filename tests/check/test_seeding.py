"""The cases are drawn from the class's seed."""

from __future__ import annotations

import pytest

import minidl as md
from minidl.check.seeding import generator


def drawn() -> list[float]:
    return generator("t00_x").random(3).tolist()


def test_the_same_seed_draws_the_same_and_another_one_others() -> None:
    usual = drawn()
    assert drawn() == usual
    md.check.seed(2026)
    assert drawn() != usual
    md.check.seed(0)
    assert drawn() == usual
    assert generator("t00_y").random() != generator("t00_x").random()


def test_a_teacher_sets_it_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    md.check.seed(2026)
    of_2026 = drawn()
    monkeypatch.setattr("minidl.check.seeding._chosen", None)
    monkeypatch.setenv("MINIDL_CHECK_SEED", "2026")
    assert drawn() == of_2026


@pytest.mark.parametrize("wrong", ["x", "-1", "1.5", ""])
def test_what_is_no_seed_is_refused(wrong: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MINIDL_CHECK_SEED", wrong)
    with pytest.raises(ValueError, match=f"MINIDL_CHECK_SEED is a whole number of 0 or more, not '{wrong}'"):
        drawn()
    with pytest.raises(ValueError, match=r"md\.check\.seed is a whole number"):
        md.check.seed(-1)
