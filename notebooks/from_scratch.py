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
# In this notebook a network of 79,510 numbers learns to tell a sneaker from an ankle boot. Nothing in
# it is magic: every step is a few lines of Python that you can open and read, and by the end you will
# have seen all of them at work: the arrays, the graph, the gradients, the layers, the loss, the
# update, the data, the loop.
#
# It follows a [tutorial written in Scala](https://github.com/botkop/dl-from-scratch-polynb), where an
# epoch took 4.3 seconds. The mathematics here is the same, and so is the loss curve. The clock is
# not.
#
# Run the cells from top to bottom. The one variable below decides where all of it happens: `"numpy"`
# is the processor, `"cupy"` an NVIDIA GPU. No other line changes.

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
# A **neural network** is a chain of matrix products with a bend between them. A product alone can
# only turn and stretch; two of them in a row are just another product. The bend, called the
# **activation**, is what makes the chain more than its links. With enough of them it can come as near
# as you like, on a bounded region, to any continuous function, which is what the universal
# approximation theorem says. The matrices are the **weights**; together with a vector added after
# each product, the **bias**, they are the **parameters**: the numbers that are learnt.
#
# Learning here is **supervised**. Somebody has written the right answer, the **label**, beside each
# example. Training repeats four steps:
#
# 1. **forward**: a **minibatch** of examples goes through the network, and out come scores, the
#    **logits**;
# 2. **loss**: one number that says how wrong they are, given the labels;
# 3. **backward**: for each parameter, how much the loss would grow if that parameter grew a little.
#    That is its **gradient**, and finding all of them at once is **backpropagation**;
# 4. **update**: each parameter goes a small step against its gradient. How small is the **learning
#    rate**, and whoever does it is the **optimizer**.
#
# Once through all the examples is an **epoch**. Every so often we look at a **validation set**,
# images that are never trained on: a network that knows only what it has already seen has learnt
# nothing. When we are content, we keep the parameters, and from then on only step 1 is ever done.
# That is **inference**.
#
# ## The array library
#
# All numbers live in arrays. `xp` is the library they come from: NumPy's functions under NumPy's
# names, or CuPy's, whichever is active.

# %%
images = xp.asarray([[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]], dtype=xp.float32)  # two "images" of three pixels
weight = xp.asarray([[1.0, 0.0, -1.0]], dtype=xp.float32)
print(images @ weight.T)  # a product: each row of images with each row of weights

# %% [markdown]
# Arrays of different shapes meet by **broadcasting**: an axis of length 1, or one that is missing, is
# repeated as often as needed. That is how one bias is added to every row.

# %%
bias = xp.asarray([[10.0, 20.0, 30.0]], dtype=xp.float32)
print(images.shape, "+", bias.shape, "=", (images + bias).shape)
print(images + bias)

# %% [markdown]
# What is on the device stays there. Crossing to the host has a name, `to_host`, so that you see every
# one in the text; in a training step there is none.
#
# ## Variables and Functions
#
# To find gradients we must know where each number came from. Two things are enough, each told in
# terms of the other:
#
# - a **Variable** is an array that remembers the Function that made it, if one did;
# - a **Function** remembers the Variables it was applied to. `forward` computes the result.
#   `backward` is given the gradient at the result and says what it means for each operand.

# %%
u = sn.Variable([1.0, 2.0, 3.0], name="u")
v = sn.Variable(2.0, name="v")
total = (u * v + u**2).sum()
total

# %% [markdown]
# `total` is 1·2 + 1² + 2·2 + 2² + 3·2 + 3² = 26, and it knows how it came to be. This is the circuit
# that was recorded while the line above ran, drawn from the graph itself. A dark pill is a Function.
# A box is a Variable with its shape: blue where you made it by hand, white where a Function did,
# dashed where no gradient is needed. Values flow down, gradients will flow up.

# %%
sn.draw(total)

# %% [markdown]
# Each Function knows only its own small rule. This is the whole of multiplication, as it stands in
# the library. It calls its operands `a` and `b`, whatever you call them, and states its rule as a
# formula for those who want to read it:

# %%
import inspect

print(inspect.getsource(sn.Mul))

# %% [markdown]
# ## Backpropagation
#
# Ask `total` for gradients, and the sweep begins: it starts at `total` with a gradient of 1 (if it
# grows by a little, it grows by just as much) and walks back, from the youngest Function to the
# oldest, handing each one the gradient that has arrived at its result. `explain` does this before
# your eyes and leaves everything as it was:

# %%
sn.explain(total)

# %% [markdown]
# Two things happen there that deserve a name.
#
# **A fork**: `u` is used twice, in `u * v` and in `u**2`. What it does to `total` it does along both
# ways, so the two gradients are added: that is the chain rule for more than one path.
#
# **A broadcast**: `v` is one number that met three. It was repeated on the way forward, so on the way
# back the three gradients are summed into one.
#
# Now for real. A backward pass consumes its graph, to give the memory back at once; we keep it, to
# draw it once more with the gradients in it.

# %%
total.backward(retain_graph=True)
print("u.grad =", u.grad, "   by hand: v + 2u =", 2 + 2 * np.array([1.0, 2.0, 3.0]))
print("v.grad =", v.grad, "   by hand: 1 + 2 + 3 =", 6.0)
sn.draw(total)

# %% [markdown]
# There is another way to know a gradient: the way it is defined. Push an operand a little to either
# side and see how far the result moves. This is far too slow to train with, for each of 79,510
# parameters would need its own two passes, but it is what every rule in the library is held against,
# in the tests and here:


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
# Once you trust the sweep, a Function of your own is two rules. You never write a word about forks,
# broadcasting or devices.


# %%
class Softplus(sn.Function):
    """log(1 + eˣ): a ReLU with a soft corner."""

    def forward(self, x):
        self.x = x
        return xp.logaddexp(x, 0)

    def backward(self, grad):
        return grad * sn.sigmoid(self.x)


print(sn.gradcheck(Softplus(), [-2.0, 0.0, 3.0]))

# %% [markdown]
# ## Activations
#
# The bend. **ReLU** lets through what is positive and sets the rest to zero; on the way back the
# gradient passes where the input did, and stops where it was stopped. Sigmoid and tanh are older,
# smooth, and flat on both sides: where they are flat, hardly any gradient comes through, and a deep
# network stops learning. The slopes below are not formulas typed in for the picture; they are what
# `backward` found.

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
# A **Module** is a part of a network: it holds parameters and says what it computes with them.
# Modules hold modules, and the outermost finds all the parameters within.
#
# The one that matters most is **Linear**: `x @ weight.T + bias`. A row of `weight` belongs to one
# unit of the layer: it is the pattern that the unit looks for. The weights begin as random numbers:
# different, so that the units learn different things, and small enough that signals keep their size
# from layer to layer. Glorot and Bengio chose the standard deviation √(2 / n), where n is the number
# of inputs and outputs together.


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
# The library's does the same in one Function, `Affine`, because one pass over memory is faster than
# three. Two of them, with a bend between, are our network:


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
# 784 pixels go in, 100 units look at all of them, and 10 scores come out, one for each kind of
# garment. Nearly all of the work is the first layer's: that is where the time will go.
#
# ## The optimizer
#
# The gradient points uphill, so we go the other way: `parameter -= learning_rate * gradient`. That is
# all of stochastic gradient descent (SGD). *Stochastic* because each step looks at a few examples
# only and so goes in roughly the right direction, which is enough, and hundreds of times cheaper than
# asking all of them.
#
# Here it is on a toy that you can check by eye: find a line through points that lie on `y = 3x - 1`.

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
# The first four lines of that loop are the loop: forget the old gradients, forward, backward, update.
# What follows is the same with a better question.
#
# ## The loss
#
# How wrong are ten scores, when the right class is, say, 7? **Softmax** turns scores into
# probabilities: raise *e* to each, and divide by the sum. The **cross-entropy** is then minus the
# logarithm of the probability that the right class was given: 0 for a network that is sure and right,
# and more the more it is surprised.

# %%
logits = sn.Variable([[2.0, 1.0, 0.1], [0.5, 2.5, 0.3]], name="logits")
labels = to_device(np.array([0, 2]))

probabilities = sn.softmax(logits)
print("probabilities:\n", probabilities.data)
print("each row sums to", probabilities.data.sum(axis=1))

loss = sn.softmax_loss(logits, labels)
print(f"loss: {loss:.6f}   by hand: {-(np.log(0.6590011) + np.log(0.0889172)) / 2:.6f}")

# %% [markdown]
# A network that knows nothing gives each of ten classes 1/10, so the first loss will be near log 10 =
# 2.303. If yours is not, look for the fault there before you train.
#
# Its gradient is remarkably simple: the probabilities, less 1 at the right class, divided by the
# number of rows. Every class but the right one is pushed down by as much probability as it wrongly
# got.

# %%
loss.backward()
one_hot = np.array([[1, 0, 0], [0, 0, 1]])
print("backward:\n", logits.grad)
print("(probabilities - one_hot) / n:\n", (to_host(probabilities.data) - one_hot) / 2)

# %% [markdown]
# Two details make this safe in a computer. *e* to the 100 is too large for a float32, so the largest
# score of each row is subtracted first, which changes nothing but the sizes. And where the network is
# sure, the probability is nearly 1 and its logarithm nearly 0; what is missing from 1 is then had as
# a sum of the others, not by subtraction. The library holds this against arithmetic of fifty digits.

# %%
wrong_and_very_sure = sn.Variable([[1e4, -1e4, 0.0]])
print(f"the loss: {float(sn.softmax_loss(wrong_and_very_sure, to_device(np.array([1])))):,}")

# %% [markdown]
# ## The data
#
# [Fashion-MNIST](https://github.com/zalandoresearch/fashion-mnist) is 60,000 images to train on and
# 10,000 to be examined with: 28 × 28 grey pixels from 0 to 255, in ten classes. The loader divides by
# 255, subtracts the mean of the training images, and hands them out in minibatches of 256.
#
# The validation images must lose the *training* mean, and never their own: at inference there is only
# one image, and it has no mean to speak of.

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
# Before we use the convenient classes, here is one step with nothing hidden.

# %%
net = Network()
sgd = sn.SGD(net.parameters(), learning_rate=0.1)
x, y = next(iter(train))

loss = sn.softmax_loss(net(x), y)
print(f"before the step: {loss:.4f}, near log 10 = {np.log(10):.4f}")
sn.draw(loss)

# %% [markdown]
# The frames are our modules, with the parameters that belong to each. What `backward` is going to do,
# in the order in which it will do it:

# %%
sn.explain(loss)

# %%
loss.backward()
sgd.step()
print(f"after it, on the same images: {sn.softmax_loss(net(x), y):.4f}")

# %% [markdown]
# ## Training, the loop
#
# `Learner` is that loop, over all batches of all epochs. After each epoch `MetricsCollector` measures
# loss and accuracy on every minibatch of both sets. Each line shows validation before training.
#
# You should not expect a record from so small a network. It proves that the thing learns.

# %%
net = Network()
sgd = sn.SGD(net.parameters(), learning_rate=0.1)
metrics = sn.MetricsCollector(train, valid, sn.softmax_loss)
learner = sn.Learner(train, net, sgd, sn.softmax_loss, metrics)
history = learner.fit(2 if QUICK else 10)

# %% [markdown]
# The original's lines began with `epoch:  0 duration: 5052ms loss: 0.5210 / 0.5223` and ended with
# `epoch:  9 duration: 4375ms loss: 0.3514 / 0.3310`.
#
# On the whole training set the training loss agrees: 0.3310 ± 0.0026 over six seeds of ours. The
# validation loss does not, 0.3848 ± 0.0018 where the original shows 0.3514, and no seed brings it
# there: that network was examined with other images. Its CSV files held another split of the same
# 70,000 garments. If all of them are pooled and split anew at random, this recipe gives 0.3620 ±
# 0.0043. So compare losses only where the images are the same.
#
# ## The four pictures
#
# Pale is every minibatch, dark the mean of an epoch.

# %%
sn.plot_metrics(metrics)

# %% [markdown]
# Above, the network is asked about what it has seen; below, about what it has not. The training loss
# goes on falling where the validation loss begins to grow flat: what is learnt from there on is more
# and more about these images, and less and less about garments.
#
# ## Inference
#
# Training is over. No labels, no loss, no gradients: under `no_grad` nothing is recorded.

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
# `predict` does this for a whole set.

# %%
predictions = sn.predict(net, valid)
right = (predictions.predicted == predictions.labels).mean()
print(f"{right:.2%} of {len(predictions):,} images are right")
sn.plot_images(valid, range(10), predictions)

# %% [markdown]
# ## Beyond the original
#
# ### What it takes for what
#
# One number hides much. In the confusion matrix a row is what a garment is, a column what it was
# taken for.

# %%
sn.plot_confusion_matrix(predictions)

# %% [markdown]
# Shirts are the hard ones: they are taken for T-shirts, pullovers and coats, as you might take them
# at 28 × 28 pixels. Hardly anything is taken for a trouser.
#
# ### What it gets most wrong
#
# Of all mistakes, those with the largest loss: sure, and wrong. Some of them are not the network's.

# %%
sn.plot_images(valid, predictions.worst(20), predictions)

# %% [markdown]
# ### What the first layer looks at
#
# Each unit of the first layer has one weight a pixel, so its weights are an image: the pattern that
# it answers to. Most of what one would see there is the noise in which it began. The same seed gives
# the same beginning, so we can subtract it and see what has been learnt: red where a unit has come to
# want ink, blue where it wants none.

# %%
learnt = Network()
learnt.fc1.weight.data = net.fc1.weight.data - learnt.fc1.weight.data
sn.plot_weights(learnt, most=48)

# %% [markdown]
# Nobody told it about sleeves, soles and trouser legs.
#
# ### Where the time goes
#
# A step is five matrix products and a few passes over smaller arrays. We time its parts, and wait for
# the device after each one, so that on a GPU too the clock reads what it should.

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
# Forward and backward are the products with the images. `Learner` is quicker still than these parts
# together: it adds the gradient of the large weight to the weight as it is made, so that it never
# exists on its own.
#
# ### The same cell, on the GPU
#
# A function that trains the recipe for three epochs, wherever it is told to. It is the same text for
# every backend.


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
# Where only `numpy` is printed, no GPU was found here; `scratchnet doctor` says what is missing and
# what would mend it. With one, the loss is the same but for the last digits, and an epoch is a single
# launch: after the first epoch, which runs step by step and is watched, the whole of it is recorded
# once and handed to the GPU as one.
#
# ## Where to go from here
#
# - Change one thing at a time and look: the learning rate (3 is too much: the loss becomes infinite,
#   and an error says so), 30 hidden units, another layer, `sn.tanh` in place of `sn.relu`.
# - Read the library; it was written to be read: `scratchnet/core/function.py`, `scratchnet/variable.py`,
#   `scratchnet/core/sweep.py`, in that order, then `scratchnet/layers/` and
#   `scratchnet/training/learner.py`.
# - From the terminal: `scratchnet train --report results` makes a page of what you have seen here.
