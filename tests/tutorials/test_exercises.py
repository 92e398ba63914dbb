"""Every exercise: its solution passes, nothing is not a pass, and each usual mistake gets its own hint."""

from __future__ import annotations

from typing import Any

import pytest

import minidl as md
from minidl.check import seeding
from minidl.check.comparing import copied, difference, plain
from minidl.check.exercise import OPEN, Explain, Implement, Mistake, Predict

EXERCISES = {exercise.name: exercise for exercise in md.check.exercises()}
MISTAKES = {f"{name}-{i}": (name, i) for name, e in EXERCISES.items() for i in range(1, len(e.mistakes) + 1)}
SEEDS = (0, 2026)

every_exercise = pytest.mark.parametrize("name", EXERCISES)


@pytest.fixture(autouse=True)
def _usual_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MINIDL_CHECK_SEED", raising=False)
    monkeypatch.setattr(seeding, "_chosen", None)


def stub(*arguments: Any) -> Any:
    raise NotImplementedError("your lines here")


def value(answer: Any) -> Any:
    return answer() if callable(answer) else answer


@every_exercise
def test_its_name_begins_with_its_tutorial_and_its_task_is_said(name: str) -> None:
    exercise = EXERCISES[name]
    assert exercise in md.check.exercises(int(name[1:3]))
    assert len(exercise.task) > 10


@every_exercise
@pytest.mark.parametrize("seed", SEEDS)
def test_its_solution_passes_for_every_class(name: str, seed: int) -> None:
    exercise = EXERCISES[name]
    seeding._chosen = seed
    answer = value(exercise.solution) if isinstance(exercise, Predict) else exercise.solution
    result = exercise(answer, show=False)
    assert result.passed, str(result)


@every_exercise
def test_what_was_not_answered_is_said_to_be_open_and_the_tutorial_can_go_on(name: str) -> None:
    exercise = EXERCISES[name]
    for answer in (..., None, stub) if isinstance(exercise, Implement) else (..., None):
        result = exercise(answer, show=False)
        assert not result.passed
        assert result.score == 0
        assert result.difference == OPEN
        assert result.working is not None


@every_exercise
def test_it_knows_two_usual_mistakes_or_more_and_their_hints_differ(name: str) -> None:
    hints = [mistake.hint for mistake in EXERCISES[name].mistakes]
    assert len(hints) >= 2
    assert all(hints)


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_usual_mistake_fails_with_its_own_hint(mistake: str) -> None:
    name, i = MISTAKES[mistake]
    exercise = EXERCISES[name]
    wrong: Mistake = exercise.mistakes[i - 1]
    result = exercise(wrong.answer if isinstance(exercise, Implement) else value(wrong.answer), show=False)
    assert not result.passed
    assert result.hint == wrong.hint, str(result)


@pytest.mark.parametrize("name", [name for name, e in EXERCISES.items() if isinstance(e, Implement)])
def test_its_solution_changes_no_argument_and_its_cases_depend_on_the_seed(name: str) -> None:
    exercise = EXERCISES[name]
    cases = exercise.cases()
    for case in cases:
        before = copied(case)
        exercise._run(exercise.solution, case)
        for parameter, old, new in zip(exercise.parameters, before, case, strict=False):
            if parameter not in exercise.writes and not callable(old):
                assert difference(plain(new), plain(old), 0.0) == "", f"{parameter} was changed"
    seeding._chosen = 1
    other = exercise.cases()
    assert len(other) == len(cases)
    assert any(str(plain(a)) != str(plain(b)) for a, b in zip(cases, other, strict=True)), "no case is drawn"


@pytest.mark.parametrize("name", [name for name, e in EXERCISES.items() if isinstance(e, Explain)])
def test_its_statements_are_three_at_least_and_each_wrong_one_has_a_hint(name: str) -> None:
    exercise = EXERCISES[name]
    assert len(exercise.choices) >= 3
    for letter in exercise.choices:
        result = exercise(letter.upper(), show=False)
        assert result.passed == (letter == exercise.solution)
        assert bool(result.hint) != result.passed
