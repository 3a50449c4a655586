"""Callbacks: `fit` calls them between epochs, and they may end it. The names are those of Keras."""
