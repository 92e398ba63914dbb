"""minidl beside real Caffe, step by step from the same weights on the same batches.

    CAFFE_PYTHON=/path/to/python3.9 python -m benchmarks.caffe            how far the losses part, a table
    CAFFE_PYTHON=/path/to/python3.9 python -m benchmarks.caffe --store    and keep what Caffe gave, for the tests

Caffe 1.0 is a wheel for Python 3.9 on Linux:

    python3.9 -m venv caffe-env
    caffe-env/bin/pip install kendryte-caffe==1.0.0.20210829 "numpy<1.24" "protobuf<3.21"

(Its BatchNorm is altered and is not used here.) Losses are compared, not speed: over many steps two correct programs
part where a ReLU or a max pool hangs on the last bit of a number.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

import minidl as md
import minidl.functional as F
from benchmarks import table
from benchmarks.prototxt import blob_of, layer, network
from minidl import models, nn

STORED = Path(__file__).parents[1] / "tests" / "benchmarks" / "from_caffe"
IN_CAFFE = Path(__file__).parent / "peers" / "in_caffe.py"
SCHEDULE = {"gamma": 1e-4, "power": 0.75}  # LeNet's


@dataclass(frozen=True)
class Case:
    """A network trained for some steps by a method, in minidl and in Caffe.

    Somewhere a ReLU or a max pool may hang on the last bit, and two correct programs part. So batches (`draw`) and
    rates were taken with which minidl alone keeps its losses to 2e-6 when its first weights are changed by their last
    bit, 12 times at random (LeNet's 100 steps 20 times).
    """

    model: Callable[[], nn.Sequential]
    image: tuple[int, ...]
    batch: int
    steps: int
    lr: float
    method: str = "SGD"  # Caffe's name of the solver
    decay: float = 5e-4
    layer_specific: bool = False
    draw: int = 1


def tiny() -> nn.Sequential:
    """A network for digits of 8x8 pixels, with groups: 724 parameters, whose file lies beside the tests."""
    return nn.Sequential(
        [
            ("conv1", nn.Conv2d(1, 4, 3)),
            ("relu1", nn.ReLU()),
            ("conv2", nn.Conv2d(4, 6, 3, groups=2)),
            ("pool2", nn.MaxPool2d(2)),
            ("flatten", nn.Flatten()),
            ("fc1", nn.Linear(24, 16)),
            ("relu3", nn.ReLU()),
            ("fc2", nn.Linear(16, 10)),
        ]
    )


LENET, COLOUR = (1, 28, 28), (3, 32, 32)
CASES = {
    "tiny": Case(tiny, (1, 8, 8), 8, 100, 0.02),
    "lenet": Case(models.lenet, LENET, 8, 100, 0.002, draw=8),
    "lenet, Nesterov": Case(models.lenet, LENET, 8, 20, 0.01, "Nesterov", draw=2),
    "lenet, AdaGrad": Case(models.lenet, LENET, 8, 20, 0.001, "AdaGrad", draw=3),
    "lenet, Adam": Case(models.lenet, LENET, 16, 20, 0.001, "Adam"),
    "lenet, layer-specific": Case(models.lenet, LENET, 8, 20, 0.005, layer_specific=True),
    "lenet, layer-specific, Nesterov": Case(models.lenet, LENET, 8, 20, 0.005, "Nesterov", layer_specific=True),
    "cifar10_quick": Case(models.cifar10_quick, COLOUR, 8, 10, 0.01, decay=0.004),
    "cifar10_full": Case(models.cifar10_full, COLOUR, 8, 10, 0.01, decay=0.004),
}

# Further layers that a .caffemodel may hold: a transposed convolution, and a dense layer with its weights (in, out).
OTHERS = """
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 2 dim: 2 dim: 3 dim: 3 } } }
layer { name: "up" type: "Deconvolution" bottom: "data" top: "up"
  convolution_param { num_output: 3 kernel_size: 3 stride: 2 bias_term: false } }
layer { name: "fc" type: "InnerProduct" bottom: "up" top: "fc" inner_product_param { num_output: 5 transpose: true } }
"""


def others() -> nn.Sequential:
    """The same in minidl."""
    layers = [("up", nn.ConvTranspose2d(2, 3, 3, stride=2, bias=False)), ("flatten", nn.Flatten())]
    return nn.Sequential([*layers, ("fc", nn.Linear(3 * 7 * 7, 5))])


# ---- the same numbers for both


def batches_of(case: Case) -> tuple[Any, Any]:
    """(steps, batch, C, H, W) images and (steps, batch) labels: digits, enlarged, and for three channels coloured.

    With noise: in areas of one colour the windows of a max pool would tie, and which pixel wins hang on the last bit.
    """
    rng = np.random.default_rng(case.draw)
    digits = md.data.digits(flat=False).train
    chosen = rng.integers(0, len(digits), (case.steps, case.batch))
    images = digits.inputs[chosen]
    channels, side, _ = case.image
    images = images.repeat(side // 8, axis=-1).repeat(side // 8, axis=-2)
    rest = side - images.shape[-1]
    images = np.pad(images, [(0, 0)] * 3 + [(rest // 2, rest - rest // 2)] * 2)
    if channels == 3:
        images = images * rng.uniform(-1, 1, (case.steps, case.batch, 3, 1, 1)).astype(np.float32)
    images = images + rng.uniform(0, 0.1, images.shape).astype(np.float32)
    return images, digits.labels[chosen]


def started(case: Case) -> nn.Sequential:
    """The network with weights that depend on nothing but NumPy: U(+-sqrt(3/fan_in)), as Caffe's xavier; biases 0."""
    rng = np.random.default_rng(0)
    model = case.model()
    for p in model.parameters():
        bound = (3 / np.prod(p.shape[1:])) ** 0.5 if p.ndim > 1 else 0.0
        p.data = rng.uniform(-bound, bound, p.shape).astype(np.float32)
    return model


# ---- minidl


def optimizer_of(case: Case, model: nn.Sequential) -> Any:
    """The method as Caffe has it; biases learn twice as fast."""
    rate = md.optim.LayerSpecific() if case.layer_specific else None
    options: dict[str, Any] = {"lr": case.lr, "weight_decay": case.decay, "layer_rate": rate}
    if case.method == "AdaGrad":
        made: Any = md.optim.AdaGrad(model, eps=1e-8, **options)
    elif case.method == "Adam":
        made = md.optim.Adam(model, **options)
    else:
        nesterov = case.method == "Nesterov"
        made = md.optim.SGD(model, momentum=0.9, nesterov=nesterov, momentum_form="caffe", **options)
    return made.scale("*.bias", lr=2.0)


def in_minidl(case: Case, recipe: bool = True) -> tuple[Any, nn.Sequential]:
    """The loss of each step before its update, and the network at the end.

    Args:
        case: what is trained.
        recipe: whether Adam is made to put eps where Caffe does.
    """
    model = started(case)
    optimizer = optimizer_of(case, model)
    schedule = md.optim.InvLR(optimizer, **SCHEDULE)
    losses = []
    for k, (images, labels) in enumerate(zip(*batches_of(case), strict=True), start=1):
        loss = F.cross_entropy(model(md.tensor(images)), labels)
        optimizer.zero_grad()
        loss.backward()
        if case.method == "Adam" and recipe:  # Caffe adds eps to a root that is not yet divided by this
            optimizer.eps = 1e-8 / (1 - optimizer.betas[1] ** k) ** 0.5
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
    return np.array(losses), model


# ---- Caffe


def prototxt(case: Case) -> tuple[str, str]:
    """The network as Caffe describes one, with the loss and the accuracy, and the name of its scores."""
    text, scores = network(case.model(), case.batch, case.image, bias_rate=2)
    return text + layer("accuracy", "Accuracy", scores, "accuracy", 'bottom: "label"'), scores


def solver_of(case: Case, net: Path) -> str:
    """The method, as Caffe describes one."""
    momentum = "" if case.method == "AdaGrad" else "momentum: 0.9\n"
    return (
        f'net: "{net}"\ntype: "{case.method}"\nbase_lr: {case.lr}\nlr_policy: "inv"\ngamma: {SCHEDULE["gamma"]}\n'
        f"power: {SCHEDULE['power']}\nweight_decay: {case.decay}\n{momentum}display: 0\nsnapshot: 0\n"
        f"snapshot_after_train: false\nsolver_mode: CPU\n"
    )


def in_caffe(case: Case, python: str, folder: Path) -> dict[str, Any]:
    """What `peers/in_caffe.py` writes; the .caffemodel files stay in the folder."""
    net, scores = prototxt(case)
    (folder / "net.prototxt").write_text(net, encoding="utf-8")
    (folder / "solver.prototxt").write_text(solver_of(case, folder / "net.prototxt"), encoding="utf-8")
    job = {"layer_specific": case.layer_specific, "decay": case.decay}
    images, labels = batches_of(case)
    return run(python, folder, {**job, "scores": scores}, start_of(case), images=images, labels=labels)


def start_of(case: Case) -> dict[str, Any]:
    """The weights at the start as Caffe calls them: "ip1.0" for `fc1.weight`, "ip1.1" for `fc1.bias`."""
    return {blob_of(name): p.numpy() for name, p in started(case).named_parameters()}


def others_in_caffe(python: str, folder: Path) -> dict[str, Any]:
    """`OTHERS` with weights and images drawn at random: the images and what came out."""
    rng = np.random.default_rng(2)
    (folder / "net.prototxt").write_text(OTHERS, encoding="utf-8")
    shapes = {"up.0": (2, 3, 3, 3), "fc.0": (147, 5), "fc.1": (5,)}
    start = {name: rng.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}
    images = rng.standard_normal((2, 2, 3, 3)).astype(np.float32)
    return {"images": images, **run(python, folder, {"scores": "fc"}, start, images=images)}


def alexnet_apart(python: str, folder: Path) -> float:
    """AlexNet at full size in Caffe, its file of 233 MiB read by minidl: how far the scores of two images part."""
    case = Case(models.alexnet, (3, 227, 227), 2, 1, 0.01)
    net, scores = prototxt(case)
    (folder / "net.prototxt").write_text(net, encoding="utf-8")
    images = np.random.default_rng(3).uniform(-1, 1, (2, *case.image)).astype(np.float32)
    theirs = run(python, folder, {"scores": scores}, start_of(case), images=images)["scores"]
    model = models.alexnet().eval()
    model.load_state_dict(models.from_caffe(md.load(folder / "net.caffemodel")))
    with md.no_grad():
        return apart_in_norm(model(md.tensor(images)).numpy(), theirs)


def run(python: str, folder: Path, job: dict[str, Any], start: dict[str, Any], **batches: Any) -> dict[str, Any]:
    """Let `peers/in_caffe.py` work in a folder that has net.prototxt, and solver.prototxt if it is to train."""
    (folder / "job.json").write_text(json.dumps(job), encoding="utf-8")
    np.savez(folder / "start.npz", **start)
    np.savez(folder / "batches.npz", **batches)
    ran = subprocess.run([python, str(IN_CAFFE), str(folder)], capture_output=True, text=True, check=False)
    if ran.returncode:
        sys.exit(f"error: Caffe failed:\n{ran.stdout}{ran.stderr}")
    with np.load(folder / "result.npz") as result:
        return dict(result)


# ---- the command


def apart(ours: Any, theirs: Any) -> float:
    """The largest difference of two losses of one step."""
    return float(np.max(np.abs(ours - theirs)))


def apart_in_norm(ours: Any, theirs: Any) -> float:
    """The norm of the difference over the norm."""
    return float(np.linalg.norm(ours - theirs) / np.linalg.norm(theirs))


def main(arguments: Sequence[str] | None = None) -> None:
    """The command."""
    command = argparse.ArgumentParser(
        "python -m benchmarks.caffe", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    command.add_argument("--store", action="store_true", help="also write what Caffe gave into tests/benchmarks")
    given = command.parse_args(arguments)
    python = os.environ.get("CAFFE_PYTHON", "")
    if not shutil.which(python):
        command.error("set CAFFE_PYTHON to a Python that has Caffe; above is how to make one")
    kept: dict[str, Any] = {}
    rows: list[Sequence[str]] = []
    for name, case in CASES.items():
        with TemporaryDirectory() as place:
            result = in_caffe(case, python, Path(place))
            if given.store and name == "tiny":
                STORED.mkdir(exist_ok=True)
                for file in ("net.caffemodel", "v1.caffemodel"):
                    shutil.copy(Path(place) / file, STORED / file)
                kept["scores of tiny"] = result["scores"]
            weights = models.from_caffe(md.load(Path(place) / "net.caffemodel"))
        losses, model = in_minidl(case)
        kept[name] = result["losses"]
        ends = [apart_in_norm(p.numpy(), weights[key]) for key, p in model.named_parameters()]
        falls = f"{losses[0]:.3f} to {losses[-1]:.3f}"
        rows.append([name, str(case.steps), falls, f"{apart(losses, kept[name]):.1e}", f"{max(ends):.1e}"])
    if given.store:
        with TemporaryDirectory() as place:
            result = others_in_caffe(python, Path(place))
            shutil.copy(Path(place) / "net.caffemodel", STORED / "others.caffemodel")
        kept |= {f"{key} of others": array for key, array in result.items()}
        np.savez(STORED / "stored.npz", **kept)
    with TemporaryDirectory() as place:
        print(f"Scores of AlexNet, from the file that Caffe wrote: {alexnet_apart(python, Path(place)):.1e} apart\n")
    print(table.markdown(["network", "steps", "loss", "losses apart", "weights apart at the end"], rows))


if __name__ == "__main__":
    main()
