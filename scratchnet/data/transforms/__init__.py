"""Transforms of a batch on the device: standardize, crop, flip, pad, erase, one-hot.

    augment = sn.transforms.Compose([
        sn.transforms.RandomCrop(32, padding=4),
        sn.transforms.RandomHorizontalFlip(),
        sn.transforms.Standardize(mean, std),
    ])
    loader = sn.ArrayDataLoader(images, labels, 128, transform=augment)

A transform is a function: it takes an array whose first axis counts the samples, and returns one. Names
and meanings are those of torchvision.transforms. A random transform draws for each sample anew, whereas
torchvision draws once for a batch. The draws depend only on the seed, the pass and the batch. So they
are the same on every backend, in a captured epoch and after a resume. A loader leaves random transforms
out in evaluation.

Images have shape (n, channels, height, width).
"""

from scratchnet.data.transforms.images import (
    CenterCrop,
    Pad,
    RandomCrop,
    RandomErasing,
    RandomHorizontalFlip,
    RandomVerticalFlip,
)
from scratchnet.data.transforms.transform import Compose, RandomTransform, Transform
from scratchnet.data.transforms.values import OneHot, Standardize

__all__ = [
    "CenterCrop", "Compose", "OneHot", "Pad", "RandomCrop", "RandomErasing", "RandomHorizontalFlip",
    "RandomTransform", "RandomVerticalFlip", "Standardize", "Transform",
]  # fmt: skip
