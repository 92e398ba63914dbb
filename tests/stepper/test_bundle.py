"""The committed bundle of the page is what its sources make."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.stepper.pages import missing

PAGE = Path(__file__).parents[2] / "minidl/stepper/page"
MADE = ("step.js", "step.css", "LICENSES.txt")


@pytest.mark.browser
def test_the_bundle_is_rebuilt_to_the_same_bytes(tmp_path: Path) -> None:
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        missing("node and npm are not installed")
    where = PAGE
    if not (PAGE / "node_modules").exists():
        where = tmp_path / "page"
        shutil.copytree(PAGE, where)
        subprocess.run([npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts"], cwd=where, check=True)
    subprocess.run([node, str(where / "build.mjs"), str(tmp_path)], check=True)
    for name in MADE:
        made, committed = (tmp_path / name).read_bytes(), (PAGE / name).read_bytes()
        assert made == committed, f"{name} is not what its sources make: npm ci && npm run build in {PAGE}"


def test_the_lock_file_names_no_registry_and_every_package_by_its_hash() -> None:
    locked = json.loads((PAGE / "package-lock.json").read_text())["packages"]
    assert not [name for name, package in locked.items() if "resolved" in package]
    assert all("integrity" in package for name, package in locked.items() if name)


def test_the_licences_of_what_is_bundled_are_there() -> None:
    text = (PAGE / "LICENSES.txt").read_text()
    for name in json.loads((PAGE / "package.json").read_text())["dependencies"]:
        assert f"\n{name} " in text
    assert "Permission is hereby granted" in text
