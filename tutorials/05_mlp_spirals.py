# %% [markdown]
# # 05. An MLP on spirals
#
# **Afterwards you can** write the loop that trains a network, say beforehand what its loss begins with, and read its
# curves: too slow, healthy, broken.
#
# **It needs** tutorials 1 to 4, above all the training step of tutorial 4. **It takes** 50 minutes.

# %%
import matplotlib.pyplot as plt
import numpy as np

import minidl as md
import minidl.functional as F

# %% [markdown]
# ## What a straight line cannot do
#
# Three arms wind around each other. 300 points to learn from, and 300 new ones of the same kind, the **validation**
# points, which the network never learns from.

# %%
train = md.data.spirals(300, classes=3, noise=0.03, seed=0)
validation = md.data.spirals(300, classes=3, noise=0.03, seed=1)
print(train.inputs.shape, train.inputs.dtype, train.labels[:6])

# %% [markdown]
# A **multi-layer perceptron** (MLP) computes, layer by layer,
#
# $$h_1 = \mathrm{relu}(x W_1^T + b_1), \quad h_2 = \mathrm{relu}(h_1 W_2^T + b_2), \quad s = h_2 W_3^T + b_3,$$
#
# with $\mathrm{relu}(z) = \max(z, 0)$, whose derivative is 1 for $z > 0$ and 0 for $z < 0$. The three scores $s$ go
# to the cross-entropy, as in tutorial 4. `md.nn.Linear` keeps $W$ with one row for each output, as PyTorch does,
# hence the transposes. `md.models.mlp((2, 32, 32, 3), "relu")` has two inputs, 32 units in each of two hidden layers,
# and three outputs. `md.Tensor(a)` makes a tensor around an array `a`; `md.tensor(a)`, as so far, copies it first.


# %%
def new_model(sizes=(2, 32, 32, 3)):
    """An MLP with the same random weights each time."""
    md.seed(0)
    return md.models.mlp(sizes, "relu")


model = new_model()
print(model)

# %% [markdown]
# **Exercise: predict.** How many numbers does this network learn? Count the weights and the biases of its three
# layers.

# %% exercise="t05_parameters"
parameters = (2 * 32 + 32) + (32 * 32 + 32) + (32 * 3 + 3)  # SOLUTION

# %% check="t05_parameters"
checked = md.check.t05_parameters(parameters)

# %%
for layer_name, layer in model.layers():
    print(layer_name, layer.weight.shape, layer.bias.shape)
print("in all:", sum(p.size for p in model.parameters()))

# %% [markdown]
# ## The loss before anything is learned
#
# At the start the weights are small random numbers, so the three scores of a point are all near 0.
#
# **Exercise: predict.** What is the cross-entropy of three classes then, about? (To 2%. You do not need the network,
# only the formula $L = -\ln p_y$.)

# %% exercise="t05_first_loss"
first_loss = np.log(3)  # SOLUTION

# %% check="t05_first_loss"
checked = md.check.t05_first_loss(first_loss)


# %%
def loss_on(model, data):
    """The loss of all examples of a data set, without a history."""
    with md.no_grad():
        return F.cross_entropy(model(md.Tensor(data.inputs)), data.labels).item()


print(f"measured at the start: {loss_on(model, train):.3f}")

# %% [markdown]
# This is the cheapest test of a training there is: one number, before the first step. A loss of 3 at the start would
# mean scores that are far from 0; a loss of 0.3, that the answer has leaked into the input.
#
# The loss is what is made small. What one wants to know is the **accuracy**: the share of the points whose highest
# score is that of their own class.
#
# **Exercise: implement** the accuracy. `model(md.Tensor(x))` gives the scores, one row for each point; `.numpy()` of
# a tensor is its array. No gradient is needed here: `with md.no_grad():`, as in `loss_on`, keeps no history (you may
# do without it).


# %% exercise="t05_accuracy"
def accuracy(model, x, labels):
    """The share, from 0 to 1, of the rows of x that get their own label."""
    # BEGIN SOLUTION
    with md.no_grad():
        scores = model(md.Tensor(x)).numpy()
    return float((scores.argmax(axis=1) == labels).mean())
    # END SOLUTION


# %% check="t05_accuracy"
checked = md.check.t05_accuracy(accuracy)
accuracy = checked.working

# %% [markdown]
# ## The loop
#
# One step on all 300 points would be a step of tutorial 4. It is cheaper to step after each **batch** of 50: its
# gradient is an estimate of the whole one, at a sixth of the work. A `Loader` hands out the batches, in a new order
# each time; once through all of them is an **epoch**.

# %%
batches = md.data.Loader(train, batch_size=50, seed=0)
for x, y in batches:
    print(x.shape, y.shape, end="  ")

# %% [markdown]
# What happens to one batch is the step you know: [pages/05_one_batch.html](pages/05_one_batch.html) shows it for a
# network with three hidden units and six points, in its five phases.
#
# **Exercise: implement** an epoch. For each batch `x, y`: empty the gradients, compute the loss of
# `model(md.Tensor(x))`, go backward, let the optimizer step. Return the mean loss *of an example*: a last batch may
# be smaller than the others, and then it counts for less. So add up `loss.item() * len(y)`, and divide by the number
# of examples.


# %% exercise="t05_train_epoch"
def train_epoch(model, optimizer, batches):
    """Train on each batch once; returns the mean loss of an example, a number."""
    # BEGIN SOLUTION
    total, examples = 0.0, 0
    for x, y in batches:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(md.Tensor(x)), y)
        loss.backward()
        optimizer.step()
        total += loss.item() * len(y)
        examples += len(y)
    return total / examples
    # END SOLUTION


# %% check="t05_train_epoch"
checked = md.check.t05_train_epoch(train_epoch)
train_epoch = checked.working

# %% [markdown]
# ## A training
#
# Now 100 epochs with the rate 0.5. `md.observe.GradientFlow` watches each layer meanwhile, and changes nothing. From
# time to time the network is asked for its answer everywhere in the plane.


# %%
def train_for(epochs, rate, look_at=()):
    """Train a new model; returns what was seen: losses, accuracies, the layers' updates, the plane at some epochs."""
    model = new_model()
    optimizer = md.optim.SGD(model, lr=rate)
    batches = md.data.Loader(train, batch_size=50, seed=0)
    seen = {"train": [], "validation": [], "accuracy": [], "plane": {}, "start": loss_on(model, train)}
    with md.observe.GradientFlow(model, optimizer) as flow:
        for epoch in range(epochs + 1):
            if epoch in look_at:
                seen["plane"][f"after {epoch} epochs"] = md.observe.decision_boundary(model, train)
            if epoch < epochs:
                seen["train"].append(train_epoch(model, optimizer, batches))
                seen["validation"].append(loss_on(model, validation))
                seen["accuracy"].append(accuracy(model, validation.inputs, validation.labels))
    return seen | {"flow": flow.recording, "model": model}


run = train_for(100, rate=0.5, look_at=(0, 10, 40, 100))
for epoch in (1, 10, 40, 100):
    numbers = [run[name][epoch - 1] for name in ("train", "validation", "accuracy")]
    print("epoch {}: training loss {:.2f}, validation loss {:.2f}, accuracy {:.0%}".format(epoch, *numbers))

# %% [markdown]
# What did it find, and in which order?

# %%
planes = md.plot.decision_boundary(run["plane"])
planes

# %% [markdown]
# A point on ground of another colour is a mistake, ringed in black; a deep colour is a sure answer. First come three
# sectors, which is what nearly straight borders can do. Then the borders bend, until they wind as the arms do; the
# last mistakes are in the middle, where the arms are close. A relu unit gives the border a kink; with 64 of them it
# can wind. Note the corners, where there are no points: the network is sure there, too. Nothing was learned there.
#
# ## Reading the curves


# %%
def draw_losses(curves, size=(7, 3.4)):
    """Losses against epochs, each named where its line ends; dotted: ln 3, the loss of who knows nothing."""
    figure, ax = plt.subplots(figsize=size, layout="constrained")
    for (name, losses), colour in zip(curves.items(), ("#0072B2", "#D55E00", "#009E73"), strict=False):
        ax.plot(range(1, len(losses) + 1), losses, color=colour, linewidth=1.2)
        up = {"training": 1, "validation": 13, "rate 3": 3}.get(name, 0)  # points
        end = (len(losses), losses[-1])
        ax.annotate(name, end, (6, up), textcoords="offset points", va="center", color=colour)
    ax.plot([0, len(losses)], [np.log(3)] * 2, color="grey", linestyle=":")
    ax.set_yticks([0, 0.25, 0.5, 0.75, np.log(3), 1.5], ["0", "0.25", "0.50", "0.75", "ln 3", "1.50"])
    ax.set(xlabel="epoch", ylabel="loss", ylim=(0, 1.5), xlim=(0, len(losses) * 1.18))
    ax.spines[["top", "right"]].set_visible(False)
    return figure


healthy = draw_losses({"training": run["train"], "validation": run["validation"]})
early = np.mean(np.array(run["validation"][:40]) < np.array(run["train"][:40]))
print(f"in {early:.0%} of the first 40 epochs the validation loss is the lower one")

# %% [markdown]
# Three things to know of such curves. The training loss of an epoch is averaged *while* the network improves, the
# validation loss is measured *after* the epoch: so a validation loss that is the lower one is no mistake. Single
# epochs jump up and recover: 0.5 is a large rate for this network; with 0.1 the curve is smoother, and slower. And
# the two stay together to the end: what it learned of 300 points holds for 300 new ones.
#
# ## Three rates
#
# The same network, the same start, the same batches, with a rate of 0.01, of 0.5 and of 3.

# %%
runs = {"rate 0.01": train_for(100, 0.01), "rate 0.5": run, "rate 3": train_for(100, 3.0, look_at=(100,))}
rates = draw_losses({name: seen["train"] for name, seen in runs.items()})
for name, seen in runs.items():
    print(f"{name}: at the end training loss {seen['train'][-1]:.2f}, accuracy {seen['accuracy'][-1]:.0%}")

# %% [markdown]
# A rate that is too small and one that is too large can end at nearly the same loss. How to tell them apart? By how
# far a step moves the weights: $\|\Delta W\| / \|W\|$ of each layer. About a thousandth is a common aim.

# %%
updates = md.plot.update_lines({name: seen["flow"] for name, seen in runs.items()})
updates

# %% [markdown]
# With 0.01 the first layer moves by a ten-thousandth in a step: on its way, but it would take many more epochs. With
# 0.5 all layers move by some thousandths to some hundredths. With 3 there are about a hundred large steps, some of
# the first ones as large as the weights themselves, and then *none*: in the row "0" are the steps in which no weight
# moved. Now the plane, as this network sees it:

# %%
stuck = md.plot.decision_boundary(runs["rate 3"]["plane"])
stuck

# %% [markdown]
# **Exercise: explain.** The loss of rate 3 stays near 1.1. Why?
#
# a) The steps are so small that 100 epochs are not enough.
#
# b) The huge first steps have made every hidden unit of a layer 0 for every training point. What is left are the last
# biases: one answer for all points, about a third for each class; and through a relu at 0 no gradient comes back.
#
# c) It has learned one of the three arms, and would need more epochs for the other two.

# %% exercise="t05_stuck"
why = "b"  # SOLUTION

# %% check="t05_stuck"
checked = md.check.t05_stuck(why)

# %% [markdown] own_words="t05_stuck"
# In your own words:

# %%
points = md.Tensor(train.inputs)
for name, seen in runs.items():
    fc1, act1, fc2, act2, fc3 = seen["model"].children()
    with md.no_grad():
        h1 = act1(fc1(points)).numpy()
        h2 = act2(fc2(md.Tensor(h1))).numpy()
    alive = [int((h > 0).any(axis=0).sum()) for h in (h1, h2)]
    print(f"{name}: units that are above 0 for at least one point: {alive[0]} and {alive[1]} of 32")

# %% [markdown]
# "For every training point" does not mean everywhere: far from all points, in a corner of the plane, some unit of that
# layer is above 0 still. No point is there to bring it back.
#
# ## What to keep
#
# - Before the first step: is the loss near $\ln C$, with $C$ classes?
# - The loop: `zero_grad`, loss, `backward`, `step`, for each batch. Report the mean of an example.
# - A flat curve has more than one reason. Look at the updates: tiny is too small a rate; none is a dead network.
# - What the borders look like far from all data means nothing.
#
# `md.fit(model, optimizer, batches, epochs=100)` is this loop with a progress bar, a history and checkpoints. How
# each figure misleads: `docs/figures.md` in the documentation of minidl.

# %% tags=["teacher"]
small = new_model((2, 3, 3))
optimizer = md.optim.SGD(small, lr=0.5)
with md.record(title="one batch") as tape:
    optimizer.zero_grad()
    loss = F.cross_entropy(small(md.Tensor(train.inputs[:6])), train.labels[:6])
    loss.backward()
    optimizer.step()
slides = {
    "05_planes": md.plot.decision_boundary(run["plane"], style="slides"),
    "05_updates": md.plot.update_lines({name: seen["flow"] for name, seen in runs.items()}, style="slides"),
}
pages = {"05_one_batch": tape}
