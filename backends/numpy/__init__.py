"""The CPU: kernels on NumPy, and its BLAS."""
