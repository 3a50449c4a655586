"""Transforms: what they do to a batch, and the same bits on every backend, captured or not."""

import copy
import pickle

import numpy as np
import pytest
from arrays import host

import backends
import scratchnet as sn
from backends import LabelError, active, to_device, xp
from scratchnet import transforms


def images(n=6, channels=3, height=7, width=9, dtype="f4"):
    """Different numbers everywhere, so that each element shows where it came from. None is 0."""
    return (
        np.arange(1, n * channels * height * width + 1).reshape(n, channels, height, width).astype(dtype)
    )


RANDOM = {
    "crop": lambda: transforms.RandomCrop((6, 5), padding=2),
    "horizontal": transforms.RandomHorizontalFlip,
    "vertical": lambda: transforms.RandomVerticalFlip(0.3),
    "erasing": lambda: transforms.RandomErasing(0.8, value=-1),
    "several": lambda: transforms.Compose([
        transforms.RandomCrop(7, padding=1), transforms.RandomHorizontalFlip(),
        transforms.Standardize([1.0, 2, 3], [3, 0.7, 1]), transforms.RandomErasing(),
    ]),
}  # fmt: skip


def drawn(name, batches=3, n=6):
    """The results for several batches, of a transform with the same seed each time."""
    transform = RANDOM[name]()
    transform.seed([231, 0])
    results = []
    for number in range(batches):
        transform.begin(1000 + number)
        results.append(host(transform(to_device(images(n)))))
    return np.stack(results)


@pytest.mark.parametrize("name", RANDOM)
def test_the_bits_are_the_same_on_every_backend_and_depend_on_seed_and_draw_alone(backend, name):
    found = drawn(name)
    with backends.use("numpy"):
        np.testing.assert_array_equal(found, drawn(name))
    assert (found[0] != found[1]).any()
    again = RANDOM[name]()
    again.seed([231, 0])
    again.begin(1002)  # as after a resume
    np.testing.assert_array_equal(host(again(to_device(images()))), found[2])
    again.seed([231, 1])
    again.begin(1002)
    assert (host(again(to_device(images()))) != found[2]).any()


@pytest.mark.parametrize("name", RANDOM)
def test_a_captured_batch_has_the_bits_of_single_ones(backend, name):
    transform, x = RANDOM[name](), to_device(images())
    transform.seed([231, 0])
    number = xp.zeros((), xp.uint64)
    number[...] = 1000
    out = xp.zeros((3, *host(transform(x)).shape), "f4")

    def work():
        for batch in range(3):
            transform.begin(number + batch)
            out[batch] = transform(x)

    launch = active().capture(work) if active().captures else work
    for start in (1000, 1001):
        number[...] = start
        launch()
        first = drawn(name, start - 1000 + 3)[start - 1000 :]
        np.testing.assert_array_equal(host(out), first)


def test_a_random_transform_reads_nothing_from_the_device(backend):
    for make in RANDOM.values():
        transform, x = make(), to_device(images())
        transform.seed(0)
        transform(x)  # its constants go to the device once
        with backends.forbid_transfers():
            before = getattr(active().xp, "synchronizations", 0)
            transform(x)
            assert getattr(active().xp, "synchronizations", 0) == before


def test_each_random_crop_is_a_part_of_its_padded_image_and_all_places_occur(backend):
    x = images(400, 2, 4, 5)
    transform = transforms.RandomCrop((3, 4), padding=(1, 2))  # left and right 1, top and bottom 2
    transform.seed(1)
    y = host(transform(to_device(x)))
    assert y.shape == (400, 2, 3, 4)
    padded = np.pad(x, ((0, 0), (0, 0), (2, 2), (1, 1)))
    places = np.lib.stride_tricks.sliding_window_view(padded, (3, 4), axis=(2, 3))
    found = [
        np.argwhere((places[i] == y[i][:, None, None]).all(axis=(0, 3, 4)))[0].tolist()
        for i in range(400)
    ]
    counts = np.zeros((6, 4), int)
    np.add.at(counts, tuple(np.array(found).T), 1)
    assert counts.min() > 0
    assert counts.sum() == 400
    chi = ((counts - 400 / 24) ** 2 / (400 / 24)).sum()
    assert chi < 50  # 23 degrees of freedom; 0.001 of the draws are above 49.7


@pytest.mark.parametrize("p", [0, 0.25, 1])
@pytest.mark.parametrize(("name", "axis"), [("RandomHorizontalFlip", 3), ("RandomVerticalFlip", 2)])
def test_flips_turn_a_share_of_the_images(backend, name, axis, p):
    x = images(2000, 1, 2, 3)
    transform = getattr(transforms, name)(p)
    transform.seed(5)
    y = host(transform(to_device(x)))
    turned = (y == np.flip(x, axis)).all(axis=(1, 2, 3))
    assert ((y == x).all(axis=(1, 2, 3)) ^ turned).all()
    assert abs(turned.mean() - p) <= 5 * np.sqrt(p * (1 - p) / 2000)


def test_erasing_overwrites_one_rectangle_of_the_asked_area_and_shape(backend):
    n, height, width = 3000, 32, 40
    x = np.ones((n, 2, height, width), "f4")
    transform = transforms.RandomErasing(0.6, (0.05, 0.2), (0.5, 3), value=7)
    transform.seed(3)
    y = host(transform(to_device(x)))
    erased = y[:, 0] == 7
    np.testing.assert_array_equal(y, np.where(np.stack([erased, erased], axis=1), 7, 1))
    areas = erased.sum(axis=(1, 2))
    assert abs((areas > 0).mean() - 0.6) < 5 * np.sqrt(0.24 / n)
    rows, columns = erased.any(axis=2).sum(axis=1), erased.any(axis=1).sum(axis=1)
    np.testing.assert_array_equal(areas, rows * columns)  # a rectangle, whole
    some = areas > 0
    share, ratio = areas[some] / (height * width), rows[some] / columns[some]
    assert 0.045 < share.min() < 0.06
    assert 0.19 < share.max() < 0.215  # the sides are whole pixels
    assert abs(share.mean() - 0.125) < 0.005  # uniform, as in torchvision
    assert 0.45 < ratio.min() < 0.55
    assert 2.7 < ratio.max() < 3.3
    assert abs(np.log(ratio).mean() - np.log(0.5 * 3) / 2) < 0.05
    assert erased[:, 0].any()
    assert erased[:, -1].any()
    assert erased[:, :, -1].any()


def test_center_crop_takes_the_middle_and_pads_what_is_smaller(backend):
    x = images(2, 1, 6, 9)
    crop = host(transforms.CenterCrop((3, 4))(to_device(x)))
    np.testing.assert_array_equal(crop, x[:, :, 2:5, 2:6])  # torchvision rounds 1.5 and 2.5 to 2
    wide = host(transforms.CenterCrop((4, 12))(to_device(x)))
    np.testing.assert_array_equal(wide, np.pad(x[:, :, 1:5], ((0, 0), (0, 0), (0, 0), (1, 2))))


def test_pad_has_torchvision_s_order_of_sides(backend):
    x = images(2, 1, 2, 3)
    for padding, sides in {1: (1, 1, 1, 1), (1, 2): (1, 2, 1, 2), (1, 2, 3, 4): (1, 2, 3, 4)}.items():
        left, top, right, bottom = sides
        expected = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)), constant_values=0.5)
        found = transforms.Pad(padding, value=0.5)(to_device(x))
        np.testing.assert_array_equal(host(found), expected)
    assert transforms.Pad(1, 255)(to_device(x.astype("u1"))).dtype == np.uint8


@pytest.mark.parametrize("shape", [(2000,), (2000, 3), (2000, 3, 5), (1500, 3, 4, 5)])
def test_standardized_training_data_have_mean_0_and_deviation_1_by_column_or_channel(backend, shape):
    x = np.random.default_rng(0).normal(7, 3, shape).astype("f4")
    if len(shape) > 1:
        x[:, 2] = 11  # constant, as a pixel of the border
    transform = transforms.Standardize.of(x)
    y = host(transform(to_device(x))).astype("f8")
    axes = tuple(i for i in range(x.ndim) if i != 1)
    np.testing.assert_allclose(y.mean(axes), 0, atol=1e-6)
    np.testing.assert_allclose(y.std(axes), [1, 1, 0] if len(shape) > 1 else 1, atol=1e-5)
    assert transforms.Standardize.of(to_device(x)).mean.tolist() == transform.mean.tolist()
    with backends.use("numpy"):
        np.testing.assert_array_equal(host(transform(x)), y)
    again = pickle.loads(pickle.dumps(copy.deepcopy(transform)))
    np.testing.assert_array_equal(host(again(to_device(x))), y)


def test_a_column_that_is_constant_apart_from_rounding_has_deviation_1():
    x = np.stack([np.full(1000, 0.1), np.linspace(0, 1e-3, 1000) + 1e3], axis=1)
    np.testing.assert_allclose(transforms.Standardize.of(x).std, [1, x[:, 1].std()], rtol=1e-9)


def test_standardize_takes_numbers_channels_and_whole_samples(backend):
    x = images(4, 3, 2, 5, "u1")
    for mean, std in ((3, 2), ([1, 2, 3], 2), (np.full((3, 2, 5), 4), np.arange(1, 11).reshape(2, 5))):
        along = [np.float32(np.reshape(v, (3, 1, 1)) if np.ndim(v) == 1 else v) for v in (mean, std)]
        y = transforms.Standardize(mean, std)(to_device(x))
        assert y.dtype == np.float32
        np.testing.assert_array_equal(host(y), (x.astype("f4") - along[0]) / along[1])
    assert transforms.Standardize(0, 1)(to_device(x.astype("f8"))).dtype == np.float64
    whole = transforms.Standardize.of(x, axis=0)
    assert whole.mean.shape == (3, 2, 5)
    assert transforms.Standardize.of(x, axis=(0, 1, 2, 3)).mean.item() == x.mean()


def test_one_hot(backend):
    found = transforms.OneHot(4)(to_device(np.array([[0, 3], [2, 2]])))
    assert found.dtype == np.float32
    np.testing.assert_array_equal(host(found), np.eye(4)[[[0, 3], [2, 2]]])
    if backend == "numpy":
        with pytest.raises(LabelError, match="OneHot: label 4 at position 1 is not one of 0 to 3"):
            transforms.OneHot(4)(np.array([1, 4]))


def test_evaluation_leaves_the_random_part_out(backend):
    x = to_device(images(2, 3, 8, 8))
    assert transforms.RandomHorizontalFlip().for_evaluation() is None
    assert transforms.Compose([transforms.RandomErasing()]).for_evaluation() is None
    crop = transforms.RandomCrop(8, padding=2).for_evaluation()
    np.testing.assert_array_equal(host(crop(x)), host(x))
    standardize, own = transforms.Standardize(1, 2), lambda x: x * 2
    calm = transforms.Compose([transforms.RandomCrop(4), own, transforms.RandomErasing(), standardize])
    assert calm.random
    rest = calm.for_evaluation()
    assert not rest.random
    np.testing.assert_array_equal(host(rest(x)), (host(x)[:, :, 2:6, 2:6] * 2 - 1) / 2)
    assert standardize.for_evaluation() is standardize
    assert not transforms.Compose([own]).random


def test_two_random_transforms_in_a_row_draw_different_numbers(backend):
    twice = transforms.Compose([transforms.RandomHorizontalFlip(), transforms.RandomHorizontalFlip()])
    twice.seed(3)
    x = images(50)
    assert (host(twice(to_device(x))) != x).any()


def test_without_a_seed_each_object_draws_its_own():
    x = images(50)
    one, two = transforms.RandomHorizontalFlip(), transforms.RandomHorizontalFlip()
    assert isinstance(one.generator, sn.Philox)
    assert (one(x) != two(x)).any()


X = images()


@pytest.mark.parametrize(
    ("work", "message"),
    [
        (lambda: transforms.RandomCrop(20)(X), r"RandomCrop: size \(20, 20\) is larger than .*\(7, 9\)"),
        (lambda: transforms.RandomCrop(0), "RandomCrop: size is 0; it must be a positive integer"),
        (lambda: transforms.RandomCrop(4, "same"), "RandomCrop: padding is 'same'"),
        (lambda: transforms.Pad((1, 2, 3)), r"Pad: padding is \(1, 2, 3\); give one integer, \(left"),
        (lambda: transforms.Pad(1, value="x"), "Pad: value is 'x'; it must be a number"),
        (lambda: transforms.Pad(1, 0.5)(X.astype("u1")), "value is 0.5, which uint8 cannot hold"),
        (lambda: transforms.Pad(1, -1)(X.astype("u1")), "value is -1, which uint8 cannot hold"),
        (
            lambda: transforms.CenterCrop(2)(X[0]),
            r"CenterCrop: inputs have shape \(3, 7, 9\), but images",
        ),
        (lambda: transforms.RandomHorizontalFlip(2), "RandomHorizontalFlip: p is 2"),
        (lambda: transforms.RandomVerticalFlip("a"), "RandomVerticalFlip: p is 'a'"),
        (lambda: transforms.RandomErasing(scale=(0.5, 2)), r"scale is \(0.5, 2\); give \(smallest, lar"),
        (lambda: transforms.RandomErasing(ratio=3), "ratio is 3; give"),
        (lambda: transforms.RandomErasing(scale=(1, 1))(X), "no rectangle of scale .* fits into images"),
        (lambda: transforms.Standardize(0, [1, 0]), "Standardize: std has 0.0; each must be positive"),
        (lambda: transforms.Standardize("a", 1), "Standardize: mean is 'a'; it must hold numbers"),
        (lambda: transforms.Standardize.of(X * np.nan), "Standardize: mean has NaN"),
        (
            lambda: transforms.Standardize([1, 2], 1)(X),
            r"mean has \(2,\); give one number, one for each",
        ),
        (lambda: transforms.Standardize.of(X, axis=1), "axis is 1; it must have axis 0"),
        (lambda: transforms.OneHot(0), "OneHot: classes is 0"),
        (lambda: transforms.OneHot(3)(X), "OneHot: labels have dtype float32; they must be integers"),
        (lambda: transforms.Compose([3]), "Compose: an int is no transform"),
        (lambda: transforms.Compose(transforms.Pad(1)), "Compose: a Pad given; give a list of transf"),
        (lambda: transforms.Pad(1, np.nan)(X.astype("u1")), "value is nan, which uint8 cannot hold"),
        (lambda: transforms.Pad(1)({"image": X}), "Pad: the inputs are a dict of arrays"),
    ],
)
def test_a_fault_is_one_clear_line(work, message):
    with pytest.raises((sn.ScratchnetError, backends.BackendError), match=message) as caught:
        work()
    assert "\n" not in str(caught.value)


def test_a_transform_shows_its_settings():
    shown = repr(transforms.Compose([transforms.RandomCrop(4, 2), transforms.OneHot(3)]))
    assert shown == "Compose([RandomCrop(size=(4, 4), padding=2), OneHot(classes=3)])"
