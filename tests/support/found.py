"""Predictions of four images of classes 0, 0, 1, 1: the second wrong and uncertain, the last certain."""

import numpy as np

import scratchnet as sn

CHANCES = np.array([[0.7, 0.2, 0.1], [0.4, 0.5, 0.1], [0.1, 0.8, 0.1], [0.05, 0.05, 0.9]])


FOUND = sn.Predictions(np.log(CHANCES), np.array([0, 0, 1, 1]), ("Bag", "Ankle boot", "T-shirt/top"))
