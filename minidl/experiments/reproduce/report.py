"""The report of a reproduction, made from collected results alone: question, answer, picture; then the statistics."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from typing import Any

from minidl.experiments.reproduce.claims import (
    AHEAD,
    CLAIMS,
    CONFIRMED,
    LARGER_RATE,
    NOT_CONFIRMED,
    UNDECIDED,
    UNLEARNED,
    UNRUN,
    WORDS,
    WORSE,
    Finding,
    overall,
    word_counts,
)
from minidl.experiments.reproduce.drawing import curves, looked
from minidl.experiments.reproduce.evidence import arms_of, methods_of
from minidl.experiments.reproduce.experiment import experiment, title_of
from minidl.experiments.reproduce.judging import how_judged, judge_all
from minidl.experiments.reproduce.names import (
    ARMS,
    METHODS,
    RATES,
    accuracies_count,
    arm_named,
    in_order,
    method_named,
    note_of,
    words_of,
)
from minidl.experiments.reproduce.page import Block, Folded, Heading, Points, Shown, Table, Text
from minidl.experiments.reproduce.picture import Picture
from minidl.experiments.reproduce.tables import open_table

QUESTION = "Does a rate for each layer train a network better?"
PAPER = "[arXiv:1510.04609](https://arxiv.org/abs/1510.04609)"

NAMED = 10  # of the runs that are missing
_OWN = ("--out", "--data", "--workers", "--dask")  # options of who gives a command
_SEEDS = "the seeds, the two comparisons, or the edge of a grid"  # what else leaves a word open
MANY = 4  # more findings than this on one claim are shown as a table

Collections = Sequence[dict[str, Any]]


def ordered(collections: Collections) -> list[dict[str, Any]]:
    """The collected results in the order of the report."""
    order = in_order(list({found["recipe"] for found in collections}))
    return sorted(collections, key=lambda found: (order.index(found["recipe"]), found["scale"] != "paper"))


def report(collections: Collections, remarks: Sequence[str] = ()) -> list[Block]:
    """The whole report as blocks.

    Args:
        collections: collected results, one or several (`collected.py`).
        remarks: paragraphs on how these runs came about, for a reader who weighs the rules by which they are judged.
    """
    collections = ordered(collections)
    findings = [finding for collected in collections for finding in judge_all(collected)]
    first = next((shown for collected in collections if (shown := _first_picture(collected))), None)
    blocks: list[Block] = [
        Heading(1, QUESTION),
        Text(
            "In a deep network the gradients of the layers near the input can be far smaller than those near the "
            f"output. Singh, De, Zhang, Goldstein and Taylor ({PAPER}) give each layer a learning rate of its own, "
            "larger where its gradient is small. Every factor of their rule is above 1: so is it the layers that "
            "matter, or merely a larger rate? Here the networks and recipes of that time are trained again, with runs "
            "that tell the two apart."
        ),
        Text(" ".join(answer(findings)), "answer"),
    ]
    blocks += [Shown(first)] if first else []
    blocks += [Heading(2, "The claims"), *_claims_table(findings), *_known(collections)]
    blocks += _one_by_one(findings, {(found["recipe"], found["scale"]): note_of(found) for found in collections})
    for collected in collections:
        blocks += experiment(collected, first)
    blocks += _left_open(collections)
    blocks += [Heading(2, "How it is judged"), *how_judged()]
    blocks += [Folded("What had been seen before", list(map(Text, remarks)))] if remarks else []
    blocks += _again(collections)
    return blocks


def pictures_of(blocks: Sequence[Block]) -> Iterator[Picture]:
    """Every picture of a report, each once."""
    seen = set()
    for block in blocks:
        inside = pictures_of(block.blocks) if isinstance(block, Folded) else ()
        for picture in [block.picture] if isinstance(block, Shown) else inside:
            if picture.name not in seen:
                seen.add(picture.name)
                yield picture


def headline(collections: Collections) -> list[str]:
    """The answer and what came out of each claim, as lines for a terminal."""
    findings = [finding for collected in ordered(collections) for finding in judge_all(collected)]
    by_claim = {claim: [one for one in findings if one.claim == claim] for claim in CLAIMS}
    lines = [QUESTION, *answer(findings)]
    return lines + [f"{CLAIMS[claim]} {overall(found).capitalize()}." for claim, found in by_claim.items() if found]


# ---- the answer


def answer(findings: Sequence[Finding]) -> list[str]:
    """Two sentences: on accuracy and on time; or that nothing is decided, and how it stands."""
    accuracy, time = ([one for one in findings if one.claim == claim] for claim in ("accuracy", "time"))
    if not accuracy:
        saddle = [f"From a saddle point, {method_named(one.method)}: {one.word}. {one.sentence}"
                  for one in findings if one.claim == "saddle"]  # fmt: skip
        return ["There is no answer yet: no training was run whose accuracy could be compared.", *saddle[:1]]
    if all(one.word == UNDECIDED for one in [*accuracy, *time]):
        first = next((one for one in accuracy if one.numbers), accuracy[0])
        undecided = "These runs do not decide whether a rate per layer makes a network better, or sooner."
        return [undecided, f"So far, on {_in_a_sentence(first)}: {first.sentence}"]
    little = ", or by too little to count"
    better = _sentence(accuracy, "A rate per layer makes the network more accurate", "makes it less accurate",
                       f"is no more accurate than one rate{little}")  # fmt: skip
    sooner = _sentence(time, "It is as good as one rate after fewer iterations", "is there later, or never",
                       f"is no sooner there{little}")  # fmt: skip
    return [f"{better}.{_instance(accuracy)}", f"{sooner}."]


def _instance(findings: Sequence[Finding]) -> str:
    """The first comparison that has numbers."""
    first = next((one for one in findings if one.numbers), findings[0])
    ends = {
        arm: error for arm, error in first.numbers.get("medians", {}).items() if arm in ("ln", "uniform", "constant")
    }
    if len(ends) < 2:
        return ""
    words = [f"{arm_named(arm)} {'diverges' if e is None else f'{1 - e:.2%}'}" for arm, e in ends.items()]
    return f" Right answers on {_in_a_sentence(first)}: {', '.join(words)} ({first.word})."


def _sentence(findings: Sequence[Finding], claim: str, harm: str, contrary: str) -> str:
    """How often each word fell on a claim; of those that are not confirmed, in how many it is the contrary."""
    counts, n = word_counts(findings), len(findings)
    worse, ahead = (sum(one.because == why for one in findings) for why in (WORSE, AHEAD))
    parts = [f"{claim} in {counts.get(CONFIRMED, 0)} of {n} pair{'s' * (n != 1)} of an experiment and a method"]
    if LARGER_RATE in counts:
        parts.append(f"in {counts[LARGER_RATE]} one larger rate for all layers does as well")
    if worse:
        parts.append(f"in {worse} it {harm}")
    if counts.get(NOT_CONFIRMED, 0) > worse:
        parts.append(f"in {counts[NOT_CONFIRMED] - worse} it {contrary}")
    if UNDECIDED in counts:
        n = counts[UNDECIDED]
        where = "there" if n == 1 else f"in {ahead} of them"
        though = (
            f" ({where} it is ahead of one rate, but a rate as large for all layers may do as well)" if ahead else ""
        )
        parts.append(f"{n} {'is' if n == 1 else 'are'} undecided{though}")
    return "; ".join(parts)


def _first_picture(collected: dict[str, Any]) -> Picture | None:
    """The curves of the first method that has both a rate per layer and one rate."""
    if not accuracies_count(collected):
        return None
    for method in methods_of(collected):
        if {"ln", "uniform"} <= set(arms_of(collected, method)):
            return curves(collected, method)
    return None


def _claims_table(findings: Sequence[Finding]) -> list[Block]:
    """What came out of each claim: the word; where there are several findings on one, how often each fell."""
    by_claim = {text: [one for one in findings if one.claim == claim] for claim, text in CLAIMS.items()}
    said = "the abstract says, in our words"
    if all(len(found) <= 1 for found in by_claim.values()):
        words = [(text, f"**{overall(found)}**" if found else "not run") for text, found in by_claim.items()]
        return [Table((said, "what came out"), words, words=True)]
    rows = []
    for text, found in by_claim.items():
        counts = word_counts(found)
        open_ones = [one.because for one in found if one.word == UNDECIDED]
        why = [open_ones.count(because) for because in (AHEAD, "", UNRUN, UNLEARNED)]
        rows.append((text, *(str(n) for n in (*(counts.get(word, 0) for word in WORDS[:-1]), *why))))
    open_head = (f"{UNDECIDED}: {why}" for why in (AHEAD, _SEEDS, UNRUN, UNLEARNED))
    head = (said, *WORDS[:-1], *open_head)
    return [Text("How often each word fell, over the pairs of an experiment and a method:"), Table(head, rows)]


# ---- what is known, and what was run


def _known(collections: Collections) -> list[Block]:
    blocks: list[Block] = [
        Heading(2, "What we know, and what was run"),
        Text(
            "**No number of the paper's tables is known to us**: its abstract and its rule are, the rest of the text "
            "could not be had. So nothing here is compared with a number of the paper's; what is tried is what its "
            "abstract says.",
            "note",
        ),
        Text(
            "The rule's form is that of a public reimplementation; whether its logarithm is the natural one, and what "
            "AdaGrad divides a layer's gradient by, is not known to us: both possibilities are in the plan, and their "
            "spread is [reported](#what-the-paper-leaves-open-to-us). Every run with momentum has it in Caffe's form, "
            "in which the rate stays inside the velocity."
        ),
        Text("A run is named by its rule for the rates; t is the base rate, which follows the recipe's schedule:"),
        Points([f"**{name}** (`{rate}`): {what}." for rate, (name, what) in RATES.items()]),
        Text(
            "In the plan each rule runs at the recipe's own base rate and, where it says (tuned), at the best of a "
            "grid that was chosen for it on a validation split (at a saddle point by the steps until it is left) and "
            "on seeds that are not reported. The tuned constant is left out: a constant times t is one rate again, "
            "which is tuned already."
        ),
    ]
    blocks += [_runs_table(collections)] if collections else []
    lacking = list(_lacking(collections))
    return blocks + ([Folded("What is missing, failed or damaged", [Points(lacking)])] if lacking else [])


def _runs_table(collections: Collections) -> Table:
    rows = []
    for found in collections:
        done, planned = len(found["runs"]), found.get("planned")
        of = f"{done} of {planned}" if planned is not None else f"{done}, plan unknown"
        lost = f"{len(found['failed'])} failed, {len(found['damaged'])} damaged"
        seeds = sorted({run["seed"] for run in found["runs"] if run["role"] == "report"})
        rows.append((title_of(found), of, lost, ", ".join(map(str, seeds)) or "none", note_of(found)))
    return Table(("experiment", "runs done", "lost", "seeds", "remark on the data"), rows, words=True)


def _lacking(collections: Collections) -> Iterator[str]:
    for found in collections:
        where = title_of(found)
        if found["missing"]:
            names = [f"`{name}`" for name in found["missing"]]
            file = f"{found['recipe']}-{found['scale']}.json"
            more = f" and {len(names) - NAMED} more, which [{file}]({file}) names" if len(names) > NAMED else ""
            yield f"**{where}**: not run (yet): {', '.join(names[:NAMED])}{more}."
        for kind in ("failed", "damaged"):
            for name, why in found[kind].items():
                yield f"**{where}**: `{name}` {'failed' if kind == 'failed' else 'was left out'}: {why}"


# ---- the claims one by one


def _one_by_one(findings: Sequence[Finding], notes: dict[tuple[str, str], str]) -> list[Block]:
    """Each claim with its findings: as they are if they are few, otherwise as a table with the numbers folded."""
    blocks: list[Block] = [Heading(2, "The claims, one by one")]
    for claim, text in CLAIMS.items():
        found = [one for one in findings if one.claim == claim]
        blocks.append(Heading(3, text))
        if not found:
            blocks.append(Text("Not run: nothing here says anything about it."))
            continue
        numbers = Points([f"**{_place(one)}: {one.word}.** {one.sentence}{_beside(one, notes)}" for one in found])
        if len(found) > MANY:
            blocks += [_words_table(found), Folded("The numbers", [numbers])]
        else:
            blocks.append(numbers)
        statistics = [f"**{_place(one)}.** {' '.join(one.statistics)}" for one in found if one.statistics]
        if statistics:
            blocks.append(Folded("The statistics", [Points(statistics)]))
    return blocks


def _words_table(findings: Sequence[Finding]) -> Table:
    """A row an experiment, a column a method."""
    methods = [method for method in METHODS if any(one.method == method for one in findings)]
    methods += sorted({one.method for one in findings} - set(methods))
    words: dict[str, dict[str, str]] = {}
    for one in findings:
        title = f"{words_of(one.recipe).title} ({one.scale})"
        word = f"**{one.word}**" if one.word != UNDECIDED else one.word + (f": {one.because}" if one.because else "")
        words.setdefault(title, {})[one.method] = word
    rows = [(title, *(row.get(method, "not run") for method in methods)) for title, row in words.items()]
    return Table(("experiment", *map(method_named, methods)), rows, words=True)


def _in_a_sentence(finding: Finding) -> str:
    """`_place` without a capital that only the beginning of a line has; MNIST and ImageNet keep theirs."""
    place = _place(finding)
    return place[0].lower() + place[1:] if place.startswith(("The ", "A ", "Deep ")) else place


def _place(finding: Finding) -> str:
    title = f"{words_of(finding.recipe).title} ({finding.scale})"
    return f"{title}, {method_named(finding.method)}" if finding.method else title


def _beside(finding: Finding, notes: dict[tuple[str, str], str]) -> str:
    """What has to be said beside an accuracy."""
    note = notes.get((finding.recipe, finding.scale), "")
    return f" ({note.rstrip('.')}.)" if note and finding.claim in ("accuracy", "time") else ""


# ---- what is open, and how to repeat it


def _left_open(collections: Collections) -> list[Block]:
    recipes = [
        (title_of(found), {method: looked(arms_of(found, method), ARMS) for method in methods_of(found)})
        for found in collections
        if accuracies_count(found)
    ]
    table = open_table(recipes)
    blocks: list[Block] = [
        Heading(2, "What the paper leaves open to us", "what-the-paper-leaves-open-to-us"),
        Text(
            "The base of the rule's logarithm, and whether AdaGrad divides each element by its own sum of squares or a "
            "layer by one number. Right answers at the end in percent, medians with the range over the seeds; the "
            "difference is paired by seed."
        ),
    ]
    return [*blocks, table if table is not None else Text("Neither was run yet.")]


def _again(collections: Collections) -> list[Block]:
    commands = sorted({_elsewhere(str(place["command"])) for found in collections for place in found["environments"]
                       if place.get("command")})  # fmt: skip
    items = [f"`{command}`" for command in commands] + [
        "`python -m figures.reproduction` makes this page and its pictures anew from the json files beside it."
    ]
    return [Heading(2, "To repeat it"), Points(items)]


def _elsewhere(command: str) -> str:
    """A command without what depends on where it is given: folders, and who does the runs."""
    try:
        given = shlex.split(command)
    except ValueError:  # an unclosed quote: it was not a shell's
        return command
    words: list[str] = []
    skip = False
    for word in given:
        option, sign, _ = word.partition("=")
        if not skip and option not in _OWN:
            words.append(word)
        skip = not skip and option in _OWN and not sign
    return shlex.join(words)
