"""What holds for every file of minidl/functional: examples in docstrings, silence, no waiting for a device."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
import re

import numpy as np
import pytest

import minidl as md
import minidl.functional as F
from minidl import backend
from tests.arrays import host, tensor

MODULES = [f"minidl.functional.{module.name}" for module in pkgutil.iter_modules(F.__path__)]


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_in_the_files_docstring(name):  # those of the functions: tests/test_examples.py
    runner = doctest.DocTestRunner()
    with backend.using("numpy"):
        for examples in doctest.DocTestFinder(recurse=False).find(importlib.import_module(name)):
            runner.run(examples)
    assert runner.summarize().failed == 0


def test_everything_public_is_listed_and_documented():
    for name in F.__all__:
        assert getattr(F, name).__doc__
    by_number = {
        name: re.sub(r"\d+", lambda digits: digits[0].zfill(3), name) for name in F.__all__
    }  # log2 before log10
    assert sorted(F.__all__, key=by_number.__getitem__) == F.__all__


def test_no_op_warns_and_numpy_is_left_as_it_was():
    before = np.geterr()
    x = tensor(np.array([0.0, -1.0, np.inf, 1e300]), True)
    y = F.log(x) + x / 0 - F.sqrt(x) * x * x + x**-1
    y.sum().backward()
    assert np.isnan(host(x.grad)).any()
    assert np.geterr() == before
    with pytest.raises(md.ShapeError):
        x + tensor(np.ones(3))
    assert np.geterr() == before


@pytest.mark.parametrize(
    "call",
    [
        lambda t: F.add(t, None),
        lambda t: F.add(t, "a"),
        lambda t: t * {},
        lambda t: F.power(t, "2"),
        lambda t: F.relu(None),
        lambda t: F.sum("abc"),
        lambda t: F.linear(t, None),
        lambda t: F.conv2d(t, None),
        lambda t: F.where(t > 0, t, None),
        lambda t: F.clip(t, "a"),
        lambda t: F.setitem(t, 0, None),
        lambda t: F.astype(t, None),
        lambda t: F.var(t, ddof=None),
        lambda t: F.leaky_relu(t, None),
        lambda t: F.elu(t, None),
        lambda t: F.prelu(t, None),
        lambda t: F.gelu(None),
        lambda t: F.erf("abc"),
    ],
)
def test_what_is_no_number_is_named(call):
    with pytest.raises(md.DTypeError, match=r"None|'a'|'2'|'abc'|dict|<U1|''"):
        call(tensor(np.ones((2, 3), np.float32)))


def test_no_op_makes_the_program_wait_for_the_device(standin):
    """Forward and backward of a network with most ops, to second order, without one synchronisation."""
    rng = np.random.default_rng(0)

    def leaf(*shape):
        return md.Tensor(backend.to_device(rng.standard_normal(shape).astype(np.float32), "cupy"), requires_grad=True)

    x, filters, shift, weight = leaf(2, 2, 6, 6), leaf(4, 2, 3, 3), leaf(4), leaf(5, 16)
    labels, rows = backend.to_device(np.array([0, 3]), "cupy"), backend.to_device(np.array([1, 0]), "cupy")
    standin.reset_synchronizations()
    h = F.max_pool2d(F.relu(F.conv2d(x, filters, shift, padding=1)), 3, stride=2, padding=1)
    h = F.dropout(F.avg_pool2d(F.leaky_relu(F.pad(h, ((0, 0), (0, 0), (1, 0), (0, 1)))), 2), 0.3)
    h = F.flatten(h, 1)[rows]
    h = F.where(h > 0, F.tanh(h), F.softplus(h)) / (1 + F.sqrt(F.var(h, 1, keepdims=True) + 1e-3))
    h = F.maximum(F.clip(h, -2, 2), F.mean(h)) ** 2 + F.exp(-F.abs(h)) + F.power(F.sigmoid(h), F.sigmoid(h))
    h = F.concatenate([F.linear(h, weight), F.setitem(F.softmax(h @ weight.T), rows, 0.5)], axis=1)
    loss = F.cross_entropy(h, labels, label_smoothing=0.1) + F.mse_loss(h, F.stack([h[0], h[1]])) + F.logsumexp(h)
    loss = loss + F.sum(F.log_softmax(h)) * F.max(h) - F.min(h, 0).sum() + F.log(F.sum(h * h) + 1)
    grads = md.grad(loss, [x, filters, shift, weight], create_graph=True)
    F.sum(F.concatenate([F.reshape(g, -1) for g in grads]) ** 2).backward()
    assert x.grad.shape == (2, 2, 6, 6)
    assert standin.synchronizations() == ()


def test_no_elementary_function_makes_the_program_wait_for_the_device(standin):
    rng = np.random.default_rng(0)

    def leaf(*shape):
        return md.Tensor(backend.to_device(rng.standard_normal(shape).astype(np.float32), "cupy"), requires_grad=True)

    x, slopes, table = leaf(4, 6), leaf(6), leaf(5, 6)
    words = backend.to_device(np.array([0, 3, 3, 1]), "cupy")
    standin.reset_synchronizations()
    h = F.prelu(x, slopes) + F.elu(x, 0.5) + F.selu(x) + F.hardtanh(x, -0.5, 0.5) + F.softsign(x)
    h = h * F.silu(x) + F.gelu(x) + F.gelu(x, approximate="tanh") + F.erf(x) + F.sin(x) * F.cos(x)
    h = F.cumsum(h, 1) + h.cumsum().reshape(4, 6) + F.embedding(words, table)
    left, right = F.split(h, 2, axis=1)
    h = F.outer(F.squeeze(F.expand_dims(left, 0), 0), right)
    loss = F.norm(h) + F.sum(F.norm(h, 3, 0)) + F.norm(h[0], 1) + F.norm(h[1], np.inf) + F.norm(h[2], -np.inf)
    grads = md.grad(loss, [x, slopes, table], create_graph=True)
    F.sum(F.concatenate([F.reshape(g, -1) for g in grads]) ** 2).backward()
    assert x.grad.shape == (4, 6)
    assert standin.synchronizations() == ()
