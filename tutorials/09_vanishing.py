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
# # 09. Vanishing and exploding
#
# **Afterwards you can** say, before any training, by which factor a layer makes the gradient smaller or larger, from
# two numbers alone: the variance of its weights and the slope of its activation. You can measure that factor, and name
# what is to blame for it.
#
# **It needs** tutorial 3 (the product of matrices, backwards), 5 (a multi-layer perceptron) and 8 (SGD with momentum).
#
# **It takes** 50 minutes.

# %%
import matplotlib.pyplot as plt
import numpy as np

import minidl as md
import minidl.functional as F

digits = md.data.digits()
inputs, labels = digits.train.inputs[:128], digits.train.labels[:128]

# %% [markdown]
# ## Do more layers learn more?
#
# Here are three networks of sigmoid units with 1, 2 and 8 hidden layers. They read the same digits, in batches of 64,
# with the same optimizer and rate. Each has 10 classes to choose from, so a network that knows nothing, and gives all
# of them the same probability, has a loss of $\ln 10 = 2.30$.
#
# Before you run it: which one do you expect to be best after 20 epochs?


# %%
def sigmoid_network(depth):
    """`depth` hidden layers of 32 sigmoid units."""
    md.seed(0)
    return md.models.mlp((64, *[32] * depth, 10), "sigmoid")


histories, recordings = {}, {}
for depth in (1, 2, 8):
    model = sigmoid_network(depth)
    optimizer = md.optim.SGD(model, lr=0.1, momentum=0.9)
    loader = md.data.Loader(digits.train, 64, shuffle=True)
    with md.observe.GradientFlow(model, optimizer, every=20, distances=True) as flow:
        histories[depth] = md.fit(model, optimizer, loader, epochs=20, progress=False)
    recordings[depth] = flow.recording

# %%
figure, ax = plt.subplots(figsize=(6, 3.2), layout="constrained")
for (depth, history), colour in zip(histories.items(), ("#0072B2", "#009E73", "#D55E00"), strict=True):
    ax.plot(range(1, 21), history.train_loss, "o-", color=colour, markersize=3, label=f"{depth} hidden")
ax.axhline(np.log(10), color="#666666", linestyle="--", linewidth=0.8)
ax.text(20, np.log(10) - 0.04, "ln 10: knows nothing", ha="right", va="top", fontsize=8, color="#666666")
ax.set(xlabel="epoch", ylabel="training loss", ylim=(0, 2.6), xticks=range(0, 21, 5))
key = ax.legend(frameon=False)

# %% [markdown]
# The more layers, the later it learns; with 8 it does not learn at all. Yet the deep network could compute all that
# the shallow one computes. So it is not a question of what it *can* represent, but of what reaches its weights.
#
# ## What reaches the layers?
#
# `md.observe.GradientFlow` has watched the training. Of every layer it has noted the root mean square (RMS) of three
# things: of what the layer gives on (the activation $h$), of the gradient that comes back to it ($\partial L/\partial
# h$), and of the gradient of its weights. A root mean square is the size of a typical number; unlike a norm it does
# not grow with the size of the layer.

# %%
md.plot.flow_profile(recordings[8], steps=[0])

# %% [markdown]
# Read it from the right: the gradient enters at the output and runs to the left. The axis is logarithmic, and the
# points lie on a **straight line**. So it is not that one bad layer takes the gradient away: each takes the same
# *factor*, about 7 (0.85 *decades*: powers of ten). Through 7 layers that makes about a million. (The diamonds are the
# scores of the last layer: they have no activation, and are left out of the slope.)
#
# Where does a factor of 7 come from? The rest of this tutorial answers that.
#
# ## Back through many layers, by hand
#
# A layer computes $z_l = h_{l-1} W_l^\top$ and $h_l = \sigma(z_l)$. On the way back the chain rule has three lines.
# With $G_l = \partial L / \partial h_l$, one row for each example:
#
# $$\frac{\partial L}{\partial z_l} = G_l \odot \sigma'(z_l), \qquad
# \frac{\partial L}{\partial W_l} = \Big(\frac{\partial L}{\partial z_l}\Big)^{\!\top} h_{l-1}, \qquad
# G_{l-1} = \frac{\partial L}{\partial z_l} W_l$$
#
# and of the sigmoid we know that $\sigma'(z) = \sigma(z)\,(1 - \sigma(z))$, which is at most $1/4$, at $z = 0$.


# %%
def sigmoid(z):
    """The logistic function, on an array."""
    return 1 / (1 + np.exp(-z))


# %% [markdown]
# **Exercise: implement.** Write the way back through all layers. `weights` has the shape (L, n, n): `weights[i]` is a
# matrix as `nn.Linear` keeps it, one row for each unit. Return the gradient of the input and those of all weights, the
# latter in one array of the shape of `weights`. The check compares with finite differences.


# %% exercise="t09_deep_backward"
def deep_backward(grad_out, h, weights):
    """dL/dh_0 and dL/dW of h_l = sigmoid(h_{l-1} @ W_l.T), for l = 1 .. L, given dL/dh_L."""
    hs = [h]
    for w in weights:
        hs.append(sigmoid(hs[-1] @ w.T))
    grad_weights = np.zeros_like(weights)
    # BEGIN SOLUTION
    for i in reversed(range(len(weights))):
        grad_z = grad_out * hs[i + 1] * (1 - hs[i + 1])
        grad_weights[i] = grad_z.T @ hs[i]
        grad_out = grad_z @ weights[i]
    return grad_out, grad_weights
    # END SOLUTION


# %% check="t09_deep_backward"
checked = md.check.t09_deep_backward(deep_backward)

# %% [markdown]
# Now 10 layers of 64 units, with weights drawn from the uniform distribution on $[-1/\sqrt{n}, 1/\sqrt{n}]$, as the
# layers of minidl (and of PyTorch) begin. From the loss comes a random gradient. What is the typical gradient of the
# weights in each layer?

# %%
rng = np.random.default_rng(0)
L, n = 10, 64
weights = rng.uniform(-1, 1, (L, n, n)) / np.sqrt(n)
_, grad_weights = checked.working(rng.standard_normal((128, n)), rng.standard_normal((128, n)), weights)
by_hand = np.sqrt((grad_weights**2).mean(axis=(1, 2)))
print(f"layer {L}: {by_hand[-1]:.1e}")
for i in range(L - 1, 0, -1):
    print(f"layer {i:2}: {by_hand[i - 1]:.1e}, {by_hand[i] / by_hand[i - 1]:.1f} times smaller than in layer {i + 1}")

# %% [markdown]
# The same factor of about 7, in three lines of your own, with no training and no digits: so it is a property of the
# layers. (Below layer 3 it looks smaller. $\partial L/\partial W_l$ has the layer's input in it, and the random
# numbers that layer 1 reads are larger than what a sigmoid puts out.)
#
# ## The factor of one layer
#
# Look at one number of $G_{l-1} = (G_l \odot \sigma'(z_l))\, W_l$. It is a sum of $n$ products, each of a gradient, a
# slope and a weight. If these were all alike and of one sign, the sum would be $n$ times as large as one of them. But
# weights are drawn at random with both signs. How does a sum of $n$ numbers of random sign grow with $n$?

# %%
for count in (16, 64, 256, 1024):
    sums = rng.standard_normal((2000, count)).sum(axis=1)
    print(f"sums of {count:4} numbers of typical size 1: typical size {np.sqrt((sums**2).mean()):5.1f}")

# %% [markdown]
# Like $\sqrt{n}$: the *squares* add up, since of the mixed products as many are positive as negative. So, if the
# weights have mean 0 and are independent of gradient and slopes, and these two of each other, the mean square of the
# gradient is multiplied, from layer $l$ to layer $l-1$, by
#
# $$n \cdot \mathrm{Var}(W) \cdot \mathrm{E}[\sigma'(z)^2]$$
#
# and the gradient itself by the root of it, **the factor of the layer**:
#
# $$a = \sqrt{\, n \, \mathrm{Var}(W) \; \mathrm{E}[\sigma'^2] \,}$$
#
# $n$ counts the terms of the sum. On the way back these are the layer's *outputs*: the rows of `weight`. $\sigma'$ is
# the slope of the activation, whichever it is, and $\mathrm{E}$ the mean over units and examples. After $k$ layers the
# gradient is $a^k$ times what it was: on a log axis a straight line, which falls by $-\log_{10} a$ decades a layer.
# **Below 1 it vanishes, above 1 it explodes.**
#
# **Exercise: predict.** The weights are uniform on $[-1/\sqrt{n}, 1/\sqrt{n}]$. Such numbers have the variance
# $1/(3n)$. What is the factor of a layer of **sigmoid** units with $z$ near 0? (Three digits.)

# %% exercise="t09_sigmoid_factor"
sigmoid_factor = 0.144  # SOLUTION

# %% check="t09_sigmoid_factor"
checked_sigmoid = md.check.t09_sigmoid_factor(sigmoid_factor)

# %% [markdown]
# **Exercise: predict.** And with the same weights, of a layer of **tanh** units with $z$ near 0?

# %% exercise="t09_tanh_factor"
tanh_factor = 0.577  # SOLUTION

# %% check="t09_tanh_factor"
checked_tanh = md.check.t09_tanh_factor(tanh_factor)

# %% [markdown]
# **Exercise: predict.** And of a layer of **ReLU** units, half of which are active?

# %% exercise="t09_relu_factor"
relu_factor = 0.408  # SOLUTION

# %% check="t09_relu_factor"
checked_relu = md.check.t09_relu_factor(relu_factor)

# %% [markdown]
# These are predictions without a network. With one, nothing has to be assumed about $z$: weight and slopes are there
# to be read.
#
# **Exercise: implement.** Compute $a$ of a layer from its weight, of shape (outputs, inputs), whose elements have the
# mean 0, and the slopes of its units, of shape (examples, outputs). The layer need not be square.


# %% exercise="t09_factor"
def layer_factor(weight, slope):
    """By what the gradient's root mean square is multiplied on its way back through a layer: predicted."""
    # BEGIN SOLUTION
    rows = weight.shape[0]
    return np.sqrt(rows * (weight**2).mean() * (slope**2).mean())
    # END SOLUTION


# %% check="t09_factor"
checked_factor = md.check.t09_factor(layer_factor)

# %% [markdown]
# ## Predicted, then measured
#
# Three networks of 10 hidden layers of 64 units, on real digits. From the weights and slopes that they have *before*
# any training your function predicts by how many decades a layer the gradient falls. Then a backward pass measures it.

# %%
SLOPES = {
    "sigmoid": lambda h: h * (1 - h),
    "tanh": lambda h: 1 - h**2,
    "relu": lambda h: 1.0 * (h > 0),
}  # the slope of each activation, from its output h


def predicted_and_measured(activation, init=None, depth=10):
    """Decades a layer by which the gradient falls: the mean over the layers from the last hidden one to the first."""
    md.seed(0)
    model = md.models.mlp((64, *[64] * depth, 10), activation, init)
    factors, hidden, h = [], [], md.Tensor(inputs)
    for i in range(1, depth + 1):
        layer, activate = getattr(model, f"fc{i}"), getattr(model, f"act{i}")
        h = activate(layer(h))
        hidden.append(h)
        factors.append(checked_factor.working(layer.weight.numpy(), SLOPES[activation](h.numpy())))
    gradients = md.grad(F.cross_entropy(model[-1](h), labels), hidden)
    size = [np.sqrt((g.numpy().astype(np.float64) ** 2).mean()) for g in gradients]
    return -np.log10(factors[1:]).mean(), np.log10(size[-1] / size[0]) / (depth - 1)


# %%
by_rule = {"sigmoid": checked_sigmoid, "tanh": checked_tanh, "relu": checked_relu}
found = {activation: predicted_and_measured(activation) for activation in by_rule}
print("decades a layer   on paper   from weights and slopes   measured")
for activation, (predicted, measured) in found.items():
    on_paper = -np.log10(by_rule[activation].working)
    print(f"{activation:15} {on_paper:10.2f} {predicted:25.2f} {measured:10.2f}")

# %% [markdown]
# The two last columns agree within 0.03 decades: 7% of the factor. On paper it is nearly as good, as long as $z$ is
# near 0. (All of it assumes that the weights know nothing of the gradient. That is so at the start; a training changes
# it.) `md.plot.theory` draws the same, layer by layer. It calls your prediction the *mean field*, since each unit is
# taken for the mean of all, and has one line more: the **bound** $\max \sigma' \cdot \lVert W \rVert_2$, the largest
# factor that is possible at all, if the gradient points where the weights stretch most. It is far from what happens.
# (It is often said that a sigmoid takes at least a factor of 4 a layer. That alone is no bound: weights can be large.)

# %%
theories = {}
for activation in ("sigmoid", "tanh", "relu"):
    md.seed(0)
    model = md.models.mlp((64, *[64] * 10, 10), activation)
    theories[activation] = md.observe.vanishing_theory(model, inputs, labels)
md.plot.theory(theories)

# %% [markdown]
# ## Weights or slopes: which is to blame?
#
# The factor has two parts, $\sqrt{n \mathrm{Var}(W)}$ and $\sqrt{\mathrm{E}[\sigma'^2]}$, and the way back has two
# kinds of ops: the products with $W$ and the activations. `md.observe.Graph` notes the norm of the gradient before and
# after each op; `md.plot.attribution` draws what each of them takes (down) or gives (up), from the loss at the right
# to the input at the left.

# %%
graphs = {}
for activation in ("sigmoid", "tanh", "relu"):
    md.seed(0)
    model = md.models.mlp((64, *[64] * 10, 10), activation)
    loss = F.cross_entropy(model(md.Tensor(inputs)), labels)
    graph = md.observe.Graph(loss)
    loss.backward()
    graphs[activation] = graph.recording
md.plot.attribution(graphs)

# %% [markdown]
# Behind the sigmoid two culprits stand side by side. Each of its layers takes $\log_{10} 4 = 0.60$ decades by its
# slope and $\log_{10}\sqrt{3} = 0.24$ by its weights. With tanh the slope is nearly 1: there the weights alone are to
# blame. With ReLU half of the slopes are 0 and half are 1, so $\mathrm{E}[\sigma'^2] = 1/2$, and the slopes take 0.15.
# All three lose the same at the weights: they were drawn from the same distribution.
#
# ## From vanishing to exploding
#
# So make the weights larger! With $\sqrt{n \mathrm{Var}(W)} = s$ the factor is $s \sqrt{\mathrm{E}[\sigma'^2]}$. That
# is 1 for the ReLU at $s = \sqrt 2$, for tanh at $s = 1$ and for the sigmoid at $s = 4$, **as long as $z$ is near 0**.
# What do you expect for $s = 4$ and a sigmoid, whose $z$ is then no longer near 0?

# %%
SCALES = (0.25, 0.5, 1, 1.41, 2, 3, 4, 6, 10, 16, 32)


def scaled(s):
    """An initialiser: normal with sqrt(n Var(W)) = s."""
    return lambda weight: md.nn.init.normal_(weight, 0, s / np.sqrt(weight.shape[0]))


sweep = {a: np.array([predicted_and_measured(a, scaled(s)) for s in SCALES]) for a in SLOPES}

# %%
figure, ax = plt.subplots(figsize=(6.4, 3.6), layout="constrained")
for (activation, lines), colour in zip(sweep.items(), ("#0072B2", "#009E73", "#D55E00"), strict=True):
    slope_at_0 = {"sigmoid": 1 / 4, "tanh": 1, "relu": np.sqrt(1 / 2)}[activation]
    ax.plot(SCALES, -np.log10(np.array(SCALES) * slope_at_0), "--", color=colour, linewidth=0.8)
    ax.plot(SCALES, lines[:, 0], color=colour, label=activation)
    ax.plot(SCALES, lines[:, 1], "o", color=colour, markersize=4)
ax.axhline(0, color="#666666", linewidth=0.8)
ax.text(0.24, 0.05, "vanishes", fontsize=8, color="#666666")
ax.text(0.24, -0.05, "explodes", fontsize=8, color="#666666", va="top")
ax.set(xscale="log", xlabel=r"$s = \sqrt{n\,Var(W)}$", ylabel="decades a layer", ylim=(-1.5, 1.35))
ax.set_xticks([0.25, 0.5, 1, 2, 4, 10, 32], ["0.25", "0.5", "1", "2", "4", "10", "32"], minor=False)
ax.xaxis.set_minor_locator(plt.NullLocator())
ax.set_title("dots: measured; lines: predicted; dashed: predicted with z near 0", fontsize=8, loc="left")
key = ax.legend(frameon=False)

# %% [markdown]
# Dots on lines: the formula holds over the whole range, on both sides. But the dashed lines, with $z$ near 0, do not.
# With larger weights $z$ grows too, and a saturated unit has a slope near 0: **$W$ and $\sigma'$ are not independent
# knobs.** A sigmoid at $s = 4$ still loses 0.2 decades a layer, and becomes level only near $s = 10$, where most of
# its units are stuck at 0 or 1. Tanh crosses 0 just above $s = 1$, the ReLU at $s = \sqrt 2$. The ReLU has no
# saturation to slow it down, so it explodes without limit: its dashed line *is* its line.
#
# How bad that is depends on the depth, since the factor is taken to the power of the depth. 20 hidden layers of ReLU
# with $s = 2$:

# %%
md.seed(0)
model = md.models.mlp((64, *[32] * 20, 10), "relu", scaled(2))
optimizer = md.optim.SGD(model, lr=0.1)
exploding = []
with np.errstate(all="ignore"):
    for _ in range(3):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(md.Tensor(inputs)), labels)
        loss.backward()
        optimizer.step()
        exploding.append((loss.item(), float(np.abs(model.fc1.weight.grad.numpy()).max())))
for step, (value, largest) in enumerate(exploding):
    print(f"step {step}: loss {value:.3g}, largest gradient in fc1 {largest:.3g}")

# %% [markdown]
# A loss of a thousand at the start, one step, and all is lost: NaN, not a number. Vanishing is silent; exploding is
# loud.
#
# Is the factor *per layer* the same for 5 layers and for 20? The map shows it for three activations and three sizes of
# weights: purple vanishes, orange explodes, white is level.

# %%
kinds = {
    f"{activation}, s = {s}": lambda depth, a=activation, s=s: md.models.mlp((64, *[32] * depth, 10), a, scaled(s))
    for activation in SLOPES
    for s in (0.58, 1.41, 2)
}
depths = md.observe.depth_sweep(kinds, [5, 10, 20], inputs, labels, seeds=2)
md.plot.depth_sweep(depths)

# %% [markdown]
# Along a row the numbers hardly change. Depth does not change the factor: it is the exponent. That is why two layers
# get by, and twenty do not. (Hochreiter named the illness in 1991, in recurrent networks, where the depth is time:
# tutorial 12.)
#
# ## What it does to learning
#
# Back to the first experiment, to the network of 8 hidden layers. `GradientFlow(distances=True)` has also noted how
# far the weights of each layer are from where they began, as a part of their own size. SGD moves a weight by rate
# times gradient, so the distances should have the same slope.

# %%
md.plot.who_learned(recordings[8])

# %% [markdown]
# After 20 epochs the first layer has moved by less than a ten-thousandth of its weights: it is still the random layer
# of the start. From layer 2 to layer 7 the lines lie a factor of about 7 apart. (The lowest lies closer: its gradient
# has the digits themselves in it, and they differ more from one another than what sigmoids make of them.)
#
# The upper layers move. Why do they not learn alone, on top of random lower layers? Look at what reaches them on the
# way *forward*: how much does $h_l$ differ from one digit to another?

# %%
md.seed(0)
h = md.Tensor(inputs)
spread = []
for name, layer in sigmoid_network(8).named_children():
    h = layer(h)
    if name.startswith("act"):
        spread.append(float(h.numpy().std(axis=0).mean()))
        print(f"{name}: mean {h.numpy().mean():.2f}, differs from digit to digit by {spread[-1]:.0e}")

# %% [markdown]
# The same factors are at work. A small difference of the input is multiplied, layer by layer, by $W$ and $\sigma'$ as
# well, and becomes 7 times smaller each time, until at the 7th layer the digits differ by hardly more than the
# rounding of float32. For the upper layers all digits are one and the same digit, and the best that they can learn is
# how frequent each class is: a loss of $\ln 10$. So both ends are stuck. The first layers would have to open the way,
# and no gradient reaches them.
#
# **Exercise: explain.** The first layers of the deep sigmoid network stall. Why?
#
# - a) They are already right: a small gradient means that a minimum is near.
# - b) The learning rate is too small; with a larger one, the same for all layers, they would keep up with the last
#   ones.
# - c) Their gradient is a product with one factor below 1 for each layer above them, and SGD's step is proportional to
#   it.
# - d) Their gradients are too small for float32, so they are rounded to 0.

# %% exercise="t09_stall"
stall = "c"  # SOLUTION

# %% check="t09_stall"
checked_stall = md.check.t09_stall(stall)

# %% [markdown]
# In your own words: why is a layer-by-layer factor of 0.14 no problem for 2 layers, and why can a single learning rate
# not mend it for 10?

# %% [markdown] own_words="t09_stall"
#

# %% [markdown]
# ## Step by step
#
# [pages/09_backward.html](pages/09_backward.html) is one backward pass through four layers of three sigmoid units
# each, to be walked through event by event. Predict before each step: what will the next gradient be, roughly, and
# which of the two ops takes more?

# %%
md.seed(0)
small = md.models.mlp((2, 2, 2, 2, 1), "sigmoid")
with md.record() as tape:
    F.mean((small(md.tensor([[0.5, -1.0], [1.0, 0.5]])) - md.tensor([[1.0], [0.0]])) ** 2).backward()
print(tape)

# %% [markdown]
# ## What to keep
#
# - From layer to layer the gradient is multiplied by $a = \sqrt{n \mathrm{Var}(W)\, \mathrm{E}[\sigma'^2]}$, after $k$
#   layers by $a^k$.
# - Below 1 it vanishes, above 1 it explodes; only near 1 can a deep network learn in all its layers.
# - Two things can be to blame, weights and slopes, and they hang together: larger weights saturate, and flatten the
#   slopes.
# - The same factors wipe out what the layers see on the way forward.
#
# Each remedy of [tutorial 10](10_remedies.ipynb) takes hold of one part of this formula.

# %% tags=["teacher"]
slides = {
    "09_profile": md.plot.flow_profile(recordings[8], steps=[0], style="slides"),
    "09_theory": md.plot.theory(theories, style="slides"),
}
pages = {"09_backward": tape}
