"""A recorded gradient is held to what moving a number does to the loss; what cannot be held is refused in words."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import minidl as md
import minidl.functional as F
from minidl import nn, optim
from minidl.errors import GraphError
from minidl.stepper.checking import checks_of, fill_checks
from minidl.stepper.tape import Tape
from tests.arrays import device


def tensor(numbers: Any, requires_grad: bool = False) -> md.Tensor:
    """A tensor on the device of this run."""
    numbers = device(numbers) if isinstance(numbers, np.ndarray) else numbers
    return md.tensor(numbers, requires_grad=requires_grad)


RNG = np.random.default_rng(5)


def array(*shape: int) -> Any:
    return RNG.normal(size=shape).astype(np.float32)


class Wrong(md.Function):
    """z = x^2 with a backward of g x: the 2 is missing."""

    saves_inputs = True

    def forward(self, x: Any) -> Any:
        return x * x

    def backward(self, grad_out: Any, x: Any) -> Any:
        return grad_out * x


def test_a_right_gradient_agrees_and_says_so() -> None:
    w = tensor([1.0, 2.0], requires_grad=True)
    with md.record() as tape:
        loss = (w * w).sum()
        loss.backward()
    found = tape.check("w", (1,))
    assert found.ok
    assert found.backward == 4
    assert found.numeric == pytest.approx(4, abs=1e-6)
    assert str(found) == ("the backward says 4, moving w[1] by +-2e-05 changes the loss by 4 per unit: they agree")
    assert tape.checks == [found.plain()]


def test_a_wrong_backward_is_found_and_its_factor_guessed() -> None:
    w = tensor([1.0, 2.0], requires_grad=True)
    with md.record() as tape:
        loss = Wrong()(w).sum()
        loss.backward()
    found = tape.check("w")
    assert not found.ok
    assert found.index == (1,)
    assert found.words.endswith("they do not agree: the backward is 2 times too small")


def test_results_can_be_moved_too() -> None:
    w = tensor(array(3), requires_grad=True)
    with md.record() as tape:
        h = F.tanh(w)
        loss = (h * h + h).sum()
        loss.backward()
    for key in ("h", "w", "loss"):
        assert tape.check(key).ok


def test_a_network_agrees_everywhere() -> None:
    model = nn.Sequential(
        nn.Conv2d(1, 2, 3, bias=False), nn.BatchNorm2d(2), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(8, 3)
    )
    images, labels = tensor(array(4, 1, 6, 6)), tensor(np.array([0, 1, 2, 1]))
    optimizer = optim.SGD(model, lr=0.1)
    with md.record() as tape:
        F.cross_entropy(model(images), labels).backward()
        optimizer.step()
    running = model[1].running_mean.numpy().copy()
    found = checks_of(tape)
    assert len(found) > 50
    assert all(check["ok"] for check in found), [check["words"] for check in found if not check["ok"]][:3]
    assert {"value", "index", "backward", "numeric", "eps", "error", "ok"} <= set(found[0])
    assert np.array_equal(running, model[1].running_mean.numpy())


def test_checks_of_makes_as_many_as_its_work_allows_on_every_machine() -> None:
    a, b = tensor(array(60), requires_grad=True), tensor(array(100), requires_grad=True)
    with md.record() as tape:
        (F.tanh(a).sum() + F.tanh(b).sum()).backward()
    assert checks_of(tape, work=0) == []
    assert len({check["value"] for check in checks_of(tape, work=10**6)}) > 1  # one of each comes first
    of = [check["value"] for check in checks_of(tape)]
    assert (of.count(tape.value("a").number), of.count(tape.value("b").number)) == (60, 1)
    assert checks_of(tape, work=10**6) == checks_of(tape, work=10**6)
    assert 1 < len(checks_of(tape, work=10**6)) < len(of)


class Once(md.Function):
    """z = x, which nobody may compute again."""

    called = 0

    def forward(self, x: Any) -> Any:
        Once.called += 1
        if Once.called > 1:
            raise SystemError("once is enough")
        return x * 1

    def backward(self, grad_out: Any) -> Any:
        return grad_out


def test_a_tape_is_given_its_checks_when_it_is_written_and_is_written_whatever_they_do(tmp_path: Any) -> None:
    w = tensor([1.0, 2.0], requires_grad=True)
    with md.record() as tape:
        (w * w).sum().backward()
        fill_checks(tape)
        assert not tape.checks  # there is more to come
    tape.save(tmp_path / "step.json")
    assert Tape.load(tmp_path / "step.json").checks == tape.checks != []
    Once.called = 0
    with md.record() as other:
        Once()(w).sum().backward()
    other.save(tmp_path / "other.npz")
    assert Once.called > 1
    assert not [check for check in other.checks if other.values[check["value"]].key == "w"]


def test_a_kink_is_said_to_be_one() -> None:
    w = tensor([0.0, 1.0], requires_grad=True)
    with md.record() as tape:
        F.relu(w).sum().backward()
    found = tape.check("w", (0,))
    assert found.ok
    assert "kink at w[0]: below it the slope is 0, above it 1" in found.words
    assert "fine" in found.words
    assert "kink" not in tape.check("w", (1,)).words


def test_equal_largest_numbers_are_a_kink() -> None:
    w = tensor([3.0, 3.0, 1.0], requires_grad=True)
    with md.record() as tape:
        w.max().backward()
    found = tape.check("w", (0,))
    assert found.ok
    assert "the backward says 0.5, which lies between" in found.words


def test_a_strong_curve_is_no_kink() -> None:
    w = tensor(np.array([1e-4]), requires_grad=True)
    with md.record() as tape:
        F.log(w).sum().backward()
    found = tape.check("w")
    assert found.ok
    assert "kink" not in found.words


def test_dropout_drops_again_what_it_dropped() -> None:
    w = tensor(array(4, 6), requires_grad=True)
    with md.record() as tape:
        F.dropout(F.relu(w), 0.5, training=True).sum().backward()
    for place in np.ndindex(4, 6):
        assert tape.check("w", place).ok


def test_what_draws_anew_is_refused() -> None:
    class Noise(md.Function):
        def forward(self, x: Any) -> Any:
            return x * float(RNG.normal())

        def backward(self, grad_out: Any) -> Any:
            return grad_out

    w = tensor(array(3), requires_grad=True)
    with md.record() as tape:
        Noise()(w).sum().backward()
    with pytest.raises(GraphError, match=r"Noise \(event 0\) does not come to the recorded numbers again"):
        tape.check("w")


def test_what_has_no_gradient_is_refused_in_words() -> None:
    x, w, unused = tensor(array(2)), tensor(array(2), requires_grad=True), tensor(1.0, requires_grad=True)
    labels = tensor(np.array([0, 1]))
    with md.record() as tape:
        _ = unused * 2
        picked = w[labels]
        (picked * x).sum().backward()
    keys = {value.kind: value.key for value in tape.values}
    with pytest.raises(GraphError, match="requires no gradient"):
        tape.check(keys["input"])
    with pytest.raises(GraphError, match="the loss of the recorded backward does not depend on it"):
        tape.check(tape.values[0].key)
    with pytest.raises(IndexError):
        tape.check("w", (9,))
    with pytest.raises(KeyError):
        tape.check("nobody")


def test_without_a_backward_there_is_nothing_to_check() -> None:
    w = tensor(array(2), requires_grad=True)
    with md.record() as tape:
        (w * w).sum()
    with pytest.raises(GraphError, match="no backward was recorded"):
        tape.check("w")


def test_the_last_backward_counts_with_the_weights_it_saw() -> None:
    w = tensor([1.0, 2.0], requires_grad=True)
    optimizer = optim.SGD([w], lr=0.25)
    with md.record() as tape:
        for _ in range(2):
            optimizer.zero_grad()
            (w * w * w).sum().backward()
            optimizer.step()
    key = next(value.key for value in tape.values if value.kind == "leaf")
    found = tape.check(key, (0,))
    assert found.ok
    assert found.backward == pytest.approx(3 * 0.25**2)  # 1 - 0.25 * 3


def test_several_outputs_and_their_gradients() -> None:
    w = tensor(array(3), requires_grad=True)
    with md.record() as tape:
        h = F.exp(w)
        md.grad((h, w * 2), w, grad_outputs=(tensor(array(3)), tensor(array(3))))
    assert tape.check("w").ok


def test_a_scaled_loss() -> None:
    w = tensor(array(3), requires_grad=True)
    with md.record() as tape:
        (F.tanh(w).sum() * 1024).backward()
    assert tape.check("w").ok


def test_a_detached_part_and_no_grad_stay_where_they_are() -> None:
    w = tensor(array(3), requires_grad=True)
    with md.record() as tape:
        with md.no_grad():
            scale = w * 5
        (w * scale + w.detach()).sum().backward()
    assert tape.check("w").ok


def test_a_sampled_array() -> None:
    w = tensor(array(100, 100), requires_grad=True)
    with md.record(elements=50) as tape:
        F.tanh(w).sum().backward()
    assert tape.check("w").ok  # the program holds it whole
    with pytest.raises(GraphError, match=r"md.record\(elements=10000\)"):
        tape.check("w", (57, 61))


def test_a_tape_from_a_file_has_the_checks_that_were_made(tmp_path: Any) -> None:
    w = tensor([1.0, 2.0], requires_grad=True)
    with md.record() as tape:
        (w * w).sum().backward()
    made = tape.check("w", (1,))
    tape.save(tmp_path / "step.npz")
    read = Tape.load(tmp_path / "step.npz")
    assert read.check("w", (1,)).words == made.words
    with pytest.raises(GraphError, match=r"read from a file.*these places were checked before: \[\[1\]\]"):
        read.check("w", (0,))


def test_the_program_is_left_alone() -> None:
    w = tensor(array(3), requires_grad=True)
    before = w.numpy().copy()
    with md.record() as tape:
        F.sigmoid(w).sum().backward()
    grad = w.grad.numpy().copy()
    tape.check("w")
    assert np.array_equal(w.numpy(), before)
    assert np.array_equal(w.grad.numpy(), grad)
    assert len(tape) == len(tape.events)


def test_what_rounding_leaves_over_is_no_disagreement() -> None:
    x = tensor(array(4, 6), requires_grad=True)
    with md.record() as tape:
        (F.softmax(x, axis=1).sum(axis=1) * 1000).sum().backward()  # a constant, whose gradient is 0 but for rounding
    assert all(tape.check("x", place).ok for place in np.ndindex(4, 6))


def test_numbers_that_are_none_are_refused() -> None:
    w = tensor([np.nan, -1.0], requires_grad=True)
    with md.record() as tape:
        F.log(w).sum().backward()
    with pytest.raises(GraphError, match="the loss is nan"):
        tape.check("w")
    assert checks_of(tape) == []
    assert not tape.find("update")  # NaN is not taken for having been written to
