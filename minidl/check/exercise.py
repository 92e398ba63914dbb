"""An exercise: what is asked, the right answer, the usual wrong ones, and the check.

Three kinds: `Implement`, a function to write; `Predict`, a number or a choice to say before it is computed; `Explain`,
the one of some statements that is the reason. A module tNN.py of this room holds those of tutorial NN.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from minidl.check.collecting import note
from minidl.check.comparing import another_kind, copied, difference, narrowed, plain, usual_slip
from minidl.check.differences import by_differences
from minidl.check.remembering import remember
from minidl.check.result import Result, shown
from minidl.check.running import NOT_YET, Outcome, UnfitError, is_empty, run
from minidl.check.seeding import generator
from minidl.check.values import (
    argument_in_words,
    distance,
    floats,
    in_float32,
    is_single,
    letter_of,
    value_of,
    without_numbers,
)
from minidl.tensors.tensor import Tensor

OPEN = "not answered yet: replace the ... or the `raise NotImplementedError` by your lines"
SINGLE = 1e-4  # how near a number in float32 has to be at least
BY_DIFFERENCES = 1e-5  # how near a gradient has to be to finite differences, relative to its largest number


@dataclass(frozen=True, slots=True)
class _Try:
    """What running an answer on a case gave.

    Attributes:
        right: what the solution returns; None if the answer raised an error.
        fields: those of a Result that say what is wrong; empty if nothing is.
        value_is_right: it may still not pass, for what it does besides.
    """

    case: tuple[Any, ...]
    outcome: Outcome
    right: Any
    fields: dict[str, Any]
    value_is_right: bool = False


@dataclass(frozen=True, slots=True)
class Mistake:
    """A wrong answer that students often give.

    Attributes:
        answer: the wrong function, or the wrong value: an answer that gives the same is recognised by it.
        hint: what to say to the student; it names the mistake, not the solution.
    """

    answer: Any
    hint: str


class Exercise:
    """What all kinds share: a name, the task in a sentence, the right answer, the usual mistakes.

    Calling it checks an answer, prints what was found, and returns it as a `Result`; with show=False it prints nothing.
    """

    name: str
    task: str
    solution: Any
    mistakes: tuple[Mistake, ...]

    def __call__(self, answer: Any, show: bool = True) -> Result:
        result = self._check(answer)
        remember(self.name, result.score)
        note(result)
        if show:
            print(result)
        return result

    def __repr__(self) -> str:
        return f"{self.name}: {self.task}\nCheck it with md.check.{self.name}(your answer)."

    def _check(self, answer: Any) -> Result:
        raise NotImplementedError


class Implement(Exercise):
    """A function to write.

    Args:
        name: `t03_matmul_backward`: the tutorial's number, and what it is.
        task: in one sentence.
        solution: the right function. Its parameters' names describe the cases.
        cases: given a random generator, the cases: tuples of arguments, the simplest first. At least one must be drawn.
        mistakes: usual wrong functions, with their hints.
        forward: for a function that computes gradients, called as solution(grad_out, *inputs): the function of which
            they are, forward(*inputs). The answer is then held to finite differences of it in float64, too.
        float32: whether to try the first case in float32 as well; what is computed must then be float32.
        rtol: how far a number may be off, relative to the largest of its array (1e-4 at least in float32).
        adapt: how to run an answer on a case, adapt(answer, *arguments); without it, answer(*arguments). It may raise
            UnfitError, with the words for the student.
        writes: the names of arguments that the function is meant to change. All others must stay as they are.
    """

    def __init__(
        self,
        name: str,
        task: str,
        solution: Callable[..., Any],
        cases: Callable[[np.random.Generator], Iterable[tuple[Any, ...]]],
        mistakes: Sequence[Mistake] = (),
        forward: Callable[..., Any] | None = None,
        float32: bool = True,
        rtol: float = 1e-7,
        adapt: Callable[..., Any] | None = None,
        writes: Sequence[str] = (),
    ) -> None:
        self.name, self.task, self.solution, self.mistakes = name, task, solution, tuple(mistakes)
        self.forward, self.float32, self.rtol, self.adapt, self.writes = forward, float32, rtol, adapt, tuple(writes)
        self._make_cases = cases
        self.parameters = list(inspect.signature(solution).parameters)

    def cases(self) -> list[tuple[Any, ...]]:
        """The cases of this class's seed, the first one in float32 at the end."""
        found = [tuple(case) for case in self._make_cases(generator(self.name))]
        return [*found, in_float32(found[0])] if self.float32 else found

    def _run(self, answer: Callable[..., Any], case: tuple[Any, ...]) -> Outcome:
        if self.adapt is None:
            return run(answer, case)
        return run(self.adapt, (answer, *case), answer)

    def _check(self, answer: Any) -> Result:
        cases = self.cases()
        if answer is ... or answer is None or is_empty(answer):
            return Result(self.name, 0, len(cases), difference=OPEN, working=self.solution)
        if not callable(answer):
            words = f"{shown(answer)} came, the function itself was expected, without brackets after its name"
            return Result(self.name, 0, len(cases), difference=words, working=self.solution)
        tries = [self._try(answer, case) for case in cases]
        failures = [found for found in tries if found.fields]
        right = len(cases) - len(failures)
        if not failures:
            return Result(self.name, right, len(cases), working=answer)
        fields = dict(failures[0].fields)
        if fields["difference"] != OPEN:
            fields["hint"] = self._hint(failures[0], tries) or fields.get("hint") or self._slip(failures)
        return Result(self.name, right, len(cases), working=self.solution, **fields)

    def _try(self, answer: Callable[..., Any], case: tuple[Any, ...]) -> _Try:
        given = copied(case)
        outcome = self._run(answer, given)
        words: dict[str, Any] = {"case": self._in_words(case)}
        if isinstance(outcome.error, NOT_YET):
            return _Try(case, outcome, None, {"difference": OPEN})
        if outcome.error is not None:
            unfit = isinstance(outcome.error, UnfitError)
            raised = str(outcome.error) if unfit else f"your function raised {outcome.words}"
            hint = self._hint_of_error(outcome, case)
            return _Try(case, outcome, None, {**words, "difference": raised, "hint": hint})
        right = self._run(self.solution, copied(case))
        if right.error is not None:
            raise right.error  # the exercise is wrong, not the answer
        computed, expected = plain(outcome.value), plain(right.value)
        rtol = self._tolerance(case)
        found = difference(computed, expected, rtol)
        value_is_right = not found
        changed = self._changed(given, case)
        if found:
            found = "\n".join([found, *(f"your function warned: {text}" for text in outcome.warned)])
            words |= {**_pair(computed, expected, narrowed(computed, expected, rtol)), "difference": found}
            if changed:
                words["hint"] = f"{changed}, and may have gone on with the changed one: compute a new array instead"
        elif isinstance(right.value, Tensor) and not isinstance(outcome.value, Tensor):
            words["difference"] = "an array came, a Tensor was expected: without its graph no gradient passes"
        elif changed:
            words["difference"] = changed
            words["hint"] = "compute a new array (x = x + y) instead of changing one (x += y)"
        elif self.forward is not None and not is_single(case):
            by_hand = by_differences(self.forward, case[0], case[1:])
            gradients = by_hand if len(by_hand) > 1 else by_hand[0]
            found = difference(floats(computed), floats(gradients), BY_DIFFERENCES)
            part = narrowed(floats(computed), floats(gradients), BY_DIFFERENCES)
            if found:
                words |= {**_pair(computed, gradients, part), "difference": f"finite differences: {found}"}
        return _Try(case, outcome, expected, words if "difference" in words else {}, value_is_right)

    def _in_words(self, case: tuple[Any, ...]) -> str:
        """The arguments, each on a line of its own unless all are short."""
        lines = [f"{name} = {argument_in_words(item)}" for name, item in zip(self.parameters, case, strict=False)]
        together = ", ".join(lines)
        if len(together) <= 60 and "\n" not in together:
            return together
        return "\n".join(line.replace("\n", "\n" + " " * (line.index("=") + 2)) for line in lines)

    def _hint(self, first: _Try, tries: list[_Try]) -> str:
        """That of the mistake which gives the same as the answer, in the first case that is wrong and in most others.

        In one case two functions may give the same by chance, such as where a root is 2.
        """
        if first.value_is_right:
            return ""
        alike = [mistake for mistake in self.mistakes if self._alike(first.outcome, mistake, first.case)]
        others = [other for other in tries if other is not first]
        if not alike or not others:
            return alike[0].hint if alike else ""
        often = [sum(self._alike(other.outcome, mistake, other.case) for other in others) for mistake in alike]
        return alike[often.index(max(often))].hint if 2 * max(often) >= len(others) else ""

    def _slip(self, failures: list[_Try]) -> str:
        """A slip that shows in the numbers; where it is one of a single number, only if all cases show the same."""
        if failures[0].value_is_right:
            return ""
        slips = [usual_slip(plain(f.outcome.value), f.right, self._tolerance(f.case)) for f in failures]
        part: Any = failures[0].fields.get("part") or ("", None, None)
        return slips[0] if getattr(part[1], "size", 1) > 1 or len(set(slips)) == 1 else ""

    def _alike(self, outcome: Outcome, mistake: Mistake, case: tuple[Any, ...]) -> bool:
        """Whether a mistake computes in a case what an answer computed, or raises the same error."""
        theirs = self._run(mistake.answer, copied(case))
        if outcome.error is not None or theirs.error is not None:
            return type(outcome.error) is type(theirs.error) and str(outcome.error) == str(theirs.error)
        return not difference(plain(outcome.value), plain(theirs.value), self._tolerance(case))

    def _tolerance(self, case: tuple[Any, ...]) -> float:
        return max(self.rtol, SINGLE) if is_single(case) else self.rtol

    def _hint_of_error(self, outcome: Outcome, case: tuple[Any, ...]) -> str:
        """What usually raises such an error."""
        if isinstance(outcome.error, RecursionError):
            return "it calls itself, and never ends: which call should be the last one?"
        if isinstance(outcome.error, TypeError) and re.search(r"for \^:|bitwise_xor", str(outcome.error)):
            return "^ is no power in Python: a power is written **"
        if isinstance(outcome.error, TypeError) and not outcome.line:
            names = self.parameters[: len(case)] if self.adapt is None else inspect.signature(self.solution).parameters
            return f"it is called with {len(names)} arguments: {', '.join(names)}"
        return ""

    def _changed(self, given: tuple[Any, ...], case: tuple[Any, ...]) -> str:
        for name, after, before in zip(self.parameters, given, case, strict=False):
            if name not in self.writes and difference(plain(after), plain(before), 0.0):
                return f"your function changed its argument {name}"
        return ""


class Predict(Exercise):
    """A number, or some, or a word, to say before it is computed.

    Args:
        name, task: as of every exercise.
        solution: the right value, or a function without arguments that computes it.
        mistakes: usual wrong values (or functions that compute them), with their hints.
        rtol: how far off a number may be and still count as predicted, relative to the right one.
        why: said after a right answer, in a sentence or two.
        within: rtol in words, such as "half a decade"; without it, as a percentage.
    """

    def __init__(
        self,
        name: str,
        task: str,
        solution: Any,
        mistakes: Sequence[Mistake] = (),
        rtol: float = 0.01,
        why: str = "",
        within: str = "",
    ) -> None:
        self.name, self.task, self.solution, self.mistakes = name, task, solution, tuple(mistakes)
        self.rtol, self.why, self.within = rtol, why, within or f"{rtol:.0%}"

    def _check(self, answer: Any) -> Result:
        expected = plain(value_of(self.solution))
        if _is_open(answer):
            return Result(self.name, 0, 1, difference=OPEN, working=expected)
        computed = plain(answer)
        found = self._differs(computed, expected)
        if not found:
            return Result(self.name, 1, 1, hint=self.why, working=answer)
        slip = usual_slip(floats(computed), floats(expected), self.rtol)
        hint = self._hint(computed, expected) or without_numbers(slip)
        # The right number is not shown, nor a factor that tells it: it is still to be found.
        return Result(self.name, 0, 1, case=self.task, computed=computed, difference=found, hint=hint, working=expected)

    def _hint(self, computed: Any, expected: Any) -> str:
        """The mistake with this value; of several that are within the tolerance, the nearest.

        In a dict it is enough if all that is wrong in the mistake stands in the answer: more may be wrong there.
        """
        wrong = [(mistake, plain(value_of(mistake.answer))) for mistake in self.mistakes]
        near = [(mistake, value) for mistake, value in wrong if not self._differs(computed, value)]
        if near:
            return min(near, key=lambda pair: distance(computed, pair[1]))[0].hint
        return next((mistake.hint for mistake, value in wrong if self._has_all_of(computed, value, expected)), "")

    def _has_all_of(self, computed: Any, wrong: Any, expected: Any) -> bool:
        """Whether each wrong number of one dict is in the other as well."""
        if not all(isinstance(value, dict) for value in (computed, wrong, expected)):
            return False
        if not set(computed) == set(wrong) == set(expected):
            return False
        keys = [key for key in expected if difference(floats(wrong[key]), floats(expected[key]), self.rtol)]
        return not any(difference(floats(computed[key]), floats(wrong[key]), self.rtol) for key in keys)

    def _differs(self, computed: Any, expected: Any) -> str:
        if isinstance(expected, str):
            same = isinstance(computed, str) and computed.strip().lower() == expected.lower()
            return "" if same else f"{shown(computed)} is not it"
        another = another_kind(computed, expected)
        if another:
            return another
        if isinstance(expected, dict):
            wrong = [key for key in expected if difference(floats(computed[key]), floats(expected[key]), self.rtol)]
            said = f"not within {self.within} of the right ones" if self.rtol >= 0.005 else "not right yet"
            return f"{said}: {', '.join(map(str, wrong))}" if wrong else ""
        if difference(floats(computed), floats(expected), self.rtol):
            return f"not within {self.within} of the right number" if self.rtol >= 0.005 else "that is not it"
        return ""


class Explain(Exercise):
    """The one of some statements that is the reason.

    Args:
        name, task: as of every exercise; the task is the question.
        choices: the statements, under the letters that name them.
        solution: the letter of the right one.
        hints: for every other letter, why that is not the reason.
    """

    def __init__(
        self, name: str, task: str, choices: Mapping[str, str], solution: str, hints: Mapping[str, str]
    ) -> None:
        self.name, self.task, self.choices, self.solution = name, task, dict(choices), solution
        self.mistakes = tuple(Mistake(letter, hint) for letter, hint in hints.items())
        if {solution, *hints} != set(choices) or solution in hints:
            raise ValueError(f"{name}: every choice but the right one needs a hint")

    def __repr__(self) -> str:
        choices = "\n".join(f"  {letter}) {text}" for letter, text in self.choices.items())
        return f"{self.name}: {self.task}\n{choices}\nCheck it with md.check.{self.name}('a letter')."

    def _check(self, answer: Any) -> Result:
        letter = letter_of(answer) if isinstance(answer, str) else answer
        if isinstance(letter, str) and letter == self.solution:
            return Result(self.name, 1, 1, working=self.solution)
        if letter is ... or letter is None or (isinstance(letter, str) and letter == ""):
            return Result(self.name, 0, 1, difference=OPEN, working=self.solution)
        hint = next(
            (m.hint for m in self.mistakes if isinstance(letter, str) and m.answer == letter),
            f"answer with one of {', '.join(self.choices)}",
        )
        words = "is not the answer" if isinstance(letter, str) and letter in self.choices else "is none of the choices"
        said = f"{answer!r} {words}"
        return Result(self.name, 0, 1, case=self.task, difference=said, hint=hint, working=self.solution)


def _is_open(answer: Any) -> bool:
    """Whether nothing was answered yet, or not all that was asked for."""
    if isinstance(answer, (dict, list, tuple)):
        return any(map(_is_open, answer.values() if isinstance(answer, dict) else answer))
    return answer is ... or answer is None


def _pair(computed: Any, expected: Any, part: tuple[str, Any, Any]) -> dict[str, Any]:
    return {"computed": computed, "expected": expected, "part": part}
