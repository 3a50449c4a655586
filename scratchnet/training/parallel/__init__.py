"""Data-parallel training: several processes train one network, each on a share of every batch."""
