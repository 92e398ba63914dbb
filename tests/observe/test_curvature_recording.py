import numpy as np
import pytest

import minidl as md
import minidl.functional as F
from minidl.derivatives.curvature import Extremes
from minidl.observe.curvature_recording import Curvature, CurvatureRecording, _known
from tests.arrays import device, host
from tests.observe.loops import batch, norm, small


def quadratic(*curvatures):
    """L = sum of c_i w_i^2 / 2: the Hessian is diagonal."""
    model = md.nn.Sequential(md.nn.Linear(len(curvatures), 1, bias=False), md.nn.Linear(1, 1, bias=False))
    model[0].weight.data[...] = device(np.ones((1, len(curvatures)), dtype=np.float32))
    scale = md.Tensor(device(np.array([curvatures], dtype=np.float32)))
    return model, lambda: 0.5 * F.sum(scale * model[0].weight ** 2) + 0.5 * F.sum(model[1].weight ** 2)


def test_the_eigenvalues_of_a_quadratic_are_its_curvatures():
    model, loss = quadratic(3.0, 0.5, -2.0)
    seen = Curvature(model)
    seen.look(7, loss())
    found = seen.recording
    np.testing.assert_allclose(found.largest, [[3.0, 1.0]], rtol=1e-3)
    np.testing.assert_allclose(found.smallest, [[-2.0, 1.0]], rtol=1e-3)
    np.testing.assert_allclose(found.gradient_norm[0, 0], np.linalg.norm([3.0, 0.5, -2.0]), rtol=1e-6)
    assert (found.steps.tolist(), found.layers) == ([7], ("0", "1"))


def test_of_a_network_they_belong_to_its_full_hessian_block_and_no_gradient_changes():
    x, y = batch()
    model = small()
    seen = Curvature(model, products=60, tolerance=1e-6)
    loss = F.cross_entropy(model(x), y)
    seen.look(0, loss)
    assert all(p.grad is None for p in model.parameters())
    weight, bias = model.fc3.weight, model.fc3.bias
    h = model[:-1](x).detach()
    blocks = md.hessian(lambda w, b: F.cross_entropy(F.linear(h, w, b), y), (weight.detach(), bias.detach()))
    full = np.block(
        [[host(part).reshape(p.size, -1) for part in row] for row, p in zip(blocks, (weight, bias), strict=True)]
    )
    assert seen.recording.largest[0, 2] == pytest.approx(np.linalg.eigvalsh(full)[-1], rel=1e-3)
    loss.backward()
    assert seen.recording.gradient_norm[0, 2] == pytest.approx(norm(weight.grad, bias.grad), rel=1e-5)


def test_an_end_that_is_less_than_its_uncertainty_is_not_known():
    assert _known(Extremes(largest=1e-6, smallest=-2.0, residual=1e-3, products=3)) == pytest.approx(
        (np.nan, -2.0), nan_ok=True
    )
    assert _known(Extremes(largest=0.0, smallest=0.0, residual=0.0, products=1)) == (0.0, 0.0)


def test_without_a_look_it_is_empty_and_it_is_saved(tmp_path):
    model, loss = quadratic(1.0)
    seen = Curvature(model)
    assert seen.recording.largest.shape == (0, 2)
    for step in (0, 10):
        seen.look(step, loss())
    seen.recording.save(tmp_path / "c.npz")
    assert CurvatureRecording.load(tmp_path / "c.npz").steps.tolist() == [0, 10]


def test_what_is_not_finite_reads_infinity():
    model, loss = quadratic(1.0)
    model[0].weight.data[...] = np.nan
    seen = Curvature(model)
    seen.look(0, loss() * F.sum(model[0].weight))
    assert np.isinf(seen.recording.gradient_norm[0, 0])
    assert np.isinf(seen.recording.largest[0, 0])
