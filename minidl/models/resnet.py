"""The residual networks for CIFAR, of 20 to 110 layers.

He, Zhang, Ren, Sun, "Deep Residual Learning for Image Recognition", CVPR 2016, arXiv:1512.03385, section 4.2.
"""

from __future__ import annotations

from minidl import functional as F
from minidl import nn
from minidl.checks import whole
from minidl.nn.init import he_normal_
from minidl.types import TensorLike

WIDTHS = (16, 32, 64)


def resnet_cifar(depth: int = 20, classes: int = 10, channels: int = 3, shortcut: str = "identity") -> nn.Sequential:
    """A residual network of 6n + 2 layers for images of 32x32 pixels (or another size that 4 divides).

    A 3x3 convolution to 16 channels; three stages of n blocks with 16, 32 and 64 channels, the second and third of
    which halve the image; the mean over the 8x8 pixels that remain, and a dense layer. A block is two 3x3 convolutions,
    each with batch normalisation, with a shortcut around them: relu(x + bn(conv(relu(bn(conv(x)))))). Weights start
    from N(0, 2 / fan_in), He et al.'s initialiser (ICCV 2015).

    Input (N, channels, 32, 32), less the mean image. Parameters with 10 classes: 269,722 for 20 layers, 464,154 for 32,
    658,586 for 44, 853,018 for 56, 1,727,962 for 110.

    The paper's recipe: batches of 128, lr 0.1 divided by 10 after 32,000 and 48,000 steps, 64,000 steps, momentum 0.9,
    weight decay 1e-4; images padded by 4, cropped and mirrored at random; 110 layers begin with lr 0.01 until the
    training error is below 80%. It reports test errors of 8.75, 7.51, 7.17, 6.97 and 6.43% (table 6).

    Args:
        depth: 6n + 2: 20, 32, 44, 56, 110, ...
        classes: the number of scores.
        channels: of the image.
        shortcut: what is added to the output of a block that changes the shape of x. 'identity' is every second pixel
            of x, with zeros as the new channels (the paper's option A, which has no parameters); 'projection' is a 1x1
            convolution of x with batch normalisation (option B).

    Raises:
        ValueError: `depth` is not 6n + 2, or the shortcut is unknown.
    """
    blocks, rest = divmod(whole(depth, "resnet_cifar: depth", 8) - 2, 6)
    if rest:
        raise ValueError(f"resnet_cifar: expected a depth of 6n + 2, such as 20, 32, 44, 56 or 110; got {depth}")
    if shortcut not in ("identity", "projection"):
        raise ValueError(f"resnet_cifar: expected shortcut 'identity' or 'projection'; got {shortcut!r}")
    stages: list[tuple[str, nn.Module]] = []
    inside = WIDTHS[0]
    for number, width in enumerate(WIDTHS, start=1):
        first = _block(inside, width, 1 if number == 1 else 2, shortcut)
        others = [_block(width, width, 1, shortcut) for _ in range(blocks - 1)]
        stages.append((f"stage{number}", nn.Sequential(first, *others)))
        inside = width
    return nn.Sequential(
        [
            ("conv1", _conv3x3(channels, WIDTHS[0])),
            ("bn1", nn.BatchNorm2d(WIDTHS[0])),
            ("relu1", nn.ReLU()),
            *stages,
            ("pool", nn.GlobalAvgPool()),
            ("fc", nn.Linear(inside, classes, init=he_normal_)),
        ]
    )


def _conv3x3(inside: int, outside: int, stride: int = 1) -> nn.Conv2d:
    """Without a bias: the normalisation that follows would take it away again."""
    return nn.Conv2d(inside, outside, 3, stride, padding=1, bias=False, init=he_normal_)


def _block(inside: int, outside: int, stride: int, shortcut: str) -> nn.Sequential:
    body = nn.Sequential(
        [
            ("conv1", _conv3x3(inside, outside, stride)),
            ("bn1", nn.BatchNorm2d(outside)),
            ("relu1", nn.ReLU()),
            ("conv2", _conv3x3(outside, outside)),
            ("bn2", nn.BatchNorm2d(outside)),
        ]
    )
    around: nn.Module | None = None
    if inside != outside and shortcut == "identity":
        around = Subsample(outside - inside, stride)
    elif inside != outside:
        projection = nn.Conv2d(inside, outside, 1, stride, bias=False, init=he_normal_)
        around = nn.Sequential([("conv", projection), ("bn", nn.BatchNorm2d(outside))])
    return nn.Sequential([("residual", nn.Residual(body, around)), ("relu", nn.ReLU())])


class Subsample(nn.Module):
    """The shortcut without parameters: every `stride`-th pixel of x (N, C, H, W), and `extra` channels of zeros."""

    def __init__(self, extra: int, stride: int) -> None:
        super().__init__()
        self.extra = extra
        self.stride = stride

    def forward(self, x: TensorLike) -> TensorLike:
        return F.pad(x[:, :, :: self.stride, :: self.stride], ((0, 0), (0, self.extra), (0, 0), (0, 0)))

    def extra_repr(self) -> str:
        return f"stride {self.stride}, {self.extra} channels of zeros"
