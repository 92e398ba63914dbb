"""minidl/files/writing.py: files are written whole or not at all, nothing but plain files is replaced, ~ is home."""

import errno
import os
import pathlib
import socket
import subprocess
import sys
import time

import numpy as np
import pytest

import minidl as md
from minidl import data, nn
from minidl.data.fetch import folders
from minidl.experiments.mnist import train_lenet
from minidl.files import writing
from minidl.files.arrays import save_arrays
from minidl.files.writing import check_writable, path_of, write_atomically
from minidl.observe import GradientFlow, RaceRecording
from minidl.training import History
from minidl.training.checkpoint import load_checkpoint, save_checkpoint
from tests.arrays import tensor

posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such files")


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.txt"
    write_atomically(path, b"old")

    def breaks(file):
        file.write(b"half")
        raise RuntimeError("disk full")

    with pytest.raises(RuntimeError, match="disk full"):
        write_atomically(path, breaks)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_folder_is_made_and_a_link_is_followed(tmp_path):
    path = tmp_path / "new" / "folder" / "a.txt"
    write_atomically(path, b"one")
    link = tmp_path / "latest.txt"
    link.symlink_to(path)
    write_atomically(str(link), b"two")
    assert link.is_symlink()
    assert path.read_bytes() == b"two"


# ---- what is replaced


@posix
@pytest.mark.parametrize("write", [lambda path: write_atomically(path, b"new"), check_writable])
@pytest.mark.parametrize("by_link", [False, True])
def test_a_pipe_stays_a_pipe(tmp_path, write, by_link):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    path = pipe
    if by_link:
        path = tmp_path / "link"
        path.symlink_to(pipe)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(FileExistsError, match=r"This is a pipe, and only plain files are replaced: '.*(pipe|link)'"):
        write(path)
    assert pipe.is_fifo()
    assert sorted(tmp_path.iterdir()) == before


@posix
def test_nor_is_a_socket_or_a_folder_replaced(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # the path of a socket has to be short
    with socket.socket(socket.AF_UNIX) as end:
        end.bind("socket")
        with pytest.raises(FileExistsError, match="This is a socket"):
            write_atomically("socket", b"new")
    (tmp_path / "folder").mkdir()
    with pytest.raises(IsADirectoryError, match="'folder'"):
        write_atomically("folder", b"new")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "socket"]


@posix
@pytest.mark.parametrize(
    "save",
    [
        lambda path: save_arrays(path, {}, kind="test_file"),
        lambda path: md.save({"w": np.ones(2)}, path.with_suffix(".npz")),
        lambda path: save_checkpoint(path, nn.Linear(2, 2)),
        lambda path: History().save(path),
    ],
)
def test_nothing_of_minidl_replaces_a_pipe(tmp_path, save):
    for name in ("pipe", "pipe.npz"):
        os.mkfifo(tmp_path / name)
    with pytest.raises(FileExistsError, match="only plain files are replaced"):
        save(tmp_path / "pipe")
    assert all(path.is_fifo() for path in tmp_path.iterdir())


# ---- what cannot be written


@pytest.mark.parametrize("write", [lambda path: write_atomically(path, b"new"), check_writable])
@pytest.mark.parametrize(
    ("path", "error", "words"),
    [
        ("file/c.npz", NotADirectoryError if sys.platform != "win32" else OSError, "'file.c.npz'"),
        ("file/deep/c.npz", OSError, "'file.deep.c.npz'"),
        ("folder", OSError, "'folder'"),
        ("x" * 300, OSError, "xxx'"),
        ("", ValueError, "expected the path of a file or folder; got ''"),
        ("a\0b", ValueError, "expected the path of a file or folder"),
        (b"c.npz", TypeError, "expected a path, a str or a pathlib.Path; got b'c.npz'"),
        (3, TypeError, "expected a path, a str or a pathlib.Path; got 3"),
        (None, TypeError, "got None"),
    ],
)
def test_a_path_that_cannot_be_is_refused_in_its_own_words(tmp_path, monkeypatch, write, path, error, words):
    monkeypatch.chdir(tmp_path)
    pathlib.Path("file").write_text("old")
    pathlib.Path("folder").mkdir()
    with pytest.raises(error, match=words):
        write(path)
    assert sorted(os.listdir()) == ["file", "folder"]
    assert pathlib.Path("file").read_text() == "old"


def test_a_path_that_can_be_written_is_left_as_it_is(tmp_path):
    check_writable(tmp_path / "new" / "a.txt")
    assert list(tmp_path.rglob("*")) == [tmp_path / "new"]
    (tmp_path / "a.txt").write_text("old")
    check_writable(tmp_path / "a.txt")
    assert (tmp_path / "a.txt").read_text() == "old"


def test_a_full_disk_names_the_file(tmp_path, monkeypatch):
    def full(*args):
        raise OSError(errno.ENOSPC, "No space left on device")

    path = tmp_path / "a.npz"
    with pytest.raises(OSError, match=r"No space left on device: '.*a\.npz'") as caught:
        write_atomically(path, lambda file: full())
    assert caught.value.errno == errno.ENOSPC
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match=r"No space left on device: '.*a\.npz'"):
        md.save({"w": np.ones(3)}, path)
    assert list(tmp_path.iterdir()) == []


def test_an_error_of_another_file_keeps_its_name(tmp_path):
    with pytest.raises(FileNotFoundError, match="other"):
        write_atomically(tmp_path / "a.txt", lambda file: (tmp_path / "other").read_bytes())
    with pytest.raises(OSError, match="strange") as caught:
        write_atomically(tmp_path / "a.txt", lambda file: (_ for _ in ()).throw(OSError("strange")))
    assert caught.value.__notes__ == [f"while {tmp_path / 'a.txt'} was written"]


@posix
def test_a_limit_on_the_size_of_files_names_the_file(tmp_path):
    program = """
import resource, numpy as np, minidl as md
resource.setrlimit(resource.RLIMIT_FSIZE, (9000, 9000))
try:
    md.save({"w": np.zeros(9000)}, "a.npz")
except OSError as error:
    print(error)
"""
    environment = {**os.environ, "PYTHONPATH": str(pathlib.Path(md.__file__).parents[1])}
    found = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    assert "File too large" in found.stdout
    assert "a.npz" in found.stdout
    assert list(tmp_path.iterdir()) == []


# ---- what a process that was killed left behind


def left_behind(folder, name=".a.txt.0123abcd.part"):
    part = folder / name
    part.write_bytes(b"half")
    return part


@posix
def test_what_a_killed_process_left_is_removed_when_the_file_is_written_anew(tmp_path):
    program = """
import os, signal, sys
from minidl.files.writing import write_atomically
write_atomically("a.txt", lambda file: (file.write(b"half"), file.flush(), os.kill(os.getpid(), signal.SIGKILL)))
"""
    environment = {**os.environ, "PYTHONPATH": str(pathlib.Path(md.__file__).parents[1])}
    for _ in range(2):  # the second removes what the first left
        subprocess.run([sys.executable, "-c", program], cwd=tmp_path, env=environment, check=False)
        [part] = tmp_path.iterdir()
        assert part.name.startswith(".a.txt.")
    write_atomically(tmp_path / "a.txt", b"whole")
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


@posix
def test_what_another_process_is_writing_stays(tmp_path):
    inner = []

    def content(file):
        file.write(b"outer")
        write_atomically(tmp_path / "a.txt", b"inner")
        inner.append((tmp_path / "a.txt").read_bytes())

    write_atomically(tmp_path / "a.txt", content)
    assert inner == [b"inner"]
    assert (tmp_path / "a.txt").read_bytes() == b"outer"
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


@posix
def test_what_only_has_a_similar_name_stays(tmp_path):
    names = [
        ".b.txt.0123abcd.part",
        ".a.txt.0123.part",
        "a.txt.part",
        ".a.txt.0123abcd.part.npz",
        ".aatxt.0123abcd.part",
    ]
    for name in names:
        left_behind(tmp_path, name)
    os.mkfifo(tmp_path / ".a.txt.01234567.part")
    write_atomically(tmp_path / "a.txt", b"whole")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*names, ".a.txt.01234567.part", "a.txt"])


def test_where_files_cannot_be_locked_only_what_is_old_is_removed(tmp_path, monkeypatch):
    monkeypatch.setattr(writing, "fcntl", None)
    part = left_behind(tmp_path)
    write_atomically(tmp_path / "a.txt", b"whole")
    assert part.exists()
    long_ago = time.time() - 2 * writing.A_DAY
    os.utime(part, (long_ago, long_ago))
    write_atomically(tmp_path / "a.txt", b"whole")
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


@posix
def test_a_part_that_is_taken_before_it_is_locked_is_made_again(tmp_path, monkeypatch):
    taken = []
    lock = writing.fcntl.flock

    def flock(handle, how):
        if not taken:
            [part] = tmp_path.iterdir()
            part.unlink()
            taken.append(part)
        lock(handle, how)

    monkeypatch.setattr(writing.fcntl, "flock", flock)
    write_atomically(tmp_path / "a.txt", b"whole")
    assert taken
    assert (tmp_path / "a.txt").read_bytes() == b"whole"
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


# ---- home


@pytest.fixture
def home(tmp_path, monkeypatch):
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    yield tmp_path / "home"
    assert list((tmp_path / "elsewhere").iterdir()) == []


def race():
    x = np.ones((1, 1, 2))
    return RaceRecording(["a"], [0], [1, 2], x, x, [1, 2], x)


def flow():
    model = md.models.mlp((2, 3, 2))
    with GradientFlow(model) as recorder:
        model(tensor(np.ones((1, 2), np.float32))).sum().backward()
    return recorder.recording


def test_every_path_may_begin_in_the_home_of_the_user(home):
    assert path_of("~/a.txt") == path_of(pathlib.Path("~/a.txt")) == str(home / "a.txt")
    write_atomically("~/a.txt", b"text and more")
    assert (home / "a.txt").read_bytes() == b"text and more"
    check_writable("~/new/a.txt")
    model = nn.Linear(2, 2)
    md.save(model.state_dict(), "~/w.npz")
    assert set(md.load("~/w.npz")) == {"weight", "bias"}
    save_checkpoint("~/c.npz", model)
    load_checkpoint(pathlib.Path("~/c.npz"))
    History().save("~/h.json")
    assert History.load("~/h.json") == History()
    race().save("~/race.npz")
    RaceRecording.load("~/race.npz")
    flow().save("~/flow.npz")
    figure = md.plot.draw("~/flow.npz", "gradient_flow")
    assert md.plot.save_figure(figure, "~/figure") == [home / f"figure{suffix}" for suffix in (".png", ".svg", ".json")]
    assert len(data.characters(pathlib.Path("~/a.txt"), 3)) == 4
    assert folders("mnist", "~") == [home / "mnist", home]
    with pytest.raises(FileNotFoundError, match=str(home).replace("\\", ".")):
        data.ImageFolder("~/images")
    with pytest.raises(FileNotFoundError, match=str(home).replace("\\", ".")):
        data.cifar10("~/cifar-10-batches-bin")


def test_fit_and_the_commands_begin_there_too(home):
    examples = data.Dataset(np.ones((8, 2), np.float32), np.arange(8) % 2)
    for resume in (None, True, "~/run/c.npz"):
        model = nn.Linear(2, 2).to(md.backend.current())
        optimizer = md.optim.SGD(model)
        md.fit(model, optimizer, data.Loader(examples, 4, seed=0), epochs=1, checkpoint="~/run/c.npz", resume=resume)
    assert (home / "run" / "c.npz").exists()
    images = data.Dataset(np.ones((64, 1, 28, 28), np.float32), np.arange(64) % 10, (1, 28, 28))
    train_lenet(data.DataSplits(images, images, images), pathlib.Path("~/lenet"), 1, 1)
    assert (home / "lenet" / "lenet.npz").exists()


@pytest.mark.parametrize("path", ["~nobody-of-that-name/a", "a~/b", "./~"])
def test_any_other_tilde_is_a_letter(path):
    assert path_of(path) == path
