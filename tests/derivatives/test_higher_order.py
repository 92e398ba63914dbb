"""minidl/derivatives/higher_order.py, against torch.autograd.functional."""

from __future__ import annotations

import doctest

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl as md
import minidl.functional as F
from minidl import backend
from minidl.derivatives import higher_order
from tests.arrays import device, host, tensor
from tests.factory import assert_close, examples, operand, shapes
from tests.pytorch import torch

TAF = torch.autograd.functional


def curved(x):
    """Of any shape to the same shape, with third derivatives; the same lines for both libraries."""
    return (x * x * x + (x * 0.5) ** 2) / (1 + x * x)


def joint(x, y):
    """Two vectors to a matrix in which both are entangled."""
    return x.reshape(-1, 1) * y * y + (y * x.reshape(-1, 1)) ** 3


def joint_number(x, y):
    return (joint(x, y) * curved(y)).sum()


@examples(40)
@given(operand(shapes(max_dims=2, min_side=1)))
def test_of_one_tensor(x):
    ours, theirs = tensor(x.values), torch.tensor(x.values)
    assert_close(md.jacobian(curved, ours), TAF.jacobian(curved, theirs))
    assert_close(md.hessian(lambda t: curved(t).sum(), ours), TAF.hessian(lambda t: curved(t).sum(), theirs), slack=10)


@examples(40)
@given(st.integers(1, 4), st.integers(1, 4), st.integers(0, 1000))
def test_of_two_tensors(n, m, seed):
    rng = np.random.default_rng(seed)
    arrays = rng.standard_normal(n), rng.standard_normal(m)
    ours, theirs = [tensor(a) for a in arrays], tuple(torch.tensor(a) for a in arrays)
    for mine, expected in zip(md.jacobian(joint, ours), TAF.jacobian(joint, theirs), strict=True):
        assert_close(mine, expected, slack=10)
    for row, their_row in zip(md.hessian(joint_number, ours), TAF.hessian(joint_number, theirs), strict=True):
        for mine, expected in zip(row, their_row, strict=True):
            assert_close(mine, expected, slack=10)

    v_in = [rng.standard_normal(n), rng.standard_normal(m)]
    v_out = rng.standard_normal((n, m))
    y, products = md.vjp(joint, ours, tensor(v_out))
    their_y, their_products = TAF.vjp(joint, theirs, torch.tensor(v_out))
    assert_close(y, their_y)
    for mine, expected in zip(products, their_products, strict=True):
        assert_close(mine, expected, slack=10)
    y, along = md.jvp(joint, ours, [tensor(v) for v in v_in])
    their_y, their_along = TAF.jvp(joint, theirs, tuple(torch.tensor(v) for v in v_in))
    assert_close(y, their_y)
    assert_close(along, their_along, slack=10)
    y, products = md.hvp(joint_number, ours, [tensor(v) for v in v_in])
    their_y, their_products = TAF.hvp(joint_number, theirs, tuple(torch.tensor(v) for v in v_in))
    assert_close(y, their_y, slack=10)
    for mine, expected in zip(products, their_products, strict=True):
        assert_close(mine, expected, slack=10)


def test_of_nothing():
    """PyTorch cannot do these; the shapes are what they must be."""
    empty, x = tensor(np.zeros(0)), tensor(np.ones(3))
    assert md.jacobian(curved, empty).shape == (0, 0)
    assert [j.shape for j in md.jacobian(joint, [empty, x])] == [(0, 3, 0), (0, 3, 3)]
    hess = md.hessian(joint_number, [empty, x])
    assert [[block.shape for block in row] for row in hess] == [[(0, 0), (0, 3)], [(3, 0), (3, 3)]]
    assert md.hvp(joint_number, [empty, x], [empty, x])[1][0].shape == (0,)


def test_the_four_products_say_the_same():
    rng = np.random.default_rng(0)
    x, u, v = (tensor(rng.standard_normal(3)) for _ in range(3))
    jac = host(md.jacobian(curved, x))
    np.testing.assert_allclose(host(md.vjp(curved, x, u)[1]), host(u) @ jac, rtol=1e-12)
    np.testing.assert_allclose(host(md.jvp(curved, x, v)[1]), jac @ host(v), rtol=1e-12)

    def energy(t):
        return (curved(t) ** 2).sum()

    np.testing.assert_allclose(host(md.hvp(energy, x, v)[1]), host(md.hessian(energy, x)) @ host(v), rtol=1e-12)


def test_a_third_derivative_is_the_jacobian_of_a_hessian():
    x = tensor(np.array([0.3, -1.2]))
    third = md.jacobian(lambda t: md.hessian(lambda s: (s**4).sum(), t, create_graph=True), x)
    expected = np.zeros((2, 2, 2))
    expected[0, 0, 0], expected[1, 1, 1] = 24 * 0.3, 24 * -1.2
    np.testing.assert_allclose(host(third), expected, rtol=1e-12, atol=1e-12)


def test_create_graph_links_the_result_to_the_inputs():
    x = tensor(np.array([1.0, 2.0]), requires_grad=True)
    v = tensor(np.array([1.0, 1.0]))
    y, product = md.vjp(lambda t: (t**3).sum(), x, create_graph=True)
    (product.sum() + y).backward()
    np.testing.assert_allclose(host(x.grad), 6 * host(x) + 3 * host(x) ** 2)
    x.grad = None
    md.hvp(lambda t: (t**3).sum(), x, v, create_graph=True)[1].sum().backward()
    np.testing.assert_allclose(host(x.grad), 6)
    x.grad = None
    md.jvp(lambda t: t**3, x, v, create_graph=True)[1].sum().backward()
    np.testing.assert_allclose(host(x.grad), 6 * host(x))
    assert not md.jacobian(lambda t: t**3, x).requires_grad


def test_only_what_goes_through_the_inputs_counts():
    x = tensor(np.array([1.0, 2.0]), requires_grad=True)
    np.testing.assert_array_equal(host(md.jacobian(lambda t: t * x, x)), np.diag([1.0, 2.0]))
    assert x.grad is None


def test_where_nothing_depends_the_derivative_is_zero():
    x, y = tensor(np.ones(2)), tensor(np.ones(3))
    constant = tensor(np.ones(2))
    jac = md.jacobian(lambda a, b: a * 2, [x, y])
    np.testing.assert_array_equal(host(jac[0]), 2 * np.eye(2))
    np.testing.assert_array_equal(host(jac[1]), np.zeros((2, 3)))
    np.testing.assert_array_equal(host(md.jacobian(lambda a: constant, x)), np.zeros((2, 2)))
    np.testing.assert_array_equal(host(md.hessian(lambda a: a.sum(), x)), np.zeros((2, 2)))
    np.testing.assert_array_equal(host(md.hvp(lambda a: a.sum(), x, x)[1]), np.zeros(2))
    np.testing.assert_array_equal(host(md.jvp(lambda a: constant, x, x)[1]), np.zeros(2))


def test_they_work_within_no_grad_and_keep_the_dtype():
    x = tensor(np.array([1.0, 2.0], np.float32))
    with md.no_grad():
        hess = md.hessian(lambda t: (t * t * t).sum(), x)
    assert hess.dtype == np.float32
    np.testing.assert_array_equal(host(hess), np.diag([6.0, 12.0]))


def test_a_network_is_differentiated_by_its_inputs_and_weights():
    model = md.models.mlp((4, 5, 3), activation="tanh")
    x = tensor(np.random.default_rng(0).standard_normal((2, 4)).astype(np.float32))
    jac = md.jacobian(model, x)
    assert jac.shape == (2, 3, 2, 4)
    assert not host(jac)[0, :, 1].any()  # one sample's scores do not depend on the other sample
    labels = device(np.array([0, 2]))
    weight, bias = model.fc2.weight, model.fc2.bias
    hidden = F.tanh(model.fc1(x)).detach()
    hess = md.hessian(lambda w, b: F.cross_entropy(F.linear(hidden, w, b), labels), [weight, bias])
    flat = host(hess[0][0]).reshape(15, 15)
    np.testing.assert_allclose(flat, flat.T, atol=1e-6)
    assert np.linalg.eigvalsh(flat).min() > -1e-6  # softmax regression is convex


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda x: md.jacobian(lambda t: 3.0, x), md.DTypeError, "returns one Tensor; it returned 3.0"),
        (lambda x: md.jacobian(lambda t: t, tensor(np.ones(2, int))), md.DTypeError, "floating Tensors.*input 0"),
        (lambda x: md.jacobian(lambda t: t, 3.0), md.DTypeError, "floating Tensors"),
        (lambda x: md.hessian(lambda t: t, x), md.GraphError, "returns a single number"),
        (lambda x: md.hvp(lambda t: t, x, x), md.GraphError, "returns a single number"),
        (lambda x: md.vjp(lambda t: t, x), md.ShapeError, r"expected a v of shape \(2,\)"),
        (lambda x: md.vjp(lambda t: t, x, tensor(np.ones(3))), md.ShapeError, r"v of shape \(2,\), a Tensor; got"),
        (lambda x: md.jvp(lambda t: t, x), md.ShapeError, r"expected a v of shape \(2,\)"),
        (lambda x: md.jvp(lambda t: t, x, [x, x]), md.ShapeError, "one v for each of 1 inputs; got 2"),
    ],
)
def test_what_does_not_fit(call, error, words):
    with pytest.raises(error, match=words):
        call(tensor(np.ones(2)))


def test_the_examples_in_the_files_docstring():
    runner = doctest.DocTestRunner()
    with backend.using("numpy"):
        for examples in doctest.DocTestFinder(recurse=False).find(higher_order):
            runner.run(examples)
    assert runner.summarize().failed == 0


def test_a_result_in_place_of_a_function_is_refused() -> None:
    x = md.tensor([1.0, 2.0])
    for derivative in (md.jacobian, md.hessian, md.hvp, md.vjp, md.jvp):
        with pytest.raises(md.DTypeError, match=r"expected a function of the inputs, such as .*; got Tensor"):
            derivative((x * x).sum(), x)
