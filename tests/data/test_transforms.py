"""minidl/data/transforms.py: what each makes of a batch, compared with the same done image by image."""

import numpy as np
import pytest

import minidl as md
from minidl import backend
from minidl.data import Dataset, Loader, Mapped, mean_image
from minidl.data import transforms as T
from tests.arrays import device, host

IMAGES = np.random.default_rng(0).integers(0, 256, size=(9, 3, 6, 5)).astype(np.uint8)
MEAN = IMAGES.mean(axis=0)
STEPS = [
    T.ToFloat(),
    T.Normalize((1.0, 2.0, 3.0), (4.0, 5.0, 6.0)),
    T.MeanImage(MEAN),
    T.CenterCrop(4),
    T.RandomCrop((4, 3)),
    T.RandomCrop(5, padding=(1, 2)),
    T.RandomHorizontalFlip(),
]
EVERY = pytest.mark.parametrize("step", [*STEPS, T.Compose(STEPS[-2:])], ids=repr)


def generator(seed=0):
    return np.random.default_rng(seed)


# ---- what holds for all


@EVERY
@pytest.mark.parametrize("dtype", ["uint8", "int64", "float16", "float32", "float64"])
def test_dtypes_are_kept_but_integers_that_are_computed_with_become_float32(step, dtype):
    moves = isinstance(step, (T.CenterCrop, T.RandomCrop, T.RandomHorizontalFlip, T.Compose))
    out = step(IMAGES.astype(dtype), generator())
    assert out.dtype == (dtype if moves or dtype.startswith("float") else np.float32)
    assert len(out) == len(IMAGES)


@EVERY
def test_images_are_never_written_to(step):
    images = IMAGES.astype(np.float32)
    images.flags.writeable = False
    step(images, generator())
    np.testing.assert_array_equal(images, IMAGES)


@EVERY
def test_no_images_stay_no_images(step):
    assert step(IMAGES[:0], generator()).shape[0] == 0


@EVERY
def test_memory_may_lie_in_any_order(step):
    backwards = np.asfortranarray(IMAGES)
    np.testing.assert_array_equal(step(backwards, generator()), step(IMAGES, generator()))


@EVERY
def test_one_generator_gives_one_result(step):
    np.testing.assert_array_equal(step(IMAGES, generator(4)), step(IMAGES, generator(4)))


@pytest.mark.parametrize("step", STEPS[1:], ids=repr)
def test_what_is_no_batch_of_images_is_refused(step):
    with pytest.raises(md.ShapeError, match="got "):
        step(IMAGES.reshape(9, -1), generator())
    with pytest.raises(md.DTypeError, match="got list"):
        step([1.0], generator())


def test_rows_of_pixels_are_told_how_to_become_images():
    with pytest.raises(md.ShapeError, match=r"expected images \(N, C, H, W\); .*Dataset\(d\.images, d\.labels\)"):
        T.RandomHorizontalFlip()(IMAGES.reshape(9, -1), generator())


def test_the_repr_shows_the_parameters():
    assert repr(T.Compose([T.Normalize(0.5, (1, 2)), T.RandomCrop(32, padding=4), T.RandomHorizontalFlip()])) == (
        "Compose(transforms=[Normalize(mean=(0.5,), std=(1.0, 2.0)), RandomCrop(size=(32, 32), padding=(4, 4)), "
        "RandomHorizontalFlip(p=0.5)])"
    )
    assert repr(T.MeanImage(MEAN)) == "MeanImage(mean of shape (3, 6, 5))"


# ---- the values


def test_to_float_multiplies():
    np.testing.assert_allclose(T.ToFloat()(IMAGES), IMAGES / 255, rtol=1e-6)
    np.testing.assert_array_equal(T.ToFloat(1 / 256)(IMAGES), IMAGES / 256)
    np.testing.assert_array_equal(T.ToFloat(1)(IMAGES), IMAGES)
    assert T.ToFloat()(np.array([[255]], dtype=np.uint8)) == 1  # any shape


def test_normalize_works_channel_by_channel():
    mean, std = np.array([1.0, 2.0, 3.0]), np.array([4.0, 5.0, 6.0])
    out = T.Normalize(mean, std)(IMAGES.astype(np.float64))
    for c in range(3):
        np.testing.assert_allclose(out[:, c], (IMAGES[:, c] - mean[c]) / std[c], rtol=1e-12)
    one = T.Normalize(128, 64)(IMAGES)
    np.testing.assert_array_equal(one, (IMAGES.astype(np.float32) - 128) / 64)


def test_the_mean_image_of_the_training_set_leaves_a_mean_of_zero(monkeypatch):
    monkeypatch.setattr(mean_image, "CHUNK", 4)
    mean = T.MeanImage.of(Dataset(IMAGES, np.zeros(9)))
    assert mean.mean.dtype == np.float64
    np.testing.assert_allclose(mean.mean, MEAN, rtol=1e-14)
    np.testing.assert_allclose(mean(IMAGES.astype(np.float64)).mean(axis=0), 0, atol=1e-12)
    np.testing.assert_array_equal(mean(IMAGES), IMAGES.astype(np.float32) - MEAN.astype(np.float32))


def test_the_mean_image_is_added_up_without_losing_small_numbers():
    ones = np.ones((5000, 1, 1, 1), dtype=np.float16)  # a sum in float16 stops growing at 2048
    assert T.MeanImage.of(Dataset(device(ones), device(np.zeros(5000)))).mean == 1


def test_the_mean_image_shows_how_far_it_is(capsys):
    T.MeanImage.of(Dataset(IMAGES, np.zeros(9)), progress=True)
    output = capsys.readouterr()
    assert output.out == ""
    assert "9/9" in output.err
    T.MeanImage.of(Dataset(IMAGES, np.zeros(9)))
    assert capsys.readouterr() == ("", "")


def test_the_mean_image_of_a_source_that_reads_when_asked():
    source = Mapped(Dataset(IMAGES, np.zeros(9)), T.CenterCrop(3))
    np.testing.assert_allclose(T.MeanImage.of(source).mean, MEAN[:, 1:4, 1:4])


def test_center_crop_takes_the_middle():
    np.testing.assert_array_equal(T.CenterCrop((4, 3))(IMAGES), IMAGES[:, :, 1:5, 1:4])
    np.testing.assert_array_equal(T.CenterCrop((3, 2))(IMAGES), IMAGES[:, :, 1:4, 1:3])  # 3 left: 1 above, 2 below
    np.testing.assert_array_equal(T.CenterCrop((6, 5))(IMAGES), IMAGES)


def places_of(crops, images):
    """Where each crop was cut out of its image; the pixels of an image must all differ."""
    found = []
    for crop, image in zip(crops, images, strict=True):
        ((top, left),) = np.argwhere(image[0] == crop[0, 0, 0])
        height, width = crop.shape[1:]
        np.testing.assert_array_equal(crop, image[:, top : top + height, left : left + width])
        found.append((int(top), int(left)))
    return found


def test_a_random_crop_is_a_window_of_its_own_image_at_every_place_alike():
    n = 3000
    images = (np.arange(n)[:, None] * 1000 + np.arange(2 * 4 * 4)).reshape(n, 2, 4, 4)
    crops = T.RandomCrop((3, 2))(images, generator())
    assert crops.shape == (n, 2, 3, 2)
    counts = np.unique(places_of(crops, images), axis=0, return_counts=True)[1]
    assert len(counts) == 2 * 3
    assert np.abs(counts - n / 6).max() < 5 * np.sqrt(n / 6)


def test_padding_is_zeros_around_the_image_before_the_crop():
    images = np.arange(1, 17).reshape(1, 1, 4, 4).repeat(200, axis=0)
    crops = T.RandomCrop(4, padding=(1, 2))(images, generator())
    padded = np.pad(images[0, 0], ((1, 1), (2, 2)))
    windows = {padded[i : i + 4, j : j + 4].tobytes() for i in range(3) for j in range(5)}
    assert {crop[0].tobytes() for crop in crops} == windows


def test_a_crop_of_the_whole_is_the_whole():
    np.testing.assert_array_equal(T.RandomCrop((6, 5))(IMAGES, generator()), IMAGES)


def test_each_image_is_flipped_by_itself():
    images = np.arange(4000 * 3).reshape(4000, 1, 1, 3)
    out = T.RandomHorizontalFlip(0.25)(images, generator())
    kept = (out == images).all(axis=(1, 2, 3))
    np.testing.assert_array_equal(out[~kept], images[~kept, :, :, ::-1])
    assert 0.22 < 1 - kept.mean() < 0.28
    np.testing.assert_array_equal(T.RandomHorizontalFlip(0)(images, generator()), images)
    np.testing.assert_array_equal(T.RandomHorizontalFlip(1)(images, generator()), images[..., ::-1])


def test_compose_goes_from_the_first_to_the_last_with_one_generator():
    both = T.Compose([T.RandomCrop(4), T.RandomHorizontalFlip(), lambda images, rng: images + 1])
    rng = generator()
    expected = T.RandomHorizontalFlip()(T.RandomCrop(4)(IMAGES, rng), rng) + 1
    np.testing.assert_array_equal(both(IMAGES, generator()), expected)
    assert T.Compose([])(IMAGES) is IMAGES


# ---- Mapped


def test_mapped_transforms_what_is_taken_and_keeps_the_rest():
    data = Dataset(device(IMAGES), device(np.arange(9) % 2), classes=("a", "b"))
    mapped = Mapped(data, T.MeanImage(MEAN))
    assert len(mapped) == 9
    assert mapped.classes == ("a", "b")
    assert mapped.labels is data.labels
    inputs, labels = mapped.take(np.array([7, 2]))
    np.testing.assert_array_equal(inputs, T.MeanImage(MEAN)(IMAGES[[7, 2]]))
    np.testing.assert_array_equal(host(labels), [1, 0])
    assert "MeanImage" in repr(mapped)


def test_a_loader_hands_out_what_is_mapped():
    mapped = Mapped(Dataset(IMAGES, np.arange(9)), T.CenterCrop(2))
    for inputs, labels in Loader(mapped, 4, workers=1, transform=T.ToFloat()):
        assert backend.device_of(inputs) == backend.current()
        np.testing.assert_array_equal(host(inputs), T.ToFloat()(T.CenterCrop(2)(IMAGES[host(labels)])))


def test_chance_has_no_place_in_mapped():
    mapped = Mapped(Dataset(IMAGES, np.zeros(9)), T.Compose([T.RandomCrop(3)]))
    with pytest.raises(ValueError, match=r"RandomCrop.* draws at random .*use it as Loader\(\.\.\., transform="):
        mapped.take(np.arange(2))


# ---- arguments


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: T.Normalize(0, 0), ValueError, "expected std above 0; got 0"),
        (lambda: T.Normalize(0, (1, float("nan"))), ValueError, "expected std above 0"),
        (lambda: T.MeanImage(IMAGES[0]), md.DTypeError, "expected an array of floating numbers"),
        (lambda: T.MeanImage.of(IMAGES), TypeError, "expected a Dataset; got ndarray"),
        (lambda: T.MeanImage.of(Dataset(IMAGES[:0], np.zeros(0))), ValueError, "the data set is empty"),
        (
            lambda: T.CenterCrop(0),
            ValueError,
            "CenterCrop: size: expected a whole number of at least 1, or two of them; got 0",
        ),
        (lambda: T.RandomCrop((1, 2, 3)), ValueError, "RandomCrop: size: expected a whole number"),
        (lambda: T.RandomCrop(2.0), ValueError, "RandomCrop: size: expected a whole number"),
        (lambda: T.RandomCrop(2, padding=-1), ValueError, "RandomCrop: padding: expected a whole number of at least 0"),
        (lambda: T.RandomHorizontalFlip("0.5"), ValueError, "RandomHorizontalFlip: p: expected a number; got '0.5'"),
        (lambda: T.ToFloat("0.5"), ValueError, "ToFloat: scale: expected a number; got '0.5'"),
        (lambda: T.Normalize("0.5", 1), ValueError, "Normalize: mean: expected a number; got"),
        (lambda: T.Normalize(0, [True]), ValueError, "Normalize: std: expected a number; got"),
        (
            lambda: T.RandomHorizontalFlip(1.5),
            ValueError,
            "RandomHorizontalFlip: p: expected a number from 0 to 1; got 1.5",
        ),
        (lambda: T.Compose([T.ToFloat]), TypeError, r"Compose: expected a transform.*make one, ToFloat\(\.\.\.\)"),
        (lambda: Mapped(IMAGES, T.ToFloat()), TypeError, "Mapped: expected a Dataset; got ndarray"),
        (lambda: Mapped(Dataset(IMAGES, np.zeros(9)), None), TypeError, "Mapped: expected a transform"),
        (lambda: T.CenterCrop(6)(IMAGES), md.ShapeError, "expected images of at least 6x6; got 6x5"),
        (lambda: T.RandomCrop(9, 1)(IMAGES, generator()), md.ShapeError, "expected images of at least 9x9; got 8x7"),
        (lambda: T.Normalize((1, 2), 1)(IMAGES), md.ShapeError, "expected images of 2 channels; got shape"),
        (lambda: T.MeanImage(MEAN)(IMAGES[..., 1:]), md.ShapeError, r"before any crop; got \(9, 3, 6, 4\)"),
        (lambda: T.RandomHorizontalFlip()(IMAGES), ValueError, "draws at random and was given no generator"),
        (lambda: T.ToFloat()(IMAGES.astype(str)), md.DTypeError, "an array of numbers"),
    ],
)
def test_what_does_not_fit_is_refused(make, error, words):
    with pytest.raises(error, match=words):
        make()
