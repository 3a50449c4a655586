"""A folder of images by class."""

import struct
import zlib

import numpy as np
import pytest
from arrays import host

import scratchnet as sn
from scratchnet.data.image_folder import ImageFiles, images_in

Image = pytest.importorskip("PIL.Image")


def save(path, array, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path, **options)


def coloured(seed, h=6, w=5):
    return np.random.default_rng(seed).integers(0, 256, (h, w, 3), np.uint8)


@pytest.fixture
def root(tmp_path):
    """Two classes of lossless images."""
    for n, name in enumerate(["dog/b.png", "dog/a.bmp", "cat/1.png", "cat/2.webp"]):
        save(tmp_path / "pets" / name, coloured(n), **({"lossless": True} if "webp" in name else {}))
    return tmp_path / "pets"


def test_images_and_classes_come_in_order(backend, root):
    data = sn.ImageFolder(root)
    assert (data.class_names, data.classes, data.source) == (("cat", "dog"), ("cat", "dog"), "pets")
    assert [path[-5:] for path in data.paths] == ["1.png", ".webp", "a.bmp", "b.png"]
    for index, (seed, label) in enumerate([(2, 0), (3, 0), (1, 1), (0, 1)]):
        image, found = data[index]
        assert (image.shape, image.dtype, found) == ((3, 6, 5), np.float32, label)
        np.testing.assert_allclose(image, coloured(seed).transpose(2, 0, 1) / 255, rtol=1e-6)
    alone = ImageFiles(data.paths)
    np.testing.assert_array_equal(alone[-1], alone[3])
    with pytest.raises(IndexError, match="4"):
        alone[4]
    loader = sn.DataLoader(data, 3, shuffle=False, workers=2)
    (x, y), (last, _) = loader
    assert (x.shape, host(y).tolist(), last.shape) == ((3, 3, 6, 5), [0, 0, 1], (1, 3, 6, 5))
    assert loader.class_names == ("cat", "dog")


def test_an_image_that_says_it_is_huge_is_refused_before_it_is_unpacked(root):
    """Change the size in a PNG's header, and its CRC."""
    path = root / "cat" / "1.png"
    content = bytearray(path.read_bytes())
    content[16:24] = struct.pack(">II", 50_000, 50_000)
    content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))
    path.write_bytes(content)
    with pytest.raises(sn.DataError, match=r"1\.png: cannot be read .* exceeds limit of \d+ pixels"):
        sn.ImageFolder(root, size=(8, 8))[0]


def test_train_and_valid_have_the_classes_of_train(root):
    for name in ("train", "val"):
        for each in ("cat", "dog"):
            save(root.parent / "both" / name / each / "1.png", coloured(1))
    both = root.parent / "both"
    with pytest.raises(sn.DataError, match='holds train and val; give mode="train" or mode="valid"'):
        sn.ImageFolder(both)
    assert len(sn.ImageFolder(both, mode="train")) == 2
    (both / "val" / "cat" / "1.png").unlink()
    (both / "val" / "cat").rmdir()
    assert sn.ImageFolder(both, mode="valid")[0][1] == 1  # a dog, though it is the only class there
    save(both / "val" / "emu" / "1.png", coloured(1))
    with pytest.raises(sn.DataError, match="emu: this class is not one of the training images'"):
        sn.ImageFolder(both, mode="valid")
    with pytest.raises(sn.DataNotFoundError, match="pets: holds no folder train"):
        sn.ImageFolder(root, mode="valid")


def test_one_folder_is_divided_into_train_and_valid(root):
    train, valid = (sn.ImageFolder(root, mode=mode, valid_fraction=0.25) for mode in ("train", "valid"))
    assert (len(train), len(valid), train.class_names) == (3, 1, ("cat", "dog"))
    assert sorted(train.paths + valid.paths) == sorted(sn.ImageFolder(root).paths)
    assert [path.split("/")[-2] for path in train.paths] == [("cat", "dog")[n] for n in train.labels]
    usual = sn.ImageFolder(root, mode="train", valid_fraction=0.25, seed=231)
    assert usual.paths == train.paths
    assert len(sn.ImageFolder(root, mode="train", valid_fraction=0.25, seed=0)) == 3
    assert len(sn.ImageFolder(root, take=2)) == 2
    with pytest.raises(sn.DataError, match="there are 4 samples; both parts need one"):
        sn.ImageFolder(root, valid_fraction=0.01)


def test_sizes_must_be_the_same_or_given(root):
    save(root / "dog" / "c.png", coloured(9, 4, 7))
    data = sn.ImageFolder(root)
    with pytest.raises(
        sn.DataError,
        match=r"c\.png has 4 by 7 pixels, but .*1\.png has 6 by 5 pixels; give size=\(h, w\)",
    ):
        data[4]
    for size in ((2, 3), (7, 4)):
        assert sn.ImageFolder(root, size=size)[4][0].shape == (3, *size)
    whole = sn.ImageFolder(root, size=(6, 5))
    np.testing.assert_array_equal(whole[0][0], data[0][0])


@pytest.mark.parametrize("side", [8, 64])
def test_jpeg_is_decoded_small_and_looks_the_same(side, tmp_path):
    ramp = np.linspace(0, 255, 512)
    array = np.stack(
        [np.tile(ramp, (512, 1)), np.tile(ramp[:, None], (1, 512)), np.full((512, 512), 80)], 2
    )
    save(tmp_path / "a" / "1.jpg", array.astype(np.uint8), quality=95)
    found, _ = sn.ImageFolder(tmp_path, size=(side, side))[0]
    expected = (
        array.reshape(side, 512 // side, side, 512 // side, 3).mean(axis=(1, 3)).transpose(2, 0, 1)
    )
    np.testing.assert_allclose(found, expected / 255, atol=0.03)


def test_images_of_any_kind_become_colour_or_grey(tmp_path):
    grey = np.arange(0, 240, 10, dtype=np.uint8).reshape(4, 6)
    save(tmp_path / "a" / "grey.png", grey)
    save(tmp_path / "a" / "deep.png", grey.astype(np.uint16) * 256)
    Image.fromarray(grey).convert("P").save(tmp_path / "a" / "palette.gif")
    Image.fromarray(grey).convert("P").save(
        tmp_path / "a" / "see-through.png", transparency=bytes(range(256))
    )
    data = sn.ImageFolder(tmp_path, channels=1)
    for n in range(4):
        np.testing.assert_allclose(data[n][0], grey[None] / 255, atol=0.001)
        np.testing.assert_allclose(
            sn.ImageFolder(tmp_path)[n][0], np.stack([grey] * 3) / 255, atol=0.001
        )


def test_an_image_is_turned_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned by 90 degrees
    save(tmp_path / "a" / "1.png", coloured(0), exif=exif)
    expected = np.rot90(coloured(0), -1).transpose(2, 0, 1) / 255
    np.testing.assert_allclose(sn.ImageFolder(tmp_path)[0][0], expected, rtol=1e-6)


@pytest.mark.parametrize("content", [b"", b"no image", "cut"], ids=["empty", "text", "cut"])
def test_an_image_that_cannot_be_read_is_named(content, root):
    path = root / "cat" / "1.png"
    path.write_bytes(path.read_bytes()[:60] if content == "cut" else content)
    with pytest.raises(sn.DataError) as caught:
        sn.ImageFolder(root)[0]
    assert str(caught.value).startswith(f"{path}: cannot be read as an image: ")
    assert "\n" not in str(caught.value)
    with pytest.raises(sn.DataError, match=str(path)):
        list(sn.DataLoader(sn.ImageFolder(root), 2, shuffle=False, workers=2))


def test_hidden_and_other_files_are_skipped(root):
    (root / ".git").mkdir()
    (root / "cat" / ".1.png").touch()
    (root / "cat" / "notes.txt").touch()
    (root / "README").touch()
    assert len(sn.ImageFolder(root)) == 4


def test_what_cannot_be_a_folder_of_images(root):
    (root / "emu").mkdir()
    with pytest.raises(sn.DataError, match=f"{root}/emu: this class has no image"):
        sn.ImageFolder(root)
    with pytest.raises(sn.DataNotFoundError, match="cat: holds no folders of classes"):
        sn.ImageFolder(root / "cat")
    with pytest.raises(sn.DataNotFoundError, match="none: no such folder"):
        sn.ImageFolder(root / "none")
    for options in ({"mode": "test"}, {"size": 32}, {"size": (0, 3)}, {"channels": 4}):
        with pytest.raises(sn.SettingError, match=f"{next(iter(options))} is "):
            sn.ImageFolder(root, **options)


def test_a_class_that_cannot_be_listed_is_named(root, monkeypatch):
    def refused(path):
        raise PermissionError(13, "Permission denied", str(path))

    with monkeypatch.context() as patched:
        patched.setattr("os.scandir", refused)
        with pytest.raises(sn.DataError, match=f"^{root}/cat: cannot be looked into: Permission denied"):
            images_in(root / "cat")


def test_transform_and_fingerprint(root):
    data = sn.ImageFolder(root, transform=lambda image: image.mean(axis=(1, 2)))
    assert data[0][0].shape == (3,)
    before = data.fingerprint()
    assert sn.ImageFolder(root).fingerprint() == before
    save(root / "cat" / "1.png", coloured(77, 9, 9))
    assert sn.ImageFolder(root).fingerprint() != before


def test_without_pillow_the_fix_is_named(root, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "PIL", None)
    monkeypatch.delitem(__import__("sys").modules, "PIL.Image")
    with pytest.raises(sn.SettingError, match=r'pip install "scratchnet\[images\]"'):
        sn.ImageFolder(root)
