"""The same network, data, batches and float32 in other libraries, as their users would write it fast."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from time import perf_counter
from typing import Any, NamedTuple, TypeAlias

import numpy as np

BATCH, RATE, HIDDEN, CLASSES = 256, 0.1, 100, 10


class Pass(NamedTuple):
    """One epoch: its seconds, with the device waited for, and the accuracy on the first images."""

    seconds: float
    accuracy: float


Epoch: TypeAlias = Callable[[], Pass]


def of(
    name: str, images: np.ndarray, labels: np.ndarray
) -> Iterator[tuple[str, Callable[[], Epoch], int]]:
    """What each peer is called, what makes its epoch, and how many rounds are worth measuring."""
    yield from {"torch": _torch, "jax": _jax}[name](images, labels)


def _weights() -> list[np.ndarray]:
    rng = np.random.default_rng(231)
    drawn = []
    for outputs, inputs in ((HIDDEN, 784), (CLASSES, HIDDEN)):
        deviation = np.sqrt(2 / (inputs + outputs))
        drawn.append((rng.standard_normal((outputs, inputs)) * deviation).astype(np.float32))
        drawn.append(np.zeros(outputs, np.float32))
    return drawn


def _torch(images: np.ndarray, labels: np.ndarray) -> Iterator[tuple[str, Callable[[], Epoch], int]]:
    torch: Any = importlib.import_module("torch")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    where = f"PyTorch {torch.__version__.partition('+')[0]}"
    x, y = torch.tensor(images, device=device), torch.tensor(labels, device=device)
    full = len(x) // BATCH * BATCH

    def wait() -> None:
        if device == "cuda":
            torch.cuda.synchronize()

    def network() -> tuple[Any, Any]:
        net = torch.nn.Sequential(
            torch.nn.Linear(784, HIDDEN), torch.nn.ReLU(), torch.nn.Linear(HIDDEN, CLASSES)
        ).to(device)
        with torch.no_grad():
            for parameter, value in zip(net.parameters(), _weights(), strict=True):
                parameter.copy_(torch.tensor(value))
        fused = {"fused": True} if device == "cuda" else {}
        return net, torch.optim.SGD(net.parameters(), lr=RATE, **fused)

    def epoch_of(net: Any, step: Callable[[Any, Any], None]) -> Epoch:
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

        return epoch

    def eager() -> Epoch:
        net, sgd = network()

        def step(a: Any, b: Any) -> None:
            sgd.zero_grad(set_to_none=True)
            torch.nn.functional.cross_entropy(net(a), b).backward()
            sgd.step()

        return epoch_of(net, step)

    def compiled() -> Epoch:
        net, sgd = network()
        loss_of = torch.compile(
            lambda a, b: torch.nn.functional.cross_entropy(net(a), b),
            mode="reduce-overhead" if device == "cuda" else "default",
        )

        def step(a: Any, b: Any) -> None:
            sgd.zero_grad(set_to_none=True)
            loss_of(a, b).backward()
            sgd.step()

        return epoch_of(net, step)

    yield f"{where}, eager", eager, 10
    yield f"{where}, torch.compile with CUDA graphs", compiled, 10


def _jax(images: np.ndarray, labels: np.ndarray) -> Iterator[tuple[str, Callable[[], Epoch], int]]:
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

    def step(parameters: Any, batch: Any) -> tuple[Any, Any]:
        value, gradients = jax.value_and_grad(loss)(parameters, *batch)
        return [p - RATE * g for p, g in zip(parameters, gradients, strict=True)], value

    def whole(parameters: Any, order: Any, batches: Any, rest: Any) -> Any:
        def one(parameters: Any, i: Any) -> tuple[Any, Any]:
            return step(parameters, [each[i] for each in batches])

        parameters, _ = jax.lax.scan(one, parameters, order)
        return step(parameters, rest)[0] if len(rest[0]) else parameters

    def scanned() -> Epoch:
        run = jax.jit(whole, donate_argnums=0)
        parameters = [jnp.asarray(each) for each in _weights()]
        rng = np.random.default_rng(0)

        def epoch() -> Pass:
            nonlocal parameters
            order = jnp.asarray(rng.permutation(full // BATCH))
            start = perf_counter()
            parameters = jax.block_until_ready(run(parameters, order, batches, rest))
            seconds = perf_counter() - start
            hits = logits(parameters, x[:5000]).argmax(1) == y[:5000]
            return Pass(seconds, float(hits.mean()))

        return epoch

    yield f"JAX {jax.__version__}, jit over a scan", scanned, 100
