"""The course of a run: when layers are measured, and what its numbers come down to."""

import numpy as np
import pytest

from minidl import backend
from minidl import functional as F
from minidl.experiments.reproduce.course import Course, flow_steps, weights_of
from minidl.experiments.reproduce.methods import build_optimizer
from minidl.experiments.reproduce.networks import tiny
from minidl.optim import LayerSpecific
from minidl.tensors.tensor import Tensor


def here(array):
    """The array where this test computes."""
    return backend.to_device(array, backend.current())


@pytest.mark.parametrize(("iterations", "layers"), [(1, 3), (7, 4), (1_000, 4), (70_000, 8), (1_000, 21), (500, 200)])
def test_layers_are_measured_first_last_and_denser_early(iterations, layers):
    steps = flow_steps(iterations, layers)
    assert steps[0] == 1
    assert steps[-1] == iterations
    assert len(steps) <= 40
    assert len(steps) * layers <= 480
    assert (np.diff(steps, 2) >= -1).all()  # but for rounding, further and further apart


def test_a_step_is_measured_as_it_was():
    rng = np.random.default_rng(0)
    model = tiny()
    optimizer = build_optimizer(model, "sgd", 0.1, 0.0, LayerSpecific())
    x = Tensor(here(rng.random((9, 64)).astype(np.float32)))
    F.cross_entropy(model(x), here(rng.integers(0, 10, 9))).backward()
    before = weights_of(optimizer)
    optimizer.step()
    course = Course(10, 3)
    course.measure(optimizer, before, 2.0)
    for i, layer in enumerate(optimizer.layers):
        old = np.concatenate([backend.to_numpy(w).ravel() for w in before[i]])
        new = np.concatenate([p.numpy().ravel() for _, p in layer.parameters])
        gradient = np.concatenate([p.grad.numpy().ravel() for _, p in layer.parameters])
        norm = np.linalg.norm(gradient)
        assert course.flow["norms"][0][i] == pytest.approx(norm, rel=1e-5)
        assert course.flow["multipliers"][0][i] == pytest.approx(2 * (1 + np.log(1 + 1 / norm)), rel=1e-5)
        moved = np.linalg.norm(new - old) / np.linalg.norm(old)
        assert course.flow["relative_updates"][0][i] == pytest.approx(moved, rel=1e-5)
    assert course.flow_numbers()["floored"] == [[0, 0, 0]]


def test_the_curve_has_the_means_of_a_hundred_intervals():
    course = Course(1_000, 2)
    course.losses[:] = np.arange(1_000)
    course.step = 1_000
    assert course.curve()["steps"] == list(range(10, 1_001, 10))
    assert course.curve()["loss"] == pytest.approx(np.arange(1_000).reshape(100, 10).mean(axis=1))
    assert course.train_loss() == pytest.approx(np.arange(950, 1_000).mean())


def test_of_a_run_that_diverged_the_curve_ends_there():
    course = Course(1_000, 2)
    course.losses[:25] = 1.0
    course.step, course.diverged_at = 25, 26
    assert course.curve() == {"steps": [10, 20], "loss": [1.0, 1.0]}
    assert np.isnan(course.train_loss())
    assert np.isnan(Course(10, 2).mean_multiplier())


def test_a_course_is_restored_from_its_state():
    course = Course(30, 2)
    course.losses[:3], course.multipliers[:3], course.step = [3, 2, 1], [1, 2, 3], 3
    course.flow = {name: [[1.0, 2.0]] for name in course.flow}
    other = Course(30, 2)
    other.restore(*course.state())
    assert other.state()[1] == course.state()[1]
    assert np.array_equal(other.losses, course.losses, equal_nan=True)
    assert other.flow == course.flow
