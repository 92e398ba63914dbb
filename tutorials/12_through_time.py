# %% [markdown]
# # 12. Through time, and attention
#
# **Afterwards you can** say from one number how fast the gradient of a recurrent network vanishes or explodes over
# time, clip it, explain what an LSTM does about it, and write the attention of a Transformer in six lines.
#
# **It needs** tutorials 3 (the product of matrices, backwards), 9 (what a chain of layers does to a gradient) and 10.
#
# **It takes** 50 minutes.

# %%
import matplotlib.pyplot as plt
import numpy as np

import minidl as md
import minidl.functional as F

# %% [markdown]
# ## Remember the first thing you heard
#
# A network reads a sequence of numbers, one at each *time step*. The first number is $+1$ or $-1$; after it comes
# nothing but noise. At the end the network has to say which of the two it was. Can it?
#
# A *recurrent network* has a state $h$. At each time step it reads the input $x_t$ and its own last state, always
# with the **same** weights:
#
# $$h_t = \tanh\!\big(x_t W_x^\top + h_{t-1} W_h^\top\big)$$
#
# (One row for each sequence; biases are left out in the formulas.)


# %%
class Memory(md.nn.Module):
    """A recurrent layer of 16 units, and a dense layer that looks at its last state."""

    def __init__(self, recurrent):
        super().__init__()
        self.recurrent = recurrent(2, 16)
        self.fc = md.nn.Linear(16, 2)

    def forward(self, x):
        states, _ = self.recurrent(x)  # (T, N, 16): the state at each time step
        return self.fc(states[-1])


def sequences(rng, time_steps, n=16):
    """x (T, n, 2): noise, and in the first time step the number to remember; and which one it was (n,)."""
    first = rng.integers(0, 2, n)
    x = np.zeros((time_steps, n, 2), np.float32)
    x[:, :, 0] = 0.3 * rng.standard_normal((time_steps, n))
    x[0, :, 1] = 2 * first - 1
    return x, first


# %%
def learn(model, time_steps, steps=120):
    """Train on fresh sequences; the loss of each step."""
    rng = np.random.default_rng(1)
    optimizer = md.optim.Adam(model, lr=0.01)
    losses = []
    for _ in range(steps):
        x, first = sequences(rng, time_steps)
        loss = F.cross_entropy(model(md.Tensor(x)), first)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


memory = {}
for time_steps in (10, 50):
    md.seed(0)
    memory[f"{time_steps} time steps"] = learn(Memory(md.nn.RNN), time_steps)
for name, losses in memory.items():
    print(f"{name}: loss {np.mean(losses[-20:]):.2f} (who guesses has ln 2 = 0.69)")

# %% [markdown]
# Over 10 time steps it learns to remember; over 50 it learns nothing. The network is the same, and so is the number
# to remember. So the error at the end does not reach the beginning.
#
# ## Back through time
#
# Unrolled in time, the network is a deep network with a layer for each time step, and all layers share their weights.
# One step back, with $G_t = \partial L / \partial h_t$:
#
# $$D_t = G_t \odot (1 - h_t^2), \qquad G_{t-1} = D_t\, W_h, \qquad
# \frac{\partial L}{\partial W_h} \mathrel{+}= D_t^\top h_{t-1}, \qquad
# \frac{\partial L}{\partial W_x} \mathrel{+}= D_t^\top x_t$$
#
# The slope of $\tanh$ at $h_t = \tanh(z)$ is $1 - h_t^2$. The $+\!=$ is there because a weight that is used at every
# time step gets an addend from every time step.
#
# **Exercise: implement.** Write one step back. `grad_h` is $G_t$, (N, H); `h` is $h_{t-1}$. Return the gradients of
# `x`, `h`, `w_x` (H, I) and `w_h` (H, H), in this order. The check compares with finite differences.


# %% exercise="t12_rnn_backward"
def rnn_backward(grad_h, x, h, w_x, w_h):
    """The gradients of h' = tanh(x @ w_x.T + h @ w_h.T) with respect to x, h, w_x and w_h."""
    # BEGIN SOLUTION
    new = np.tanh(x @ w_x.T + h @ w_h.T)
    grad_z = grad_h * (1 - new**2)
    return grad_z @ w_x, grad_z @ w_h, grad_z.T @ x, grad_z.T @ h
    # END SOLUTION


# %% check="t12_rnn_backward"
checked = md.check.t12_rnn_backward(rnn_backward)

# %% [markdown]
# With that, the way back through all of time is a loop. Is the sum over the time steps what the library computes?

# %%
one_step_back = checked.working
md.seed(0)
cell = md.nn.RNNCell(2, 3, bias=False)
w_x, w_h = cell.weight_ih.data, cell.weight_hh.data
rng = np.random.default_rng(0)
xs, u = rng.standard_normal((3, 2, 2)).astype(np.float32), rng.standard_normal((2, 3)).astype(np.float32)

hs = [np.zeros((2, 3), np.float32)]
for x in xs:
    hs.append(np.tanh(x @ w_x.T + hs[-1] @ w_h.T))
grad_h, grad_w_h = u, np.zeros_like(w_h)  # L = sum(u * h_T)
for x, h in zip(xs[::-1], hs[-2::-1], strict=True):
    _, grad_h, _, addend = one_step_back(grad_h, x, h, w_x, w_h)
    grad_w_h = grad_w_h + addend

# %%
with md.record(title="three time steps of a recurrent network") as tape:
    state = cell(md.Tensor(xs[0]))
    for x in xs[1:]:
        state = cell(md.Tensor(x), state)
    F.sum(state * u).backward()
apart = np.abs(cell.weight_hh.grad.data - grad_w_h).max()
print("the same as the library's, to 1e-5:", apart < 1e-5)
print(f"addends to the gradient of weight_hh: {len(tape.gradient('weight_hh').addends)}")

# %% [markdown]
# The page [pages/12_time.html](pages/12_time.html) shows the same three steps; watch how the gradient of `weight_hh`
# is not complete until the walk has come back to the first of them.
#
# ## One matrix, many times
#
# Without the factor $1 - h^2$, which is at most 1, the gradient goes back by $G_{t-1} = G_t\, W_h$. After $k$ time
# steps it has been multiplied by $W_h$ $k$ times. What that does is said by **one** number, the *spectral radius*
# $\rho$ of $W_h$: the largest absolute value of its eigenvalues. After some steps, each further one multiplies by
# about $\rho$.
#
# **Exercise: predict.** The spectral radius is 0.9. By which number is the gradient multiplied over 50 time steps,
# about? (Within 15%; $\log_{10} 0.9 \approx -0.046$.)

# %% exercise="t12_predict_decay"
factor = 0.00515  # SOLUTION

# %% check="t12_predict_decay"
checked = md.check.t12_predict_decay(factor)

# %% [markdown]
# Now the measurement. Networks of 128 units, whose random weights are scaled to five spectral radii, read 60 small
# random numbers. Solid: the norm of $\partial L_T / \partial h_t$, as far back as $T - t$ time steps. Dotted: what
# theory predicts, $\rho$ times the root mean square of $1 - h^2$ for each time step.


# %%
def cell_of(radius):
    """128 tanh units with random recurrent weights of this spectral radius."""
    made = md.nn.RNNCell(4, 128, bias=False)
    weight = np.random.default_rng(0).normal(size=(128, 128))
    made.weight_hh.data[...] = weight * radius / np.abs(np.linalg.eigvals(weight)).max()
    made.weight_ih.data[...] = np.random.default_rng(1).normal(size=(128, 4)) / 2
    return made


noise = (0.1 * np.random.default_rng(2).normal(size=(60, 8, 4))).astype(np.float32)
cells = {f"radius {radius}": cell_of(radius) for radius in (0.5, 0.9, 1.0, 1.2, 1.5)}
through_time = md.observe.through_time(cells, noise)
md.plot.through_time(through_time)

# %% [markdown]
# Straight lines on a log axis again: a factor for each time step, as it was a factor for each layer in tutorial 9.
# With the radius 0.5 the gradient falls by 0.3 decades ($\log_{10} 0.5 = -0.30$) a time step, so over 40 time steps
# by twelve. With 0.9 it falls much more slowly, and somewhat faster than $\log_{10} 0.9 = -0.05$ says, because of
# $1 - h^2$. Above 1 the network should explode; but there its states grow until $\tanh$ saturates, and $1 - h^2$
# takes back nearly all: with 1.5 the gradient grows by about 0.01 decades a time step instead of
# $\log_{10} 1.5 = 0.18$.
#
# The cure of tutorial 10, initial weights that keep the size, does not go far here: it is the *same* matrix each
# time, so 10% too much or too little is a factor of more than 100 after 50 time steps.
#
# ## When it explodes: clip
#
# The smallest recurrent network has a single unit: $h_t = \tanh(w\, h_{t-1} - 0.3)$ with $h_0 = 1$. Here is
# $L = (h_{20} - 0.5)^2$ as a function of its one weight.


# %%
def loss_of(w, time_steps=20):
    """The loss of the single unit, of a Tensor or an array w."""
    h = 1.0
    for _ in range(time_steps):
        h = F.tanh(w * h - 0.3)
    return (h - 0.5) ** 2


weights = np.linspace(1.2, 2.4, 1001)
figure, ax = plt.subplots(figsize=(5, 2.8), layout="constrained")
ax.plot(weights, loss_of(weights), color="#0072B2")
ax.set(xlabel="the weight w", ylabel="loss")
plt.close(figure)  # a notebook would show it twice
figure

# %% [markdown]
# The loss has a **cliff**: a slope of more than 100 beside slopes of 0.1, and the minimum lies at its foot. A rate
# that suits the plain is a disaster at the cliff: one step throws the weight far away. The remedy is crude and works:
# if the gradient is longer than some number $c$, make it as long as $c$, and keep its direction. All parameters
# together have one gradient, so all their gradients are multiplied by **one** factor:
#
# $$g \leftarrow g \cdot \min\!\Big(1, \frac{c}{\lVert g \rVert}\Big), \qquad
# \lVert g \rVert = \sqrt{\textstyle\sum_{\text{all parameters}} \sum_i g_i^2}$$
#
# **Exercise: implement.** `gradients` is a list of arrays. Return the clipped ones, in new arrays.


# %% exercise="t12_clip"
def clip(gradients, max_norm):
    """The gradients, scaled by one factor so that together they have at most this norm."""
    # BEGIN SOLUTION
    norm = np.sqrt(sum((g**2).sum() for g in gradients))
    factor = min(1.0, max_norm / norm)
    return [g * factor for g in gradients]
    # END SOLUTION


# %% check="t12_clip"
checked = md.check.t12_clip(clip)

# %%
clipped = checked.working


def descend(max_norm, lr=0.05, steps=150):
    """Gradient descent on the single unit's loss from w = 2.2: the weights and losses on the way."""
    w, ws, losses = np.array(2.2), [], []
    for _ in range(steps):
        variable = md.Tensor(w, requires_grad=True)
        loss = loss_of(variable)
        loss.backward()
        ws.append(float(w))
        losses.append(loss.item())
        (gradient,) = clipped([variable.grad.data], max_norm)
        w = w - lr * gradient
    return ws, losses


descents = {"not clipped": descend(1e9), "clipped to 0.5": descend(0.5)}

# %%
figure, axes = plt.subplots(1, 2, figsize=(7.4, 3), sharey=True, layout="constrained")
for ax, (name, (ws, losses)) in zip(axes, descents.items(), strict=True):
    weights = np.linspace(1.2, max(2.4, 1.05 * max(ws)), 2001)
    ax.plot(weights, loss_of(weights), color="#0072B2", linewidth=1)
    ax.plot(ws, losses, "o-", color="#D55E00", markersize=3, linewidth=0.7)
    ax.set_title(name, loc="left", fontsize=9)
    ax.set_xlabel("the weight w, from 2.2 on")
axes[0].set_ylabel("loss")
plt.close(figure)
figure
# %% [markdown]
# Without clipping, one step ends far out on the plain on the right, where $\tanh$ is saturated and the gradient is
# nearly 0: it does not come back. With clipping the weight stays at the foot of the cliff, and trembles there.
#
# Clipping helps against gradients that are too large. Against those that vanish it can do nothing: what is not there
# cannot be scaled.
#
# ## When it vanishes: another way through time
#
# The *LSTM* (long short-term memory, Hochreiter and Schmidhuber 1997) has a second state beside $h$, the *cell* $c$,
# and *gates*, numbers between 0 and 1 that are sigmoids of the input and of $h_{t-1}$:
#
# $$c_t = f_t \odot c_{t-1} + i_t \odot g_t, \qquad h_t = o_t \odot \tanh(c_t)$$
#
# The forget gate $f_t$ says what of the old cell is kept, the input gate $i_t$ what of the new candidate $g_t$ is
# added, the output gate $o_t$ what is shown. The old cell is **not multiplied by a matrix and does not pass through a
# $\tanh$**. Back along the cell the gradient is multiplied by $f_t$ alone, number by number. If the network learns
# $f_t$ near 1, the gradient stays.
#
# With small weights $f \approx \sigma(b_f)$, where $b_f$ is the bias of the forget gate. What is to be expected of
# $b_f = 0$, 2 and 4, where $\sigma$ is 0.50, 0.88 and 0.98?

# %%
md.seed(0)
gated = {"RNN": md.nn.RNNCell(4, 16)}
for forget in (0.0, 2.0, 4.0):
    gated[f"LSTM, bias {forget:.0f}"] = md.nn.LSTMCell(4, 16)
    gated[f"LSTM, bias {forget:.0f}"].bias_ih.data[16:32] = forget  # the rows of the gates: i, f, g, o
    gated[f"LSTM, bias {forget:.0f}"].bias_hh.data[16:32] = 0
lstm_through_time = md.observe.through_time(gated, noise[:40])
md.plot.through_time(lstm_through_time)

# %% [markdown]
# With the bias 0 it falls as fast as in the plain network; with 2 by about 0.04 decades a time step; with 4 not at
# all. To compare: $\log_{10} \sigma(b_f)$ is $-0.30$, $-0.05$ and $-0.01$. (It is not exactly that: the gates also
# look at $h_{t-1}$, which makes further ways back.) So a forget gate should begin open (Gers and others 2000). Back
# to the first task: over 50 time steps the plain network learned nothing.

# %%
for forget in (0.0, 2.0):
    md.seed(0)
    model = Memory(md.nn.LSTM)
    model.recurrent.bias_ih_l0.data[16:32] = forget
    memory[f"LSTM, bias {forget:.0f}, 50 time steps"] = learn(model, 50)
for name, losses in memory.items():
    print(f"{name}: loss {np.mean(losses[-20:]):.2f}")

# %% [markdown]
# **It is not the LSTM as such that learns it, but the open gate**: with a bias of 0, and $f = 0.5$, the gradient
# falls as fast as in the plain network, and as little is learned.
#
# **Exercise: explain.** Why does an LSTM with open forget gates keep the gradient?
#
# a) it has four times as many weights, so there is more gradient
#
# b) its gates are sigmoids, whose slope is larger than that of tanh
#
# c) the old cell is carried on by a sum; back along the cell the only factor is the forget gate, near 1
#
# d) its gradients are clipped, so they cannot vanish

# %% exercise="t12_lstm"
choice = "c"  # SOLUTION

# %% check="t12_lstm"
checked = md.check.t12_lstm(choice)

# %% [markdown] own_words="t12_lstm"
# In your own words: which path does the gradient take in a plain network, and which one in an LSTM? Which remedy of
# tutorial 10 is this?

# %% [markdown]
# ## Or no way at all: look at it directly
#
# However good the gate, from the last time step to the first it is $T$ factors. *Attention* makes it **one**: each
# place looks at all places before it, and takes from those that fit. Each place $i$ has three rows of $d$ numbers: a
# query $q_i$ (what it looks for), a key $k_i$ (what it is found by) and a value $v_i$ (what it has to give).
#
# $$s_{ij} = \frac{q_i \cdot k_j}{\sqrt d}, \qquad
# p_{ij} = \frac{e^{s_{ij}}}{\sum_{j' \le i} e^{s_{ij'}}} \;\text{ for } j \le i, \text{ else } 0, \qquad
# z_i = \sum_j p_{ij}\, v_j$$
#
# The scores of one query become weights that add up to 1, by a softmax over the places it may look at. It may not
# look ahead ($j \le i$: *causal*), else a network that predicts the next letter would read it off. The division by
# $\sqrt d$ keeps the scores of a size: a sum of $d$ products of numbers of variance 1 has the variance $d$.
#
# **Exercise: implement.** Write it for `q`, `k`, `v` of shape (T, d); return $z$, (T, d). Let the scores of places
# ahead be `-np.inf` **before** the softmax. (`F.softmax(scores, axis=...)` takes arrays;
# with `T = len(q)`, `np.triu(np.ones((T, T), bool), 1)` is true where $j > i$.)


# %% exercise="t12_attention"
def attention(q, k, v):
    """Causal attention: softmax(q k^T / sqrt(d)) v, where place i looks at places 0 to i."""
    # BEGIN SOLUTION
    scores = q @ k.T / np.sqrt(q.shape[1])
    ahead = np.triu(np.ones(scores.shape, bool), 1)
    return F.softmax(np.where(ahead, -np.inf, scores), axis=1) @ v
    # END SOLUTION


# %% check="t12_attention"
checked = md.check.t12_attention(attention)

# %% [markdown]
# How much of the gradient of the last output reaches each input? Three networks before any training, each with 16
# units: a plain recurrent one, an LSTM with a forget bias of 2, and one layer of attention.

# %%
md.seed(0)
T = 60
x = md.Tensor(np.random.default_rng(3).standard_normal((T, 8, 16)).astype(np.float32), requires_grad=True)
recurrent, lstm, heads = md.nn.RNN(16, 16), md.nn.LSTM(16, 16), md.nn.MultiheadAttention(16, 1)
lstm.bias_ih_l0.data[16:32] = 2.0
ahead = np.triu(np.ones((T, T), bool), 1)
ends = {
    "RNN": recurrent(x)[0][-1],
    "LSTM, bias 2": lstm(x)[0][-1],
    "attention": heads(x, x, x, attn_mask=ahead)[0][-1],
}
reach = {}
for name, last in ends.items():
    (gradient,) = md.grad(F.sum(last * np.random.default_rng(4).standard_normal(last.shape).astype(np.float32)), [x])
    reach[name] = np.sqrt((gradient.data**2).mean(axis=(1, 2)))[::-1]  # from the last input back


# %%
def draw_reach(size=9):
    """The gradient of each input against how far back it is."""
    figure, ax = plt.subplots(figsize=(6, 3.2), layout="constrained")
    for (name, rms), colour in zip(reach.items(), ("#D55E00", "#009E73", "#0072B2"), strict=True):
        ax.semilogy(rms, color=colour)
        ax.text(T, rms[-1], name, color=colour, va="bottom" if name == "attention" else "center", fontsize=size)
    ax.set_xlabel("time steps back, T - t", fontsize=size)
    ax.set_title("root mean square of dL/dx at that input", loc="left", fontsize=size)
    ax.tick_params(labelsize=size)
    ax.spines[["top", "right"]].set_visible(False)
    plt.close(figure)  # a notebook would show it twice
    return figure


draw_reach()

# %% [markdown]
# In the plain network it falls by more than 15 decades, in the LSTM by less than 3, and in attention **it does not
# fall at all**: the first input is as near as the last but one. (The last counts more, since the query comes from it,
# too.) The price is $T^2$ scores, and that attention by itself does not know the order of the places: a Transformer
# adds to each input a vector that says where it stands.
#
# ## A Transformer, small enough to watch
#
# A Transformer is blocks of attention and small dense networks, with the residual connections of tutorial 10 and a
# normalisation (over the numbers of a place, where tutorial 10 took the batch). This one has a single block. It reads
# lines such as `face=face` and predicts each next letter. The four letters before the `=` are random, nobody can
# predict them; those after it are known to whoever looks back.


# %%
def line(rng):
    """Four random letters, and the same again."""
    word = "".join(rng.choice(list("abcdefgh"), 4))
    return f"{word}={word}\n"


rng = np.random.default_rng(0)
text = md.data.characters("".join(line(rng) for _ in range(1500)), length=10)
md.seed(0)
model = md.models.char_transformer(text.classes, width=32, depth=1, heads=2, context=10)
optimizer = md.optim.AdamW(model, lr=3e-3)  # Adam, which also makes the weights a little smaller at each step
text_losses = []
for _ in range(4):
    for letters, following in md.data.Loader(text, batch_size=32, shuffle=True):
        scores = model(letters)
        loss = F.cross_entropy(scores.reshape(-1, len(text.classes)), following.reshape(-1))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        text_losses.append(loss.item())
print(f"loss {text_losses[0]:.2f} -> {np.mean(text_losses[-20:]):.2f}; the best possible is {0.4 * np.log(8):.2f}")
print("cafe=" + md.models.sample(model, "cafe=", 4))

# %% [markdown]
# (Four letters in ten can only be guessed, among eight: $0.4 \ln 8 = 0.832$.) On words it has never seen:

# %%
new = np.array([text.encode(line(np.random.default_rng(1000 + i))) for i in range(200)])
with md.no_grad():
    guessed = model(new[:, :-1]).numpy().argmax(axis=-1)
share = (guessed[:, 4:8] == new[:, 5:9]).mean()
share_before = (guessed[:, :3] == new[:, 1:4]).mean()
print(f"letters after the = that are right: {share:.0%}; letters before it: {share_before:.0%}")

# %% [markdown]
# And where does it look? Here are the weights $p_{ij}$ of its two heads (a *head* is an attention of its own, on a
# part of the vector): a row for each letter it has read, a column for each letter it may look at.

# %%
word = "head=head"
block = model.blocks[0]
with md.no_grad():
    h = block.norm1(model.positions(model.embedding(text.encode(word)[None])))
    mask = np.triu(np.ones((len(word), len(word)), bool), 1)
    _, weights = block.self_attn(h, h, h, attn_mask=mask, average_attn_weights=False)
looks = weights.numpy()[0]  # (2, 9, 9)


def draw_looks(size=9):
    """The attention weights of both heads as pictures."""
    figure, axes = plt.subplots(1, 2, figsize=(7.4, 3.6), layout="constrained", sharey=True)
    for head, ax in enumerate(axes):
        image = ax.imshow(np.where(mask, np.nan, looks[head]), cmap="cividis", vmin=0, vmax=1)
        ax.set_xticks(range(len(word)), list(word), fontsize=size)
        ax.set_xlabel("looks at", fontsize=size)
        ax.set_title(f"head {head + 1}", loc="left", fontsize=size)
    read = [f"{word[i]}, next is {word[i + 1]}" for i in range(len(word) - 1)]
    axes[0].set_yticks(range(len(word)), [*read, f"{word[-1]}, end of line"], fontsize=size)
    figure.colorbar(image, ax=axes, label="weight")
    plt.close(figure)  # a notebook would show it twice
    return figure


draw_looks()
# %% [markdown]
# From the row of `=` on, where there is something to know, one of the two heads has more than 0.7 of its weight on
# the letter that comes next, four places back: a diagonal. Nobody told it to look there. The gradient of the loss
# reached that place in one step, and that is what attention is for.

# %% tags=["teacher"]
slides = {
    "12_through_time": md.plot.through_time(through_time, style="slides"),
    "12_reach": draw_reach(size=13),
}
pages = {"12_time": tape}
