"""minidl/data/mean_image.py: the mean of a data set, computed once and kept in a file."""

import numpy as np
import pytest
from PIL import Image

from minidl.data import Dataset, ImageFolder, Mapped, mean_image
from minidl.data import transforms as T

IMAGES = np.random.default_rng(0).integers(0, 256, size=(9, 3, 6, 5)).astype(np.uint8)
DATA = Dataset(IMAGES, np.arange(9))


class Counted:
    """The examples of DATA, and how often they were asked for."""

    classes, labels, names, image_shape = None, DATA.labels, [f"{i}.jpg" for i in range(9)], (3, 6, 5)

    def __init__(self, names=names):
        self.asked = 0
        self.names = names

    def __len__(self):
        return 9

    def take(self, indices):
        self.asked += len(indices)
        return DATA.take(indices)


def test_the_file_saves_computing_it_again(tmp_path):
    source, file = Counted(), tmp_path / "deep" / "mean.npz"
    first = T.MeanImage.of(source, file=file)
    assert source.asked == 9
    again = T.MeanImage.of(source, file=file)
    assert source.asked == 9
    np.testing.assert_array_equal(again.mean, first.mean)
    assert again.mean.dtype == np.float64
    assert [path.name for path in file.parent.iterdir()] == ["mean.npz"]  # nothing is left beside it


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_workers_change_no_bit(monkeypatch, workers, dtype):
    monkeypatch.setattr(mean_image, "CHUNK", 2)
    data = Dataset((IMAGES / 7).astype(dtype), DATA.labels)
    np.testing.assert_array_equal(T.MeanImage.of(data, workers=workers).mean, T.MeanImage.of(data).mean)


@pytest.mark.parametrize(
    "other",
    [
        Dataset(IMAGES[:8], DATA.labels[:8]),
        Dataset(IMAGES, DATA.labels[::-1].copy()),
        Counted(names=[f"other{i}.jpg" for i in range(9)]),
        Mapped(Counted(), T.CenterCrop(4)),
    ],
    ids=["fewer", "other labels", "other names", "cropped"],
)
def test_a_mean_of_other_images_is_not_taken(tmp_path, other):
    T.MeanImage.of(Counted(), file=tmp_path / "mean.npz")
    with pytest.raises(ValueError, match=r"mean\.npz: keeps the mean of other images: .*Delete it, or keep"):
        T.MeanImage.of(other, file=tmp_path / "mean.npz")


def doubled(images, rng):
    return images * 2


def brightened(images, rng):
    return images + 1


def test_a_function_is_known_again_in_another_run(tmp_path):
    first = T.MeanImage.of(Mapped(Counted(), brightened), file=tmp_path / "mean.npz")

    def again(images, rng):  # at another place in memory, as a function is in another run
        raise AssertionError("nothing is to be computed")

    again.__qualname__ = brightened.__qualname__
    np.testing.assert_array_equal(T.MeanImage.of(Mapped(Counted(), again), file=tmp_path / "mean.npz").mean, first.mean)
    with pytest.raises(ValueError, match="keeps the mean of other images"):
        T.MeanImage.of(Mapped(Counted(), doubled), file=tmp_path / "mean.npz")


def test_a_damaged_file_is_named_and_stays(tmp_path):
    file = tmp_path / "mean.npz"
    T.MeanImage.of(DATA, file=file)
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 255
    file.write_bytes(content)
    with pytest.raises(ValueError, match=r"mean\.npz"):
        T.MeanImage.of(DATA, file=file)
    assert file.read_bytes() == content


def test_a_place_that_cannot_be_written_is_refused_before_the_work(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    source = Counted()
    with pytest.raises(OSError, match="file"):
        T.MeanImage.of(source, file=tmp_path / "file" / "mean.npz")
    assert source.asked == 0


def test_an_error_leaves_no_file(tmp_path):
    class Damaged(Counted):
        def take(self, indices):
            raise ValueError("a.jpg cannot be decoded")

    with pytest.raises(ValueError, match=r"a\.jpg cannot be decoded"):
        T.MeanImage.of(Damaged(), file=tmp_path / "mean.npz", workers=2)
    assert list(tmp_path.iterdir()) == []


def test_the_mean_of_a_folder_is_that_of_its_pixels(tmp_path):
    for i, pixels in enumerate(IMAGES):
        (tmp_path / "train" / f"class{i % 2}").mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels.transpose(1, 2, 0)).save(tmp_path / "train" / f"class{i % 2}" / f"{i}.png")
    found = T.MeanImage.of(ImageFolder(tmp_path / "train"), file=tmp_path / "mean.npz", workers=2)
    np.testing.assert_allclose(found.mean, IMAGES.mean(axis=0), rtol=1e-14)
    with pytest.raises(ValueError, match="other images"):
        T.MeanImage.of(ImageFolder(tmp_path / "train", size=4), file=tmp_path / "mean.npz")
