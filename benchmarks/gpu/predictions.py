"""Predictions of a model of the GPU path for an H100 or H200, to compare with measurements.

The model counts launches, dependencies and bytes at 1.9 GHz and 4.3 TB/s; see docs/explanation/gpu.md
for the path. None of these was measured. Each is a range from low to high.
"""

from __future__ import annotations

FUSED = "scratchnet: this network, one launch an epoch"
CAPTURED = "scratchnet: any network, one launch an epoch"
KERNELS = "scratchnet: kernels, step by step"
PLAIN = "scratchnet: CuPy's own functions, step by step"

SECONDS: dict[str, tuple[float, float]] = {
    FUSED: (2.0e-3, 2.6e-3),
    CAPTURED: (8e-3, 11e-3),
    KERNELS: (24e-3, 35e-3),
    PLAIN: (60e-3, 120e-3),
    "an empty kernel, as a node of a graph": (1.2e-6, 1.3e-6),
    "a graph of one node, launched": (2.5e-6, 2.5e-6),
    "forward_backward alone, a step": (5.2e-6, 5.2e-6),
    "update alone, a step": (3.55e-6, 3.55e-6),
    "forward_backward and update, a step": (8.8e-6, 8.8e-6),
    "gathering the images of an epoch": (0.09e-3, 0.125e-3),
    "scatter_add of 10,000 rows of 300 to 50,000, as a node": (22e-6, 22e-6),
}
"""Seconds, by the name of the figure."""

FACTS: dict[str, tuple[float, float]] = {
    "clusters of forward_backward at once": (16, 16),
    "copying on the device": (4.3, 4.3),
    "a barrier of a cluster": (0.75, 0.75),
}
"""By the name of the fact, in its unit."""
