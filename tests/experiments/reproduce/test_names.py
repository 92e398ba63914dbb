"""What the report calls things."""

from minidl.experiments.reproduce.methods import METHODS as RUN_METHODS
from minidl.experiments.reproduce.methods import RATES as RUN_RATES
from minidl.experiments.reproduce.names import (
    METHODS,
    RATES,
    accuracies_count,
    arm_named,
    in_order,
    method_named,
    note_of,
    words_of,
)


def test_every_method_and_rate_that_is_run_has_a_name():
    assert set(METHODS) == set(RUN_METHODS)
    assert set(RATES) == set(RUN_RATES)


def test_an_arm_is_called_by_its_rule_and_whether_it_was_tuned():
    assert arm_named("constant") == "one larger rate"
    assert arm_named("ln-tuned") == "a rate per layer (tuned)"
    assert arm_named("other") == "other"


def test_the_data_that_are_not_the_papers_carry_a_note():
    def note(recipe, name="", train=50_000):
        return note_of({"recipe": recipe, "data": {"name": name, "train": train} if name else None})

    for recipe in ("cifar10-quick", "cifar10-full", "deep-conv"):
        assert "JPEG" in note(recipe, "CIFAR-10, recompressed as JPEG")
        assert "JPEG" in note(recipe)  # where it is not known
        assert note(recipe, "CIFAR-10") == ""
    assert "200 of ImageNet's 1,000 classes" in note("imagenet32", "200 classes of ImageNet at 32x32")
    assert "nothing about accuracy" in note("imagenet", "ImageNet", 1_000)
    assert note("imagenet", "ImageNet", 1_281_167) == ""
    assert note("mnist", "MNIST") == note("mnist") == ""


def test_accuracies_of_a_few_photographs_do_not_count():
    assert not accuracies_count({"recipe": "imagenet", "data": {"name": "ImageNet", "train": 1_000}})
    assert not accuracies_count({"recipe": "imagenet"})
    assert accuracies_count({"recipe": "imagenet", "data": {"name": "ImageNet", "train": 1_281_167}})
    assert accuracies_count({"recipe": "mnist"})


def test_what_is_not_known_goes_by_its_own_name_and_comes_last():
    assert words_of("new").title == "new"
    assert method_named("lamb") == "lamb"
    assert in_order(["new", "saddle", "mnist"]) == ["mnist", "saddle", "new"]


def test_where_ten_classes_are_told_apart_that_is_known():
    """So that a network which learned nothing is known by it."""
    assert {name: words_of(name).classes for name in ("digits", "deep-mlp-6", "mnist", "saddle", "other")} == {
        "digits": 10, "deep-mlp-6": 10, "mnist": 10, "saddle": 0, "other": 0
    }  # fmt: skip
