"""minidl/data/progress.py: a bar in a terminal or a notebook, else a line for each epoch of a training."""

import builtins
import io
import sys
import types

import numpy as np
import pytest
from rich.console import Console

from minidl.data import progress
from minidl.data.progress import Bar, ProgressBar
from tests.arrays import device

LOSS = np.float32(0.25)


def run(bar, steps=20):
    with bar:
        for i in range(steps):
            bar.step(f"epoch {i // 10 + 1}/2", device(LOSS))
        bar.validated("accuracy 90%")


@pytest.fixture
def screen():
    return Console(file=io.StringIO(), force_terminal=True, width=100, color_system=None)


def drawn(screen):
    return screen.file.getvalue()


def test_a_bar_that_was_asked_for_shows_epoch_steps_loss_and_validation(screen):
    run(ProgressBar(True, steps=20, console=screen))
    text = drawn(screen)
    assert "epoch 1/2  loss 0.2500" in text
    assert "20/20" in text
    assert "accuracy 90%" in text


def test_steps_done_before_are_counted(screen):
    run(ProgressBar(True, steps=30, done=10, console=screen))
    assert "11/30" in drawn(screen)
    assert "30/30" in drawn(screen)


@pytest.mark.parametrize("left", [True, False])
def test_the_time_that_is_left_is_estimated_unless_that_is_not_wanted(screen, left):
    with Bar(True, 10, left=left, console=screen) as bar:
        bar.advance()
    assert ("-:--:--" in drawn(screen)) == left


def test_no_bar_where_nobody_looks(capsys, screen):
    run(ProgressBar(None, steps=20, console=screen))  # pytest's output is no terminal
    run(ProgressBar(False, steps=20, console=screen))
    assert drawn(screen) == ""
    assert capsys.readouterr() == ("", "")


def test_in_a_terminal_only_what_takes_a_while_gets_a_bar(monkeypatch, screen):
    monkeypatch.setattr(progress, "in_terminal", lambda: True)
    run(ProgressBar(None, steps=20, console=screen))
    assert drawn(screen) == ""
    clock = iter(np.arange(0, 100, 0.3))
    monkeypatch.setattr(progress.time, "perf_counter", lambda: next(clock))
    run(ProgressBar(None, steps=20, console=screen))
    assert "epoch 1/2  loss 0.2500" in drawn(screen)


def test_the_loss_is_read_only_when_it_is_shown(monkeypatch, screen):
    reads = []
    monkeypatch.setattr(progress.backend, "to_numpy", lambda loss: reads.append(loss) or LOSS)
    clock = iter(np.arange(0, 1, 0.01))
    monkeypatch.setattr(progress.time, "perf_counter", lambda: next(clock))
    run(ProgressBar(True, steps=50, console=screen), steps=50)
    assert 3 <= len(reads) <= 8


@pytest.mark.parametrize(("total", "shown"), [(3, "3/3"), (None, "3/?")])
def test_anything_can_be_counted(screen, total, shown):
    with Bar(True, total, label="reading [a]", console=screen) as bar:
        for _ in range(3):
            bar.advance()
    assert shown in drawn(screen)
    assert "reading [a]" in drawn(screen)


class Full(io.StringIO):
    """A stream that takes so many texts."""

    def __init__(self, room):
        super().__init__()
        self.room = room

    def write(self, text):
        if self.room == 0:
            raise OSError(28, "No space left on device")
        self.room -= 1
        return super().write(text)


def test_a_progress_bar_that_cannot_be_drawn_stops_nothing(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Full(0))
    advanced = 0
    with Bar(True, 3) as bar:
        for _ in range(3):
            bar.advance()
            advanced += 1
    assert advanced == 3


# ---- a notebook


class Kernel:
    """What a notebook's kernel shows: the displays by number, each with all it has shown."""

    def __init__(self, monkeypatch):
        self.shown = []
        shell = types.SimpleNamespace(kernel=object())
        module = types.SimpleNamespace(display=self.display)
        monkeypatch.setattr(builtins, "get_ipython", lambda: shell, raising=False)
        monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(display=module))
        monkeypatch.setitem(sys.modules, "IPython.display", module)

    def display(self, content, raw, display_id):
        texts = [content["text/plain"]]
        self.shown.append(texts)
        return types.SimpleNamespace(update=lambda content, raw: texts.append(content["text/plain"]))


@pytest.fixture
def kernel(monkeypatch):
    return Kernel(monkeypatch)


def test_in_a_notebook_one_line_is_written_over_itself(kernel, capsys):
    run(ProgressBar(None, steps=20))
    (texts,) = kernel.shown
    assert len(texts) >= 2
    assert texts[-1].startswith("\N{FULL BLOCK}" * 20 + "  20/20  0:00  epoch 2/2  loss 0.2500  accuracy 90%")
    assert capsys.readouterr() == ("", "")


def test_a_short_piece_of_work_leaves_nothing_in_a_notebook_but_a_training_does(kernel):
    with Bar(None, 3) as bar:
        bar.advance(3)
    assert kernel.shown == []
    run(ProgressBar(False, steps=20))
    assert kernel.shown == []


def test_in_a_notebook_it_says_how_long_is_left(kernel, monkeypatch):
    clock = iter(range(0, 1000, 5))
    monkeypatch.setattr(progress.time, "perf_counter", lambda: next(clock))
    with Bar(True, 4_000_000, label="file", bytes=True) as bar:
        for _ in range(4):
            bar.advance(1_000_000)
    texts = kernel.shown[0]
    assert "2.0 MB/4.0 MB" in texts[1]
    assert "left  file" in texts[1]
    assert "left" not in texts[-1]


def test_a_total_that_is_not_known_is_counted(kernel):
    with Bar(True, None) as bar:
        bar.advance()
    assert "1/?" in kernel.shown[0][-1]


# ---- lines


def test_where_no_bar_can_be_drawn_a_training_says_a_line_an_epoch(capsys):
    with ProgressBar(None, steps=4) as bar:
        for epoch in (1, 2):
            bar.step(f"epoch {epoch}/2", device(LOSS))
            bar.step(f"epoch {epoch}/2", device(LOSS))
            bar.validated("validation 90%")
            bar.end_epoch(epoch, 2, loss=1 / epoch, seconds=1.25)
    out, err = capsys.readouterr()
    assert out == ""
    assert err == ("epoch 1/2  loss 1.0000  validation 90%  1.2 s\nepoch 2/2  loss 0.5000  validation 90%  1.2 s\n")
