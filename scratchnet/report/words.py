"""How the page counts."""


def counted(number: int, thing: str) -> str:
    """1 image, 2,000 images."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"
