# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 03. Tensors: broadcasting and matmul backwards
#
# **Afterwards you can** write down the gradient of a broadcast and of a product of matrices from the shapes alone, and
# check it with finite differences, with a step that you can defend.
#
# **It needs** tutorials 1 (the chain rule) and 2 (where paths meet, slopes add; the backward walk). It takes 50
# minutes. You write NumPy here; minidl is what your results are compared with.

# %%
import matplotlib.pyplot as plt
import numpy as np

import minidl as md
import minidl.functional as F

rng = np.random.default_rng(3)

# %% [markdown]
# ## A gradient that does not fit
#
# A layer of a network takes a batch of examples at once: $y = x w + b$. Here are 4 examples of 2 numbers each, and the
# layer makes 3 numbers of each.

# %%
x = rng.standard_normal((4, 2))
w = rng.standard_normal((2, 3))
b = rng.standard_normal(3)

y = x @ w + b
print("x", x.shape, "  w", w.shape, "  b", b.shape, "  y", y.shape)

# %% [markdown]
# The backward walk arrives at $y$ with $\partial L/\partial y$: one number for each number of $y$, so its shape is
# (4, 3). It has to leave with $\partial L/\partial b$: one number for each number of $b$, so its shape is (3,).
#
# > **A gradient has the shape of what it is the gradient of.**
#
# Twelve numbers come in, three go out. What happened to the others? Move one number of $b$, and see what moves.

# %%
moved = b.copy()
moved[0] += 0.1
print(np.round((x @ w + moved) - y, 6))

# %% [markdown]
# One number of $b$ moved **four** numbers of $y$. The sum `x @ w + b` of a (4, 3) and a (3,) array is a *broadcast*:
# NumPy uses $b$ once for each row, as if it stood there four times. So there are four paths from $b_0$ to the loss,
# one through each row, and where paths meet, slopes add:
#
# $$\frac{\partial L}{\partial b_k} = \sum_n \frac{\partial L}{\partial y_{nk}} \frac{\partial y_{nk}}{\partial b_k}
# = \sum_n \frac{\partial L}{\partial y_{nk}} \qquad\text{since}\qquad \frac{\partial y_{nk}}{\partial b_k} = 1.$$


# %%
def cells(ax, values, heading, high, font):
    """Draw a 1-d or 2-d array as a grid of numbers, coloured from -high to high."""
    rows = np.atleast_2d(values)
    ax.pcolormesh(rows, cmap="RdBu_r", vmin=-high, vmax=high, edgecolors="white", linewidth=1.5)
    for row, column in np.ndindex(rows.shape):
        dark = abs(rows[row, column]) > 0.6 * high
        number = f"{rows[row, column]:g}".replace("-", "\N{MINUS SIGN}")
        colour = "white" if dark else "black"
        ax.text(column + 0.5, row + 0.5, number, ha="center", va="center", color=colour, fontsize=font)
    ax.set_title(f"{heading}\n{np.shape(values)}", fontsize=font)
    ax.set(xticks=[], yticks=[], aspect="equal")
    ax.invert_yaxis()


# %%
def draw_broadcast(size=(7.5, 2.4), font=10):
    """The forward repeats b in every row; the backward adds up the rows of dL/dy."""
    bias, grad_y = np.array([1, 3, -2]), np.array([[1, 0, 2], [2, -1, 1], [-1, 3, 0], [1, 1, -4]])
    room = {"left": 0.02, "right": 0.98, "wspace": 0.6, "bottom": 0.02, "top": 0.7}
    figure, axes = plt.subplots(1, 4, figsize=size, gridspec_kw=room)
    cells(axes[0], bias, "$b$", 9, font)
    cells(axes[1], np.broadcast_to(bias, (4, 3)), "$b$ as $y$ uses it", 9, font)
    cells(axes[2], grad_y, r"$\partial L/\partial y$", 9, font)
    cells(axes[3], grad_y.sum(axis=0), r"$\partial L/\partial b$", 9, font)
    for left, right, word in ((0, 1, "repeat"), (2, 3, "add up")):
        ends = {"xycoords": axes[right].transAxes, "textcoords": axes[left].transAxes, "va": "center"}
        axes[0].annotate("", (-0.06, 0.5), (1.06, 0.5), arrowprops={"arrowstyle": "->", "lw": 1.5}, **ends)
        middle = (axes[left].get_position().x1 + axes[right].get_position().x0) / 2
        figure.text(middle, 0.38, word, ha="center", va="bottom", fontsize=font - 1)
    for x, words in ((0.25, "forward: one row is used four times"), (0.75, "backward: four rows become one")):
        figure.text(x, 0.98, words, ha="center", va="top", fontsize=font + 1)
    return figure


figure_broadcast = draw_broadcast()

# %% [markdown]
# *Forward the numbers of $b$ are repeated down each column; backward the numbers of $\partial L/\partial y$ are added
# up down each column. Repeating and adding up are each other's backward.*
#
# ## Which axes were repeated?
#
# NumPy's rule: write the two shapes under each other, **aligned at the right**. Where one of them has no axis, or an
# axis of length 1, that array is repeated.
#
#         y     5  3  4
#         a     5  1  4        repeated along the middle axis
#         b        3  1        repeated along the first axis (it has none) and along the last (of length 1)

# %%
a, c = rng.standard_normal((5, 1, 4)), rng.standard_normal((3, 1))
print("a", a.shape, "  c", c.shape, "  a * c", (a * c).shape)

# %% [markdown]
# **Exercise: predict.** $y = a \cdot c$ with these shapes, and $L$ is any function of $y$. Each number of
# $\partial L/\partial c$ is a sum. How many addends does it have?

# %% exercise="t03_addends"
addends = 20  # SOLUTION

# %% check="t03_addends"
checked = md.check.t03_addends(addends)

# %% [markdown]
# **Exercise: implement.** Write `unbroadcast(grad, shape)`: `grad` has the shape of the result of a broadcast, `shape`
# is that of one of its inputs. Return `grad` summed over every axis along which that input was repeated; the result
# has the shape `shape`. There are two kinds of such axes; `grad.sum(axis=..., keepdims=True)` keeps a summed axis,
# with length 1. (The check tries float64, and float32 too: what comes back must be of the dtype of `grad`.)


# %% exercise="t03_unbroadcast"
def unbroadcast(grad, shape):
    """Sum grad over the axes along which an input of this shape was repeated."""
    # BEGIN SOLUTION
    added = grad.ndim - len(shape)
    grad = grad.sum(axis=tuple(range(added)))
    stretched = tuple(i for i, n in enumerate(shape) if n == 1)
    return grad.sum(axis=stretched, keepdims=True)
    # END SOLUTION


# %% check="t03_unbroadcast"
checked = md.check.t03_unbroadcast(unbroadcast)

# %% [markdown]
# With this one function every elementwise op has its backward: first the chain rule as if nothing had been repeated,
# then `unbroadcast`. For the product $y = a \cdot c$ the slope of $y$ in $a$ is $c$, and in $c$ it is $a$. (If your
# function does not pass yet, `checked.working` is one that does, so that you can read on.)

# %%
unbroadcast = checked.working


def mul_backward(grad_y, a, c):
    """dL/da and dL/dc of y = a * c."""
    return unbroadcast(grad_y * c, a.shape), unbroadcast(grad_y * a, c.shape)


grad_y = rng.standard_normal((5, 3, 4))
grad_a, grad_c = mul_backward(grad_y, a, c)

A, C = md.tensor(a, requires_grad=True), md.tensor(c, requires_grad=True)
F.sum(md.tensor(grad_y) * (A * C)).backward()
print("dL/da", grad_a.shape, "  dL/dc", grad_c.shape)
print("as minidl's:", np.allclose(grad_a, A.grad.numpy()), np.allclose(grad_c, C.grad.numpy()))

# %% [markdown]
# (The loss $L = \sum g \cdot y$ is a trick: its gradient $\partial L/\partial y$ is the $g$ that you choose.)
#
# ## A product of matrices, backwards
#
# Now $y = x w$. In numbers: $y_{nk} = \sum_i x_{ni} w_{ik}$. Which numbers of $y$ does one weight $w_{ik}$ move? Those
# of column $k$, for every example $n$, each by $x_{ni}$:
#
# $$\frac{\partial L}{\partial w_{ik}} = \sum_n x_{ni} \frac{\partial L}{\partial y_{nk}}, \qquad
# \frac{\partial L}{\partial x_{ni}} = \sum_k \frac{\partial L}{\partial y_{nk}} w_{ik}.$$
#
# Both are sums of products over one index: products of matrices again. Nobody remembers which factor is transposed.
# The shapes tell. With $N$ examples, $I$ inputs and $K$ outputs:
#
# | array | shape | where it comes from |
# | --- | --- | --- |
# | $x$ | (N, I) | known |
# | $w$ | (I, K) | known |
# | $\partial L/\partial y$ | (N, K) | arrives |
# | $\partial L/\partial x$ | (N, I) | made of $\partial L/\partial y$ and $w$: what is summed over is $K$ |
# | $\partial L/\partial w$ | (I, K) | made of $x$ and $\partial L/\partial y$: what is summed over is $N$, the batch |
#
# **Exercise: implement.** Write the backward of $y = x w$ as two products of matrices.


# %% exercise="t03_matmul_backward"
def matmul_backward(grad_out, x, w):
    """dL/dx and dL/dw of y = x @ w, given grad_out = dL/dy."""
    # BEGIN SOLUTION
    return grad_out @ w.T, x.T @ grad_out
    # END SOLUTION


# %% check="t03_matmul_backward"
checked = md.check.t03_matmul_backward(matmul_backward)

# %% [markdown]
# The layer of the beginning, whole: a product, then a broadcast. The loss is the mean of $\tanh(y)^2$. What follows
# records it on a tape; look at event 9, the backward of the sum: a gradient of shape (4, 3) comes in, and what goes on
# to $b$ has the shape (3,). The same as a page: [pages/03_broadcast.html](pages/03_broadcast.html#i=9).

# %%
matmul_backward = checked.working

X, W, B = (md.tensor(array, requires_grad=True, name=name) for name, array in (("x", x), ("w", w), ("b", b)))
with md.record(title="a broadcast and a product, backwards") as tape:
    Y = X @ W + B
    loss = F.mean(F.tanh(Y) ** 2)
    loss.backward()

t = np.tanh(x @ w + b)
grad_y = 2 * t * (1 - t**2) / t.size
grad_x, grad_w = matmul_backward(grad_y, x, w)
grad_b = unbroadcast(grad_y, b.shape)
for name, own, tensor in (("x", grad_x, X), ("w", grad_w, W), ("b", grad_b, B)):
    print(f"dL/d{name} {own.shape}  as minidl's: {np.allclose(own, tensor.grad.numpy())}")

# %%
tape

# %% [markdown]
# ## When the shapes are not enough
#
# With a square $w$ the transposed gradient has the right shape too. What then?

# %%
square = rng.standard_normal((3, 3))
rows = rng.standard_normal((8, 3))
right = rows.T @ np.ones((8, 3))
wrong = right.T
print("shapes:", right.shape, wrong.shape)

# %% [markdown]
# A second, independent way to the same number is needed. Move one number of an array up and down by a small
# $\varepsilon$, and see how much the loss moves: the *central difference*
#
# $$\frac{\partial L}{\partial w_{ik}} \approx \frac{L(w_{ik} + \varepsilon) - L(w_{ik} - \varepsilon)}{2\varepsilon}.$$
#
# It needs two evaluations of the loss for each number, far too slow to learn with, and no calculus: right for a check.


# %%
def by_differences(loss, array, eps):
    """The gradient of loss(array), each number moved up and down by eps."""
    gradient = np.zeros_like(array)
    for place in np.ndindex(array.shape):
        step = np.zeros_like(array)
        step[place] = eps
        gradient[place] = (loss(array + step) - loss(array - step)) / (2 * eps)
    return gradient


def apart(found, exact):
    """How far two gradients are apart, relative to the length of the exact one."""
    return float(np.linalg.norm(found - exact) / np.linalg.norm(exact))


numerical = by_differences(lambda w: np.sum(rows @ w), square, eps=1e-5)
apart_right, apart_wrong = apart(right, numerical), apart(wrong, numerical)
print("right: agrees to 8 digits:", apart_right < 1e-8, "   transposed: agrees to 1 digit:", apart_wrong < 0.1)

# %% [markdown]
# The right one agrees to many digits, the transposed one is off by as much as it is long. So: **derive by shapes,
# check by differences.** `md.gradcheck` does this for any function of tensors, number by number.

# %%
tensors = [md.tensor(array, requires_grad=True) for array in (x, w, b)]
agrees = md.gradcheck(lambda x, w, b: F.tanh(x @ w + b), tensors)
print(agrees)

# %% [markdown]
# ## How small should the step be?
#
# "As small as possible", since the derivative is a limit? Try it: one loss, its exact gradient, and steps from
# $10^{-12}$ to 1.

# %%
x8, w8, b8 = rng.standard_normal((8, 4)), rng.standard_normal((4, 5)), rng.standard_normal(5)


def errors(dtype, steps):
    """How far finite differences, computed in dtype, are off for each of the steps."""
    x, w, b = (array.astype(dtype) for array in (x8, w8, b8))
    t = np.tanh(x.astype(np.float64) @ w + b)  # the exact gradient of these numbers, in float64
    exact = matmul_backward(2 * t * (1 - t**2) / t.size, x.astype(np.float64), w.astype(np.float64))[1]
    found = [by_differences(lambda w: np.mean(np.tanh(x @ w + b) ** 2), w, eps) for eps in steps]
    return np.array([apart(gradient, exact) for gradient in found])


steps = {"float64": 10.0 ** np.arange(-12, 0.1, 0.25), "float32": 10.0 ** np.arange(-7, 0.1, 0.25)}
measured = {"float64": errors(np.float64, steps["float64"])}


# %%
def draw_errors(explained, size=(7.0, 4.2)):
    """The error of finite differences against the step, for each dtype that was measured."""
    figure, ax = plt.subplots(figsize=size, layout="constrained")
    for name, colour, dot in (("float32", "C1", 7), ("float64", "C0", 3)):
        if name in measured:
            found, best, u = measured[name], measured[name].argmin(), np.finfo(name).eps / 2
            ax.loglog(steps[name], found, "o-", color=colour, markersize=dot, markerfacecolor="white", linewidth=1)
            ax.plot(steps[name][best], found[best], "o", markersize=12, markerfacecolor="none", color=colour)
            ax.text(steps[name][0], 5 * found[0], name, color=colour, weight="bold")
            if explained:
                ax.axvline(u ** (1 / 3), color=colour, linestyle=":", linewidth=1.2)
                ax.text(1.3 * u ** (1 / 3), 10, f"$u^{{1/3}}$ = {u ** (1 / 3):.0e}", color=colour)
    if explained:
        ax.text(8e-10, 4e-6, r"rounding $\sim u/\varepsilon$", color="C0")
        ax.text(8e-6, 1e-1, r"rounding $\sim u/\varepsilon$", color="C1", fontsize=9)
        ax.text(6e-3, 1e-7, "truncation\n" + r"$\sim \varepsilon^2$ (both)")
    ax.set(xlabel=r"step $\varepsilon$", ylabel="error, relative to the gradient", xlim=(3e-13, 3), ylim=(1e-11, 50))
    return figure


figure_float64 = draw_errors(explained=False)

# %% [markdown]
# Smaller is better down to about $10^{-5}$ (the ring), and then worse. Two errors meet there.
#
# **Truncation.** Taylor's series of the two values: the even powers cancel, and what is left over is
#
# $$\frac{L(w+\varepsilon) - L(w-\varepsilon)}{2\varepsilon} = L'(w) + \frac{\varepsilon^2}{6} L'''(w) + \dots$$
#
# so this error is proportional to $\varepsilon^2$. **Rounding.** A computer keeps $L$ to a relative precision $u$
# ($1.1 \cdot 10^{-16}$ in float64, $6.0 \cdot 10^{-8}$ in float32). The two values are off by about $u |L|$ each, and
# their difference is divided by $2\varepsilon$: this error is proportional to $u/\varepsilon$.
#
# The sum $\varepsilon^2 + u/\varepsilon$, without the factors that depend on the loss, has its minimum where the slope
# is 0: $2\varepsilon = u/\varepsilon^2$. So, up to a factor near 1,
#
# $$\varepsilon_{\text{best}} \sim u^{1/3}, \qquad \text{with an error of about } u^{2/3}.$$
#
# For float64 that is $5 \cdot 10^{-6}$, next to the ring.
#
# **Exercise: predict.** minidl's networks compute in float32 unless you say otherwise. Which step is best there?
# Answer with the exponent: k for $\varepsilon = 10^k$, to within half a decade (a number such as -6.5).

# %% exercise="t03_best_step"
best_exponent = -2.4  # SOLUTION

# %% check="t03_best_step"
checked = md.check.t03_best_step(best_exponent)

# %% [markdown]
# Now compute it. On two logarithmic axes a power of $\varepsilon$ is a straight line, and the power is its slope.

# %%
measured["float32"] = errors(np.float32, steps["float32"])
figure_errors = draw_errors(explained=True)

# %% [markdown]
# *Rings: the best of the steps tried. Dotted: $u^{1/3}$. On the right the dots of float64 lie inside the circles of
# float32.*


# %%
def slope(steps, found, low, high):
    """The power of eps that the error follows between the steps low and high."""
    inside = (steps >= low) & (steps <= high)
    return float(np.polyfit(np.log10(steps[inside]), np.log10(found[inside]), 1)[0])


slopes = {
    "float64, large steps": slope(steps["float64"], measured["float64"], 1e-3, 1e-1),
    "float64, small steps": slope(steps["float64"], measured["float64"], 1e-11, 1e-7),
    "float32, small steps": slope(steps["float32"], measured["float32"], 1e-6, 1e-3),
}
for name, found in slopes.items():
    print(f"{name}: error ~ eps^{found:.1f}")
for name in measured:
    best, root = steps[name][measured[name].argmin()], (np.finfo(name).eps / 2) ** (1 / 3)
    print(f"{name}: best step tried {best:.0e}, u^(1/3) = {root:.0e}")

# %% [markdown]
# Three things to take along:
#
# - The best step of float32 is about a thousand times larger than that of float64, and the best error is still 100,000
#   times larger or more. **Check gradients in float64**, whatever you train in. `md.gradcheck` refuses anything else.
# - The right sides lie on each other: truncation knows nothing about dtypes.
# - Agreement to 5 digits or more in float64 is a pass. Agreement to 2 digits is a mistake somewhere, not "rounding".

# %%
try:
    md.gradcheck(lambda x: F.tanh(x), [md.tensor(x.astype(np.float32), requires_grad=True)])
except md.DTypeError as refused:
    refusal = str(refused)
print(refusal)

# %% [markdown]
# **Exercise: explain.** Why is the gradient of a broadcast a sum?
#
# - a) Because the gradient needs the shape of $b$, and summing is how one gets from a large shape to a small one.
# - b) Because each number of $b$ reaches the loss on several paths, one through each number of $y$ that it was used
#   in, and where paths meet, slopes add.
# - c) Because the loss is a mean over the batch, and its gradient therefore a sum over the batch.
# - d) Because the repeated numbers are equal, so their gradients are equal too, and a sum counts them.

# %% exercise="t03_why_sum"
reason = "b"  # SOLUTION

# %% check="t03_why_sum"
checked = md.check.t03_why_sum(reason)

# %% [markdown] own_words="t03_why_sum"
# In your own words:

# %% [markdown]
# ## Where this stands in minidl
#
# `unbroadcast` is in `minidl/functional/broadcasting.py`, the product of matrices in `minidl/functional/products.py`:
# the same two formulas as yours, for stacks of matrices as well, and inside `with md.plain():` the lines that run. And
# the other way round: the backward of a *sum* repeats (`Sum.backward` in `broadcasting.py`), since each number went
# into the sum once, with slope 1.

# %% tags=["teacher"]
slides = {
    "03_broadcast": draw_broadcast(size=(8.0, 3.2), font=14),
    "03_differences": draw_errors(explained=True, size=(6.0, 3.6)),
}
pages = {"03_broadcast": tape}
