"""A run of `fit` that the tests of training share: with a seed of its own, as a process of its own would have it."""

import signal

import numpy as np

from minidl import backend, nn, optim
from minidl.data import Dataset, Loader
from minidl.training import fit

RANDOM = np.random.default_rng(0)
DATA = Dataset(RANDOM.normal(size=(26, 6)).astype(np.float32), RANDOM.integers(0, 3, size=26))
HELD_OUT = Dataset(RANDOM.normal(size=(9, 6)).astype(np.float32), RANDOM.integers(0, 3, size=9))
STEPS = 7  # batches of 4 out of 26


class Run:
    """All that a program makes before it trains; with a seed of its own, as a process of its own would have it."""

    def __init__(self, seed=0, lr=0.1):
        backend.seed(seed)
        self.model = nn.Sequential(
            [
                ("fc1", nn.Linear(6, 8)),
                ("act1", nn.Tanh()),
                ("drop", nn.Dropout(0.25)),
                ("fc2", nn.Linear(8, 3)),
            ]
        ).to(backend.current())
        self.optimizer = optim.SGD(self.model, lr=lr, momentum=0.9, layer_rate=optim.LayerSpecific())
        self.loader = Loader(DATA, batch_size=4)
        self.schedule = optim.CosineLR(self.optimizer, total_steps=6 * STEPS)

    def fit(self, epochs=6, **options):
        options = {"validation": HELD_OUT, "schedule": self.schedule, **options}
        return fit(self.model, self.optimizer, self.loader, epochs=epochs, **options)

    def state(self):
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "loader": self.loader.state_dict(),
            "random": backend.random_state(),
        }


def without_times(history):
    return {**history.as_dict(), "seconds": None, "open_seconds": None}


class Rows:
    """The examples of DATA, from a source that is no Dataset."""

    labels = DATA.labels
    classes = None

    def __len__(self):
        return len(DATA)

    def take(self, indices):
        return DATA.take(indices)


def jitter(inputs, rng):
    return inputs + rng.normal(size=inputs.shape).astype(np.float32)


class At:
    """A callback that does something after one step."""

    def __init__(self, step, action):
        self.step = step
        self.action = action

    def on_step(self, state):
        if state.step == self.step:
            self.action(state)


def stop(state):
    state.stop = True


def press_ctrl_c(state):
    signal.raise_signal(signal.SIGINT)
