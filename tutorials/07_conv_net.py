# %% [markdown]
# # 07. A small conv net on digits
#
# **Afterwards you can** build a small convolutional network and say its sizes and parameters in advance, write the
# backward of max pooling, count what is taken for what, and look into the network: at its filters, its maps, its
# worst mistakes, and at one thing it does not know.
#
# **It needs** tutorial 05 (a training loop) and 06 (the convolution). **It takes** 50 minutes.

# %%
import matplotlib.pyplot as plt
import numpy as np

import minidl as md
import minidl.functional as F

md.seed(0)
data = md.data.digits(flat=False)
print("training", data.train.inputs.shape, "validation", data.validation.inputs.shape, "test", data.test.inputs.shape)

# %% [markdown]
# ## What does it see?
#
# 1,797 digits, written by hand, of $8 \times 8$ pixels from 0 (paper) to 1 (ink). A batch of images has four axes,
# $(N, C, H, W)$: $N$ images, $C$ channels (here 1: grey), height, width. Cover the titles: how many can you tell?

# %%
some, axes = plt.subplots(2, 8, figsize=(6.4, 2.0), layout="constrained")
for ax, image, label in zip(axes.flat, data.train.inputs[100:], data.train.labels[100:], strict=False):
    ax.imshow(image[0], cmap="gray_r", interpolation="nearest")
    ax.set_title(str(label), fontsize=9, pad=2)
    ax.axis("off")

# %% [markdown]
# ## The network
#
# A dense layer on the pixels would have to learn a stroke anew at each place. A convolution slides one small filter
# over all places. Two of them follow each other, with something new in between: **max pooling**, which keeps the
# largest number of each $2 \times 2$ square and forgets where in the square it was. Last, a dense layer makes ten
# scores of what is left.


# %%
def conv_net():
    """Two convolutions, each with ReLU and 2x2 max pooling, and a dense layer of ten scores."""
    return md.nn.Sequential(
        [
            ("conv1", md.nn.Conv2d(1, 8, 3, padding=1)),
            ("act1", md.nn.ReLU()),
            ("pool1", md.nn.MaxPool2d(2)),
            ("conv2", md.nn.Conv2d(8, 16, 3, padding=1)),
            ("act2", md.nn.ReLU()),
            ("pool2", md.nn.MaxPool2d(2)),
            ("flatten", md.nn.Flatten()),
            ("fc", md.nn.Linear(64, 10)),
        ]
    )


# %% [markdown]
# conv1 makes 8 maps of 1 channel, conv2 16 maps of these 8. Each filter is $3 \times 3$, and a padding of 1 puts a
# row of zeros around the image first. A map's side becomes
#
# $$\text{side} \leftarrow \text{side} + 2 \cdot \text{padding} - 3 + 1.$$
#
# **Exercise: predict.** An image is $8 \times 8$. How long is the side of a map after conv1, after pool1, after
# conv2, after pool2?

# %%
side_conv1 = 8  # SOLUTION
side_pool1 = 4  # SOLUTION
side_conv2 = 4  # SOLUTION
side_pool2 = 2  # SOLUTION

# %% check="t07_sizes"
sides = {"conv1": side_conv1, "pool1": side_pool1, "conv2": side_conv2, "pool2": side_pool2}
checked = md.check.t07_sizes(sides)

# %% [markdown]
# **Exercise: predict.** How many numbers are learned in conv1, in conv2, in fc? A filter has weights for each channel
# that comes to it, and each map, and each score, has a bias.

# %%
numbers_conv1 = 80  # SOLUTION
numbers_conv2 = 1168  # SOLUTION
numbers_fc = 650  # SOLUTION

# %% check="t07_parameters"
checked = md.check.t07_parameters({"conv1": numbers_conv1, "conv2": numbers_conv2, "fc": numbers_fc})

# %%
model = conv_net()
x = md.Tensor(data.train.inputs[:5])
for name, module in model.named_children():
    x = module(x)
    print(f"{name:8} {x.shape!s:16} {sum(p.size for p in module.parameters()):5} parameters")
total = sum(p.size for p in model.parameters())
print("in all", total)

# %% [markdown]
# ## Max pooling, backwards
#
# Forward it is one line. The two sides of the maps are split into squares, and of each square the largest is taken:


# %%
def max_pool(x):
    """The largest number of each 2x2 square: (N, C, H, W) -> (N, C, H/2, W/2)."""
    n, c, h, w = x.shape
    return x.reshape(n, c, h // 2, 2, w // 2, 2).max(axis=(3, 5))


x = np.array([[1.0, 5.0, 2.0, 0.0], [3.0, 4.0, 6.0, -1.0], [-1.0, -2.0, 0.5, 8.0], [7.0, -3.0, 9.0, 1.0]])
print(x, max_pool(x[None, None])[0, 0], sep="\n\n")

# %% [markdown]
# And backward? Ask of each pixel what a tutorial ago you asked of each weight: if it grew by a little, by how much
# would $y$ grow?
#
# **Exercise: implement.** Given $dL/dy$, return $dL/dx$, of the shape of `x`. No two numbers of a square are equal
# here. (`a.repeat(2, axis=2)` doubles each row of the maps; a loop over the squares is right as well.)


# %% exercise="t07_max_pool_backward"
def max_pool_backward(grad_out, x):
    """dL/dx of y = max_pool(x), given dL/dy."""
    # BEGIN SOLUTION
    y = max_pool(x)
    is_largest = x == y.repeat(2, axis=2).repeat(2, axis=3)
    return np.where(is_largest, grad_out.repeat(2, axis=2).repeat(2, axis=3), 0)
    # END SOLUTION


# %% check="t07_max_pool_backward"
checked = md.check.t07_max_pool_backward(max_pool_backward)

# %% [markdown]
# Three of four pixels get exactly 0. That is no vanishing gradient: they had no say. A step through it, on one digit,
# is on the page [pages/07_pool.html](pages/07_pool.html): forward, backward, and where each gradient went. Look at a
# square of plain paper, four zeros: which of them gets the gradient? (minidl takes the first.)

# %%
image = md.tensor(data.train.inputs[:1], requires_grad=True, name="image")
with md.record(title="max pooling, there and back") as tape:
    pooled = F.max_pool2d(image, 2)
    loss = F.sum(pooled)
    loss.backward()
reached = int(np.count_nonzero(image.grad.numpy()))
print(f"{reached} of 64 pixels have a gradient that is not 0: one in each square")
tape

# %% [markdown]
# ## Train it
#
# `md.fit` is the loop of tutorial 05, with a history; `md.evaluate` gives the mean loss and the share of right
# answers on a data set; `state_dict()` is a copy of all weights, kept for later. Batches of 8, since there are few
# images.

# %%
md.seed(0)
model = conv_net()
before = model.state_dict()
optimizer = md.optim.SGD(model, lr=0.1)
batches = md.data.Loader(data.train, batch_size=8, seed=0)
history = md.fit(model, optimizer, batches, epochs=8, validation=data.validation, progress=False)
tested = md.evaluate(model, data.test)
print(tested)
md.plot.loss_curves(history)

# %% [markdown]
# About 19 of 20 are right, on digits that it has not seen. Which are not?
#
# ## What is taken for what?
#
# **Exercise: implement.** A table of $C \times C$ whole numbers: row $i$, column $j$ says how many examples of class
# $i$ were taken for class $j$. `scores` is $(N, C)$; the answer is the class with the largest score. `labels` is
# $(N,)$.


# %% exercise="t07_confusion"
def confusion_matrix(scores, labels):
    """How many examples of class i (row) got the answer j (column)."""
    # BEGIN SOLUTION
    classes = scores.shape[1]
    count = np.zeros((classes, classes), dtype=int)
    for label, answer in zip(labels, scores.argmax(axis=1), strict=True):
        count[label, answer] += 1
    return count
    # END SOLUTION


# %% check="t07_confusion"
checked = md.check.t07_confusion(confusion_matrix)

# %%
with md.no_grad():
    scores = model(md.Tensor(data.test.inputs)).numpy()
count = checked.working(scores, data.test.labels)
accuracy = np.trace(count) / count.sum()
print(count)
print(f"{accuracy:.1%} right: what is on the diagonal")

# %% [markdown]
# The library's figure counts the same and shows the mistakes of which the network was surest (ink is white there).
# The percentage is the softmax of its scores: its own opinion.

# %%
confusion = md.observe.confusion(model, data.test)
mistakes = md.plot.confusion(confusion)
mistakes

# %% [markdown]
# **Explain a mistake.** Take one of the pictures. What do you see in it of the digit that it is, and what of the one
# it was taken for? Would you have known?

# %% [markdown] own_words="t07_mistake"
# In your own words:

# %% [markdown]
# ## What did the filters become?
#
# The eight filters of conv1, at first and after training. Purple is positive, orange negative; all share one scale.

# %%
untrained = conv_net()
untrained.load_state_dict(before)
filters = md.plot.filters({"before": md.observe.filters(untrained), "trained": md.observe.filters(model)})
filters

# %% [markdown]
# Some look like an edge, light beside dark; many like nothing at all. It is easy to see too much in such pictures.
# Better ask what a filter is *worth*: switch it off, count the right answers on the validation digits, and put the
# weights back.

# %%
trained = model.state_dict()
whole = md.evaluate(model, data.validation).accuracy
change = []
for i in range(8):
    model.conv1.weight.data[i] = 0
    model.conv1.bias.data[i] = 0
    change.append(md.evaluate(model, data.validation).accuracy - whole)
    model.load_state_dict(trained)
for i in np.argsort(change):
    print(f"without filter {i}: {100 * change[i]:+5.1f} points of accuracy")

# %% [markdown]
# The network leans on a few filters and would hardly miss some others.
#
# ## What do they find?
#
# One digit, and what the two layers make of it after ReLU; light is large. All maps of a layer share one scale.

# %%
digit = data.test.inputs[3]
seen = {layer: md.observe.feature_maps(model, digit, layer) for layer in ("act1", "act2")}
maps = md.plot.feature_maps(seen)
maps

# %% [markdown]
# In the maps of the first layer one still sees the digit: in one above all its right edges, in another its upper
# ones. The second layer has $4 \times 4$ places, and each number says how much of *something* is there; a grey map is
# 0 everywhere on this image. One image says nothing about the next: try another number in place of 3.
#
# ## One pixel to the side
#
# A convolution is the same everywhere. So a digit that lies one pixel farther to the right should be the same digit
# to this network?


# %%
def moved(x, by):
    """Images (N, C, H, W), moved by one pixel: to the right for 1, to the left for -1. What comes in is paper."""
    result = np.zeros_like(x)
    if by == 1:
        result[..., 1:] = x[..., :-1]
    else:
        result[..., :-1] = x[..., 1:]
    return result


def accuracy_of(model, inputs):
    """The share of the test digits that is right when they are shown as `inputs`."""
    return md.evaluate(model, md.data.Dataset(inputs, data.test.labels)).accuracy


test = data.test.inputs
as_it_is, right, left = (accuracy_of(model, x) for x in (test, moved(test, 1), moved(test, -1)))
print(f"right answers: {as_it_is:.1%}; one pixel to the right: {right:.1%}; to the left: {left:.1%}")

# %% [markdown]
# A person would not even notice. Two measurements before you answer: how much ink is lost over the edge, and whether
# the first layer's maps of the moved digit are those of the digit, moved.

# %%
lost = [1 - moved(test, by).sum() / test.sum() for by in (1, -1)]
with md.no_grad():
    here, there = (F.relu(model.conv1(md.Tensor(x))).numpy() for x in (test, moved(test, 1)))
apart = abs(there[..., 1:7] - here[..., 0:6]).max()
print(f"ink lost: {lost[0]:.2%} and {lost[1]:.2%}; largest difference of the maps, moved along: {apart:.1g}")

# %% [markdown]
# **Exercise: explain.** A digit that lies one pixel farther to the side is often taken for another. Why?
#
# a) Ink is pushed over the edge of the image.
#
# b) The filters give other numbers for the same stroke at another place.
#
# c) The maps move along with the digit, and fc, which has a weight for each place, sees them elsewhere.
#
# d) The network has not been trained long enough.

# %%
reason = "c"  # SOLUTION

# %% check="t07_shift"
checked = md.check.t07_shift(reason)

# %% [markdown] own_words="t07_shift"
# In your own words:

# %% [markdown]
# A convolution moves its answers with the image. That is not the same as giving the same answer, and pooling forgives
# a pixel at most. What the network was never shown it does not know. So show it: each training digit three times, in
# its place, moved to the right, moved to the left, and about as many steps as before.

# %%
md.seed(0)
taught = conv_net()
inputs, labels = data.train.inputs, data.train.labels
three = md.data.Dataset(np.concatenate([inputs, moved(inputs, 1), moved(inputs, -1)]), np.tile(labels, 3))
optimizer = md.optim.SGD(taught, lr=0.1)
md.fit(taught, optimizer, md.data.Loader(three, batch_size=8, seed=0), epochs=3, progress=False)
as_it_is_taught, right_taught, left_taught = (accuracy_of(taught, x) for x in (test, moved(test, 1), moved(test, -1)))
print(f"right answers: {as_it_is_taught:.1%}; to the right: {right_taught:.1%}; to the left: {left_taught:.1%}")

# %% [markdown]
# ## What remains
#
# - Sides shrink by the pooling, maps grow in number; a filter's weights count once, however many places it visits.
# - Max pooling sends each gradient to the one pixel that was the largest.
# - Look at the mistakes before you look at the accuracy, and switch a part off before you say what it does.
# - A convolution moves its answers along with the image; the network as a whole knows what it was shown.

# %% tags=["teacher"]
slides = {
    "07_maps": md.plot.feature_maps(seen, style="slides"),
    "07_mistakes": md.plot.confusion(confusion, style="slides"),
}
pages = {"07_pool": tape}
