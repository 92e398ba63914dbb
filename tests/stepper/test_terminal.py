"""The player: its commands as they are typed, and what it says, held to transcripts.

To renew the transcripts: MINIDL_RENEW=1 pytest tests/stepper/test_terminal.py; then read what git says has changed.
"""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

import minidl as md
from minidl.stepper.lessons import NAMES, help_of
from minidl.stepper.running import Recorded
from minidl.stepper.tape import Tape
from minidl.stepper.terminal import Player, play

HERE = Path(__file__).parent
FOLDER = HERE / "transcripts"

TRANSCRIPTS = {
    "check": ("two_layers", 80, ["k fc1.weight 0 1", "check h", "k x", "k loss", "k y 0 0", "k"]),
    "forward": ("two_layers", 80, [
        "n", "", "b", "v h", "v h 0 1", "v fc1.weight[1, 0]", "g h", "w 2", "]", "w 1", "q",
    ]),
    "backward": ("two_layers", 80, [
        "phase backward", "n", "n;n", "n", "n", "g h", "g h 0 0", "g fc1.weight", "layers", "v loss",
    ]),
    "updates": ("two_layers", 80, ["phase acc", "phase update", "g fc1.weight", "v fc1.weight", "b", "v fc1.weight"]),
    "around": ("two_layers", 80, [
        "list", "list 10 13", "layers", "p h", "p x", "ch h", "children loss", "help", "help g", "h quiz",
    ]),
    "breaks": ("two_layers", 80, [
        "break op ReLU", "break fc2", "break value h", "breaks", "c", "c", "rc", "delete 2", "breaks", "d", "c", "rc",
        "break nan", "c",
    ]),
    "wrong": ("two_layers", 80, [
        "nxt", "dance", "b", "j 99", "j -1", "n", "]", "v hh", "v h 0", "v h 0 9", "g h 5 5", "phase x",
        "break op Nothing",
        "break", "delete 4", "n x", "list a", "help dance", "break op ReLU", "break op ReLU", "v x\x1b[2J",
    ]),
    "quiz": ("two_layers", 80, [
        "quiz", "phase backward", "n", "1", "n", "v fc2.weight", "what", "?", "", "n", "-17/16", "n", "1e9", "n", "x",
        "0", "quiz", "b",
    ]),
    "used_twice": ("used_twice", 80, [
        "phase backward", "g h", "n 3", "g h", "n", "g h", "g h 0 1", "n", "n", "phase acc", "j 20",
        "phase acc", "g w", "g w 0",
    ]),
    "narrow": ("two_layers", 60, ["list", "w 1", "phase backward", "n 4", "h"]),
    "wide": ("two_layers", 200, ["list", "phase backward", "n 4"]),
}  # fmt: skip


@pytest.fixture(scope="module")
def tapes() -> dict[str, Tape]:
    found = {}
    for name in ("two_layers", "used_twice"):
        run = Recorded(str(HERE / "programs" / f"{name}.py")).run()
        assert run.error is None
        assert run.tape is not None
        tape = run.tape
        tape.files[:] = [file_named(file, Path(file.name).name) for file in tape.files]
        found[name] = tape
    return found


def file_named(file: object, name: str) -> object:
    """As it is called where the test runs in another folder."""
    return type(file)(name, file.first, file.text)  # type: ignore[attr-defined,call-arg]


def said(tape: Tape, commands: str | list[str], width: int = 80) -> str:
    stream = io.StringIO()
    play(tape, commands, stream, width)
    return stream.getvalue()


# ---- transcripts


@pytest.mark.parametrize("name", TRANSCRIPTS)
def test_a_transcript(name: str, tapes: dict[str, Tape]) -> None:
    program, width, commands = TRANSCRIPTS[name]
    found = said(tapes[program], commands, width)
    file = FOLDER / f"{name}.txt"
    if os.environ.get("MINIDL_RENEW"):
        file.write_text(found, encoding="utf-8", newline="\n")
    assert found == file.read_text(encoding="utf-8")
    assert max(map(len, found.split("\n"))) <= width


def test_there_is_no_transcript_of_nothing() -> None:
    assert {file.stem for file in FOLDER.glob("*.txt")} == set(TRANSCRIPTS)


# ---- numbers


def test_every_number_is_numpys(tapes: dict[str, Tape]) -> None:
    x, y = np.float32([[1.0, 0.5], [-1.0, 2.0]]), np.float32([[1.0], [0.0]])
    w1, b1, w2, b2 = np.float32([[0.5, -1.0], [2.0, 0.25]]), [0.5, -0.5], np.float32([[1.0, -0.5]]), [0.25]
    h = np.maximum(x @ w1.T + np.float32(b1), 0)
    g = 2 * (h @ w2.T + np.float32(b2) - y) / 2
    tape = tapes["two_layers"]
    for i in np.ndindex(2, 2):
        place = " ".join(map(str, i))
        assert f"h[{i[0]}, {i[1]}] = {h[i]}\n" in said(tape, f"j -1; v h {place}")
        gradient = (g @ w2 * (h > 0)).T @ x
        assert f"dL/dfc1.weight[{i[0]}, {i[1]}] = {gradient[i]}\n" in said(tape, f"j -1; g fc1.weight {place}")


def test_what_is_not_computed_yet_is_said_and_never_0(tapes: dict[str, Tape]) -> None:
    found = said(tapes["two_layers"], "v h; g h; phase backward; g h")
    assert "h has not been computed yet: event 1 (ReLU) does that" in found
    assert "dL/dh is not known yet: the backward begins with event" in found
    assert "dL/dh is not known yet: it comes with event" in found
    assert "= 0" not in found


def test_a_sum_that_is_not_complete_says_so(tapes: dict[str, Tape]) -> None:
    tape = tapes["used_twice"]
    value = tape.value("h")
    sending = [e.number for e in tape for a in e.addends if a.value == value.number]
    assert len(sending) == 3
    assert "so far, 1 of 3 addends" in said(tape, f"j {sending[0]}; g h")


# ---- commands


def test_every_command_is_there_and_taught() -> None:
    for name, method in NAMES.items():
        assert callable(getattr(Player, method)), name
        assert help_of(name)[0]


@pytest.mark.parametrize(
    ("short", "long"), [("n", "next"), ("v h", "value h"), ("g h", "grad h"), ("w", "wh"), ("l", "lis"), ("c", "cont")]
)
def test_a_letter_the_word_and_its_beginning_do_the_same(tapes: dict[str, Tape], short: str, long: str) -> None:
    one, other = said(tapes["two_layers"], short), said(tapes["two_layers"], long)
    assert one.replace(f"(0) {short}\n", "") == other.replace(f"(0) {long}\n", "")


def test_an_empty_tape_says_so() -> None:
    with md.record() as tape:
        pass
    assert "nothing to step through" in said(tape, "n")


def test_a_sampled_array_is_a_picture_and_says_what_was_not_kept() -> None:
    with md.record(elements=100) as tape:
        md.tensor(np.arange(10_000.0).reshape(100, 100)) * 1
    found = said(tape, "v; v 50 50; v 99 99")
    assert "0 to 9999, mean 5000" in found
    assert "█" in found
    assert "was not kept: of 10000 numbers a sample of 100 was" in found
    assert "[99, 99] = 9999.0" in found


def test_names_and_lines_cannot_steer_the_terminal() -> None:
    with md.record() as tape:
        x = md.tensor([1.0], name="x\x1b[2J\n")
        x * 2  # \x1b[31m
    assert "\x1b" not in said(tape, "v; w; list; p; v x\x1b; \x1b")


def test_inside_the_block_it_begins_where_the_program_is_and_leaves_nothing_on_the_tape() -> None:
    w = md.tensor([1.0, 2.0], requires_grad=True, name="w")
    with md.record() as tape:
        for _ in tape.live((w * w).sum()):
            before = len(tape)
            assert f"\n{before - 1}/{before - 1}  " in said(tape, "v; g w; w; list")
            assert len(tape) == before
        assert "they agree" in said(tape, "k w 0")
        assert len(tape) == before


# ---- streams


def test_lines_from_a_pipe_are_written_out_as_if_typed(tapes: dict[str, Tape], monkeypatch, capsys) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("n\nb\n"))
    tapes["two_layers"].play()
    found = capsys.readouterr().out
    assert "(0) n\n1/" in found
    assert found.endswith("(0) \n")  # the input ended


@pytest.mark.parametrize("stop", [KeyboardInterrupt, EOFError])
def test_it_ends_cleanly_with_the_input(tapes: dict[str, Tape], monkeypatch, capsys, stop) -> None:
    def ended(prompt: str) -> str:
        raise stop

    monkeypatch.setattr("builtins.input", ended)
    tapes["two_layers"].play()
    assert capsys.readouterr().err == ""


def test_without_a_standard_input_it_shows_where_it_begins(tapes: dict[str, Tape], monkeypatch, capsys) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    tapes["two_layers"].play()
    assert "0/" in capsys.readouterr().out


@pytest.mark.skipif(os.name == "nt", reason="Windows has no pty")
def test_in_a_real_terminal() -> None:
    """Typed keys, colours unless they are not wanted, the terminal's width, Ctrl-D."""
    import pty
    import termios

    master, slave = pty.openpty()
    termios.tcsetwinsize(slave, (24, 70))
    dropped = {"NO_COLOR", "COLUMNS", "LINES"}
    environment = {name: value for name, value in os.environ.items() if name not in dropped} | {"TERM": "xterm"}
    command = [sys.executable, "-m", "minidl", "step", str(HERE / "programs" / "two_layers.py")]
    with subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, env=environment) as process:
        os.close(slave)
        timer = threading.Timer(30, process.kill)
        timer.start()
        found, keys = b"", [b"]\n", b"v sub\n", b"\x04"]
        with suppress(OSError):  # the other end is closed
            while piece := os.read(master, 4096):
                found += piece
                if keys and re.search(rb"\(\d+\) $", found):  # it waits for a command
                    os.write(master, keys.pop(0))
        timer.cancel()
    os.close(master)
    assert process.returncode == 0
    text = found.decode()
    assert "\x1b[35mloss\x1b[0m" in text
    assert "sub (2, 1) float32" in re.sub(r"\x1b\[[\d;?]*[a-zA-Z]", "", text)
    assert max(len(re.sub(r"\x1b\[[\d;?]*[a-zA-Z]", "", line)) for line in text.split("\r\n")[-12:]) <= 70


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        ("w 1000000000", "h = "),
        ("w some", "expected how many lines"),
        ("list 5 2", "FROM comes first"),
        ("list 9999", "FROM comes first"),
        ("delete 1", "there are no breakpoints"),
        ("quiz maybe", "quiz on or quiz off"),
    ],
)
def test_odd_arguments_are_answered_at_once(command: str, answer: str, tapes: dict[str, Tape]) -> None:
    assert answer in said(tapes["two_layers"], [command])


def test_children_tells_addends_from_uses_without_history() -> None:
    w = md.tensor([1.0], requires_grad=True)
    with md.record() as tape:
        (w * 2).sum().backward()
        with md.no_grad():
            w -= 0.1 * w.grad
    assert "sum" not in said(tape, ["children w"]).split("was made\n")[1].replace("sub", "")
    with md.record() as tape:
        (w * w).sum().backward()
    assert "a sum: in the last backward of 2 addends, at event 4." in said(tape, ["children w"])
