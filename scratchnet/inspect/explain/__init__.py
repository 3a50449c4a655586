"""A backward pass, step by step."""
