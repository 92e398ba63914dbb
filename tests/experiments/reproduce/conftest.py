"""Collected results of made-up reproductions, each case made once."""

import pytest

from minidl.experiments.reproduce.collected import collect
from tests.experiments.reproduce.factory import write_runs


@pytest.fixture(scope="session")
def collected_case(tmp_path_factory):
    """collected_case("clear gain", seeds=1): what `collect` makes of such runs."""
    made = {}

    def make(case="clear gain", **settings):
        key = (case, *sorted(settings.items()))
        if key not in made:
            out = tmp_path_factory.mktemp("reproduction")
            write_runs(out, case, **settings)
            made[key] = collect(out)
        return made[key]

    return make
