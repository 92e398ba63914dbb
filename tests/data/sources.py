"""Sources and transforms that other processes can make again: classes at the top of a module that loads little."""

import os
import signal
import time

import numpy as np

LABELS = np.arange(23)


class Squares:
    """Example i is an image of i + 1 everywhere, with a gradient across it."""

    classes = None
    labels = LABELS

    def __len__(self):
        return len(self.labels)

    def take(self, indices):
        across = np.arange(36, dtype=np.float32).reshape(1, 1, 6, 6) / 100
        return (indices + 1).astype(np.float32).reshape(-1, 1, 1, 1) + across, self.labels[indices]


class Strange(Squares):
    """Labels that are no plain numbers, or none at all, and batches of different sizes."""

    def take(self, indices):
        inputs, labels = super().take(indices)
        if 3 in indices:
            inputs = np.repeat(inputs, 50, axis=2)
        if 5 in indices:
            labels = np.array([f"label {i}" for i in labels], object)
        if 9 in indices:
            inputs = inputs[:, :, :, :0]
        return inputs, labels


class RefusedError(Exception):
    """An error that cannot be made again from its arguments."""

    def __init__(self, one, two):
        super().__init__(f"{one} and {two}")


class Damaged(Squares):
    """Example 13 cannot be read."""

    def __init__(self, strange=False):
        self.strange = strange

    def take(self, indices):
        if 13 in indices:
            raise RefusedError(1, 2) if self.strange else OSError("cannot read 13.jpg")
        return super().take(indices)


class Deadly(Squares):
    """Example 13 ends a process, unless it is the one that made this."""

    def __init__(self, how):
        self.home, self.how = os.getpid(), how

    def take(self, indices):
        if 13 in indices and os.getpid() != self.home:
            if self.how == "exit":
                os._exit(7)
            os.kill(os.getpid(), signal.SIGKILL)
        return super().take(indices)


class Slow(Squares):
    """Takes its time in any process but the one that made it."""

    def __init__(self, seconds):
        self.home, self.seconds = os.getpid(), seconds

    def take(self, indices):
        if os.getpid() != self.home:
            time.sleep(self.seconds)
        return super().take(indices)


class Unknown:
    """A transform that cannot be made again."""

    def __call__(self, images, rng):
        return images

    def __reduce__(self):
        return _refuse, ()


def _refuse():
    raise AttributeError("there is no class Unknown here")


def doubled(images, rng):
    """A transform that is a function of a module."""
    return images * 2 + rng.random()
