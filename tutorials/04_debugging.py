# %% [markdown]
# # 04. Debugging one training step
#
# **Afterwards you can** find the mistake in a training step that runs without an error and learns badly or not at
# all: on a page that lays it beside a right one, in a terminal, in Python's debugger, and with finite differences.
#
# **It needs** tutorials 1 to 3: the chain rule, gradients that add up, `x @ w` backwards. **It takes** 50 minutes.

# %%
import matplotlib.pyplot as plt
import numpy as np

import minidl as md
import minidl.functional as F

# %% [markdown]
# ## One step, and four that look like it
#
# Three clouds of points in the plane; the label of a point is the number of its cloud.

# %%
rng = np.random.default_rng(0)
labels = np.arange(60) % 3
angle = 2 * np.pi * labels / 3
centres = np.stack([np.cos(angle), np.sin(angle)], axis=1)
x = md.tensor(centres + 0.4 * rng.standard_normal((60, 2)), dtype="float32", name="x")


def fresh_weights():
    """The weights at the start, the same ones each time."""
    w1 = md.tensor([[0.3, 0.8, 0.3], [-1.3, 0.9, 0.4]], requires_grad=True, name="w1")
    w2 = md.tensor([[-0.3, 0.3, 0.2], [0.1, 0.0, 0.3], [-0.4, -0.1, -0.2]], requires_grad=True, name="w2")
    return [w1, w2]


# %% [markdown]
# Two products of matrices with a tanh between them give each point three **scores**, one for each class:
# $S = \tanh(X W_1)\, W_2$. **Softmax** makes probabilities of the scores $s$ of a point, and the **cross-entropy** is
# the mean of $-\ln$ of the probability that the right class $y$ has got:
#
# $$p_c = \frac{e^{s_c}}{\sum_k e^{s_k}}, \qquad L = -\frac{1}{N} \sum_{n=1}^{N} \ln p_{n, y_n}.$$
#
# `F.cross_entropy(scores, labels)` computes both formulas. A training step then has four lines: empty the gradients,
# compute the loss, go backward, and move each weight, $w \leftarrow w - \eta\, \partial L / \partial w$. The last one
# is done by an **optimizer**, which is told the weights and the rate $\eta$ once.


# %%
def loss_of(weights, x, labels):
    """The loss of the network with these weights."""
    w1, w2 = weights
    z = x @ w1
    h = F.tanh(z)
    scores = h @ w2
    return F.cross_entropy(scores, labels)


def right_step(weights, optimizer, x, labels):
    """One training step; returns the loss before it."""
    optimizer.zero_grad()
    loss = loss_of(weights, x, labels)
    loss.backward()
    optimizer.step()
    return loss.item()


# %% [markdown]
# Here are four steps that other people have written. Each has one mistake, none raises an error. Read them, and note
# down where you suspect it. Then let the tools decide.


# %%
def step_a(weights, optimizer, x, labels):
    """Somebody's training step."""
    loss = loss_of(weights, x, labels)
    loss.backward()
    optimizer.step()
    return loss.item()


def loss_b(weights, x, labels):
    """Somebody's loss: probabilities, then the cross-entropy."""
    w1, w2 = weights
    h = F.tanh(x @ w1)
    e = F.exp(h @ w2)
    p = e / F.sum(e, axis=1, keepdims=True)
    return F.cross_entropy(p, labels)


# %%
def loss_c(weights, x, labels):
    """Somebody's loss: NumPy has a tanh, too."""
    w1, w2 = weights
    h = md.tensor(np.tanh((x @ w1).numpy()), name="h")
    scores = h @ w2
    return F.cross_entropy(scores, labels)


def step_d(weights, optimizer, x, labels):
    """Somebody's training step, with an update of their own."""
    optimizer.zero_grad()
    loss = loss_of(weights, x, labels)
    loss.backward()
    for w in weights:
        w = w - optimizer.lr * w.grad
    return loss.item()


# %%
def with_loss(loss_function):
    """A right training step around somebody's loss."""

    def step(weights, optimizer, x, labels):
        optimizer.zero_grad()
        loss = loss_function(weights, x, labels)
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


steps = {"right": right_step, "A": step_a, "B": with_loss(loss_b), "C": with_loss(loss_c), "D": step_d}


def losses_of(step, count=70):
    """What `count` steps from the start report."""
    weights = fresh_weights()
    optimizer = md.optim.SGD(weights, lr=1.0)
    return [step(weights, optimizer, x, labels) for _ in range(count)]


curves = {name: losses_of(step) for name, step in steps.items()}

# %% [markdown]
# What does a loss curve tell? Before you look: which of the four do you expect to see at once?


# %%
def draw_curves(curves, size=(7, 3.6)):
    """The loss that each step reports, named where its line ends."""
    figure, ax = plt.subplots(figsize=size, layout="constrained")
    colours = {"right": "black", "A": "#D55E00", "B": "#0072B2", "C": "#009E73", "D": "#CC79A7"}
    for name, losses in curves.items():
        ax.plot(losses, color=colours[name], linewidth=2.2 if name == "right" else 1.4)
        up = {"right": -4, "C": 4}.get(name, 0)  # points
        end = (len(losses) - 1, losses[-1])
        ax.annotate(name, end, (6, up), textcoords="offset points", va="center", color=colours[name])
    ax.set(xlabel="step", ylabel="loss that the step reports", ylim=(0, 1.35), xlim=(0, len(losses) + 6))
    ax.spines[["top", "right"]].set_visible(False)
    return figure


symptoms = draw_curves(curves)

# %% [markdown]
# Only D is plain: nothing moves. A looks *better* than the right step for more than ten steps, and only then
# restless. B looks like a rate that is too small. C looks healthy; who does not have the right curve beside it would
# not even search. So a curve says *that* something is wrong, sometimes. *What* it is has to be seen inside a step.

# %% [markdown]
# ## Bug A: right beside wrong
#
# `md.record()` puts all that happens inside it on a **tape**: each op, each gradient, each change of a weight. Two
# tapes can be walked through in **lockstep**, and the place where their numbers part is where the mistake is. Three
# points are enough, and the *second* step: the first one is the same on both sides.

# %%
three = md.tensor(x.numpy()[:3], name="x")


def second_step(step, title):
    """A tape of the second step."""
    weights = fresh_weights()
    optimizer = md.optim.SGD(weights, lr=1.0)
    step(weights, optimizer, three, labels[:3])
    with md.record(title=title) as tape:
        step(weights, optimizer, three, labels[:3])
    return tape


right, wrong = second_step(right_step, "right"), second_step(step_a, "step A")
right.page(wrong)

# %% [markdown]
# Click into the page (or open [pages/04_right_beside_wrong.html](pages/04_right_beside_wrong.html)), go on with the
# arrow key →, and stop where it says that the two sides differ. Which line of `step_a` is missing?
#
# The same walk as a program: of each event the size $\|\cdot\|$ of what it made, on both sides.


# %%
def made(event, tape):
    """What an event of a tape ends in: (a name for it, its Euclidean norm)."""
    key = tape.values[event.output].key
    if event.phase in ("forward", "loss"):
        return key, tape.content(key, event.number).norm
    if event.addends:  # of a backward: what it sent to its first input
        return f"dL/d{tape.values[event.addends[0].value].key}", event.addends[0].grad.norm
    if event.phase == "backward":  # the first event of it: dL/dL = 1
        return f"dL/d{key}", event.gradient.norm
    return f"{key}.grad" if event.phase == "accumulate" else f"new {key}", event.after.norm


both = [(*made(a, right), made(b, wrong)[1]) for a, b in zip(right, wrong, strict=True)]
parted = next(i for i, (_, a, b) in enumerate(both) if not np.isclose(a, b, rtol=1e-6))
print(f"{parted} events agree. Then {both[parted][0]}: {both[parted][1]:.3f} and {both[parted][2]:.3f}")
before, added = wrong[parted].before, wrong[parted].gradient
print(f"step A: {before.norm:.3f} was there before, {added.norm:.3f} was added (norms)")


# %%
def draw_lockstep(both, parted, size=(7, 3.6)):
    """Two tapes event by event; shaded from where they part on."""
    figure, ax = plt.subplots(figsize=size, layout="constrained")
    places = range(len(both))
    ax.axvspan(parted - 0.5, len(both) - 0.5, color="#f3e3da", zorder=0)
    names, a, b = zip(*both, strict=True)
    names = [name.replace("crossentropy", "L") for name in names]
    ax.plot(places, a, "o", color="black", markersize=9, fillstyle="none", label="right")
    ax.plot(places, b, "x", color="#D55E00", markersize=6, label="step A")
    ax.set_xticks(places, names, rotation=45, ha="right")
    ax.set(yscale="log", ylabel="norm of what the event made", xlim=(-0.5, len(both) - 0.5))
    ax.text(parted - 0.4, ax.get_ylim()[1], "they part here", va="bottom", color="#a04000")
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(frameon=False, loc="lower left")
    return figure


lockstep = draw_lockstep(both, parted)

# %% [markdown]
# Forward, loss and the whole backward agree. They part ([there](pages/04_right_beside_wrong.html#i=9&n=w2)) where a
# gradient is added to `.grad`: on the wrong side something was in it already. `zero_grad()` is missing, so the step
# uses $g_1 + g_2$, the next one $g_1 + g_2 + g_3$.
#
# **Exercise: predict.** A weight begins at $w = 10$, its gradient is 2 in every step, the rate is 0.5. What is $w$
# after three steps of a program that never calls `zero_grad`?

# %% exercise="t04_grown"
w_after_three_steps = 4.0  # SOLUTION

# %% check="t04_grown"
checked = md.check.t04_grown(w_after_three_steps)

# %%
w = md.tensor(10.0, requires_grad=True, name="w")
optimizer = md.optim.SGD([w], lr=0.5)
for _ in range(3):
    loss = 2 * w
    loss.backward()
    optimizer.step()
    print(f"gradient {w.grad.item():.0f}, w {w.item():.0f}")

# %% [markdown]
# So old gradients keep pushing. On a slope that is always the same this is fast, as in the first steps of A; near the
# bottom it overshoots, for it cannot forget.

# %% [markdown]
# ## Bug B: step by step in the terminal
#
# `minidl step train.py` runs a script up to its first update and opens the step in the terminal: `n` goes on, `b`
# back, `v p` shows the value p, `phase loss` goes to the loss, `h` helps. A tape does the same anywhere; without
# commands `tape.play()` asks for them.

# %%
weights = fresh_weights()
with md.record(title="step B") as tape_b:
    steps["B"](weights, md.optim.SGD(weights, lr=1.0), three, labels[:3])
tape_b.play("phase loss; v p")

# %% [markdown]
# Read the line that begins with `because`. What is handed to the cross-entropy are numbers between 0 and 1 whose rows
# sum to 1: probabilities already. And it takes the softmax of them again. (Of `F.softmax` before `F.cross_entropy`
# minidl warns you; a softmax written by hand it cannot know.)
#
# What does that do? The network can make its probabilities as good as $p = (1, 0, 0)$, with the right class first.
# But the loss is computed from the softmax of *these*.
#
# **Exercise: predict.** What is the smallest loss that step B can come near, with three classes? (To 1%.)

# %% exercise="t04_floor"
smallest_loss = np.log(1 + 2 / np.e)  # SOLUTION

# %% check="t04_floor"
checked = md.check.t04_floor(smallest_loss)

# %%
perfect = md.tensor([[1.0, 0.0, 0.0]])
floor = F.cross_entropy(perfect, [0]).item()
print(f"probabilities that are perfect cost {floor:.3f}")
print(f"the lowest loss of step B so far: {min(curves['B']):.3f}")

# %% [markdown]
# Scores can grow without bound, so that the loss comes as near to 0 as the data let it. Numbers between 0 and 1
# cannot. The gradient is small for the same reason: B is slow besides.

# %% [markdown]
# ## Bug C: one line for each op of the backward
#
# `md.walk(loss)` is `loss.backward()` that says what it does. Here is the walk of the right loss, then that of
# `loss_c`.

# %%
print("right:")
for line in md.walk(loss_of(fresh_weights(), x, labels)):
    print("  ", line)
print("C:")
weights = fresh_weights()
for line in md.walk(loss_c(weights, x, labels)):
    print("  ", line)
print("w1.grad:", weights[0].grad)

# %% [markdown]
# The walk of C ends early. `.numpy()` gives an array without a history, and `md.tensor` makes a new leaf of it: for
# the backward, `h` is data. $W_1$ gets no gradient, which is not a gradient of 0 but *none*, and the optimizer leaves
# it as it is. The last layer learns alone, on features that nobody trains; often that is not bad enough to be
# noticed.
#
# ## Which bugs do finite differences find?
#
# `md.gradcheck(f, inputs)` moves each number of each input by $\pm 10^{-6}$ and compares the change of $f$ with what
# the backward says (in float64; it accepts $10^{-5}$ plus a thousandth).


# %%
def verdict(loss_function):
    """What gradcheck says of a loss."""
    weights = [md.tensor(w.numpy(), dtype="float64", requires_grad=True) for w in fresh_weights()]
    points = md.tensor(x.numpy(), dtype="float64")
    try:
        md.gradcheck(lambda *weights: loss_function(weights, points, labels), weights)
    except md.errors.GraphError as error:
        return str(error)
    return "the gradient is right"


for name, loss_function in {"right, A and D": loss_of, "B": loss_b, "C": loss_c}.items():
    print(f"{name}: {verdict(loss_function)}")

# %% [markdown]
# They find C, and say where. They do not find A and D, whose mistake is outside of the loss. But B's mistake is
# inside.
#
# **Exercise: explain.** Why do finite differences say that the gradient of `loss_b` is right?
#
# a) A step of $10^{-6}$ is too coarse to see the difference.
#
# b) They compare the backward with the loss that is written, and that is not the loss that was meant.
#
# c) A softmax of a softmax is the softmax itself.

# %% exercise="t04_why"
why = "b"  # SOLUTION

# %% check="t04_why"
checked = md.check.t04_why(why)

# %% [markdown] own_words="t04_why"
# In your own words:

# %% [markdown]
# ## Bug D: in Python's debugger
#
# What does an assignment do? For that question the right tool is the debugger that stops at the line. Put the update
# of D into a small script, `update.py`:
#
# ```python
# import minidl as md
# import minidl.functional as F
#
# weights = [md.tensor([2.0, -1.0], requires_grad=True, name="w")]
# loss = F.sum(weights[0] * weights[0])
# loss.backward()
# for w in weights:
#     w = w - 0.1 * w.grad
# print(weights[0])
# ```
#
# and type what stands behind `(Pdb)`: `b 8` is a breakpoint at line 8, `c` continues to it, `n` runs one line, `p`
# prints.
#
# ```text
# $ python -m pdb update.py
# > update.py(1)<module>()
# -> import minidl as md
# (Pdb) b 8
# Breakpoint 1 at update.py:8
# (Pdb) c
# > update.py(8)<module>()
# -> w = w - 0.1 * w.grad
# (Pdb) p w
# Tensor([ 2., -1.], name='w', requires_grad=True)
# (Pdb) p w.grad
# Tensor([ 4., -2.])
# (Pdb) p w is weights[0]
# True
# (Pdb) n
# > update.py(7)<module>()
# -> for w in weights:
# (Pdb) p w
# Tensor([ 1.6, -0.8], op=Sub)
# (Pdb) p w is weights[0]
# False
# (Pdb) p weights
# [Tensor([ 2., -1.], name='w', requires_grad=True)]
# (Pdb) q
# ```
#
# The arithmetic is right: $2 - 0.1 \cdot 4 = 1.6$. But `w = ...` makes a *new* tensor and gives it the name `w`; the
# one in the list is as it was. It has to be written into: `w.data` is the array of a tensor, and assigning to it
# changes the tensor itself.
#
# To stop inside an op, and not at a line of yours, put `with md.break_on(op="MatMul", phase="backward"):` around the
# step. In a notebook the prompt appears below the cell. **In the browser edition no debugger works: there, page and
# tape are yours**, and `id(w)` before and after the line answers the question above.
#
# **Exercise: implement.** Write the update that D's author meant. Every tensor $w$ of the list becomes
# $w - \eta\, \partial L/\partial w$; its `.grad` stays as it is. No optimizer.


# %% exercise="t04_update"
def update(weights, rate):
    """Move each weight against its gradient, in place."""
    # BEGIN SOLUTION
    for w in weights:
        w.data = w.data - rate * w.grad.data
    # END SOLUTION


# %% check="t04_update"
checked = md.check.t04_update(update)
working_update = checked.working

# %% [markdown]
# ## None of the four
#
# **Exercise: implement.** One training step of the network above, with none of the four mistakes. Write out the
# forward, too: do not call `loss_of`. Before your step is called in the check, an earlier step has left gradients
# behind. Your step is held to finite differences: (weights before - weights after) / rate has to be the gradient. It
# returns the loss before the update as a number.


# %% exercise="t04_training_step"
def training_step(weights, optimizer, x, labels):
    """One step: scores tanh(x w1) w2, cross-entropy, update. Returns the loss."""
    # BEGIN SOLUTION
    w1, w2 = weights
    optimizer.zero_grad()
    h = F.tanh(x @ w1)
    loss = F.cross_entropy(h @ w2, labels)
    loss.backward()
    optimizer.step()
    return loss.item()
    # END SOLUTION


# %% check="t04_training_step"
checked = md.check.t04_training_step(training_step)


# %%
def mended_d(weights, optimizer, x, labels):
    """Step D with the update that was meant."""
    optimizer.zero_grad()
    loss = loss_of(weights, x, labels)
    loss.backward()
    working_update(weights, optimizer.lr)
    return loss.item()


mended = losses_of(checked.working)
farthest = max(abs(a - b) for a, b in zip(mended, curves["right"], strict=True))
print(f"the mended step and the right one: at most {farthest:.0e} apart in {len(mended)} steps")
farthest_d = max(abs(a - b) for a, b in zip(losses_of(mended_d), curves["right"], strict=True))
print(f"the mended D and the right one: at most {farthest_d:.0e}")

# %% [markdown]
# ## One tool more: where was the NaN born?
#
# A loss of NaN says nothing about where it came from. Inside `with md.detect_anomaly():` the first op that makes NaN or
# infinity of finite numbers stops the program, and says what it was given, and by which line.

# %%
scores = md.tensor([[200.0, 0.0, 0.0]], requires_grad=True, name="scores")
try:
    with md.detect_anomaly():
        e = F.exp(scores)
        p = e / F.sum(e)
except md.errors.GraphError as error:
    what, first, given, *_, where = str(error).splitlines()
    print(what, first, given, where.partition(": ")[2], sep="\n")

# %% [markdown]
# $e^{200}$ is more than float32 can hold: one more reason to leave the softmax to `F.cross_entropy`, which subtracts
# the largest score first.
#
# ## Which tool for which symptom?
#
# | what you see | look with | bug |
# | --- | --- | --- |
# | at first good, then restless | two tapes in lockstep; what was in `.grad` before? | A: no `zero_grad` |
# | stuck above a loss that is too high | the tape, or `minidl step`: what goes into the loss? | B: softmax twice |
# | worse than it should be | `md.walk`; whose `.grad` is None? `md.gradcheck` | C: a branch without a history |
# | nothing moves | pdb at the update: is it the same object? | D: a new tensor under the old name |
# | NaN | `md.detect_anomaly` | |
#
# More of each stands in the documentation of minidl: `docs/debugging.md` and `docs/stepper.md`.

# %% tags=["teacher"]
from types import SimpleNamespace

with plt.rc_context({"font.size": 13}):
    slides = {
        "04_symptoms": draw_curves(curves, size=(8, 4.5)),
        "04_lockstep": draw_lockstep(both, parted, size=(8, 4.5)),
    }
pages = {"04_right_beside_wrong": SimpleNamespace(save_html=lambda path: right.save_html(path, wrong))}
