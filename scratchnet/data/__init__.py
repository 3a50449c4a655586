"""The data: where it is found, how it is read, and how it reaches the network."""

from scratchnet.data.fashion_mnist import FashionMnistDataLoader
from scratchnet.data.loader import ArrayDataLoader, DataLoader

__all__ = ["ArrayDataLoader", "DataLoader", "FashionMnistDataLoader"]
