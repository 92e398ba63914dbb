"""Recipes: a network, its data, and how Caffe trained it; the numbers that were chosen here say how.

The same recipe serves every method and every rate. What Caffe's prototxt files state is taken from them: initial
weights, batch, schedule, decay, biases at twice the rate. The iterations of the scale `paper` are Caffe's; those of
`quick` about a tenth, with the schedule drawn together in proportion, so that the rate falls as far; but AlexNet at
32x32, which spends its first 100 steps or so guessing however long the run is, sees the schedule's beginning only.

Held out in every run, for the tuning: the last 5,000 training images of MNIST, the last 500 of each class of CIFAR-10,
the last 50 of each class of the 200 of ImageNet. So a run trains on slightly fewer images than Caffe's did.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

from minidl import models
from minidl.experiments.reproduce import saddle_point
from minidl.experiments.reproduce.networks import WIDTH, deep_conv, deep_mlp, tiny
from minidl.nn import Module
from minidl.optim import InvLR, MultiStepLR, Optimizer
from minidl.optim.schedule import Schedule

SCALES = ("quick", "paper")
TUNING_SEEDS = (1000, 1001)  # never reported
GRID_STEPS = (-2, -1, 0, 1, 2)  # half decades around the recipe's rate
TRAINABLE = 4  # hidden layers: the deepest MLP that some uniform rate trains, by `choose.py`
LOOKS = (0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)  # parts of a run after which it is tested


@dataclass(frozen=True)
class Inv:
    """Caffe's "inv": t (1 + gamma k)^-power after k steps."""

    gamma: float
    power: float

    def of(self, optimizer: Optimizer, stretch: float) -> Schedule:
        """For a run `stretch` times as long."""
        return InvLR(optimizer, gamma=self.gamma / stretch, power=self.power)


@dataclass(frozen=True)
class Stairs:
    """Caffe's "step" and "multistep": t is multiplied by gamma after so many steps each."""

    milestones: tuple[int, ...]
    gamma: float = 0.1

    def of(self, optimizer: Optimizer, stretch: float) -> Schedule:
        """For a run `stretch` times as long."""
        return MultiStepLR(optimizer, [max(1, round(k * stretch)) for k in self.milestones], gamma=self.gamma)


@dataclass(frozen=True)
class Recipe:
    """How one network is trained, whatever the method and the rate.

    Attributes:
        name: as on the command line.
        title: what it is, in words.
        network: makes it, with fresh weights from the random stream that `md.seed` started.
        data: its name in `sets.READERS`.
        batch: examples a step.
        decay: weight decay.
        scales: pattern of parameters -> (multiplier of the rate, multiplier of the decay), as in Caffe's prototxt.
        schedule: of a run of the scale `paper`; None for a fixed rate.
        drawn_together: whether a shorter run sees all of the schedule; otherwise it sees the beginning.
        iterations: scale -> steps.
        seeds: scale -> how many are reported.
        base_rates: method -> the recipe's base rate.
        looked_at: scale -> how many test images the looks before the last are at, evenly spaced in the test set; 0 for
            all of them. (Then a run spends less than a seventh of its time on looks.) The last look is at all.
        targets: test accuracies whose first look is reported, "how soon".
        tuned: whether base rates are tuned; not where a run takes weeks.
        grid_steps: which, in half decades from the recipe's; more where a rule's best would end the grid.
        milliseconds: of one core for a step, measured (of an EPYC of 2024), to say beforehand what a plan costs.
        expected: what is known of Caffe's own runs, for the report; not a number of the paper's.
        criterion: how the network was chosen, if it is not Caffe's.
    """

    name: str
    title: str
    network: Callable[[], Module]
    data: str
    batch: int
    decay: float
    schedule: Inv | Stairs | None
    iterations: Mapping[str, int]
    seeds: Mapping[str, int]
    base_rates: Mapping[str, float]
    scales: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    looked_at: Mapping[str, int] = field(default_factory=lambda: {"quick": 2_000, "paper": 0})
    targets: tuple[float, ...] = (0.9,)
    drawn_together: bool = True
    tuned: bool = True
    grid_steps: tuple[int, ...] = GRID_STEPS
    milliseconds: float = 0.0
    expected: str = ""
    criterion: str = ""

    def grid(self, method: str) -> tuple[float, ...]:
        """The base rates that every rule is tuned over: the recipe's, and half decades to either side."""
        if not self.tuned:
            return ()
        return tuple(float(f"{self.base_rates[method] * 10 ** (step / 2):.3g}") for step in self.grid_steps)

    def scale(self, optimizer: Optimizer) -> None:
        """Give single parameters the rates and decays that they have in the recipe."""
        for pattern, (lr, decay) in self.scales.items():
            optimizer.scale(pattern, lr=lr, decay=decay)

    def scheduled(self, optimizer: Optimizer, iterations: int) -> Schedule | None:
        """The schedule of a run of `iterations` steps."""
        stretch = iterations / self.iterations["paper"] if self.drawn_together else 1.0
        return None if self.schedule is None else self.schedule.of(optimizer, stretch)

    def look_steps(self, iterations: int) -> tuple[int, ...]:
        """After how many steps the test set is looked at: denser early, and at the end."""
        return tuple(sorted({max(1, math.ceil(part * iterations)) for part in LOOKS}))


_TWICE = {"*.bias": (2.0, 1.0)}  # Caffe's examples: a bias learns twice as fast as a weight
_INV = Inv(gamma=1e-4, power=0.75)


def deep_mlp_recipe(name: str, hidden: int, grid_steps: tuple[int, ...] = GRID_STEPS) -> Recipe:
    """A deep MLP of sigmoid units on MNIST, at a fixed rate and without decay, so that nothing else plays in."""
    return Recipe(
        name=name,
        title=f"{hidden} hidden layers of {WIDTH} sigmoid units on MNIST",
        milliseconds=0.75 + 0.09 * hidden,
        network=partial(deep_mlp, hidden),
        data="mnist",
        batch=64,
        decay=0.0,
        schedule=None,
        iterations={"quick": 5_000, "paper": 30_000},
        seeds={"quick": 5, "paper": 5},
        base_rates={"sgd": 0.316, "nesterov": 0.316, "adagrad": 0.1, "adagrad-layer": 3.16},
        grid_steps=grid_steps,
        criterion="sigmoid units and Caffe's xavier make the gradient fall by 0.6 decades a layer at step 0 (half a "
        f"decade was asked for); {TRAINABLE} hidden layers are the most that some uniform rate of SGD, of those tried, "
        "trains to 90% of the validation images in 5,000 steps, and 20 none does",
    )


RECIPES: dict[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        Recipe(
            name="mnist",
            title="Caffe's LeNet on MNIST",
            milliseconds=25.0,
            network=models.lenet,
            data="mnist",
            batch=64,
            decay=5e-4,
            schedule=_INV,
            iterations={"quick": 1_000, "paper": 10_000},
            seeds={"quick": 5, "paper": 5},
            base_rates={"sgd": 0.01, "nesterov": 0.01, "adagrad": 0.01, "adagrad-layer": 1.0},
            scales=_TWICE,
            targets=(0.9, 0.97, 0.99),
            expected="Caffe's own log: 0.990 to 0.991 of the test images after 10,000 iterations, 0.968 after 500",
        ),
        Recipe(
            name="cifar10-quick",
            title="Caffe's quick network on CIFAR-10",
            milliseconds=96.0,
            network=models.cifar10_quick,
            data="cifar10",
            batch=100,
            decay=0.004,
            schedule=Stairs((4_000,)),
            iterations={"quick": 1_000, "paper": 5_000},
            seeds={"quick": 3, "paper": 5},
            base_rates={"sgd": 0.001, "nesterov": 0.001, "adagrad": 0.001, "adagrad-layer": 0.1},
            scales=_TWICE,
            targets=(0.4, 0.5, 0.6, 0.7),
            expected="Caffe's own log, on the original images: 0.5504 after 500 iterations, 0.7533 after 5,000",
        ),
        Recipe(
            name="cifar10-full",
            title="Caffe's full network on CIFAR-10",
            milliseconds=101.0,
            network=models.cifar10_full,
            data="cifar10",
            batch=100,
            decay=0.004,
            schedule=Stairs((60_000, 65_000)),
            iterations={"quick": 7_000, "paper": 70_000},
            seeds={"quick": 3, "paper": 5},
            base_rates={"sgd": 0.001, "nesterov": 0.001, "adagrad": 0.001, "adagrad-layer": 0.1},
            scales={
                "conv1.bias": (2.0, 1.0),
                "conv2.bias": (2.0, 1.0),
                "fc1.weight": (1.0, 250.0),
                "fc1.bias": (2.0, 0.0),
            },
            targets=(0.5, 0.6, 0.7, 0.8),
            expected="Caffe's own log, on the original images: about 0.817 to 0.82 after 70,000 iterations",
        ),
        Recipe(
            name="imagenet32",
            title="AlexNet scaled to 32x32 pixels on 200 classes of ImageNet",
            milliseconds=790.0,
            network=models.alexnet_32,
            data="imagenet32",
            batch=128,
            decay=5e-4,
            schedule=Stairs((4_444, 8_889, 13_333, 17_778)),
            drawn_together=False,
            iterations={"quick": 1_000, "paper": 20_000},
            seeds={"quick": 2, "paper": 3},
            base_rates={"sgd": 0.01, "nesterov": 0.01, "adagrad": 0.01, "adagrad-layer": 1.0},
            scales={"*.bias": (2.0, 0.0)},
            targets=(0.1, 0.2, 0.3),
            criterion="AlexNet's layers, groups, pools and normalisations at half the width, with windows and strides "
            "that fit 32x32 pixels, and Caffe's xavier for initial weights, with which the loss begins near that of "
            "guessing (with AlexNet's own, made for wider layers, gradients vanish; with He's it begins at five times "
            "that); its base rate is AlexNet's, for after 300 steps under one rate half a decade more has a validation "
            "loss lower by less than 1%, and a decade more a higher one; the schedule's stairs stand at the same parts "
            "of a run of the scale paper as AlexNet's, and a run of the scale quick is the beginning of one",
        ),
        Recipe(
            name="imagenet",
            title="AlexNet on ImageNet",
            milliseconds=60_000.0,
            tuned=False,
            network=models.alexnet,
            data="imagenet",
            batch=256,
            decay=5e-4,
            schedule=Stairs((100_000, 200_000, 300_000, 400_000)),
            iterations={"quick": 45_000, "paper": 450_000},
            seeds={"quick": 1, "paper": 1},
            base_rates={"sgd": 0.01, "nesterov": 0.01, "adagrad": 0.01, "adagrad-layer": 1.0},
            scales={"*.bias": (2.0, 0.0)},
            looked_at={"quick": 5_000, "paper": 0},
            targets=(0.1, 0.3, 0.5),
            expected="Caffe's own log: 0.571 top-1 after 450,000 iterations",
        ),
        deep_mlp_recipe("deep-mlp", 20),
        deep_mlp_recipe("deep-mlp-trainable", TRAINABLE, (-4, -3, *GRID_STEPS)),
        Recipe(
            name="deep-conv",
            title="20 convolutions with ReLU on CIFAR-10",
            milliseconds=100.0,
            network=partial(deep_conv, 20),
            data="cifar10",
            batch=100,
            decay=0.0,
            schedule=None,
            iterations={"quick": 1_500, "paper": 15_000},
            seeds={"quick": 3, "paper": 5},
            base_rates={"sgd": 0.01, "nesterov": 0.01, "adagrad": 0.01, "adagrad-layer": 1.0},
            targets=(0.2, 0.3, 0.4, 0.5),
            criterion="behind ReLUs Caffe's xavier halves the signal's square in each layer: at step 0 the gradients "
            "of the first 16 layers have norms of 0.0006 to 0.006, and the last one's is 14 to 160 times as large; at "
            "the rate 0.01 one rate for all layers stays at the loss of guessing for 150 to 900 steps, and then learns",
        ),
        Recipe(
            name="saddle",
            title="a network of 16, 8, 8 and 10 tanh units on small digits, from a saddle point of its loss",
            milliseconds=1.0,
            network=saddle_point.network,
            data="digits",
            batch=saddle_point.EXAMPLES,
            decay=saddle_point.DECAY,
            schedule=None,
            iterations={"quick": 4_000, "paper": 12_000},
            seeds={"quick": 5, "paper": 5},
            base_rates={"sgd": 0.01, "nesterov": 0.01, "adagrad": 0.01, "adagrad-layer": 0.1},
            grid_steps=(*GRID_STEPS, 3, 4),
            looked_at={"quick": 0, "paper": 0},
            criterion="the base rates were chosen before any two rules were compared: at them each method leaves with "
            "one rate for all layers",
        ),
        Recipe(
            name="digits",
            title="a tiny network on the 8x8 digits, to try the machinery with",
            milliseconds=0.5,
            network=tiny,
            data="digits",
            batch=32,
            decay=5e-4,
            schedule=_INV,
            iterations={"quick": 60, "paper": 600},
            seeds={"quick": 3, "paper": 5},
            base_rates={"sgd": 0.1, "nesterov": 0.1, "adagrad": 0.1, "adagrad-layer": 1.0},
            scales=_TWICE,
            looked_at={"quick": 0, "paper": 0},
            targets=(0.5, 0.9),
        ),
    )
}


def recipe_named(name: str) -> Recipe:
    """The recipe of that name; "deep-mlp-N" is the deep MLP with N hidden layers, for any N of at least 1.

    Raises:
        ValueError: there is none.
    """
    hidden = name.removeprefix("deep-mlp-")
    if name not in RECIPES and hidden.isdecimal() and hidden.isascii():
        if int(hidden) < 1:
            raise ValueError(f"deep-mlp-N: expected at least 1 hidden layer; got {name!r}")
        return deep_mlp_recipe(name, int(hidden))
    if name not in RECIPES:
        raise ValueError(f"unknown recipe {name!r}; expected one of {', '.join(RECIPES)}")
    return RECIPES[name]
