"""How the rates and depths that are not Caffe's were chosen: by criteria that look at the uniform rate alone.

    python -m minidl.experiments.reproduce.choose rates FOLDER RECIPE METHOD,...
    python -m minidl.experiments.reproduce.choose depth FOLDER

`rates`: the base rate with the lowest mean validation loss over the tuning seeds, at the scale `quick`, out of a wide
grid of half decades. `depth`: the deepest MLP of the family `networks.deep_mlp` that some uniform rate of SGD trains to
90% of the validation images within the budget of the scale `quick`.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np

from minidl import backend
from minidl import functional as F
from minidl.data import Loader
from minidl.experiments.reproduce.recipes import TUNING_SEEDS, recipe_named
from minidl.experiments.reproduce.running import perform
from minidl.experiments.reproduce.sets import read
from minidl.files.output import say
from minidl.optim.norms import l2_norm
from minidl.tensors.tensor import Tensor

WIDE = tuple(float(f"{10 ** (step / 2):.3g}") for step in range(-8, 4))  # 1e-4 to about 31.6
TRAINED = 0.9
DEPTHS = (2, 3, 4, 5, 6, 8, 20)
DEPTH_RATES = (0.0316, 0.1, 0.316, 1.0)  # those around them are worse already at 2 and 3 layers


def validations(folder: Path, recipe: str, method: str, rate: float) -> list[dict[str, Any]]:
    """What runs with one uniform rate end with on the validation images, for each tuning seed."""
    iterations = recipe_named(recipe).iterations["quick"]
    found = []
    for seed in TUNING_SEEDS:
        name = f"{recipe}-{method}-uniform-grid{rate:g}-seed{seed}"
        spec = {
            "id": name,
            "recipe": recipe,
            "scale": "quick",
            "method": method,
            "rate": "uniform",
            "base": rate,
            "seed": seed,
            "role": "tuning",
            "iterations": iterations,
            "needs": [],
            "stage": 0,
        }
        found.append(perform(spec, folder / "runs" / name))
    return found


def loss_of(results: list[dict[str, Any]]) -> float:
    """The mean validation loss; infinite if a run diverged."""
    losses = [result["validation"]["loss"] for result in results]
    return float("inf") if None in losses else float(np.mean(losses))


def accuracy_of(results: list[dict[str, Any]]) -> float:
    """The mean validation accuracy."""
    return float(np.mean([result["validation"]["accuracy"] for result in results]))


def choose_rates(folder: Path, recipe: str, methods: list[str], rates: tuple[float, ...] = WIDE) -> None:
    """Print a table of rates for each method."""
    for method in methods:
        say(f"{recipe}, {method}: base rate, mean validation loss, accuracy", sys.stdout)
        losses = {}
        for rate in rates:
            results = validations(folder, recipe, method, rate)
            losses[rate] = loss_of(results)
            say(f"{rate:10g}  {losses[rate]:8.4f}  {accuracy_of(results):6.1%}", sys.stdout)
        say(f"chosen: {min(losses, key=lambda rate: losses[rate]):g}", sys.stdout)


def slope(hidden: int) -> float:
    """By how many decades the norm of a layer's gradient falls from layer to layer towards the input, at step 0.

    Of the hidden layers behind the first, which are all of one shape; the median over the tuning seeds, on the first
    batch of each.
    """
    sets, recipe, slopes = read("mnist"), recipe_named(f"deep-mlp-{hidden}"), []
    for seed in TUNING_SEEDS:
        backend.seed(seed)
        model = recipe.network()
        inputs, labels = Loader(sets.train, recipe.batch, seed=seed, transform=sets.transform).batch(0, 0)
        F.cross_entropy(model(Tensor(inputs)), labels).backward()
        grads = [[p.grad.data for p in layer.parameters() if p.grad is not None] for _, layer in model.layers()]
        norms = [float(l2_norm(own)) for own in grads[1:-1]]
        slopes.append((np.log10(norms[-1]) - np.log10(norms[0])) / max(1, len(norms) - 1))
    return float(np.median(slopes))


def choose_depth(folder: Path, depths: tuple[int, ...] = DEPTHS, rates: tuple[float, ...] = DEPTH_RATES) -> None:
    """Print a table of depths."""
    say("hidden layers  decades a layer  best rate  validation accuracy  criterion", sys.stdout)
    for hidden in depths:
        found = {rate: accuracy_of(validations(folder, f"deep-mlp-{hidden}", "sgd", rate)) for rate in rates}
        best = max(found, key=lambda rate: found[rate])
        met = "met" if found[best] >= TRAINED else "not met"
        say(f"{hidden:13}  {slope(hidden):15.2f}  {best:9g}  {found[best]:19.1%}  {met}", sys.stdout)


if __name__ == "__main__":
    if len(sys.argv) == 3 and sys.argv[1] == "depth":
        choose_depth(Path(sys.argv[2]))
        sys.exit()
    if len(sys.argv) == 4 and sys.argv[1] == "depth":  # with the depths to try
        choose_depth(Path(sys.argv[2]), tuple(map(int, sys.argv[3].split(","))))
        sys.exit()
    if len(sys.argv) == 5 and sys.argv[1] == "rates":
        choose_rates(Path(sys.argv[2]), sys.argv[3], sys.argv[4].split(","))
    elif len(sys.argv) == 6 and sys.argv[1] == "rates":  # with the rates to try
        chosen = tuple(map(float, sys.argv[5].split(",")))
        choose_rates(Path(sys.argv[2]), sys.argv[3], sys.argv[4].split(","), chosen)
    else:
        sys.exit(__doc__)
