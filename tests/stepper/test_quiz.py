"""Questions about a tape: a right answer is right within 1 %, and the usual mistakes are called by their names."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

import minidl as md
import minidl.functional as F
from minidl import nn, optim
from minidl.stepper.quiz import about_gradient, choose, questions_of
from minidl.stepper.tape import Tape
from tests.arrays import device


def tensor(numbers: Any, requires_grad: bool = False) -> md.Tensor:
    """A tensor on the device of this run."""
    numbers = device(numbers) if isinstance(numbers, np.ndarray) else numbers
    return md.tensor(numbers, requires_grad=requires_grad)


RNG = np.random.default_rng(7)


def of(make: Any) -> Tape:
    with md.record() as tape:
        loss = make()
        loss.backward()
    return tape


def asked(tape: Tape, op: str, addend: int = 0, place: tuple[int, ...] = (1,)) -> Any:
    (event,) = tape.find("backward", op)
    question = choose(tape, event, addend, place)
    assert question is not None
    return question


W = tensor([1.0, 3.0], requires_grad=True)


def test_a_right_answer_is_right_within_one_percent() -> None:
    question = asked(of(lambda: F.square(W).sum()), "Square")
    assert question.answer == 6
    assert question.judge(6.0) == (True, "right: 6")
    assert question.is_right(6.05)
    assert not question.is_right(6.1)
    assert question.judge(-17.0) == (False, "no")


@pytest.mark.parametrize(
    ("make", "op", "addend", "said", "says"),
    [
        (lambda: F.square(W).sum(), "Square", 0, 3.0, "you forgot the factor 2"),
        (lambda: F.square(W).sum(), "Square", 0, -6.0, "the sign is the other one"),
        (lambda: (W**3).sum(), "PowNumber", 0, 9.0, "you forgot the factor 3, the exponent"),
        (lambda: (F.square(W) * 5).sum(), "Square", 0, 5.0, "the incoming gradient g alone"),
        (lambda: (F.square(W) * 5).sum(), "Square", 0, 6.0, "the local slope, without the incoming gradient g = 5"),
        (lambda: (F.square(W) * 5).sum(), "Square", 0, 300.0, "the power of ten is not"),
        (lambda: W.mean(), "Mean", 0, 1.0, "you forgot to divide by 2|the incoming gradient g alone"),
        (lambda: (W * tensor([2.0, 7.0]) * 4).sum(), "Mul", 0, 12.0, "the slope is the other factor"),
    ],
)
def test_usual_mistakes_are_recognised(make: Any, op: str, addend: int, said: float, says: str) -> None:
    tape = of(make)
    event = tape.find("backward", op)[-1]
    question = choose(tape, event, addend, (1,))
    assert question is not None
    right, words = question.judge(said)
    assert not right
    assert any(part in words for part in says.split("|")), words


def test_one_place_of_a_broadcast_is_recognised() -> None:
    x = tensor(np.array([[1, 2], [3, 4], [5, 6]], dtype=np.float32))
    question = asked(of(lambda: (x * W).sum()), "Mul", 0)
    assert question.answer == 12
    assert (
        question.judge(2.0)[1] == "that is one place only: the input was broadcast to 3 places, whose gradients add up"
    )
    assert "that is the mean" in question.judge(4.0)[1]


def test_where_paths_meet_one_addend_is_not_all() -> None:
    with md.record() as tape:
        h = F.exp(W)
        loss = (h * 2 + h * h).sum()
        loss.backward()
    question = about_gradient(tape, tape.value("h"), place=(0,))
    assert question is not None
    first = float(tape.gradient("h").addends[0][1].grad.at((0,)))
    assert question.judge(first)[1] == "that is only the first addend: 3 paths meet here"
    assert question.answer == pytest.approx(2 + 2 * np.e, rel=1e-5)
    assert question.reveal.endswith("= 7.4366")


def test_a_step_in_the_wrong_direction_is_recognised() -> None:
    w = tensor([1.0, 2.0], requires_grad=True)
    optimizer = optim.SGD([w], lr=0.1)
    with md.record() as tape:
        (w * 4).sum().backward()
        optimizer.step()
    (update,) = tape.find("update")
    question = choose(tape, update, place=(1,))
    assert question is not None
    assert question.judge(1.6)[0]
    assert question.judge(2.4)[1] == "the step goes against the gradient: subtract"
    assert question.judge(-2.0)[1] == "you forgot the rate, 0.1"


def test_cross_entropy_without_the_minus_one_is_recognised() -> None:
    scores = tensor(np.zeros((2, 4), np.float32), requires_grad=True)
    tape = of(lambda: F.cross_entropy(scores, tensor(np.array([0, 2]))))
    name = next(event.op for event in tape if event.op.endswith("CrossEntropy"))  # on a device another one
    question = asked(tape, name, 0, (1, 2))
    assert question.answer == pytest.approx(-0.375)
    assert question.judge(0.125)[1].startswith("this is p / n")
    assert question.judge(-0.75)[1] == "you forgot to divide by 2"


def test_the_hint_is_the_formula_and_the_reveal_has_the_numbers() -> None:
    question = asked(of(lambda: (F.square(W) * 5).sum()), "Square")
    key = "W"
    assert question.hint.startswith(f"dL/d{key} = g * (2 * {key}), where g is dL/d")
    assert question.hint.endswith(", 5 there")
    assert question.reveal == f"dL/d{key}[1] = g[1] * (2 * {key}[1]) = 5 * (2 * 3) = 30"


def network() -> Tape:
    model = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3))
    optimizer = optim.SGD(model, lr=0.1)
    x, y = tensor(RNG.normal(size=(6, 4)).astype(np.float32)), tensor(np.array([0, 1, 2, 0, 1, 2]))
    with md.record() as tape:
        F.cross_entropy(model(x), y).backward()
        optimizer.step()
    return tape


def test_the_same_seed_asks_the_same() -> None:
    tape = network()
    assert questions_of(tape, seed=1) == questions_of(tape, seed=1)
    assert questions_of(tape, seed=1) != questions_of(tape, seed=2)


def test_questions_are_plain_data_whose_wrong_answers_are_wrong() -> None:
    found = questions_of(network())
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert {"forward", "addend", "update"} == {question["kind"] for question in found}
    for question in found:
        for wrong in question["wrong"]:
            assert abs(wrong["number"] - question["answer"]) > question["tolerance"] + wrong["tolerance"]
    assert len(questions_of(network(), most=5)) == 5


def test_many_events_are_asked_about() -> None:
    w = tensor(RNG.normal(size=3).astype(np.float32), requires_grad=True)
    with md.record() as tape:
        h = w
        for _ in range(300):
            h = F.tanh(h) * 1.5
        h.sum().backward()
    assert len(questions_of(tape)) > 100


def test_what_is_no_question() -> None:
    tape = of(lambda: F.square(W).sum())
    seed = tape.find("backward", "seed")[0]
    assert choose(tape, seed) is None
    assert about_gradient(tape, tape.values[0]) is None
    with pytest.raises(IndexError):
        choose(tape, tape.find("backward", "Square")[0], 3)
