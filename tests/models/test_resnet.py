import numpy as np
import pytest

import minidl.functional as F
from minidl import backend, models, nn
from tests.arrays import device, host, tensor
from tests.pytorch import TF, torch

IMAGES = np.random.default_rng(0).standard_normal((3, 3, 16, 16))


class Block(torch.nn.Module):
    """He et al.'s basic block, written out."""

    def __init__(self, inside, outside, stride, projection):
        super().__init__()
        self.conv1 = torch.nn.Conv2d(inside, outside, 3, stride, 1, bias=False)
        self.bn1 = torch.nn.BatchNorm2d(outside)
        self.conv2 = torch.nn.Conv2d(outside, outside, 3, 1, 1, bias=False)
        self.bn2 = torch.nn.BatchNorm2d(outside)
        self.stride, self.extra = stride, outside - inside
        if projection and self.extra:
            self.conv3 = torch.nn.Conv2d(inside, outside, 1, stride, bias=False)
            self.bn3 = torch.nn.BatchNorm2d(outside)

    def forward(self, x):
        y = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        if hasattr(self, "conv3"):
            return torch.relu(y + self.bn3(self.conv3(x)))
        return torch.relu(y + TF.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.extra)))


class ResNet(torch.nn.Module):
    def __init__(self, n, projection):
        super().__init__()
        self.conv1 = torch.nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        self.bn1 = torch.nn.BatchNorm2d(16)
        widths = [(16, 16, 1)] + [(16, 16, 1)] * (n - 1) + [(16, 32, 2)] + [(32, 32, 1)] * (n - 1)
        widths += [(32, 64, 2)] + [(64, 64, 1)] * (n - 1)
        self.blocks = torch.nn.Sequential(*[Block(*width, projection) for width in widths])
        self.fc = torch.nn.Linear(64, 10)

    def forward(self, x):
        x = self.blocks(torch.relu(self.bn1(self.conv1(x))))
        return self.fc(x.mean((2, 3)))


@pytest.mark.parametrize("shortcut", ["identity", "projection"])
@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
def test_it_equals_the_same_network_in_pytorch(shortcut, training):
    ours = models.resnet_cifar(20, shortcut=shortcut).to(dtype="float64").train(training)
    theirs = ResNet(3, shortcut == "projection").double().train(training)
    for (name, p), (their_name, q) in zip(ours.named_parameters(), theirs.named_parameters(), strict=True):
        assert name.split(".")[-1] == their_name.split(".")[-1]
        q.data = torch.from_numpy(host(p))
    y, z = ours(tensor(IMAGES)), theirs(torch.tensor(IMAGES))
    np.testing.assert_allclose(host(y), z.detach().numpy(), rtol=1e-8)
    F.cross_entropy(y, device(np.arange(3))).backward()
    TF.cross_entropy(z, torch.arange(3)).backward()
    for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
        np.testing.assert_allclose(host(p.grad), q.grad.numpy(), rtol=1e-6, atol=1e-9 * float(q.grad.abs().max()))
    for (_, a), b in zip(ours.named_buffers(), theirs.buffers(), strict=True):
        np.testing.assert_allclose(host(a), b.numpy(), rtol=1e-8)


def parameters_by_hand(n, projection=False):
    """Convolutions 9 C F, normalisations 2 F, the dense layer 64 * 10 + 10; n blocks a stage."""
    total = 9 * 3 * 16 + 2 * 16
    for inside, outside in ((16, 16), (16, 32), (32, 64)):
        total += 9 * inside * outside + 9 * outside * outside + 2 * 2 * outside
        total += (n - 1) * (2 * 9 * outside * outside + 2 * 2 * outside)
        total += inside * outside + 2 * outside if projection and inside != outside else 0
    return total + 64 * 10 + 10


@pytest.mark.parametrize(
    ("depth", "millions", "exact"),
    [(20, 0.27, 269_722), (32, 0.46, 464_154), (44, 0.66, 658_586), (56, 0.85, 853_018), (110, 1.7, 1_727_962)],
)
def test_it_has_as_many_parameters_as_the_papers_table_6_says(depth, millions, exact):
    model = models.resnet_cifar(depth)
    count = sum(p.size for p in model.parameters())
    assert count == exact == parameters_by_hand((depth - 2) // 6)
    assert count / 1e6 == pytest.approx(millions, abs=0.05 if depth == 110 else 0.005)
    weighted = [p for p in model.parameters() if p.ndim > 1]
    assert len(weighted) == depth


def test_projections_add_two_convolutions_and_their_normalisation():
    count = sum(p.size for p in models.resnet_cifar(32, shortcut="projection").parameters())
    assert count == parameters_by_hand(5, projection=True) == 464_154 + 16 * 32 + 2 * 32 + 32 * 64 + 2 * 64


def test_each_stage_halves_the_image_and_doubles_the_channels():
    model = models.resnet_cifar(8, classes=7, channels=1).eval()
    x = tensor(np.zeros((2, 1, 32, 32), np.float32))
    shapes = {}
    for name, module in model.named_children():
        x = module(x)
        shapes[name] = x.shape
    assert [shapes[f"stage{i}"] for i in (1, 2, 3)] == [(2, 16, 32, 32), (2, 32, 16, 16), (2, 64, 8, 8)]
    assert shapes["pool"] == (2, 64)
    assert shapes["fc"] == (2, 7)


def test_the_shortcut_without_parameters_takes_every_second_pixel_and_adds_empty_channels():
    x = np.arange(32.0).reshape(1, 2, 4, 4)
    y = host(models.resnet.Subsample(3, 2)(tensor(x)))
    assert y.shape == (1, 5, 2, 2)
    np.testing.assert_array_equal(y[:, :2], x[:, :, ::2, ::2])
    assert not y[:, 2:].any()


def test_weights_start_as_he_et_als():
    backend.seed(0)
    model = models.resnet_cifar(20, shortcut="projection")
    for name, p in model.named_parameters():
        if p.ndim > 1:
            fan_in = p.size / p.shape[0]
            assert host(p).std() == pytest.approx(np.sqrt(2 / fan_in), rel=5 / np.sqrt(p.size)), name
    assert not host(model.fc.bias).any()


def test_the_gradient_reaches_the_first_of_110_layers():
    backend.seed(0)
    model = models.resnet_cifar(110)
    images = tensor(IMAGES[:, :, :8, :8].astype(np.float32))
    F.cross_entropy(model(images), device(np.arange(3))).backward()
    first, last = (np.linalg.norm(host(p.grad)) for p in (model.conv1.weight, model.stage3[-1][0].body.conv2.weight))
    assert first > 0.1 * last


def test_the_layers_are_named_by_stage_and_block():
    model = models.resnet_cifar(14, shortcut="projection")
    names = [name for name, _ in model.named_layers()]
    assert names[:2] == ["conv1", "bn1"]
    assert "stage2.0.residual.body.conv2" in names
    assert "stage2.0.residual.shortcut.conv" in names
    assert "stage2.1.residual.shortcut.conv" not in names
    assert isinstance(model.stage3[1], nn.Sequential)


def test_errors_say_what_was_expected():
    with pytest.raises(ValueError, match=r"expected a depth of 6n \+ 2, such as 20, 32, 44, 56 or 110; got 18"):
        models.resnet_cifar(18)
    with pytest.raises(ValueError, match="resnet_cifar: depth: expected a whole number of at least 8; got 2"):
        models.resnet_cifar(2)
    with pytest.raises(ValueError, match="expected shortcut 'identity' or 'projection'; got 'A'"):
        models.resnet_cifar(shortcut="A")
