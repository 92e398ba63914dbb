"""All kernels by name: what `minidl.fast.gpu.kernels` has for arrays on a device."""

from minidl.fast.gpu.kernels.draws import dropout, uniform
from minidl.fast.gpu.kernels.elementwise import fused
from minidl.fast.gpu.kernels.filters import by_image, side_by_side
from minidl.fast.gpu.kernels.groups import normalize, normalize_gradient
from minidl.fast.gpu.kernels.norms import norm_of
from minidl.fast.gpu.kernels.recurrent import PARTS, recurrent_step, recurrent_step_back
from minidl.fast.gpu.kernels.responses import respond, respond_gradient
from minidl.fast.gpu.kernels.rows import cross_entropy, cross_entropy_gradient, softmax_rows, softmax_rows_gradient
from minidl.fast.gpu.kernels.updates import NUMBERS, can_update, put_numbers, update
from minidl.fast.gpu.kernels.windows import (
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
    "PARTS",
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
    "recurrent_step",
    "recurrent_step_back",
    "respond",
    "respond_gradient",
    "side_by_side",
    "softmax_rows",
    "softmax_rows_gradient",
    "spread_mean",
    "take_chosen",
    "uniform",
    "update",
]
