"""One small comparison, made once and looked at by many tests."""

import pytest

from minidl import backend
from minidl.experiments.compare import Comparison
from minidl.experiments.pipeline import run_comparison
from minidl.experiments.settings import Settings
from minidl.experiments.workers import Workers


def small_settings(**changes):
    return Settings(**({"lr": 0.5, "epochs": 2, "seeds": 5, "backend": backend.current()} | changes))


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """(folder, results) of a comparison at one base rate, two epochs."""
    folder = tmp_path_factory.mktemp("compare") / "run"
    results = run_comparison(small_settings(), folder, command="minidl compare --lr 0.5")
    return folder, results


@pytest.fixture
def one_epoch(tmp_path):
    with Workers(in_process=True) as workers:
        yield Comparison(small_settings(epochs=1, seeds=2), tmp_path / "run", workers)
