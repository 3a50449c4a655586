"""What a metric is: a function of outputs and targets, its options, and how its figures are read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial, update_wrapper
from typing import Any

from scratchnet.core.function import array_of, plain
from scratchnet.errors import OperandError, SettingError
from scratchnet.layers.arguments import is_number

AVERAGES = None, "binary", "macro", "micro", "weighted"


class Metric:
    """A function (outputs, targets) -> number, with options.

    Attributes:
        function: the function itself.
        options: the options that were given.
        mean_over_samples: whether it is a mean over samples, so that it may be computed batch by batch;
            with `ignore_index`, over the labels that are not ignored.
        larger_is_better: whether a larger number is a better one.
    """

    __name__: str

    def __init__(
        self,
        function: Callable[..., Any],
        mean_over_samples: bool = False,
        larger_is_better: bool = True,
        options: Mapping[str, Any] | None = None,
        whole: Metric | None = None,
    ) -> None:
        """Take a function. `whole` is the metric without options, if this one has options."""
        update_wrapper(self, function)
        self.function, self.options, self._whole = function, dict(options or {}), whole
        self.mean_over_samples = mean_over_samples
        self.larger_is_better = larger_is_better
        for name, value in self.options.items():
            self._check(name, value)

    @property
    def accepts(self) -> set[str]:
        """The names of the options that it has."""
        return set(getattr(self.function, "__kwdefaults__", None) or ())

    def __call__(self, outputs: Any = None, targets: Any = None, **options: Any) -> Any:
        """Return the figure. Without outputs and targets, return the metric with these options.

        Raises:
            SettingError: an option is unknown, or out of its range.
            OperandError: only outputs are given, or the arrays do not hold what the metric needs.
            ShapeError: the shapes do not fit together.
        """
        if options:
            whole, options = self._whole or self, {**self.options, **options}
            metric = Metric(
                self.function, whole.mean_over_samples, self.larger_is_better, options, whole
            )
            return metric if outputs is None and targets is None else metric(outputs, targets)
        if outputs is None or targets is None:
            raise OperandError(f"{self.__name__}: give outputs and targets, or options")
        return self.function(outputs, targets, **self.options)

    def counted(self, targets: Any) -> Any:
        """Return how many labels of a batch are not ignored, 0-d; None for the number of samples."""
        ignored = self.options.get("ignore_index")
        return None if ignored is None else (array_of(targets) != ignored).sum()

    def _check(self, option: str, value: Any) -> None:
        """Raise `SettingError` unless it has this option, and the value is possible."""
        if option not in self.accepts:
            has = f"its options are {', '.join(sorted(self.accepts))}" if self.accepts else "it has none"
            raise SettingError(f"{self.__name__}: there is no option {option!r}; {has}")
        right, wanted = _OPTIONS[option]
        if not right(plain(value)):
            raise SettingError(f"{self.__name__}: {option} is {value!r}; it must be {wanted}")

    def __repr__(self) -> str:
        """Show it as it is written."""
        options = ", ".join(f"{name}={value!r}" for name, value in self.options.items())
        return f"metrics.{self.__name__}" + (f"({options})" if options else "")

    def __reduce__(self) -> Any:
        """Pickle it by its name, as a function is; one of another library's function by its contents."""
        if self._whole:
            return _with_options, (self._whole, self.options)
        if isinstance(self.function, partial):
            return Metric, (self.function, self.mean_over_samples, self.larger_is_better)
        return self.__name__


def metric(mean_over_samples: bool = False, larger_is_better: bool = True) -> Callable[..., Metric]:
    """Return a decorator that makes a function (outputs, targets, *, options) a `Metric`."""
    return lambda function: Metric(function, mean_over_samples, larger_is_better)


def _with_options(whole: Metric, options: dict[str, Any]) -> Any:
    return whole(**options)


def _integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


_OPTIONS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "average": (
        lambda value: value in AVERAGES,
        '"binary", "macro", "micro", "weighted" or None',
    ),
    "ignore_index": (lambda value: value is None or _integer(value), "an integer or None"),
    "k": (lambda value: _integer(value) and value > 0, "a positive integer"),
    "multilabel": (lambda value: isinstance(value, bool), "True or False"),
    "threshold": (is_number, "a number"),
}
