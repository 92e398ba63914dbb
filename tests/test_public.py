"""What Tab shows of each package is what is public, and nothing else."""

from __future__ import annotations

from types import ModuleType

import pytest

import minidl as md

PUBLIC = [
    md,
    md.functional,
    md.nn,
    md.nn.init,
    md.optim,
    md.data,
    md.data.transforms,
    md.models,
    md.observe,
    md.plot,
    md.stepper,
    md.training,
    md.curvature,
    md.backend,
    md.fast,
]
INTERNAL = {"Any", "Callable", "TYPE_CHECKING", "annotations", "importlib", "math", "np", "warnings"}


@pytest.mark.parametrize("package", PUBLIC, ids=lambda package: package.__name__)
def test_tab_shows_the_public_names(package: ModuleType) -> None:
    assert dir(package) == sorted(package.__all__)
    assert len(set(package.__all__)) == len(package.__all__)
    assert not INTERNAL & set(dir(package))
    for name in dir(package):
        getattr(package, name)
