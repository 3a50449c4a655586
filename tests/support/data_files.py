"""Small files in the formats of Fashion-MNIST, and their loader."""

import struct

import scratchnet as sn

COUNT = 37


def idx(array, magic=None):
    sizes = struct.pack(f">{array.ndim}I", *array.shape)
    return (magic or bytes((0, 0, 8, array.ndim))) + sizes + array.tobytes()


def csv(pixels, labels):
    rows = [",".join(["label", *(f"pixel{i}" for i in range(1, 785))])]
    rows += [",".join(map(str, [label, *row])) for label, row in zip(labels, pixels, strict=True)]
    return ("\n".join(rows) + "\n").encode()


FORMS = ["idx.gz", "idx", "csv.gz", "csv"]


def loader(folder, mode="train", batch_size=8, **options):
    return sn.FashionMnistDataLoader(mode, batch_size, folder=folder, **options)
