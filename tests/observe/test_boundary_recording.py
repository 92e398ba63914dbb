import numpy as np
import pytest

import minidl as md
from minidl import nn
from minidl.data import Dataset, moons
from minidl.observe.boundary_recording import BoundaryRecording, decision_boundary
from tests.arrays import device


def halves(weights=((1.0, 0.0), (-1.0, 0.0))):
    """Class 0 where x > 0."""
    model = nn.Linear(2, len(weights))
    model.weight.data[...] = device(np.array(weights, dtype=np.float32))
    model.bias.data[...] = 0
    return model


def square(labels=(0, 0, 1, 1)):
    points = np.array([[1, 1], [1, -1], [-1, 1], [-1, -1]], dtype=np.float32)
    return Dataset(device(points), device(np.array(labels)))


def test_each_point_of_the_grid_has_the_class_with_the_highest_score_and_its_probability():
    found = decision_boundary(halves(), square(), resolution=21, margin=0.5)
    assert (found.x[0], found.x[-1], found.y[0], found.y[-1]) == (-2, 2, -2, 2)
    assert (found.answer[:, found.x > 1e-6] == 0).all()
    assert (found.answer[:, found.x < -1e-6] == 1).all()
    np.testing.assert_allclose(found.confidence[0, -1], 1 / (1 + np.exp(-4)), rtol=1e-6)
    assert found.accuracy == 1
    assert decision_boundary(halves(), square((0, 1, 1, 1)), resolution=5).accuracy == 0.75


def test_a_single_score_is_that_of_class_one():
    found = decision_boundary(halves([(1.0, 0.0)]), square((1, 1, 0, 0)), resolution=9)
    assert found.accuracy == 1
    np.testing.assert_allclose(found.confidence.min(), 0.5, atol=0.2)


def test_the_longer_side_has_the_resolution():
    found = decision_boundary(halves(), moons(40, seed=0), resolution=50)
    assert len(found.x) == 50
    assert 20 < len(found.y) < 40


@pytest.mark.parametrize("points", [[[-1, 0], [1, 0]], [[2, 3]], [[0, -1e-9], [1, 1e-9]]])
def test_points_on_a_line_have_a_plane_around_them(points):
    inputs = np.array(points, dtype=np.float32)
    found = decision_boundary(halves(), md.data.Dataset(inputs, np.zeros(len(inputs), dtype=np.int64)), resolution=50)
    for axis, values in ((found.x, inputs[:, 0]), (found.y, inputs[:, 1])):
        assert axis[0] < values.min() <= values.max() < axis[-1]
    assert np.ptp(found.y) >= np.ptp(found.x) / 10


def test_where_scores_are_not_finite_there_is_no_answer():
    model = halves()
    model.bias.data[0] = np.nan
    found = decision_boundary(model, square(), resolution=5)
    assert (found.answer == -1).all()
    assert np.isnan(found.confidence).all()
    assert found.accuracy == 0


def test_it_asks_in_evaluation_mode_and_leaves_the_mode(tmp_path):
    model = nn.Sequential(halves(), nn.Dropout(0.9))
    found = decision_boundary(model, square(), resolution=5)
    assert found.accuracy == 1
    assert model.training
    found.save(tmp_path / "b.npz")
    assert BoundaryRecording.load(tmp_path / "b.npz").accuracy == 1


def test_what_lies_in_no_plane_is_refused():
    with pytest.raises(md.ShapeError, match=r"expected points \(N, 2\)"):
        decision_boundary(halves(), md.data.blobs(9, features=3))
    with pytest.raises(md.ShapeError, match=r"expected scores \(N, C\)"):
        decision_boundary(nn.Sequential(halves(), nn.Reshape(2, 1)), square())
