"""Where in a program an event happened: the user's line, and the calls of modules around it."""

from __future__ import annotations

import weakref
from typing import Any

import minidl as md
import minidl.functional as F
from minidl import nn
from minidl.stepper.frames import _targets_of
from tests.arrays import tensor


class Cell(nn.Module):
    def forward(self, h: Any) -> Any:
        return F.tanh(h)


class Unrolled(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.cell = Cell()

    def forward(self, h: Any) -> Any:
        for _ in range(3):
            h = self.cell(h)
        return h


def test_the_users_line_is_the_innermost_that_is_not_minidls() -> None:
    with md.record() as tape:
        nn.Sequential(nn.Flatten(), nn.ReLU())(tensor([[1.0]]))  # this line
    found = {tape.source(event) for event in tape}
    assert len(found) == 1
    ((file, _, text),) = found  # type: ignore[misc]
    assert file.endswith("test_frames.py")
    assert text.endswith("# this line")
    assert tape.lines[0].function == "test_the_users_line_is_the_innermost_that_is_not_minidls"


def test_a_backward_knows_the_line_of_its_forward_and_that_of_backward() -> None:
    x = tensor([1.0], requires_grad=True)
    with md.record() as tape:
        y = F.exp(x)  # forward
        y.backward()  # back
    last = tape[2]
    assert tape.source(last)[2].endswith("# forward")  # type: ignore[index]
    assert tape.source(last, of_caller=True)[2].endswith("# back")  # type: ignore[index]


def test_every_call_of_a_module_is_one_of_its_own() -> None:
    with md.record() as tape:
        Unrolled()(tensor([1.0]))
    assert [(call.path, call.nth, call.parent) for call in tape.calls] == [
        ("Unrolled", 1, None),
        ("cell", 1, 0),
        ("cell", 2, 0),
        ("cell", 3, 0),
    ]
    assert [event.call for event in tape] == [1, 2, 3]


def test_several_ops_of_one_call_share_it() -> None:
    class Two(nn.Module):
        def forward(self, x: Any) -> Any:
            return F.exp(F.exp(x))

    two = Two()
    with md.record() as tape:
        two(two(tensor([0.0])))
    assert [event.call for event in tape] == [0, 0, 1, 1]


def test_names_come_from_assignments_over_several_lines() -> None:
    x = tensor([1.0])
    with md.record() as tape:
        h: Any = F.exp(x)
        h += 1
        a, b = h * 2, h * 3
    assert a.shape == b.shape
    assert [value.key for value in tape.values if value.kind == "result"] == ["h", "h2", "mul", "b"]


def test_two_statements_on_a_line_name_nothing() -> None:
    text = 'h = w * x; s = "done"\nwith a: y = h * 2\nmatch y:\n    case _: z = (\n        y)\n'
    assert _targets_of(text) == {1: "", 2: "y", 4: "z", 5: "z"}


def test_control_characters_of_names_are_written_out() -> None:
    x = md.Tensor([1.0], name="\x1b[31mred")
    with md.record(title="a\x07b") as tape:
        F.exp(x)
    assert tape.values[0].key == "\\x1b[31mred"
    assert tape.title == "a\\x07b"


def test_a_program_without_a_file() -> None:
    space: dict[str, Any] = {"md": md, "F": F}
    exec("with md.record() as tape:\n    y = F.exp(md.tensor([1.0]))", space)
    tape = space["tape"]
    assert tape.source(tape[0]) == ("<string>", 2, "")
    assert tape.values[-1].key == "y"


def test_a_line_with_several_targets() -> None:
    x = tensor([[1.0, 2.0]])
    with md.record() as tape:
        a, b = 2, F.exp(x)
        F.exp(b * a)
    assert tape.values[1].key == "b"


def test_looking_at_variables_keeps_none_alive_and_leaves_locals_alone() -> None:
    x, h = tensor([1.0]), tensor([2.0])
    with md.record() as tape:
        F.exp(x)
    assert tape.values[0].key == "x"
    gone = weakref.ref(h)
    del h
    assert gone() is None

    held = locals()
    y = tensor([3.0])
    with md.record() as tape:
        F.exp(y)
    assert tape.values[0].key == "y"
    assert held["x"] is x
