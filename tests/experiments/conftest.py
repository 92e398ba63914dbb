"""One small comparison, made once and looked at by many tests."""

import pytest

from minidl import backend
from minidl.experiments.pipeline import run_comparison
from minidl.experiments.settings import Settings


def small_settings(**changes):
    return Settings(**({"lr": 0.5, "epochs": 2, "seeds": 5, "backend": backend.current()} | changes))


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """(folder, results) of a comparison at one base rate, two epochs."""
    folder = tmp_path_factory.mktemp("compare") / "run"
    results = run_comparison(small_settings(), folder, command="minidl compare --lr 0.5")
    return folder, results
