import pytest
from matplotlib.figure import Figure

from minidl.plot.networks import as_networks, depth_places, name_depths, network_colours


def test_one_network_has_an_empty_label():
    assert as_networks(3, (int,)) == {"": 3}
    assert as_networks({1: 3, "b": 4}, (int,)) == {"1": 3, "b": 4}
    with pytest.raises(ValueError, match="at least one network; got none"):
        as_networks({}, (int,))
    with pytest.raises(TypeError, match=r"expected int or float, or {label: one of them}; got"):
        as_networks({"a": "text"}, (int, float))


def test_the_last_layers_of_all_networks_have_one_place():
    places = depth_places({"deep": ("a", "b", "c"), "flat": ("a",)})
    assert places["deep"].tolist() == [0, 1, 2]
    assert places["flat"].tolist() == [2]


def test_layers_are_named_if_they_are_the_same_and_else_counted_from_the_output():
    ax = Figure().subplots()
    name_depths(ax, {"a": ("in", "out"), "b": ("in", "out")})
    assert [label.get_text() for label in ax.get_xticklabels()] == ["in", "out"]
    ax = Figure().subplots()
    name_depths(ax, {"a": tuple("abcdefghij" * 5), "b": ("x",)})
    labels = [label.get_text() for label in ax.get_xticklabels()]
    assert labels[:2] == ["last", "\N{MINUS SIGN}5"]
    assert len(labels) <= 12


def test_seven_networks_have_colours_of_their_own():
    assert len(set(network_colours([str(i) for i in range(7)]).values())) == 7
