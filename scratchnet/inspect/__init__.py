"""Pictures, words and tables that explain a graph or a network."""
