"""minidl/data/fetch.py: a file arrives whole or not at all, and what has arrived is not fetched twice."""

import errno
import hashlib
import io
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from minidl.data import fetch as fetch_module
from minidl.data import progress
from minidl.data.fetch import Published, fetch, folders, locate
from tests.data.server import serving

CONTENT = np.random.default_rng(0).bytes(300_000)
MD5 = hashlib.md5(CONTENT).hexdigest()
NOWHERE = "http://127.0.0.1:9/file"  # nobody listens there


@pytest.fixture
def server():
    with serving(CONTENT) as running:
        yield running


@pytest.fixture
def path(tmp_path):
    return tmp_path / "set" / "file"


def part(path):
    return path.with_name("file.part")


def names(path):
    return [entry.name for entry in path.parent.iterdir()]


def test_a_file_arrives_in_a_folder_that_is_made(server, path):
    fetch([server.url], path, MD5)
    assert path.read_bytes() == CONTENT
    assert names(path) == ["file"]


def test_homes_are_tried_in_order_until_one_gives_the_file(server, path):
    with serving(b"not found") as broken:
        broken.status = 404
        fetch([NOWHERE, broken.url, server.url, broken.url], path, MD5)
        assert len(broken.asked) == 1
    assert path.read_bytes() == CONTENT


def test_who_fails_is_named_with_the_reason(server, path):
    server.status = 503
    with pytest.raises(ConnectionError) as raised:
        fetch([NOWHERE, server.url], path, MD5)
    message = str(raised.value)
    assert "file could not be downloaded" in message
    assert f"put it at {path}" in message
    assert f"{NOWHERE}: <urlopen error" in message
    assert f"{server.url}: HTTP Error 503" in message
    assert names(path) == []


def test_a_server_that_keeps_silent_is_given_up(server, path):
    server.silent.set()
    with pytest.raises(ConnectionError, match="timed out"):
        fetch([server.url], path, MD5, timeout=0.2)


@pytest.mark.parametrize("ranges", [True, False])
def test_a_cut_connection_is_noticed_and_the_next_call_goes_on(server, path, ranges):
    server.cut_after = 120_000
    with pytest.raises(ConnectionError) as raised:
        fetch([server.url], path, MD5)
    assert "ended after 120000 of 300000 bytes" in str(raised.value)
    assert f"the first 120000 bytes are kept in {part(path)}" in str(raised.value)
    assert part(path).read_bytes() == CONTENT[:120_000]
    assert not path.exists()

    server.cut_after, server.ranges = None, ranges
    fetch([server.url], path, MD5)
    assert server.asked == [None, "bytes=120000-"]
    assert path.read_bytes() == CONTENT
    assert names(path) == ["file"]


def test_another_home_goes_on_where_the_connection_to_the_first_was_cut(server, path):
    with serving(CONTENT) as weak:
        weak.cut_after = 1000
        fetch([weak.url, server.url], path, MD5)
    assert server.asked == ["bytes=1000-"]
    assert path.read_bytes() == CONTENT


def test_a_damaged_file_is_named_removed_and_fetched_elsewhere(server, path):
    with serving(b"something else") as wrong:
        with pytest.raises(ConnectionError, match=rf"{wrong.url}: what came is damaged and was removed.*{MD5}; got "):
            fetch([wrong.url], path, MD5)
        assert names(path) == []
        fetch([wrong.url, server.url], path, MD5)
    assert path.read_bytes() == CONTENT


def test_a_beginning_of_another_file_is_thrown_away(server, path):
    path.parent.mkdir()
    part(path).write_bytes(b"x" * 1000)
    fetch([server.url], path, MD5)
    assert server.asked == ["bytes=1000-", None]
    assert path.read_bytes() == CONTENT


@pytest.mark.parametrize("beginning", [CONTENT, CONTENT + b"more"])
def test_nothing_is_left_to_fetch(server, path, beginning):
    path.parent.mkdir()
    part(path).write_bytes(beginning)
    fetch([server.url], path, MD5)
    assert server.asked == [f"bytes={len(beginning)}-"] + [None] * (beginning != CONTENT)
    assert path.read_bytes() == CONTENT


def test_ctrl_c_keeps_what_has_arrived(server, path, monkeypatch):
    class Stopped(progress.Bar):
        def advance(self, amount=1):
            super().advance(amount)
            if self._done > 100_000:
                raise KeyboardInterrupt

    monkeypatch.setattr(fetch_module, "Bar", Stopped)
    with pytest.raises(KeyboardInterrupt):
        fetch([server.url], path, MD5)
    monkeypatch.undo()
    kept = part(path).read_bytes()
    assert len(kept) > 100_000
    assert CONTENT.startswith(kept)
    fetch([server.url], path, MD5)
    assert server.asked == [None, f"bytes={len(kept)}-"]
    assert path.read_bytes() == CONTENT


def test_a_folder_that_cannot_be_made_is_not_the_servers_fault(server, path):
    path.parent.write_bytes(b"a file")
    with pytest.raises(FileExistsError):
        fetch([server.url], path, MD5)
    assert server.asked == []


@pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot lock a folder")
def test_who_wants_a_file_that_another_downloads_waits_for_it(server, path):
    with ThreadPoolExecutor(4) as pool:
        for result in [pool.submit(fetch, [server.url], path, MD5) for _ in range(8)]:
            result.result()
    assert server.asked == [None]
    assert path.read_bytes() == CONTENT
    assert names(path) == ["file"]


def test_who_sends_more_than_there_is_is_not_listened_to(server, path):
    with serving(CONTENT * 3) as long:
        with pytest.raises(ConnectionError, match="sent more than the 300000 bytes of the file"):
            fetch([long.url], path, MD5, len(CONTENT))
        assert names(path) == []
        long.ranges = server.ranges = False
        part(path).write_bytes(CONTENT[:1000])
        fetch([long.url, server.url], path, MD5, len(CONTENT))
    assert path.read_bytes() == CONTENT


def test_a_full_disk_is_not_the_servers_fault(server, path, monkeypatch):
    def full(handle):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(fetch_module.os, "fsync", full)
    with pytest.raises(OSError, match=r"No space left on device: .*file\.part") as raised:
        fetch([server.url, server.url], path, MD5)
    assert raised.value.errno == errno.ENOSPC
    assert len(server.asked) == 1


def test_the_bar_counts_bytes_from_where_the_download_goes_on(server, path, monkeypatch):
    screen = Console(file=io.StringIO(), force_terminal=True, width=100, color_system=None)
    monkeypatch.setattr(progress.Bar, "__init__", with_console(progress.Bar.__init__, screen))
    path.parent.mkdir()
    part(path).write_bytes(CONTENT[:200_000])
    fetch([server.url], path, MD5, show=True)
    assert "300.0/300.0 kB" in screen.file.getvalue()
    assert "file" in screen.file.getvalue()


def with_console(init, screen):
    return lambda self, *args, **options: init(self, *args, console=screen, **options)


def test_nothing_is_shown_where_nobody_looks(server, path, capsys):
    fetch([server.url], path, MD5)
    assert capsys.readouterr() == ("", "")


def test_sets_lie_under_the_root_or_under_minidl_data_and_the_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(fetch_module.sys, "platform", "linux")
    monkeypatch.setenv("MINIDL_DATA", str(tmp_path / "data"))
    assert folders("mnist", "here") == [Path("here/mnist"), Path("here")]
    assert folders("mnist", None) == [tmp_path / "data" / "mnist", tmp_path / "cache" / "minidl" / "mnist"]
    monkeypatch.delenv("MINIDL_DATA")
    assert folders("mnist", None) == [tmp_path / "cache" / "minidl" / "mnist"]


@pytest.mark.parametrize(
    ("platform", "expected"), [("linux", ".cache"), ("darwin", "Library/Caches"), ("win32", "AppData/Local")]
)
def test_each_system_has_its_cache(monkeypatch, platform, expected):
    monkeypatch.setattr(fetch_module.sys, "platform", platform)
    for variable in ("XDG_CACHE_HOME", "LOCALAPPDATA", "MINIDL_DATA"):
        monkeypatch.delenv(variable, raising=False)
    assert folders("x", None) == [Path.home() / expected / "minidl" / "x"]


def published(server, *names):
    return [Published(f"{name}.gz", (NOWHERE, server.url), MD5, 300_000, unpacked=name) for name in names]


def test_files_are_found_packed_or_not_and_nothing_is_asked_of_the_network(server, tmp_path):
    (tmp_path / "set").mkdir()
    for name in ("a.gz", "b"):
        (tmp_path / "set" / name).touch()
    for root in (tmp_path, tmp_path / "set"):
        for download in (True, False):
            found = locate("set", published(server, "a", "b"), root, download)
            assert found == [tmp_path / "set" / "a.gz", tmp_path / "set" / "b"]
    assert server.asked == []


def test_without_being_asked_nothing_is_downloaded_and_the_error_says_what_to_do(server, tmp_path, monkeypatch):
    monkeypatch.setenv("MINIDL_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    target = tmp_path / "data" / "set"
    target.mkdir(parents=True)
    (target / "b").touch()
    files = published(server, "a", "b", "c")
    with pytest.raises(FileNotFoundError) as raised:
        locate("set", files, None, download=False)
    message = str(raised.value)
    assert f"found no a.gz, c.gz in {target} or " in message
    assert f"md.data.set(download=True) fetches 0.6 MB into {target}" in message
    with pytest.raises(FileNotFoundError, match=r"md\.data\.set\('here', download=True\)"):
        locate("set", files, "here", download=False)
    assert server.asked == []

    assert locate("set", files, None, download=True) == [target / "a.gz", target / "b", target / "c.gz"]
    assert len(server.asked) == 2
    assert (target / "c.gz").read_bytes() == CONTENT


def test_the_rest_of_a_set_is_fetched_to_where_most_of_it_lies(server, tmp_path):
    for name in ("a", "c"):
        (tmp_path / name).touch()
    files = published(server, "a", "b", "c")
    with pytest.raises(FileNotFoundError, match=rf"found no b\.gz in .* fetches 0\.3 MB into {tmp_path};"):
        locate("set", files, tmp_path, download=False)
    assert locate("set", files, tmp_path, download=True) == [tmp_path / "a", tmp_path / "b.gz", tmp_path / "c"]


def test_the_smallest_file_is_not_fetched_for_nothing(server, tmp_path):
    labels = Published("labels.gz", (server.url,), MD5, 4_542, unpacked="labels")
    with pytest.raises(FileNotFoundError, match=r"fetches 0\.1 MB"):
        locate("set", [labels], tmp_path, download=False)


def test_the_cache_serves_where_minidl_data_has_not_the_whole_set(server, tmp_path, monkeypatch):
    monkeypatch.setenv("MINIDL_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(fetch_module, "_cache", lambda: tmp_path / "cache")
    for name in ("data/set/a", "cache/set/a", "cache/set/b"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = locate("set", published(server, "a", "b"), None, download=False)
    assert [os.path.relpath(path, tmp_path) for path in found] == [
        os.path.join("cache", "set", "a"),
        os.path.join("cache", "set", "b"),
    ]
