"""minidl/optim/scales.py: what is written into an optimizer's scales is looked at when it is written."""

import copy
import math
import pickle

import pytest

from minidl import nn, optim
from minidl.optim.scales import Scale, Scales


def made():
    return optim.SGD(nn.Linear(2, 2), lr=0.1)


@pytest.mark.parametrize(
    "scale",
    [(math.nan, 1.0), (1.0, -1.0), (math.inf, 1.0), ("1", 1.0), (True, 1.0), 2.0, (1.0,), (1.0, 1.0, 1.0), None],
)
def test_what_makes_no_sense_is_refused_by_name_and_nothing_changes(scale):
    optimizer = made().scale("weight", lr=2.0)
    for write in (
        lambda: optimizer.scales.__setitem__("weight", scale),
        lambda: optimizer.scales.update({"bias": (3.0, 3.0), "weight": scale}),
        lambda: optimizer.scales.setdefault("bias", scale),
        lambda: setattr(optimizer, "scales", {"weight": scale}),
    ):
        with pytest.raises(ValueError, match=r"scales\['(weight|bias)'\]:.* expected"):
            write()
    assert optimizer.scales == {"weight": Scale(2.0, 1.0)}


def test_a_parameter_that_is_not_there_is_refused():
    with pytest.raises(ValueError, match="scales: no parameter is called 'wieght'; there are bias, weight"):
        made().scales["wieght"] = Scale(2.0)
    with pytest.raises(
        TypeError, match=r"SGD: scales: expected a dict of scales by the names of parameters; got \[1\]"
    ):
        made().scales = [1]


def test_pairs_of_numbers_become_scales():
    optimizer = made()
    optimizer.scales["bias"] = (2, 0)
    assert optimizer.scales["bias"] == Scale(2.0, 0.0)
    assert type(optimizer.scales["bias"]) is Scale
    assert type(optimizer.scales["bias"].lr) is float
    optimizer.scales = {"weight": (3, 1)}
    assert optimizer.scales == {"weight": Scale(3.0, 1.0)}
    optimizer.scales |= {"bias": (4, 1)}
    assert optimizer.scales.setdefault("bias", (5, 1)) == Scale(4.0, 1.0)
    del optimizer.scales["bias"]
    optimizer.scale("bias", lr=6.0)
    assert optimizer.scales["bias"].lr == 6.0


def test_copies_look_at_what_is_written_too():
    scales = made().scale("weight", lr=2.0).scales
    for copied in (copy.deepcopy(scales), pickle.loads(pickle.dumps(scales)), copy.copy(scales)):
        assert type(copied) is Scales
        assert copied == scales
        with pytest.raises(ValueError, match="expected"):
            copied["weight"] = (-1, 1)
