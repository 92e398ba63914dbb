"""Every worked line ends with the number that the tape recorded, and its numbers come to that."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import minidl as md
import minidl.functional as F
from minidl import nn, optim
from minidl.stepper.computation import read_options
from minidl.stepper.events import BACKWARD
from minidl.stepper.lines import shown
from minidl.stepper.tape import Tape
from minidl.stepper.worked import explained, worked_forward, worked_gradient
from tests.arrays import device


def tensor(numbers: Any, requires_grad: bool = False) -> md.Tensor:
    """A tensor on the device of this run."""
    numbers = device(numbers) if isinstance(numbers, np.ndarray) else numbers
    return md.tensor(numbers, requires_grad=requires_grad)


RNG = np.random.default_rng(3)


def leaf(*shape: int, low: float = -2.0, high: float = 2.0, dtype: Any = np.float32) -> md.Tensor:
    return tensor(RNG.uniform(low, high, shape).astype(dtype), requires_grad=True)


def of(function: Callable[..., md.Tensor], *inputs: md.Tensor) -> Tape:
    """The tape of a function's forward, and of a backward from a weighted sum of its result."""
    with md.record() as tape:
        out = function(*inputs)
        weights = np.linspace(0.5, 1.5, out.size).reshape(out.shape).astype(out.dtype)
        (out * tensor(weights)).sum().backward()
    return tape


X, Y, ROW, POSITIVE = leaf(3, 4), leaf(3, 4), leaf(4), leaf(3, 4, low=0.2)
IMAGES = leaf(2, 2, 5, 5)
UNIT = leaf(3, 4, low=0.1, high=0.9)
LABELS = tensor(np.array([1, 0, 3]))
CASES: dict[str, tuple[Callable[..., md.Tensor], tuple[md.Tensor, ...]]] = {
    "add, broadcast": (lambda x, b: x + b, (X, ROW)),
    "subtract from a column": (lambda x, y: x - y, (leaf(3, 1), X)),
    "multiply": (lambda x, y: x * y, (X, ROW)),
    "by itself": (lambda x: x * x, (X,)),
    "by a number": (lambda x: 3 * x, (X,)),
    "divide": (lambda x, y: x / y, (X, POSITIVE)),
    "power": (lambda x: x**3, (X,)),
    "power of arrays": (lambda x, y: x**y, (POSITIVE, Y)),
    "number to a power": (lambda x: 2.0**x, (X,)),
    "exp": (F.exp, (X,)),
    "log": (F.log, (POSITIVE,)),
    "log2": (F.log2, (POSITIVE,)),
    "sqrt": (F.sqrt, (POSITIVE,)),
    "square": (F.square, (X,)),
    "abs": (F.abs, (X,)),
    "sin": (F.sin, (X,)),
    "tan": (F.tan, (UNIT,)),
    "erf": (F.erf, (X,)),
    "relu": (F.relu, (X,)),
    "leaky relu": (F.leaky_relu, (X,)),
    "elu": (F.elu, (X,)),
    "sigmoid": (F.sigmoid, (X,)),
    "tanh": (F.tanh, (X,)),
    "softplus": (F.softplus, (X,)),
    "silu": (F.silu, (X,)),
    "gelu": (F.gelu, (X,)),
    "maximum": (F.maximum, (X, Y)),
    "clip": (lambda x: F.clip(x, -0.5, 0.5), (X,)),
    "where": (lambda x, y: F.where(x.data > 0, x, y), (X, ROW)),
    "sum": (lambda x: x.sum(), (X,)),
    "sum of rows": (lambda x: x.sum(axis=1), (X,)),
    "sum, kept": (lambda x: x.sum(axis=0, keepdims=True), (X,)),
    "mean": (lambda x: x.mean(), (X,)),
    "mean of columns": (lambda x: x.mean(axis=-2), (X,)),
    "var": (lambda x: x.var(axis=1), (X,)),
    "std": (lambda x: x.std(axis=0), (X,)),
    "max": (lambda x: x.max(axis=1), (X,)),
    "min": (lambda x: x.min(), (X,)),
    "logsumexp": (lambda x: F.logsumexp(x, axis=1), (X,)),
    "cumsum": (lambda x: F.cumsum(x, axis=1), (X,)),
    "softmax": (lambda x: F.softmax(x, axis=1), (X,)),
    "log softmax": (lambda x: F.log_softmax(x, axis=1), (X,)),
    "cross entropy": (lambda x: F.cross_entropy(x, LABELS), (X,)),
    "smoothed cross entropy": (lambda x: F.cross_entropy(x, LABELS, label_smoothing=0.1), (X,)),
    "sum of cross entropies": (lambda x: F.cross_entropy(x, LABELS, reduction="sum"), (X,)),
    "nll": (lambda x: F.nll_loss(F.log_softmax(x, axis=1), LABELS), (X,)),
    "mse": (lambda x: F.mse_loss(x, tensor(Y.numpy())), (X,)),
    "bce": (lambda x: F.binary_cross_entropy(x, tensor(np.ones((3, 4), np.float32))), (UNIT,)),
    "bce with logits": (lambda x: F.binary_cross_entropy_with_logits(x, tensor(np.ones((3, 4), np.float32))), (X,)),
    "matmul": (lambda x, y: x @ y, (X, leaf(4, 2))),
    "matrix times vector": (lambda x, y: x @ y, (X, ROW)),
    "batched matmul": (lambda x, y: x @ y, (leaf(2, 3, 4), leaf(4, 2))),
    "linear": (F.linear, (X, leaf(2, 4), leaf(2))),
    "linear in three axes": (F.linear, (leaf(2, 3, 4), leaf(2, 4), leaf(2))),
    "einsum": (lambda x, y: F.einsum("ij,kj->ik", x, y), (X, leaf(2, 4))),
    "reshape": (lambda x: x.reshape(2, 6), (X,)),
    "transpose": (lambda x: x.T, (X,)),
    "an element": (lambda x: x[1, 2], (X,)),
    "a slice": (lambda x: x[:, 1:3], (X,)),
    "rows, one twice": (lambda x: x[np.array([0, 2, 0])], (X,)),
    "concatenate": (lambda x, y: F.concatenate([x, y], axis=1), (X, Y)),
    "stack": (lambda x, y: F.stack([x, y]), (X, Y)),
    "pad": (lambda x: F.pad(x, ((1, 0), (0, 2))), (X,)),
    "broadcast": (lambda b: F.broadcast_to(b, (3, 4)), (ROW,)),
    "conv": (lambda x, w, b: F.conv2d(x, w, b, stride=2, padding=1), (IMAGES, leaf(3, 2, 3, 3), leaf(3))),
    "grouped conv": (lambda x, w: F.conv2d(x, w, groups=2, dilation=2), (IMAGES, leaf(4, 1, 2, 2))),
    "transposed conv": (lambda x, w, b: F.conv_transpose2d(x, w, b, stride=2), (IMAGES, leaf(2, 3, 3, 3), leaf(3))),
    "max pool": (lambda x: F.max_pool2d(x, 2), (IMAGES,)),
    "overlapping max pool": (lambda x: F.max_pool2d(x, 3, stride=1, padding=1), (IMAGES,)),
    "average pool": (lambda x: F.avg_pool2d(x, 2, stride=1), (IMAGES,)),
    "average pool with padding": (lambda x: F.avg_pool2d(x, 3, stride=2, padding=1), (IMAGES,)),
    "layer norm": (lambda x, w, b: F.layer_norm(x, (4,), w, b), (X, ROW, leaf(4))),
    "layer norm without weights": (lambda x: F.layer_norm(x, (4,)), (X,)),
    "group norm": (lambda x, w, b: F.group_norm(x, 2, w, b), (leaf(2, 4, 3), leaf(4), leaf(4))),
    "dropout": (lambda x: F.dropout(x, 0.5, training=True), (X,)),
    "a scalar": (lambda x: x * x + x, (leaf(),)),
    "float64": (lambda x, y: F.tanh(x) * y, (leaf(3, dtype=np.float64), leaf(3, dtype=np.float64))),
}


def last_number(text: str) -> str:
    return re.split(r" = | so |, so ", text)[-1].split(" ")[-1]


@pytest.mark.parametrize("name", CASES)
def test_every_line_ends_with_the_recorded_number(name: str) -> None:
    tape = of(*[CASES[name][0], *CASES[name][1]])
    for event in tape:
        if event.phase in ("forward", "loss") and event.output is not None:
            kept = tape.content(tape.values[event.output])
            assert kept is not None
            for place in np.ndindex(kept.shape):
                text = worked_forward(tape, event, place)
                assert text is not None, f"{event.op} has no worked forward at {place}"
                assert last_number(text) == shown(float(kept.at(place))), text
        if event.phase == BACKWARD:
            for n, addend in enumerate(event.addends):
                for place in np.ndindex(addend.grad.shape):
                    text = worked_gradient(tape, event, n, place)
                    assert text is not None, f"{event.op} has no worked gradient of input {addend.input} at {place}"
                    assert last_number(text) == shown(float(addend.grad.at(place))), text


def test_the_numbers_in_a_line_come_to_its_end() -> None:
    """Where a line says only + - * /, Python computes it to the same."""
    checked = 0
    for name in ("multiply", "by itself", "divide", "tanh", "matmul", "linear", "mean", "square", "layer norm"):
        tape = of(*[CASES[name][0], *CASES[name][1]])
        for entry in explained(tape):
            for lines in [entry["worked"]["forward"], *entry["worked"]["gradients"]]:
                for line in lines:
                    parts = line["text"].split(" = ")
                    if len(parts) > 2 and re.fullmatch(r"[-0-9.e()*/+ ^]+", parts[-2]) and "..." not in parts[-2]:
                        value = eval(parts[-2].replace("^", "**"))
                        assert math.isclose(value, float(parts[-1]), rel_tol=2e-3, abs_tol=2e-3), line["text"]
                        checked += 1
    assert checked > 200


def test_a_line_reads_as_the_chain_rule_does() -> None:
    x, w = tensor([2.0, 3.0]), tensor([0.25, 0.5], requires_grad=True)
    with md.record() as tape:
        h = w * x
        loss = h.sum()
        loss.backward()
    (mul,) = tape.find(BACKWARD, "Mul")
    assert worked_forward(tape, mul, (1,)) == "h[1] = w[1] * x[1] = 0.5 * 3 = 1.5"
    assert worked_gradient(tape, mul, 0, (1,)) == "dL/dw[1] = g[1] * x[1] = 1 * 3 = 3"


def test_cases_say_which_holds_and_why() -> None:
    x = tensor([2.0, -1.0], requires_grad=True)
    with md.record() as tape:
        loss = F.relu(x).sum()
        loss.backward()
    (relu,) = tape.find(BACKWARD, "ReLU")
    assert worked_gradient(tape, relu, 0, (0,)) == "dL/dw[0]: is w[0] > 0? 2 > 0: yes, so g[0] = 1".replace(
        "w[", f"{tape.values[relu.inputs[0]].key}["
    )
    text = worked_gradient(tape, relu, 0, (1,))
    assert text is not None
    assert text.endswith("-1 > 0: no, so 0")


def test_a_sum_over_a_broadcast_shows_its_first_terms() -> None:
    b = tensor([1.0, 2.0], requires_grad=True)
    x = tensor(np.arange(12, dtype=np.float32).reshape(6, 2))
    with md.record() as tape:
        loss = (x * b).sum()
        loss.backward()
    (mul,) = tape.find(BACKWARD, "Mul")
    text = worked_gradient(tape, mul, 0, (1,))
    assert text is not None
    assert text.endswith("1 * 1 + 1 * 3 + 1 * 5 + ... (6 terms) = 36")


def test_accumulating_and_updating_are_worked_out() -> None:
    w = tensor([1.0, 2.0], requires_grad=True)
    optimizer = optim.SGD([w], lr=0.1)
    with md.record() as tape:
        (w * w).sum().backward()
        (w * 3).sum().backward()
        optimizer.step()
    first, second = tape.find("accumulate")
    key = tape.values[first.output or 0].key
    said = worked_forward(tape, first, (1,))
    assert said == f"{key}.grad[1]: there was none, so it is dL/d{key}[1] = 4"
    assert worked_forward(tape, second, (1,)) == f"{key}.grad[1] = before[1] + dL/d{key}[1] = 4 + 3 = 7"
    (update,) = tape.find("update")
    assert worked_forward(tape, update, (1,)) == f"new {key}[1] = {key}[1] - 0.1 * g[1] = 2 - 0.1 * 7 = 1.3"


def test_what_the_tape_holds_only_a_sample_of_is_said_to_be_so() -> None:
    x = tensor(RNG.normal(size=(200, 50)).astype(np.float32))
    w = tensor(RNG.normal(size=50).astype(np.float32), requires_grad=True)
    with md.record(elements=100) as tape:
        loss = (x @ w).sum()
        loss.backward()
    for event, entry in zip(tape, explained(tape), strict=True):
        for line in entry["worked"]["forward"]:
            if event.op == "MatMul":
                assert "not all of them on the tape" in line["text"]


def test_a_tape_from_a_file_is_explained_too(tmp_path: Any) -> None:
    tape = of(lambda x: F.cross_entropy(F.max_pool2d(x, 2).reshape(2, -1), tensor(np.array([1, 5]))), IMAGES)
    tape.save(tmp_path / "step.json")
    read = Tape.load(tmp_path / "step.json")
    assert read.program is None
    (loss,) = [event for event in read.find(BACKWARD) if event.op.endswith("CrossEntropy")]
    text = worked_gradient(read, loss, 0, (1, 5))
    assert text is not None
    assert "class 5 is the label of sample 1" in text


def test_what_a_file_says_is_neither_run_nor_sent_to_a_terminal(tmp_path: Any) -> None:
    tape = of(lambda x: F.max_pool2d(x, 2)[0], IMAGES)
    tape.program = None
    for number, options in enumerate(("kernel=(10**9, 10**9)", "index=__import__('os').system('x')")):
        tape.events[number] = replace(tape.events[number], options=options)
    for value in tape.values:
        value.key = f"\x1b[2J{value.key}"
    tape.save(tmp_path / "step.json")
    read = Tape.load(tmp_path / "step.json")
    for entry in explained(read):
        for lines in [entry["worked"]["forward"], *entry["worked"]["gradients"]]:
            assert all("\x1b" not in line["text"] for line in lines)
    assert read_options("a=1, b=__import__('os'), c=(1, slice(None, 2, None)), d=...") == {
        "a": 1,
        "c": (1, slice(None, 2, None)),
        "d": ...,
    }
    assert read_options("kernel=(9, 9), ((((") == {}


def test_a_thousand_events_are_explained() -> None:
    model = nn.Sequential(*[layer for _ in range(20) for layer in (nn.Linear(8, 8), nn.Tanh())])
    x = tensor(RNG.normal(size=(4, 8)).astype(np.float32))
    with md.record() as tape:
        for _ in range(8):
            model(x).sum().backward()
    assert len(tape) > 900
    found = explained(tape)
    assert len(found) == len(tape)
    assert all(entry["formula"] is not None for event, entry in zip(tape, found, strict=True))


def test_no_place_no_line() -> None:
    tape = of(*[CASES["exp"][0], *CASES["exp"][1]])
    with pytest.raises(IndexError):
        worked_forward(tape, tape[0], (7, 7))
