"""Data in many files, too large for the memory or the disk of one machine."""
