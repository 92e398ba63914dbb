"""In a notebook: progress, tables, reprs and figures show themselves, once, without widgets and without magic words.

Each test executes cells in a kernel of their own, as Jupyter does, and looks at what a saved notebook would hold. They
run where nbclient and ipykernel are installed: `pip install -e '.[dev]'`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

import minidl as md

nbclient = pytest.importorskip("nbclient")
nbformat = pytest.importorskip("nbformat")
pytest.importorskip("ipykernel")

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]  # of the clients, not of minidl

TRAINING = """
import minidl as md
import minidl.functional as F
md.seed(0)
digits = md.data.digits()
model = md.models.mlp((64, 16, 10), activation="relu")
optimizer = md.optim.SGD(model, lr=0.1)
loader = md.data.Loader(digits.train, 32)
"""


def executed(*cells: str) -> list[list[dict[str, Any]]]:
    """What each cell leaves in the notebook, in a fresh kernel."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    root = str(Path(md.__file__).parents[1])
    client = nbclient.NotebookClient(
        notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": root}}
    )
    client.execute(env={**os.environ, "PYTHONPATH": root})
    return [cell.outputs for cell in notebook.cells]


def plain_text(output: dict[str, Any]) -> str:
    return output["data"]["text/plain"]


def test_fit_leaves_one_line_with_the_end_of_the_training() -> None:
    _, outputs, silent = executed(
        TRAINING,
        "history = md.fit(model, optimizer, loader, epochs=3, validation=digits.validation)",
        "history = md.fit(model, optimizer, loader, epochs=1, progress=False)",
    )
    assert [output["output_type"] for output in outputs] == ["display_data"]
    line = plain_text(outputs[0])
    assert line.startswith("\N{FULL BLOCK}" * 20 + "  102/102  0:0")
    assert "epoch 3/3  loss " in line
    assert line.count("\n") == 0
    assert silent == []


def test_what_ends_a_cell_is_shown_as_it_is_meant() -> None:
    _, history, summary, report = executed(
        TRAINING,
        "md.fit(model, optimizer, loader, epochs=2, progress=False)",
        "model.summary((1, 64))",
        "optimizer.layer_report()",
    )
    assert plain_text(history[0]).startswith("History(2 epochs, 68 steps; loss ")
    assert plain_text(summary[0]).splitlines()[0].split() == ["layer", "type", "output", "shape", "parameters"]
    assert plain_text(report[0]).splitlines()[0].split() == ["layer", "gradient", "norm", "multiplier", "rate"]


@pytest.mark.parametrize("before", ["", "%matplotlib inline", "import matplotlib.pyplot as plt"])
def test_a_figure_at_the_end_of_a_cell_is_shown_once(before: str) -> None:
    _, outputs = executed(
        f"{TRAINING}\n{before}\nx, y = next(iter(loader))\nF.cross_entropy(model(x), y).backward()",
        "md.plot.gradient_flow(model)",
    )
    pictures = [output for output in outputs if "image/png" in output.get("data", {})]
    assert len(pictures) == len(outputs) == 1


def test_a_figure_is_drawn_anew_while_a_training_runs() -> None:
    _, outputs = executed(
        TRAINING,
        """
with md.observe.GradientFlow(model, optimizer) as flow:
    live = md.plot.Live(lambda: md.plot.update_heatmap(flow.recording), seconds=0.1)
    md.fit(model, optimizer, loader, epochs=3, callbacks=[live], progress=False)
""",
    )
    assert [output["output_type"] for output in outputs] == ["display_data"]  # one, as it was at the end
    assert "<figcaption>" in outputs[0]["data"]["text/html"]
