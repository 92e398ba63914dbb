import numpy as np
import pytest

import minidl as md
from minidl.observe.paths_recording import PathsRecording, optimizer_paths

LIMITS = ((-2.0, 2.0), (-1.0, 1.0))


def bowl(p):
    return 0.5 * (p[0] ** 2 + 4 * p[1] ** 2)


def sgd(rate):
    return lambda parameters: md.optim.SGD(parameters, lr=rate)


def test_gradient_descent_on_a_quadratic_goes_where_the_formula_says():
    found = optimizer_paths(bowl, (2.0, 1.0), {"SGD": sgd(0.1)}, 5, LIMITS)
    steps = np.arange(6)[:, None]
    np.testing.assert_allclose(found.path[0], [2.0, 1.0] * np.array([0.9, 0.6]) ** steps)
    np.testing.assert_allclose(found.loss[0], 0.5 * (found.path[0] ** 2 @ [1, 4]))
    assert (found.x[0], found.y[-1]) == (-2, 1)
    np.testing.assert_allclose(found.height[0, 0], 0.5 * (4 + 4))


def test_a_diverging_way_ends():
    def cliff(p):
        return (p[0] ** 4 + p[1] ** 4) * 1.0

    found = optimizer_paths(cliff, (2.0, 1.0), {"fast": sgd(10.0), "slow": sgd(0.001)}, 12, LIMITS)
    assert not np.isfinite(found.loss[0, -1])
    assert np.isfinite(found.loss[1]).all()


def test_it_is_saved_and_what_makes_no_picture_is_refused(tmp_path):
    optimizer_paths(bowl, (2.0, 1.0), {"SGD": sgd(0.1)}, 2, LIMITS).save(tmp_path / "p.npz")
    assert PathsRecording.load(tmp_path / "p.npz").names == ("SGD",)
    with pytest.raises(ValueError, match="at least one of them"):
        optimizer_paths(bowl, (0, 0), {}, 2, LIMITS)
    with pytest.raises(ValueError, match="expected limits"):
        optimizer_paths(bowl, (0, 0), {"SGD": sgd(0.1)}, 2, ((1, 0), (0, 1)))
    with pytest.raises(md.GraphError, match="expected a function of p that gives a Tensor"):
        optimizer_paths(lambda p: p[0].detach(), (0, 0), {"SGD": sgd(0.1)}, 2, LIMITS)
