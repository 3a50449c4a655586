"""Parity between backends."""
