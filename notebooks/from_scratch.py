# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     notebook_metadata_filter: kernelspec,jupytext
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # A neural network from scratch
#
# In this notebook, a network of 79,510 numbers learns to tell a sneaker from an ankle boot. Every step
# is a few lines of Python that you can open and read. At the end you will have seen all of them at
# work: arrays, graph, gradients, layers, loss, update, data, and the training loop.
#
# The notebook follows a [tutorial written in Scala](https://github.com/botkop/dl-from-scratch-polynb),
# in which an epoch took 4.3 seconds. The mathematics here is the same, and so is the training loss.
# Only the time is different.
#
# Run the cells from top to bottom. The variable below decides where everything runs: `"numpy"` is the
# CPU, `"cupy"` is an NVIDIA GPU. No other line changes.

# %%
import os

import numpy as np

import backends
import scratchnet as sn
from backends import to_device, to_host, xp

BACKEND = os.environ.get("SCRATCHNET_BACKEND", "numpy")
backends.use(BACKEND)

QUICK = "SCRATCHNET_QUICK" in os.environ  # a small part of the data, for those in a hurry
print(f"on {backends.active().device_name}, with {backends.active().describe()}")

# %% [markdown]
# ## Some words first
#
# A **neural network** is a chain of matrix products, with a simple nonlinear function after each of
# them except the last. That function is called the **activation**. Without it, two matrix products in a
# row would be just another matrix product. With enough units, such a network can come as close as you
# like to any continuous function on a bounded region: this is the universal approximation theorem. The
# matrices are the **weights**. After each product, a vector is added, the **bias**. Weights and biases
# are the **parameters**: the numbers that the network learns.
#
# Learning here is **supervised**: each example has a right answer, its **label**. Training repeats four
# steps:
#
# 1. **forward**: a **minibatch** of examples goes through the network, and the network returns scores,
#    the **logits**;
# 2. **loss**: one number that says how wrong the scores are, given the labels;
# 3. **backward**: for each parameter, how much the loss would grow if that parameter grew a little.
#    This is the parameter's **gradient**. Computing all gradients at once is **backpropagation**;
# 4. **update**: each parameter takes a small step against its gradient. The size of the step is set by
#    the **learning rate**, and the **optimizer** takes it.
#
# One pass over all examples is an **epoch**. After each epoch we measure a **validation set**: images
# that we never train on. They show whether the network has learned something general, or only
# remembers its examples. When the result is good enough, we keep the parameters, and from then on we
# only run step 1. That is **inference**.
#
# ## The array library
#
# All numbers live in arrays. `xp` is the active array library. It has NumPy's functions under NumPy's
# names, and they run on NumPy or on CuPy.

# %%
images = xp.asarray([[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]], dtype=xp.float32)  # two "images" of three pixels
weight = xp.asarray([[1.0, 0.0, -1.0]], dtype=xp.float32)
print(images @ weight.T)  # a product: each row of images with each row of weights

# %% [markdown]
# Arrays of different shapes are combined by **broadcasting**: an axis of length 1, or a missing axis, is
# repeated as often as needed. This is how one bias is added to every row.

# %%
bias = xp.asarray([[10.0, 20.0, 30.0]], dtype=xp.float32)
print(images.shape, "+", bias.shape, "=", (images + bias).shape)
print(images + bias)

# %% [markdown]
# Arrays on the device (the CPU or the GPU) stay there. To copy one to the host, call `to_host`, so that
# you see every copy in the code. A training step makes no copy.
#
# ## Variables and Functions
#
# To compute gradients we must know where each number came from. Two classes are enough, and they refer
# to each other:
#
# - a **Variable** is an array that remembers the Function that made it, if there is one;
# - a **Function** remembers which Functions made its operands. `forward` computes the result, and keeps
#   the arrays that `backward` needs. `backward` takes the gradient at the result and returns the
#   gradient at each operand.

# %%
u = sn.Variable([1.0, 2.0, 3.0], name="u")
v = sn.Variable(2.0, name="v")
total = (u * v + u**2).sum()
total

# %% [markdown]
# `total` is 1·2 + 1² + 2·2 + 2² + 3·2 + 3² = 26, and it remembers how it was computed. The picture
# below shows the graph that was recorded while the line above ran. A dark pill is a Function. A box is a
# Variable with its shape: blue if you made it, white if a Function made it, dashed if it needs no
# gradient. Values flow down, and gradients will flow up.

# %%
sn.draw(total)

# %% [markdown]
# Each Function knows only its own small rule. Here is all of multiplication, as it stands in the
# library. It calls its operands `a` and `b`, whatever names you use. Its `rule` is the same as a formula
# for readers:

# %%
import inspect

print(inspect.getsource(sn.Mul))

# %% [markdown]
# ## Backpropagation
#
# When you ask `total` for gradients, the sweep starts at `total` with a gradient of 1: if `total` grows
# by a little, it grows by just as much. Then it visits each Function, always after all Functions that
# used its results. It gives each Function the gradient that has arrived at its result. `explain` shows
# these steps and changes nothing:

# %%
sn.explain(total)

# %% [markdown]
# Two of these steps have a name.
#
# **A fork**: `u` is used twice, in `u * v` and in `u**2`. It changes `total` in both ways, so the two
# gradients are added. This is the chain rule for more than one path.
#
# **A broadcast**: `v` is one number, and meets three. It was repeated on the way forward, so on the way
# back the three gradients are added to one.
#
# Now we run the backward pass. It frees its graph as it goes, to give memory back at once. Here we keep
# the graph, to draw it again with the gradients in it.

# %%
total.backward(retain_graph=True)
print("u.grad =", u.grad, "   by hand: v + 2u =", 2 + 2 * np.array([1.0, 2.0, 3.0]))
print("v.grad =", v.grad, "   by hand: 1 + 2 + 3 =", 6.0)
sn.draw(total)

# %% [markdown]
# There is another way to find a gradient: its definition. Move one element of an operand a little up
# and a little down, and measure how much the result changes. This is far too slow for training, because
# each of the 79,510 parameters would need two forward passes. But the tests compare every rule of the
# library with it, and we can do the same here:


# %%
def f(u):
    return float((u * 2 + u**2).sum())


h, at = 1e-6, np.array([1.0, 2.0, 3.0])
for i in range(3):
    step = np.eye(3)[i] * h
    slope = (f(at + step) - f(at - step)) / (2 * h)
    print(f"u[{i}] pushed by ±{h}: {slope:.6f}")

print("gradcheck says the same:", sn.gradcheck(lambda u, v: (u * v + u**2).sum(), [1.0, 2.0, 3.0], 2.0))

# %% [markdown]
# The sweep does the rest for every Function: forks, broadcasting and devices. So your own Function needs
# only two rules.


# %%
class Softplus(sn.Function):
    """log(1 + eˣ): a ReLU with a soft corner."""

    def forward(self, x):
        self.keep(x)
        return xp.logaddexp(x, 0)

    def backward(self, grad, x):
        return grad * sn.sigmoid(x)


print(sn.gradcheck(Softplus(), [-2.0, 0.0, 3.0]))

# %% [markdown]
# ## Activations
#
# **ReLU** keeps positive numbers and sets the others to zero. On the way back, the gradient passes where
# the input was positive, and is zero elsewhere. Sigmoid and tanh are older and smooth, and flat on both
# sides. Where they are flat, hardly any gradient comes through, and a deep network stops learning. The
# slopes below are not typed in as formulas: `backward` computed them.

# %%
import matplotlib.pyplot as plt

figure, axes = plt.subplots(1, 4, figsize=(12, 3), sharex=True, sharey=True, layout="constrained")
activations = {"relu": sn.relu, "sigmoid": sn.sigmoid, "tanh": sn.tanh, "softplus": Softplus()}
for ax, (name, activation) in zip(axes, activations.items(), strict=True):
    x = sn.Variable(np.linspace(-4, 4, 201).tolist())
    value = activation(x)
    value.sum().backward()
    ax.plot(to_host(x.data), to_host(value.data), label="value")
    ax.plot(to_host(x.data), to_host(x.grad), "--", label="slope")
    ax.set(title=name, xlabel="x", ylim=(-1.2, 2.5))
    ax.grid(alpha=0.3)
axes[0].legend(frameon=False)
plt.show()

# %% [markdown]
# ## Modules
#
# A **Module** is a part of a network. It holds parameters and computes something with them. A module can
# hold other modules, and the outermost module finds all parameters in them.
#
# The most important module is **Linear**: `x @ weight.T + bias`. Each row of `weight` belongs to one
# unit of the layer: it is the pattern that the unit looks for. The weights start as random numbers. They
# differ, so that the units learn different things. They are small, so that signals keep their size from
# layer to layer. Glorot and Bengio chose the standard deviation √(2 / n), where n is the number of
# inputs plus the number of outputs.


# %%
class LinearByHand(sn.Module):
    def __init__(self, in_features, out_features, rng):
        deviation = np.sqrt(2 / (in_features + out_features))
        weight = rng.standard_normal((out_features, in_features)) * deviation
        self.weight = sn.Variable(to_device(weight.astype(np.float32)))
        self.bias = sn.Variable(xp.zeros((1, out_features), dtype=xp.float32))

    def forward(self, x):
        return x @ self.weight.T + self.bias


by_hand = LinearByHand(3, 2, np.random.default_rng(0))
from_the_library = sn.Linear(3, 2, np.random.default_rng(0))
print(by_hand(images))
print(from_the_library(images))

# %% [markdown]
# The library's Linear computes the same in one Function, `Affine`, because one pass over memory is
# faster than three. Two Linear modules with an activation between them are our network:


# %%
class Network(sn.Module):
    def __init__(self, seed=231):
        rng = np.random.default_rng(seed)
        self.fc1 = sn.Linear(784, 100, rng)
        self.fc2 = sn.Linear(100, 10, rng)

    def forward(self, x):
        return x >> self.fc1 >> sn.relu >> self.fc2  # x >> f is f(x): read it as a pipe


net = Network()
sn.summary(net, (256, 784))

# %% [markdown]
# 784 pixels go in. 100 units look at all of them. 10 scores come out, one for each kind of garment.
# Nearly all of the work is in the first layer, so that is where the time will go.
#
# ## The optimizer
#
# The gradient points uphill, so we go the other way: `parameter -= learning_rate * gradient`. This is
# all of stochastic gradient descent (SGD). It is called *stochastic* because each step looks at only a
# few examples. So each step goes in roughly the right direction. This is good enough, and hundreds of
# times cheaper than a step over all examples.
#
# Here is SGD on an example that you can check by eye. It finds a line through points on `y = 3x - 1`.

# %%
rng = np.random.default_rng(0)
points = rng.uniform(-1, 1, (64, 1)).astype(np.float32)
x, target = to_device(points), to_device(3 * points - 1)

line = sn.Linear(1, 1, rng=0)
sgd = sn.SGD(line.parameters(), learning_rate=0.3)
for step in range(61):
    sgd.zero_grad()
    error = ((line(x) - target) ** 2).mean()
    error.backward()
    sgd.step()
    if step % 15 == 0:
        slope, offset = (float(to_host(p.data).squeeze()) for p in line.parameters())
        print(f"step {step:2d}   error {float(error):.6f}   y = {slope:+.3f}·x {offset:+.3f}")

# %% [markdown]
# The first four lines of that loop are the training loop: clear the old gradients, forward, backward,
# update. The rest of this notebook uses the same loop for a harder question.
#
# ## The loss
#
# How wrong are ten scores if the right class is, for example, 7? **Softmax** turns scores into
# probabilities: it raises *e* to each score, and divides by the sum. The **cross-entropy** is minus the
# logarithm of the probability of the right class. It is 0 if the network is certain and right, and it
# grows as that probability falls.

# %%
logits = sn.Variable([[2.0, 1.0, 0.1], [0.5, 2.5, 0.3]], name="logits")
labels = to_device(np.array([0, 2]))

probabilities = sn.softmax(logits)
print("probabilities:\n", probabilities.data)
print("each row sums to", probabilities.data.sum(axis=1))

loss = sn.softmax_loss(logits, labels)
print(f"loss: {loss:.6f}   by hand: {-(np.log(0.6590011) + np.log(0.0889172)) / 2:.6f}")

# %% [markdown]
# A network that knows nothing gives each of ten classes the probability 1/10. So the first loss should
# be near log 10 = 2.303. If yours is not, look for the mistake before you train.
#
# The gradient of the loss is simple: take the probabilities, subtract 1 at the right class, and divide
# by the number of rows. So each wrong class is pushed down in proportion to its probability.

# %%
loss.backward()
one_hot = np.array([[1, 0, 0], [0, 0, 1]])
print("backward:\n", logits.grad)
print("(probabilities - one_hot) / n:\n", (to_host(probabilities.data) - one_hot) / 2)

# %% [markdown]
# Two details keep this accurate. *e* to the power 100 is too large for a float32, so we first subtract
# the largest score of each row; the probabilities stay the same. And if the network is almost certain,
# the probability p is near 1 and its logarithm near 0. There, we compute 1 − p by adding the other
# probabilities, because a subtraction would lose digits. The tests compare the result with arithmetic
# of fifty digits.

# %%
wrong_and_very_sure = sn.Variable([[1e4, -1e4, 0.0]])
print(f"the loss: {float(sn.softmax_loss(wrong_and_very_sure, to_device(np.array([1])))):,}")

# %% [markdown]
# ## The data
#
# [Fashion-MNIST](https://github.com/zalandoresearch/fashion-mnist) has 60,000 images for training and
# 10,000 for validation: 28 × 28 gray pixels from 0 to 255, in ten classes. The loader divides by 255,
# subtracts the mean of the training images, and returns minibatches of 256.
#
# From the validation images, subtract the *training* mean, never their own mean. At inference there is
# only one image, and a mean of one image says nothing.

# %%
take = 512 if QUICK else None
train = sn.FashionMnistDataLoader("train", batch_size=256, take=take)
valid = sn.FashionMnistDataLoader("valid", batch_size=256, take=take)
valid.zero_center(train.mean_image)

print(f"{train.source}: {train.num_samples:,} images to train on, {valid.num_samples:,} to validate")
sn.plot_images(train, range(10))

# %% [markdown]
# ## Training, by hand
#
# Before we use the convenient classes, here is one step in which you see everything.

# %%
net = Network()
sgd = sn.SGD(net.parameters(), learning_rate=0.1)
x, y = next(iter(train))

loss = sn.softmax_loss(net(x), y)
print(f"before the step: {loss:.4f}, near log 10 = {np.log(10):.4f}")
sn.draw(loss)

# %% [markdown]
# The frames are our modules, with the parameters of each. `explain` shows what `backward` is going to
# do, in the same order:

# %%
sn.explain(loss)

# %%
loss.backward()
sgd.step()
print(f"after it, on the same images: {sn.softmax_loss(net(x), y):.4f}")

# %% [markdown]
# ## Training, the loop
#
# `Learner` runs that loop over all batches of all epochs. After each epoch, `MetricsCollector` measures
# loss and accuracy on every minibatch of both data sets. Each line shows validation before training.
#
# Do not expect a record from so small a network. It shows that the library learns.

# %%
net = Network()
sgd = sn.SGD(net.parameters(), learning_rate=0.1)
metrics = sn.MetricsCollector(train, valid, sn.softmax_loss)
learner = sn.Learner(train, net, sgd, sn.softmax_loss, metrics)
history = learner.fit(2 if QUICK else 10)

# %% [markdown]
# The original's lines started with `epoch:  0 duration: 5052ms loss: 0.5210 / 0.5223` and ended with
# `epoch:  9 duration: 4375ms loss: 0.3514 / 0.3310`.
#
# On the full training set the training loss agrees: ours is 0.3310 ± 0.0026 over six seeds. The
# validation loss does not agree. Ours is 0.3848 ± 0.0018, the original shows 0.3514, and no seed comes
# near it. So the original probably used other validation images: its CSV files held another split of the
# same 70,000 garments. If we put all images together and split them at random, this recipe gives 0.3620
# ± 0.0043. Compare losses only on the same images.
#
# ## The four pictures
#
# The pale line shows every minibatch, the dark line the mean of each epoch.

# %%
sn.plot_metrics(metrics)

# %% [markdown]
# The upper pictures show the training images, the lower ones the validation images. The training loss
# keeps falling while the validation loss becomes flat. From there on, the network learns more and more
# about these particular images, and less and less about garments in general.
#
# ## Inference
#
# Training is over. We need no labels, no loss and no gradients: under `no_grad` nothing is recorded.

# %%
with sn.no_grad():
    x, y = next(iter(valid.in_order()))
    certainty = sn.softmax(net(x))
names = valid.class_names
for row, label in zip(to_host(certainty.data)[:8], to_host(y.data)[:8], strict=True):
    guess = row.argmax()
    remark = "" if guess == label else f"but the label is {names[label]}"
    print(f"{row[guess]:6.1%}  {names[guess]:12} {remark}")

# %% [markdown]
# `predict` does this for a whole data set.

# %%
predictions = sn.predict(net, valid)
right = (predictions.predicted == predictions.labels).mean()
print(f"{right:.2%} of {len(predictions):,} images are right")
sn.plot_images(valid, range(10), predictions)

# %% [markdown]
# ## Beyond the original
#
# ### Which classes it confuses
#
# The accuracy is only one number. The confusion matrix shows more: the row is what a garment is, the
# column is what the network took it for.

# %%
sn.plot_confusion_matrix(predictions)

# %% [markdown]
# Shirts are the hardest class. The network takes them for T-shirts, pullovers and coats, and at 28 × 28
# pixels you might do the same. It takes hardly anything for a trouser.
#
# ### Its worst mistakes
#
# These are the mistakes with the largest loss: the network was certain, and wrong. In some of them the
# label is wrong, not the network.

# %%
sn.plot_images(valid, predictions.worst(20), predictions)

# %% [markdown]
# ### What the first layer looks at
#
# Each unit of the first layer has one weight per pixel, so its weights form an image: the pattern that
# it responds to. Much of that image is the random noise that it started from. The same seed gives the
# same start, so we can subtract it and see what the network has learned. Red means that the unit wants
# ink there, blue means that it wants none.

# %%
learnt = Network()
learnt.fc1.weight.data = net.fc1.weight.data - learnt.fc1.weight.data
sn.plot_weights(learnt, most=48)

# %% [markdown]
# You can see sleeves, soles and trouser legs, although the training data do not mention them.
#
# ### Where the time goes
#
# A step is five matrix products and a few passes over smaller arrays. We time its parts. After each part
# we wait for the device, so that the measured times are right on a GPU too.

# %%
from time import perf_counter


def timed(work):
    backends.synchronize()
    begun = perf_counter()
    result = work()
    backends.synchronize()
    return result, 1e6 * (perf_counter() - begun)


steps = []
for x, y in list(train)[:100]:
    sgd.zero_grad()
    logits, forward = timed(lambda x=x: net(x))
    loss, loss_time = timed(lambda logits=logits, y=y: sn.softmax_loss(logits, y))
    _, backward = timed(loss.backward)
    _, update = timed(sgd.step)
    steps.append((forward, loss_time, backward, update))

parts = dict(zip(("forward", "loss", "backward", "update"), np.median(steps, axis=0), strict=True))
figure, ax = plt.subplots(figsize=(8, 1.8), layout="constrained")
left = 0.0
colours = "#08519c", "#9ecae1", "#3182bd", "#c6dbef"
for (name, duration), colour in zip(parts.items(), colours, strict=True):
    ax.barh(0, duration, left=left, color=colour, label=f"{name}, {duration:.0f} µs")
    left += duration
ax.set(xlabel="µs, the median step", yticks=[])
ax.legend(ncols=4, loc="lower center", bbox_to_anchor=(0.5, 1), frameon=False)
plt.show()

# %% [markdown]
# Most of forward and backward is the matrix products with the images.
#
# ### The same cell, on the GPU
#
# This function trains the recipe for three epochs on any backend. Its code is the same for every
# backend.


# %%
def train_on(backend):
    with backends.use(backend):
        train = sn.FashionMnistDataLoader("train", batch_size=256, take=take)
        valid = sn.FashionMnistDataLoader("valid", batch_size=256, take=take)
        valid.zero_center(train.mean_image)
        net = Network()
        metrics = sn.MetricsCollector(train, valid, sn.softmax_loss)
        learner = sn.Learner(train, net, sn.SGD(net.parameters(), 0.1), sn.softmax_loss, metrics)
        history = learner.fit(3, report=None)
        print(
            f"{backend:8} loss {history['train_loss'][-1]:.6f}   an epoch in "
            f"{history['duration'][-1] * 1000:.1f} ms ({learner.replay.how})"
        )


for backend in backends.available():
    train_on(backend)

# %% [markdown]
# If only `numpy` is printed, no usable GPU was found here. `scratchnet doctor` says what is missing and
# how to fix it. With a GPU, the loss is the same except for the last digits. The first epoch runs step
# by step, while the library checks that every step does the same work. Then it records the whole epoch
# once, and each later epoch is a single launch.
#
# ## Where to go from here
#
# - Change one thing at a time and look at the result: the learning rate (3 is too large: the loss
#   becomes infinite, and an error says so), 30 hidden units, another layer, `sn.tanh` in place of
#   `sn.relu`.
# - Read the library, in this order: `scratchnet/core/function.py`, `scratchnet/core/sweep.py`,
#   `scratchnet/variable.py`, `scratchnet/functions/`, then `scratchnet/layers/` and
#   `scratchnet/training/training_pass.py`.
# - From the terminal, `scratchnet train --report results` writes a page with what you have seen here.
