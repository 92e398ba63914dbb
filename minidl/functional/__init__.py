"""Every operation as a function: `import minidl.functional as F`.

Each works on Tensors and on plain arrays: without a Tensor among its inputs it returns a plain array. One file holds
one family; in it each op class, with its forward and its backward, stands beside its function.
"""

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
from minidl.functional.broadcasting import broadcast_to, sum
from minidl.functional.classification import cross_entropy
from minidl.functional.comparison import (
    bitwise_and,
    bitwise_or,
    bitwise_xor,
    equal,
    greater,
    greater_equal,
    invert,
    less,
    less_equal,
    logical_and,
    logical_not,
    logical_or,
    not_equal,
)
from minidl.functional.conv import conv1d, conv2d
from minidl.functional.conv_transpose import conv_transpose1d, conv_transpose2d
from minidl.functional.exponential import erf, exp, log, sqrt
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
from minidl.functional.pooling import avg_pool1d, avg_pool2d, max_pool1d, max_pool2d
from minidl.functional.probabilities import log_softmax, softmax
from minidl.functional.products import linear, matmul, outer
from minidl.functional.recurrent import gru_step, lstm_step, rnn_step
from minidl.functional.reduction import cumsum, logsumexp, max, mean, min, norm, var
from minidl.functional.regularization import dropout, dropout1d, dropout2d
from minidl.functional.reshaping import expand_dims, flatten, reshape, squeeze
from minidl.functional.response import local_response_norm
from minidl.functional.selection import clip, maximum, minimum, where
from minidl.functional.shape import astype, concatenate, copy, pad, split, stack, swapaxes, to_device, transpose
from minidl.functional.trigonometric import cos, sin

abs = absolute

__all__ = [
    "abs",
    "absolute",
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "adaptive_max_pool1d",
    "adaptive_max_pool2d",
    "add",
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
    "divide",
    "dropout",
    "dropout1d",
    "dropout2d",
    "elu",
    "embedding",
    "equal",
    "erf",
    "exp",
    "expand_dims",
    "flatten",
    "gelu",
    "getitem",
    "global_avg_pool",
    "greater",
    "greater_equal",
    "group_norm",
    "gru_step",
    "hardtanh",
    "hinge_loss",
    "huber_loss",
    "invert",
    "kl_div",
    "l1_loss",
    "layer_norm",
    "leaky_relu",
    "less",
    "less_equal",
    "linear",
    "local_response_norm",
    "log",
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
    "mse_loss",
    "multi_margin_loss",
    "multiply",
    "negative",
    "nll_loss",
    "norm",
    "not_equal",
    "outer",
    "pad",
    "power",
    "prelu",
    "relu",
    "reshape",
    "rnn_step",
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
    "split",
    "sqrt",
    "squeeze",
    "stack",
    "subtract",
    "sum",
    "swapaxes",
    "tanh",
    "to_device",
    "transpose",
    "var",
    "where",
    "write_item",
]


def __dir__() -> list[str]:
    return __all__


add_examples(globals(), "functional")
