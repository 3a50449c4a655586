"""The engine: Functions, the sweep, and what is recorded."""
