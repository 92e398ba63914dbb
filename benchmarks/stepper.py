"""What the stepper costs: recording a training step, and its page in a browser, offline.

    python -m benchmarks.stepper [--rounds N] [--no-browser]      the table, in markdown

Recording is measured on a LeNet step (a batch of 64, float32, one thread): processor time over that of a bare step, the
two taking turns, and the most memory that it takes beside the step. The page is opened from the disk in Chromium.
"""

from __future__ import annotations

import argparse
import statistics
import time
import tracemalloc
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

import minidl as md
import minidl.functional as F
from benchmarks import table
from benchmarks.machine import described
from benchmarks.peers import count, installed
from minidl.stepper.tape import Tape

OPS = 1_000
_STEPS = """async keys => {
    const times = [];
    for (const key of keys) {
        const begin = performance.now();
        document.body.dispatchEvent(new KeyboardEvent("keydown", {key, bubbles: true}));
        document.body.offsetHeight;
        times.push(performance.now() - begin);
        await new Promise(requestAnimationFrame);
    }
    return times;
}"""


def lenet_step() -> Callable[[], None]:
    """A training step of LeNet."""
    md.seed(0)
    model = md.models.lenet()
    optimizer = md.optim.SGD(model, lr=0.01, momentum=0.9, layer_rate=md.optim.LayerSpecific())
    images = md.Tensor(np.random.default_rng(0).random((64, 1, 28, 28), dtype=np.float32))
    labels = np.arange(64) % 10

    def step() -> None:
        loss = F.cross_entropy(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def chain_of(ops: int) -> Tape:
    """The tape of a chain of small ops, forward and backward."""
    x = md.tensor(np.linspace(-1, 1, 8, dtype=np.float32), requires_grad=True)
    with md.record(title=f"{ops} ops") as tape:
        h = x
        for _ in range(ops // 2 - 1):
            h = F.tanh(h * 1.01)
        F.sum(h * h).backward()
    return tape


def recorded(step: Callable[[], None]) -> Tape:
    """The tape of a step."""
    with md.record(title="lenet.py") as tape:
        step()
    return tape


def recording_cost(step: Callable[[], None], rounds: int) -> tuple[float, float]:
    """(processor time of a recorded step over a bare one's, bytes of memory beside the step)."""
    ratios = []
    for _ in range(rounds + 1):
        began = time.process_time()
        step()
        between = time.process_time()
        recorded(step)
        ratios.append((time.process_time() - between) / (between - began))
    peaks = []
    for run in (step, lambda: recorded(step)):
        tracemalloc.start()
        kept = run()
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        del kept
    return statistics.median(ratios[1:]), peaks[1] - peaks[0]


def page_times(path: Path, presses: int) -> dict[str, float]:
    """Milliseconds until the list and the graph are shown, and that a step takes: the median, and the longest."""
    import shutil

    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    with sync_playwright() as running:
        browser = running.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_context(viewport={"width": 390, "height": 844}, offline=True).new_page()
        page.goto(path.as_uri())
        while not page.evaluate("() => performance.getEntriesByName('graph').length"):
            page.wait_for_timeout(20)
        times = page.evaluate(_STEPS, ["ArrowRight"] * presses)
        marks = {
            name: float(page.evaluate("name => performance.getEntriesByName(name)[0].startTime", name))
            for name in ("list", "graph")
        }
        browser.close()
    return {**marks, "step": statistics.median(times), "longest": max(times)}


def report(rounds: int, browser: bool) -> str:
    """The table, in markdown."""
    step = lenet_step()
    ratio, memory = recording_cost(step, rounds)
    rows: list[Sequence[Any]] = [
        ["recorded / bare LeNet step, processor time", f"{ratio:.2f}", "3"],
        ["memory of recording it", f"{memory / 1e6:.1f} MB", "64 MB"],
    ]
    tapes = {"LeNet step": recorded(step), f"{OPS:,} ops": chain_of(OPS)}
    with TemporaryDirectory() as folder:
        for name, tape in tapes.items():
            path = Path(folder) / "step.html"
            began = time.process_time()
            tape.save_html(path)
            rows.append([f"{name}: to write the page", f"{time.process_time() - began:.1f} s", ""])
            asked = "650 KB" if name == "LeNet step" else ""
            rows.append([f"{name}: page", f"{path.stat().st_size / 1000:.0f} KB", asked])
            if browser:
                found = page_times(path, min(len(tape) - 1, 100))
                graph = "1,000 ms" if name == "LeNet step" else ""
                rows.append([f"{name}: list shown", f"{found['list']:.0f} ms", "1,000 ms"])
                rows.append([f"{name}: graph shown", f"{found['graph']:.0f} ms", graph])
                rows.append([f"{name}: a step, median", f"{found['step']:.0f} ms", "50 ms"])
                rows.append([f"{name}: a step, longest", f"{found['longest']:.0f} ms", "50 ms"])
    return f"{described(1)} {rounds} rounds.\n\n{table.markdown(['', 'measured', 'at most'], rows)}\n"


def main(arguments: Sequence[str] | None = None) -> None:
    """The command."""
    command = argparse.ArgumentParser("python -m benchmarks.stepper", description=__doc__.split("\n", 1)[0])
    command.add_argument("--rounds", type=count, default=15, metavar="N", help="pairs of steps (15)")
    command.add_argument("--no-browser", action="store_true", help="do not open the pages")
    given = command.parse_args(arguments)
    browser = not given.no_browser and installed("playwright")
    md.set_num_threads(1)
    print(report(given.rounds, browser), end="")


if __name__ == "__main__":
    main()
