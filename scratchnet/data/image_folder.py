"""A data set of image files, in one folder for each class."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable
from io import BytesIO
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np

from backends.errors import one_line
from scratchnet.data.dataset import Dataset, checked_index
from scratchnet.data.order import check_mode
from scratchnet.data.readers import check_file
from scratchnet.data.sources import looking_into, name_of_folder, place_of
from scratchnet.data.split import chosen_of
from scratchnet.errors import DataError, DataNotFoundError, SettingError

if TYPE_CHECKING:
    from PIL.Image import Image

ENDINGS = ".bmp", ".gif", ".jpeg", ".jpg", ".png", ".webp"
_MODES = {"train": ("train", "training"), "valid": ("valid", "validation", "val", "test")}
_FORMATS = "BMP", "GIF", "JPEG", "PNG", "WEBP"  # others' readers may start a program, as EPS does
_LARGEST = 1 << 30  # bytes of a file
_OPENING = Lock()
_COLOURS = {1: "L", 3: "RGB"}


class ImageFiles(Dataset):
    """Images, each in its own file. A sample is an image (channels, h, w), float32, from 0 to 1.

    Args:
        paths: the path of each image.
        size, channels: see `ImageFolder`.
        source: the name of the data.
    """

    def __init__(
        self,
        paths: Iterable[str],
        size: tuple[int, int] | None = None,
        channels: int = 3,
        source: str = "",
    ) -> None:
        if channels not in _COLOURS:
            raise SettingError(f"ImageFolder: channels is {channels!r}; it must be 3 or 1")
        try:
            import PIL.Image  # noqa: F401 - now, and not when the first image is read in a worker
        except ImportError as error:
            raise SettingError(
                'ImageFolder: Pillow is not installed; fix: pip install "scratchnet[images]"'
            ) from error
        self.paths, self.size, self.channels = list(paths), _checked_size(size), channels
        self.source = source
        self._first_size: tuple[int, int] | None = None

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.paths)

    def __getitem__(self, index: int) -> Any:
        """Return an image."""
        return self.image(checked_index(self, index))

    def image(self, place: int) -> np.ndarray:
        """Return an image, (channels, h, w), float32, from 0 to 1.

        Raises:
            DataError: it cannot be read, or has another size than the first one.
        """
        image = self._read(self.paths[place])
        if self.size is None:
            if self._first_size is None:
                self._first_size = image.shape[:2] if place == 0 else self._read(self.paths[0]).shape[:2]
            if image.shape[:2] != self._first_size:
                raise DataError(
                    f"{self.paths[place]} has {_named(image.shape)}, but {self.paths[0]} has "
                    f"{_named(self._first_size)}; give size=(h, w), or --size, to resize all images"
                )
        planes = image[None] if self.channels == 1 else image.transpose(2, 0, 1)
        scaled: np.ndarray = np.divide(planes, np.float32(255), dtype=np.float32, order="C")
        return scaled

    def _read(self, path: str) -> np.ndarray:
        """Return an image, (h, w) or (h, w, 3), uint8."""
        from PIL import Image, ImageOps

        colours = _COLOURS[self.channels]
        try:
            with _opened(path) as file:
                if self.size is not None:
                    # JPEG decodes to an eighth, a quarter or a half at little cost.
                    longer = max(self.size)  # EXIF may turn the image
                    file.draft(colours, (longer, longer))
                image = ImageOps.exif_transpose(_of_eight_bits(file)).convert(colours)
            if self.size is not None and image.size != self.size[::-1]:
                image = image.resize(self.size[::-1], Image.Resampling.BILINEAR, reducing_gap=3.0)
            return np.asarray(image)
        except DataError:
            raise
        except Exception as error:  # Pillow's readers raise many kinds for a damaged file
            raise DataError(f"{path}: cannot be read as an image: {one_line(error)}") from error


class ImageFolder(ImageFiles):
    """Images in one folder for each class: `root/cat/1.jpg`, `root/dog/a.png`.

        train = sn.ImageFolder("pets", mode="train", size=(64, 64))
        valid = sn.ImageFolder("pets", mode="valid", size=(64, 64))
        loader = sn.DataLoader(train, batch_size=64, workers=2)

    A sample is an image (channels, h, w), float32, from 0 to 1, and the number of its class. Classes are
    the names of the folders, sorted; images are sorted by name. Names that begin with a dot, and files
    other than .bmp, .gif, .jpg, .jpeg, .png and .webp, are skipped. Of a moving picture the first frame
    is read. Images are turned upright as their EXIF data say.

    It needs Pillow: `pip install "scratchnet[images]"`.

    Args:
        root: the folder of the classes, or a folder that holds `train` and `valid`, each with the
            classes.
        mode: "train" or "valid", if the root holds these two, or with `valid_fraction`. A class of the
            validation images must be one of the training images too.
        size: (h, w) to resize each image to. None keeps the size, which must be the same for all.
        transform: a function of each image (channels, h, w), a NumPy array. For functions of a batch,
            and for random ones, see `DataLoader(transform=…)`.
        channels: 3 for color, 1 for gray.
        valid_fraction: if the root holds the classes, and not train and valid, the part of its images,
            drawn by the seed, that are for validation.
        take: the number of images to keep, drawn by the seed; None keeps all.
        seed: see above.

    Attributes:
        class_names, classes: the names of the classes.
        paths: the path of each image.
        labels: (n,), int64, the class of each image.
        folder: the folder of the classes.
        source: the name of the root.

    Raises:
        DataNotFoundError: the folder is not there, or has no folders of classes.
        DataError: a class has no image. When an image is read: it cannot be read, or has another size
            than the first one; the message has its path.
        SettingError: an argument is out of range, or Pillow is not installed.
    """

    def __init__(
        self,
        root: str | Path,
        transform: Callable[[np.ndarray], Any] | None = None,
        *,
        mode: str | None = None,
        size: tuple[int, int] | None = None,
        channels: int = 3,
        valid_fraction: float | None = None,
        take: int | None = None,
        seed: int = 231,
    ) -> None:
        place = place_of(root)
        super().__init__((), size, channels, name_of_folder(place))
        if mode is not None:
            check_mode(mode)
        self.folder, self.class_names = _classes_of(place, None if valid_fraction else mode)
        self.classes, self.transform = self.class_names, transform
        paths, labels = [], []
        for label, name in enumerate(self.class_names):
            names = images_in(self.folder / name)
            if names == []:
                raise DataError(
                    f"{self.folder / name}: this class has no image; add some or remove the folder"
                )
            for each in names or ():  # None: the validation images may lack a class
                paths.append(str(self.folder / name / each))
                labels.append(label)
        chosen = chosen_of("ImageFolder", len(labels), valid_fraction, take, seed, mode or "train")
        self.paths = np.array(paths, object)[chosen].tolist()
        self.labels = np.array(labels, np.int64)[chosen]

    def __getitem__(self, index: int) -> tuple[Any, int]:
        """Return an image and its class."""
        place = checked_index(self, index)
        image = self.image(place)
        return image if self.transform is None else self.transform(image), int(self.labels[place])

    def fingerprint(self) -> str:
        """Return a SHA-256 of the classes, the names of the files and their sizes."""
        import hashlib

        digest = hashlib.sha256(repr((self.class_names, self.size, self.channels)).encode())
        for path, label in zip(self.paths, self.labels.tolist(), strict=True):
            entry = os.path.basename(path), label, os.path.getsize(path)
            digest.update(repr(entry).encode("utf-8", "surrogateescape"))
        return digest.hexdigest()


def _opened(path: str) -> Image:
    """Return an image whose pixels are not unpacked yet. One with too many for Pillow is an error."""
    from PIL import Image as Pillow
    from PIL import UnidentifiedImageError

    check_file(path)
    if os.path.getsize(path) > _LARGEST:
        raise DataError(f"{path}: has more than {_LARGEST / 1e6:.0f} MB; give a smaller image")
    content = Path(path).read_bytes()  # of a file, Pillow reads as many bytes as a damaged one says
    with _OPENING, warnings.catch_warnings():  # a thread must not end the filters of another
        warnings.simplefilter("error", Pillow.DecompressionBombWarning)
        try:
            return Pillow.open(BytesIO(content), formats=_FORMATS)
        except UnidentifiedImageError as error:
            known = ", ".join(_FORMATS)
            raise DataError(f"{path}: cannot be read as an image: it is none of {known}") from error


def _of_eight_bits(image: Image) -> Image:
    """Return an image that `convert` turns into gray or color without a warning or a loss of range."""
    if image.mode.startswith("I"):  # 16 bits; `convert` would cut off at 255
        from PIL import Image as Pillow

        return Pillow.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    return image.convert("RGBA") if "transparency" in image.info else image


def _checked_size(size: Any) -> tuple[int, int] | None:
    if size is None:
        return None
    fits = isinstance(size, (tuple, list)) and len(size) == 2
    if not fits or not all(isinstance(each, (int, np.integer)) and each > 0 for each in size):
        raise SettingError(f"ImageFolder: size is {size!r}; it must be (h, w), two positive integers")
    return int(size[0]), int(size[1])


def _classes_of(root: Path, mode: str | None) -> tuple[Path, tuple[str, ...]]:
    """Return the folder of the classes, and their names."""
    parts = _parts_of(root)
    if mode is None:
        if all(parts.values()):
            raise DataError(
                f'{root}: holds {parts["train"]} and {parts["valid"]}; give mode="train" or mode="valid"'
            )
        folder = classes_in = root
    else:
        part, training = parts[mode], parts["train"]
        if not (part and training):
            raise DataNotFoundError(
                f"{root}: holds no folder {mode if training else 'train'}; put the classes into "
                f"{root}/train and {root}/valid, or give no mode"
            )
        folder, classes_in = root / part, root / training
    names = _folders_in(classes_in)
    if not names:
        raise DataNotFoundError(
            f"{classes_in}: holds no folders of classes; put the images of each class into a folder "
            "with its name"
        )
    unknown = [name for name in _folders_in(folder) if name not in names]
    if unknown:
        raise DataError(f"{folder / unknown[0]}: this class is not one of the training images'")
    return folder, tuple(names)


def _parts_of(root: Path) -> dict[str, str]:
    """Return the name of the folder in a root that is for each mode; "" if there is none."""
    inside = _folders_in(root)
    return {mode: next((n for n in names if n in inside), "") for mode, names in _MODES.items()}


def holds_train_and_valid(root: Path) -> bool:
    """Whether a folder holds one for training and one for validation, which hold the classes."""
    return all(_parts_of(root).values())


def holds_pictures(root: Path) -> bool:
    """Whether there are images in the folders of a folder, or in those of its `train`."""
    inside = [root / name for name in _folders_in(root)]
    inside += [
        part / name for part in inside if part.name in _MODES["train"] for name in _folders_in(part)
    ]
    return any(images_in(folder) for folder in inside)


def folder_of_classes(root: Path) -> Path:
    """Return the root, or its `train` if the classes lie there, and there is no validation set."""
    training = _parts_of(root)["train"]
    part = root / training
    others = [root / name for name in _folders_in(root) if name != training]
    in_part = training and any(images_in(part / name) for name in _folders_in(part))
    return part if in_part and not any(map(images_in, others)) else root


def not_read(root: Path) -> list[str]:
    """Return what a folder of classes holds that `ImageFolder` does not read."""
    beside = images_in(root) or []
    for name in _folders_in(root):
        images = set(images_in(root / name) or ())
        beside += [
            f"{name}/{each}" for each in sorted(os.listdir(root / name))
            if each not in images and each[0] != "."
        ]  # fmt: skip
    return beside


def _folders_in(folder: Path) -> list[str]:
    if not folder.is_dir():
        raise DataNotFoundError(f"{folder}: no such folder; give the folder of the classes")
    with looking_into(folder), os.scandir(folder) as entries:
        return sorted(each.name for each in entries if each.name[0] != "." and each.is_dir())


def images_in(folder: Path) -> list[str] | None:
    """Return the names of the images, sorted; None without such a folder."""
    if not folder.is_dir():
        return None
    with looking_into(folder), os.scandir(folder) as entries:
        names = [each.name for each in entries if each.name.lower().endswith(ENDINGS)]
    return sorted(name for name in names if name[0] != ".")


def _named(shape: tuple[int, ...]) -> str:
    return f"{shape[0]} by {shape[1]} pixels"
