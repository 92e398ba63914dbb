"""A comparison from start to end: the runs, the recordings, the figures, the report; all of it in one run folder."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from minidl import plot
from minidl.experiments.arms import ARMS
from minidl.experiments.compare import Comparison
from minidl.experiments.report import Picture, render
from minidl.experiments.results import as_json, same_runs, summarise
from minidl.experiments.runs import RunKey, build_model
from minidl.experiments.settings import Settings
from minidl.experiments.workers import Workers
from minidl.files.writing import check_writable, write_atomically
from minidl.observe import FlowRecording, RaceRecording

# The flows that are drawn beside each other: SGD as it is, with a rate per layer, and with the best single rate.
SHOWN = ("uniform", "layer-specific", "uniform-tuned")


def run_comparison(
    settings: Settings,
    folder: Path,
    command: str,
    on_run: Callable[[RunKey], None] = lambda key: None,
    say: Callable[[str], None] = lambda text: None,
    on_last_run: Callable[[], None] = lambda: None,
) -> dict[str, Any]:
    """Do everything and write it to `folder`; returns what results.json holds (where null stands for NaN and infinity).

    The folder gets settings.json, runs/*.npz (one a run), one gradient-flow recording an arm, one race recording a
    method, the figures (png, svg, and the numbers they draw as json), results.json and report.html.
    """
    with Workers(in_process=settings.backend != "numpy") as workers:
        comparison = Comparison(settings, folder, workers, on_run)
        folder = comparison.folder
        for name in ("results.json", "report.html"):  # a file that cannot be written is found out now
            check_writable(folder / name)
        for method in settings.methods:
            if settings.lr is None:
                say(f"{method}: tuning the base rates")
            comparison.base_rates(method)
            say(f"{method}: running the arms")
            comparison.arm_runs(method)
        on_last_run()
        say("recording the gradient flow")
        shown = [arm for arm in SHOWN if arm in settings.arms]
        flows = {method: comparison.record_all(method, shown) for method in settings.methods}

    say("drawing")
    races = {method: race_recording(comparison, method) for method in settings.methods}
    pictures = [p for m in settings.methods for p in _draw(comparison, m, flows[m], races[m])]
    results = summarise(comparison, flows)
    results["command"] = command
    results["figures"] = [{"name": picture.name, "caption": picture.caption} for picture in pictures]

    write_atomically(folder / "results.json", json.dumps(as_json(results), indent=2, allow_nan=False).encode())
    page = render(results, pictures, command, describe_network(settings))
    write_atomically(folder / "report.html", page.encode(errors="xmlcharrefreplace"))
    return results


def describe_network(settings: Settings) -> str:
    """The network in words: its layers with their shapes, and its number of parameters."""
    model = build_model(settings)
    layers = ", ".join(
        f"{name} {' x '.join(map(str, next(iter(layer.parameters())).shape))}" for name, layer in model.named_layers()
    )
    count = sum(p.size for p in model.parameters())
    activation = "sigmoid" if settings.model == "mlp" else "ReLU"
    return (
        f"{settings.model} ({layers}; {activation} between the layers, Caffe's xavier weights U(+-sqrt(3/fan_in)), "
        f"biases 0; {count:,} parameters)"
    )


def race_recording(comparison: Comparison, method: str) -> RaceRecording:
    """The method's arms side by side, with the tuning sweep, as the recording that `plot.race` draws."""
    runs = comparison.arm_runs(method)
    same = same_runs(runs)
    arms = [arm for arm in ARMS if arm in runs and arm not in same]
    first = runs[arms[0]][0]
    sweep = comparison.sweep(method)
    return RaceRecording(
        arms=arms,
        seeds=np.arange(comparison.settings.seeds),
        steps=np.arange(1, len(first.loss) + 1),
        loss=np.array([[run.loss for run in runs[arm]] for arm in arms]),
        seconds=np.array([[run.seconds for run in runs[arm]] for arm in arms]),
        eval_steps=first.eval_steps,
        accuracy=np.array([[run.test_accuracy for run in runs[arm]] for arm in arms]),
        sweep_arms=list(sweep),
        sweep_rates=np.array(comparison.settings.grid(method)),
        sweep_loss=np.array(list(sweep.values())) if sweep else np.zeros((0, 0, 0)),
        rates=[comparison.base_rates(method)[arm] for arm in arms],
        notes=[f"{arm} has the same runs as {other}" for arm, other in same.items()],
    )


def _draw(comparison: Comparison, method: str, flows: dict[str, FlowRecording], race: RaceRecording) -> list[Picture]:
    """Draw the four figures, write them, and hand them to the report."""
    folder = comparison.folder
    race.save(folder / f"race-{method}.npz")
    figures = {f"race-{method}": plot.race(race, against="steps")}
    if flows:
        last = list(flows.values())[-1]
        figures[f"update_heatmap-{method}"] = plot.update_heatmap(flows)
        figures[f"flow_profile-{method}"] = plot.flow_profile(flows.get("uniform", last))
        figures[f"gradient_flow-{method}"] = plot.gradient_flow(flows.get("uniform", last), step=0)
    lines = "Lines are medians, bands the range over the seeds; loss on the mini-batches, accuracy on the test digits."
    one = "uniform" if "uniform" in flows else (list(flows) or [""])[-1]
    shows = {
        f"race-{method}": lines,
        f"update_heatmap-{method}": "Seed 0 of each arm.",
        f"flow_profile-{method}": f"The arm {one}, seed 0.",
        f"gradient_flow-{method}": f"The arm {one}, seed 0.",
    }
    pictures = []
    for name, figure in figures.items():
        plot.save_figure(figure, folder / name)
        svg = (folder / f"{name}.svg").read_text(encoding="utf-8")
        pictures.append(Picture(name, svg[svg.index("<svg") :], f"{shows[name]} {figure.caption}"))
    return pictures
