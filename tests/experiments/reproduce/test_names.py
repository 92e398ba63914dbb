"""What the report calls things."""

from minidl.experiments.reproduce.methods import METHODS as RUN_METHODS
from minidl.experiments.reproduce.methods import RATES as RUN_RATES
from minidl.experiments.reproduce.names import METHODS, RATES, RECIPES, arm_named, in_order, method_named, words_of


def test_every_method_and_rate_that_is_run_has_a_name():
    assert set(METHODS) == set(RUN_METHODS)
    assert set(RATES) == set(RUN_RATES)


def test_an_arm_is_called_by_its_rule_and_whether_it_was_tuned():
    assert arm_named("constant") == "one larger rate"
    assert arm_named("ln-tuned") == "a rate per layer (tuned)"
    assert arm_named("other") == "other"


def test_the_data_that_are_not_the_papers_carry_a_note():
    for name in ("cifar10-quick", "cifar10-full", "imagenet32"):
        assert "JPEG" in RECIPES[name].note
    assert "200 of ImageNet" in RECIPES["imagenet32"].note
    assert RECIPES["mnist"].note == ""


def test_what_is_not_known_goes_by_its_own_name_and_comes_last():
    assert words_of("new").title == "new"
    assert method_named("lamb") == "lamb"
    assert in_order(["new", "saddle", "mnist"]) == ["mnist", "saddle", "new"]
