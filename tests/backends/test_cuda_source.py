"""The CUDA source: what the compiler makes of it, and that the tests would find a fault in it."""

import ctypes
import re
from types import SimpleNamespace

import numpy as np
import pytest
from host_cuda import HostKernel
from networks import NETWORKS, draw_network

import backends
from backends.cuda import compiled
from backends.cuda.compiled import Kernels
from backends.cuda.two_layers import TwoLayerKernels

MOST_REGISTERS = {"product_large, double": 224}  # otherwise 128: two blocks of 256 threads fit
MOST_SPILLED = {"update_rule, double": 8}  # NAdam holds a number while it calls pow, once per thread
MOST_SHARED = 48 * 1024


@pytest.fixture(scope="session")
def nvrtc():
    """NVIDIA's run-time compiler, which needs no driver."""
    try:
        from cuda.pathfinder import load_nvidia_dynamic_lib

        return ctypes.CDLL(load_nvidia_dynamic_lib("nvrtc").abs_path)
    except (ImportError, RuntimeError) as error:
        cause = str(error).partition("\n")[0]
        pytest.skip(f"no NVRTC: pip install nvidia-cuda-nvrtc cuda-pathfinder ({cause})")


def resources(nvrtc, code, options):
    """Return the assembler's report of each kernel: registers, spilled and static shared bytes."""
    program, size = ctypes.c_void_p(), ctypes.c_size_t()
    assert nvrtc.nvrtcCreateProgram(ctypes.byref(program), code.encode(), b"", 0, None, None) == 0
    array = (ctypes.c_char_p * len(options))(*(each.encode() for each in options))
    failed = nvrtc.nvrtcCompileProgram(program, len(options), array)
    nvrtc.nvrtcGetProgramLogSize(program, ctypes.byref(size))
    log = ctypes.create_string_buffer(size.value)
    nvrtc.nvrtcGetProgramLog(program, log)
    text = log.value.decode()
    assert not failed, text
    patterns = r"Used (\d+) registers", r"(\d+) bytes spill stores", r"(\d+) bytes smem"
    return {
        part.partition("'")[0]: [int((re.search(p, part) or [0, 0])[1]) for p in patterns]
        for part in text.split("Compiling entry function '")[1:]
    }


def compiled_by_the_backend(architecture):
    """Yield the source and the options of every module that the backend makes."""
    modules = set()

    def module(code, options):
        modules.add((code, options))
        return SimpleNamespace(get_function=lambda name: lambda *launch: None)

    kernels = Kernels(SimpleNamespace(RawModule=module, empty_like=np.empty_like), 132)
    for real in ("float", "double"):
        kernels.function("products", "product_small", f"REAL={real}")
        kernels.function("softmax_cross_entropy", "mean", f"REAL={real}", "LABEL=long long")
        kernels.function("sgd_update", "sgd_update", f"REAL={real}", "MOST=64")
        for struct in {struct for struct, _ in compiled.RULES.values()}:
            macros = f"REAL={real}", f"MOST={compiled._MOST_RULED}", f"RULE={struct}"
            kernels.function("update_rule", "update_rule", *macros)
        kernels.function("scatter_add", "add_sorted", f"NUMBER={real}", "INDEX=long long")
        for name in ("erf", "erfc", "gelu"):
            kernels.error_function(name, np.ones(1, {"float": "f", "double": "d"}[real]))
    for piece in compiled._PIECES.values():
        kernels.function("take_rows", "take_rows", f"PIECE={piece}", "ORDER=long long")
    kernels.function("philox", "philox")
    cluster = 1 if architecture == "sm_80" else 8
    kernels.function("barriers", "barriers", f"CLUSTER={cluster}")
    for _, _, inputs, hidden, classes in NETWORKS[:3:2]:
        fused = TwoLayerKernels(kernels, cluster, inputs, hidden, classes, "q")
        assert fused.shared <= (163 if cluster == 1 else 227) * 1024
    return modules


@pytest.mark.parametrize("architecture", ["sm_80", "sm_90", "sm_100"])
def test_every_kernel_compiles_without_spills(nvrtc, architecture):
    names = set()
    for code, options in compiled_by_the_backend(architecture):
        given = (
            *options,
            f"-arch={architecture}",
            "-ftz=true",
            "--device-as-default-execution-space",
            "--ptxas-options=-v",
        )
        for name, (registers, spilled, shared) in resources(nvrtc, code, given).items():
            kind = "double" if "-DREAL=double" in options else "float"
            assert 0 < registers <= MOST_REGISTERS.get(f"{name}, {kind}", 128), name
            assert spilled <= MOST_SPILLED.get(f"{name}, {kind}", 0), name
            assert shared <= MOST_SHARED, name
            names.add(name)
    assert names == {
        "product_small", "product_large", "cross_entropy_rows", "mean", "sgd_update", "update_rule",
        "advance",
        "forward_backward", "evaluate", "update", "batch_means", "barriers",
        "error_function", "take_rows", "sort_tiles", "merge_runs", "add_sorted", "philox",
    }  # fmt: skip


def test_sizes_that_the_launch_reckons_otherwise_do_not_compile(nvrtc):
    code, options = next(
        each for each in compiled_by_the_backend("sm_90") if "forward_backward(" in each[0]
    )
    wrong = tuple(each + "0" if each.startswith("-DSHARED") else each for each in options)
    with pytest.raises(AssertionError, match="another size of shared memory"):
        resources(nvrtc, code, (*wrong, "-arch=sm_90"))


@pytest.fixture
def strict():
    try:
        with backends.use("strict") as active:
            yield active
    except backends.BackendUnavailableError as error:
        pytest.skip(str(error))


def test_the_kernels_that_live_in_shared_memory_prefer_it_to_the_cache(strict):
    fused = TwoLayerKernels(Kernels(strict.xp, 4), 8, 30, 7, 3, "q")
    preferred = {
        name: getattr(fused, name).preferred_shared_memory_carveout
        for name in ("forward_backward", "evaluate", "update", "batch_means")
    }
    assert preferred == {"forward_backward": 100, "evaluate": 100, "update": -1, "batch_means": -1}


ERRORS = "erf", "erfc", "gelu"
KEY = 0x243F6A8885A308D3, 0x13198A2E03707344
SIZES = 70, 930, 33, 21
"""Samples, inputs, hidden, classes: a short batch, and more inputs per block than it stages at once."""


def rows_to_add():
    """Indices, and values whose float32 sums depend on the order of additions."""
    rng = np.random.default_rng(4)
    index, large = rng.integers(-9, 9, 550), 1e7 * rng.standard_normal((550, 40))
    return np.tile(index, 2), np.concatenate([large, 1 - large]).astype("float32")


def run_everything(active, cluster=8, tiles=None):
    """Run every kernel once, and yield each result on the host as soon as it is there.

    `tiles` forces small or large products.
    """
    rng = np.random.default_rng(3)
    x, labels, parameters = draw_network(rng, *SIZES)
    x, labels, *parameters = (
        backends.to_device(each.astype("float32") if each.dtype.kind == "f" else each)
        for each in (x, labels, *parameters)
    )
    kernels = Kernels(active.xp, {"small": 1 << 30, "large": 0, None: 4}[tiles])
    fused = TwoLayerKernels(kernels, cluster, *SIZES[1:], labels.dtype.char)
    w1, b1, w2, b2 = parameters
    row_sums = active.xp.empty(SIZES[2], "float32")
    h = kernels.product(x, w1.T, bias=b1, relu=True)
    loss, grad = kernels.softmax_cross_entropy(kernels.product(h, w2.T, bias=b2), labels)
    grad_h = kernels.product(grad, w2)
    grad_w1 = kernels.product(grad_h.T, x, mask=h.T, row_sums=row_sums)
    before = fused.evaluation(x, labels, 32, parameters)
    copies = [each.copy() for each in parameters]
    rate = backends.Setting(0.1)
    losses = fused.epoch(x, labels, 32, copies, rate)
    kernels.sgd_update(parameters[:2], [grad_w1, row_sums], rate)
    yield from map(backends.to_host, [h, loss, grad, grad_h, before, losses, *copies, *parameters[:2]])
    index, values = map(backends.to_device, rows_to_add())
    for name in ERRORS:
        yield backends.to_host(kernels.error_function(name, x))
    yield backends.to_host(kernels.random_bits(KEY, active.xp.full((), 3, "uint64"), 9001, 70_003))
    taken = active.xp.empty((20, SIZES[1]), "float32")
    kernels.take_rows(x, active.xp.abs(index[:20]), taken)
    yield backends.to_host(taken)
    for many in (500, 1100):  # in one tile of the sort, and in more
        added = active.xp.ones((9, 40), "float32")
        kernels.scatter_add(added, index[:many], values[:many])
        yield backends.to_host(added)


def exact(active):
    """Return what `run_everything` should yield, by the plain twins in float64."""
    rng = np.random.default_rng(3)
    x, labels, parameters = draw_network(rng, *SIZES)
    x, *parameters = (each.astype("float32").astype("float64") for each in (x, *parameters))
    with backends.use("numpy") as plain:
        twin = {name: getattr(backends.Backend, name) for name in dir(backends.Backend)}
        w1, b1, w2, b2 = parameters
        rate = backends.Setting(0.1)
        h = twin["affine"](plain, x, w1, b1, True)
        loss, grad = twin["softmax_cross_entropy"](plain, twin["affine"](plain, h, w2, b2), labels)
        grad_h = grad @ w2
        _, grad_w1, grad_b1 = twin["affine_backward"](plain, grad_h, x, w1, h, (False, True, True))
        before = twin["two_layer_evaluation"](plain, x, labels, 32, parameters)
        copies = [each.copy() for each in parameters]
        losses = twin["two_layer_epoch"](plain, x, labels, 32, copies, rate)
        twin["sgd_update"](plain, parameters[:2], [grad_w1, grad_b1], rate)
        index, values = rows_to_add()
        added = np.ones((2, 9, 40), "float32")
        for sums, many in zip(added, (500, 1100), strict=True):
            twin["scatter_add"](plain, sums, index[:many], values[:many])
        errors = [twin[name](plain, x) for name in ERRORS]
        taken = x[abs(index[:20])]
        bits = twin["random_bits"](plain, KEY, np.array(3, "uint64"), 9001, 70_003)
    first = [h, loss, grad, grad_h, before, losses, *copies, *parameters[:2], *errors]
    return [*first, bits, taken, *added]


def wrong(found, expected):
    """Whether some result differs by more than 1e-5 from the expected one, or is NaN."""
    errors = (
        np.linalg.norm(a - 1.0 * b) / np.linalg.norm(b) for a, b in zip(found, expected, strict=True)
    )
    return not all(error <= 1e-5 for error in errors)


@pytest.mark.parametrize("tiles", ["small", "large"])
@pytest.mark.parametrize("cluster", [8, 1])
def test_the_order_of_the_threads_changes_no_bit(strict, monkeypatch, cluster, tiles):
    found = list(run_everything(strict, cluster, tiles))
    assert not wrong(found, exact(strict))
    for order in (1, 12345):
        monkeypatch.setattr(HostKernel, "order", order)
        for a, b in zip(run_everything(strict, cluster, tiles), found, strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("cluster", [8, 1])
def test_every_block_passes_every_barrier(strict, cluster):
    passed = strict.xp.zeros(16, "int32")
    kernel = Kernels(strict.xp, 1).function("barriers", "barriers", f"CLUSTER={cluster}")
    kernel((16,), (256,), (np.int32(5), passed))
    np.testing.assert_array_equal(backends.to_host(passed), [5] * 16)


FAULTS = {
    "a row too far, where the rows of a cluster begin": (
        "forward_backward", "own_row = first_row + rank * OWN", "own_row = first_row + rank * OWN + 1"),
    "a row too far, in the sum over the batch": (
        "update", "const int row = at + warp * 32 + k;", "const int row = at + warp * 32 + k + 1;"),
    "the end of a slice is not heeded": (
        "forward_backward", "at + column < end", "at + column < INPUTS"),
    "what lies outside is not cleared": (
        "forward_backward", ": matrix, inside)", ": matrix, true)"),
    "no barrier after the copies": (
        "forward_backward", "finish_copies();\n      __syncthreads();", "finish_copies();"),
    "no barrier between the parts of a sum": (
        "forward_backward", "    }\n        }\n      __syncthreads();", "    }\n        }"),
    "the cluster does not wait for the parts": (
        "forward_backward", "cluster_wait();\n\n", "\n"),
    "no block says that its parts are there": (
        "forward_backward", "cluster_arrive();  // all parts are there", ""),
    "no block says that it needs no part any more": (
        "forward_backward", "cluster_arrive_having_read();", ""),
    "a block ends before others have read its parts": ("forward_backward", "  cluster_wait();\n}", "}"),
    "the bias is forgotten": ("forward_backward", "float sum = bias1[unit];", "float sum = 0;"),
    "the ReLU's mask is forgotten": ("forward_backward", "active[i] > 0 ? sum : 0", "sum"),
    "a row of a product too many": ("products", "at + k < matrix.depth", "at + k <= matrix.depth"),
    "no barrier after the product's copies": (
        "products", "thread);\n    __syncthreads();", "thread);"),
    "a slice of the depth is left out": ("products", "s < SLICES", "s < SLICES - 1"),
    "the mean of one row too few": ("softmax_cross_entropy", "i < count", "i < count - 1"),
    "an update of all but the last": ("sgd_update", "i < size", "i < size - 1"),
    "one term too few": ("error_function", "i > 0; --i", "i > 1; --i"),
    "the digits that the square lost are forgotten": ("error_function", "y + y * rest", "y"),
    "gelu at x / 2": ("error_function", "near_zero(x * ROOT) / 2", "near_zero(x / 2) / 2"),
    "the carry of a product is forgotten": (
        "philox", "(middle >> 32) + (other >> 32)", "(middle >> 32)"),
    "the numbers of all draws are the same": (
        "philox", "before + i + 1, *draws", "before + i + 1, 0"),
    "each share of a batch begins at the batch's first number": (
        "philox", "before + i + 1, *draws", "Word(i) + 1, *draws"),
    "the numbers begin where their block begins": ("philox", "8 * i + k - skipped", "8 * i + k"),
    "the order of the rows is not heeded": (
        "take_rows", "(long long)order[share.row] * columns", "share.row % 9 * columns"),
    "a thread has only one piece of a row": (
        "take_rows", "k < PIECES; ++k)\n      if (at + k * share.step < columns) to",
        "k < 1; ++k)\n      if (at + k * share.step < columns) to"),
    "negative indices count from the start": ("scatter_add", "row + rows : row", "-row : row"),
    "no barrier between the runs that are merged": (
        "scatter_add", "now = 1 - now;\n    __syncthreads();", "now = 1 - now;"),
    "a run is merged with itself": (
        "scatter_add", "smaller(words + other, others", "smaller(words + own, others"),
    "long runs are sorted downwards": (
        "scatter_add", "merged[merged_place(", "merged[count - 1 - merged_place("),
    "every word of a row adds the words after it": (
        "scatter_add", "if (share.row > 0 &&", "if (false &&"),
    "no more values of a row than are read at once": (
        "scatter_add", "more = same[AHEAD - 1]", "more = false"),
    "what the target was is forgotten": (
        "scatter_add", "NUMBER sum = target[row * columns + column]", "NUMBER sum = 0"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_seen(strict, monkeypatch, fault):
    file, right, planted = FAULTS[fault]
    source = compiled.source(file)
    assert source.count(right) == 1
    broken = source.replace(right, planted)
    monkeypatch.setattr(compiled, "source", lambda name: broken if name == file else real(name))
    try:
        assert wrong(run_everything(strict), exact(strict))
    except RuntimeError as error:
        seen = "deadlock", "cluster", "illegal address"
        assert any(word in str(error) for word in seen)  # noqa: PT017 - that is seeing it too


real = compiled.source


WHAT_A_DEVICE_HANGS_ON = {
    "cluster_wait(); cluster_arrive();": "cluster_wait without cluster_arrive",
    "cluster_arrive(); cluster_wait(); cluster_wait();": "cluster_wait without cluster_arrive",
    "cluster_arrive(); cluster_arrive(); cluster_wait();": "cluster_arrive twice",
    "cluster_arrive(); cluster_wait(); cluster_arrive();": "ends after cluster_arrive",
    "if (cluster_rank() == 0) { cluster_arrive(); cluster_wait(); }": "deadlock",
    "if (threadIdx.x != 5) { cluster_arrive(); cluster_wait(); }": "deadlock",
    "if (threadIdx.x == 5) return; __syncthreads();": "deadlock",
    "passed[1ll << 60] = 1;": "illegal address",
    "if (threadIdx.x < 32)\n__syncthreads();\nelse\n__syncthreads();": "lines [46] and [46]",
    "for (int i = threadIdx.x / 32; i < 2; ++i)\n__syncthreads();\n__syncthreads();": "lines [45] and",
}


@pytest.mark.parametrize("body", WHAT_A_DEVICE_HANGS_ON)
@pytest.mark.parametrize("order", [0, 1, 12345])
def test_the_cpu_says_what_a_device_would_hang_on(strict, monkeypatch, order, body):
    def run(body):
        head = '#define IN_CLUSTERS\nextern "C" __global__ void IN_CLUSTERS faulty(int* passed) {'
        code = f"{head}\n{body}\n*passed += 1;\n}}"
        kernel = strict.xp.RawModule(code=code, options=("-DCLUSTER=2",)).get_function("faulty")
        kernel((4,), (64,), (passed,))

    monkeypatch.setattr(HostKernel, "order", order)
    passed = strict.xp.zeros(1, "int32")
    with pytest.raises(RuntimeError, match=WHAT_A_DEVICE_HANGS_ON[body]):
        run(body)
    passed.fill(0)
    run("cluster_arrive(); __syncthreads(); cluster_wait();")
    assert backends.to_host(passed) == 4 * 64


def test_what_a_block_has_not_written_to_shared_memory_is_nan(strict):
    code = """extern "C" __global__ void reads(float* found) {
        __shared__ float memory[64];
        memory[threadIdx.x] = 1;
        __syncthreads();
        found[blockIdx.x * 32 + threadIdx.x] = memory[2 * threadIdx.x];
    }"""
    found = strict.xp.zeros((2, 32), "float32")
    kernel = strict.xp.RawModule(code=code, options=()).get_function("reads")
    kernel((2,), (32,), (found,))
    np.testing.assert_array_equal(backends.to_host(found), [[1] * 16 + [np.nan] * 16] * 2)
