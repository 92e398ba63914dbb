"""The section of one experiment."""

from minidl.experiments.reproduce.drawing import curves
from minidl.experiments.reproduce.experiment import experiment, title_of
from minidl.experiments.reproduce.page import Folded, Heading, Shown, as_markdown


def section(collected, shown=None):
    return as_markdown(experiment(collected, shown))


def test_it_begins_with_what_it_is_and_what_is_known_of_caffes_runs(collected_case):
    text = section(collected_case("clear gain"))
    assert text.startswith("## MNIST (quick)\n\nCaffe's LeNet on MNIST. Caffe's own log: 0.990 to 0.991")
    assert title_of({"recipe": "mnist", "scale": "paper"}) == "MNIST (paper)"


def test_the_data_are_named_before_any_number(collected_case):
    text = section(collected_case("clear gain", recipe="cifar10-quick"))
    assert text.index("> CIFAR-10 stored as JPEG") < text.index("| arm |")


def test_one_method_is_shown_the_others_are_folded(collected_case):
    blocks = experiment(collected_case("clear gain", methods=("sgd", "adagrad")), None)
    shown = [block.picture.name for block in blocks if isinstance(block, Shown)]
    assert shown == ["mnist-quick-curves-sgd", "mnist-quick-ends", "mnist-quick-depth-sgd", "mnist-quick-time-sgd"]
    folded = [block.summary for block in blocks if isinstance(block, Folded)]
    assert folded == ["The same with AdaGrad", "Layer by layer with AdaGrad",
                      "All numbers: on the way, in seconds, by layer, of the tuning",
                      "Where the numbers come from"]  # fmt: skip


def test_a_picture_that_is_shown_already_is_not_shown_again(collected_case):
    collected = collected_case("clear gain")
    assert "mnist-quick-curves-sgd.png" not in section(collected, curves(collected, "sgd"))


def test_no_heading_is_folded(collected_case):
    """A heading begins a section of a site's page, which would not end where the fold ends."""

    def headings(blocks):
        for block in blocks:
            if isinstance(block, Folded):
                yield from (one for one in block.blocks if isinstance(one, Heading))
                yield from headings(block.blocks)

    assert list(headings(experiment(collected_case("clear gain", methods=("sgd", "adagrad")), None))) == []


def test_an_experiment_without_runs_says_so(collected_case):
    nothing = collected_case("missing arms", seeds=1, missing=("sgd-ln-recipe-seed0", "sgd-uniform-recipe-seed0"))
    assert "None of its reported runs is done." in section(nothing)
    tuning = [run | {"role": "tuning"} for run in collected_case("clear gain")["runs"][:3]]
    only_tuning = section(collected_case("clear gain") | {"runs": tuning})
    assert "None of its reported runs is done, only 3 that choose a rate." in only_tuning


def test_runs_that_all_diverged_have_a_section(collected_case):
    text = section(collected_case("diverges", arms=("ln", "constant")))
    assert "| a rate per layer | 0.01 | 3 | diverged | nothing to compare with | 5 |" in text


def test_runs_from_a_saddle_point_have_a_section_of_their_own(collected_case):
    text = section(collected_case("clear gain", recipe="saddle", saddle="larger rate"))
    assert "At the saddle the loss is 1.5." in text
    assert "![From a saddle point, SGD with momentum](saddle-quick-escape-sgd.png)" in text
    assert "| one rate | 0.01 | 3 | 802 (800\u2013804) | 0.0% | 0 | 5 |" in text
    assert "right answers" not in text
