import pytest

import minidl as md
from minidl.plot import FIGURES, draw
from tests.plot.recordings import falling, flow, race


@pytest.fixture
def files(tmp_path):
    paths = {}
    for name in ("flow-sgd-uniform", "flow-sgd-layer-specific"):
        paths[name] = tmp_path / f"{name}.npz"
        flow(update_norm=falling(1.0)).save(paths[name])
    paths["race"] = tmp_path / "race.npz"
    race().save(paths["race"])
    return paths


@pytest.mark.parametrize("name", ["gradient_flow", "flow_profile", "update_heatmap", "race"])
def test_every_figure_can_be_drawn_from_a_file(name, files):
    path = files["race" if name == "race" else "flow-sgd-uniform"]
    figure = draw(path, name)
    assert figure.numbers["figure"] == name
    assert figure.caption
    assert draw([str(path)], name).caption == figure.caption
    assert md.plot.FIGURES is FIGURES


def test_several_files_are_panels_of_the_heat_map_labelled_by_what_differs_in_their_names(files):
    figure = draw([files["flow-sgd-uniform"], files["flow-sgd-layer-specific"]], "update_heatmap")
    assert list(figure.numbers["panels"]) == ["uniform", "layer-specific"]


@pytest.mark.parametrize("name", ["gradient_flow", "flow_profile", "update_lines", "effective_rates", "rate_curve"])
def test_several_files_are_networks_to_compare(files, name):
    figure = draw([files["flow-sgd-uniform"], files["flow-sgd-layer-specific"]], name)
    assert list(figure.numbers["networks"]) == ["uniform", "layer-specific"]


def test_files_of_one_name_are_labelled_by_their_paths(tmp_path):
    paths = [tmp_path / folder / "run.npz" for folder in ("a", "b")]
    for path in paths:
        flow(update_norm=falling(1.0)).save(path)
    assert list(draw(paths, "update_heatmap").numbers["panels"]) == [str(path) for path in paths]


def test_an_unknown_figure_lists_the_known_ones(files):
    with pytest.raises(
        ValueError, match=r"no figure 'pie'.*gradient_flow: mean.*flow_profile:.*update_heatmap:.*race:"
    ):
        draw(files["race"], "pie")


def test_the_wrong_kind_of_recording_says_what_can_be_drawn_from_it(files):
    with pytest.raises(ValueError, match=r"race\.npz is a RaceRecording: flow_profile cannot .* but race can"):
        draw(files["race"], "flow_profile")
    expected = r"uniform\.npz is a FlowRecording: race cannot .* but gradient_flow, flow_profile, .*rate_curve.* can"
    with pytest.raises(ValueError, match=expected):
        draw(files["flow-sgd-uniform"], "race")


def test_a_damaged_or_missing_file_is_named(files, tmp_path):
    files["race"].write_bytes(files["race"].read_bytes()[:100])
    with pytest.raises(ValueError, match=r"race\.npz is damaged"):
        draw(files["race"], "race")
    with pytest.raises(FileNotFoundError, match="nowhere"):
        draw(tmp_path / "nowhere.npz", "race")


def test_too_many_files_are_refused(files):
    with pytest.raises(ValueError, match="race is drawn from exactly one recording; got 2"):
        draw([files["race"], files["race"]], "race")
    with pytest.raises(ValueError, match="got 0"):
        draw([], "update_heatmap")


def test_a_figures_name_in_the_place_of_the_recordings():
    with pytest.raises(ValueError, match=r"no figure 'a\.npz': the recordings come first, draw\('a\.npz', 'race'\)"):
        draw("race", "a.npz")
