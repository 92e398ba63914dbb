"""How fast images come out of a folder, beside PyTorch, and how long a training loop waits for them.

    python benchmarks/loading.py FOLDER          beside PyTorch: processor time, images a second; a step of AlexNet
    python benchmarks/loading.py FOLDER --waits  how long a loop waits that computes meanwhile
    python benchmarks/loading.py FOLDER --gpu    AlexNet, trained on a GPU with them, and what bounds it
    python benchmarks/loading.py --make FOLDER   makes such a folder: 1,024 JPEGs of 256x256 pixels

FOLDER has CLASS/NAME.jpg, of at least 227x227 pixels, all of one size. The recipe is that of AlexNet's time: mean
image, random crop of 227, flip. PyTorch's side is what torchvision's ImageFolder, RandomCrop, RandomHorizontalFlip,
ToTensor and Normalize compute, as a data set in plain Python for its DataLoader. Both decode with the same Pillow, have
two workers that stay from epoch to epoch, and hand out float32.

Rounds take turns. Processor time is that of the program and of its workers: it hardly minds what else the machine does,
where images a second do. A ratio is taken within a round; medians over the rounds are printed. With `--waits`: best of
rounds, for other programs only ever slow it down; `step` is a pause outside Python that stands for a GPU's product.

What bounds a training on a GPU is the slowest of four, each measured alone: reading and decoding (the loader with
nobody who computes), copying (the same batch sent again and again), computing (steps on one batch that is there), and
what the host does for a step. The training itself should come near the slowest: the four overlap.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from multiprocessing import active_children
from pathlib import Path
from typing import Any

import numpy as np

from minidl.data import ImageFolder, Loader
from minidl.data import transforms as T

ROUNDS, BATCH, WORKERS = 5, 50, (0, 1, 2)
BESIDE_ROUNDS, BESIDE_WORKERS, STEP_BATCH = 9, 2, 32
CROP = 227
GPU_BATCH, GPU_WORKERS, GPU_STEPS = 256, (2, 4, 8, 16), 12


def epoch(loader: Loader, step: float) -> tuple[float, float]:
    """Images a second, and the share of the time spent waiting for batches, with `step` seconds of work an image."""
    began = asked = time.perf_counter()
    waited, images = 0.0, 0
    for inputs, _ in loader:
        waited += time.perf_counter() - asked
        time.sleep(step * len(inputs))
        images += len(inputs)
        asked = time.perf_counter()
    seconds = time.perf_counter() - began
    return images / seconds, waited / seconds


def make_folder(folder: Path, count: int = 1024) -> None:
    """JPEGs with smooth patches and noise, so that they take about as long to decode as photographs."""
    from PIL import Image

    rng = np.random.default_rng(0)
    for i in range(count):
        place = folder / f"class{i % 8}"
        place.mkdir(parents=True, exist_ok=True)
        rough = Image.fromarray(rng.integers(0, 256, (16, 16, 3), np.uint8)).resize(
            (256, 256), Image.Resampling.BICUBIC
        )
        pixels = np.asarray(rough, np.int16) + rng.integers(-12, 13, (256, 256, 3))
        Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(place / f"{i:04}.jpg", quality=90)


# ---- beside PyTorch


TICK = 0.01  # seconds of the processor that its clock tells apart: what is less counts as one


class Photographs:
    """A data set for PyTorch's DataLoader: what torchvision's ImageFolder and transforms do with an image."""

    def __init__(self, source: ImageFolder) -> None:
        self._files = [str(source.path / name) for name in source.names]
        self._labels = source.labels.tolist()

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, i: int) -> tuple[Any, int]:
        import torch
        from PIL import Image

        with open(self._files[i], "rb") as file:
            picture = Image.open(file).convert("RGB")
        width, height = picture.size
        top = torch.randint(0, height - CROP + 1, size=(1,)).item()
        left = torch.randint(0, width - CROP + 1, size=(1,)).item()
        picture = picture.crop((left, top, left + CROP, top + CROP))
        if torch.rand(1) < 0.5:
            picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        image = torch.from_numpy(np.array(picture, np.uint8, copy=True))  # ToTensor
        image = image.permute((2, 0, 1)).contiguous().to(dtype=torch.float32).div(255)
        mean, std = torch.as_tensor([0.485, 0.456, 0.406]), torch.as_tensor([0.229, 0.224, 0.225])
        return image.clone().sub_(mean.view(-1, 1, 1)).div_(std.view(-1, 1, 1)), self._labels[i]


def processor_seconds() -> float:
    """What this process, those that have ended and those that run have used."""
    times = os.times()
    used = times.user + times.system + times.children_user + times.children_system
    for child in active_children():
        with suppress(OSError):  # where there is no /proc, or it has just ended
            fields = Path(f"/proc/{child.pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()
            used += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return used


def beside_pytorch(
    source: ImageFolder, rounds: int = BESIDE_ROUNDS, batch: int = BATCH
) -> dict[str, tuple[float, float]]:
    """Print what an image costs; returns each one's processor time and time as shares of PyTorch's."""
    import torch

    torch.set_num_threads(1)
    theirs: Any = Photographs(source)
    mean = T.MeanImage.of(source, workers=BESIDE_WORKERS)
    recipe = T.Compose([mean, T.RandomCrop(CROP), T.RandomHorizontalFlip()])
    loaders: dict[str, Any] = {
        "minidl, threads": Loader(source, batch, transform=recipe, workers=BESIDE_WORKERS),
        "minidl, processes": Loader(source, batch, transform=recipe, workers=BESIDE_WORKERS, processes=True),
        "PyTorch": torch.utils.data.DataLoader(
            theirs, batch, shuffle=True, num_workers=BESIDE_WORKERS, persistent_workers=True
        ),
    }
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in loaders}
    for number in range(-1, rounds):  # the first starts the workers and counts for nothing
        for name, loader in loaders.items():
            used, began = processor_seconds(), time.perf_counter()
            images = sum(len(labels) for _, labels in loader)
            if number >= 0:
                cpu = max(processor_seconds() - used, TICK)
                found[name].append((cpu / images * 1e3, (time.perf_counter() - began) / images * 1e3))
    print(f"{len(source)} images, batches of {batch}, {BESIDE_WORKERS} workers, medians of {rounds} rounds in turns")
    shares = {}
    for name, costs in found.items():
        cpu, wall = (statistics.median(cost[i] for cost in costs) for i in range(2))
        shares[name] = (
            statistics.median(ours[0] / other[0] for ours, other in zip(costs, found["PyTorch"], strict=True)),
            statistics.median(other[1] / ours[1] for ours, other in zip(costs, found["PyTorch"], strict=True)),
        )
        print(
            f"{name:18} processor {cpu:5.2f} ms an image ({shares[name][0]:.2f} of PyTorch's), "
            f"{1e3 / wall:5.0f} images/s ({shares[name][1]:.2f} of PyTorch's)"
        )
    loaders["minidl, processes"].close()
    return shares


def alexnet_step(source: ImageFolder, batch: int = STEP_BATCH, model: Any = None, steps: int = 3) -> None:
    """Print how long a training step of AlexNet takes beside the loading of its batch."""
    import minidl as md

    model = md.models.alexnet(len(source.classes)) if model is None else model
    optimizer = md.optim.SGD(model, lr=1e-3, momentum=0.9, weight_decay=5e-4)
    recipe = T.Compose([T.MeanImage(np.full(source.image_shape, 110.0)), T.RandomCrop(CROP), T.RandomHorizontalFlip()])

    def timed(act: Callable[[], Any]) -> tuple[float, float, Any]:
        used, began = processor_seconds(), time.perf_counter()
        result = act()
        return (processor_seconds() - used) / batch * 1e3, batch / (time.perf_counter() - began), result

    def step(inputs: Any, labels: Any) -> None:
        loss = md.functional.cross_entropy(model(md.Tensor(inputs)), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    batches = iter(Loader(source, batch, drop_last=True, transform=recipe))
    rounds = []
    for _ in range(steps + 1):
        *loading, (inputs, labels) = timed(partial(next, batches))
        rounds.append((loading, timed(partial(step, inputs, labels))))
    for i, what in enumerate(("loading, no workers", "training step")):
        cpu, rate = (statistics.median(one[i][j] for one in rounds[1:]) for j in range(2))
        print(f"AlexNet, batch {batch}: {what:20} processor {cpu:6.2f} ms an image, {rate:6.1f} images/s")


# ---- on a GPU


class Repeated:
    """A source that hands out the same examples as often as asked for, in an epoch of `count`."""

    classes = None

    def __init__(self, source: ImageFolder, count: int) -> None:
        self._source, self._count = source, count
        self.labels = np.resize(source.labels, count)

    def __len__(self) -> int:
        return self._count

    def take(self, indices: Any) -> tuple[Any, Any]:
        return self._source.take(np.asarray(indices) % len(self._source))


def on_gpu(source: ImageFolder, batch: int = GPU_BATCH, steps: int = GPU_STEPS, model: Any = None) -> None:
    """Print what each part of a training does in a second, and the training itself."""
    import minidl as md
    from minidl import backend

    md.use("cupy")
    model = md.models.alexnet() if model is None else model
    optimizer = md.optim.SGD(model, lr=1e-4, momentum=0.9)
    data: Any = Repeated(source, batch * steps)
    mean = T.MeanImage(np.full(source.image_shape, 110.0))
    recipes = {
        "floats (mean image first, as in Caffe)": T.Compose([mean, T.RandomCrop(CROP), T.RandomHorizontalFlip()]),
        "bytes (a mean for each channel, last)": T.Compose(
            [T.RandomCrop(CROP), T.RandomHorizontalFlip(), T.Normalize((110.0,) * 3, 1.0)]
        ),
    }

    def train(inputs: Any, labels: Any) -> None:
        loss = md.functional.cross_entropy(model(md.Tensor(inputs)), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    def images_a_second(work: Any) -> float:
        work()
        backend.synchronize("cupy")
        began = time.perf_counter()
        count = work()
        backend.synchronize("cupy")
        return count / (time.perf_counter() - began)

    inputs, labels = next(iter(Loader(data, batch, transform=recipes["floats (mean image first, as in Caffe)"])))

    def compute() -> int:
        for _ in range(4):
            train(inputs, labels)
        return 4 * batch

    def ask() -> float:
        backend.synchronize("cupy")
        began = time.perf_counter()
        train(inputs, labels)
        return batch / (time.perf_counter() - began)

    print(f"computing, on one batch of {batch} that is there: {images_a_second(compute):7,.0f} images/s")
    print(f"asking for a step without waiting:           {max(ask() for _ in range(5)):7,.0f} images/s")
    for dtype in (np.float32, np.uint8):
        array = np.zeros((batch, 3, 227, 227), dtype)
        copied = images_a_second(lambda array=array: sum(len(x) for (x,) in _copies(array, 8)))
        print(f"copying {dtype.__name__}, into pinned memory and over: {copied:7,.0f} images/s")
    for name, recipe in recipes.items():
        for workers in GPU_WORKERS:
            loader = Loader(data, batch, seed=0, transform=recipe, workers=workers)

            def read(loader: Loader = loader) -> int:
                return sum(len(inputs) for inputs, _ in loader)

            def fit(loader: Loader = loader) -> int:
                count = 0
                for inputs, labels in loader:
                    train(inputs, labels)
                    count += len(inputs)
                return count

            next(iter(loader))  # page-locked memory for so many batches is made once
            found = {}
            for what, work in (("reading and copying", read), ("training", fit)):
                backend.synchronize("cupy")
                began = time.perf_counter()
                count = work()
                backend.synchronize("cupy")
                found[what] = count / (time.perf_counter() - began)
            rates = ", ".join(f"{what} {rate:7,.0f} images/s" for what, rate in found.items())
            print(f"{name}, {workers:2} workers: {rates}", flush=True)


def _copies(array: Any, count: int) -> Any:
    from minidl import backend

    return backend.sent_ahead((backend.pinned(array),) for _ in range(count))


def main() -> None:
    """Measure and print."""
    if sys.argv[1] == "--make":
        make_folder(Path(sys.argv[2]))
        return
    source = ImageFolder(sys.argv[1])
    if "--gpu" in sys.argv:
        on_gpu(source)
        return
    if "--waits" in sys.argv:
        waits(source)
        return
    beside_pytorch(source)
    alexnet_step(source)


def waits(source: ImageFolder) -> None:
    """Print how many images come, and how long a loop waits for them that computes meanwhile."""
    mean = T.MeanImage(np.full(source.image_shape, 110.0))
    recipe = T.Compose([mean, T.RandomCrop(CROP), T.RandomHorizontalFlip()])
    loaders = {n: Loader(source, BATCH, seed=0, transform=recipe, workers=n) for n in WORKERS}
    for step in (0.0, 0.001, 0.005):
        rounds = [{n: epoch(loader, step) for n, loader in loaders.items()} for _ in range(ROUNDS)]
        for n in WORKERS:
            rate, waited = max(found[n] for found in rounds)
            print(f"step {step * 1e3:.0f} ms an image, {n} workers: {rate:5.0f} images/s, waits {waited:4.0%}")


if __name__ == "__main__":
    main()
