"""minidl/plot/arguments.py: what a figure can be drawn of, and what is said of anything else."""

import re

import pytest

import minidl as md
from minidl import nn, plot
from tests.plot.recordings import flow, race

MODEL = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
RECORDER = md.observe.GradientFlow(MODEL, md.optim.SGD(MODEL, lr=0.1))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([race()], "got list of RaceRecording: give a single one"),
        ([1], "got list of int"),
        ([], "got list"),
        ({"SGD": md.training.History()}, "got dict of History"),
        ("race.npz", "got 'race.npz': md.observe.load(path) reads a recording, and md.plot.draw(path, name) draws it"),
        (flow(), "got FlowRecording, which other figures show: see md.plot.FIGURES"),
        (md.training.History(), "got History"),
        (None, "got None"),
    ],
)
def test_a_race_is_drawn_of_a_race(given, said):
    with pytest.raises(TypeError, match=re.escape(f"race: expected a RaceRecording; {said}") + "$"):
        plot.race(given)


@pytest.mark.parametrize("figure", [plot.flow_profile, plot.update_heatmap])
@pytest.mark.parametrize(
    ("given", "said"),
    [
        (MODEL, r"got Sequential: record its training, with md\.observe\.GradientFlow\(model, optimizer\) as flow"),
        ("flow.npz", r"got 'flow\.npz': md\.observe\.load\(path\) reads a recording, and md\.plot\.draw\(path, name\)"),
        (race(), "got RaceRecording, which other figures show"),
        (3, "got 3"),
    ],
)
def test_the_flows_figures_are_drawn_of_flows(figure, given, said):
    with pytest.raises(TypeError, match=f"expected a? ?FlowRecording.*; {said}"):
        figure(given)
    with pytest.raises(TypeError, match=r"expected a? ?FlowRecording.*; got .* as 'one'|FlowRecording; got"):
        figure([given] if figure is plot.flow_profile else {"one": given})


def test_a_recorder_is_told_to_give_its_recording():
    md.functional.sum(MODEL(md.ones(1, 2))).backward()
    with RECORDER, pytest.raises(TypeError, match=r"got GradientFlow: give its \.recording"):
        plot.flow_profile(RECORDER)


def test_a_list_where_the_panels_need_labels():
    with pytest.raises(TypeError, match=r"expected FlowRecording, or .*; got list of FlowRecording: give a "):
        plot.update_heatmap([flow()])


def test_the_class_of_a_model():
    with pytest.raises(TypeError, match="got the class Linear: make one"):
        plot.gradient_flow(nn.Linear)
