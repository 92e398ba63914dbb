"""Cells and bars of figures lead to their moments on a tape."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minidl as md
import minidl.functional as F
from tests.arrays import tensor


@pytest.fixture(scope="module")
def recorded() -> Any:
    md.seed(0)
    model = md.models.mlp((4, 5, 5, 3), activation="sigmoid")
    sgd = md.optim.SGD(model, lr=0.1)
    x, labels = tensor(np.random.default_rng(0).standard_normal((6, 4)).astype(np.float32)), tensor(np.arange(6) % 3)
    with md.observe.GradientFlow(model, sgd) as flow:
        for step in range(4):
            recording = md.record()
            if step == 2:
                with recording as tape:
                    sgd.zero_grad()
                    loss = F.cross_entropy(model(x), labels)
                    graph = md.observe.Graph(loss)
                    loss.backward()
                    sgd.step()
                continue
            sgd.zero_grad()
            F.cross_entropy(model(x), labels).backward()
            sgd.step()
    return flow.recording, graph, tape


def test_the_cells_of_a_recorded_step_lead_to_its_updates(recorded: Any, tmp_path: Path) -> None:
    flow, _, tape = recorded
    figure = md.plot.link(md.plot.update_heatmap(flow), tape, "step.html")
    links = figure.numbers["links"]  # type: ignore[attr-defined]
    assert [what for what, _ in links] == ["fc1, step 2", "fc2, step 2", "fc3, step 2"]
    for what, target in links:
        number = int(re.search(r"#i=(\d+)", target)[1])  # type: ignore[index]
        assert tape[number].phase == "update"
        assert what.startswith(tape.layer(tape[number]))
        assert target.endswith(f"&n={tape.layer(tape[number])}.weight")
    md.plot.save_figure(figure, tmp_path / "heat")
    svg = (tmp_path / "heat.svg").read_text(encoding="utf-8")
    assert all(target.replace("&", "&amp;") in svg for _, target in links)


def test_the_bars_lead_to_the_backwards_of_their_ops(recorded: Any) -> None:
    _, graph, tape = recorded
    figure = md.plot.link(md.plot.attribution(graph), tape, "step.html")
    panel = figure.numbers["panels"][""]  # type: ignore[attr-defined]
    links = figure.numbers["links"]  # type: ignore[attr-defined]
    assert len(links) == len(panel["ops"])
    for (_, target), op, norm in zip(links, panel["ops"][::-1], panel["norm"][::-1], strict=True):
        event = tape[int(re.search(r"#i=(\d+)", target)[1])]  # type: ignore[index]
        assert (event.phase, event.op.removeprefix("General")) == ("backward", op.removeprefix("General"))
        assert any(addend.grad.norm == pytest.approx(norm, rel=1e-4) for addend in event.addends)


def test_what_cannot_be_linked_is_refused(recorded: Any) -> None:
    flow, _, tape = recorded
    with pytest.raises(ValueError, match="expected an update_heatmap or an attribution; got update_lines"):
        md.plot.link(md.plot.update_lines(flow), tape, "step.html")
    with pytest.raises(TypeError, match="expected a tape"):
        md.plot.link(md.plot.update_heatmap(flow), flow, "step.html")
    two = md.plot.update_heatmap({"a": flow, "b": flow})
    with pytest.raises(ValueError, match="say which panel"):
        md.plot.link(two, tape, "step.html")
    with pytest.raises(ValueError, match="no panel 'c'; there are 'a', 'b'"):
        md.plot.link(two, tape, "step.html", label="c")
    with pytest.raises(ValueError, match="nothing that is drawn there is on the tape"), md.record() as other:
        md.plot.link(md.plot.update_heatmap(flow), other, "step.html")
    assert md.plot.link(two, tape, "step.html", label="b").numbers["links"]  # type: ignore[attr-defined]
