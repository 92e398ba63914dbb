import json

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

import minidl.functional as F
from minidl.observe.graph_recording import Graph, GraphRecording
from minidl.plot.graph_figure import graph
from tests.observe.loops import batch, norm, small


def loss_of(model):
    x, y = batch()
    return F.cross_entropy(model(x), y)


def boxes(ax):
    return [patch for patch in ax.patches if isinstance(patch, FancyBboxPatch)]


def words(ax):
    return [text.get_text() for text in ax.texts if text.get_text()]


def chain(norms):
    count = len(norms)
    return GraphRecording(
        ["w", *(["Exp"] * (count - 2)), "Mean"], ["leaf"] + ["op"] * (count - 1), [""] * count, ["(2,)"] * count,
        [[i, i + 1] for i in range(count - 1)], norms,
    )  # fmt: skip


def test_before_a_backward_everything_that_will_have_a_gradient_is_hatched():
    figure = graph(loss_of(small()))
    (ax,) = figure.axes
    assert len(boxes(ax)) == 13
    assert [b.get_hatch() for b in boxes(ax)].count("////") == 12  # all but the data
    assert figure.numbers["walked"] is False
    assert figure.caption == (
        "6 ops lead from 6 leaves to the loss; they are hatched, for no backward has brought a gradient yet."
    )


def test_after_it_each_box_has_its_norm_and_the_caption_the_smallest_of_the_leaves():
    model = small()
    seen = Graph(loss := loss_of(model))
    loss.backward()
    figure = graph(seen)
    sizes = {value["name"]: value["gradient_norm"] for value in figure.numbers["values"]}
    leaves = {p.name: norm(p.grad) for p in model.parameters()}
    for name, size in leaves.items():
        assert sizes[name] == pytest.approx(size)
        assert f"|grad| {size:.2g}" in words(figure.axes[0])
    smallest, largest = min(leaves, key=leaves.get), max(leaves, key=leaves.get)
    assert f"of the leaves {smallest} has the smallest gradient" in figure.caption
    assert f"{leaves[smallest] / leaves[largest]:.2g} times that of {largest}" in figure.caption
    assert not any(b.get_hatch() for b in boxes(figure.axes[0]))
    json.dumps(figure.numbers, allow_nan=False)


def test_the_shapes_stand_on_the_edges():
    figure = graph(loss_of(model := small()))
    assert words(figure.axes[0]).count("(8, 4)") == 4  # twice into a sigmoid and out of it
    assert [v["shape"] for v in figure.numbers["values"] if v["name"] == "fc1.weight"] == [str(model.fc1.weight.shape)]


def test_a_short_graph_lies_and_a_long_one_stands():
    wide, tall = graph(chain([1.0] * 4)).get_size_inches(), graph(chain([1.0] * 9)).get_size_inches()
    assert wide[0] > wide[1]
    assert tall[1] > tall[0]


def test_a_very_long_one_goes_on_in_the_next_column():
    figure = graph(chain([1.0] * 60))
    _, height = figure.get_size_inches()
    assert height < 24 * 0.8
    (ax,) = figure.axes
    lefts = sorted({round(float(patch.get_x()), 6) for patch in boxes(ax)})
    assert len(lefts) == 3
    assert [sum(patch.get_x() == pytest.approx(left) for patch in boxes(ax)) for left in lefts] == [24, 24, 12]


def test_zero_and_not_finite_are_named():
    figure = graph(chain([np.inf, 0.0, 1.0, 1.0]))
    assert "exactly 0 is the gradient of Exp; not finite (NaN or infinite) is the gradient of w." in figure.caption
    assert "not finite" in words(figure.axes[0])


def test_of_many_boxes_the_ops_remain_and_too_many_are_refused():
    figure = graph(loss_of(small(hidden=20)))
    assert {value["kind"] for value in figure.numbers["values"]} == {"op"}
    assert "43 leaves and constants are not drawn" in figure.caption
    with pytest.raises(ValueError, match=r"201 ops, more than the 120.*attribution"):
        graph(chain([1.0] * 202))


def test_boxes_do_not_overlap():
    figure = graph(loss_of(small(hidden=3)))
    extents = [patch.get_path().get_extents(patch.get_patch_transform()) for patch in boxes(figure.axes[0])]
    for i, a in enumerate(extents):
        assert not any(a.overlaps(b) for b in extents[:i])


def test_it_draws_into_given_axes_and_for_slides():
    ax = Figure().subplots()
    assert graph(chain([1.0, 1.0, 1.0]), ax=ax) is ax.figure
    assert graph(chain([1.0, 1.0, 1.0]), style="slides").dpi > 100
    with pytest.raises(ValueError, match="style: expected 'paper' or 'slides'"):
        graph(chain([1.0, 1.0, 1.0]), style="poster")
