# %% [markdown]
# # 08. Optimizers
#
# **Afterwards you can** say how large a rate may be and what it costs in steps, write momentum and Adam in four lines
# each, tell what they cure and what they do not, and choose the method and the rate of each layer independently.
#
# **It needs** tutorial 05 (a training loop with `optimizer.step()`) and 07 (the digits). **It takes** 50 minutes.

# %%
import inspect
import math

import matplotlib.pyplot as plt
import numpy as np

import minidl as md
import minidl.functional as F

md.seed(0)

# %% [markdown]
# ## How far?
#
# The gradient says which way is down. It does not say how far to go. How far can one go?
#
# The smallest function in which this is a difficulty has two directions, one flat and one $k$ times as steep: a
# ravine,
#
# $$f(x, y) = \tfrac{1}{2} (x^2 + k\,y^2).$$
#
# Its gradient is $(x, k y)$. The second derivatives, $\lambda_x = 1$ and $\lambda_y = k$, are the **curvatures**; the
# largest over the smallest, here $k$, is the **condition number**. A step of gradient descent,
# $w \leftarrow w - t g$, does this to the two coordinates:
#
# $$x \leftarrow (1 - t)\, x, \qquad y \leftarrow (1 - k t)\, y.$$
#
# **Exercise: predict.** Let $k = 25$. Above which rate $t$ does $y$ grow from step to step?

# %%
largest_rate = 2 / 25  # SOLUTION

# %% check="t08_largest_rate"
checked = md.check.t08_largest_rate(largest_rate)

# %% [markdown]
# Three rates, a dot a step, all from the ring. At 0.04, $1 - 25 t = 0$: the first step is at the bottom of the
# ravine, and from there it creeps. At 0.077 it leaps from wall to wall, and each leap is a little shorter. At 0.081
# each is a little longer.


# %%
def ravine(p, k=25):
    """f(x, y) = (x^2 + k y^2) / 2, of a Tensor p that holds x and y."""
    return 0.5 * (p[0] ** 2 + k * p[1] ** 2)


rates = {f"t = {t}": lambda ps, t=t: md.optim.SGD(ps, lr=t) for t in (0.04, 0.077, 0.081)}
three_rates = md.observe.optimizer_paths(ravine, (-4.5, 1.2), rates, steps=40, limits=((-5.2, 2.0), (-1.9, 1.9)))
md.plot.optimizer_paths(three_rates)

# %% [markdown]
# ## What does a ravine cost?
#
# So the steep direction bounds the rate, and the flat one has to live with it. The best one can do with one rate is
# to let both shrink equally fast. With $t = 2 / (1 + k)$ the factors are $1 - t = \frac{k-1}{k+1}$ and
# $1 - k t = -\frac{k-1}{k+1}$. The loss is made of squares, so a step multiplies it by
# $\left(\frac{k-1}{k+1}\right)^2$.
#
# From here on we count: how many steps to a **millionth** of the first loss, from $x = y = 1$?


# %%
def steps_down(f, start, make, goal=1e-6):
    """How many steps the optimizer that `make` gives needs from `start` to `goal` times the first loss."""
    p = md.nn.Parameter(md.Tensor(np.array(start, dtype=np.float64)))
    optimizer = make([p])
    first = f(p).item()
    for step in range(5000):
        loss = f(p)
        if loss.item() <= goal * first:
            return step
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return None


def sgd(k):
    """SGD at its best rate in a ravine of condition number k."""
    return lambda ps: md.optim.SGD(ps, lr=2 / (1 + k))


steps_at_25 = steps_down(ravine, (1, 1), sgd(25))
print(f"k = 25: {steps_at_25} steps")

# %% [markdown]
# **Exercise: predict.** It took 87 steps for $k = 25$. How many will it take for $k = 100$, at the best rate there?
# (Within 5% is right.)

# %%
steps_at_100 = 346  # SOLUTION

# %% check="t08_steps"
checked = md.check.t08_steps(steps_at_100)

# %%
measured_at_100 = steps_down(lambda p: ravine(p, 100), (1, 1), sgd(100))
print(f"k = 100: {measured_at_100} steps")

# %% [markdown]
# Set $\left(\frac{k-1}{k+1}\right)^{2n} = \varepsilon$ and solve for $n$. For large $k$ the logarithm of the fraction
# is nearly $-2/k$, so
#
# $$n \approx \frac{k}{4} \ln\frac{1}{\varepsilon}.$$
#
# The steps grow with the condition number, and no choice of one rate changes that.
#
# ## Momentum
#
# Look at the leaps once more. Across the ravine each gradient contradicts the one before; along it all agree. What if
# the step followed not today's gradient but a sum of the last ones? What alternates would cancel, what agrees would
# add up. That sum is the **velocity** $v$, 0 at first, and in PyTorch's form
#
# $$v \leftarrow \mu v + g, \qquad w \leftarrow w - t\,v, \qquad 0 \le \mu < 1.$$
#
# If $g$ stays the same, $v$ grows to $g\,(1 + \mu + \mu^2 + \dots) = g / (1 - \mu)$: with $\mu = 0.9$ ten times the
# step.
#
# **Exercise: implement.** One step of it. `w`, `v` and `grad` are arrays of one shape, `lr` is $t$, `mu` is $\mu$.
# Return the new `w` and the new `v`, and leave those you were given as they are.


# %% exercise="t08_momentum"
def momentum_step(w, v, grad, lr, mu):
    """The weights and the velocity after one step of SGD with momentum."""
    # BEGIN SOLUTION
    v = mu * v + grad
    return w - lr * v, v
    # END SOLUTION


# %% check="t08_momentum"
checked = md.check.t08_momentum(momentum_step)

# %% [markdown]
# Take your steps into the ravine, $k = 25$ again. The best $t$ and $\mu$ for a ravine are known (Polyak, 1964):
# $t = \left(\frac{2}{1 + \sqrt{k}}\right)^2$ and $\mu = \left(\frac{\sqrt{k} - 1}{\sqrt{k} + 1}\right)^2$.


# %%
def polyak(k):
    """The best rate and momentum for curvatures from 1 to k."""
    root = math.sqrt(k)
    return (2 / (1 + root)) ** 2, ((root - 1) / (root + 1)) ** 2


curvatures = np.array([1.0, 25.0])
t, mu = polyak(25)
w, v, momentum_steps = np.array([1.0, 1.0]), np.zeros(2), 0
while np.sum(curvatures * w**2) > 1e-6 * np.sum(curvatures):
    w, v = checked.working(w, v, curvatures * w, t, mu)
    momentum_steps += 1
print(f"k = 25, t = {t:.3f}, mu = {mu:.3f}: {momentum_steps} steps instead of {steps_at_25}")

# %% [markdown]
# The library has the same two lines, written in place, with the layer's multiplier (later) in `scaled`:

# %%
print(inspect.getsource(md.optim.SGD.direction))

# %% [markdown]
# How do the steps grow with $k$ now? Both axes are logarithmic, so that a power of $k$ is a straight line, and its
# slope is the power.


# %%
def with_momentum(k):
    """SGD with the best rate and momentum for a ravine of condition number k."""
    t, mu = polyak(k)
    return lambda ps: md.optim.SGD(ps, lr=t, momentum=mu)


condition = [4, 25, 100, 400]
counted = {
    name: [steps_down(lambda p, k=k: ravine(p, k), (1, 1), method(k)) for k in condition]
    for name, method in {"SGD": sgd, "momentum": with_momentum}.items()
}
slope = {name: np.polyfit(np.log(condition), np.log(steps), 1)[0] for name, steps in counted.items()}

counts, ax = plt.subplots(figsize=(5.2, 3.2), layout="constrained")
for (name, steps), colour in zip(counted.items(), ("#0072B2", "#D55E00"), strict=True):
    ax.loglog(condition, steps, "o-", color=colour)
    for k, n in zip(condition, steps, strict=True):
        ax.annotate(f"{n}", (k, n), (-4, 5), textcoords="offset points", ha="right", fontsize=8)
    ax.annotate(f"{name}, slope {slope[name]:.2f}", (450, steps[-1]), va="center", color=colour, annotation_clip=False)
ax.set(xlabel="condition number k", ylabel="steps to a millionth of the loss", xlim=(2.6, 430), ylim=(6, 3000))
ax.set_xticks(condition, [str(k) for k in condition])
ax.minorticks_off()
ax.spines[["top", "right"]].set_visible(False)

# %% [markdown]
# SGD's steps grow as $k$, momentum's nearly as $\sqrt{k}$: for $k = 400$ a tenth of the steps. This is a ravine whose
# $k$ we knew. In a network nobody tells us $k$, and $\mu = 0.9$ is a guess that is seldom bad.
#
# ## Where does the rate stand?
#
# Caffe, the older framework, put the rate inside the velocity:
#
# $$v \leftarrow \mu v + t\,g, \qquad w \leftarrow w - v.$$
#
# As long as $t$ stays the same, these are the same steps; the velocities differ by the factor $t$. They part when $t$
# changes.
#
# **Exercise: predict.** The gradient is 1 in every step, $\mu = 0.9$, and $t = 0.1$ has been in force for so long
# that in both forms every step is $0.1 / (1 - 0.9) = 1$ long. Now $t$ falls to 0.01. How long is the very next step
# in Caffe's form?

# %%
next_step = 0.91  # SOLUTION

# %% check="t08_caffe"
checked = md.check.t08_caffe(next_step)


# %%
def step_lengths(form):
    """The lengths of 80 steps under a gradient of 1, where the rate falls to a tenth after the 50th."""
    p = md.nn.Parameter(md.Tensor(np.zeros(1)))
    optimizer = md.optim.SGD([p], lr=0.1, momentum=0.9, momentum_form=form)
    lengths = []
    for step in range(80):
        if step == 50:
            optimizer.lr = 0.01
        before = p.numpy().copy()
        optimizer.zero_grad()
        F.sum(p).backward()
        optimizer.step()
        lengths.append(abs(p.numpy() - before).item())
    return lengths


lengths = {form: step_lengths(form) for form in ("pytorch", "caffe")}
forms, ax = plt.subplots(figsize=(5.2, 2.6), layout="constrained")
for (form, steps), colour, height in zip(lengths.items(), ("#0072B2", "#D55E00"), (-0.04, 0.76), strict=True):
    ax.plot(range(1, 81), steps, ".-", color=colour, label=form)
    ax.annotate(f"{form}: {steps[50]:.2f} at step 51", (56, height), color=colour)
ax.axvline(50.5, color="#b9b9b9", linestyle=":")
ax.set(xlabel="step", ylabel="length of the step", ylim=(-0.1, 1.1))
ax.spines[["top", "right"]].set_visible(False)

# %% [markdown]
# In PyTorch's form today's rate holds for all that is in the velocity. In Caffe's each gradient keeps the rate of its
# own day, and a fall of the rate arrives about $1 / (1 - \mu)$ steps late. Neither is wrong; who copies a schedule
# from one to the other should know.
#
# ## Adam
#
# Momentum still has one $t$ for both directions. Could each coordinate get a step that fits its own curvature? Its
# gradients tell: where they are large, it is steep. **Adam** divides by their size. It keeps two running means for
# each coordinate, of the gradient and of its square. In the $k$-th step ($k = 1, 2, \dots$; here $k$ counts steps)
#
# $$u \leftarrow \beta_1 u + (1 - \beta_1)\, g, \qquad v \leftarrow \beta_2 v + (1 - \beta_2)\, g^2,$$
#
# $$w \leftarrow w - t\, \frac{u / (1 - \beta_1^k)}{\sqrt{v / (1 - \beta_2^k)} + \epsilon}.$$
#
# Why the divisions by $1 - \beta^k$? Both means begin at 0. After the first step $u = (1 - \beta_1)\, g$ is a tenth
# of $g$, and $v$ a thousandth of $g^2$ (for the usual $\beta_1 = 0.9$, $\beta_2 = 0.999$). Divided, they are $g$ and
# $g^2$, so the first step is $t$ long in each coordinate. Undivided it would be $0.1 / \sqrt{0.001} = 3.2$ times as
# long.
#
# **Exercise: implement.** One step of Adam. Return the new `w`, `u` and `v`.


# %% exercise="t08_adam"
def adam_step(w, u, v, k, grad, lr, beta1, beta2, eps):
    """The weights and both means after the k-th step of Adam; k = 1 is the first."""
    # BEGIN SOLUTION
    u = beta1 * u + (1 - beta1) * grad
    v = beta2 * v + (1 - beta2) * grad**2
    mean, square = u / (1 - beta1**k), v / (1 - beta2**k)
    return w - lr * mean / (np.sqrt(square) + eps), u, v
    # END SOLUTION


# %% check="t08_adam"
checked = md.check.t08_adam(adam_step)

# %% [markdown]
# Beside the library's, over 50 steps in the ravine:

# %%
p = md.nn.Parameter(md.Tensor(np.array([1.0, 1.0])))
optimizer = md.optim.Adam([p], lr=0.1)
w, u, v = np.array([1.0, 1.0]), np.zeros(2), np.zeros(2)
for step in range(1, 51):
    optimizer.zero_grad()
    ravine(p).backward()
    optimizer.step()
    w, u, v = checked.working(w, u, v, step, curvatures * w, 0.1, 0.9, 0.999, 1e-8)
apart = float(abs(w - p.numpy()).max())
print(f"largest difference after 50 steps: {apart:.1g}")

# %% [markdown]
# The three methods in one ravine. None of the rates is tuned to the last digit: this explains, it does not rank.

# %%
methods = {
    "SGD": lambda ps: md.optim.SGD(ps, lr=0.07),
    "momentum": lambda ps: md.optim.SGD(ps, lr=0.03, momentum=0.7),
    "Adam": lambda ps: md.optim.Adam(ps, lr=0.3),
}
three_methods = md.observe.optimizer_paths(ravine, (-4.5, 1.2), methods, steps=50, limits=((-5.2, 2.0), (-1.9, 1.9)))
paths = md.plot.optimizer_paths(three_methods)
paths

# %% [markdown]
# Adam's first steps go down the diagonal: $t$ in each coordinate, whatever the slope. It overshoots, having momentum
# too, and its steps do not shrink with the gradient: what is divided by its own size is as large near the bottom as
# far away.
#
# ## What does Adam know of a ravine?
#
# Turn the ravine by 45 degrees. It is the same valley, with the same heights; only the axes lie otherwise.


# %%
def turned(p, k=25):
    """The ravine, with its floor along the diagonal."""
    along, across = (p[0] + p[1]) / math.sqrt(2), (p[1] - p[0]) / math.sqrt(2)
    return 0.5 * (along**2 + k * across**2)


def adam(k):
    """Adam with the same rate for every k."""
    return lambda ps: md.optim.Adam(ps, lr=0.1)


counted["Adam"] = [steps_down(lambda p, k=k: ravine(p, k), (1, 1), adam(k)) for k in condition]
counted_turned = {
    name: [steps_down(lambda p, k=k: turned(p, k), (0, math.sqrt(2)), method(k)) for k in condition]
    for name, method in {"SGD": sgd, "momentum": with_momentum, "Adam": adam}.items()
}
print(f"{'k':18}" + "".join(f"{k:>6}" for k in condition))
for name in counted:
    print(f"{name:10}straight" + "".join(f"{n:>6}" for n in counted[name]))
    print(f"{'':10}turned  " + "".join(f"{n:>6}" for n in counted_turned[name]))

# %% [markdown]
# In the straight ravine Adam needs the same number of steps for every $k$: as if there were no ravine. In the turned
# one its steps grow with $k$.
#
# **Exercise: explain.** SGD and momentum need the same number of steps in both. Adam needs many more in the turned
# one. Why?
#
# a) The turned ravine has a larger largest curvature.
#
# b) Adam rescales each coordinate by itself, and in the turned ravine both coordinates see the same mixture.
#
# c) Adam's steps are longer on the diagonal, so that it overshoots.
#
# d) Adam's means have to begin anew when the ravine is turned.

# %%
reason = "b"  # SOLUTION

# %% check="t08_turned"
checked = md.check.t08_turned(reason)

# %% [markdown] own_words="t08_turned"
# In your own words:

# %% [markdown]
# ## Where are the ravines of a network?
#
# Ravines along the axes would be a strange accident. But a network has one kind that is not: between its **layers**.
# Take a network of three dense layers with sigmoids, on the digits, and ask for the largest curvature among all
# directions that move one layer alone. (The second derivatives come from differentiating the gradient once more. You
# need not know how.)

# %%
data = md.data.digits().train


def network():
    """64 - 32 - 32 - 10 with sigmoids, always with the same weights at first."""
    md.seed(0)
    return md.models.mlp((64, 32, 32, 10), "sigmoid")


model = network()
loss = F.cross_entropy(model(md.Tensor(data.inputs)), data.labels)
largest = {name: found.largest for name, found in md.curvature.layer_eigenvalues(loss, model, steps=30).items()}
for name, curvature in largest.items():
    print(f"{name}: largest curvature {curvature:.4f}, so in a bowl of that curvature rates up to {2 / curvature:.3g}")

# %% [markdown]
# The last layer is hundreds of times as steep as the first. One rate for all has to suit the last. (A network is no
# bowl: its curvatures change as it learns, and some are negative. $2 / \lambda$ is the order of magnitude, no more.)
# Try it on all training digits at once, with the last layer alone:

# %%
rises = {}
for t in (1.0, 3.0):
    model = network()
    optimizer = md.optim.SGD(model.fc3.parameters(), lr=t)
    losses = []
    for _ in range(25):
        model.zero_grad()
        loss = F.cross_entropy(model(md.Tensor(data.inputs)), data.labels)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    rises[t] = int(np.sum(np.diff(losses) > 0))
    print(f"t = {t}: the loss goes from {losses[0]:.2f} to {losses[-1]:.2f} and rises in {rises[t]} of 24 steps")

# %% [markdown]
# ## Who moves whom?
#
# Does that show in a training? The next figure has a row for each layer, and time runs to the right; the colour is
# how far a step moves a layer's weights, as a part of their size. About a thousandth is commonly aimed at.
#
# The three methods differ in how they make a step of gradients. Independent of it is a second choice: **by what the
# step of each layer is multiplied**. In minidl it is an argument of its own, `layer_rate`, and every method takes it:
# a function that is shown a layer and returns a number. Here it is as simple as can be.


# %%
def first_layer_faster(view):
    """Four times the rate for the layer fc1, the plain rate for all others."""
    return 4.0 if view.name == "fc1" else 1.0


choices = {
    "SGD": lambda model, rate: md.optim.SGD(model, lr=0.5, layer_rate=rate),
    "momentum": lambda model, rate: md.optim.SGD(model, lr=0.05, momentum=0.9, layer_rate=rate),
    "Adam": lambda model, rate: md.optim.Adam(model, lr=0.01, layer_rate=rate),
}

# %% [markdown]
# First the three methods with one rate for all layers (`rate=None`), the same weights and the same batches for each.


# %%
def train(make, rate, steps=300):
    """Train the network in batches of 32, and record what each step does to each layer."""
    model = network()
    optimizer = make(model, rate)
    loader = md.data.Loader(data, batch_size=32, seed=0)
    with md.observe.GradientFlow(model, optimizer, steps=steps, every=2) as flow:
        while optimizer.step_count < steps:
            for inputs, labels in loader:
                if optimizer.step_count == steps:
                    break
                optimizer.zero_grad()
                F.cross_entropy(model(md.Tensor(inputs)), labels).backward()
                optimizer.step()
    return flow.recording


uniform = {name: train(make, None) for name, make in choices.items()}
heat = md.plot.update_heatmap(uniform)
heat

# %% [markdown]
# With SGD and with momentum the last layer moves by a far larger part of itself than the first, which waits, and with
# it the loss. (Momentum has a tenth of SGD's rate here, and $1 / (1 - \mu) = 10$ gives it back: the two losses lie
# close together.) Adam, which divides by the size of the gradients, moves all layers alike from the first step on.
#
# Now the second choice:

# %%
faster = {f"{name}, fc1 x 4": train(make, first_layer_faster) for name, make in choices.items()}
md.plot.update_heatmap(faster)

# %%
final = {name: float(recording.loss[-10:].mean()) for name, recording in {**uniform, **faster}.items()}
first = {name: recording.update_ratio[0] for name, recording in {**uniform, **faster}.items()}
for name in choices:
    factor = first[f"{name}, fc1 x 4"] / first[name]
    print(f"{name:9} first step of fc1, fc2, fc3 times {factor.round(3)}; ", end="")
    print(f"final loss {final[name]:.2f}, with the layer rate {final[f'{name}, fc1 x 4']:.2f}")

# %% [markdown]
# The first step of fc1 is four times as long with every method, and the others are as they were. The loss falls
# further too, here. But one such run proves little: nobody has tuned the base rate of either. How to compare fairly,
# and how a rate for each layer can be found from its gradient, is tutorial 11.
#
# There is a catch in Adam that a good design has to get around.
#
# **Exercise: predict.** Multiply the loss by 100, and with it every gradient. By what factor is Adam's *first step*
# longer?

# %%
factor = 1.0  # SOLUTION

# %% check="t08_scaled"
checked = md.check.t08_scaled(factor)

# %% [markdown]
# So a layer rate that multiplied the gradient before Adam saw it would do nothing at all. In minidl the multiplier
# $m$ goes into what a step is made of and never into what it is divided by. Compare $u$ and $v$:
#
# - SGD: the step is $t\, m\, g$;
# - momentum: $v \leftarrow \mu v + m\, g$, and the step is $t\, v$;
# - Adam: $u \leftarrow \beta_1 u + (1 - \beta_1)\, m\, g$, but $v \leftarrow \beta_2 v + (1 - \beta_2)\, g^2$.

# %%
print(inspect.getsource(md.optim.Adam.direction))

# %% [markdown]
# ## One step, slowly
#
# The second step of momentum in the ravine, on a tape: forward, backward, and how the optimizer moves `p`. Before you
# turn to the last event, work out $v$ and the new `p` from the two gradients. The same as a page:
# [pages/08_step.html](pages/08_step.html).

# %%
p = md.nn.Parameter(md.Tensor(np.array([1.0, 1.0])), name="p")
scale = md.Tensor(np.array([1.0, 25.0]))
optimizer = md.optim.SGD([p], lr=0.02, momentum=0.5)
F.sum(0.5 * scale * p**2).backward()
optimizer.step()
print("first gradient", p.grad.numpy(), "and p after it", p.numpy())
optimizer.zero_grad()
with md.record(title="the second step of momentum") as tape:
    loss = F.sum(0.5 * scale * p**2)
    loss.backward()
    optimizer.step()
tape

# %% [markdown]
# ## What remains
#
# - The largest curvature bounds the rate: $t < 2 / \lambda_{\max}$. The smallest decides what that costs: with one
#   rate, steps in proportion to the condition number; with momentum, to its root.
# - Momentum adds up what agrees. PyTorch's form multiplies the velocity by today's rate, Caffe's each gradient by its
#   own.
# - Adam divides each coordinate by its own size: it levels ravines along the axes, between layers above all, and not
#   others.
# - Method and layer rate are two choices, made independently.

# %% tags=["teacher"]
slides = {
    "08_paths": md.plot.optimizer_paths(three_methods, style="slides"),
    "08_updates": md.plot.update_heatmap(uniform, style="slides"),
}
pages = {"08_step": tape}
