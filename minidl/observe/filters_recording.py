"""filters and feature_maps: the weights of a layer as small images, and what they make of one image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from minidl import backend
from minidl.errors import ShapeError, describe
from minidl.files.schema import NUMBERS, TEXT, Entry
from minidl.nn import Module
from minidl.nn.modes import evaluating
from minidl.observe.saved import SavedRecording
from minidl.tensors.tensor import Tensor


@dataclass(frozen=True, eq=False)
class FiltersRecording(SavedRecording):
    """The F filters of a layer.

    Attributes:
        layer: its name.
        weight: (F, C, H, W) the weights of each filter for each of C input channels.
    """

    kind: ClassVar[str] = "filters"
    schema: ClassVar[dict[str, Entry]] = {"layer": Entry(TEXT, ()), "weight": Entry(NUMBERS, ("F", "C", "H", "W"))}

    layer: str
    weight: Any

    def __repr__(self) -> str:
        return f"FiltersRecording({self.layer}, {self.weight.shape})"


@dataclass(frozen=True, eq=False)
class MapsRecording(SavedRecording):
    """What the units of a layer answer to one image.

    Attributes:
        layer: the name of the module.
        image: (C, H, W) the input.
        maps: (F, H', W') the module's output for it.
    """

    kind: ClassVar[str] = "feature_maps"
    schema: ClassVar[dict[str, Entry]] = {
        "layer": Entry(TEXT, ()),
        "image": Entry(NUMBERS, ("C", "H", "W")),
        "maps": Entry(NUMBERS, ("F", "h", "w")),
    }

    layer: str
    image: Any
    maps: Any

    def __repr__(self) -> str:
        return f"MapsRecording({self.layer}, {self.maps.shape})"


def filters(model: Module, layer: str | None = None, shape: tuple[int, ...] | None = None) -> FiltersRecording:
    """Read the weights of a layer as filters; the gradient and the training are not touched.

    Args:
        model: the network.
        layer: the name of the layer; by default the first one.
        shape: how the inputs of a dense layer lie: (H, W) or (C, H, W) with C H W inputs. By default a square, if they
            fill one. A convolution has its own shape.

    Raises:
        ValueError: there is no such layer, or it has no weight.
        ShapeError: the weights do not fill `shape`.
    """
    layers = {name: layer for name, layer, _ in model.layer_parameters()}
    if layer is None:
        layer = next(iter(layers), None)
    if layer not in layers or getattr(layers[layer], "weight", None) is None:
        raise ValueError(f"filters: expected a layer with a weight out of {', '.join(layers)}; got {layer!r}")
    weight = backend.to_numpy(layers[layer].weight._data).astype(np.float64)
    if weight.ndim == 2:
        weight = weight.reshape(len(weight), *_as_image(weight.shape[1], shape))
    elif weight.ndim == 3:
        weight = weight[:, :, None]
    if weight.ndim != 4:
        raise ShapeError(f"filters: expected a dense layer or a convolution; {layer}.weight has shape {weight.shape}")
    return FiltersRecording(layer, weight)


def feature_maps(model: Module, image: Any, layer: str, shape: tuple[int, ...] | None = None) -> MapsRecording:
    """Show one image to a network and keep what one of its modules makes of it, in evaluation mode.

    Args:
        model: the network.
        image: one input as the model takes it, without the batch axis; an array or Tensor.
        layer: the name of a module whose output is (1, F, H, W), or (1, F): then each map is a single number.
        shape: how the image lies, (H, W) or (C, H, W), if it is given as a row; by default a square, if it fills one.

    Raises:
        ValueError: there is no module of that name, or the model did not call it.
        ShapeError: its output is no map, or the image fills no shape.
    """
    modules = dict(model.named_modules())
    if layer not in modules or not layer:
        raise ValueError(f"feature_maps: expected a module out of {', '.join(n for n in modules if n)}; got {layer!r}")
    given = image if isinstance(image, Tensor) else Tensor(image)
    seen: list[Any] = []
    with evaluating(model), modules[layer].register_forward_hook(lambda module, inputs, output: seen.append(output)):
        model(given.reshape(1, *given.shape))
    if not seen:
        raise ValueError(f"feature_maps: the model did not call {layer}")
    if not isinstance(seen[-1], Tensor) or seen[-1].ndim not in (2, 4):
        raise ShapeError(f"feature_maps: expected {layer} to give maps (1, F, H, W); it gave {describe(seen[-1])}")
    maps = backend.to_numpy(seen[-1]._data).astype(np.float64)[0]
    array = backend.to_numpy(given._data).astype(np.float64)
    array = array.reshape(_as_image(array.size, shape)) if array.ndim == 1 else array.reshape(-1, *array.shape[-2:])
    return MapsRecording(layer, array, maps.reshape(len(maps), *(maps.shape[1:] or (1, 1))))


def _as_image(count: int, shape: tuple[int, ...] | None) -> tuple[int, int, int]:
    """(C, H, W) of `count` numbers."""
    side = round(count**0.5)
    shape = (side, side) if shape is None else tuple(shape)
    if len(shape) not in (2, 3) or int(np.prod(shape)) != count:
        raise ShapeError(f"expected the shape (H, W) or (C, H, W) of {count} numbers; got {shape}")
    return (1, *shape) if len(shape) == 2 else shape  # type: ignore[return-value]
