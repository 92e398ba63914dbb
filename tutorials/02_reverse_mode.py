# %% [markdown]
# # 02. Build reverse mode
#
# **Afterwards you can** write the walk that computes all gradients of a computation in fifteen lines, say why
# gradients add where a value was used twice, and find these lines in the library.
#
# **You need** tutorial 1. It takes 50 minutes.
#
# The file you will read at the end is the file that runs. minidl also has a faster walk; inside `with md.plain():`
# none of its faster versions runs, only the plain lines, and below you will watch that happen.

# %%
import inspect
import math
import sys
from itertools import count

import matplotlib.pyplot as plt
import numpy as np

import minidl as md
from minidl.autograd.backward import Walk

# %% [markdown]
# ## Two numbers arrive
#
# In tutorial 1 every value was used once, and one number arrived at each. Now $h$ is used three times: twice as an
# input of a product, once in a sum.
#
# $$h = w x, \qquad u = h \cdot h, \qquad L = u + h$$
#
# **Exercise: predict.** At $w = 2$, $x = 1.5$, so $h = 3$: what is $\partial L/\partial h$? You may use what school
# says of $h^2 + h$, or think of what each use of $h$ sends back.

# %% exercise="t02_shared"
shared_slope = 7.0  # SOLUTION

# %% check="t02_shared"
checked = md.check.t02_shared(shared_slope)


# %% [markdown]
# The experiment, as in tutorial 1: move $h$ a little, and compute again. But here we can also move **one use of $h$
# at a time**, and hold the others still:


# %%
def loss_of(in_sum, first, second):
    return first * second + in_sum


def slope(moved, eps=1e-6):
    h = np.full(3, 3.0)
    step = eps * np.array(moved)
    return (loss_of(*(h + step)) - loss_of(*(h - step))) / (2 * eps)


one_at_a_time = [slope([1, 0, 0]), slope([0, 1, 0]), slope([0, 0, 1])]
all_together = slope([1, 1, 1])
print("h moved in the sum only:               ", round(one_at_a_time[0], 4))
print("h moved as the product's first input:  ", round(one_at_a_time[1], 4))
print("h moved as the product's second input: ", round(one_at_a_time[2], 4))
print("h moved everywhere:                    ", round(all_together, 4))

# %% [markdown]
# One use gives one slope, and together they give the sum of the three. When $h$ moves by a tiny $\varepsilon$, each
# use changes $L$ by its slope times $\varepsilon$, whatever the other uses do (what they do to each other is of the
# size $\varepsilon^2$). So the changes add:
#
# $$\frac{\partial L}{\partial h} = \sum_{\text{uses of } h} \frac{\partial L}{\partial\,\text{output}}
# \cdot \frac{\partial\,\text{output}}{\partial h}$$
#
# **Along a path slopes multiply; where paths meet they add.** What one use sends is called an **addend** of the
# gradient.
#
# A tape has them. Before the last one has come, the gradient is not complete, and the tape says so:

# %%
w = md.tensor(2.0, requires_grad=True, name="w")
x = md.tensor(1.5, name="x")
with md.record(title="A value that is used three times") as tape:
    h = w * x
    u = h * h
    L = u + h
    L.backward()

for moment in range(2, 7):
    found = tape.gradient("h", moment)
    came = [addend.grad.at(()) for _, addend in found.addends]
    print(f"after event {moment} ({tape[moment].op:4}): addends {came}, complete: {found.complete}")


# %%
def draw_addends(tape, name, font=10):
    addends = tape.gradient(name).addends
    labels = [f"{tape.source(tape[n])[2].strip()}\nby its input {a.input}" for n, a in addends]
    figure, ax = plt.subplots(figsize=(6.4, 3.4), layout="constrained")
    so_far = 0.0
    for k, (_, addend) in enumerate(addends):
        sent = addend.grad.at(())
        ax.bar(k, sent, bottom=so_far, width=0.6, color=("#0072b2", "#b3541e", "#b3541e")[k], edgecolor="white")
        ax.text(k, so_far + sent / 2, f"{sent:+g}", ha="center", va="center", color="white", fontsize=font + 2)
        ax.plot([k + 0.3, k + 0.7], [so_far + sent] * 2, color="grey", linewidth=1)
        so_far += sent
    ax.bar(len(addends), so_far, width=0.6, color="#404040")
    ax.text(len(addends), so_far / 2, f"{so_far:g}", ha="center", va="center", color="white", fontsize=font + 2)
    ax.set_xticks(range(len(addends) + 1), [*labels, f"the sum,\ndL/d{name}"], fontsize=font)
    ax.set_ylabel(f"gradient of {name}, so far", fontsize=font)
    ax.tick_params(axis="y", labelsize=font)
    ax.spines[["top", "right"]].set_visible(False)
    plt.close(figure)
    return figure


draw_addends(tape, "h")

# %% [markdown]
# The product sends two addends, one for each of its inputs, though both are $h$ (inputs are counted from 0). On the
# page you can stop before they come: [pages/02_addends.html](pages/02_addends.html#i=4&n=h). At which event is $w$'s
# gradient computed, and why not earlier?
#
# ## A graph to walk over
#
# To build the walk you need a graph to walk over. Here is the smallest one that will do. A `Node` is a number, and
# how it was made: from which nodes, and with which local slope for each. It also notes down when it was made: `order`
# counts up from 1 over all nodes that ops make, and is 0 for leaves.

# %%
creation = count(1)


class Node:
    def __init__(self, value, inputs=(), slopes=()):
        self.value = value
        self.inputs = inputs
        self.slopes = slopes
        self.order = next(creation) if inputs else 0

    def __add__(self, other):
        return Node(self.value + other.value, (self, other), (1.0, 1.0))

    def __mul__(self, other):
        return Node(self.value * other.value, (self, other), (other.value, self.value))


def root(a):
    value = math.sqrt(a.value)
    return Node(value, (a,), (1 / (2 * value),))


# %%
w_node, x_node = Node(2.0), Node(1.5)
h_node = w_node * x_node
u_node = h_node * h_node
L_node = u_node + h_node
for name, node in {"w": w_node, "x": x_node, "h": h_node, "u": u_node, "L": L_node}.items():
    print(f"{name}: value {node.value:4}  order {node.order}  local slopes {node.slopes}")

# %% [markdown]
# ## Whose turn is it?
#
# The walk keeps a dict `grads`, from a node to the sum of the addends that have come so far. It begins with
# `{L: 1.0}`, the seed. Then again and again it takes a node out, and for each of the node's inputs adds one addend.
#
# A node may have its turn only **when all its addends have come**: otherwise it sends on too little. Here is what
# goes wrong if $h$ has its turn too early, straight after $L$:
#
# | turn | `grads` before it | sends |
# |---|---|---|
# | $L$ | $\{L: 1\}$ | $1$ to $u$, $1$ to $h$ |
# | $h$, too early | $\{u: 1,\ h: 1\}$ | $1 \cdot x = 1.5$ to $w$ |
# | $u$ | $\{u: 1,\ w: 1.5, \dots\}$ | $3$ and $3$ to $h$: too late |
#
# How can the walk know that nothing more will come to a node? By `order`. A node is made after its inputs, so whoever
# uses $h$ is newer than $h$. **Take the newest node in the dict.** All its users on the way to $L$ were newer still,
# so they have had their turns. When only leaves are left (their `order` is 0, and they have no inputs), the walk is
# done.
#
# **Exercise: implement.** Write the walk. It returns a dict in which each leaf that `loss` depends on stands with its
# gradient; other nodes may be in it too. The check runs it on chains, on diamonds, on $x \cdot x$, on a graph with a
# branch that does not lead to the loss, on graphs drawn at random, and on one 2,000 ops deep. It compares with finite
# differences, to 1 part in 100,000. Each node may have one turn only, and a second call must find the same.
#
# `max(grads, key=lambda node: node.order)` is the newest node in a dict; `grads.pop(node)` takes it out and gives its
# value; `grads.get(node, 0.0)` is its value, or 0.0 if it is not there.


# %% exercise="t02_walk"
def walk(loss):
    """The gradients of the leaves that loss was made of: {leaf: dL/d(leaf)}."""
    # BEGIN SOLUTION
    grads = {loss: 1.0}
    while True:
        node = max(grads, key=lambda n: n.order)
        if not node.inputs:
            return grads
        grad_out = grads.pop(node)
        for source, local_slope in zip(node.inputs, node.slopes, strict=True):
            grads[source] = grads.get(source, 0.0) + grad_out * local_slope
    # END SOLUTION


# %% check="t02_walk"
checked = md.check.t02_walk(walk)
walk = checked.working

# %%
found = walk(L_node)
print("walk:  dL/dw =", found[w_node])
print("minidl: dL/dw =", w.grad)

# %% [markdown]
# A leaf that the loss does not depend on is not in the dict at all. It was never reached: there is no gradient to
# show, and the library's `.grad` stays `None`.
#
# ## A test that sees nothing
#
# Say that somebody writes `grads[source] = grad_out * local_slope`: it **overwrites** what had come before.
#
# **Exercise: predict.** Which number will this walk find for $\partial L/\partial h$ in the example above
# ($L = u + h$, $u = h \cdot h$, $h = 3$)? Take the turns one after the other, the newest first.

# %% exercise="t02_overwritten"
overwritten = 3.0  # SOLUTION

# %% check="t02_overwritten"
checked = md.check.t02_overwritten(overwritten)

# %% [markdown]
# Wrong by more than half, and nothing complains. Would a test notice? It depends on the graph. Below are four walks,
# three of them wrong, on four graphs. What stands in the picture is $\partial L/\partial w$ as each walk finds it.


# %%
def newest(waiting):
    return max(waiting, key=lambda n: n.order)


def other_walk(loss, seed=1.0, pick=newest, add=True):
    grads, waiting, done = {loss: seed}, [loss], set()
    while waiting:
        node = pick(waiting)
        waiting.remove(node)
        if node not in done:
            done.add(node)
            for source, local_slope in zip(node.inputs, node.slopes, strict=True):
                addend = grads[node] * local_slope
                grads[source] = grads.get(source, 0.0) + addend if add else addend
                waiting.append(source)
    return grads


# %%
walks = {
    "yours": walk,
    "overwrites": lambda loss: other_walk(loss, add=False),
    "first come,\nfirst served": lambda loss: other_walk(loss, pick=lambda waiting: waiting[0]),
    "no seed": lambda loss: other_walk(loss, seed=0.0),
}
graphs = {  # (h := w * x) computes w * x, and calls it h from there on
    "a chain": lambda w, x: root(w * x),
    "w * w": lambda w, x: w * w,
    "a diamond": lambda w, x: (h := w * x) * h + h,
    "a short and\na long way": lambda w, x: (h := w * x) + root(root(h)) * w,
}


# %%
def results():
    table = {}
    for graph, build in graphs.items():
        for name, one in walks.items():
            w, x = Node(2.0), Node(2.0)
            table[graph, name] = one(build(w, x))[w]
    return table


# %%
def draw_walks(font=10):
    table = results()
    figure, ax = plt.subplots(figsize=(6.8, 3.4), layout="constrained")
    for i, graph in enumerate(graphs):
        for j, name in enumerate(walks):
            right = abs(table[graph, name] - table[graph, "yours"]) < 1e-9
            face = "#dcefe4" if right else "#b3541e"
            ax.add_patch(plt.Rectangle((j - 0.48, i - 0.45), 0.96, 0.9, color=face))
            words = f"{table[graph, name]:.3g}{'' if right else ', wrong'}"
            ax.text(j, i, words, ha="center", va="center", color="black" if right else "white", fontsize=font)
    ax.set_xticks(range(len(walks)), walks, fontsize=font)
    ax.set_yticks(range(len(graphs)), graphs, fontsize=font)
    ax.set(xlim=(-0.5, len(walks) - 0.5), ylim=(len(graphs) - 0.5, -0.5))
    ax.xaxis.tick_top()
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    plt.close(figure)
    return figure


draw_walks()

# %% [markdown]
# The chain sees only the missing seed. `w * w` finds the walk that overwrites. For the wrong order it takes a node
# that is met by a short way first and by a long way later; in the diamond $u$ happens to be met before $h$, and all
# is well. **A walk that is right on one graph is not a right walk.** That is why the check has graphs of each kind.
#
# **Exercise: explain.** Why do the gradients that meet at a node add up?
#
# a) Because $L$ happens to be a sum, $L = u + h$; were it a product, they would be multiplied.
#
# b) Because a small change of $h$ reaches $L$ by each of its uses, and what each of them changes of $L$ adds up.
#
# c) Because all gradients are equally right, and a sum is the mean of them but for a factor.
#
# d) Because the walk comes by several times, and the library keeps what it had before.

# %% exercise="t02_why_add"
why_add = "b"  # SOLUTION

# %% check="t02_why_add"
checked = md.check.t02_why_add(why_add)

# %% [markdown] own_words="t02_why_add"
# In your own words:

# %% [markdown]
# ## The file you read is the file that runs
#
# Here is the library's walk, the body of `Walk.run` in `minidl/autograd/backward.py`:

# %%
source = inspect.getsource(Walk.run)
loop = source[source.index("            while ") : source.index("        except ")]
print(inspect.cleandoc("\n" + loop))

# %% [markdown]
# Find your lines in it:
#
# | yours | the library's |
# |---|---|
# | `grads = {loss: 1.0}` | `grads` is handed in, with the seed |
# | the newest node, until only leaves are left | `while grads and (node := max(grads, key=by_creation)).order:` |
# | `grad_out = grads.pop(node)` | the same |
# | `grad_out * local_slope` | `node.plain.backward(node, grad_out, *saved)` |
# | `grads.get(source, 0.0) + ...` | `grads[source] + input_grads[i] if source in grads else input_grads[i]` |
# | `return grads` | the same, as copies |
#
# A number times a slope has become a call of the op's `backward`, since for arrays a slope is more than a number
# (tutorial 3). It is handed what the op has `saved` in the forward. The other lines are about what can go wrong, and
# about visiting a part of a graph only: `complete` and `checked` look at what passes, `check_saved` refuses a graph
# that was used up, `needed` leaves out the data.
#
# But does this file run? `sys.setprofile` tells of every function that Python enters. Noted down here is which
# functions called `run` are entered during `L.backward()`, and in which files:


# %%
def files_entered(action):
    """The library's files that are entered by functions called run, and all of its files, while action() runs."""
    runs, files = [], set()

    def note(frame, event, _):
        place = frame.f_code.co_filename.replace("\\", "/").rpartition("/minidl/")
        if event == "call" and place[1]:
            files.add(place[2])
            if frame.f_code.co_name == "run":
                runs.append(place[2])

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        action()
    finally:
        sys.setprofile(before)
    return runs, files


# %%
def step():
    h = w * x
    L = h * h + h
    L.backward()


usual_runs, usual_files = files_entered(step)
with md.plain():
    plain_runs, plain_files = files_entered(step)
print("usually:         ", usual_runs)
print("under md.plain():", plain_runs)
print("files of minidl/fast entered under md.plain():", [f for f in plain_files if f.startswith("fast/")])

# %% [markdown]
# Usually it is a faster walk that runs, in `fast/walk.py`, which gives the same numbers bit for bit and is harder to
# read. Under `md.plain()` it is the file above, and nothing of `minidl/fast/`.
#
# Last: **your walk, on the library's own ops.** Every tensor that an op has made knows its node, `L._op` (the
# underscore says: the engine's own business). Such a node has `inputs` and `order` like yours, and `backward` in the
# place of `slopes`: handed what came in and what the op has `saved()`, it gives what goes on, one value or a tuple.
# `needs(i)` says whether the gradient of input number i is wanted. The loop is the same:


# %%
def walk_ops(loss):
    grads = {loss._op: np.ones_like(loss.data)}
    while True:
        node = max(grads, key=lambda n: n.order)
        if not node.order:
            return grads
        grad_out = grads.pop(node)
        saved = [getattr(source, "_data", source) for source in node.saved()]  # of a plain number: itself
        sent = node.backward(grad_out, *saved)
        sent = sent if isinstance(sent, tuple) else (sent,)
        for i, source in enumerate(node.inputs):
            if node.needs(i):
                grads[source] = grads[source] + sent[i] if source in grads else sent[i]


w.grad = None
with md.plain():
    h = w * x
    L = h * h + h
    mine = walk_ops(L)[w]
    L.backward()
print("your walk on minidl's ops:", mine, "   minidl:", w.grad.data, "   equal bit for bit:", mine == w.grad.data)

# %% [markdown]
# **What you have now.** Reverse mode is a dict and a loop: take the newest node, multiply by its local slopes, add to
# its inputs. A gradient is complete when its node is the newest one left.
#
# **What comes next.** So far every value was one number. In tutorial 3 the values are arrays, and the slope of a
# product of matrices needs some thought.

# %% tags=["teacher"]
slides = {"02_addends": draw_addends(tape, "h", font=13), "02_walks": draw_walks(font=13)}
pages = {"02_addends": tape}
