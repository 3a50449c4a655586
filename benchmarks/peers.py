"""The same network, data, batches and float32 in other libraries, as their users would write it fast.

Each returns its name, and a function that trains for an epoch.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import partial
from time import perf_counter
from typing import Any, NamedTuple, TypeAlias

import numpy as np

BATCH, RATE, HIDDEN, CLASSES = 256, 0.1, 100, 10


class Pass(NamedTuple):
    """One epoch: its seconds, including the device, and the accuracy on the first images."""

    seconds: float
    accuracy: float


Epoch: TypeAlias = Callable[[], Pass]


def _weights() -> list[np.ndarray]:
    rng = np.random.default_rng(231)
    drawn = []
    for outputs, inputs in ((HIDDEN, 784), (CLASSES, HIDDEN)):
        deviation = np.sqrt(2 / (inputs + outputs))
        drawn.append((rng.standard_normal((outputs, inputs)) * deviation).astype(np.float32))
        drawn.append(np.zeros(outputs, np.float32))
    return drawn


def _torch(compiled: bool, images: np.ndarray, labels: np.ndarray) -> tuple[str, Epoch]:
    torch: Any = importlib.import_module("torch")
    on_gpu = torch.cuda.is_available()
    device = "cuda" if on_gpu else "cpu"
    x, y = torch.tensor(images, device=device), torch.tensor(labels, device=device)
    full = len(x) // BATCH * BATCH
    net = torch.nn.Sequential(
        torch.nn.Linear(784, HIDDEN), torch.nn.ReLU(), torch.nn.Linear(HIDDEN, CLASSES)
    ).to(device)
    with torch.no_grad():
        for parameter, value in zip(net.parameters(), _weights(), strict=True):
            parameter.copy_(torch.tensor(value))
    sgd = torch.optim.SGD(net.parameters(), lr=RATE, fused=True)

    def loss(a: Any, b: Any) -> Any:
        return torch.nn.functional.cross_entropy(net(a), b)

    if compiled:
        loss = torch.compile(loss, mode="reduce-overhead" if on_gpu else "default")

    def step(a: Any, b: Any) -> None:
        sgd.zero_grad(set_to_none=True)
        loss(a, b).backward()
        sgd.step()

    def wait() -> None:
        if on_gpu:
            torch.cuda.synchronize()

    def epoch() -> Pass:
        wait()
        start = perf_counter()
        for i in torch.randperm(full // BATCH).tolist():
            step(x[i * BATCH : (i + 1) * BATCH], y[i * BATCH : (i + 1) * BATCH])
        if full < len(x):
            step(x[full:], y[full:])
        wait()
        seconds = perf_counter() - start
        with torch.no_grad():
            hits = (net(x[:5000]).argmax(1) == y[:5000]).float().mean().item()
        return Pass(seconds, hits)

    how = "eager" if not compiled else "torch.compile with CUDA graphs" if on_gpu else "torch.compile"
    return f"PyTorch {torch.__version__.partition('+')[0]}, {how}", epoch


def _jax(scanned: bool, images: np.ndarray, labels: np.ndarray) -> tuple[str, Epoch]:
    jax: Any = importlib.import_module("jax")
    jnp: Any = importlib.import_module("jax.numpy")
    jax.config.update("jax_default_matmul_precision", "highest")  # float32, not its shorter forms
    full = len(images) // BATCH * BATCH
    x, y = jnp.asarray(images), jnp.asarray(labels.astype(np.int32))
    batches = x[:full].reshape(-1, BATCH, 784), y[:full].reshape(-1, BATCH)
    rest = x[full:], y[full:]

    def logits(parameters: Any, a: Any) -> Any:
        w1, b1, w2, b2 = parameters
        return jax.nn.relu(a @ w1.T + b1) @ w2.T + b2

    def loss(parameters: Any, a: Any, b: Any) -> Any:
        log_p = jax.nn.log_softmax(logits(parameters, a))
        return -jnp.take_along_axis(log_p, b[:, None], axis=1).mean()

    def step(parameters: Any, a: Any, b: Any) -> Any:
        gradients = jax.grad(loss)(parameters, a, b)
        return [p - RATE * g for p, g in zip(parameters, gradients, strict=True)]

    def scan(parameters: Any, order: Any) -> Any:
        def one(parameters: Any, i: Any) -> tuple[Any, None]:
            return step(parameters, *(each[i] for each in batches)), None

        parameters, _ = jax.lax.scan(one, parameters, order)
        return step(parameters, *rest) if len(rest[0]) else parameters

    run = jax.jit(scan if scanned else step, donate_argnums=0)
    parts = [(batches[0][i], batches[1][i]) for i in range(len(batches[0]))] if not scanned else []

    def steps(parameters: Any, order: np.ndarray) -> Any:
        for i in order.tolist():
            parameters = run(parameters, *parts[i])
        return run(parameters, *rest) if len(rest[0]) else parameters

    parameters = [jnp.asarray(each) for each in _weights()]
    rng = np.random.default_rng(0)

    def epoch() -> Pass:
        nonlocal parameters
        drawn = rng.permutation(full // BATCH)
        order = jnp.asarray(drawn)
        start = perf_counter()
        parameters = run(parameters, order) if scanned else steps(parameters, drawn)
        jax.block_until_ready(parameters)
        seconds = perf_counter() - start
        hits = logits(parameters, x[:5000]).argmax(1) == y[:5000]
        return Pass(seconds, float(hits.mean()))

    return f"JAX {jax.__version__}, jit{' over a scan' if scanned else ' of a step'}", epoch


PEERS: dict[str, Callable[[np.ndarray, np.ndarray], tuple[str, Epoch]]] = {
    "torch eager": partial(_torch, False),
    "torch compiled": partial(_torch, True),
    "jax step": partial(_jax, False),
    "jax scan": partial(_jax, True),
}
"""By name, whose first word is the package that each needs."""
