# %% [markdown]
# # 01. The chain rule as a graph
#
# **Afterwards you can** do a backward pass by hand, through a computation that is drawn as a graph, and check it
# against the one of the library, number by number.
#
# **You need** some Python, and the derivatives of $x^2$, $\sqrt{x}$ and a product. No tutorial comes before this one.
# It takes 50 minutes.
#
# The library of these tutorials, minidl, is there to be read: inside `with md.plain():` the file you read is the file
# that runs. Tutorial 2 reads the first one.

# %%
import matplotlib.pyplot as plt
import numpy as np

import minidl as md
import minidl.functional as F

# %% [markdown]
# ## Three dials and one number
#
# Here is a computation with three dials, $w$, $b$ and $v$. The other two numbers, $x$ and $y$, are data: what was
# measured, and no business of ours to change. Out comes one number, the **loss** $L$, which says how wrong the
# computation is.
#
# $$L = \left(v\sqrt{w x + b} - y\right)^2$$
#
# **Which dial should be turned, which way, and how much does it help?**


# %%
def six_ops(w, x, b, v, y):
    p = w * x
    z = p + b
    h = F.sqrt(z)
    q = v * h
    r = q - y
    return r**2


numbers = {"w": 0.5, "x": 10.0, "b": -1.0, "v": -3.0, "y": -9.0}
loss_now = float(six_ops(**numbers))
print("L =", loss_now)

# %% [markdown]
# One way to find out is to try. Turn one dial a little, leave the others alone, compute everything again, and divide:
#
# $$\text{slope} \approx \frac{L(w + \varepsilon) - L(w - \varepsilon)}{2\varepsilon}$$
#
# This is a **finite difference**. For each dial it takes two runs of the whole computation.


# %%
def slope_by_trying(dial, eps=1e-5):
    up = six_ops(**{**numbers, dial: numbers[dial] + eps})
    down = six_ops(**{**numbers, dial: numbers[dial] - eps})
    return float(up - down) / (2 * eps)


tried = {dial: slope_by_trying(dial) for dial in ("w", "b", "v")}
for dial, slope in tried.items():
    print(f"turning {dial} up by a little changes L by {slope:8.3f} times that little")


# %% [markdown]
# The picture shows the same. Each curve is $L$ against how far one dial was turned, and each dashed line has the
# slope from above. Near 0 the two cannot be told apart, which is all that a slope promises. Farther away $w$'s curve
# bends away from its line.


# %%
def draw_dials(font=10):
    figure, ax = plt.subplots(figsize=(6.4, 3.8), layout="constrained")
    turned = np.linspace(-0.1, 0.1, 101)
    for dial, colour in zip(tried, ("#0072b2", "#b3541e", "#2a7d4f"), strict=True):
        losses = [float(six_ops(**{**numbers, dial: numbers[dial] + d})) for d in turned]
        ax.plot(turned, losses, color=colour, linewidth=2)
        ax.plot(turned, loss_now + tried[dial] * turned, "--", color=colour, linewidth=1)
        label = f" {dial}: slope {tried[dial]:.1f}".replace("-", "\N{MINUS SIGN}")
        ax.text(0.1, losses[-1], label, color=colour, va="center", fontsize=font)
    ax.plot(0, loss_now, "o", color="black")
    ax.annotate("now", (0, loss_now), (6, 8), textcoords="offset points", fontsize=font)
    ax.set_xlim(-0.1, 0.155)
    ax.set_xticks([-0.1, -0.05, 0, 0.05, 0.1])
    ax.set_xlabel("one dial, turned by", fontsize=font)
    ax.set_ylabel("loss L", fontsize=font)
    ax.tick_params(labelsize=font)
    ax.spines[["top", "right"]].set_visible(False)
    plt.close(figure)
    return figure


draw_dials()

# %% [markdown]
# So $w$ should be turned up, $v$ down, and $b$ matters least. That took six runs for three dials. A small network has
# 10,000 dials: 20,000 runs for one look at its slopes. **Is there a way to get all of them from one run?**
#
# ## The computation as a graph
#
# There is, once the formula is taken apart. `six_ops` does six things, one a line, and each makes one number from one
# or two others. Drawn as boxes, with an arrow from what was used to what was made, this is the **graph** of the
# computation.
#
# minidl draws it. `md.tensor(0.5)` is a number that remembers how it was made; `requires_grad=True` says that its
# slope is wanted.


# %%
def dials_and_data():
    dials = {k: md.tensor(numbers[k], requires_grad=True, name=k) for k in ("w", "b", "v")}
    data = {k: md.tensor(numbers[k], name=k) for k in ("x", "y")}
    return {**dials, **data}


values = dials_and_data()
loss = six_ops(**values)
before = md.plot.graph(loss)
before

# %% [markdown]
# Round boxes are dials; nothing made them, so they are called **leaves**. The dashed box is data. The other boxes are
# **ops**, named as the library names them (`Mul` multiplies, `PowNumber` takes a power). The sign `()` on the arrows
# says that a single number passes; in tutorial 3 it will be an array's shape. ($y$ is not drawn: no slope of an op
# depends on it.)
#
# All boxes with a slope to come are **hatched: not computed yet**. That is not the same as 0. A slope of 0 is an
# answer: turning this dial changes nothing. Hatched is no answer so far. Ask before there is one, and you get `None`:

# %%
print("w's slope so far:", values["w"].grad)

# %% [markdown]
# ## One op at a time
#
# The **gradient** of a value $u$ is $\partial L/\partial u$: by how much $L$ changes for a small change of $u$. (With
# one number it is the same as a slope; the word stays when numbers become arrays.) We want it for the leaves, far
# from $L$. But next to each op it is easy, since each op alone has a **local slope** that school has taught:
#
# | op | values now | local slopes |
# |---|---|---|
# | $p = w x$ | $0.5 \cdot 10 = 5$ | $\partial p/\partial w = x = 10$ |
# | $z = p + b$ | $5 - 1 = 4$ | $\partial z/\partial p = 1$, $\partial z/\partial b = 1$ |
# | $h = \sqrt z$ | $\sqrt 4 = 2$ | $\partial h/\partial z = \;?$ |
# | $q = v h$ | $-3 \cdot 2 = -6$ | $\partial q/\partial v = h = 2$, $\partial q/\partial h = v = -3$ |
# | $r = q - y$ | $-6 + 9 = 3$ | $\partial r/\partial q = 1$ |
# | $L = r^2$ | $3^2 = 9$ | $\partial L/\partial r = 2 r = 6$ |
#
# **Exercise: predict.** One slope is missing. If $z = 4$ grows by a little, by how many times that little does
# $h = \sqrt z$ grow? Say the number before you compute anything.

# %% exercise="t01_sqrt_slope"
sqrt_slope = 0.25  # SOLUTION

# %% check="t01_sqrt_slope"
checked = md.check.t01_sqrt_slope(sqrt_slope)

# %% [markdown]
# ## The chain rule
#
# Turn $q$ up by a tiny $\varepsilon$. Then $r$ goes up by $1 \cdot \varepsilon$, and $L$ by $6$ times that. Slopes
# along a path **multiply**:
#
# $$\frac{\partial L}{\partial q} = \frac{\partial L}{\partial r} \cdot \frac{\partial r}{\partial q} = 6 \cdot 1 = 6$$
#
# Nothing in this needs to know what comes before $q$ or what lies behind $r$. That makes it a rule for every op,
# whatever the graph around it:
#
# > **what goes on to an input = what came in times the local slope for that input**
#
# $$\frac{\partial L}{\partial\,\text{input}} = \frac{\partial L}{\partial\,\text{output}} \cdot
# \frac{\partial\,\text{output}}{\partial\,\text{input}}$$
#
# It begins at $L$ itself, where nothing has come in yet. $L$ changes exactly as much as $L$ does, so it begins with
# $\partial L/\partial L = 1$. This 1 is called the **seed**.
#
# **Exercise: implement.** The rule for the op $h = \sqrt z$. `grad_out` is what came in, $\partial L/\partial h$.
# Return what goes on, $\partial L/\partial z$. The check tries it on numbers of its own, and compares with finite
# differences too, which must agree to 1 part in 100,000.


# %% exercise="t01_sqrt_backward"
def sqrt_backward(grad_out, z):
    """dL/dz of h = sqrt(z), given grad_out = dL/dh."""
    # BEGIN SOLUTION
    return grad_out / (2 * np.sqrt(z))
    # END SOLUTION


# %% check="t01_sqrt_backward"
checked = md.check.t01_sqrt_backward(sqrt_backward)
sqrt_backward = checked.working

# %% [markdown]
# ## A backward pass by hand
#
# Now the whole way, from $L$ to the dials. The first three steps are done:
#
# | step | at | came in | times the local slope | goes on |
# |---|---|---|---|---|
# | 1 | the seed | | | $\partial L/\partial L = 1$ |
# | 2 | $L = r^2$ | $1$ | $2r = 6$ | $\partial L/\partial r = 6$ |
# | 3 | $r = q - y$ | $6$ | $1$ | $\partial L/\partial q = 6$ |
# | 4 | $q = v h$ | $6$ | $h = 2$ and $v = -3$ | $\partial L/\partial v = \;?$ and $\partial L/\partial h = \;?$ |
# | 5 | $h = \sqrt z$ | | | $\partial L/\partial z = \;?$ |
# | 6 | $z = p + b$ | | | $\partial L/\partial p = \;?$ and $\partial L/\partial b = \;?$ |
# | 7 | $p = w x$ | | | $\partial L/\partial w = \;?$ |
#
# **Exercise: predict.** Fill in the table with pencil and paper. No code, and no peeking at the slopes from above
# until you are done.

# %% exercise="t01_by_hand"
grad_v = 12.0  # SOLUTION
grad_h = -18.0  # SOLUTION
grad_z = -4.5  # SOLUTION
grad_b = -4.5  # SOLUTION
grad_w = -45.0  # SOLUTION

# %% check="t01_by_hand"
by_hand = {"v": grad_v, "h": grad_h, "z": grad_z, "b": grad_b, "w": grad_w}
checked = md.check.t01_by_hand(by_hand)
by_hand = checked.working

# %% [markdown]
# ## Match it
#
# The library does the same six steps in `loss.backward()`. `md.record()` puts them on a **tape**, so that you can
# look at every moment of it afterwards, also at those before the backward began.

# %%
values = dials_and_data()
with md.record(title="Six ops") as tape:
    loss = six_ops(**values)
    asked_too_early = tape.gradient("h").total
    loss.backward()

print("dL/dh before backward:", asked_too_early)
print("dL/dh afterwards:     ", tape.gradient("h").total.at(()))  # at(()): a single number has no index

# %%
for name, mine in by_hand.items():
    theirs = tape.gradient(name).total.at(())
    verdict = "match" if abs(mine - theirs) <= 0.01 * abs(theirs) else "DIFFERENT"
    print(f"dL/d{name}  by hand {mine:6.1f}   library {theirs:6.1f}   {verdict}")

print("w.grad =", values["w"].grad, "  b.grad =", values["b"].grad, "  v.grad =", values["v"].grad)

# %% [markdown]
# Now step through it: [pages/01_six_ops.html](pages/01_six_ops.html#i=6) (or run the next cell). The right arrow goes
# one event on, the left arrow one back. At each op of the backward, say the next number before you press the key. On
# the page the letter q makes a quiz of it.

# %%
tape

# %% [markdown]
# The seed, then steps 4 and 5 of your table, in words. (The tape begins with its first event, number 0. In the lines
# of the seed, `v` stands for any value, and not for our dial.)

# %%
tape.play("phase backward; n 3; n")

# %% [markdown]
# And the graph again, now with a number in every box that was hatched. In each stands the size of the gradient
# *without its sign* (`|grad|`), of the value that the box made. The lighter, the larger.

# %%
loss = six_ops(**dials_and_data())
graph = md.observe.Graph(loss)
loss.backward()
after = md.plot.graph(graph)
after

# %% [markdown]
# Read it from the bottom up. Along one arrow the number changes by the factor of one local slope: from 18 to 4.5 at
# the square root, by $\frac{1}{4}$; from 4.5 to 45 on the way to $w$, by $x = 10$. At `Add` nothing changes.
#
# ## The same in code
#
# **Exercise: implement.** The backward pass of all six ops as a function, this time for any numbers, and for all five
# inputs. `grad_loss` is the seed; it is 1 unless $L$ is itself only a part of something larger. The forward is there
# already, since the backward reads what it computed. One line for each op, from the last to the first.


# %% exercise="t01_six_ops_backward"
def six_ops_backward(grad_loss, w, x, b, v, y):
    """dL/dw, dL/dx, dL/db, dL/dv, dL/dy, in this order."""
    p = w * x
    z = p + b
    h = np.sqrt(z)
    q = v * h
    r = q - y
    # BEGIN SOLUTION
    grad_r = grad_loss * 2 * r
    grad_q, grad_y = grad_r, -grad_r
    grad_v, grad_h = grad_q * h, grad_q * v
    grad_z = sqrt_backward(grad_h, z)
    grad_p, grad_b = grad_z, grad_z
    grad_w, grad_x = grad_p * x, grad_p * w
    return grad_w, grad_x, grad_b, grad_v, grad_y
    # END SOLUTION


# %% check="t01_six_ops_backward"
checked = md.check.t01_six_ops_backward(six_ops_backward)
six_ops_backward = checked.working

# %% [markdown]
# All five gradients from one pass, beside those of the first section, which took two runs for each. They agree to 6
# or more digits, not exactly: a finite difference is only near the slope.

# %%
in_one_pass = dict(zip(("w", "x", "b", "v", "y"), six_ops_backward(1.0, **numbers), strict=True))
for name, gradient in in_one_pass.items():
    print(f"{name}: one backward pass {gradient:10.6f}   two forward runs {slope_by_trying(name):10.6f}")

# %% [markdown]
# ## Why backwards?
#
# The path from $w$ to $L$ is the product $10 \cdot 1 \cdot \frac{1}{4} \cdot (-3) \cdot 1 \cdot 6$. A product may be
# computed from either end. From the front one would carry along "by how much does this value change when $w$ does?":
# $10$, then $10$, then $2.5$, then $-7.5$, ... and that is right as well.
#
# **Exercise: explain.** Why does the pass go from $L$ to the leaves, and not from the leaves to $L$?
#
# a) The chain rule holds only when the slopes are multiplied from $L$ towards the leaves.
#
# b) What arrives at a value, $\partial L/\partial(\text{value})$, serves every leaf behind it, so one pass is enough
# for all leaves.
#
# c) The forward pass has overwritten the values, and they have to be computed again from the end.
#
# d) The leaves come last since they have the largest gradients.

# %% exercise="t01_why_backwards"
why_backwards = "b"  # SOLUTION

# %% check="t01_why_backwards"
checked = md.check.t01_why_backwards(why_backwards)

# %% [markdown] own_words="t01_why_backwards"
# In your own words:

# %% [markdown]
# ## What it is for
#
# A gradient says which way is up. So turn every dial a little the other way, each in proportion to its own gradient:
#
# $$w \leftarrow w - \eta\,\frac{\partial L}{\partial w}$$
#
# and the same for $b$ and $v$. Here $\eta = 0.001$ is the **learning rate**. The gradients even say by how much $L$
# should fall: by $\eta$ times the sum of their squares, about 2.2.

# %%
rate = 0.001
turned = {name: numbers[name] - rate * in_one_pass[name] for name in ("w", "b", "v")}
loss_after = float(six_ops(**{**numbers, **turned}))
promised = loss_now - rate * sum(in_one_pass[name] ** 2 for name in ("w", "b", "v"))
print(f"L was {loss_now}, the slopes promise {promised:.2f}, it is {loss_after:.2f}")

# %% [markdown]
# It fell, and nearly as far as promised. (The rest is the bend of $w$'s curve in the first picture.) This one line,
# repeated, is how networks learn.
#
# **What you have now.** A computation is a graph of ops. Each op knows its local slopes. The backward pass begins
# with 1 at $L$ and multiplies its way to the leaves, each op once.
#
# **What is still missing.** In these six ops every value was used once. If $h$ were used twice, two numbers would
# arrive at it. Which of them is the gradient? That is tutorial 2.

# %% tags=["teacher"]
slides = {"01_dials": draw_dials(font=14), "01_graph": md.plot.graph(graph, style="slides")}
pages = {"01_six_ops": tape}
