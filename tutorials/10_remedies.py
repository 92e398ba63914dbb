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
# # 10. Remedies
#
# **Afterwards you can** name four remedies for vanishing and exploding gradients, say of each which cause it removes
# and which it leaves, and write the way back through the two that are layers of their own.
#
# **It needs** tutorial 9 (the factor of a layer) and what that needed.
#
# **It takes** 50 minutes.

# %%
import matplotlib.pyplot as plt
import numpy as np

import minidl as md
import minidl.functional as F
from minidl import nn

digits = md.data.digits()
inputs, labels = digits.train.inputs[:128], digits.train.labels[:128]

# %% [markdown]
# ## Four places to take hold of
#
# From layer to layer the gradient is multiplied by
#
# $$a = \sqrt{\, n \, \mathrm{Var}(W) \; \mathrm{E}[\sigma'^2] \,}$$
#
# and after $k$ layers by $a^k$. If you were to invent a remedy: which part would you change? There are four places,
# and someone has taken hold of each of them:
#
# 1. $\mathrm{Var}(W)$: draw the weights so that the product is 1. *Initialisation.*
# 2. $\sigma'$: take an activation whose slope is not small. *ReLU.*
# 3. the whole root: measure, while the network runs, what the layers do to the size of things, and undo it.
#    *Normalisation.*
# 4. the power: build a way around the product. *Residual blocks.*
#
# The patient is the one of tutorial 9: 10 hidden layers of sigmoid units. One function builds it with each remedy, and
# another measures the gradient behind each of its layers.


# %%
def uniform(k):
    """An initialiser: k times as large as the layers of minidl begin."""
    return lambda weight: nn.init.uniform_(weight, -k / np.sqrt(weight.shape[1]), k / np.sqrt(weight.shape[1]))


def network(activation="sigmoid", init=None, norm=False, residual=False, depth=10):
    """`depth` hidden layers of 32 units, from digits to 10 scores."""
    md.seed(0)
    parts = []
    for i in range(1, depth + 1):
        layer = [(f"fc{i}", nn.Linear(32 if i > 1 else 64, 32, init=init or uniform(1)))]
        layer += [(f"norm{i}", nn.BatchNorm1d(32))] if norm else []
        activate = [(f"act{i}", md.models.ACTIVATIONS[activation]())]
        if not residual:
            parts += layer + activate
        else:  # the first layer makes 32 numbers of 64; the others are added to what came before
            parts += layer if i == 1 else [(f"block{i}", nn.Residual(nn.Sequential(activate + layer)))]
    return nn.Sequential([*parts, ("out", nn.Linear(32, 10))])


# %%
def gradient_sizes(model):
    """The root mean square of dL/dh behind each hidden layer, input to output."""
    h, hidden = md.Tensor(inputs), []
    for name, module in list(model.named_children())[:-1]:
        h = module(h)
        if name.startswith(("act", "block")):
            hidden.append(h)
    gradients = md.grad(F.cross_entropy(model.out(h), labels), hidden)
    return np.array([np.sqrt((g.numpy().astype(np.float64) ** 2).mean()) for g in gradients])


def decades(model):
    """How many decades a layer the gradient falls from the last hidden layer to the first; negative if it grows."""
    size = gradient_sizes(model)
    return float(np.log10(size[-1] / size[0]) / (len(size) - 1))


print(f"sigmoid: falls {decades(network()):.2f} decades a layer")

# %% [markdown]
# ## 1. The size of the weights
#
# The simplest remedy needs no new layer. Which standard deviation must the weights have, so that $a = 1$?
#
# **Exercise: implement.** Return that standard deviation for a layer of `n` outputs, given the slopes of its units (an
# array of any shape).


# %% exercise="t10_weight_std"
def weight_std(n, slope):
    """The standard deviation of weights through which the gradient keeps its root mean square."""
    # BEGIN SOLUTION
    return 1 / np.sqrt(n * (slope**2).mean())
    # END SOLUTION


# %% check="t10_weight_std"
checked_std = md.check.t10_weight_std(weight_std)

# %%
n = 32
for activation, slope in (("tanh", np.ones(n)), ("relu", np.arange(n) % 2.0), ("sigmoid", np.full(n, 0.25))):
    std = checked_std.working(n, slope)
    model = network(activation, lambda weight, std=std: nn.init.normal_(weight, 0, std))
    name = f"{activation:8} std {std:.3f} = {std * np.sqrt(n):.2f} / sqrt(n)"
    print(f"{name}: falls {decades(model):+.2f} decades a layer")

# %% [markdown]
# Two of the three have names. With slopes of 1 (tanh, $z$ near 0) it is $1/\sqrt{n}$: **Glorot and Bengio** (2010;
# also called Xavier). They saw that on the way *forward* the sums run over the inputs of the layer, and on the way
# back over its outputs, so they took the mean of the two: $\sqrt{2 / (n_{in} + n_{out})}$. With half of the slopes 1
# and half 0 (ReLU) it is $\sqrt{2/n}$: **He et al.** (2015). `nn.init` has both.
#
# The third has no name, since it does not work: with weights of $4/\sqrt{n}$ the sigmoid saturates, and then its slope
# is not $1/4$ (tutorial 9). It falls less than it did, but it falls.
#
# So initialisation takes away *one* cause, weights of the wrong size, for *one* moment: the start. It promises nothing
# about later.
#
# ## 2. The slope
#
# The slope of a ReLU is 1 wherever the unit is active, however large $z$ is. The same weights as before, another
# activation:

# %%
for name, model in {
    "sigmoid, the layers' own weights": network("sigmoid"),
    "ReLU, the layers' own weights": network("relu"),
    "ReLU, He's weights": network("relu", nn.init.he_normal_),
}.items():
    print(f"{name:33} falls {decades(model):+.2f} decades a layer")

# %% [markdown]
# The ReLU halves the illness and does not cure it: the weights, which take 0.24 decades a layer, are still the same,
# and half of the units are off, which takes 0.15. Only slope *and* weights together make it level. The ReLU's real
# gift is another one: its slope does not depend on the size of $z$. So here the knob $\mathrm{Var}(W)$ can be turned
# alone. (Its price: a unit that is off for every example has slope 0 for every example. Its weights get no gradient,
# and it comes back only if the layers below it change.)
#
# ## 3. Measure, and undo: batch normalisation
#
# Both remedies so far are calculated in advance. Batch normalisation (Ioffe and Szegedy, 2015) measures instead. Of
# each unit it takes the mean $\mu$ and the standard deviation $s$ over the batch, and gives on
#
# $$y = \gamma \, \hat z + \beta, \qquad \hat z = \frac{z - \mu}{s}, \qquad s = \sqrt{\mathrm{Var}(z) + 10^{-5}}$$
#
# with $\gamma$ and $\beta$ learned, 1 and 0 at the start. Its way back is worth a look of its own. Let $g = \gamma
# \cdot \partial L/\partial y$, which is what reaches $\hat z$. From there three ways lead to $z$, and whatever comes
# is at the end divided by $s$:
#
# - directly: $g$.
# - through $\mu$: on the way forward the mean is taken away, and so it is on the way back. What is taken away is **the
#   mean of $g$** over the batch.
# - through $s$: on the way forward the length of $\hat z$ is fixed, so no gradient may be left along $\hat z$. What is
#   taken away is $\hat z$ times **the mean of $g \hat z$** over the batch.
#
# **Exercise: implement.** Return $\partial L/\partial z$, $\partial L/\partial\gamma$ and $\partial L/\partial\beta$.
# The rows are examples, the columns units.


# %% exercise="t10_batch_norm_backward"
def batch_norm_backward(grad_out, z, gamma, beta):
    """dL/dz, dL/dgamma and dL/dbeta of y = gamma * normal + beta, given dL/dy of shape (examples, units)."""
    s = np.sqrt(z.var(axis=0) + 1e-5)
    normal = (z - z.mean(axis=0)) / s
    # BEGIN SOLUTION
    g = grad_out * gamma
    grad_z = (g - g.mean(axis=0) - normal * (g * normal).mean(axis=0)) / s
    return grad_z, (grad_out * normal).sum(axis=0), grad_out.sum(axis=0)
    # END SOLUTION


# %% check="t10_batch_norm_backward"
checked_norm = md.check.t10_batch_norm_backward(batch_norm_backward)

# %% [markdown]
# There is a $1/s$ in it. If the layers below have made $z$ ten times smaller, the gradient is made ten times *larger*
# on its way back. That is how it undoes what weights and slopes have done, without knowing what it was. Here are
# weights of three sizes, with and without it:

# %%
table = {}
print("weights times     sigmoid   sigmoid, normalised")
for k in (1, 3, 10):
    table[k] = decades(network(init=uniform(k))), decades(network(init=uniform(k), norm=True))
    print(f"{k:13} {table[k][0]:+11.2f} {table[k][1]:+21.2f}")

# %% [markdown]
# On the right the numbers are the same: if $W$ is multiplied by 3, so are $z$, $\mu$ and $s$, and $y$ stays as it is
# (but for the $10^{-5}$). And they are near 0, although the slopes of the sigmoid are still at most $1/4$: what the
# slope takes from the gradient it has also taken from the differences of $h$, hence from $s$ of the next layer, and
# there it is given back.
#
# ## 4. A way around: residual blocks
#
# The last remedy leaves the product as it is, and adds a way that does not lead through it: $y = x + f(x)$ (He et al.,
# 2016).
#
# **Exercise: implement.** Write the way back through the block $y = x + \tanh(x W_1) W_2$. (Here the matrices stand as
# in tutorial 3, without a transpose.)


# %% exercise="t10_residual_backward"
def residual_backward(grad_out, x, w1, w2):
    """dL/dx, dL/dw1 and dL/dw2 of y = x + tanh(x @ w1) @ w2, given dL/dy."""
    h = np.tanh(x @ w1)
    # BEGIN SOLUTION
    grad_h = grad_out @ w2.T
    grad_z = grad_h * (1 - h**2)
    return grad_out + grad_z @ w1.T, x.T @ grad_z, h.T @ grad_out
    # END SOLUTION


# %% check="t10_residual_backward"
checked_residual = md.check.t10_residual_backward(residual_backward)

# %% [markdown]
# $\partial L/\partial x$ has two addends, and the first is $\partial L/\partial y$ itself, whatever the weights do. If
# the second vanishes, the gradient passes unchanged. If it has the factor $a$ and a random direction, squares add up
# once more, and the factor of the block is $\sqrt{1 + a^2}$. That is never below 1: **with random weights the gradient
# of a residual network does not vanish.** But it can explode.
#
# **Exercise: predict.** 20 blocks, each with a branch of factor $a = 1$. How many times larger than at the output is
# the gradient at the input? (Within 20%. No computer is needed: what do two blocks do
# together?)

# %% exercise="t10_twenty_blocks"
growth = 1024  # SOLUTION

# %% check="t10_twenty_blocks"
checked_growth = md.check.t10_twenty_blocks(growth)


# %%
def growth_of_blocks(init, blocks=20, units=64):
    """By what the gradient's root mean square grows from the output to the input of blocks x + W relu(x)."""
    md.seed(0)
    branches = [nn.Sequential(nn.ReLU(), nn.Linear(units, units, init=init)) for _ in range(blocks)]
    model = nn.Sequential(*[nn.Residual(branch) for branch in branches])
    x = md.randn(128, units).requires_grad_()
    grad_out = md.randn(128, units)
    (grad_x,) = md.grad(model(x), [x], grad_outputs=[grad_out])
    return float(np.sqrt((grad_x.numpy() ** 2).mean() / (grad_out.numpy() ** 2).mean()))


measured_growth = growth_of_blocks(nn.init.he_normal_)
print(f"predicted {checked_growth.working:.0f}, measured {measured_growth:.0f}")
print(f"if each branch begins with weights of 0: {growth_of_blocks(nn.init.zeros_):.3f}")

# %% [markdown]
# The order is right; the exact number hangs on the weights that were drawn. Such a growth is too much. So deep
# residual networks let their branches begin small: with 0 in the last layer of each, so that every block begins as the
# identity, or with a small factor before it.
#
# [pages/10_residual.html](pages/10_residual.html) is one backward pass through two blocks of two units. Go to the
# gradient of `0.add`, the value between the blocks: it is not complete until its *second* addend has come.

# %%
md.seed(0)
small = nn.Sequential(*[nn.Residual(nn.Sequential(nn.Linear(2, 2), nn.Tanh())) for _ in range(2)])
with md.record() as tape:
    F.mean((small(md.tensor([[0.5, -1.0], [1.0, 0.5]])) - md.tensor([[1.0, 0.0], [0.0, 1.0]])) ** 2).backward()
print(tape)

# %% [markdown]
# ## All of them, side by side
#
# Seven networks of 10 hidden layers, each trained for 8 epochs with the same optimizer and rate. Two are new. "Large
# weights" is the sigmoid with $\sqrt{n \mathrm{Var}(W)} = 10$, at which its gradient is level (tutorial 9).
# "Orthogonal" is tanh with matrices that turn and stretch nothing. Which of the level ones would you bet on?

# %%
networks = {
    "sigmoid": network(),
    "large weights": network(init=lambda weight: nn.init.normal_(weight, 0, 10 / np.sqrt(weight.shape[1]))),
    "ReLU": network("relu"),
    "ReLU, He": network("relu", nn.init.he_normal_),
    "batch norm": network(norm=True),
    "residual": network(residual=True),
    "orthogonal": network("tanh", nn.init.orthogonal_),
}
sizes = {name: gradient_sizes(model) for name, model in networks.items()}
few = inputs[:4]
spectra = {
    name: md.observe.jacobian_spectrum(nn.Sequential(list(networks[name].named_children())[:-1]), few)
    for name in ("large weights", "residual", "orthogonal")
}
losses = {}
for name, model in networks.items():
    md.seed(1)
    loader = md.data.Loader(digits.train, 64, shuffle=True)
    optimizer = md.optim.SGD(model, lr=0.02, momentum=0.9)
    losses[name] = md.fit(model, optimizer, loader, epochs=8, progress=False).train_loss


# %%
def comparison(width=7.0, fontsize=8):
    """The gradient of all networks before training (left) and their losses (right)."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(width, 0.48 * width), layout="constrained")
    colours = ("#000000", "#E69F00", "#56B4E9", "#009E73", "#0072B2", "#CC79A7", "#D55E00")
    for (name, size), colour in zip(sizes.items(), colours, strict=True):
        left.plot(range(11 - len(size), 11), size / size[-1], "o-", color=colour, markersize=3)
        right.plot(range(1, 9), losses[name], "o-", color=colour, markersize=3, label=name)
    left.set(yscale="log", xticks=range(1, 11), xlabel="hidden layer, input to output")
    left.set_title("RMS of dL/dh, beside the last layer's", fontsize=fontsize + 1, loc="left")
    right.set(ylim=(0, 2.6), xticks=range(1, 9), xlabel="epoch")
    right.axhline(np.log(10), color="#666666", linestyle="--", linewidth=0.8)
    right.set_title("training loss (dashed: ln 10)", fontsize=fontsize + 1, loc="left")
    figure.legend(loc="outside lower center", ncols=7, frameon=False, fontsize=fontsize)
    return figure


compared = comparison()

# %% [markdown]
# On the left two fall, sigmoid and ReLU with the layers' own weights; the others are level. On the right these two
# have learned nothing, and all that are level have begun to learn. **Level is needed.**
#
# But it is not enough: of the level ones the large weights learn slowest by far. Why?
#
# ## Level in which directions?
#
# The root mean square is a mean over all directions. It can be level because every direction keeps its length, or
# because a few are stretched and all others are lost. The **Jacobian** $\partial h_l / \partial h_0$ knows: its
# singular values are the factors by which it stretches, one a direction. `md.plot.jacobian_spectrum` draws their
# median, the middle half and the middle 80% as bands, and the largest as a thin line, layer by layer.

# %%
md.plot.jacobian_spectrum(spectra)

# %% [markdown]
# (Measured before the training, at four digits.) With large weights the largest singular value is above 1 and the
# median below a millionth: a few directions are stretched, and of most others nothing is left. Together they look
# level. In the residual and in the orthogonal network the fan is narrow: every direction arrives. These are the two
# that learned fastest.
#
# ## Which remedy removes which cause?
#
# **Exercise: explain.** Somebody multiplies all weights of a ten-layer ReLU network by 3. With one of the remedies the
# gradient still falls (or grows) by as many decades a layer as before: it is the one that removes the cause *size of
# the weights* for good. Which one?
#
# - a) He's initialisation: it has made the product of weights and slopes 1.
# - b) The ReLU: its slope does not depend on the size of $z$.
# - c) Batch normalisation in each layer: it divides by the standard deviation of what the weights have made.
# - d) Residual blocks: their first addend does not lead through the weights.

# %% exercise="t10_three_times"
three_times = "c"  # SOLUTION

# %% check="t10_three_times"
checked_three = md.check.t10_three_times(three_times)

# %%
thrice = {}
for name, options in {"ReLU alone": {}, "batch norm": {"norm": True}, "residual": {"residual": True}}.items():
    thrice[name] = [decades(network("relu", uniform(k), **options)) for k in (1, 3)]
he = [lambda w: nn.init.he_normal_(w), lambda w: nn.init.normal_(w, 0, 3 * np.sqrt(2 / w.shape[1]))]
thrice["He"] = [decades(network("relu", init)) for init in he]
for name, (before, after) in thrice.items():
    print(f"{name:11} {before:+.2f} decades a layer, with three times the weights {after:+.2f}")

# %% [markdown]
# In your own words: take the four remedies one by one. Which part of $a^k$ does each take hold of, and what can still
# go wrong?

# %% [markdown] own_words="t10_three_times"
#

# %% [markdown]
# ## What to keep
#
# | remedy | takes hold of | removes | leaves |
# |---|---|---|---|
# | initialisation (Glorot, He) | $\mathrm{Var}(W)$ | weights of the wrong size | what training makes of them |
# | ReLU | $\sigma'$ | small slopes, and their dependence on $z$ | the size of the weights; units that are off |
# | batch normalisation | the whole root | weights and slopes of the wrong size | a slight growth |
# | residual blocks | the power $k$ | vanishing | exploding, unless the branches begin small |
#
# Level is needed, not enough: the gradient must also keep its directions (orthogonal weights, residual blocks).
#
# All four change the network, or how it begins. Tutorial 11 leaves it as it is, and gives each layer a *rate* of its
# own.

# %% tags=["teacher"]
slides = {
    "10_remedies": comparison(width=9.6, fontsize=10),
    "10_spectrum": md.plot.jacobian_spectrum(spectra, style="slides"),
}
pages = {"10_residual": tape}
