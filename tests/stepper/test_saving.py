"""Tapes in files: read back as they were, and what is no tape is refused by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minidl as md
import minidl.functional as F
from minidl.stepper.saving import as_json
from minidl.stepper.tape import Tape
from tests.arrays import tensor

BOTH = pytest.mark.parametrize("ending", ["npz", "json"])


@pytest.fixture(scope="module")
def tape() -> Tape:
    md.seed(0)
    model = md.nn.Sequential(md.nn.Linear(3, 4), md.nn.Sigmoid(), md.nn.Linear(4, 2))
    sgd = md.optim.SGD(model, lr=0.1, layer_rate=md.optim.LayerSpecific())
    with md.record(elements=8, title="one step") as tape:
        loss = F.cross_entropy(model(tensor(np.ones((5, 3), np.float32))), tensor(np.arange(5) % 2))
        loss.backward()
        sgd.step()
        F.exp(tensor([np.nan, np.inf, 1.0]) * tensor(np.ones(3, np.float16)))
        F.sum(tensor([True, False]))
    return tape


@BOTH
def test_read_as_written(tape: Tape, ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"step.{ending}"
    tape.save(path)
    again = Tape.load(path)
    assert as_json(again) == as_json(tape)
    assert again.title == "one step"
    assert again.program is None
    for value, other in zip(tape.values, again.values, strict=True):
        for (_, kept), (_, read) in zip(value.contents, other.contents, strict=True):
            np.testing.assert_array_equal(kept.values, read.values)
            assert kept.values.dtype == read.values.dtype
    again.save(path)
    assert as_json(Tape.load(path)) == as_json(tape)


def test_json_holds_what_json_can_hold(tape: Tape) -> None:
    text = json.dumps(as_json(tape), allow_nan=False)
    assert '{"not finite": "nan"}' in text
    fewer = as_json(tape, elements=2)
    assert all(len(array["data"]) <= 24 for array in fewer["arrays"])


def test_other_endings_are_refused(tape: Tape, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"a name that ends in \.npz or \.json"):
        tape.save(tmp_path / "step.txt")


def change(data: dict[str, Any], *path: Any, to: Any) -> None:
    for name in path[:-1]:
        data = data[name]
    data[path[-1]] = to


DAMAGE = [
    (("format",), "other"),
    (("version",), 99),
    (("events", 0, "phase"), "sideways"),
    (("events", 0, "inputs"), [999]),
    (("events", 0, "output"), -1),
    (("events", 0, "call"), 77),
    (("events", 5, "addends", 0, "grad"), 10**6),
    (("events", 5, "gradient"), -1),
    (("values", 0, "contents"), []),
    (("values", 0, "kind"), "thing"),
    (("calls", 0, "parent"), 0),
    (("lines", 0, "file"), 5),
    (("arrays", 0, "shape"), [1, 2, 3, 4]),
    (("arrays", 0, "data"), "AAAA"),
    (("arrays", 0, "data"), "\N{SNOWMAN}"),
    (("arrays", 0, "dtype"), "object"),
    (("events",), None),
    (("values",), [1]),
]


@pytest.mark.parametrize(("place", "to"), DAMAGE)
def test_a_damaged_file_is_refused_by_name(tape: Tape, place: Any, to: Any, tmp_path: Path) -> None:
    data = as_json(tape)
    change(data, *place, to=to)
    path = tmp_path / "step.json"
    path.write_text(json.dumps(data))
    with pytest.raises(ValueError, match=r"step\.json"):
        Tape.load(path)


@pytest.mark.parametrize("content", ["", "[]", "{}", "{", "[" * 100_000])
def test_what_is_no_tape_is_refused(content: str, tmp_path: Path) -> None:
    path = tmp_path / "step.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=r"step\.json"):
        Tape.load(path)


def test_another_npz_is_refused(tmp_path: Path) -> None:
    md.save({"w": tensor([1.0])}, tmp_path / "w.npz")
    with pytest.raises(ValueError, match=r"w\.npz"):
        Tape.load(tmp_path / "w.npz")
    with pytest.raises(FileNotFoundError):
        Tape.load(tmp_path / "none.json")
