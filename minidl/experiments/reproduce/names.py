"""What the report calls things: the experiments and their data, the methods, the rules of the rates, an arm."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Named:
    """An experiment in words.

    Attributes:
        title: as a heading has it.
        classes: how many there are to tell apart; 0 where nothing is classified.
        note: what stands beside each of its numbers, where it is not known on which data it was run.
    """

    title: str
    classes: int
    note: str = ""


_JPEG = "CIFAR-10 stored as JPEG: accuracies are lower than on the original images."
_CLASSES = (
    "200 of ImageNet's 1,000 classes, at 32x32, stored as JPEG, with an AlexNet scaled to that: no number here is one "
    "of the full ImageNet."
)
_SAMPLE = "A few photographs of each class: that the pipeline runs, and nothing about accuracy."
TEN = 10  # digits
ENOUGH = 100  # training images a class, for an accuracy to mean something

SADDLE = "saddle"  # the experiment that trains nothing from first weights, but begins at a saddle point

RECIPES = {  # in the order of the report
    "mnist": Named("MNIST", 10),
    "cifar10-quick": Named("CIFAR-10, quick network", 10, _JPEG),
    "cifar10-full": Named("CIFAR-10, full network", 10, _JPEG),
    "imagenet32": Named("ImageNet classes at 32x32", 200, _CLASSES),
    "imagenet": Named("ImageNet", 1000, _SAMPLE),
    "deep-mlp": Named("Deep sigmoid network on MNIST", 10),
    "deep-mlp-trainable": Named("The deepest sigmoid network that one rate trains, on MNIST", 10),
    "deep-conv": Named("Deep convolutional network on CIFAR-10", 10, _JPEG),
    SADDLE: Named("A saddle point", 0),
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
    classes = TEN if recipe == "digits" or recipe.startswith("deep-mlp-") else 0
    return RECIPES.get(recipe, Named(recipe, classes))


def note_of(collected: dict[str, Any]) -> str:
    """What has to stand beside the numbers of an experiment, by the data that it was run on."""
    recipe, data = collected["recipe"], collected.get("data") or {}
    name = str(data.get("name", ""))
    if not name:
        return words_of(recipe).note
    if recipe == "imagenet":
        return "" if _enough(collected) else _SAMPLE
    return words_of(recipe).note if "JPEG" in name or recipe == "imagenet32" else ""


def accuracies_count(collected: dict[str, Any]) -> bool:
    """Whether its accuracies are worth a judgement: something is classified, and was learned from enough images."""
    return collected["recipe"] != SADDLE and (collected["recipe"] != "imagenet" or _enough(collected))


def _enough(collected: dict[str, Any]) -> bool:
    train = (collected.get("data") or {}).get("train") or 0
    return int(train) >= ENOUGH * words_of(collected["recipe"]).classes


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
