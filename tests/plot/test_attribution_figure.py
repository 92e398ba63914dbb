import json

import numpy as np
import pytest
from matplotlib.figure import Figure

import minidl.functional as F
from minidl.observe.graph_recording import Graph, GraphRecording
from minidl.plot.attribution_figure import attribution
from tests.observe.loops import batch, small


def walked(hidden=4, activation="sigmoid"):
    model = small(hidden, activation)
    x, y = batch()
    graph = Graph(loss := F.cross_entropy(model(x), y))
    loss.backward()
    return graph.recording


def chain(norms):
    """Linear, Tanh, Tanh, ..., with these norms of the gradient, input to output, behind each op."""
    count = len(norms)
    return GraphRecording(
        ["w", "Linear", *(["Tanh"] * (count - 1))], ["leaf"] + ["op"] * count, ["", "fc1"] + [""] * (count - 1),
        ["()"] * (count + 1), [[i, i + 1] for i in range(count)], [1.0, *norms],
    )  # fmt: skip


def test_the_bars_add_up_from_the_loss_to_the_first_layer():
    recording = walked()
    figure = attribution(recording)
    panel = figure.numbers["panels"][""]
    first = recording.gradient_norm[recording.names.index("Linear")]
    assert panel["total"] == pytest.approx(np.log10(first))
    assert sum(panel["by_kind"].values()) == pytest.approx(panel["total"])
    bars = figure.axes[0].patches
    assert [bar.get_height() for bar in bars] == pytest.approx(panel["decades"])
    ends = [bar.get_y() + bar.get_height() for bar in bars]
    assert ends[0] == pytest.approx(panel["total"])
    assert [bar.get_y() for bar in bars[:-1]] == pytest.approx(ends[1:])  # each begins where the one before has ended
    json.dumps(figure.numbers, allow_nan=False)


def test_the_claim_names_the_op_that_took_most_with_its_number():
    figure = attribution(walked())
    panel = figure.numbers["panels"][""]
    taken = panel["by_kind"]["Sigmoid"]
    assert taken == min(panel["by_kind"].values())
    assert figure.caption.startswith(
        f"The gradient falls {-panel['total']:.2f} decades from the loss back to the output"
    )
    assert f"{-taken:.2f} of them at Sigmoid" in figure.caption


def test_networks_of_other_depths_are_panels_with_the_same_limits():
    figure = attribution({"deep": walked(6), "shallow": walked(2, "tanh")})
    assert list(figure.numbers["panels"]) == ["deep", "shallow"]
    assert len({ax.get_ylim() for ax in figure.axes}) == 1
    assert "deep: the gradient falls" in figure.caption


def test_where_the_gradient_ends_it_is_said_which_op_ended_it():
    figure = attribution(chain([0.0, 0.0, 0.1, 1.0]))
    assert figure.caption == "The gradient is exactly 0 from Tanh of fc1 on towards the input."
    rings = [line for line in figure.axes[0].lines if line.get_marker() == "o"]
    assert [list(line.get_xdata()) for line in rings] == [[0, 1]]
    figure = attribution(chain([np.inf, 0.1, 1.0]))
    assert figure.caption == "The gradient is not finite from Tanh of fc1 on towards the input."
    assert [list(line.get_xdata()) for line in figure.axes[0].lines if line.get_marker() == "x"] == [[0]]


def test_a_gradient_that_grows_is_not_said_to_fall():
    assert "does not fall (+1.00 decades)" in attribution(chain([10.0, 1.0])).caption


def test_it_draws_into_given_axes():
    axes = Figure().subplots(2, 1)
    assert attribution({"a": walked(), "b": walked()}, axes=axes) is axes[0].figure
    with pytest.raises(ValueError, match="expected 1 axes, one a panel; got 2"):
        attribution(walked(), axes=axes)
    with pytest.raises(TypeError, match=r"expected GraphRecording.*as 'a'"):
        attribution({"a": 3})


def test_a_bar_that_is_narrower_than_a_pixel_has_an_edge_of_its_colour():
    ax = attribution(chain([1e-3, 1e-2, 1e-1, 1.0])).axes[0]
    bars = ax.patches
    assert bars
    assert all(line.get_zorder() < bars[0].get_zorder() for line in ax.lines)  # no line between bars lies over them
    for bar in bars:
        assert bar.get_linewidth() > 0.5
        assert bar.get_edgecolor() == bar.get_facecolor()
