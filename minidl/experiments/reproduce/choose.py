"""How the rates and depths that are not Caffe's were chosen: by criteria that look at the uniform rate alone.

    python -m minidl.experiments.reproduce.choose rates FOLDER RECIPE [--methods M,...] [--rates T,...] [--steps N]
    python -m minidl.experiments.reproduce.choose depth FOLDER [--depths N,...]

`rates`: the base rate with the lowest mean validation loss over the tuning seeds, out of half decades, after the steps
of the scale `quick` or fewer; of rates within 1% of the lowest loss the smallest. `depth`: the deepest MLP of the
family `networks.deep_mlp` that some uniform rate of SGD trains to 90% of the validation images within the steps of the
scale `quick`. What is done is kept in FOLDER.

`depth` gave (NumPy 2.4, 2026-11-30; "decades a layer": by how much the gradient falls towards the input at step 0, of
the layers behind the first, where half a decade was asked for; so with 20 layers it is 11 decades smaller):

    hidden layers  decades a layer  best rate  validation accuracy  criterion
                2                -      0.316                97.6%  met
                3             0.58      0.316                97.2%  met
                4             0.62      0.316                96.9%  met
                5             0.60          1                10.2%  not met
                6             0.63          1                10.2%  not met
               20             0.62          1                10.2%  not met

With 2 layers the rates 0.01, 3.16 and 10, with 3 layers 0.01 and 3.16, with 5 layers 3.16 and 10 were tried too, and
are no better. `rates` gave for AdaGrad, where Caffe has no recipe (mean
validation loss):

    base rate                         0.01  0.0316     0.1   0.316       1    3.16
    mnist, adagrad-layer            1.4023  0.4456  0.2185  0.1137  0.0822  0.2176
    deep-mlp-4, adagrad                     0.1310  0.1011  2.3074  2.3455  2.4642
    deep-mlp-4, adagrad-layer               2.2582  1.5423  0.5616  0.2409  0.1542 (10: 0.1535, 31.6: 2.3673)
    cifar10-quick, adagrad-layer *          1.8319  1.6644  1.8569  2.0855
    base rate                     0.000316   0.001 0.00316
    cifar10-quick, adagrad *        1.7540  1.5644  1.6736
    base rate                         0.01  0.0316     0.1   0.316
    deep-conv, sgd **               2.0205  2.3030  2.3048     inf
    imagenet32, sgd ***             5.1630  5.1306  5.2091

(* 200 steps, ** 600 steps, *** 300 steps, seed 1000; guessing has the loss ln 200 = 5.2983.) Not searched for are the
rates of AdaGrad for cifar10-full, which are those of cifar10-quick, and for imagenet32, imagenet and deep-conv, which
are those of MNIST: the grid of the tuned arms reaches a decade to either side.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from minidl import backend
from minidl import functional as F
from minidl.data import Loader
from minidl.experiments.reproduce.methods import METHODS
from minidl.experiments.reproduce.recipes import TUNING_SEEDS, recipe_named
from minidl.experiments.reproduce.running import perform
from minidl.experiments.reproduce.sets import read
from minidl.files.output import say
from minidl.optim.norms import l2_norm
from minidl.tensors.tensor import Tensor

WIDE = tuple(float(f"{10 ** (step / 2):.3g}") for step in range(-8, 4))  # 1e-4 to about 31.6
TRAINED = 0.9
ALIKE = 1.01  # losses that differ by less decide nothing: then the smaller rate is chosen
DEPTHS = (2, 3, 4, 5, 6, 20)
DEPTH_RATES = (0.0316, 0.1, 0.316, 1.0)  # those around them are worse already at 2 and 3 layers


@dataclass(frozen=True)
class Search:
    """Where runs with uniform rates are kept, of how many steps they are, and of which seeds.

    Attributes:
        folder: theirs.
        steps: None for those of the scale `quick`.
        seeds: which.
    """

    folder: Path
    steps: int | None = None
    seeds: tuple[int, ...] = TUNING_SEEDS

    def found(self, recipe: str, method: str, rate: float) -> list[dict[str, Any]]:
        """The results of one rate, for each seed."""
        return [self._run(recipe, method, rate, seed) for seed in self.seeds]

    def _run(self, recipe: str, method: str, rate: float, seed: int) -> dict[str, Any]:
        steps = self.steps or recipe_named(recipe).iterations["quick"]
        name = f"{recipe}-{method}-uniform-grid{rate:g}-seed{seed}"
        kind = {"recipe": recipe, "scale": "quick", "method": method, "rate": "uniform", "base": rate, "seed": seed}
        plan = {"id": name, "role": "tuning", "iterations": steps, "needs": [], "stage": 0}
        return perform({**kind, **plan}, self.folder / "runs" / name)


def loss_of(results: Sequence[dict[str, Any]]) -> float:
    """The mean validation loss; infinite if a run diverged."""
    losses = [result["validation"]["loss"] for result in results]
    return float("inf") if None in losses else float(np.mean(losses))


def accuracy_of(results: Sequence[dict[str, Any]]) -> float:
    """The mean validation accuracy."""
    return float(np.mean([result["validation"]["accuracy"] for result in results]))


def choose_rate(search: Search, recipe: str, method: str, rates: Sequence[float] = WIDE) -> float:
    """Print a table of rates, and return the best."""
    say(f"{recipe}, {method}\n base rate      loss  accuracy", sys.stdout)
    losses = {}
    for rate in rates:
        results = search.found(recipe, method, rate)
        losses[rate] = loss_of(results)
        say(f"{rate:10g}  {losses[rate]:8.4f}  {accuracy_of(results):8.1%}", sys.stdout)
    best = min(rate for rate in losses if losses[rate] <= ALIKE * min(losses.values()))
    say(f"chosen: {best:g}", sys.stdout)
    return best


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


def choose_depth(search: Search, depths: Sequence[int] = DEPTHS, rates: Sequence[float] = DEPTH_RATES) -> int | None:
    """Print a table of depths, and return the deepest that a uniform rate trains."""
    say("hidden layers  decades a layer  best rate  validation accuracy  criterion", sys.stdout)
    trained = None
    for hidden in depths:
        found = {rate: accuracy_of(search.found(f"deep-mlp-{hidden}", "sgd", rate)) for rate in rates}
        best = max(found, key=lambda rate: found[rate])
        met = found[best] >= TRAINED
        trained = hidden if met else trained
        words = "met" if met else "not met"
        say(f"{hidden:13}  {slope(hidden):15.2f}  {best:9g}  {found[best]:19.1%}  {words}", sys.stdout)
    return trained


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog="choose", description=__doc__, formatter_class=raw)
    parser.add_argument("what", choices=("rates", "depth"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("recipe", nargs="?", default="mnist")
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument("--rates", default=",".join(map(str, WIDE)))
    parser.add_argument("--depths", default=",".join(map(str, DEPTHS)))
    parser.add_argument("--steps", type=int)
    parser.add_argument("--seeds", default=",".join(map(str, TUNING_SEEDS)))
    options = parser.parse_args(arguments)
    search = Search(options.folder, options.steps, tuple(map(int, options.seeds.split(","))))
    if options.what == "depth":
        choose_depth(search, tuple(map(int, options.depths.split(","))))
        return
    for method in options.methods.split(","):
        choose_rate(search, options.recipe, method, tuple(map(float, options.rates.split(","))))


if __name__ == "__main__":
    main()
