"""minidl at another commit is what a peer's process imports."""

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.old import NoCommitError, git, old_peer


def head():
    """This commit; skips where there is no history."""
    try:
        return git("rev-parse", "HEAD").decode().strip()
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no git history here")


def test_the_files_of_a_commit_are_what_its_process_imports(tmp_path):
    peer = old_peer(head(), tmp_path)
    assert head().startswith(peer.commit)
    told = [sys.executable, "-c", "import minidl, benchmarks; print(minidl.__file__, benchmarks.__file__)"]
    done = subprocess.run(told, env=peer.environment(), cwd=peer.at, capture_output=True, text=True, check=True)
    assert [Path(file).parents[1] for file in done.stdout.split()] == [tmp_path, tmp_path]


def test_a_commit_that_is_not_here_is_named(tmp_path):
    with pytest.raises(NoCommitError, match="no minidl at 'nowhere' here"):
        old_peer("nowhere", tmp_path)
