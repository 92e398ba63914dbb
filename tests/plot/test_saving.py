import json
import subprocess
import sys

import pytest
from matplotlib.figure import Figure
from PIL import Image

from minidl import plot
from tests.plot.recordings import falling, flow, race


def figure():
    return plot.update_heatmap({"SGD": flow(update_norm=falling())})


def test_png_svg_and_json_are_written_beside_each_other(tmp_path):
    drawn = figure()
    paths = plot.save_figure(drawn, tmp_path / "new" / "v1.2")
    assert [path.name for path in paths] == ["v1.2.png", "v1.2.svg", "v1.2.json"]
    with Image.open(paths[0]) as image:
        width, height = drawn.get_size_inches()
        assert image.size == (round(width * 200), round(height * 200))
    assert "<svg" in paths[1].read_text(encoding="utf-8")
    assert json.loads(paths[2].read_text()) == {"caption": drawn.caption, "numbers": drawn.numbers}
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["v1.2.json", "v1.2.png", "v1.2.svg"]


def test_a_suffix_is_taken_off(tmp_path):
    names = [path.name for path in plot.save_figure(figure(), tmp_path / "flow.png")]
    assert names == ["flow.png", "flow.svg", "flow.json"]


def test_the_same_figure_gives_the_same_bytes(tmp_path):
    first, second = (plot.save_figure(figure(), tmp_path / name) for name in ("a", "b"))
    for a, b in zip(first, second, strict=True):
        assert a.read_bytes() == b.read_bytes()


def test_an_interrupted_write_leaves_the_old_file(tmp_path, monkeypatch):
    paths = plot.save_figure(figure(), tmp_path / "f")
    before = paths[0].read_bytes()

    def broken(*args):
        raise OSError("disk full")

    monkeypatch.setattr("os.replace", broken)
    with pytest.raises(OSError, match="disk full"):
        plot.save_figure(plot.race(race()), tmp_path / "f")
    assert paths[0].read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 3


def test_a_figure_that_claims_nothing_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"carries \.caption and \.numbers"):
        plot.save_figure(Figure(), tmp_path / "f")


def test_drawing_touches_neither_pyplot_nor_the_global_settings():
    code = (
        "import sys, matplotlib; before = str(matplotlib.rcParams.copy())\n"
        "from minidl import plot\n"
        "from tests.plot.recordings import flow, falling, race\n"
        "figure = plot.update_heatmap(flow(update_norm=falling())); plot.race(race()); plot.flow_profile(flow())\n"
        "import tempfile; plot.save_figure(figure, tempfile.mkdtemp() + '/f')\n"
        "assert 'matplotlib.pyplot' not in sys.modules, 'pyplot'\n"
        "assert str(matplotlib.rcParams.copy()) == before, 'rcParams'\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("path", [".", "..", "", "../"])
def test_a_folder_is_no_place_for_a_figure(tmp_path, monkeypatch, path):
    (tmp_path / "in").mkdir()
    monkeypatch.chdir(tmp_path / "in")
    with pytest.raises((IsADirectoryError, ValueError), match=r"is a folder; name the figure in it|expected the path"):
        plot.save_figure(figure(), path)
    assert list(tmp_path.iterdir()) == [tmp_path / "in"]


def test_a_folder_that_is_there_or_is_written_as_one(tmp_path):
    for path in (tmp_path, f"{tmp_path}/new/"):
        with pytest.raises(IsADirectoryError, match=r"This is a folder; name the figure in it, such as .*figure"):
            plot.save_figure(figure(), path)


def test_the_figure_comes_first(tmp_path):
    with pytest.raises(TypeError, match=r"got a path first: save_figure\(figure, path\)"):
        plot.save_figure(str(tmp_path / "flow"), figure())
