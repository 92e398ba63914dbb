"""How fast images come out of a folder, and how long a training loop waits for them.

    python benchmarks/loading.py FOLDER          CLASS/NAME.jpg, of at least 227x227 pixels, all of one size
    python benchmarks/loading.py FOLDER --gpu    also AlexNet, trained on a GPU with them, and what bounds it
    python benchmarks/loading.py --make FOLDER   makes such a folder: 1,024 JPEGs of 256x256 pixels

The recipe of AlexNet's time: mean image, random crop of 227, flip. Best of rounds that take turns, for other programs
on the machine only ever slow it down. `step` is a pause outside Python that stands for a GPU's or a large product's.

What bounds a training on a GPU is the slowest of four, each measured alone: reading and decoding (the loader with
nobody who computes), copying (the same batch sent again and again), computing (steps on one batch that is there), and
what the host does for a step. The training itself should come near the slowest: the four overlap.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from minidl.data import ImageFolder, Loader
from minidl.data import transforms as T

ROUNDS, BATCH, WORKERS = 5, 50, (0, 1, 2)
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
        "floats (mean image first, as in Caffe)": T.Compose([mean, T.RandomCrop(227), T.RandomHorizontalFlip()]),
        "bytes (a mean for each channel, last)": T.Compose(
            [T.RandomCrop(227), T.RandomHorizontalFlip(), T.Normalize((110.0,) * 3, 1.0)]
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
    mean = T.MeanImage(np.full(source.image_shape, 110.0))
    recipe = T.Compose([mean, T.RandomCrop(227), T.RandomHorizontalFlip()])
    loaders = {n: Loader(source, BATCH, seed=0, transform=recipe, workers=n) for n in WORKERS}
    for step in (0.0, 0.001, 0.005):
        rounds = [{n: epoch(loader, step) for n, loader in loaders.items()} for _ in range(ROUNDS)]
        for n in WORKERS:
            rate, waited = max(found[n] for found in rounds)
            print(f"step {step * 1e3:.0f} ms an image, {n} workers: {rate:5.0f} images/s, waits {waited:4.0%}")


if __name__ == "__main__":
    main()
