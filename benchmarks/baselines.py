"""The paper's baselines, whole: Caffe's recipes in minidl and in PyTorch, from the same weights on the same batches.

    python -m benchmarks.baselines mnist                              LeNet, 10,000 steps: ten minutes
    python -m benchmarks.baselines cifar10-quick                      5,000 steps: twenty minutes
    python -m benchmarks.baselines cifar10-full --iterations 7000     the recipe's 70,000 take hours
    python -m benchmarks.baselines --table                            what is done, as a table

The recipes are those of `minidl reproduce` at the scale `paper`, here with all training images, as Caffe had them. With
fewer steps the schedule is drawn together in proportion. minidl trains with its own optimizer and schedule; PyTorch's
update and rates are written out here, from Caffe's formulas. The two part where a ReLU or a max pool hangs on the last
bit (`benchmarks/caffe.py` has the steps before that); their accuracies should differ no more than two seeds' do.

Each library has a process and a thread of its own. A run that is done is kept in --out and not done again; one that is
stopped begins anew.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np

import minidl as md
import minidl.functional as F
from benchmarks import machine, table
from minidl.data import Dataset, Loader, Mapped
from minidl.data.transforms import MeanImage
from minidl.experiments.reproduce.recipes import RECIPES, Inv, Recipe
from minidl.experiments.reproduce.sets import Sets, read
from minidl.files.reading import read_json
from minidl.files.writing import write_atomically
from minidl.training.evaluation import evaluate

NAMES = ("mnist", "cifar10-quick", "cifar10-full")
LIBRARIES = ("minidl", "torch")
LOOKS = (0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0)  # parts of a run after which all test images are looked at
FIRST = 10  # steps whose losses are compared
MOMENTUM = 0.9

Step = Callable[[Any, Any], float]
Look = Callable[[], tuple[float, float]]


def joined(sets: Sets) -> tuple[Mapped, Mapped]:
    """All training images, also what `minidl reproduce` holds out, and the test images, as the network sees them."""
    parts = [part.take(np.arange(len(part))) for part in (sets.train, sets.validation)]
    images, labels = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    train = Dataset(images, labels, classes=sets.train.classes)
    transform = MeanImage.of(train, progress=False) if isinstance(sets.transform, MeanImage) else sets.transform
    assert transform is not None
    return Mapped(train, transform), Mapped(sets.test, transform)


def in_minidl(recipe: Recipe, iterations: int, model: Any, test: Any) -> tuple[Step, Look]:
    """A step of training, which returns the loss before it, and a look at the test images: accuracy and loss."""
    optimizer = md.optim.SGD(
        model, lr=recipe.base_rates["sgd"], momentum=MOMENTUM, weight_decay=recipe.decay, momentum_form="caffe"
    )
    recipe.scale(optimizer)
    schedule = recipe.scheduled(optimizer, iterations)
    assert schedule is not None

    def step(images: Any, labels: Any) -> float:
        loss = F.cross_entropy(model(md.Tensor(images)), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        return loss.item()

    def look() -> tuple[float, float]:
        found = evaluate(model, test, progress=False)
        assert found.accuracy is not None
        return found.accuracy, found.loss

    return step, look


def in_torch(recipe: Recipe, iterations: int, model: Any, test: Any) -> tuple[Step, Look]:
    """The same in PyTorch."""
    import torch

    from benchmarks.peers.translation import translated

    torch.set_num_threads(1)
    theirs = translated(model)
    stretch = iterations / recipe.iterations["paper"]
    parts = [(p, torch.zeros_like(p), *multipliers(recipe, name)) for name, p in theirs.named_parameters()]
    done = 0

    def step(images: Any, labels: Any) -> float:
        nonlocal done
        scores: Any = theirs(torch.from_numpy(images))
        loss: Any = torch.nn.functional.cross_entropy(scores, torch.from_numpy(labels))
        theirs.zero_grad()
        loss.backward()
        rate = recipe.base_rates["sgd"] * factor(recipe, done, stretch)
        with torch.no_grad():
            for p, velocity, lr, decay in parts:  # v <- mu v + t (g + decay w); w <- w - v
                assert p.grad is not None
                gradient = p.grad + recipe.decay * decay * p
                velocity.mul_(MOMENTUM).add_(gradient, alpha=rate * lr)
                p.sub_(velocity)
        done += 1
        return loss.item()

    def look() -> tuple[float, float]:
        right, losses, count = 0, 0.0, 0
        with torch.no_grad():
            for images, labels in Loader(test, 256, shuffle=False):
                scores, wanted = theirs(torch.from_numpy(images)), torch.from_numpy(labels)
                losses += torch.nn.functional.cross_entropy(scores, wanted, reduction="sum").item()
                right += int((scores.argmax(1) == wanted).sum())
                count += len(labels)
        return right / count, losses / count

    return step, look


def multipliers(recipe: Recipe, name: str) -> tuple[float, float]:
    """Of the rate and of the weight decay of a parameter."""
    return next((pair for pattern, pair in recipe.scales.items() if fnmatchcase(name, pattern)), (1.0, 1.0))


def factor(recipe: Recipe, k: int, stretch: float) -> float:
    """What the base rate is multiplied by in step k, from 0 on, of a run `stretch` times as long as the recipe's."""
    schedule = recipe.schedule
    assert schedule is not None
    if isinstance(schedule, Inv):
        return float((1 + schedule.gamma / stretch * k) ** -schedule.power)
    return float(schedule.gamma ** sum(k >= round(milestone * stretch) for milestone in schedule.milestones))


SIDES = {"minidl": in_minidl, "torch": in_torch}


def trained(library: str, recipe: Recipe, iterations: int, seed: int, data: Path | None, cache: Path) -> dict[str, Any]:
    """Train in one library, on one thread; what is kept of it."""
    md.set_num_threads(1)
    train, test = joined(read(recipe.data, data, cache))
    md.seed(seed)
    step, look = SIDES[library](recipe, iterations, recipe.network(), test)
    batches = _endless(Loader(train, recipe.batch, seed=seed, drop_last=True))
    due = {max(1, round(part * iterations)) for part in LOOKS}
    losses: list[float] = []
    looks: list[dict[str, float]] = []
    computed = 0.0
    for k in range(1, iterations + 1):
        began = time.process_time()
        losses.append(step(*next(batches)))
        computed += time.process_time() - began
        if k in due:
            accuracy, loss = look()
            looks.append({"iteration": k, "accuracy": accuracy, "loss": loss, "cpu_seconds": round(computed, 1)})
            told = f"{recipe.name} in {library}: after step {k:,} of {iterations:,} {accuracy:.2%} right"
            print(told, file=sys.stderr, flush=True)
    about = {"name": recipe.name, "library": library, "seed": seed, "iterations": iterations, "looks": looks}
    return {**about, "first_losses": losses[:FIRST], "versions": machine.versions(), "machine": machine.processor()}


def _endless(loader: Loader) -> Iterator[tuple[Any, Any]]:
    while True:
        yield from loader


# ---- the command


def place(out: Path, name: str, iterations: int, library: str, seed: int) -> Path:
    """Where a result is kept."""
    return out / f"{name}-{iterations}-{library}-seed{seed}.json"


def kept(out: Path) -> list[dict[str, Any]]:
    """What is done in a folder."""
    files = (path for name in NAMES for path in sorted(out.glob(f"{name}-*-seed*.json")))
    return [read_json(path, dict, "is damaged: delete it, and it is made again") for path in files]


def as_table(results: Sequence[dict[str, Any]]) -> str:
    """Test accuracy after some steps, a row for a library and a seed."""
    rows = []
    for found in sorted(results, key=lambda r: (NAMES.index(r["name"]), r["iterations"], r["seed"], r["library"])):
        first = next(r for r in results if _run(r) == _run(found))["first_losses"]
        apart = max(abs(a - b) for a, b in zip(first, found["first_losses"], strict=True))
        looks = ", ".join(f"{look['iteration']:,}: {look['accuracy']:.2%}" for look in found["looks"])
        own = "-" if found["first_losses"] is first else f"{apart:.1e}"
        rows.append([found["name"], str(found["seed"]), found["library"], looks, own,
                     f"{1e3 * found['looks'][-1]['cpu_seconds'] / found['iterations']:.0f} ms"])  # fmt: skip
    head = ["recipe", "seed", "library", "right answers after so many steps", f"first {FIRST} losses apart"]
    return table.markdown([*head, "processor time a step"], rows)


def _run(found: dict[str, Any]) -> tuple[Any, ...]:
    return found["name"], found["iterations"], found["seed"]


def main(arguments: Sequence[str] | None = None) -> None:
    """The command."""
    command = argparse.ArgumentParser(
        "python -m benchmarks.baselines", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    command.add_argument("names", nargs="*", metavar="RECIPE", help=", ".join(NAMES))
    command.add_argument("--iterations", type=int, help="steps (default: the recipe's)")
    command.add_argument("--seed", type=int, default=0)
    command.add_argument("--data", type=Path, help="where the data lie (default: $MINIDL_DATA, a cache)")
    command.add_argument("--out", type=Path, default=Path("runs/baselines"), help="default: runs/baselines")
    command.add_argument("--table", action="store_true", help="show what is done; train nothing")
    command.add_argument("--library", choices=LIBRARIES, help="this one alone, in this process")
    given = command.parse_args(arguments)
    if not given.names and not given.table:
        command.error(f"name a recipe: {', '.join(NAMES)}; or --table")
    for name in given.names:
        if name not in NAMES:
            command.error(f"expected {', '.join(NAMES)}; got {name!r}")
    if given.names and given.table:
        command.error("--table shows all that is done, and trains nothing: name no recipe with it")
    if given.seed < 0:
        command.error(f"--seed: expected at least 0; got {given.seed}")
    if given.iterations is not None and given.iterations < FIRST:
        command.error(f"--iterations: expected at least {FIRST}; got {given.iterations}")
    for name in given.names:
        try:
            read(RECIPES[name].data, given.data, given.out / "cache")
        except (FileNotFoundError, ValueError) as error:
            sys.exit(f"error: {error}")
    for name in given.names:
        recipe = RECIPES[name]
        iterations = given.iterations or recipe.iterations["paper"]
        if given.library:
            target = place(given.out, name, iterations, given.library, given.seed)
            if not target.exists():
                found = trained(given.library, recipe, iterations, given.seed, given.data, given.out / "cache")
                write_atomically(target, (json.dumps(found) + "\n").encode())
            continue
        words = [name, "--iterations", str(iterations), "--seed", str(given.seed), "--out", str(given.out)]
        words += ["--data", str(given.data)] if given.data else []
        both = [
            subprocess.Popen([sys.executable, "-m", "benchmarks.baselines", *words, "--library", library])
            for library in LIBRARIES
        ]
        statuses = [process.wait() for process in both]
        if any(statuses):
            sys.exit(f"error: {name} failed; what was done is kept in {given.out}")
    if not given.library:
        print(as_table(kept(given.out)))


if __name__ == "__main__":
    main()
