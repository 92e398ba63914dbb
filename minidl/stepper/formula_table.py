"""What every op computes, and its gradients: the table behind `formulas.py`, in the words of `notation.py`.

Each line agrees with the docstring and the backward of the op: tests compute the elementwise ones and compare.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Formula:
    """The formula of an op.

    Attributes:
        inputs: how the formula calls the op's inputs; a last one with a star, "*x", stands for any number.
        forward: "z = x y".
        gradients: for each input dL/d(input), with g = dL/d(output); None where there is none.
        where: what else the formulas speak of: "s = sigmoid(x); ...".
        options: how they call the op's settings: {"b": "base"}; a setting that is called as in the formula is not here.
        elementwise: whether one place of the output comes from one place of each input, but for broadcasting.
        words: what the formula does not say.
    """

    inputs: tuple[str, ...]
    forward: str
    gradients: tuple[str | None, ...] = ()
    where: str = ""
    options: dict[str, str] = field(default_factory=dict)
    elementwise: bool = False
    words: str = ""


def _one(forward: str, gradient: str, where: str = "", words: str = "", **options: str) -> Formula:
    """An elementwise op of one input."""
    return Formula(("x",), f"z = {forward}", (gradient,), where, options, True, words)


def _two(forward: str, *gradients: str | None, words: str = "", inputs: tuple[str, ...] = ("x", "y")) -> Formula:
    """An elementwise op of two inputs or more, which are broadcast."""
    return Formula(inputs, f"z = {forward}", gradients, "", {}, True, words)


def _none(forward: str, *inputs: str) -> Formula:
    """An op without gradient."""
    return Formula(inputs or ("x",), f"z = {forward}", (None,) * len(inputs or ("x",)), words="there is no gradient")


def _same(words: str, elementwise: bool = True) -> Formula:
    """An op that hands numbers on."""
    return Formula(("x",), "z = x", ("g",), elementwise=elementwise, words=words)


ARITHMETIC = {
    "Add": _two("x + y", "g", "g"),
    "Sub": _two("x - y", "g", "-g"),
    "Mul": _two("x y", "g y", "g x"),
    "Weigh": _two("x y", "g y", "g x", words="0 where x is 0, also if y is infinite"),
    "Div": _two("x / y", "g / y", "-g x / y^2"),
    "Neg": _one("-x", "-g"),
    "Pow": _two("x^y", "g y x^(y - 1)", "g x^y ln x"),
    "PowNumber": _one("x^n", "g n x^(n - 1)"),
    "NumberPow": Formula(("y",), "z = b^y", ("g z ln b",), elementwise=True),
    "Abs": _one("|x|", "g sign(x)"),
    "Sign": _one("sign(x)", "0"),
    "Floor": _one("floor(x)", "0"),
    "Ceil": _one("ceil(x)", "0"),
    "Trunc": _one("trunc(x)", "0"),
    "Round": _one("round(x)", "0"),
    "FloorDivide": _two("floor(x / y)", "0", "0"),
    "Remainder": _two("x - y floor(x / y)", "g", "-g floor(x / y)"),
    "Exp": _one("e^x", "g z"),
    "Log": _one("ln x", "g / x"),
    "Expm1": _one("e^x - 1", "g (z + 1)"),
    "Log1p": _one("ln(1 + x)", "g / (1 + x)"),
    "LogBase": _one("ln x / ln b", "g / (x ln b)", b="base"),
    "Sqrt": _one("sqrt(x)", "g / (2 z)"),
    "Square": _one("x^2", "g (2 x)"),
    "Erf": _one("erf(x)", "2 g / sqrt(pi) e^(-x^2)"),
    "Sin": _one("sin x", "g cos x"),
    "Cos": _one("cos x", "-g sin x"),
    "Tan": _one("tan x", "g (1 + z^2)"),
    "Arctan": _one("arctan x", "g / (1 + x^2)"),
}

ACTIVATIONS = {
    "ReLU": _one("max(x, 0)", "{g if x > 0; 0 else}"),
    "LeakyReLU": _one("{x if x > 0; a x else}", "{g if x > 0; g a else}", a="slope"),
    "PReLU": _two(
        "{x if x > 0; w x else}", "{g if x > 0; g w else}", "{0 if x > 0; g x else}", inputs=("x", "w")
    ),
    "ELU": _one("{x if x > 0; alpha (e^x - 1) else}", "{g if x > 0; g alpha e^x else}"),
    "Hardtanh": _one("min(max(x, low), high)", "{g if low < x < high; 0 else}"),
    "Sigmoid": _one("1 / (1 + e^(-x))", "g (z (1 - z))"),
    "Tanh": _one("tanh x", "g (1 - z^2)"),
    "Softsign": _one("x / (1 + |x|)", "g / (1 + |x|)^2"),
    "Softplus": _one("ln(1 + e^x)", "g sigmoid(x)"),
    "SiLU": _one("x s", "g (s + x s (1 - s))", "s = sigmoid(x)"),
    "GELU": _one("x P", "g (P + x p)", "P = (1 + erf(x / sqrt(2))) / 2; p = e^(-x^2 / 2) / sqrt(2 pi)"),
    "TanhGELU": _one(
        "x s",
        "g (s + x s (1 - s) 2 u')",
        "u = sqrt(2 / pi) (x + 0.044715 x^3); s = sigmoid(2 u); u' = sqrt(2 / pi) (1 + 0.134145 x^2)",
    ),
    "Dropout": _one("x m / (1 - p)", "g m / (1 - p)",
        words="m is 0 with probability p and else 1, drawn anew at each call"),
    "Masked": _one("{x if m; 0 else}", "{g if m; 0 else}", words="m is the mask"),
    "Causal": Formula(
        ("x",), "z_(i j) = {x_(i j) if j <= i; -infinity else}", ("{g_(i j) if j <= i; 0 else}",),
        words="query i looks at key i and back",
    ),
}  # fmt: skip

CHOICES = {
    "Where": _two("{x if c; y else}", None, "{g if c; 0 else}", "{0 if c; g else}", inputs=("c", "x", "y")),
    "Maximum": _two("max(x, y)", "{g if x > y; g / 2 if x = y; 0 else}", "{g if y > x; g / 2 if x = y; 0 else}"),
    "Minimum": _two("min(x, y)", "{g if x < y; g / 2 if x = y; 0 else}", "{g if y < x; g / 2 if x = y; 0 else}"),
    "Clip": _one("min(max(x, low), high)", "{g if low <= x <= high; 0 else}"),
    "Compare": _none("compare(x, y)", "x", "y"),
    "Close": _none("{1 if |x - y| <= atol + rtol |y|; 0 else}", "x", "y"),
    "Logical": _none("f_i", "*x"),
    "Holds": _none("f", "x"),
    "Together": _none("f_i", "x"),
    "ArgExtremum": _none("argmax_i x_i"),
    "ArgSort": _none("argsort_i x_i"),
    "CastToWhole": _none("x"),
    "WriteItem": _none("{v if i; x else}", "x", "v"),
}

REDUCTIONS = {
    "Sum": Formula(("x",), "z = sum_i x_i", ("g",), words="g is repeated for each x_i"),
    "Mean": Formula(("x",), "z = 1 / n sum_i x_i", ("g / n",)),
    "Var": Formula(
        ("x",), "z = 1 / (n - d) sum_i (x_i - m)^2", ("2 g / (n - d) (x_i - m)",), "m = mean_i x_i", {"d": "ddof"}
    ),
    "Std": Formula(
        ("x",), "z = sqrt(1 / (n - d) sum_i (x_i - m)^2)", ("g / ((n - d) z) (x_i - m)",), "m = mean_i x_i",
        {"d": "ddof"},
    ),
    "Max": Formula(("x",), "z = max_i x_i", ("{g / k if x_i = z; 0 else}",), words="k of the x_i are the largest"),
    "Min": Formula(("x",), "z = min_i x_i", ("{g / k if x_i = z; 0 else}",), words="k of the x_i are the smallest"),
    "LogSumExp": Formula(("x",), "z = ln sum_i e^(x_i)", ("g e^(x_i - z)",)),
    "Norm": Formula(("x",), "z = (sum_i |x_i|^p)^(1 / p)", ("g sign(x_i) (|x_i| / z)^(p - 1)",)),
    "CumSum": Formula(("x",), "z_i = sum_(j <= i) x_j", ("sum_(j >= i) g_j",)),
    "Softmax": Formula(("x",), "z_i = e^(x_i) / sum_j e^(x_j)", ("z_i (g_i - sum_j g_j z_j)",)),
    "AttentionWeights": Formula(
        ("x",), "z_i = e^(x_i) / sum_j e^(x_j)", ("z_i (g_i - sum_j g_j z_j)",), words="0 where all x_i are -infinity"
    ),
    "LogSoftmax": Formula(("x",), "z_i = x_i - ln sum_j e^(x_j)", ("g_i - e^(z_i) sum_j g_j",)),
    "Standardize": Formula(
        ("x", "w", "b"), "y = w z + b", ("(h - mean_i h_i - z (mean_i h_i z_i)) / s", "sum_j g_j z_j", "sum_j g_j"),
        "z = (x - m) / s; m = mean_i x_i; s = sqrt(mean_i (x_i - m)^2 + eps); h = w g",
        words="i runs over what is normalised together, j over all that one weight is for",
    ),
    "BatchNorm": Formula(
        ("x", "w", "b"), "y = w z + b", ("w / s (g - mean_i g_i - z (mean_i g_i z_i))", "sum_i g_i z_i", "sum_i g_i"),
        "z = (x - m) / s; m = mean_i x_i; s = sqrt(mean_i (x_i - m)^2 + eps)",
        words="i runs over the n numbers of a channel",
    ),
    "LocalResponse": Formula(
        ("x",), "y = x s^(-beta)", ("g s^(-beta) - 2 alpha beta x mean_j g_j y_j / s_j",),
        "s = k + alpha (mean_j x_j^2)", words="j runs over the neighbours",
    ),
}  # fmt: skip

LOSSES = {
    "CrossEntropy": Formula(
        ("x",), "z = 1 / n sum_i (-ln p_i[y_i])", ("g (p_i[c] - t) / n",), "p_i = softmax(x_i)",
        words="y_i is the label of sample i; t is 1 where c is the label, else 0; n is 1 for the sum",
    ),
    "NLL": Formula(
        ("x",), "z = -1 / n sum_i sum_c q_(i c) w_c x_(i c)", ("-g q_(i c) w_c / n",),
        words="q is 1 at the label and else 0, or smoothed; n is the sum of the weights",
    ),
    "GeneralCrossEntropy": Formula(
        ("x",), "z = -1 / n sum_i sum_c q_(i c) w_c ln p_(i c)", ("g (p_(i c) sum_k q_(i k) w_k - q_(i c) w_c) / n",),
        "p_i = softmax(x_i)", words="q is 1 at the label and else 0, or smoothed; n is the sum of the weights",
    ),
    "BCE": _two(
        "-t ln x - (1 - t) ln(1 - x)", "g ((1 - t) / (1 - x) - t / x)", "g (ln(1 - x) - ln x)", inputs=("x", "t")
    ),
    "BCEWithLogits": _two(
        "p t softplus(-x) + (1 - t) softplus(x)", "g (sigmoid(x) (p t + 1 - t) - p t)",
        "g (p softplus(-x) - softplus(x))", inputs=("x", "t"), words="p is the weight of the positives, or 1",
    ),
    "KLDiv": _two("t (ln t - x)", "-g t", "g (ln t - x + 1)", inputs=("x", "t")),
}  # fmt: skip

PRODUCTS = {
    "MatMul": Formula(("X", "Y"), "Z = X Y", ("g Y^T", "X^T g")),
    "Linear": Formula(("X", "W", "b"), "Y = X W^T + b", ("g W", "g^T X", "sum_n g_n")),
    "Einsum": Formula(
        ("*x",), "z = sum x_0 x_1", ("sum g x_j",),
        words="the products of all operands but this one with g, summed over the letters that this one lacks",
    ),
    "Conv": Formula(
        ("x", "w", "b"), "y[n, f, i] = b[f] + sum_(c k) w[f, c, k] x[n, c, i s + k d - p]",
        ("sum_(f i k) w[f, c, k] g[n, f, i]", "sum_(n i) x[n, c, i s + k d - p] g[n, f, i]", "sum_(n i) g[n, f, i]"),
        words="stride s, dilation d, padding p; for dL/dx where i s + k d - p is the place",
    ),
    "ConvInput": Formula(
        ("g", "w"), "z[n, c, j] = sum_(f i k) w[f, c, k] g[n, f, i]",
        ("sum_(c k) w[f, c, k] h[n, c, i s + k d - p]", "sum_(n i) h[n, c, i s + k d - p] g[n, f, i]"), "h = g",
        words="dL/dx of a convolution, where i s + k d - p = j; h is the incoming gradient",
    ),
    "ConvWeight": Formula(
        ("x", "g"), "z[f, c, k] = sum_(n i) x[n, c, i s + k d - p] g[n, f, i]",
        ("sum_(f i k) h[f, c, k] g[n, f, i]", "sum_(c k) h[f, c, k] x[n, c, i s + k d - p]"), "h = g",
        words="dL/dw of a convolution; h is the incoming gradient",
    ),
}  # fmt: skip

POOLING = {
    "MaxPool": Formula(
        ("x",), "y_i = max_j x_j", ("sum_i g_i",),
        words="j runs over window i; g_i goes to the largest x_j"
    ),
    "PutChosen": Formula(("x",), "z_j = sum_i x_i", ("g_j",), words="i runs over the windows in which j was chosen"),
    "TakeChosen": Formula(("x",), "z_i = x_j", ("sum_i g_i",), words="j was chosen in window i"),
    "AvgPool": Formula(
        ("x",), "y_i = 1 / k sum_j x_j", ("sum_i g_i / k",),
        words="j runs over the k places of window i"
    ),
    "SpreadMean": Formula(("x",), "z_j = sum_i x_i / k", ("1 / k sum_j g_j",), words="i runs over the windows with j"),
}  # fmt: skip

SHAPES = {
    "BroadcastTo": _same("x is repeated, so its gradients are summed"),
    "Reshape": _same("the same numbers under another shape", elementwise=False),
    "Transpose": _same("the axes in another order", elementwise=False),
    "Cast": _same("the same numbers in another dtype"),
    "Copy": _same("the same numbers in memory of their own"),
    "ToDevice": _same("the same numbers on another device"),
    "InputIdentity": _same("a module's input: the gradient passes to its hooks"),
    "OutputIdentity": _same("a module's output: the gradient passes to its hooks"),
    "Constant": Formula(("y", "*x"), "z = y", ("g", "0"), words="whatever the others are"),
    "Concatenate": Formula(("*x",), "z = join(x_0, x_1)", ("g",),
        words="all joined along an axis; g is cut where they were joined"),
    "Pad": Formula(("x",), "z = {x if i; v else}", ("g",),
        words="a border of v; the gradient over the border is dropped"),
    "GetItem": Formula(("x",), "z = x[i]", ("sum g",), words="g goes back to the places it was taken from, else 0"),
    "PutAt": Formula(("x",), "z[i] = x", ("g[i]",), words="zeros elsewhere"),
    "AddAt": Formula(("x",), "z[i] = sum x", ("g[i]",), words="what is put to the same place adds up; zeros elsewhere"),
    "SetItem": Formula(("x", "v"), "z = {v if i; x else}", ("{0 if i; g else}", "g[i]"),
        words="i: the places written to"),
}  # fmt: skip

_MOMENTS = "m and v: running means of g and of g^2, corrected for their start at 0"
UPDATES = {
    "SGD": Formula(
        ("w",),
        "w = w - eta m (g + lambda w)",
        words="eta: the rate; m: the layer's; lambda: weight decay; with "
        "momentum the step goes along a velocity that remembers earlier gradients",
    ),
    "Adam": Formula(("w",), "w = w - eta m / (sqrt(v) + eps)", words=_MOMENTS),
    "AdamW": Formula(("w",), "w = w - eta (m / (sqrt(v) + eps) + lambda w)", words=_MOMENTS),
    "RMSprop": Formula(("w",), "w = w - eta g / (sqrt(v) + eps)", words="v: the running mean of g^2"),
    "Adagrad": Formula(("w",), "w = w - eta g / (sqrt(v) + eps)", words="v: the sum of all g^2 so far"),
    "write": Formula(("w",), "w = v", words="written in place by the program"),
    "accumulate": Formula(("G",), "G = G + g", words="G is the .grad: it is added to, never replaced"),
    "seed": Formula((), "g = 1", words="dL/dL = 1: here the backward begins"),
}

_STEPS = "t counts time; under md.plain() every step is recorded as ops of its own"
RECURRENT = {
    "RNNThroughTime": Formula(
        ("a", "W", "b", "*h"), "z_t = tanh(a_t + W z_(t - 1) + b)",
        ("d_t", "sum_t d_t^T z_(t - 1)", "sum_t d_t", "W^T d_1"),
        "d_t = (g_t + W^T d_(t + 1)) (1 - z_t^2)", words=f"or relu in place of tanh; {_STEPS}",
    ),
    "LSTMThroughTime": Formula(
        ("a", "W", "b", "h", "c"), "z_t = o_t tanh c_t",
        ("d_t", "sum_t d_t^T z_(t - 1)", "sum_t d_t", "W^T d_1", "f_1 k_1"),
        "c_t = f_t c_(t - 1) + i_t u_t; "
        "k_t = g_t o_t (1 - (tanh c_t)^2) + f_(t + 1) k_(t + 1)",
        words=f"i, f, u, o: the gates of a_t + W z_(t-1) + b; d: their gradients; k: that of the cell c; {_STEPS}",
    ),
    "GRUThroughTime": Formula(
        ("a", "W", "b", "h"), "z_t = n_t + u_t (z_(t - 1) - n_t)",
        ("d_t", "sum_t d_t^T z_(t - 1)", "sum_t d_t", "W^T d_1 + u_1 k_1"),
        "k_t = g_t + W^T d_(t + 1) + u_(t + 1) k_(t + 1)",
        words=f"r, u, n: the gates; d: their gradients; k: that of the state; {_STEPS}",
    ),
}  # fmt: skip

FORMULAS: dict[str, Formula] = {
    **ARITHMETIC, **ACTIVATIONS, **CHOICES, **REDUCTIONS, **LOSSES, **PRODUCTS, **POOLING, **SHAPES,
    **RECURRENT, **UPDATES,
}  # fmt: skip
