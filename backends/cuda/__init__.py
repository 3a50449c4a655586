"""NVIDIA GPUs: CuPy, the CUDA kernels and CUDA graphs."""
