"""Every operation as a function: `import minidl.functional as F`.

Each works on Tensors and on plain arrays: without a Tensor among its inputs it returns a plain array. One file holds
one family; in it each op class, with its forward and its backward, stands beside its function.
"""

from typing import Any

from minidl.examples.reading import add_examples
from minidl.functional.activation import elu, hardtanh, leaky_relu, prelu, relu, selu, sigmoid, softplus, softsign, tanh
from minidl.functional.adaptive_pooling import (
    adaptive_avg_pool1d,
    adaptive_avg_pool2d,
    adaptive_max_pool1d,
    adaptive_max_pool2d,
    global_avg_pool,
)
from minidl.functional.arithmetic import absolute, add, divide, multiply, negative, power, sign, subtract
from minidl.functional.arranging import (
    diag,
    diagonal,
    flip,
    hstack,
    moveaxis,
    one_hot,
    ravel,
    repeat,
    roll,
    take,
    tile,
    trace,
    tril,
    triu,
    vstack,
)
from minidl.functional.attention import scaled_dot_product_attention
from minidl.functional.broadcasting import broadcast_to, sum
from minidl.functional.checkpointing import checkpoint, checkpoint_sequential
from minidl.functional.classification import cross_entropy
from minidl.functional.comparison import (
    all,
    allclose,
    any,
    bitwise_and,
    bitwise_or,
    bitwise_xor,
    equal,
    greater,
    greater_equal,
    invert,
    isclose,
    isfinite,
    isinf,
    isnan,
    less,
    less_equal,
    logical_and,
    logical_not,
    logical_or,
    not_equal,
)
from minidl.functional.contraction import einsum
from minidl.functional.conv import conv1d, conv2d
from minidl.functional.conv_transpose import conv_transpose1d, conv_transpose2d
from minidl.functional.exponential import erf, exp, expm1, log, log1p, log2, log10, sqrt, square
from minidl.functional.gated import gelu, silu
from minidl.functional.indexing import embedding, getitem, setitem, write_item
from minidl.functional.likelihood import nll_loss
from minidl.functional.loss import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    huber_loss,
    kl_div,
    l1_loss,
    mse_loss,
    smooth_l1_loss,
)
from minidl.functional.margin import hinge_loss, multi_margin_loss
from minidl.functional.normalization import batch_norm, group_norm, layer_norm
from minidl.functional.ordering import argmax, argmin, argsort, sort, take_along_axis
from minidl.functional.pooling import avg_pool1d, avg_pool2d, max_pool1d, max_pool2d
from minidl.functional.probabilities import log_softmax, softmax
from minidl.functional.products import dot, linear, matmul, outer
from minidl.functional.recurrent import gru_step, lstm_step, rnn_step
from minidl.functional.reduction import cumsum, logsumexp, max, mean, min, norm, prod, ptp, std, var
from minidl.functional.regularization import dropout, dropout1d, dropout2d
from minidl.functional.reshaping import expand_dims, flatten, reshape, squeeze
from minidl.functional.response import local_response_norm
from minidl.functional.rounding import ceil, floor, floor_divide, remainder, round, trunc
from minidl.functional.selection import clip, maximum, minimum, where
from minidl.functional.shape import astype, concatenate, copy, pad, split, stack, swapaxes, to_device, transpose
from minidl.functional.trigonometric import arctan, cos, sin, tan
from minidl.habits.answers import missing_name

abs = absolute

__all__ = [
    "abs",
    "absolute",
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "adaptive_max_pool1d",
    "adaptive_max_pool2d",
    "add",
    "all",
    "allclose",
    "any",
    "arctan",
    "argmax",
    "argmin",
    "argsort",
    "astype",
    "avg_pool1d",
    "avg_pool2d",
    "batch_norm",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "bitwise_and",
    "bitwise_or",
    "bitwise_xor",
    "broadcast_to",
    "ceil",
    "checkpoint",
    "checkpoint_sequential",
    "clip",
    "concatenate",
    "conv1d",
    "conv2d",
    "conv_transpose1d",
    "conv_transpose2d",
    "copy",
    "cos",
    "cross_entropy",
    "cumsum",
    "diag",
    "diagonal",
    "divide",
    "dot",
    "dropout",
    "dropout1d",
    "dropout2d",
    "einsum",
    "elu",
    "embedding",
    "equal",
    "erf",
    "exp",
    "expand_dims",
    "expm1",
    "flatten",
    "flip",
    "floor",
    "floor_divide",
    "gelu",
    "getitem",
    "global_avg_pool",
    "greater",
    "greater_equal",
    "group_norm",
    "gru_step",
    "hardtanh",
    "hinge_loss",
    "hstack",
    "huber_loss",
    "invert",
    "isclose",
    "isfinite",
    "isinf",
    "isnan",
    "kl_div",
    "l1_loss",
    "layer_norm",
    "leaky_relu",
    "less",
    "less_equal",
    "linear",
    "local_response_norm",
    "log",
    "log1p",
    "log2",
    "log10",
    "log_softmax",
    "logical_and",
    "logical_not",
    "logical_or",
    "logsumexp",
    "lstm_step",
    "matmul",
    "max",
    "max_pool1d",
    "max_pool2d",
    "maximum",
    "mean",
    "min",
    "minimum",
    "moveaxis",
    "mse_loss",
    "multi_margin_loss",
    "multiply",
    "negative",
    "nll_loss",
    "norm",
    "not_equal",
    "one_hot",
    "outer",
    "pad",
    "power",
    "prelu",
    "prod",
    "ptp",
    "ravel",
    "relu",
    "remainder",
    "repeat",
    "reshape",
    "rnn_step",
    "roll",
    "round",
    "scaled_dot_product_attention",
    "selu",
    "setitem",
    "sigmoid",
    "sign",
    "silu",
    "sin",
    "smooth_l1_loss",
    "softmax",
    "softplus",
    "softsign",
    "sort",
    "split",
    "sqrt",
    "square",
    "squeeze",
    "stack",
    "std",
    "subtract",
    "sum",
    "swapaxes",
    "take",
    "take_along_axis",
    "tan",
    "tanh",
    "tile",
    "to_device",
    "trace",
    "transpose",
    "tril",
    "triu",
    "trunc",
    "var",
    "vstack",
    "where",
    "write_item",
]


def __getattr__(name: str) -> Any:
    raise missing_name(__name__, name)


def __dir__() -> list[str]:
    return __all__


add_examples(globals(), "functional")
