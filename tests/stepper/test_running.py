"""`minidl step`: a script runs as `python SCRIPT` runs it, one step of it is recorded, and the rest costs nothing."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from minidl.cli import main
from minidl.stepper import running
from minidl.stepper.running import Recorded, said
from minidl.stepper.tape import Tape

TRAIN = """
import minidl as md
w = md.tensor([1.0, 2.0], requires_grad=True, name="w")
optimizer = md.optim.SGD([w], lr=0.25)
for number in range(4):
    optimizer.zero_grad()
    loss = (w * w).sum()
    loss.backward()
    optimizer.step()
    print("step", number)
"""

IN_A_THREAD = f"""
import threading
def train():
{textwrap.indent(TRAIN, "    ")}
thread = threading.Thread(target=train)
thread.start()
thread.join()
"""


@pytest.fixture
def script(tmp_path: Path):
    def write(text: str, name: str = "train.py") -> str:
        (tmp_path / name).write_text(textwrap.dedent(text), encoding="utf-8")
        return str(tmp_path / name)

    return write


# ---- as Python runs it


SEEN = """
import os, sys
import neighbour
print(__name__, sys.argv[1:], os.path.basename(sys.argv[0]), neighbour.X, os.path.basename(__file__))
print(sys.path[0] == os.path.dirname(os.path.realpath(__file__)), sys.modules["__main__"].__dict__ is globals())
print(__package__, __spec__, __doc__, "annotations" in globals())
print(f.__annotations__ if (f := lambda: 0).__annotations__ else f.__code__.co_flags & 0x100000)
"""


def test_a_script_sees_what_python_shows_it(script, capsys, tmp_path) -> None:
    (tmp_path / "neighbour.py").write_text("X = 5")
    name = script(SEEN)
    before = sys.argv, list(sys.path), sys.modules["__main__"]
    Recorded(name, ["--n", "3"]).run()
    found = capsys.readouterr().out
    by_python = subprocess.run([sys.executable, name, "--n", "3"], capture_output=True, text=True, check=True).stdout
    assert found == by_python
    assert (sys.argv, sys.path, sys.modules["__main__"]) == before
    sys.modules.pop("neighbour")


def test_a_traceback_is_that_of_python(script, capfd) -> None:
    name = script("def f():\n    return {}['here']\nif __name__ == '__main__':\n    f()\n")
    assert main(["step", name]) == 1
    by_python = subprocess.run([sys.executable, name], capture_output=True, text=True, check=False).stderr
    assert capfd.readouterr().err == by_python


@pytest.mark.parametrize(
    ("text", "status", "printed"),
    [
        ("import sys; sys.exit()", 0, ""),
        ("import sys; sys.exit(3)", 3, ""),
        ("import sys; sys.exit(257)", 1, ""),
        ("import sys; sys.exit('no data')", 1, "no data\n"),
        ("raise KeyboardInterrupt", 130, "KeyboardInterrupt"),
        ("def f(:", 1, "SyntaxError"),
    ],
)
def test_its_exit_status_is_kept(script, capfd, text: str, status: int, printed: str) -> None:
    assert main(["step", script(text)]) == (status or 1)  # nothing was recorded
    error = capfd.readouterr().err
    assert printed in error
    assert "running.py" not in error


def test_processes_that_it_starts_find_its_functions(script) -> None:
    name = script("""
        import multiprocessing
        def double(x):
            return 2 * x
        if __name__ == "__main__":
            process = multiprocessing.get_context("spawn").Process(target=double, args=(1,))
            process.start()
            process.join(60)
            assert process.exitcode == 0
    """)
    assert Recorded(name).run().error is None


@pytest.mark.parametrize("read", [False, True])
def test_it_reads_its_own_input_and_the_player_the_rest(script, monkeypatch, capsys, read: bool) -> None:
    name = script(("name = input()\n" if read else "name = 'Ann'\n") + TRAIN + "\nprint('never')")
    monkeypatch.setattr(sys, "stdin", io.StringIO("Ann\n" * read + "n\nq\nn\n"))
    assert main(["step", name]) == 0
    found = capsys.readouterr().out
    assert "(0) n\n1/" in found
    assert "(1) q\n" in found
    assert "never" not in found


def test_a_stream_that_it_puts_in_place_of_its_output_is_not_the_players(script, monkeypatch, capsys) -> None:
    name = script(TRAIN + "\n", "tee.py")
    Path(name).write_text("import io, sys\nsys.stdout = io.StringIO()\n" + TRAIN)
    assert main(["step", "--no-play", name]) == 0
    assert "stopped tee.py after its optimizer's step 1" in capsys.readouterr().out


# ---- which step


@pytest.mark.parametrize("step", [1, 2, 4])
def test_the_chosen_step_alone_is_recorded(script, capsys, step: int) -> None:
    run = Recorded(script(TRAIN), step=step).run()
    assert run.stopped
    assert run.steps == step
    assert run.tape is not None
    assert [event.op for event in run.tape if event.phase in ("loss", "update")] == ["Sum", "SGD"]
    assert run.tape.content("w", 0).at((0,)) == 0.5 ** (step - 1)
    assert run.tape.content("w").at((0,)) == 0.5**step
    assert len(capsys.readouterr().out.splitlines()) == step - 1


def test_what_comes_before_it_is_not_watched(script, monkeypatch) -> None:
    begun = []
    original = Recorded._begin
    monkeypatch.setattr(Recorded, "_begin", lambda self: (begun.append(self.found.steps), original(self)))
    Recorded(script(TRAIN), step=3).run()
    assert begun == [2]


@pytest.mark.parametrize(
    ("text", "step", "words"),
    [
        (TRAIN, 5, "before step 5: its optimizer made 4 steps"),
        (TRAIN, 9, "before step 9: its optimizer made 4 steps"),
        ("print(1)", 1, "computed nothing with minidl's tensors"),
        ("import minidl as md\nmd.tensor([1.0]) * 2", 1, "without calling backward()"),
        (TRAIN.replace("optimizer.step()", ""), 1, "without updating a weight by an optimizer"),
        (TRAIN.replace("optimizer.step()", "1 / 0"), 1, "failed with ZeroDivisionError; here is what it did"),
        (IN_A_THREAD, 1, "a recording follows only the thread"),
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_what_happened_is_said(script, text: str, step: int, words: str) -> None:
    name = script(text)
    assert words in said(Recorded(name, step=step).run(), name, step)


def test_except_exception_does_not_hold_it_up(script) -> None:
    name = script("try:\n" + textwrap.indent(TRAIN, "    ") + "\nexcept Exception:\n    print('caught')\n")
    assert Recorded(name).run().stopped


def test_a_failure_leaves_what_was_recorded_up_to_there(script, monkeypatch, capfd) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("j -1\n"))
    assert main(["step", script(TRAIN.replace("loss.backward()", "loss.reshape(7)"))]) == 1
    captured = capfd.readouterr()
    assert "ShapeError: " in captured.err
    assert "failed with ShapeError; here is what it did up to there" in captured.out
    assert "then ShapeError" in captured.out


def test_plain_lines(script, monkeypatch) -> None:
    name = script(TRAIN + "\n" + "import minidl.autograd.modes")
    asked = []
    monkeypatch.setattr(running, "plain", lambda: asked.append(True) or io.StringIO())
    Recorded(name, on_plain_lines=True).run()
    assert asked == [True]


# ---- files


def test_a_tape_is_kept_and_opened_again(script, tmp_path, monkeypatch, capsys) -> None:
    name = script("import os\nos.chdir(os.sep)\n" + TRAIN)
    monkeypatch.chdir(tmp_path)
    assert main(["step", "--save", "step.npz", "--no-play", "--keep", "1", name]) == 0
    monkeypatch.chdir(tmp_path)
    assert len(Tape.load("step.npz")) == 7
    monkeypatch.setattr(sys, "stdin", io.StringIO("phase update\n"))
    assert main(["step", "step.npz"]) == 0
    assert "update  w by SGD" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--step", "0", "{}"], "--step: expected a whole number of at least 1; got 0"),
        (["--keep", "0", "{}"], "--keep: expected a whole number of at least 1; got 0"),
        (["--save", "step.txt", "{}"], "--save: expected a name that ends in .npz or .json"),
        (["--html", "step.txt", "{}"], "--html: expected a name that ends in .html or .htm"),
        (["missing\x1b.py"], "there is no file missing\\x1b.py"),
        (["."], "expected a Python file or a saved tape; . is a folder"),
        (["missing.npz"], "missing.npz"),
        (["step.npz", "more"], "a saved tape takes no arguments; got more"),
    ],
)
def test_a_wrong_call_is_one_line(script, capsys, arguments: list[str], words: str) -> None:
    name = script("print('it ran')")
    assert main(["step", *[argument.format(name) for argument in arguments]]) == 2
    captured = capsys.readouterr()
    assert words in captured.err
    assert captured.err.count("\n") == 1
    assert captured.out == ""


def test_our_options_behind_the_script_are_explained(script, capsys) -> None:
    assert main(["step", script("import argparse; argparse.ArgumentParser().parse_args()"), "--html", "x.html"]) == 2
    assert "--html was handed to the script; options of minidl step stand before SCRIPT" in capsys.readouterr().err


def test_they_are_explained_too_where_the_script_looks_at_no_arguments(script, capsys, tmp_path) -> None:
    assert main(["step", "--no-play", script(TRAIN), "--html", str(tmp_path / "x.html")]) == 0
    assert "--html was handed to the script; options of minidl step stand before SCRIPT" in capsys.readouterr().err
    assert not (tmp_path / "x.html").exists()


def test_what_is_no_text_is_no_script(tmp_path, capsys) -> None:
    (tmp_path / "a.py").write_bytes(os.urandom(8) + b"\0")
    assert main(["step", str(tmp_path / "a.py")]) == 2
    assert "is not Python's text" in capsys.readouterr().err


def test_the_help_teaches_with_examples(capsys) -> None:
    with pytest.raises(SystemExit):
        main(["step", "--help"])
    assert "minidl step --step 500 train.py" in capsys.readouterr().out


def test_an_update_by_hand_of_a_global_weight_is_on_the_tape(script) -> None:
    by_hand = "w = md.tensor([1.0], requires_grad=True)\n(w * w).sum().backward()\nw.data -= 0.1 * w.grad.data\n"
    run = Recorded(script("import minidl as md\n" + by_hand)).run()
    assert run.tape is not None
    assert [(e.phase, e.op) for e in run.tape][-1] == ("update", "write")
    assert "without an optimizer's step()" in said(run, "train.py", 1)
