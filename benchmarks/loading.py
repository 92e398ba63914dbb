"""How fast images come out of a folder, and how long a training loop waits for them.

    python benchmarks/loading.py FOLDER          CLASS/NAME.jpg, of at least 227x227 pixels, all of one size

The recipe of AlexNet's time: mean image, random crop of 227, flip. Best of rounds that take turns, for other programs
on the machine only ever slow it down. `step` is a pause outside Python that stands for a GPU's or a large product's.
"""

from __future__ import annotations

import sys
import time

import numpy as np

from minidl.data import ImageFolder, Loader
from minidl.data import transforms as T

ROUNDS, BATCH, WORKERS = 5, 50, (0, 1, 2)


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


def main() -> None:
    """Measure and print."""
    source = ImageFolder(sys.argv[1])
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
