"""Small files in each format of Fashion-MNIST."""

import gzip

import numpy as np
import pytest
from data_files import COUNT, FORMS, csv, idx


@pytest.fixture(scope="module")
def samples():
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (COUNT, 784), np.uint8), rng.integers(0, 10, COUNT, np.uint8)


@pytest.fixture(params=FORMS)
def folder(request, samples, tmp_path):
    pixels, labels = samples
    place = tmp_path / "fashion-mnist"
    place.mkdir()
    images = pixels.reshape(-1, 28, 28)
    squeeze, end = (gzip.compress, ".gz") if request.param.endswith("gz") else (bytes, "")
    for idx_name, csv_name in (("train", "train"), ("t10k", "test")):
        if request.param.startswith("idx"):
            (place / f"{idx_name}-images-idx3-ubyte{end}").write_bytes(squeeze(idx(images)))
            (place / f"{idx_name}-labels-idx1-ubyte{end}").write_bytes(squeeze(idx(labels)))
        else:
            name = f"fashion-mnist_{csv_name}.csv{end}"
            (place / name).write_bytes(squeeze(csv(pixels, labels)))
    return place
