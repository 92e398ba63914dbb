import numpy as np
import pytest

import minidl as md
from minidl.nn import Linear, ReLU, Residual, Sequential, Tanh
from minidl.nn.init import orthogonal_
from minidl.observe.jacobian_recording import JacobianRecording, jacobian_spectrum
from tests.arrays import host, tensor


def inputs(count=2, features=6):
    return tensor(np.random.default_rng(0).normal(size=(count, features)))


def linear(depth, init=None, n=6):
    md.seed(0)
    return Sequential(*[Linear(n, n, init=init) for _ in range(depth)])


def test_of_linear_layers_they_are_the_singular_values_of_the_product_of_the_weights():
    model = linear(3)
    found = jacobian_spectrum(model, inputs(1).astype("float32"))
    product = np.eye(6)
    for k, layer in enumerate(model):
        product = host(layer.weight).astype(np.float64) @ product
        expected = np.log10(np.linalg.svd(product, compute_uv=False))
        np.testing.assert_allclose(found.log10[k], expected, atol=1e-5)


def test_orthogonal_layers_change_no_length():
    found = jacobian_spectrum(linear(12, orthogonal_), inputs().astype("float32"))
    np.testing.assert_allclose(found.log10, 0, atol=1e-4)


def test_an_activation_belongs_to_its_layer_and_inputs_are_taken_one_by_one():
    md.seed(0)
    model = Sequential(Linear(6, 4), Tanh(), Residual(Linear(4, 4)))
    found = jacobian_spectrum(model, inputs(3).astype("float32"))
    assert found.layers == ("0", "2")
    assert found.log10.shape == (2, 12)
    whole = [md.jacobian(model, x.reshape(1, 6)) for x in inputs(3).astype("float32")]
    expected = [np.linalg.svd(host(j).reshape(4, 6), compute_uv=False) for j in whole]
    np.testing.assert_allclose(found.log10[1], np.log10(np.concatenate(expected)), atol=1e-5)


def test_what_is_zero_is_minus_infinity_and_not_rounding():
    model = Sequential(Linear(6, 6), ReLU())
    model[0].bias.data[...] = -100.0
    assert np.isneginf(jacobian_spectrum(model, inputs().astype("float32")).log10).all()
    model = linear(2)
    model[0].weight.data[0, :] = 0.0
    assert np.isneginf(jacobian_spectrum(model, inputs(1).astype("float32")).log10).sum(axis=1).tolist() == [1, 1]


def test_neither_hundreds_of_layers_nor_huge_weights_over_or_underflow():
    for scale, expected in ((1e-6, -6.0), (1e6, 6.0)):
        model = linear(80, orthogonal_)
        for layer in model:
            layer.weight.data[...] *= scale
            layer.bias.data[...] = 0.0
        found = jacobian_spectrum(model, inputs(1).astype("float32"))
        np.testing.assert_allclose(found.log10[-1], 80 * expected, atol=1e-3)


def test_a_jacobian_that_is_not_finite_reads_infinity():
    model = linear(2)
    model[1].weight.data[0, 0] = np.inf
    found = jacobian_spectrum(model, inputs(1).astype("float32"))
    assert np.isfinite(found.log10[0]).all()
    assert np.isposinf(found.log10[1]).all()


def test_quantiles_lie_between_the_values_and_keep_zeros():
    recording = JacobianRecording(["a"], [[-np.inf, 0.0, 1.0, 2.0, 3.0]])
    assert recording.quantiles([0, 0.25, 0.5, 0.625, 1]).ravel().tolist() == [-np.inf, 0, 1, 1.5, 3]


def test_layers_of_other_widths_and_files(tmp_path):
    md.seed(0)
    jacobian_spectrum(Sequential(Linear(6, 2), Linear(2, 6)), inputs(1).astype("float32")).save(tmp_path / "j.npz")
    found = JacobianRecording.load(tmp_path / "j.npz").log10
    assert (np.isneginf(found[1]).sum(), np.isnan(found[0]).sum()) == (4, 4)
    with pytest.raises(md.ShapeError, match="at least one"):
        jacobian_spectrum(linear(1), inputs(0))
