"""The report: an answer that never claims more than the runs, whatever is there of them."""

import re
from copy import deepcopy

import pytest

from minidl.experiments.reproduce.page import as_markdown
from minidl.experiments.reproduce.report import answer, headline, pictures_of, report
from tests.experiments.reproduce.factory import CASES


def page(*collections):
    return as_markdown(report(collections))


def answered(text):
    return re.search(r"^> (.*)$", text, re.MULTILINE)[1]


@pytest.mark.parametrize("case", CASES)
def test_every_outcome_has_a_report(collected_case, case):
    text = page(collected_case(case))
    for heading in ("## The claims", "## What we know, and what was run", "## MNIST (quick)", "## How it is judged"):
        assert f"\n{heading}\n" in text
    assert not re.search(r"\bnan\b|\binf\b|None", text)


@pytest.mark.parametrize(
    ("case", "said"),
    [
        (
            "clear gain",
            "A rate per layer makes the network more accurate in 1 of 1 pair of an experiment and a method. Right",
        ),
        (
            "larger rate",
            "in 0 of 1 pair of an experiment and a method; in 1 one larger rate for all layers does as well",
        ),
        ("no difference", "in 1 it is no more accurate than one rate"),
        (
            "missing arms",
            "These runs do not decide whether a rate per layer makes a network better, or sooner. So far, on MNIST",
        ),
        ("nothing learned", "No arm learned the task"),
    ],
)
def test_the_answer_comes_first_in_two_sentences(collected_case, case, said):
    assert said in answered(page(collected_case(case)))


def test_the_answer_tells_harm_from_no_difference(collected_case):
    said = answered(page(collected_case("hurts")))
    assert "in 1 it makes it less accurate" in said
    assert "is no more accurate" not in said


def test_the_answer_tells_what_undecided_is_due_to(collected_case):
    found = [collected_case(case, recipe=recipe) for case, recipe in (
        ("clear gain", "mnist"), ("missing arms", "cifar10-quick"), ("nothing learned", "deep-conv"))]  # fmt: skip
    said, text = answered(page(*found)), page(*found)
    assert "in 1 of 3 pairs of an experiment and a method; 2 are undecided." in said
    head, counts = (
        re.search(rf"^\| {name}.*$", text, re.MULTILINE)[0].strip("| ").split(" | ")[1:]
        for name in ("the abstract says", "It increases accuracy")
    )
    assert dict(zip(head, counts, strict=True)) == {
        "confirmed": "1", "only through the larger rate": "0", "not confirmed": "0",
        "undecided: too few runs": "1", "undecided: an arm learned nothing": "1",
        "undecided: the seeds, the two comparisons, or the edge of a grid": "0",
        "undecided: ahead of one rate, its controls open": "0",
    }  # fmt: skip


def test_the_answers_example_is_the_pair_whose_picture_is_shown(collected_case):
    said = answered(page(collected_case("no difference"), collected_case("clear gain", recipe="cifar10-quick")))
    assert "Right answers on MNIST (quick), SGD with momentum: a rate per layer " in said
    assert "(not confirmed). It is as good" in said


def test_a_rule_that_was_run_twice_at_its_rate_shows_how_much_is_chance(collected_case):
    case = deepcopy(collected_case("no difference"))  # the best rate of each is the recipe's
    runs = {run["id"]: run for run in case["runs"]}
    for seed in range(5):
        for base, end in (("recipe", 0.9), ("tuned", 0.9075 if seed == 3 else 0.9)):
            runs[f"sgd-ln-{base}-seed{seed}"]["looks"]["accuracy"][-1] = end
    runs["sgd-ln-tuned-seed0"] |= {"diverged_at": 500}
    runs["sgd-ln-tuned-seed0"]["looks"]["accuracy"][-1] = 0.1  # no measure of chance
    said = (
        "A rate per layer stands in the table twice at the base rate 0.01: it was run there again as its best rate "
        "(minidl abc1234), and as far as we know nothing differs but how sums are rounded. Runs of one seed end up to "
        "0.75 points apart: so much is chance."
    )
    assert said in page(case)
    for run in case["runs"]:
        run["base_rate"] = 0.03 if run["base"] == "tuned" else run["base_rate"]
    assert "stands in the table twice" not in page(case)


def test_what_is_ahead_though_undecided_is_in_the_answer(collected_case):
    case = deepcopy(collected_case("clear gain"))
    for run in case["runs"]:  # in two seeds one varying rate does better, in the others worse
        if run["role"] == "report" and run["rate"] == "per-step":
            run["looks"]["accuracy"][-1] = 0.97 if run["seed"] < 2 else 0.94
    text = page(case, collected_case("clear gain", recipe="cifar10-quick"))
    though = "1 is undecided (there it is ahead of one rate, but a rate as large for all layers may do as well)."
    assert though in answered(text)
    assert "undecided: ahead of one rate, its controls open" in text


def test_to_repeat_it_nobodys_folders_are_needed(collected_case):
    case = collected_case("clear gain")
    where = case["environments"][0]
    case = {**case, "environments": [
        {**where, "command": f"minidl reproduce mnist --methods sgd --out {out} --workers=2 --seeds 5"}
        for out in ("a", "'my runs'")
    ]}  # fmt: skip
    assert page(case).count("- `minidl reproduce mnist --methods sgd --seeds 5`") == 1


def test_one_seed_claims_nothing(collected_case):
    text = page(collected_case("clear gain", seeds=1))
    assert "These runs do not decide" in answered(text)
    assert "**confirmed**" not in text.split("## How it is judged")[0]


def test_no_runs_claim_nothing(collected_case):
    assert answered(page()) == "There is no answer yet: no training was run whose accuracy could be compared."
    nothing = collected_case("missing arms", missing=tuple(f"sgd-{arm}-recipe-seed{k}" for arm in ("ln", "uniform")
                                                           for k in range(5)))  # fmt: skip
    text = page(nothing)
    assert "None of its reported runs is done." in text
    assert "0 of 10" in text


def test_what_is_known_of_the_paper_begins_with_what_is_not(collected_case):
    text = page(collected_case("clear gain"))
    known = text.split("## What we know, and what was run\n\n")[1]
    assert known.startswith("> **No number of the paper's tables is known to us**")
    assert "15%" not in text


def test_what_is_missing_is_told(collected_case):
    text = page(collected_case("clear gain", missing=("sgd-ln-tuned-seed3",)))
    assert "<summary>What is missing, failed or damaged</summary>" in text
    assert "not run (yet): `sgd-ln-tuned-seed3`." in text
    assert "57 of 58" in text


def test_of_many_that_are_missing_the_first_are_named(collected_case):
    gone = tuple(f"sgd-{rate}-tuned-seed{k}" for rate in ("ln", "uniform", "per-step") for k in range(5))
    text = page(collected_case("clear gain", missing=gone))
    lacking = next(line for line in text.splitlines() if "not run (yet)" in line)
    assert lacking.count("`") == 20
    assert lacking.endswith("and 5 more, which [mnist-quick.json](mnist-quick.json) names.")


def test_a_saddle_alone_has_its_answer(collected_case):
    text = answered(page(collected_case("clear gain", recipe="saddle", saddle="larger rate")))
    assert "From a saddle point, SGD with momentum: only through the larger rate. 5 seeds: steps" in text


def test_every_number_says_where_it_comes_from(collected_case):
    text = page(collected_case("clear gain"))
    assert "[mnist-quick.json](mnist-quick.json)" in text
    assert "`sgd-ln-recipe-seed{0,1,2,3,4}`" in text
    assert "abc1234" in text
    assert "`minidl reproduce mnist`" in text


def test_several_experiments_come_in_order_and_the_jpegs_are_named(collected_case):
    cifar = collected_case("larger rate", recipe="cifar10-quick")
    text = page(cifar, collected_case("clear gain"))
    assert text.index("## MNIST (quick)") < text.index("## CIFAR-10, quick network (quick)")
    assert text.count("stored as JPEG") > 5
    assert "in 1 of 2 pairs of an experiment and a method" in answered(text)
    assert "It increases accuracy (MNIST, CIFAR-10, ImageNet). | 1 | 1 |" in text


def test_on_imagenets_classes_the_figure_of_others_is_called_so(collected_case):
    text = page(collected_case("clear gain", recipe="imagenet32"))
    assert "A figure reported elsewhere, not in the paper's abstract, is about 15% less time on ImageNet." in text
    assert re.search(r"as good as that ends, one larger rate \d\.\d\d times \(SGD with momentum; medians of", text)
    one = page(collected_case("clear gain", recipe="imagenet32", seeds=1))
    assert "of those that get there, of 1 seed (5 that agree are needed))." in one
    assert "200 of ImageNet's 1,000 classes" in text


def test_the_pictures_are_found_wherever_they_are(collected_case):
    names = [
        picture.name for picture in pictures_of(report([collected_case("clear gain", methods=("sgd", "adagrad"))]))
    ]
    assert sorted(names) == sorted({*names})
    for kind in ("curves-sgd", "curves-adagrad", "ends", "depth-sgd", "time-adagrad"):
        assert f"mnist-quick-{kind}" in names


def test_the_terminal_gets_the_answer_and_the_words(collected_case):
    lines = headline([collected_case("larger rate")])
    assert lines[0] == "Does a rate for each layer train a network better?"
    assert "It increases accuracy (MNIST, CIFAR-10, ImageNet). Only through the larger rate." in lines
    assert answer([])[0].startswith("There is no answer yet")


def test_many_findings_on_a_claim_are_a_table_with_the_numbers_folded(collected_case):
    many = [collected_case("larger rate", methods=("sgd", "adagrad"), recipe=recipe, seeds=5)
            for recipe in ("mnist", "cifar10-quick", "deep-mlp")]  # fmt: skip
    text = page(*many)
    assert "| experiment | SGD with momentum | AdaGrad |" in text
    assert "| MNIST (quick) | **only through the larger rate** | **only through the larger rate** |" in text
    assert text.count("<summary>The numbers</summary>") == 5


def test_what_had_been_seen_before_is_said_where_it_is_known(collected_case):
    case = collected_case("clear gain")
    assert "What had been seen before" not in page(case)
    text = as_markdown(report([case], ["Thirteen runs had been seen.", "No more."]))
    assert "<summary>What had been seen before</summary>\n\nThirteen runs had been seen.\n\nNo more." in text
