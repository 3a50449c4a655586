"""Parity: run the same computation on two backends, and measure how far the results differ.

An error is divided by the largest magnitude of the exact array, so that values which cancel near zero do
not count as errors. It is shown relative to that magnitude, and in ULP: the distance from that magnitude
to the next number of the dtype. A sum of n terms may be off by 4·√n ULP. Each backend has its own order
of additions, and its roundings have random signs, so they add up as the square root of their number
(Higham and Mary, A New Approach to Probabilistic Rounding Error Analysis, 2019). The factor is four
because both sides round, and exp, log and tanh are not always correctly rounded. Where nothing is
rounded, results must be equal.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from backends import Backend, PlainBackend, active, to_host, use
from scratchnet.errors import ParityError
from scratchnet.verify.cases import cases
from scratchnet.verify.cases.case import Case, Given, Named

ULP_ALLOWED = 4
FLOAT64 = "float64"
"""The name of a reference that is not a backend: the plain twins, in float64, on NumPy."""


class Difference(NamedTuple):
    """The largest difference of some arrays."""

    what: str
    relative: float
    ulp: float


class Row(NamedTuple):
    """How far a case's results differ, and its gradients, if it has any."""

    case: Case
    forward: Difference
    backward: Difference | None

    @property
    def allowed(self) -> float:
        """The tolerance in ULP."""
        return ULP_ALLOWED * math.sqrt(self.case.terms)

    @property
    def fault(self) -> Difference | None:
        """The difference that is out of tolerance; the forward one, if both are."""
        both = (self.forward, self.backward)
        return next((each for each in both if each is not None and each.ulp > self.allowed), None)


class Parity:
    """Compares the active backend, in float32, with another.

    Args:
        against: a backend's name, which computes in float32 too; or "float64". A backend that is
            compared with itself would prove nothing, so then the reference is float64.

    Attributes:
        backend, reference: the two.
        dtype: the dtype of the reference.

    Raises:
        UnknownBackendError, BackendUnavailableError: the reference cannot be used here.
    """

    def __init__(self, against: str) -> None:
        self.backend = active()
        exact = against in (FLOAT64, self.backend.name)
        self.dtype = FLOAT64 if exact else "float32"
        with use(PlainBackend() if exact else against) as reference:
            self.reference = reference

    def rows(self) -> Iterator[Row]:
        """Measure each case, one at a time."""
        for seed, case in enumerate(cases()):
            found = _computed(case, self.backend, seed, "float32")
            exact = _computed(case, self.reference, seed, self.dtype)
            forward, backward = map(_worst, found, exact)
            assert forward is not None
            yield Row(case, forward, backward)

    def check(self, row: Row) -> None:
        """Raise `ParityError` if the row is out of tolerance."""
        if (fault := row.fault) is not None:
            raise ParityError(
                f"{row.case.name}: {fault.what} is off by {fault.relative:.1e} of its largest value, "
                f"{fault.ulp:.3g} ULP where {row.allowed:.3g} are allowed, between {self.backend.name} "
                f"and {self.reference.name}; look at its kernels beside their plain twins"
            )


def difference(what: str, found: np.ndarray, exact: np.ndarray, dtype: str = "float32") -> Difference:
    """Return how far an array is from the exact one; infinity if its shape or dtype differs.

    NaN equals only NaN, and an infinity equals only the same infinity.
    """
    if found.shape != exact.shape or found.dtype != dtype:
        facts = f"{found.dtype}{found.shape}, not {dtype}{exact.shape},"
        return Difference(f"{what} is {facts} and", math.inf, math.inf)
    same = (found == exact) | (np.isnan(found) & np.isnan(exact))
    if same.all():
        return Difference(what, 0.0, 0.0)
    finite = np.isfinite(found) & np.isfinite(exact)
    apart = np.abs(np.subtract(found, exact, dtype=np.float64, where=finite, out=np.zeros(exact.shape)))
    largest = np.abs(exact, where=finite, out=np.zeros(exact.shape)).max()
    if not (same | finite).all() or not largest:
        return Difference(what, math.inf, math.inf)
    return Difference(what, apart.max() / largest, apart.max() / np.spacing(largest.astype(dtype)))


def _computed(case: Case, backend: Backend, seed: int, dtype: str) -> tuple[Named, Named]:
    """Run the case on that backend, and return its results and gradients on the host."""
    with use(backend):
        results = case.compute(Given(seed, dtype))
        forward, backward = ({what: to_host(a) for what, a in each.items()} for each in results)
    return forward, backward


def _worst(found: Named, exact: Named) -> Difference | None:
    return max(
        (difference(what, found[what], exact[what]) for what in exact),
        key=lambda each: each.ulp,
        default=None,
    )
