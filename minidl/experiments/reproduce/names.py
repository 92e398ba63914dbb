"""What the report calls things: the experiments and their data, the methods, the rules of the rates, an arm."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Named:
    """An experiment in words.

    Attributes:
        title: as a heading has it.
        about: the network and the data, a sentence.
        classes: how many there are to tell apart; 0 where nothing is classified.
        note: what stands beside each of its numbers, because the data are not the paper's; empty if they are.
        accuracies: whether its accuracies are worth a judgement.
    """

    title: str
    about: str
    classes: int
    note: str = ""
    accuracies: bool = True


_JPEG = "CIFAR-10 stored as JPEG: accuracies are lower than on the original images."
RECIPES = {  # in the order of the report
    "mnist": Named("MNIST", "LeNet as Caffe trains it, on 28x28 handwritten digits.", 10),
    "cifar10-quick": Named("CIFAR-10, quick network", "Caffe's cifar10_quick, on 32x32 photographs.", 10, _JPEG),
    "cifar10-full": Named("CIFAR-10, full network", "Caffe's cifar10_full, on 32x32 photographs.", 10, _JPEG),
    "imagenet32": Named(
        "ImageNet classes at 32x32",
        "A small AlexNet, scaled to its input, on 32x32 photographs of 200 of ImageNet's classes.",
        200,
        "200 of ImageNet's 1,000 classes, at 32x32, stored as JPEG, with an AlexNet scaled to that: "
        "no number here is one of the full ImageNet.",
    ),
    "imagenet": Named(
        "ImageNet pipeline",
        "AlexNet at its full size on one photograph a class: that the pipeline runs, not how well it learns.",
        1000,
        "1,000 photographs, one a class: nothing about accuracy can be learned from it.",
        accuracies=False,
    ),
    "deep-mlp": Named("A deep network of sigmoid layers", "Dense sigmoid layers, in which the gradient vanishes.", 10),
    "deep-conv": Named("A deep convolutional network", "Convolutions with saturating units, without shortcuts.", 10),
    "saddle": Named("A saddle point", "Runs that begin at a saddle point of the loss.", 0, accuracies=False),
}

METHODS = {
    "sgd": "SGD with momentum",
    "nesterov": "Nesterov's momentum",
    "adagrad": "AdaGrad",
    "adagrad-layer": "AdaGrad, one scalar a layer",
}

RATES = {  # {rate: (its name in a figure, what it does)}
    "uniform": ("one rate", "every layer at the base rate t: the base method"),
    "ln": ("a rate per layer", "layer l, whose gradient is g, at t \u00d7 (1 + ln(1 + 1/|g|)): the paper's rule"),
    "log10": ("per layer, log10", "the same with the logarithm to base 10"),
    "constant": (
        "one larger rate",
        "every layer at t \u00d7 one number, the mean factor of the run with a rate per layer",
    ),
    "per-step": ("one varying rate", "every layer at t \u00d7 the mean factor over the layers at that step"),
}
ARMS = (*RATES, *(f"{rate}-tuned" for rate in RATES))
CONTROLS = ("constant", "per-step")  # no layer differs from another, and the rate is as large


def words_of(recipe: str) -> Named:
    """The experiment in words; one that is not known by its own name."""
    return RECIPES.get(recipe, Named(recipe, f"The experiment {recipe}.", 0))


def method_named(method: str) -> str:
    """The method in words."""
    return METHODS.get(method, method)


def arm_named(arm: str) -> str:
    """An arm as a figure and a table call it."""
    rate = arm.removesuffix("-tuned")
    name = RATES[rate][0] if rate in RATES else rate
    return f"{name} (tuned)" if arm.endswith("-tuned") else name


def in_order(recipes: list[str]) -> list[str]:
    """Experiments in the order of the report, unknown ones last."""
    known = list(RECIPES)
    return sorted(recipes, key=lambda name: (known.index(name) if name in known else len(known), name))
