"""Data: find the files, read them, and give them to the network in batches."""
