"""Data: find the files, read them, and give them to the network in batches."""
<<<<<<< HEAD
=======

from scratchnet.data import transforms
from scratchnet.data.loader import ArrayDataLoader, DataLoader

__all__ = ["ArrayDataLoader", "DataLoader", "transforms"]
>>>>>>> 7abd224f84a5b340448877bddb0a8fe86cfb4c9e
