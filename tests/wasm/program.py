"""What `python -m tests.wasm` runs twice, here and under WebAssembly: a line of JSON a subject, with what it found.

OUT=FOLDER python program.py      # where to write files
"""

import json
import os
import sys
import time
import warnings
from pathlib import Path

import numpy as np

import minidl as md
import minidl.functional as F
from minidl.experiments.pipeline import run_comparison
from minidl.experiments.settings import Settings
from minidl.files.arrays import load_arrays

OUT = Path(os.environ["OUT"])


def images(count, size):
    rng = np.random.default_rng(0)
    return rng.random((count, *size), dtype=np.float32), rng.integers(0, 10, count)


def losses(model, inputs, labels, lr, steps=5):
    optimizer = md.optim.SGD(model, lr=lr)
    found = []
    for _ in range(steps):
        loss = F.cross_entropy(model(md.Tensor(inputs)), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        found.append(loss.item())
    return found


def mlp():
    md.seed(0)
    return losses(md.models.mlp((64, 32, 10)), *images(16, (64,)), lr=0.1)


def lenet():
    md.seed(0)
    return losses(md.models.lenet(), *images(8, (1, 28, 28)), lr=0.01)


def fit_with_workers():
    md.seed(0)
    model = md.models.mlp((64, 32, 10), activation="relu")
    loader = md.data.Loader(md.data.digits().train, batch_size=64, seed=0, workers=2)
    history = md.fit(model, md.optim.SGD(model, lr=0.1, momentum=0.9), loader, epochs=3, progress=False)
    return history.step_loss


def threads():
    md.set_num_threads(3)  # which WebAssembly has not
    md.seed(0)
    return losses(md.models.lenet(), *images(64, (1, 28, 28)), lr=0.01, steps=3)


def gradient_flow():
    md.seed(0)
    model = md.models.mlp((64, *[32] * 4, 10), activation="sigmoid")
    optimizer = md.optim.SGD(model, lr=0.1, layer_rate=md.optim.LayerSpecific())
    inputs, labels = images(16, (64,))
    with md.observe.GradientFlow(model, optimizer) as flow:
        for _ in range(3):
            loss = F.cross_entropy(model(md.Tensor(inputs)), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    flow.recording.save(OUT / "flow.npz")
    recording = md.observe.FlowRecording.load(OUT / "flow.npz")
    md.plot.save_figure(md.plot.gradient_flow(recording, step=0), OUT / "flow")
    return [recording.weight_gradient_rms.tolist(), sorted(path.name for path in OUT.glob("flow*"))]


def weights_in_a_file():
    md.seed(0)
    model = md.models.lenet()
    md.save(model.state_dict(), OUT / "lenet.npz")
    md.seed(1)
    other = md.models.lenet()
    other.load_state_dict(md.load(OUT / "lenet.npz"))
    return all(
        np.array_equal(a.numpy(), b.numpy()) for a, b in zip(model.parameters(), other.parameters(), strict=True)
    )


def tape_and_page():
    md.seed(0)
    model = md.models.mlp((4, 3, 2))
    optimizer = md.optim.SGD(model, lr=0.1)
    with md.record() as tape:
        inputs = md.tensor(np.arange(8, dtype=np.float32).reshape(2, 4) / 8)
        F.cross_entropy(model(inputs), np.array([0, 1])).backward()
        optimizer.step()
    tape.save_html(OUT / "step.html")
    tape.save(OUT / "step.npz")
    return [repr(md.stepper.Tape.load(OUT / "step.npz")), (OUT / "step.html").stat().st_size > 100_000]


def deep():
    x = md.tensor(1.0, requires_grad=True)
    y = x
    for _ in range(100_000):
        y = y + 1.0
    y.backward()
    return x.grad.item()


def compare():
    settings = Settings(methods=("sgd",), arms=("uniform", "layer-specific"), seeds=1, epochs=2, lr=0.5)
    run_comparison(settings, OUT / "compare", command="compare")
    runs = sorted((OUT / "compare" / "runs").glob("*.npz"))
    return {path.stem: load_arrays(path, kind="run")[0]["loss"].tolist() for path in runs}


SUBJECTS = (mlp, lenet, fit_with_workers, threads, gradient_flow, weights_in_a_file, tape_and_page, deep, compare)

if __name__ == "__main__":
    print(json.dumps([sys.platform, f"Python {sys.version.split()[0]}", f"NumPy {np.__version__}"]), flush=True)
    for subject in SUBJECTS:
        started = time.perf_counter()
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always", UserWarning)
            try:
                found = subject()
            except Exception as error:
                found = f"{type(error).__name__}: {error}"
        words = [str(warning.message) for warning in said]
        print(json.dumps([subject.__name__, found, words, round(time.perf_counter() - started, 2)]), flush=True)
