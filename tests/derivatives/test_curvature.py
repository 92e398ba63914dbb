"""minidl/derivatives/curvature.py, against the eigenvalues of explicit matrices."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl as md
import minidl.functional as F
from minidl.derivatives import curvature
from tests.arrays import device, host, tensor
from tests.factory import examples
from tests.pytorch import torch


def symmetric(eigenvalues, seed=0):
    """A symmetric matrix with these eigenvalues, turned at random."""
    n = len(eigenvalues)
    turned, _ = np.linalg.qr(np.random.default_rng(seed).standard_normal((n, n)))
    return turned @ np.diag(eigenvalues) @ turned.T


def start(n):
    return device(np.random.default_rng(1).standard_normal(n))


@examples(60)
@given(st.integers(1, 12), st.integers(0, 10**6))
def test_lanczos_with_all_steps_is_exact(n, seed):
    eigenvalues = np.random.default_rng(seed).standard_normal(n) * 10
    matrix = device(symmetric(eigenvalues, seed))
    found = curvature.lanczos(lambda v: matrix @ v, start(n), steps=n, tolerance=0)
    assert found.largest == pytest.approx(eigenvalues.max(), rel=1e-9, abs=1e-9)
    assert found.smallest == pytest.approx(eigenvalues.min(), rel=1e-9, abs=1e-9)
    assert found.products <= n


def test_lanczos_of_a_large_matrix_converges_early():
    eigenvalues = np.concatenate([[-5.0, 20.0], np.linspace(-1, 1, 298)])
    matrix = device(symmetric(eigenvalues))
    found = curvature.lanczos(lambda v: matrix @ v, start(300), steps=60, tolerance=1e-8)
    assert found.products < 40
    assert abs(found.largest - 20) <= found.residual + 1e-9
    assert abs(found.smallest + 5) <= found.residual + 1e-9


def test_lanczos_keeps_no_ghosts():
    """Without reorthogonalisation copies of the dominant eigenvalue would come up, and the iteration never ends."""
    matrix = device(symmetric([1e6, *np.linspace(0, 1, 39)]))
    found = curvature.lanczos(lambda v: matrix @ v, start(40), steps=40, tolerance=0)
    assert found.largest == pytest.approx(1e6, rel=1e-12)
    assert found.smallest == pytest.approx(0, abs=1e-7)


@pytest.mark.parametrize("eigenvalues", [[9.0, 1.0, -2.0], [-9.0, 1.0, 2.0], [3.0, 2.0, 1.0], [0.0, 0.0]], ids=str)
def test_power_iteration_finds_both_ends_whichever_dominates(eigenvalues):
    matrix = device(symmetric(eigenvalues))
    value, vector, residual, products = curvature.power_iteration(
        lambda v: matrix @ v, start(len(eigenvalues)), steps=500, tolerance=1e-6
    )
    assert value == pytest.approx(max(eigenvalues, key=abs), rel=1e-6, abs=1e-12)
    np.testing.assert_allclose(host(matrix) @ host(vector), value * host(vector), atol=1e-4)
    assert residual <= 1e-6 * abs(value)
    assert products < 500


@pytest.mark.parametrize("scale", [1e-200, 1e-10, 1e200])
def test_matrices_of_any_size(scale):
    matrix = device(symmetric([3.0, 1.0, -2.0]) * scale)
    found = curvature.lanczos(lambda v: matrix @ v, start(3), steps=3, tolerance=0)
    assert found.largest / scale == pytest.approx(3)
    assert found.smallest / scale == pytest.approx(-2)
    value, _, residual, _ = curvature.power_iteration(lambda v: matrix @ v, start(3), steps=200, tolerance=1e-9)
    assert value / scale == pytest.approx(3)
    assert residual <= 1e-9 * abs(value)


def model_and_loss(dtype="float64"):
    md.seed(3)
    rng = np.random.default_rng(0)
    model = md.models.mlp((3, 4, 2), activation="tanh").to(dtype=dtype)
    x, labels = tensor(rng.standard_normal((6, 3)).astype(dtype)), device(rng.integers(0, 2, 6))
    return model, F.cross_entropy(model(x), labels), host(x), host(labels)


def blocks_by_torch(model, x, labels):
    """Each layer's own block of the Hessian, as a matrix, computed by PyTorch."""
    weights = {name: torch.tensor(host(p)) for name, p in model.named_parameters()}

    def loss_of(layer, flat):
        values, at = dict(weights), 0
        for name in (f"{layer}.weight", f"{layer}.bias"):
            size = values[name].numel()
            values[name] = flat[at : at + size].reshape(values[name].shape)
            at += size
        hidden = torch.tanh(torch.nn.functional.linear(torch.tensor(x), values["fc1.weight"], values["fc1.bias"]))
        scores = torch.nn.functional.linear(hidden, values["fc2.weight"], values["fc2.bias"])
        return torch.nn.functional.cross_entropy(scores, torch.tensor(labels))

    found = {}
    for layer in ("fc1", "fc2"):
        flat = torch.cat([weights[f"{layer}.weight"].reshape(-1), weights[f"{layer}.bias"]])
        found[layer] = torch.autograd.functional.hessian(lambda w, layer=layer: loss_of(layer, w), flat).numpy()
    return found


@pytest.mark.parametrize("method", ["lanczos", "power"])
def test_each_layers_extremes_are_those_of_its_block(method):
    model, loss, x, labels = model_and_loss()
    found = curvature.layer_eigenvalues(loss, model, method=method, steps=400, tolerance=1e-7)
    for name, block in blocks_by_torch(model, x, labels).items():
        exact = np.linalg.eigvalsh(block)
        assert found[name].largest == pytest.approx(exact[-1], abs=1e-5)
        assert found[name].smallest == pytest.approx(exact[0], abs=1e-5)
    loss.backward()  # the graph is still there


def test_in_float32_too():
    model, loss, x, labels = model_and_loss("float32")
    found = curvature.layer_eigenvalues(loss, model)
    for name, block in blocks_by_torch(model, x, labels).items():
        assert found[name].largest == pytest.approx(np.linalg.eigvalsh(block)[-1], rel=1e-3)


def test_frozen_and_unused_layers_are_left_out():
    model, _, x, labels = model_and_loss()
    model.unused = md.nn.Linear(2, 2)
    model.fc1.requires_grad_(False)
    loss = F.cross_entropy(model.fc2(F.tanh(model.fc1(tensor(x)))), device(labels))
    assert list(curvature.layer_eigenvalues(loss, model)) == ["fc2"]


def test_a_linear_loss_has_no_curvature():
    layer = md.nn.Linear(3, 1)
    found = curvature.layer_eigenvalues(layer(tensor(np.ones((2, 3), np.float32))).sum(), layer)
    assert found["Linear"].largest == found["Linear"].smallest == 0


def test_the_largest_eigenvalue_limits_the_rate():
    """Gradient descent on a quadratic: below 2/lambda it converges, above it diverges."""
    rng = np.random.default_rng(0)
    layer = md.nn.Linear(4, 1).to(dtype="float64")
    x, y = tensor(rng.standard_normal((20, 4))), tensor(rng.standard_normal((20, 1)))

    def loss_after(rate):
        model = md.nn.Sequential(md.nn.Linear(4, 1)).to(dtype="float64")
        optimizer = md.optim.SGD(model, lr=rate)
        for _ in range(300):
            optimizer.zero_grad()
            loss = F.mse_loss(model(x), y)
            loss.backward()
            optimizer.step()
        return float(loss)

    sharpness = curvature.layer_eigenvalues(F.mse_loss(layer(x), y), layer)["Linear"].largest
    assert loss_after(1.9 / sharpness) < 2
    assert loss_after(2.1 / sharpness) > 1e6


def test_what_does_not_fit():
    model, loss, _, _ = model_and_loss()
    with pytest.raises(ValueError, match="'lanczos' or 'power'; got 'qr'"):
        curvature.layer_eigenvalues(loss, model, method="qr")
    with pytest.raises(TypeError, match="expected a model"):
        curvature.layer_eigenvalues(loss, model.parameters())
    with pytest.raises(ValueError, match="steps"):
        curvature.layer_eigenvalues(loss, model, steps=0)
    with pytest.raises(ValueError, match="tolerance"):
        curvature.layer_eigenvalues(loss, model, tolerance=-1)
    with pytest.raises(ValueError, match="not 0"):
        curvature.lanczos(lambda v: v, device(np.zeros(3)))
