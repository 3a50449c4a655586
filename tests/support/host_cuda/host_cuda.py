"""Compile a kernel's CUDA source for the CPU, and run it under `cuda_on_host.h`."""

import ctypes
import functools
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
import threading
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
HEADER = "cuda_on_host.h"
COMPILER = shutil.which("g++") or shutil.which("clang++")
_KERNEL = re.compile(
    r'extern "C" __global__ void (IN_CLUSTERS )?(?:__launch_bounds__\([^)]*\))?\s*(\w+)\('
)


_one_at_a_time = threading.Lock()


class HostModule:
    """Like `cupy.RawModule`: CUDA source and the compiler's options."""

    class CompileException(Exception):
        pass

    def __init__(self, code, options=()):
        defines = tuple(each for each in options if each.startswith("-D"))
        cluster = next((int(each.split("=")[1]) for each in defines if "CLUSTER=" in each), 1)
        self.clusters = {name: cluster if marked else 1 for marked, name in _KERNEL.findall(code)}
        with _one_at_a_time:
            self.library = _compiled(code, defines, tuple(self.clusters))

    def get_function(self, name):
        return HostKernel(getattr(self.library, f"launch_{name}"), self.clusters[name])


class HostKernel:
    """Like `cupy.RawKernel`. `order` is that of the threads' turns: 0, 1 (reversed) or a seed."""

    max_dynamic_shared_size_bytes = 0
    order = 0

    def __init__(self, entry, cluster):
        self.entry, self.cluster = entry, cluster
        entry.restype = ctypes.c_char_p

    def __call__(self, grid, block, arguments, shared_mem=0):
        values = [np.asarray(each) for each in arguments]  # addresses are passed as integers
        pointers = (ctypes.c_void_p * len(values))(*(each.ctypes.data for each in values))
        sizes = (ctypes.c_uint * 3)(*(*grid, 1, 1)[:3])
        assert sizes[0] % self.cluster == 0
        assert shared_mem <= max(48 * 1024, self.max_dynamic_shared_size_bytes)
        with _one_at_a_time:  # the fibers of a module are its own, and there is one set of them
            fault = self.entry(
                sizes, block[0], ctypes.c_size_t(shared_mem), self.cluster, self.order, pointers
            )
            if fault:  # its text is the module's, and the next launch may write another
                raise RuntimeError(fault.decode())


@functools.cache
def _folder():
    """Return the folder of compiled modules: one that several processes share, or this process's own.

    It holds the header, compiled once. Otherwise g++ would spend most of a kernel's compile time on it.
    """
    folder = Path(os.environ.get("SCRATCHNET_HOST_CUDA") or _own().name)
    compiled = folder / f"{HEADER}.gch"
    if not compiled.exists():
        _compile("-x", "c++-header", HERE / HEADER, to=compiled)
    return folder


@functools.cache
def _own():
    return tempfile.TemporaryDirectory(prefix="scratchnet-host-cuda-")


_LAUNCHER = """
extern "C" __attribute__((visibility("default"))) const char*
launch_{0}(const unsigned* grid, unsigned threads, size_t shared, unsigned cluster, unsigned order,
           void** arguments) {{
  return host::launch({0}, grid, threads, shared, cluster, order, arguments);
}}
"""
_OPTIONS = [
    "-std=c++17",
    "-O1",
    "-march=native",
    "-shared",
    "-fPIC",
    "-w",
    "-U_FORTIFY_SOURCE",
    "-fvisibility=hidden",
]


@functools.cache
def _compiled(code, defines, kernels):
    name = hashlib.sha256(repr((code, defines)).encode()).hexdigest()[:16]
    library = _folder() / f"{name}.so"
    if library.exists():
        return ctypes.CDLL(str(library))
    source = _folder() / f"{name}-{os.getpid()}.cpp"
    launchers = "".join(map(_LAUNCHER.format, kernels))
    source.write_text(f'#include "{HEADER}"\n#line 1\n{code}{launchers}', encoding="utf-8")
    _compile(*defines, source, to=library)
    return ctypes.CDLL(str(library))


def _compile(*arguments, to):
    """Write a file that another process may have written already, but never in part."""
    made = to.with_name(f"{to.name}-{os.getpid()}")
    command = [COMPILER, *_OPTIONS, f"-I{HERE}", *map(str, arguments), "-o", str(made)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    if done.returncode:
        raise HostModule.CompileException(done.stderr)
    os.replace(made, to)
