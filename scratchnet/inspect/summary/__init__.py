"""Layers, parameters and operations in a table."""
