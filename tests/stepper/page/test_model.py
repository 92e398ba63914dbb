"""The page's own tests (node --test), held to what Python answers about the same tapes and numbers."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np

import minidl as md
import minidl.functional as F
from minidl.stepper.contents import TapeContents
from minidl.stepper.events import Value
from minidl.stepper.kept import Kept, keep
from minidl.stepper.saving import as_json, finite
from tests.arrays import tensor
from tests.stepper.pages import missing

HERE = Path(__file__).parent
NODE = shutil.which("node")


def two_steps() -> TapeContents:
    """A diamond, a product with itself, a broadcast bias, a value that is not finite, and two updates."""
    draw = np.random.default_rng(0)
    x, y = (md.tensor(draw.normal(size=shape).astype(np.float32)) for shape in [(4, 3), (4, 2)])
    w = md.tensor(draw.normal(size=(3, 2)).astype(np.float32), requires_grad=True)
    b = md.tensor(np.zeros(2, np.float32), requires_grad=True)
    optimizer = md.optim.SGD([w, b], lr=0.1)
    with md.record(title="two steps") as tape:
        for _ in range(2):
            optimizer.zero_grad()
            h = x @ w + b
            loss = F.mean((h * h + F.tanh(h) - y) ** 2)
            loss.backward()
            optimizer.step()
        with np.errstate(all="ignore"):
            md.tensor([1.0, 0.0, -1.0]) / md.tensor([0.0, 0.0, 0.0])
    return tape


def in_layers() -> TapeContents:
    model = md.nn.Sequential(md.nn.Linear(3, 4), md.nn.ReLU(), md.nn.Linear(4, 2))
    with md.record(title="in layers") as tape:
        F.cross_entropy(model(tensor(np.ones((5, 3), np.float32))), tensor([0, 1, 0, 1, 0])).backward()
    return tape


def said(kept: Kept | None) -> Any:
    if kept is None:
        return None
    with np.errstate(all="ignore"):
        return [list(kept.shape), kept.dtype, float(kept.values.astype(np.float64).sum()), kept.norm]


def answers(tape: TapeContents) -> list[list[dict[str, Any]]]:
    return [[answer(tape, value, i) for value in tape.values] for i in range(len(tape))]


def answer(tape: TapeContents, value: Value, i: int) -> dict[str, Any]:
    known = tape.gradient(value, i)
    numbers = [number for number, _ in known.addends]
    held = said(tape.content(value, i))
    return {"content": held, "total": said(known.total), "addends": numbers, "complete": known.complete}


def sampled() -> dict[str, Any]:
    array = np.arange(300.0 * 200).reshape(300, 200)
    kept = keep(array)
    tape = TapeContents("sampled")
    tape.values.append(Value(0, "a", "input", kept.shape, kept.dtype, contents=[(0, kept)]))
    places = [(0, 0), (299, 199), (150, 100), (1, 1), (int(kept.index[0][5]), int(kept.index[1][7]))]
    return {"tape": as_json(tape), "places": [[list(place), kept.at(place)] for place in places]}


def numbers() -> list[list[Any]]:
    """[dtype, number, 4 significant digits (5 from 10,000 on), all digits] as NumPy prints them."""
    draw = np.random.default_rng(0)
    chosen = np.concatenate([
        draw.normal(size=80) * 10.0 ** draw.integers(-9, 9, 80), draw.integers(0, 20000, 60) / 64,
        10.0 ** np.arange(-7, 7), 1 - 10.0 ** -np.arange(1, 7),
        [0.03125, 2.5e-5, 99999.5, 9999.95, -0.0, 0.0, np.nan, np.inf, -np.inf],
    ])  # fmt: skip
    found: list[list[Any]] = []
    for dtype in ("float16", "float32", "float64"):
        with np.errstate(all="ignore"):
            of_dtype = chosen.astype(dtype)
        found += [[dtype, "-0" if _is_minus_0(x) else float(x), *printed(x)] for x in of_dtype]
    return [*found, ["int64", -7, "-7", "-7"], ["bool", 1, "True", "True"]]


def printed(x: Any) -> tuple[str, str]:
    size = abs(float(x))
    if not np.isfinite(x):
        return str(x), str(x)
    digits = 5 if size >= 1e4 else 4
    if size == 0 or 1e-4 <= size < 1e5:
        short = np.format_float_positional(x, precision=digits, fractional=False, trim=".")
    else:
        short = np.format_float_scientific(x, precision=digits - 1, trim=".", exp_digits=2)
    if size == 0 or 1e-4 <= size < 1e16:
        return short, np.format_float_positional(x, trim="0")
    return short, np.format_float_scientific(x, trim="-", exp_digits=2)


def _is_minus_0(x: Any) -> bool:
    return bool(x == 0 and np.signbit(x))


def test_the_page_answers_as_python_does(tmp_path: Path) -> None:
    if NODE is None:
        missing("node is not installed")
    tapes = [two_steps(), in_layers()]
    written = {
        "tapes": [{"tape": as_json(tape), "answers": answers(tape)} for tape in tapes],
        "sampled": sampled(), "numbers": numbers(),
    }  # fmt: skip
    path = tmp_path / "page.json"
    path.write_text(json.dumps(finite(written), allow_nan=False), encoding="utf-8")
    tests = [str(path) for path in sorted(HERE.glob("*.test.mjs"))]
    done = subprocess.run(
        [str(NODE), "--test", *tests], env=os.environ | {"MINIDL_PAGE": str(path)}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
