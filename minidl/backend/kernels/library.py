"""All kernels by name: what `minidl.backend.kernels` has for arrays on a device."""

from minidl.backend.kernels.draws import dropout, uniform
from minidl.backend.kernels.elementwise import fused
from minidl.backend.kernels.filters import by_image, side_by_side
from minidl.backend.kernels.groups import normalize, normalize_gradient
from minidl.backend.kernels.norms import norm_of
from minidl.backend.kernels.recurrent import walk, walk_back
from minidl.backend.kernels.responses import respond, respond_gradient
from minidl.backend.kernels.rows import cross_entropy, cross_entropy_gradient, softmax_rows, softmax_rows_gradient
from minidl.backend.kernels.updates import NUMBERS, can_update, put_numbers, update
from minidl.backend.kernels.windows import (
    MOST_PLACES,
    add_columns,
    columns,
    max_pool,
    mean_pool,
    put_chosen,
    spread_mean,
    take_chosen,
)

__all__ = [
    "MOST_PLACES",
    "NUMBERS",
    "add_columns",
    "by_image",
    "can_update",
    "columns",
    "cross_entropy",
    "cross_entropy_gradient",
    "dropout",
    "fused",
    "max_pool",
    "mean_pool",
    "norm_of",
    "normalize",
    "normalize_gradient",
    "put_chosen",
    "put_numbers",
    "respond",
    "respond_gradient",
    "side_by_side",
    "softmax_rows",
    "softmax_rows_gradient",
    "spread_mean",
    "take_chosen",
    "uniform",
    "update",
    "walk",
    "walk_back",
]
