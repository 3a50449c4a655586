"""Write counts, figures and durations."""


def counted(number: int, thing: str) -> str:
    """Return 1 image, 2,000 images."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def figure(value: float) -> str:
    """Return four decimals: 0.1234; of larger numbers one: 12,345.6; of extreme ones 1.234e-06."""
    if value == 0 or 1e-3 <= abs(value) < 1e3:
        return f"{value:.4f}"
    return f"{value:,.1f}" if 1 < abs(value) < 1e6 else f"{value:.3e}"


def duration(seconds: float) -> str:
    """Return three digits and a unit: 4.83 s, 142 ms, 16.2 µs."""
    scales = ("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)
    unit, scale = next((each for each in scales if seconds >= 0.9995 * each[1]), scales[-1])
    value = seconds / scale
    return f"{value:,.{0 if value >= 99.95 else 1 if value >= 9.995 else 2}f} {unit}"
