"""Data: find the files, read them, and give them to the network in batches."""

from scratchnet.data import transforms
from scratchnet.data.loader import ArrayDataLoader, DataLoader

__all__ = ["ArrayDataLoader", "DataLoader", "transforms"]
