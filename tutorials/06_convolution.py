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
# # 06. Convolution from scratch
#
# **Afterwards you can** write a convolution as one product of matrices (im2col), derive its backward (col2im, a
# scatter-add), and say why the same multiplications run faster in blocks.
#
# **It needs** tutorials 3 (the backward of a product of matrices and of a broadcast) and 5 (a network that learns). It
# takes 50 minutes.

# %%
import time

import matplotlib.pyplot as plt
import numpy as np

import minidl as md
import minidl.functional as F

rng = np.random.default_rng(6)
digits = md.data.digits(flat=False).train
zero = digits.inputs[0, 0].astype(np.float64)  # the first image: a zero, 8 x 8 pixels from 0 to 1

# %% [markdown]
# ## What does a pixel's place mean?
#
# The images are handwritten digits of 8 x 8 pixels, which come with minidl. A `Linear` layer (tutorial 5), also called
# a *dense* one, multiplies each pixel with a weight of its own. It has to learn the left edge of a zero anew for every
# place where a left edge may be. A **filter** is a small array of weights that is put on every place of the image, one
# after the other:
#
# $$y_{ij} = \sum_{k=0}^{K-1} \sum_{l=0}^{K-1} w_{kl}\, x_{i+k,\; j+l}$$
#
# The part of the image under the filter is a **patch** (or window). Here is a filter that compares what is left of a
# pixel with what is right of it.


# %%
def convolve_by_loops(x, w):
    """The filter w (K, K) at every place of an image x."""
    k = len(w)
    y = np.zeros((len(x) - k + 1, len(x[0]) - k + 1))
    for i, j in np.ndindex(y.shape):
        y[i, j] = np.sum(w * x[i : i + k, j : j + k])
    return y


edge = np.array([[1.0, 0, -1], [2, 0, -2], [1, 0, -1]])
edges = convolve_by_loops(zero, edge)
in_minidl = F.conv2d(zero[None, None], edge[None, None])[0, 0]  # it takes (images, channels, rows, columns)
print("result", edges.shape, "  as minidl's:", np.allclose(edges, in_minidl))

figure_edges, axes = plt.subplots(1, 3, figsize=(7, 2.5), layout="constrained")
for ax, values, heading in zip(axes, (zero, edge, edges), ("image $x$", "filter $w$", "result $y$"), strict=True):
    ax.imshow(values, cmap="RdBu", vmin=-np.abs(values).max(), vmax=np.abs(values).max())
    ax.set(xticks=[], yticks=[], title=f"{heading}  {values.shape[0]} x {values.shape[1]}")

# %% [markdown]
# *Blue is positive, red negative, white 0. Nine weights found the left and right edges: red where the ink begins, blue
# where it ends.*
#
# Three numbers describe how a filter moves: its size $K$, the **stride** $s$ (how many pixels to the next place), and
# the **padding** $p$ (how many rows and columns of zeros are put around the image on each side). Along an axis of
# length $H$ the filter then has
#
# $$H_{\text{out}} = \left\lfloor \frac{H + 2p - K}{s} \right\rfloor + 1$$
#
# places: the last one begins at most $H + 2p - K$ after the first one, and $\lfloor \cdot \rfloor$ drops what is left
# over.
#
# **Exercise: predict.** An image is 28 x 28, the filter 5 x 5, the stride 2, the padding 2. How many places has the
# filter along one axis?

# %% exercise="t06_size"
size = 14  # SOLUTION

# %% check="t06_size"
checked = md.check.t06_size(size)

# %% [markdown]
# Images have **channels** (colours, or the results of the filters of the layer before). A filter then is
# $C \times K \times K$, and it adds up over all channels. $F$ filters make $F$ new channels: the weight is
# $(F, C, K, K)$.
#
# **Exercise: predict.** A layer takes 6 channels of 14 x 14 numbers and has 16 filters of 5 x 5, stride 1, no padding.
# How many multiplications does it do for one image? (Additions not counted.)

# %% exercise="t06_multiplications"
multiplications = 240_000  # SOLUTION

# %% check="t06_multiplications"
checked = md.check.t06_multiplications(multiplications)

# %%
weights = 16 * 6 * 5 * 5
dense = (6 * 14 * 14) * (16 * 10 * 10)
print(f"weights of the convolution: {weights:,}    of a dense layer from and to the same shapes: {dense:,}")

# %% [markdown]
# ## From patches to one product of matrices
#
# The loop above runs Python for every place. But each place does the same: it multiplies a patch with the same weights
# and adds up. That is a row times a column. So write every patch out as one column of a matrix, and all places are
# **one product**:
#
# $$Y = W\,X_{\text{col}}, \qquad
# W: (F,\; C K^2), \quad X_{\text{col}}: (C K^2,\; \text{places}), \quad Y: (F,\; \text{places}).$$
#
# This is *im2col*. In a column the numbers stand as in the patch: channel by channel, in it row by row. The places
# follow each other row by row too.
#
# **Exercise: implement.** Write `im2col(x, k, stride, padding)` for one image x (C, H, W). (`np.pad` adds the zeros.
# `reshape(-1)` of a patch has the order that is asked for. The columns have the dtype of x.)


# %% exercise="t06_im2col"
def im2col(x, k, stride, padding):
    """Every k x k patch of x (C, H, W) as a column: (C * k * k, places)."""
    # BEGIN SOLUTION
    x = np.pad(x, ((0, 0), (padding, padding), (padding, padding)))
    rows = (x.shape[1] - k) // stride + 1
    columns = (x.shape[2] - k) // stride + 1
    cols = np.zeros((x.shape[0] * k * k, rows * columns), x.dtype)
    for i, j in np.ndindex(rows, columns):
        patch = x[:, i * stride : i * stride + k, j * stride : j * stride + k]
        cols[:, i * columns + j] = patch.reshape(-1)
    return cols
    # END SOLUTION


# %% check="t06_im2col"
checked = md.check.t06_im2col(im2col)

# %%
im2col = checked.working

cols = im2col(zero[None], 3, stride=1, padding=0)
product = edge.reshape(1, -1) @ cols
print("columns", cols.shape, "  the same result:", np.allclose(product.reshape(6, 6), edges))

# %% [markdown]
# ## The way back
#
# $Y = W X_{\text{col}}$ is a product of matrices, so tutorial 3 has its backward:
#
# $$\frac{\partial L}{\partial W} = \frac{\partial L}{\partial Y}\,X_{\text{col}}^{\mathsf T}, \qquad
# \frac{\partial L}{\partial X_{\text{col}}} = W^{\mathsf T}\,\frac{\partial L}{\partial Y}.$$
#
# One step is left: from $\partial L/\partial X_{\text{col}}$ to $\partial L/\partial x$. im2col *copied* each pixel
# into every patch that it lies in. How often was that?
#
# **Exercise: predict.** An 8 x 8 image, a 3 x 3 filter, stride 1, no padding. In how many patches is a pixel in a
# corner, one in the middle of an edge, one in the middle of the image? Answer with three numbers.

# %% exercise="t06_uses"
uses = (1, 3, 9)  # SOLUTION

# %% check="t06_uses"
checked = md.check.t06_uses(uses)

# %% [markdown]
# A pixel that was used nine times reaches the loss on nine paths, and where paths meet, slopes add, as with a
# broadcast. So the way back takes every number of every column, and **adds** it onto the pixel that it was copied
# from: a *scatter-add*, here called *col2im*. With a padding the zeros around the image get their share too; it is cut
# off in the end, since nobody asked for it.
#
# **Exercise: implement.** Write `col2im(cols, shape, k, stride, padding)`: `cols` is (C * k * k, places), `shape` the
# (C, H, W) of the image. Keep the dtype of cols.


# %% exercise="t06_col2im"
def col2im(cols, shape, k, stride, padding):
    """Every column added back onto its patch: the backward of im2col, of this shape (C, H, W)."""
    # BEGIN SOLUTION
    channels, height, width = shape
    padded = np.zeros((channels, height + 2 * padding, width + 2 * padding), cols.dtype)
    rows = (height + 2 * padding - k) // stride + 1
    columns = (width + 2 * padding - k) // stride + 1
    for i, j in np.ndindex(rows, columns):
        patch = cols[:, i * columns + j].reshape(channels, k, k)
        padded[:, i * stride : i * stride + k, j * stride : j * stride + k] += patch
    return padded[:, padding : padding + height, padding : padding + width]
    # END SOLUTION


# %% check="t06_col2im"
checked = md.check.t06_col2im(col2im)

# %% [markdown]
# Patch, column, and a gradient scattered back, for three of the 36 patches:

# %%
col2im = checked.working

three = [7, 14, 21]  # of the 36 places
ones = np.zeros((9, 36))
ones[:, three] = 1
scattered = col2im(ones, (1, 8, 8), 3, stride=1, padding=0)[0]


# %%
def draw_columns(size=(9.0, 3.0)):
    """Three patches of the image, their columns, and three columns of ones added back."""
    figure, axes = plt.subplots(1, 3, figsize=size, layout="constrained", width_ratios=(1, 2.2, 1))
    axes[0].imshow(zero, cmap="Greys", vmax=1.6)
    axes[1].imshow(cols, cmap="Greys", vmax=1.6, aspect="auto")
    axes[2].imshow(scattered, cmap="Greys", vmax=6)
    for place, colour in zip(three, ("C1", "C2", "C3"), strict=True):
        for ax in (axes[0], axes[2]):
            corner = (place % 6 - 0.5, place // 6 - 0.5)
            ax.add_patch(plt.Rectangle(corner, 3, 3, fill=False, color=colour, linewidth=2.5))
        axes[1].add_patch(plt.Rectangle((place - 0.5, -0.5), 1, 9, fill=False, color=colour, linewidth=2.5))
    for i, j in np.argwhere(scattered > 0):
        axes[2].text(j, i, f"{scattered[i, j]:g}", ha="center", va="center")
    headings = ("3 of 36 patches", "im2col: a patch is a column", "col2im: ones, added back")
    for ax, heading in zip(axes, headings, strict=True):
        ax.set(xticks=[], yticks=[])
        ax.set_title(heading, fontsize=10)
    return figure


figure_columns = draw_columns()

# %% [markdown]
# *Left: the image. Middle: its 36 columns of 9 numbers. Right: the gradient is 1 in the three columns and 0 in the
# others; where patches overlap, it adds up to 2 and 3.*
#
# All columns of ones, added back, count how often each pixel was used. With a stride of 2 the counts are uneven, and
# one row and one column are never looked at.


# %%
def draw_uses(size=(8.0, 2.9)):
    """How often each pixel of an 8 x 8 image lies in a 3 x 3 patch, for three strides."""
    figure, axes = plt.subplots(1, 3, figsize=size, layout="constrained")
    for ax, stride in zip(axes, (1, 2, 3), strict=True):
        places = ((8 - 3) // stride + 1) ** 2
        count = col2im(np.ones((9, places)), (1, 8, 8), 3, stride, padding=0)[0]
        ax.imshow(count, cmap="Blues", vmin=0, vmax=14)
        for i, j in np.ndindex(count.shape):
            ax.text(j, i, f"{count[i, j]:g}", ha="center", va="center")
        ax.set(xticks=[], yticks=[], title=f"stride {stride}: {places} patches")
    return figure


figure_uses = draw_uses()

# %% [markdown]
# There is a test of col2im that needs no loss. im2col is linear in x, and col2im is its transpose; so for *any*
# columns $g$ and any image $x$ the two sums $\sum g \cdot \text{im2col}(x)$ and $\sum \text{col2im}(g) \cdot x$ are
# equal. (Either is the loss whose gradient is looked for.)

# %%
x = rng.standard_normal((2, 7, 6))
g = rng.standard_normal(im2col(x, 3, stride=2, padding=1).shape)
forward_sum = np.sum(g * im2col(x, 3, stride=2, padding=1))
backward_sum = np.sum(col2im(g, x.shape, 3, stride=2, padding=1) * x)
print("equal:", np.allclose(forward_sum, backward_sum))

# %% [markdown]
# ## The layer, whole
#
# All parts are there. The backward of a convolution is two products of matrices and one scatter-add:


# %%
def conv_backward(grad_y, x, w, stride, padding):
    """dL/dx and dL/dw of a convolution of one image x (C, H, W) with w (F, C, K, K)."""
    filters, k = w.shape[0], w.shape[2]
    grad_rows = grad_y.reshape(filters, -1)  # (F, places)
    grad_w = grad_rows @ im2col(x, k, stride, padding).T
    grad_cols = w.reshape(filters, -1).T @ grad_rows
    return col2im(grad_cols, x.shape, k, stride, padding), grad_w.reshape(w.shape)


w = rng.standard_normal((4, 2, 3, 3))
X, W = md.tensor(x[None], requires_grad=True), md.tensor(w, requires_grad=True)
Y = F.conv2d(X, W, stride=2, padding=1)
grad_y = rng.standard_normal(Y.shape)
Y.backward(md.tensor(grad_y))  # Y is no single number: dL/dY is given to begin with
grad_x, grad_w = conv_backward(grad_y[0], x, w, stride=2, padding=1)
print("as minidl's:", np.allclose(grad_x, X.grad.numpy()[0]), np.allclose(grad_w, W.grad.numpy()))

# %% [markdown]
# And minidl's against finite differences, as in tutorial 3; then a step on a tape. On the page
# [pages/06_convolution.html](pages/06_convolution.html#i=6) look at the backward of `Conv`: what comes in has the
# shape of the result, what goes on the shapes of image and weight.

# %%
agrees = md.gradcheck(lambda x, w: F.conv2d(x, w, stride=2, padding=1), [X, W])
print(agrees)

image = md.tensor(digits.inputs[:1, :, 1:7, 1:7], requires_grad=True, name="image")
filters = md.tensor(edge[None, None].astype(np.float32), requires_grad=True, name="filters")
with md.record(title="a convolution, backwards") as tape:
    maps = F.conv2d(image, filters)
    loss = F.mean(maps * maps)
    loss.backward()

# %%
tape

# %% [markdown]
# ## The same multiplications, faster
#
# im2col makes one fast product out of many slow loops. It has a price: with stride 1 a pixel stands in the columns up
# to $K^2$ times. For a batch of 256 images with 16 channels of 16 x 16 numbers and 3 x 3 filters:

# %%
images, channels, side, k = 256, 16, 16, 3
places = (side - k + 1) ** 2
batch = rng.standard_normal((images, channels, side, side)).astype(np.float32)
kernels = rng.standard_normal((16, channels, k, k)).astype(np.float32)
columns_mib = images * channels * k * k * places * 4 / 2**20
print(f"images {batch.nbytes / 2**20:.1f} MiB, columns {columns_mib:.1f} MiB")

# %% [markdown]
# The columns are written once and read once, by the product. A core has a cache of its own for what it used last,
# typically 0.5 to 2 MiB; what does not fit goes out to the next, larger cache or to memory, and has to be fetched from
# there, which takes several times as long. So make the columns of a *block* of images, multiply, and reuse the same
# space for the next block. The multiplications are the same ones.


# %%
def convolve_block(x, w, space):
    """The convolution of some images x (n, C, H, W), with the columns written into `space`."""
    n, out, space = len(x), x.shape[2] - k + 1, space[: len(x)]
    for i, j in np.ndindex(k, k):  # number i, j of all patches of all images at once
        space[:, :, i, j] = x[:, :, i : i + out, j : j + out]
    return w.reshape(len(w), -1) @ space.reshape(n, -1, out * out)


def convolve_in_blocks(x, w, block):
    """The same, with the columns of `block` images at a time."""
    out = x.shape[2] - k + 1
    space = np.zeros((block, x.shape[1], k, k, out, out), x.dtype)
    y = np.zeros((len(x), len(w), out * out), x.dtype)
    for first in range(0, len(x), block):
        y[first : first + block] = convolve_block(x[first : first + block], w, space)
    return y


# %%
def milliseconds(function):
    """How long one call takes."""
    start = time.perf_counter()
    function()
    return 1000 * (time.perf_counter() - start)


threads = md.get_num_threads()
md.set_num_threads(1)  # so that nothing but the blocks makes a difference
blocks, rounds = [1, 2, 4, 8, 16, 32, 64, 128, 256], 5
tries = [[milliseconds(lambda n=n: convolve_in_blocks(batch, kernels, n)) for n in blocks] for _ in range(rounds)]
in_blocks = np.min(tries, axis=0)  # the shortest: other programs only ever make one longer
with md.plain():
    plain_result = F.conv2d(batch, kernels)
    plain = min(milliseconds(lambda: F.conv2d(batch, kernels)) for _ in range(rounds))
fast_result = F.conv2d(batch, kernels)
fast = min(milliseconds(lambda: F.conv2d(batch, kernels)) for _ in range(rounds))
md.set_num_threads(threads)

# %%
figure_blocks, ax = plt.subplots(figsize=(7, 3.6), layout="constrained")
mib = [columns_mib * block / images for block in blocks]
ax.semilogx(mib, in_blocks / in_blocks[-1], "o-", label="the lines above, in blocks")
ax.axhline(plain / in_blocks[-1], color="C1", linestyle="--", label="minidl, plain lines: the whole batch")
faster = f"minidl, blocked: {plain / fast:.1f} times as fast as plain"
ax.axhline(fast / in_blocks[-1], color="C2", linestyle="--", label=faster)
ax.set(xlabel="columns of a block, MiB", ylabel="time / time of the whole batch", ylim=(0, None))
legend = ax.legend(frameon=False, fontsize=9)
# %% [markdown]
# *Right: all columns at once. Left: one image at a time, where Python's loop and its calls cost more.*
# The figure is measured on the machine that runs this, and will look a little different each time. Where this was
# written, the best block took a half to a third of the time of the whole batch. The results are the same up to
# rounding:

# %%
whole, blocked = convolve_in_blocks(batch, kernels, 256), convolve_in_blocks(batch, kernels, 8)
largest = float(np.abs(whole).max())
off = [float(np.abs(y.reshape(whole.shape) - whole).max()) / largest for y in (blocked, plain_result, fast_result)]
print("all within 1e-5 of the largest number:", max(off) < 1e-5)

# %% [markdown]
# **Exercise: explain.** Why are blocks faster than the whole batch?
#
# - a) Because they need fewer multiplications.
# - b) Because a block's columns are still in the cache when the product reads them, and those of the whole batch are
#   not.
# - c) Because several short loops in Python are faster than one long operation of NumPy.
# - d) Because in blocks the columns need not be made at all.

# %% exercise="t06_why_blocks"
reason = "b"  # SOLUTION

# %% check="t06_why_blocks"
checked = md.check.t06_why_blocks(reason)

# %% [markdown] own_words="t06_why_blocks"
# In your own words:

# %% [markdown]
# ## Where this stands in minidl
#
# `minidl/functional/conv.py` has the plain lines: `columns` and `add_columns` are your two functions for a batch, and
# `with md.plain():` runs them, so a debugger steps through them. `minidl/fast/cpu/conv.py` has the blocked version,
# which runs otherwise. It keeps the channels of a pixel side by side too, so that a row of a patch is one piece of
# memory.

# %% tags=["teacher"]
slides = {
    "06_columns": draw_columns(size=(8.0, 2.8)),
    "06_uses": draw_uses(size=(7.5, 2.8)),
}
pages = {"06_convolution": tape}
