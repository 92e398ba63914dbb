"""The three kinds of exercises: what passes, what does not, and what is said then."""

from __future__ import annotations

import numpy as np
import pytest

import minidl as md
from minidl.check.exercise import OPEN, Explain, Implement, Mistake, Predict
from minidl.check.running import UnfitError


def scale(x, factor):
    return factor * x


def cases(rng):
    for size in (3, 20):
        yield rng.standard_normal(size), 2.5


SCALE = Implement(
    "t00_scale",
    "x times a factor",
    scale,
    cases,
    [Mistake(lambda x, factor: x / factor, "that divides"), Mistake(lambda x, factor: x[99], "there is no x[99]")],
)


def multiply_backward(grad_out, x, y):
    return grad_out * y, grad_out * x


BACKWARD = Implement(
    "t00_backward",
    "the gradients of x * y",
    multiply_backward,
    lambda rng: [tuple(rng.standard_normal((3, 2)))],
    forward=lambda x, y: x * y,
)
COUNT = Predict("t00_count", "how many?", lambda: 12, [Mistake(3, "those are the rows")], why="3 rows of 4")
WORD = Predict("t00_word", "which way?", "down", [Mistake("up", "towards the output it is up")])
WHY = Explain("t00_why", "why?", {"a": "this", "b": "that"}, "b", {"a": "this is not so"})


def said(exercise, answer):
    return exercise(answer, show=False)


# ---- implement


def test_a_right_function_passes_in_both_precisions_and_is_what_the_tutorial_goes_on_with():
    result = said(SCALE, lambda x, factor: x * factor)
    assert (result.right, result.cases) == (3, 3)
    assert result.working(np.ones(1), 2.0) == 2
    assert said(BACKWARD, multiply_backward).passed


@pytest.mark.parametrize("answer", [..., None])
def test_what_is_not_written_yet_is_open(answer):
    assert said(SCALE, answer).difference == OPEN
    assert said(SCALE, answer).working is scale


def test_a_function_as_it_was_handed_out_is_open():
    def stub(x, factor):
        raise NotImplementedError("your lines here")

    def dots(x, factor):
        """Doc."""

    for answer in (stub, dots):
        result = said(SCALE, answer)
        assert (result.difference, result.case, result.score) == (OPEN, "", 0)


def test_a_usual_mistake_gets_its_own_hint():
    result = said(SCALE, lambda x, factor: x * (1 / factor))
    assert result.hint == "that divides"
    assert result.case.startswith("x = [")
    assert result.case.endswith("factor = 2.5")
    assert result.working is scale


def test_a_mistake_that_raises_is_recognised_by_its_error():
    result = said(SCALE, lambda x, factor: factor * x[99])
    assert result.hint == "there is no x[99]"
    assert result.difference.startswith("your function raised IndexError: index 99 is out of bounds")


def test_of_mistakes_that_are_alike_in_a_case_the_one_that_is_alike_in_all_is_named(capsys):
    mistakes = [Mistake(lambda x: 4 * x, "four times"), Mistake(lambda x: 2 * x * x, "twice the square")]
    exercise = Implement("t00_m", "-", lambda x: 3 * x, lambda rng: [(np.full(2, 2.0),), (np.ones(3),)], mistakes)
    assert said(exercise, lambda x: print("mine") or x * x * 2).hint == "twice the square"
    assert said(exercise, lambda x: x * 4).hint == "four times"
    assert capsys.readouterr().out == "mine\n" * 3


def test_a_mistake_that_is_alike_in_one_case_by_chance_is_not_named():
    twice = [Mistake(lambda x: 2 * x, "twice x")]
    exercise = Implement("t00_m", "-", lambda x: 3 * x, lambda rng: [(2.0,), (3.0,), (5.0,)], twice, float32=False)
    assert said(exercise, lambda x: x + x).hint == "twice x"
    assert said(exercise, lambda x: x * x).hint == ""  # 4, as 2 * 2
    assert said(exercise, lambda x: 6 * x).hint == "this is 2 times what was expected"
    assert said(exercise, lambda x: 6 * x * x).hint == ""  # 4 times in the first case, 6 times in the second


def test_a_mistake_is_no_reason_for_what_an_answer_does_besides():
    doubled_if_long = [Mistake(lambda x, factor: factor * x * (1 + (len(x) > 10)), "doubled")]
    exercise = Implement("t00_m", "-", scale, cases, doubled_if_long, float32=False)

    def in_place(x, factor):
        x *= factor
        return x.copy()

    assert "x = x + y" in said(exercise, in_place).hint


def test_an_argument_that_was_written_over_and_then_used_is_named():
    def overwritten(grad_out, x, y):
        x[:] = grad_out * x
        return grad_out * y, grad_out * x

    result = said(BACKWARD, lambda grad_out, x, y: overwritten(grad_out, x, y)[::-1])
    assert result.hint.startswith("your function changed its argument x")


def test_a_part_of_the_cases_is_a_part_of_the_points():
    def right_for_small_ones(x, factor):
        return factor * x if len(x) < 10 else x

    result = said(SCALE, right_for_small_ones)
    assert (result.right, result.cases) == (2, 3)
    assert result.case == "x = array of shape (20,), float64, factor = 2.5"


def test_an_answer_that_changes_its_argument_does_not_pass():
    def in_place(x, factor):
        x *= factor
        return x.copy()

    result = said(SCALE, in_place)
    assert result.difference == "your function changed its argument x"
    assert "x = x + y" in result.hint


def test_an_argument_that_is_to_be_written_may_change():
    exercise = Implement(
        "t00_fill", "fill x with 1", lambda x: x.fill(1), lambda rng: [(rng.random(2),)], writes=["x"],
        adapt=lambda answer, x: (answer(x), x.copy())[1],
    )  # fmt: skip
    assert said(exercise, lambda x: x.fill(1)).passed
    assert not said(exercise, lambda x: x.fill(2)).passed


def test_float64_for_float32_is_a_difference():
    result = said(SCALE, lambda x, factor: np.float64(factor) * x.astype(np.float64))
    assert (result.right, result.cases) == (2, 3)
    assert result.difference == "dtype float64 came, float32 was expected"
    assert "the numbers are right" in result.hint
    assert "np.zeros_like" in result.hint


def test_an_array_of_whole_numbers_is_named():
    assert "whole numbers" in said(SCALE, lambda x, factor: (factor * x).astype(int)).hint


def test_of_several_values_only_the_one_that_differs_is_shown():
    result = said(BACKWARD, lambda grad_out, x, y: (grad_out * y, grad_out * x * x))
    assert result.part[0] == "number 2 of 2"
    assert str(result).count("[") < 8
    assert "number 2 of 2:" in str(result)


def test_gradients_are_held_to_finite_differences_even_if_the_exercise_is_wrong():
    wrong = Implement(
        "t00_wrong", "-", lambda grad_out, x: grad_out * x, lambda rng: [(rng.random(2), rng.random(2))],
        forward=lambda x: x * x,
    )  # fmt: skip
    result = said(wrong, lambda grad_out, x: grad_out * x)
    assert result.difference.startswith("finite differences: 2 of 2 numbers differ")


def test_an_exercise_whose_solution_fails_says_so_and_blames_nobody():
    broken = Implement("t00_broken", "-", lambda x: 1 / 0, lambda rng: [(rng.random(2),)])
    with pytest.raises(ZeroDivisionError):
        said(broken, lambda x: x)


def test_a_tensor_may_come_for_an_array_but_no_array_for_a_tensor():
    assert said(SCALE, lambda x, factor: md.tensor(factor * x, dtype=x.dtype)).passed
    exercise = Implement("t00_t", "-", lambda x: x * x, lambda rng: [(md.tensor(rng.random(2)),)], float32=False)
    assert said(exercise, lambda x: x * x).passed
    assert "without its graph" in said(exercise, lambda x: x.numpy() ** 2).difference


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda x: x, "it is called with 2 arguments: x, factor"),
        (lambda x, factor: print(end=""), "None came, an array of shape (3,) was expected: is a `return` missing?"),
        (lambda x, factor: list(factor * x), "np.array(...) makes an array of it"),
        (lambda x, factor: (factor * x, 1), "a tuple of 2 came"),
        (lambda x, factor: (yield x), "a generator came"),
        (lambda x, factor: factor * x ^ 2, "^ is no power in Python"),
        (3.0, "3 came, the function itself was expected, without brackets after its name"),
        (lambda x, factor: np.log(-1 + 0 * x), "your function warned: RuntimeWarning: invalid value encountered"),
    ],
)
def test_what_comes_is_answered_in_words(answer, words):
    assert words in str(said(SCALE, answer))


def test_a_function_that_calls_itself_without_end_gets_a_hint():
    def again(x, factor):
        return again(x, factor)

    assert said(SCALE, again).hint == "it calls itself, and never ends: which call should be the last one?"


def test_what_it_prints_goes_through_before_what_was_found(capsys):
    SCALE(lambda x, factor: print("mine") or x * factor)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "mine"
    assert lines[-1] == "t00_scale: 3 of 3 open checks pass"


def test_shapes_stand_on_one_line_and_long_arguments_on_their_own():
    exercise = Implement("t00_s", "-", lambda shape, x: x, lambda rng: [((2, 3), rng.random((3, 4)))], float32=False)
    lines = said(exercise, lambda shape, x: -x).case.splitlines()
    assert lines[0] == "shape = (2, 3)"
    assert lines[1].startswith("x = [[")
    assert lines[2].startswith("     [")


# ---- predict


@pytest.mark.parametrize("answer", [12, 12.0, np.float32(12), np.array(12), 12.05])
def test_a_prediction_may_be_near(answer):
    result = said(COUNT, answer)
    assert result.passed
    assert result.hint == "3 rows of 4"


def test_a_wrong_prediction_gets_its_hint_and_not_the_answer():
    result = said(COUNT, 3)
    assert result.hint == "those are the rows"
    assert "12" not in str(result)
    assert said(COUNT, -12).hint == "the sign is the other one"
    assert said(COUNT, 24.0).hint == ""
    assert said(COUNT, ...).difference == OPEN
    near = Predict("t00_near", "-", 9.0, [Mistake(1.0, "one"), Mistake(1.1, "a tenth more")], rtol=0.2)
    assert [said(near, x).hint for x in (1.0, 1.1, 1.05)] == ["one", "a tenth more", "one"]
    assert not said(COUNT, "twelve").passed
    assert said(COUNT, ...).working == 12


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ("12", "the text '12' came, a number was expected (which has no quotes around it)"),
        ([12], "a list of 1 came, one number was expected"),
        (np.array([12.0]), "an array of shape (1,) came, one number was expected"),
        ((1, 2), "(1, 2) came, one number was expected (which has a point: 1.5, not 1,5)"),
        (True, "True came, a number was expected"),
        ({"count": 12}, "a number was expected"),
        (lambda: 12, "a number was expected"),
        (11, "not within 1% of the right number"),
    ],
)
def test_what_is_no_number_is_not_called_a_wrong_number(answer, words):
    assert words in said(COUNT, answer).difference


def test_several_numbers_are_asked_for_by_their_names():
    both = Predict("t00_both", "-", {"a": 1.0, "b": 4.0})
    assert said(both, {"a": 1, "b": 4}).passed
    assert said(both, [1.0, 4.0]).difference == "a list of 2 came, a dict with the keys ['a', 'b'] was expected"
    assert said(both, {"a": 1.0}).difference == "the keys are ['a'], expected were ['a', 'b']"
    assert said(both, {"a": 1.0, "b": "4"}).difference.startswith("b: the text '4' came")
    assert said(both, {"a": 1.0, "b": -4.0}).hint == "b: the sign is the other one"
    assert said(both, {"a": -1.0, "b": -4.0}).hint == "a, b: the sign is the other one"
    assert said(both, {"a": -1.0, "b": 5.0}).hint == ""


def test_of_mistakes_within_the_tolerance_the_nearest_is_named_and_the_tolerance_may_have_words():
    wide = Predict("t00_w", "-", -2.4, [Mistake(-7.2, "u"), Mistake(-5.3, "float64")], rtol=0.2, within="half a decade")
    assert said(wide, -6.0).hint == "float64"
    assert said(wide, -20.0).difference == "not within half a decade of the right number"


def test_a_word_is_compared_without_its_spelling():
    assert said(WORD, " Down").passed
    assert said(WORD, "up").hint == "towards the output it is up"
    assert not said(WORD, 3).passed


# ---- explain


def test_the_reason_is_one_letter():
    assert said(WHY, "b").passed
    for answer in (" B ", "(b)", "b.", "B:", "b) that", "b) that\nsince"):
        assert said(WHY, answer).passed, answer
    assert said(WHY, "because").difference == "'because' is none of the choices"
    assert said(WHY, "a").hint == "this is not so"
    assert said(WHY, "c").difference == "'c' is none of the choices"
    assert said(WHY, "c").hint == "answer with one of a, b"
    assert said(WHY, ...).difference == OPEN
    assert said(WHY, 2).hint == "answer with one of a, b"


@pytest.mark.parametrize("answer", ["(b)", "b)", "b.", "'b'", "B) "])
def test_a_letter_may_be_written_with_its_bracket(answer):
    assert said(WHY, answer).passed


@pytest.mark.parametrize("answer", [["b"], ("b",), {"b": 1}, np.array(["a", "b"]), np.zeros(3), lambda: "b"])
def test_what_is_no_letter_is_none_of_the_choices(answer):
    assert "is none of the choices" in said(WHY, answer).difference


SIDES = Predict(
    "t00_sides",
    "two sides",
    {"first": 8, "second": 4},
    [Mistake({"first": 6, "second": 4}, "without padding"), Mistake({"first": 8, "second": 2}, "halved twice")],
    rtol=1e-4,
)


def test_in_a_dict_each_wrong_number_is_named_by_itself():
    assert said(SIDES, {"first": 6, "second": 4}).hint == "without padding"
    assert said(SIDES, {"first": 6, "second": 3}).hint == "without padding"
    assert said(SIDES, {"first": 7, "second": 2}).hint == "halved twice"
    assert said(SIDES, {"first": 7, "second": 4}).hint == ""
    assert said(SIDES, {"first": 7, "second": 3}).difference == "not right yet: first, second"
    assert not said(SIDES, {"second": 2}).passed


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ("12", "the text '12' came, a number was expected (which has no quotes around it)"),
        ("a dozen", "'a dozen' came, a number was expected"),
        ([12], "a list of 1 came, one number was expected"),
        (np.array([12.0]), "an array of shape (1,) came, one number was expected"),
        ({"n": 12}, "came, a number was expected"),
    ],
)
def test_what_is_no_number_is_called_so(answer, words):
    assert words in said(COUNT, answer).difference
    assert not said(COUNT, answer).passed


def test_a_string_in_a_dict_of_numbers_is_called_so():
    assert said(SIDES, {"first": "8", "second": 4}).difference.startswith("first: the text '8' came, a number")


def test_every_wrong_choice_needs_a_hint():
    with pytest.raises(ValueError, match="every choice but the right one needs a hint"):
        Explain("t00", "?", {"a": "1", "b": "2"}, "b", {})


# ---- all


@pytest.mark.parametrize("exercise", [SCALE, COUNT, WHY])
def test_its_repr_says_the_task_and_how_to_check_it(exercise):
    assert repr(exercise).startswith(f"{exercise.name}: {exercise.task}\n")
    assert f"md.check.{exercise.name}(" in repr(exercise)


def test_the_cases_are_the_same_for_the_same_seed(monkeypatch):
    first = SCALE.cases()[0][0]
    assert np.array_equal(first, SCALE.cases()[0][0])
    md.check.seed(7)
    assert not np.array_equal(first, SCALE.cases()[0][0])
    assert SCALE.cases()[-1][0].dtype == np.float32


def test_how_far_off_is_said_of_the_right_number_not_of_what_was_answered():
    assert said(COUNT, 24.0).difference == "not within 1% of the right number"


def test_an_answer_that_is_none_of_the_choices_is_quoted_as_it_was_given():
    assert said(WHY, "Because.").difference == "'Because.' is none of the choices"


def test_what_an_answer_gave_is_told_without_an_error_of_its_own():
    def whole(answer, x):
        if not isinstance(answer(x), float):
            raise UnfitError("return a number, not an array")
        return answer(x)

    exercise = Implement("t00_sum", "-", lambda x: float(x.sum()), lambda rng: [(np.ones(3),)], adapt=whole)
    assert said(exercise, lambda x: sum(x.tolist())).passed
    assert said(exercise, lambda x: x).difference == "return a number, not an array"
