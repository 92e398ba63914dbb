# %% [markdown]
# # 11. A rate for each layer
#
# **Afterwards you can** write the rule of layer-specific adaptive rates (Singh, De, Zhang, Goldstein and Taylor,
# [arXiv:1510.04609](https://arxiv.org/abs/1510.04609)) in ten lines, say beforehand what it makes of a gradient, and
# tell with control runs when it helps and when it is just a larger rate.
#
# **It needs** tutorials 8 (SGD and its rate), 9 (why the gradients of the first layers are small) and 10.
#
# **It takes** 50 minutes.

# %%
import numpy as np

import minidl as md
import minidl.functional as F

digits = md.data.digits()

# %% [markdown]
# ## One rate for layers that differ?
#
# Tutorial 9 left a network of sigmoid units with gradients that get smaller from layer to layer on their way back.
# SGD gives all layers one rate $t$, so the first layers also make the smallest steps. Why not give those a larger
# rate?
#
# Here are three hidden layers of 32 sigmoid units, before their first step. The norm $\lVert g_l \rVert$ of a layer's
# gradient is taken over **its weights and biases together**: all their squares are added up, then comes the root.


# %%
def network(hidden=3):
    """Hidden layers of 32 sigmoid units each, for the digits; each weight within sqrt(3 / inputs) of 0."""
    return md.models.mlp((64, *[32] * hidden, 10), "sigmoid", md.nn.init.xavier_caffe_)


md.seed(0)
model = network()
F.cross_entropy(model(md.Tensor(digits.train.inputs[:32])), digits.train.labels[:32]).backward()
first_norms = {}
for name, layer in model.layers():
    squares = sum(float((p.grad.data**2).sum()) for p in layer.parameters())
    first_norms[name] = np.sqrt(squares)
    print(f"{name}: {first_norms[name]:.4f}")

# %% [markdown]
# From the last layer to the first the norm falls by a factor of more than 30. A rate that much larger for `fc1` would
# make up for it. But the factor is another one in each network and at each step, so the rate has to follow the
# gradient.
#
# ## The rule
#
# The paper's rule gives layer $l$, at each step, the rate
#
# $$t_l = t \cdot m_l, \qquad m_l = 1 + \ln\!\Big(1 + \frac{1}{\lVert g_l \rVert_2}\Big)$$
#
# and then makes the step of SGD: $w \leftarrow w - t_l\, g$ for each weight and bias of that layer. We call $m_l$ the
# *multiplier*. (The full text of the paper could not be had for this tutorial. The form of the rule is that of an
# independent reimplementation, which takes $\log_{10}$; which logarithm the paper takes is not known to us. Here it
# is the natural one.)
#
# The logarithm is the whole point. A small gradient is divided out only a little:
#
# | norm $\lVert g_l \rVert$ | 100 | 10 | 1 | 0.1 |
# | --- | --- | --- | --- | --- |
# | multiplier $m_l$ | 1.010 | 1.095 | 1.693 | 3.398 |
#
# **Exercise: predict.** Which multiplier does a layer get whose gradient has the norm 0.01? No computer is needed:
# $\ln 100 \approx 4.605$. (Within 2%.)

# %% exercise="t11_predict_multiplier"
multiplier_at_001 = 5.615  # SOLUTION

# %% check="t11_predict_multiplier"
checked = md.check.t11_predict_multiplier(multiplier_at_001)

# %% [markdown]
# **Exercise: predict.** One layer has a gradient of norm 1, another one of norm 0.0001: ten thousand times smaller.
# How many times larger is the rate of the second layer? (Within 5%; $\ln 2 \approx 0.693$, $\ln 10000 \approx 9.21$.)

# %% exercise="t11_predict_factor"
factor_of_rates = 6.03  # SOLUTION

# %% check="t11_predict_factor"
checked = md.check.t11_predict_factor(factor_of_rates)

# %% [markdown]
# So four decades of gradient (a decade is a factor of ten) become a factor of 6 between the rates. The steps
# $t_l g_l$ of the two layers still differ by more than a thousand: **the rule helps a small gradient; it does not
# rescue a vanished one.** And note that the multiplier is **always above 1**. Whatever this rule does, it also raises
# the rate of *every* layer.
#
# ## In ten lines
#
# **Exercise: implement.** Write the multiplier of one layer. `params` and `gradients` are lists of arrays, here the
# weights and the biases and their gradients; the multiplier is one number. (`np.log` is the natural logarithm.)


# %% exercise="t11_multiplier"
def multiplier(params, gradients):
    """1 + ln(1 + 1/||g||), the norm over all gradients of the layer."""
    # BEGIN SOLUTION
    norm = np.sqrt(sum((g**2).sum() for g in gradients))
    return 1 + np.log(1 + 1 / norm)
    # END SOLUTION


# %% check="t11_multiplier"
checked = md.check.t11_multiplier(multiplier)

# %%
one_multiplier = checked.working

# %% [markdown]
# **Exercise: implement.** Now a step of the whole model. `layers` has for each layer its name and the pair (params,
# gradients) as above; return the new parameters: for each name the list of arrays. `multiplier` above may be used, or
# `one_multiplier`, which is yours if it passed.


# %% exercise="t11_step"
def layer_specific_step(layers, lr):
    """The new parameters of each layer: w - lr m_l g."""
    # BEGIN SOLUTION
    new = {}
    for name, (params, gradients) in layers.items():
        rate = lr * one_multiplier(params, gradients)
        new[name] = [w - rate * g for w, g in zip(params, gradients, strict=True)]
    return new
    # END SOLUTION


# %% check="t11_step"
checked = md.check.t11_step(layer_specific_step)

# %% [markdown]
# The library has the rule as a *layer rate*, an argument that each of its optimizers takes:
# `md.optim.SGD(model, lr=0.5, layer_rate=md.optim.LayerSpecific())`. Does it make the same step?

# %%
layers = {
    name: ([p.data.copy() for p in layer.parameters()], [p.grad.data.copy() for p in layer.parameters()])
    for name, layer in model.layers()
}
mine = checked.working(layers, 0.5)
optimizer = md.optim.SGD(model, lr=0.5, layer_rate=md.optim.LayerSpecific())
optimizer.step()
apart = max(
    np.abs(p.data - w).max()
    for name, layer in model.layers()
    for p, w in zip(layer.parameters(), mine[name], strict=True)
)
print("the same weights as the library's, to 1e-6:", apart < 1e-6)
optimizer.layer_report()

# %% [markdown]
# They agree to the last digits of float32. A layer rate may also be a function of your own: it is shown one layer
# (`view.params`, `view.gradients`) and returns the multiplier,
# `layer_rate=lambda view: one_multiplier(view.params, view.gradients)`.
#
# ## Where the layers lie on the curve
#
# Now train, and watch. `train` makes 400 steps with batches of 32 digits.

# %%
STEPS, LOOK = 400, 40


def start(lr, rule=None, seed=0, hidden=3):
    """A network with the weights that belong to `seed`, and SGD with one rate or a rule for the layers."""
    md.seed(seed)
    model = network(hidden)
    return model, md.optim.SGD(model, lr=lr, layer_rate=rule)


# %%
def train(model, optimizer, seed=0, steps=STEPS):
    """Train in the order of the data of `seed`: losses, multipliers, looks at the validation digits."""
    losses, multipliers, looks = [], [], []
    loader = md.data.Loader(digits.train, batch_size=32, shuffle=True, seed=seed)
    while len(losses) < steps:
        for x, y in loader:
            loss = F.cross_entropy(model(md.Tensor(x)), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
            if isinstance(optimizer.layer_rate, md.optim.LayerSpecific):
                multipliers.append([report.multiplier for report in optimizer.layer_report().values()])
            if len(losses) % LOOK == 0:
                looks.append(md.evaluate(model, digits.validation, batch_size=360))
            if len(losses) == steps:
                break
    return {"loss": losses, "multipliers": np.array(multipliers), "looks": looks, "final": looks[-1].loss}


# %%
def watch(lr, rule=None, steps=STEPS, every=8):
    """Train, with a recorder of the gradients and the updates."""
    model, optimizer = start(lr, rule)
    with md.observe.GradientFlow(model, optimizer, every=every) as flow:
        run = train(model, optimizer, steps=steps)
    return run, flow.recording


_, early_flow = watch(0.5, md.optim.LayerSpecific(), steps=LOOK, every=1)
per_layer, layer_flow = watch(0.5, md.optim.LayerSpecific())
rules = {"one rate": md.optim.Uniform(), "layer-specific": md.optim.LayerSpecific()}
md.plot.rate_curve({f"the first {LOOK} steps": early_flow, f"all {STEPS} steps": layer_flow}, rules)

# %% [markdown]
# The falling line is the rule. A dot is a layer at the last step of its panel, and its trail shows where it has been
# before. In the first steps the layers lie far apart on the line: `fc1` gets a rate two to three times that of `fc4`.
# At the end they lie side by side, and the rule gives all of them nearly the same rate.

# %%
spread = per_layer["multipliers"].max(axis=1) / per_layer["multipliers"].min(axis=1)
mean_multiplier = per_layer["multipliers"].mean()
print(f"largest over smallest multiplier: {spread[0]:.2f} at step 1, {spread[-40:].mean():.2f} over the last 40 steps")
print(f"mean multiplier over layers and steps: {mean_multiplier:.2f}")

# %% [markdown]
# Keep the second number in mind: this run had, on the average, a rate **three times as large** as its base rate.
#
# ## It learns earlier. Why?
#
# How far does each layer move in a step? The colour is the norm of the update over the norm of the weights: yellow is
# a tenth, dark blue a thousandth. On the left is one rate, $t = 0.5$; in the middle the rule with the same $t$. The
# panel on the right has one rate for all layers again, but multiplied by the mean multiplier of the middle run.

# %%
one_rate, one_flow = watch(0.5)
larger, larger_flow = watch(0.5 * mean_multiplier)
md.plot.update_heatmap({"one rate": one_flow, "layer-specific": layer_flow, "one rate x mean": larger_flow})

# %% [markdown]
# Left and middle tell the usual story: without the rule it learns nothing, with it it learns. **That comparison is
# not fair.** The middle run also had a larger rate in *every* layer. The panel on the right says how much of the gain
# is due to that alone: with the larger rate this network leaves its plateau, too. But it does so later, and in the
# typical step its first layer moves less than a quarter as far as with the rule.
#
# So there is more than one explanation, and each needs a control run of its own:
#
# | run | its rate is | if it does as well as the rule, then |
# | --- | --- | --- |
# | x mean | $t$ times the mean multiplier of the whole layer-specific run | a larger rate explains it |
# | x mean of step | $t$ times the mean multiplier at that step | a rate that changes in time explains it |
# | one rate, tuned | the best of a search | one good rate is enough |
#
# The second one *replays* the layer-specific run of the same seed: from the same weights, with the same batches, at
# each step the mean over the layers of that run's multipliers (`md.optim.Replayed(means)`). It differs from the rule
# in one thing only: at each step all layers have the same rate.
#
# ## A race with its controls
#
# A base rate must not favour a method. So first each of the two rules is tuned over the *same* rates, on a seed that
# is not reported, by its loss on the validation digits. (This takes some seconds.)

# %%
GRID, TUNING_SEED, SEEDS = (0.25, 1.0, 4.0, 16.0), 100, (0, 1, 2)
RULES = {"one rate": None, "layer-specific": md.optim.LayerSpecific()}

sweep = np.zeros((len(RULES), len(GRID), 1))
for i, rule in enumerate(RULES.values()):
    for j, lr in enumerate(GRID):
        sweep[i, j, 0] = train(*start(lr, rule, TUNING_SEED), TUNING_SEED)["final"]
tuned = {name: GRID[int(np.argmin(losses))] for name, losses in zip(RULES, sweep[:, :, 0], strict=True)}
print(tuned)

# %%
base = tuned["layer-specific"]
runs = {name: [] for name in ("one rate", "layer-specific", "x mean", "x mean of step", "one rate, tuned")}
for seed in SEEDS:
    with_rule = train(*start(base, md.optim.LayerSpecific(), seed), seed)
    means = with_rule["multipliers"].mean(axis=1)  # over the layers, at each step
    runs["layer-specific"].append(with_rule)
    runs["one rate"].append(train(*start(base, None, seed), seed))
    runs["x mean"].append(train(*start(base * means.mean(), None, seed), seed))
    runs["x mean of step"].append(train(*start(base, md.optim.Replayed(means), seed), seed))
    runs["one rate, tuned"].append(train(*start(tuned["one rate"], None, seed), seed))

final = {name: np.array([run["final"] for run in three]) for name, three in runs.items()}
for name, losses in final.items():
    print(f"{name:16} final validation loss of each seed: ", *(f"{loss:.2f}" for loss in losses))

# %%
shape = len(runs), len(SEEDS), STEPS
race = md.observe.RaceRecording(
    arms=list(runs),
    seeds=SEEDS,
    steps=np.arange(1, STEPS + 1),
    loss=[[run["loss"] for run in three] for three in runs.values()],
    seconds=np.full(shape, np.nan),  # nobody has looked at the clock
    eval_steps=np.arange(LOOK, STEPS + 1, LOOK),
    accuracy=[[[look.accuracy for look in run["looks"]] for run in three] for three in runs.values()],
    sweep_arms=list(RULES),
    sweep_rates=GRID,
    sweep_loss=sweep,
)
md.plot.race(race, against="steps")

# %% [markdown]
# Lines are medians of the three seeds, bands go from the lowest to the highest. On the right is the search for the
# base rate; its ring must not lie at the end of the grid, or the grid was too narrow.
#
# Read it as a referee:
#
# - Against "one rate", with the same base rate, the rule wins by far. That alone says nothing.
# - Against both controls and against the tuned rate it ends with the lowest **validation** loss in each of the three
#   seeds. So in this network, after these 400 steps, it helps, and because it is *per layer*.
# - The caption under the figure is more careful: it looks at the training loss of the last few batches, and there the
#   bands overlap. And on the way "x mean of step" is at times ahead.
# - It is not a law. This is one network, chosen because its gradients vanish; three seeds, a coarse grid tuned on one
#   seed, a training that is far from its end.
#
# How much the last point matters is known. `minidl compare` runs this very network with five seeds, eight base rates
# and 1,360 steps, and pronounces a verdict by a rule that was fixed before. Its answer, when this was written:
# *explained by the larger rate*. The layer-specific rule was the first to get 90% of the digits right (after 612
# steps in the median, all others after 816 or more; against "x mean" five seeds do not prove even that), but one
# tuned rate ended as well. **What the rule bought was at most a shorter plateau, not a better network.** (It takes
# some minutes; try it.)
#
# ## The same rule where the layers are alike
#
# Now the same with **one** hidden layer, at a base rate of 0.2.

# %%
shallow, shallow_spread = {name: [] for name in ("one rate", "layer-specific", "x mean", "x mean of step")}, []
for seed in SEEDS:
    with_rule = train(*start(0.2, md.optim.LayerSpecific(), seed, hidden=1), seed, steps=120)
    means = with_rule["multipliers"].mean(axis=1)
    shallow["layer-specific"].append(with_rule["final"])
    shallow["one rate"].append(train(*start(0.2, None, seed, hidden=1), seed, steps=120)["final"])
    shallow["x mean"].append(train(*start(0.2 * means.mean(), None, seed, hidden=1), seed, steps=120)["final"])
    replayed = start(0.2, md.optim.Replayed(means), seed, hidden=1)
    shallow["x mean of step"].append(train(*replayed, seed, steps=120)["final"])
    shallow_spread.append((with_rule["multipliers"].max(axis=1) / with_rule["multipliers"].min(axis=1)).max())

for name, losses in shallow.items():
    print(f"{name:16} final validation loss of each seed: ", *(f"{loss:.3f}" for loss in losses))
print("largest over smallest multiplier, at most:", *(f"{factor:.2f}" for factor in shallow_spread))

# %% [markdown]
# Beside "one rate" the rule has about half the loss: that could be printed as a success. And again the controls
# decide, this time the other way: one rate, multiplied by the mean multiplier, gives the same loss within 3% in each
# seed. The two layers have gradients of similar norms, so their multipliers are never further apart than a factor of
# 1.6, and **nothing is left of the rule but a larger rate**.
#
# That is how to tell beforehand. Look at the norms of the layers' gradients (`optimizer.layer_report()`):
#
# - they are alike: the rule is a larger rate; tune the rate instead;
# - they differ by decades while the network sits on a plateau: the rule may help, and the controls must say so.
#   Tutorial 10 has other remedies (ReLU, initialisation, normalisation), which make the gradients alike in the first
#   place.
#
# **Exercise: explain.** The layer-specific run ends with a lower loss than the run with one rate, both with the same
# base rate. Which further run tells whether that is because the rates *differ between the layers*?
#
# a) the run with one rate, for twice as many steps
#
# b) a run in which all layers get, at each step, the mean of the layer-specific run's multipliers
#
# c) a run with one rate that is as large as the largest rate of the layer-specific run
#
# d) the layer-specific run again, with ten other seeds

# %% exercise="t11_control"
choice = "b"  # SOLUTION

# %% check="t11_control"
checked = md.check.t11_control(choice)

# %% [markdown] own_words="t11_control"
# In your own words: what is alike in the two runs, what is the only difference, and what do you conclude if they end
# alike?

# %% [markdown]
# ## A rule with units
#
# One last look at the formula: $1 / \lVert g \rVert$ stands beside a 1, so the size of the gradient counts as such.
# If the loss is the **sum** over 32 digits instead of their mean, all gradients are 32 times as large. For SGD that
# is the same as a rate 32 times as large. And for this rule?

# %%
for words, scale in (("mean", 1), ("sum", 32)):
    ms = [one_multiplier([], [np.array([scale * norm])]) for norm in first_norms.values()]
    print(f"{words:4} over the batch: multipliers", *(f"{m:.2f}" for m in ms))

# %% [markdown]
# All multipliers shrink, and the factor between the layers with them: the same rule means something else. (So it does
# not come to the same to write the loss as a sum.) Another rule, LARS, takes the norm of the layer's weights over the
# norm of its gradient, $m_l \propto \lVert w_l \rVert / \lVert g_l \rVert$: there such a factor cancels in the step
# $m_l\, g_l$.
#
# On the page [pages/11_step.html](pages/11_step.html) you can walk through one step with the rule, as far as the
# update: it shows for each parameter the base rate, its layer's multiplier and the new weight.

# %%
md.seed(0)
small = md.models.mlp((4, 3, 2), "sigmoid")
small_optimizer = md.optim.SGD(small, lr=0.5, layer_rate=md.optim.LayerSpecific())
with md.record(title="one step with a rate for each layer") as tape:
    F.cross_entropy(small(md.Tensor(digits.train.inputs[:6, 18:22])), digits.train.labels[:6] % 2).backward()
    small_optimizer.step()
small_optimizer.layer_report()

# %% tags=["teacher"]
slides = {
    "11_heatmap": md.plot.update_heatmap(
        {"one rate": one_flow, "layer-specific": layer_flow, "one rate x mean": larger_flow}, style="slides"
    ),
    "11_race": md.plot.race(race, against="steps", style="slides"),
}
pages = {"11_step": tape}
