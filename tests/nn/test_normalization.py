"""minidl/nn/normalization.py."""

from __future__ import annotations

import copy

import numpy as np
import pytest

import minidl as md
from minidl import backend, nn
from minidl.errors import ShapeError
from minidl.training.checkpoint import load_checkpoint, save_checkpoint
from tests.arrays import host, tensor
from tests.pytorch import torch

LAYERS = [
    ("BatchNorm1d", (4,), {}, (5, 4)),
    ("BatchNorm1d", (4,), {"eps": 0.1, "momentum": 0.3}, (5, 4, 3)),
    ("BatchNorm2d", (4,), {}, (3, 4, 2, 5)),
    ("BatchNorm2d", (4,), {"affine": False, "momentum": None}, (3, 4, 2, 5)),
    ("BatchNorm2d", (4,), {"track_running_stats": False}, (3, 4, 2, 5)),
    ("LayerNorm", (4,), {}, (3, 4)),
    ("LayerNorm", ((3, 4),), {"bias": False, "eps": 0.1}, (2, 3, 4)),
    ("LayerNorm", ([4],), {"elementwise_affine": False}, (2, 3, 4)),
    ("GroupNorm", (2, 4), {}, (3, 4)),
    ("GroupNorm", (1, 4), {"affine": False, "eps": 0.1}, (3, 4, 2, 2)),
    ("LocalResponseNorm", (5,), {"alpha": 0.5, "beta": 0.6, "k": 2.0}, (3, 4, 2, 2)),
]


def both(kind, args, options):
    """Our layer and PyTorch's, with weights that are not those they start from."""
    theirs = getattr(torch.nn, kind)(*args, **options)
    torch.manual_seed(0)
    for parameter in theirs.parameters():
        torch.nn.init.normal_(parameter)
    ours = getattr(nn, kind)(*args, **options)
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs


def close(ours, theirs):
    np.testing.assert_allclose(host(ours), theirs.detach().numpy(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("kind", "args", "options", "shape"), LAYERS)
def test_it_equals_pytorch_in_training_then_in_evaluation(kind, args, options, shape):
    ours, theirs = both(kind, args, options)
    rng = np.random.default_rng(0)
    for batch in range(4):
        if batch == 3:
            ours.eval()
            theirs.eval()
        values = rng.normal(2, 3, shape).astype(np.float32)
        x, other = tensor(values, requires_grad=True), torch.tensor(values, requires_grad=True)
        y, z = ours(x), theirs(other)
        close(y, z)
        ours.zero_grad()
        theirs.zero_grad()
        (y * y * y).sum().backward()
        (z * z * z).sum().backward()
        np.testing.assert_allclose(host(x.grad), other.grad.numpy(), rtol=1e-3, atol=1e-3)
        for (name, p), (their_name, q) in zip(ours.named_parameters(), theirs.named_parameters(), strict=True):
            assert name == their_name
            np.testing.assert_allclose(host(p.grad), q.grad.numpy(), rtol=1e-3, atol=1e-3)
    state, their_state = ours.state_dict(), theirs.state_dict()
    assert set(state) == set(their_state)
    for name, array in state.items():
        assert array.dtype == their_state[name].numpy().dtype
        np.testing.assert_allclose(array, their_state[name].numpy(), rtol=1e-5)


@pytest.mark.parametrize(("kind", "args", "options", "shape"), LAYERS)
def test_its_state_goes_to_pytorch(kind, args, options, shape):
    ours, theirs = both(kind, args, options)
    ours(tensor(np.random.default_rng(0).standard_normal(shape).astype(np.float32)))
    theirs.load_state_dict({name: torch.tensor(array) for name, array in ours.state_dict().items()})
    x = np.random.default_rng(1).standard_normal(shape).astype(np.float32)
    close(ours.eval()(tensor(x)), theirs.eval()(torch.tensor(x)))


def test_it_starts_as_pytorchs():
    for kind, args, options, _ in LAYERS:
        ours, theirs = getattr(nn, kind)(*args, **options), getattr(torch.nn, kind)(*args, **options)
        for name, values in theirs.state_dict().items():
            np.testing.assert_array_equal(ours.state_dict()[name], values.numpy(), strict=True)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_it_moves_to_another_dtype_and_keeps_its_count(dtype):
    layer = nn.BatchNorm1d(3).to(dtype=dtype)
    y = layer(tensor(np.arange(6).reshape(2, 3).astype(dtype)))
    assert y.dtype == layer.running_mean.dtype == layer.running_var.dtype == layer.weight.dtype == dtype
    assert layer.num_batches_tracked.dtype == np.int64
    assert layer.num_batches_tracked.item() == 1


@pytest.mark.parametrize("momentum", [0.1, None])
def test_a_batch_that_is_refused_does_not_count(momentum):
    layer = nn.BatchNorm1d(3, momentum=momentum)
    with pytest.raises(ShapeError, match="more than one value per channel"):
        layer(tensor(np.ones((1, 3), np.float32)))
    assert layer.num_batches_tracked.item() == 0
    layer(tensor(np.eye(3, dtype=np.float32)))
    assert layer.num_batches_tracked.item() == 1


def test_momentum_none_averages_all_batches_alike():
    layer = nn.BatchNorm1d(2, momentum=None)
    batches = np.random.default_rng(0).standard_normal((5, 7, 2)).astype(np.float32)
    for batch in batches:
        layer(tensor(batch))
    np.testing.assert_allclose(host(layer.running_mean), batches.mean(axis=(0, 1)), atol=1e-6)
    np.testing.assert_allclose(host(layer.running_var), batches.var(axis=1, ddof=1).mean(axis=0), rtol=1e-5)


def test_the_mode_decides_whose_statistics_are_used():
    """The classroom's mistake: in training mode a sample's answer depends on who is in the batch with it."""
    layer = nn.BatchNorm1d(2)
    sample, others = np.array([[1.0, 2]], np.float32), np.array([[5.0, 9], [0, 1]], np.float32)
    with md.no_grad():
        apart = host(layer(tensor(np.concatenate([sample, others[:1]]))))[0]
        together = host(layer(tensor(np.concatenate([sample, others]))))[0]
        assert layer.num_batches_tracked.item() == 2  # no_grad is not eval: the statistics went on moving
        assert (apart != together).any()
        layer.eval()
        before = layer.state_dict()
        alone = host(layer(tensor(sample)))[0]
        in_company = host(layer(tensor(np.concatenate([sample, others]))))[0]
    np.testing.assert_array_equal(alone, in_company)
    for name, array in layer.state_dict().items():
        np.testing.assert_array_equal(array, before[name])


def test_without_running_statistics_evaluation_takes_the_batchs():
    layer = nn.BatchNorm2d(3, track_running_stats=False).eval()
    assert not layer.named_buffers()
    x = np.random.default_rng(0).normal(5, 2, (4, 3, 2, 2)).astype(np.float32)
    np.testing.assert_allclose(host(layer(tensor(x))).mean(axis=(0, 2, 3)), 0, atol=1e-5)


# ---- in a model


def model():
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 2))


def data():
    features = np.random.default_rng(0).normal(3, 2, (16, 3)).astype(np.float32)
    return md.data.Dataset(features, (features[:, 0] > 3).astype(np.int64))


def test_summary_leaves_the_running_statistics():
    net = model()
    before = net.state_dict()
    assert "BatchNorm1d 4" in net.summary((1, 3))  # one sample: in training mode it would be refused
    assert net.training
    for name, array in net.state_dict().items():
        np.testing.assert_array_equal(array, before[name])


def test_fit_follows_and_evaluate_does_not():
    net = model()
    md.fit(net, md.optim.SGD(net, lr=0.1), md.data.Loader(data(), 8), epochs=2, progress=False)
    assert net.state_dict()["1.num_batches_tracked"] == 4
    before = net.state_dict()
    together = md.evaluate(net, data(), batch_size=16)
    assert md.evaluate(net, data(), batch_size=1).loss == pytest.approx(together.loss, rel=1e-5)
    for name, array in net.state_dict().items():
        np.testing.assert_array_equal(array, before[name])


def test_a_checkpoint_brings_the_statistics_back(tmp_path):
    net = model()
    optimizer = md.optim.SGD(net, lr=0.1)
    md.fit(net, optimizer, md.data.Loader(data(), 8), epochs=1, progress=False)
    save_checkpoint(tmp_path / "net.npz", net, optimizer)
    fresh = model()
    load_checkpoint(tmp_path / "net.npz").resume(fresh, md.optim.SGD(fresh, lr=0.1))
    assert set(fresh.state_dict()) == set(net.state_dict())
    for name, array in fresh.state_dict().items():
        np.testing.assert_array_equal(array, net.state_dict()[name], strict=True)


def test_a_copy_has_statistics_of_its_own():
    layer = nn.BatchNorm1d(2)
    twin = copy.deepcopy(layer)
    twin(tensor(np.array([[1.0, 2], [3, 4]], np.float32)))
    np.testing.assert_array_equal(host(layer.running_mean), 0)
    assert layer.num_batches_tracked.item() == 0
    assert [name for name, _ in twin.named_buffers()] == ["running_mean", "running_var", "num_batches_tracked"]


@pytest.mark.parametrize("momentum", [0.1, None])
def test_training_does_not_wait_for_the_device(standin, momentum):
    with md.using("cupy"):
        layer = nn.BatchNorm1d(3, momentum=momentum)
    x = md.Tensor(backend.to_device(np.random.default_rng(0).random((4, 3)).astype(np.float32), "cupy"), True)
    standin.reset_synchronizations()
    layer(x).sum().backward()
    layer(x)
    layer.eval()(x)
    assert standin.synchronizations() == ()
    assert layer.num_batches_tracked.item() == 2


# ---- errors and names


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: nn.BatchNorm1d(3)(tensor(np.ones((2, 3, 4, 5)))), r"BatchNorm1d: expected x .*\(N, C\) or .* C = 3"),
        (lambda: nn.BatchNorm1d(3)(tensor(np.ones(3))), r"BatchNorm1d: .*got Tensor of shape \(3,\)"),
        (lambda: nn.BatchNorm2d(3)(tensor(np.ones((2, 3, 4)))), r"BatchNorm2d: expected x .*\(N, C, H, W\)"),
        (lambda: nn.BatchNorm2d(3)(None), "BatchNorm2d: .*got None"),
        (lambda: nn.BatchNorm2d(3, affine=False)(tensor(np.ones((2, 4, 1, 1)))), "with C = 3; got Tensor"),
        (lambda: nn.BatchNorm1d(3)(tensor(np.ones((1, 3), np.float32))), "more than one value per channel"),
        (lambda: nn.BatchNorm1d(0), "BatchNorm1d: num_features: expected a whole number of at least 1; got 0"),
        (lambda: nn.BatchNorm2d(3, momentum=2), "BatchNorm2d: momentum: expected a number from 0 to 1; got 2"),
        (lambda: nn.LayerNorm(0), "LayerNorm: normalized_shape: expected a whole number"),
        (lambda: nn.LayerNorm(())(tensor(np.ones((2, 4)))), r"normalized_shape \(\)"),
        (lambda: nn.LayerNorm(3)(tensor(np.ones((2, 4)))), r"last axes are normalized_shape \(3,\)"),
        (lambda: nn.GroupNorm(3, 4), "GroupNorm: num_groups=3 must divide the channels; got 4"),
        (lambda: nn.GroupNorm(0, 4), "GroupNorm: num_groups"),
        (lambda: nn.GroupNorm(2, 4, affine=False)(tensor(np.ones((2, 6)))), r"GroupNorm: .*\(N, C, ...\) with C = 4"),
        (lambda: nn.LayerNorm(3)([[1.0, 2.0, 3.0]]), "got list"),
        (lambda: nn.LayerNorm(3, eps=-1), "LayerNorm: eps: expected a number of at least 0; got -1"),
        (lambda: nn.BatchNorm1d(3, eps="a"), "BatchNorm1d: eps: expected a number of at least 0; got 'a'"),
        (lambda: nn.LocalResponseNorm(3, alpha="a"), "LocalResponseNorm: alpha: expected a number; got 'a'"),
        (lambda: nn.LocalResponseNorm(0), "LocalResponseNorm: size"),
        (lambda: nn.LocalResponseNorm(2, within_channel=True), "an odd number"),
    ],
)
def test_what_does_not_fit(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def test_they_say_what_they_are():
    assert repr(nn.BatchNorm2d(8)) == "BatchNorm2d(8)"
    text = repr(nn.BatchNorm1d(8, 0.1, None, affine=False, track_running_stats=False))
    assert text == "BatchNorm1d(8, eps=0.1, momentum=None, affine=False, track_running_stats=False)"
    assert repr(nn.LayerNorm((2, 3), bias=False)) == "LayerNorm(2x3, bias=False)"
    assert repr(nn.LayerNorm(2, elementwise_affine=False)) == "LayerNorm(2, elementwise_affine=False, bias=False)"
    assert repr(nn.GroupNorm(2, 8, eps=0.1)) == "GroupNorm(8 in 2 groups, eps=0.1)"
    assert repr(nn.LocalResponseNorm(3, 5e-5, within_channel=True)) == (
        "LocalResponseNorm(3, alpha=5e-05, within_channel=True)"
    )
