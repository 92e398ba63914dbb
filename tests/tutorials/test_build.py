"""What is built from a source, and what a comparison with a rebuild finds. On the sample, which is small."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from minidl import backend
from minidl.classroom.notebook import notebook_of
from minidl.classroom.source import CODE, Cell
from tutorials import compare
from tutorials.build import build, executed, student_notebook, write_slides_and_pages
from tutorials.pictures import with_palette
from tutorials.tidy import ROOT, cleaned, tidied

SAMPLE = Path(__file__).parent / "sample" / "00_sample.py"

in_a_kernel = pytest.mark.skipif(backend.current() != "numpy", reason="a kernel runs on NumPy")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    folder = tmp_path_factory.mktemp("built")
    build(SAMPLE, folder)
    return folder


def notebook(folder: Path, kind: str) -> dict[str, Any]:
    return json.loads((folder / kind / "00_sample.ipynb").read_text(encoding="utf-8"))


def text(cell: dict[str, Any]) -> str:
    return "".join(cell["source"])


def picture(colour: str = "red") -> str:
    file = io.BytesIO()
    Image.new("RGB", (4, 3), colour).save(file, format="PNG")
    return base64.b64encode(file.getvalue()).decode()


def test_a_students_notebook_begins_with_the_badge_and_the_cell_that_installs() -> None:
    cells = json.loads(student_notebook(SAMPLE))["cells"]
    assert "colab-badge.svg" in text(cells[0])
    assert "find_spec" in text(cells[1])
    assert not any("slides = " in text(cell) for cell in cells)
    assert any(text(cell) == "slope = ...  # your answer" for cell in cells)
    assert any("(../pages/00_step.html)" in text(cell) for cell in cells)


@pytest.mark.slow
@in_a_kernel
@pytest.mark.filterwarnings("ignore")
def test_the_files_of_a_tutorial(built: Path) -> None:
    made = sorted(path.relative_to(built).as_posix() for path in built.rglob("*.*"))
    assert made == [
        "notebooks/00_sample.ipynb",
        "pages/00_step.html",
        "slides/00_flow.png",
        "slides/00_graph.png",
        "student/00_sample.ipynb",
    ]
    cells = notebook(built, "notebooks")["cells"]
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    assert any(output.get("text") == ["twice: [0. 2. 4.]\n"] for output in outputs)
    (figure,) = [output for output in outputs if "image/png" in output.get("data", {})]
    assert list(figure["data"]) == ["image/png"]
    assert figure["metadata"]["image/png"]["alt"].startswith("The weight gradient")
    counts = [cell["execution_count"] for cell in cells if cell["cell_type"] == "code"]
    assert counts == list(range(1, len(counts) + 1))
    assert "SOLUTION" not in json.dumps(cells)
    assert compare.differences("00_sample", built, built) == []


@in_a_kernel
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_cell_that_fails_is_an_error(tmp_path: Path) -> None:
    nbclient = pytest.importorskip("nbclient")
    with pytest.raises(nbclient.exceptions.CellExecutionError, match="ZeroDivisionError"):
        executed(notebook_of([Cell(CODE, "1 / 0")]), tmp_path)


def test_slides_and_pages_are_named_by_their_tutorial(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"begin with 03_, not \['flow'\]"):
        write_slides_and_pages("03_x", str(tmp_path), {"flow": None}, {})


# ---- tidying


def test_paths_addresses_and_times_are_taken_out() -> None:
    assert cleaned(f"{ROOT}/minidl/x.py: <f at 0x7f0011223344>") == "minidl/x.py: <f at 0x...>"
    assert cleaned("/tmp/ipykernel_12/345.py:3: Warning") == "<cell>:3: Warning"
    assert cleaned("\x1b[31mred\x1b[0m") == "red"
    assert cleaned("102/102  0:03 loss 1") == "102/102  -:-- loss 1"
    assert cleaned("a 1:2 mixture of 10:30s") == "a 1:2 mixture of 10:30s"


def cell(*outputs: dict[str, Any]) -> dict[str, Any]:
    metadata = {"execution": {"iopub": "now"}, "minidl": {"check": "t00_x"}}
    return {"cell_type": "code", "source": "x\ny", "metadata": metadata, "outputs": list(outputs)}


def stream(words: str, name: str = "stdout") -> dict[str, Any]:
    return {"output_type": "stream", "name": name, "text": words}


def test_printed_lines_are_one_output_and_standard_error_is_dropped() -> None:
    found = tidied(cell(stream("a\n"), stream("noise", "stderr"), stream("b\n")), 256)
    assert found["outputs"] == [{"output_type": "stream", "name": "stdout", "text": ["a\n", "b\n"]}]
    assert found["metadata"] == {"minidl": {"check": "t00_x"}}
    assert found["source"] == ["x\n", "y"]


def test_a_figure_is_one_picture_with_its_caption_below() -> None:
    page = f'<figure><img src="data:{picture()}" width="346"><figcaption>a &lt; b</figcaption></figure>'
    data = {"image/png": picture(), "text/html": page, "text/plain": "<Figure>", "application/x": 1}
    shown, words = tidied(cell({"output_type": "display_data", "data": data, "metadata": {}}), 256)["outputs"]
    assert list(shown["data"]) == ["image/png"]
    assert shown["metadata"] == {"image/png": {"width": 346, "alt": "a < b"}}
    assert words["data"] == {"text/html": ["<p>a &lt; b</p>"], "text/plain": ["a < b"]}


def test_a_picture_with_a_palette_is_smaller_and_looks_the_same() -> None:
    rng = np.random.default_rng(0)
    pixels = rng.choice(np.array([[255, 0, 0], [0, 0, 255], [10, 200, 30]], dtype=np.uint8), (60, 80))
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format="PNG")
    small = with_palette(file.getvalue(), 256)
    assert len(small) < len(file.getvalue())
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(small)).convert("RGB")), pixels)


# ---- comparing


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("loss 1.234", "loss 1.235"),
        ("took 3.2 s", "took 41 s"),
        ("a  b\n", "a b"),
        ("[1e-9 2.]", "[2e-9 2.]"),
    ],
)
def test_near_numbers_times_and_spaces_are_no_difference(old: str, new: str) -> None:
    assert compare.of_texts(old, new) == ""


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("loss 1.2", "loss 1.3", "it says 1.2, rebuilt 1.3"),
        ("loss 1.2", "cost 1.2", "it says 'loss 1.2', rebuilt 'cost 1.2'"),
        ("1 2", "1 2 3", "it says '1 2', rebuilt '1 2 3'"),
    ],
)
def test_other_numbers_and_words_are_named(old: str, new: str, words: str) -> None:
    assert compare.of_texts(old, new) == words


def test_what_differs_between_notebooks_is_said() -> None:
    old = {"cells": [cell(stream("1"))]}
    assert compare.of_notebooks(old, {"cells": []}) == ["1 cells, rebuilt 0"]
    assert compare.of_notebooks(old, {"cells": [{**cell(stream("1")), "source": "z"}]}) == [
        "cell 1: its source is another one"
    ]
    assert compare.of_notebooks(old, {"cells": [cell()]}) == ["cell 1: outputs ['stream'], rebuilt []"]
    assert compare.of_notebooks(old, {"cells": [{**cell(stream("1")), "id": "other"}]}) == []


def test_files_that_are_missing_or_made_by_nothing_are_named(tmp_path: Path) -> None:
    there, rebuilt = tmp_path / "there", tmp_path / "rebuilt"
    for folder, name in ((there, "00_old.png"), (rebuilt, "00_new.png")):
        (folder / "slides").mkdir(parents=True)
        (folder / "slides" / name).write_text("")
    (rebuilt / "student").mkdir()
    (rebuilt / "student" / "00_x.ipynb").write_text("{}")
    assert compare.differences("00_x", there, rebuilt) == [
        "student/00_x.ipynb is missing",
        "slides/00_new.png is missing",
        "slides/00_old.png is made by nothing",
    ]
