"""The engine: Functions, the graph that they form, and the sweep that carries gradients back."""
