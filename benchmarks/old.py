"""minidl as it was at another commit, to be timed beside itself."""

from __future__ import annotations

import io
import shutil
import subprocess
import tarfile
from pathlib import Path

from benchmarks.peers import ROOT, Peer

REDRAWN = "9bfb804"  # the last build before plain lines and faster versions were parted


class NoCommitError(Exception):
    """There is no such commit here, or no git."""


def old_peer(commit: str, folder: Path) -> Peer:
    """The peer of a commit, whose files come into `folder`, beside these benchmarks.

    Raises:
        NoCommitError: git does not know the commit.
    """
    try:
        name = git("rev-parse", "--short", "--verify", f"{commit}^{{commit}}").decode().strip()
        archive = git("archive", name, "minidl")
    except (OSError, subprocess.CalledProcessError) as error:
        said = getattr(error, "stderr", b"") or str(error).encode()
        raise NoCommitError(f"no minidl at {commit!r} here: {said.decode().strip()}") from None
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        files.extractall(folder, filter="data")
    shutil.copytree(ROOT / "benchmarks", folder / "benchmarks", ignore=shutil.ignore_patterns("__pycache__"))
    return Peer("old", 1, commit=name, folder=str(folder))


def git(*arguments: str) -> bytes:
    """What git says about this repository."""
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, check=True).stdout
