"""minidl/data/folder.py and archive.py: a folder a class, on the disk or in an archive, read without unpacking."""

import io
import os
import tarfile
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import minidl as md
from minidl.data import ImageFolder, Loader
from tests.arrays import host

RNG = np.random.default_rng(0)
SIZE = (6, 8)  # height, width


def png(pixels, **options):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "png", **options)
    return buffer.getvalue()


def random_picture(*shape):
    return RNG.integers(0, 256, shape, dtype=np.uint8)


PICTURES = {
    "cat/b.png": random_picture(*SIZE, 3),
    "cat/a.PNG": random_picture(*SIZE, 3),
    "ant/images/deep/z.png": random_picture(*SIZE, 3),
    "ant hill/1.png": random_picture(*SIZE, 3),
}
ORDER = ["ant/images/deep/z.png", "ant hill/1.png", "cat/a.PNG", "cat/b.png"]
OTHERS = {"readme.txt": b"x", "loose.png": b"x", "cat/notes.txt": b"x", "cat/._b.png": b"x", ".git/x.png": b"x"}
FILES = {name: png(pixels) for name, pixels in PICTURES.items()} | OTHERS


def as_folder(path, files):
    for name, content in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)
    return path


def as_zip(path, files):
    path = path.with_suffix(".zip")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def as_tar(mode):
    def write(path, files):
        path = path.with_suffix(".tar" + (f".{mode}" if mode else ""))
        with tarfile.open(path, f"w:{mode}") as archive:
            for folder in sorted({name.split("/")[0] for name in files if "/" in name}):
                archive.addfile(directory(f"./{folder}"))
            for name, content in files.items():
                member = tarfile.TarInfo(f"./{name}")  # as `tar -c .` names them
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
        return path

    write.__name__ = f"as_tar_{mode}"
    return write


def directory(name):
    member = tarfile.TarInfo(name)
    member.type = tarfile.DIRTYPE
    return member


KINDS = [as_folder, as_zip, as_tar(""), as_tar("gz"), as_tar("bz2"), as_tar("xz")]


def expected(names):
    return np.stack([PICTURES[name].transpose(2, 0, 1) for name in names])


@pytest.mark.parametrize("write", KINDS)
def test_images_come_sorted_by_class_and_name_whatever_holds_them(tmp_path, write):
    source = ImageFolder(write(tmp_path / "pictures", FILES))
    assert source.names == ORDER
    assert source.classes == ("ant", "ant hill", "cat")
    assert source.labels.dtype == np.int64
    assert source.labels.tolist() == [0, 1, 2, 2]
    assert source.image_shape == (3, 6, 8)
    assert len(source) == 4
    inputs, labels = source.take(np.array([3, 0, 3]))
    assert inputs.dtype == np.uint8
    np.testing.assert_array_equal(inputs, expected([ORDER[3], ORDER[0], ORDER[3]]))
    assert labels.tolist() == [2, 0, 2]


@pytest.mark.parametrize("write", KINDS)
def test_the_path_goes_on_inside_an_archive(tmp_path, write):
    files = {f"top/train/{name}": content for name, content in FILES.items()} | {"top/test/cat/1.png": b"x"}
    source = ImageFolder(write(tmp_path / "pictures", files) / "top" / "train")
    assert source.names == ORDER
    np.testing.assert_array_equal(source.take([1])[0], expected([ORDER[1]]))


def test_load_puts_all_in_memory(tmp_path):
    dataset = ImageFolder(as_folder(tmp_path / "pictures", FILES)).load()
    assert isinstance(dataset, md.data.Dataset)
    np.testing.assert_array_equal(dataset.images, expected(ORDER))
    assert dataset.labels.tolist() == [0, 1, 2, 2]
    assert dataset.classes == ("ant", "ant hill", "cat")


def test_load_shows_how_far_it_is(tmp_path, capsys):
    ImageFolder(as_folder(tmp_path / "pictures", FILES)).load(progress=True)
    output = capsys.readouterr()
    assert output.out == ""
    assert "4/4" in output.err


@pytest.mark.parametrize("write", [as_zip, as_tar(""), as_tar("gz"), as_folder])
def test_threads_may_take_at_once(tmp_path, write):
    source = ImageFolder(write(tmp_path / "pictures", FILES))
    orders = [RNG.integers(0, 4, 8) for _ in range(40)]
    with ThreadPoolExecutor(8) as pool:
        for order, (inputs, labels) in zip(orders, pool.map(source.take, orders), strict=True):
            np.testing.assert_array_equal(inputs, expected([ORDER[i] for i in order]))
            np.testing.assert_array_equal(labels, source.labels[order])


def test_a_loader_hands_it_out(tmp_path):
    source = ImageFolder(as_folder(tmp_path / "pictures", FILES))
    batches = list(Loader(source, batch_size=3, shuffle=False))
    assert [len(labels) for _, labels in batches] == [3, 1]


@pytest.mark.parametrize(("mode", "channels"), [("L", 1), ("L", 3), ("RGB", 1), ("RGBA", 3), ("P", 3), ("1", 1)])
def test_every_kind_of_picture_becomes_grey_or_colour(tmp_path, mode, channels):
    picture = Image.fromarray(random_picture(*SIZE, 3)).convert(mode)
    buffer = io.BytesIO()
    picture.save(buffer, "png")
    inputs, _ = ImageFolder(as_folder(tmp_path, {"a/x.png": buffer.getvalue()}), channels=channels).take([0])
    wanted = np.asarray(picture.convert("L" if channels == 1 else "RGB")).reshape(*SIZE, channels)
    np.testing.assert_array_equal(inputs[0], wanted.transpose(2, 0, 1))


def jpeg(picture):
    buffer = io.BytesIO()
    picture.save(buffer, "jpeg", quality=95)
    return buffer.getvalue()


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK", "YCbCr"])
def test_every_kind_of_jpeg_becomes_colour(tmp_path, mode):
    picture = Image.new("RGB", (16, 16), (200, 100, 50)).convert(mode)
    inputs, _ = ImageFolder(as_folder(tmp_path, {"a/x.JPEG": jpeg(picture)})).take([0])
    wanted = picture.convert("RGB").getpixel((8, 8))
    np.testing.assert_allclose(inputs[0, :, 8, 8], wanted, atol=4)


def test_a_jpeg_that_was_cut_off_is_named_with_what_to_do(tmp_path):
    whole = jpeg(Image.fromarray(random_picture(64, 64, 3)))
    source = ImageFolder(as_folder(tmp_path, {"a/good.jpg": whole, "b/cut.jpg": whole[: len(whole) // 2]}))
    with pytest.raises(ValueError, match=r"cut\.jpg \(image 1\) cannot be decoded: .*truncated") as caught:
        list(Loader(source, 2, shuffle=False, workers=1))
    assert caught.value.__notes__ == [
        "Replace the file, or delete it: the others do not need it",
        "while the Loader made batch 0 of epoch 0",
    ]


def test_images_smaller_than_a_crop_are_told_how_to_grow(tmp_path):
    source = ImageFolder(as_folder(tmp_path, {"a/x.png": WHOLE}))
    crop = md.data.transforms.RandomCrop(50)
    with pytest.raises(md.ShapeError, match=r"at least 50x50; got 40x40\. ImageFolder\(\.\.\., size=\)"):
        list(Loader(source, 1, transform=crop))
    assert next(iter(Loader(ImageFolder(tmp_path, size=56), 1, transform=crop)))[0].shape == (1, 3, 50, 50)


def test_other_processes_read_the_same_images(tmp_path):
    source = ImageFolder(as_folder(tmp_path, FILES))
    expected = [host(inputs) for inputs, _ in Loader(source, 1, seed=0)]
    found = [host(inputs) for inputs, _ in Loader(source, 1, seed=0, workers=1, processes=True)]
    np.testing.assert_array_equal(np.concatenate(found), np.concatenate(expected))


def test_size_scales_the_largest_middle_part(tmp_path):
    wide = np.zeros((10, 30, 3), np.uint8)
    wide[:, 10:20] = 200  # the middle square
    tall = np.ascontiguousarray(wide.transpose(1, 0, 2))
    files = {"a/tall.png": png(tall), "a/wide.png": png(wide), "b/small.png": png(wide[:5, 12:17])}
    source = ImageFolder(as_folder(tmp_path, files), size=10)
    np.testing.assert_array_equal(source.take([0, 1, 2])[0], np.full((3, 3, 10, 10), 200))
    assert ImageFolder(tmp_path, size=(5, 15)).take([0, 1])[0].shape == (2, 3, 5, 15)
    np.testing.assert_array_equal(
        ImageFolder(tmp_path, size=(5, 15)).take([1])[0][0, 0],
        np.asarray(Image.fromarray(wide).resize((15, 5), 2))[..., 0],
    )


def test_without_size_all_must_be_alike(tmp_path):
    files = {"a/1.png": png(random_picture(4, 5, 3)), "b/2.png": png(random_picture(5, 5, 3))}
    source = ImageFolder(as_folder(tmp_path, files))
    with pytest.raises(md.ShapeError, match=r"2\.png \(image 1\) is of shape \(3, 5, 5\).*\(3, 4, 5\): pass size="):
        source.take([0, 1])
    assert ImageFolder(tmp_path, size=4).load().inputs.shape == (2, 3, 4, 4)


WHOLE = png(random_picture(40, 40, 3))


@pytest.mark.parametrize(
    "content",
    [b"", b"no image", WHOLE[:200], WHOLE[:-30], WHOLE[:300] + b"xxxx" + WHOLE[304:]],
    ids=["empty", "text", "beginning", "cut off", "changed"],
)
@pytest.mark.parametrize("write", KINDS)
def test_an_image_that_cannot_be_decoded_is_named(tmp_path, write, content):
    source = ImageFolder(write(tmp_path / "set", {"a/good.png": WHOLE, "b/broken.png": content}))
    source.take([0])
    with pytest.raises(ValueError, match=r"broken\.png \(image 1\) cannot be decoded"):
        source.take([0, 1])
    with pytest.raises(ValueError, match=r"broken\.png \(image 1\) cannot be decoded"):
        source.load()


def test_sixteen_bits_are_not_cut_to_eight(tmp_path):
    deep = np.arange(24, dtype=np.uint16).reshape(4, 6) * 2000
    with pytest.raises(ValueError, match="expected 8 bits a channel"):
        ImageFolder(as_folder(tmp_path, {"a/x.png": png(deep)}), channels=1)


def test_an_index_out_of_range_is_an_index_error(tmp_path):
    source = ImageFolder(as_folder(tmp_path, FILES))
    np.testing.assert_array_equal(source.take([-1])[0], expected([ORDER[-1]]))
    with pytest.raises(IndexError):
        source.take([4])
    assert source.take([])[0].shape == (0, 3, 6, 8)


def test_what_is_no_folder_of_classes_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there is no folder or archive .*nothing"):
        ImageFolder(tmp_path / "nothing")
    with pytest.raises(ValueError, match=r"expected images \(\.jpg, .* in a folder for each class.*found none"):
        ImageFolder(as_folder(tmp_path / "flat", {"1.png": WHOLE}))
    as_folder(tmp_path / "gap", {"a/1.png": WHOLE, "b/1.txt": b"", "c/1.png": WHOLE})
    with pytest.raises(ValueError, match="expected images in every class folder; b has none"):
        ImageFolder(tmp_path / "gap")
    with pytest.raises(ValueError, match="found none"):
        ImageFolder(as_zip(tmp_path / "set", FILES) / "elsewhere")


@pytest.mark.parametrize("name", ["x.zip", "x.tar", "x.tar.gz"])
def test_a_damaged_archive_is_named(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(b"nonsense" * 300)
    with pytest.raises(ValueError, match=rf"{name} is damaged, cut off, or neither \.zip nor \.tar"):
        ImageFolder(path)


@pytest.mark.parametrize("write", [as_zip, as_tar(""), as_tar("gz"), as_tar("xz")])
def test_a_cut_archive_is_named(tmp_path, write):
    path = write(tmp_path / "set", {f"a/{i}.png": png(random_picture(40, 40, 3)) for i in range(3)})
    path.write_bytes(path.read_bytes()[:8000])
    with pytest.raises(ValueError, match=f"{path.name} is damaged, cut off"):
        ImageFolder(path)


@pytest.mark.parametrize("size", [0, -1, 2.0, True, "32", (3,), (3, 0), (3, 4, 5)])
def test_a_size_must_be_one_or_two_whole_numbers(tmp_path, size):
    with pytest.raises(ValueError, match="expected size as pixels"):
        ImageFolder(tmp_path, size=size)


@pytest.mark.parametrize("channels", [0, 2, 4, "RGB", True, [3]])
def test_channels_are_one_or_three(tmp_path, channels):
    with pytest.raises(ValueError, match="expected channels=3"):
        ImageFolder(tmp_path, channels=channels)


def test_the_repr_says_what_it_is(tmp_path):
    source = ImageFolder(as_folder(tmp_path, FILES))
    assert repr(source) == f"ImageFolder(4 images (3, 6, 8) uint8, 3 classes, {tmp_path})"


needs_data = pytest.mark.skipif("MINIDL_DATA" not in os.environ, reason="needs MINIDL_DATA")
DATA = Path(os.environ.get("MINIDL_DATA", "."))
REAL = [
    ("cifar10-jpeg/train", 50_000, 10, (3, 32, 32), None),
    ("cifar10-jpeg/test", 10_000, 10, (3, 32, 32), None),
    ("tiny-imagenet-32/train", 100_000, 200, (3, 32, 32), None),
    ("tiny-imagenet-32/val", 10_000, 200, (3, 32, 32), None),
    ("imagenet-sample", 1_000, 1_000, (3, 256, 256), None),
    ("imagenet-sample", 1_000, 1_000, (3, 64, 64), 64),
]


@pytest.mark.big_data
@needs_data
@pytest.mark.parametrize(("name", "images", "classes", "shape", "size"), REAL)
def test_real_photographs(name, images, classes, shape, size):
    source = ImageFolder(DATA / name, size=size)
    assert len(source) == images
    assert len(source.classes) == classes
    assert source.image_shape == shape
    np.testing.assert_array_equal(np.bincount(source.labels), images // classes)
    chosen = RNG.choice(images, 100, replace=False)
    inputs, labels = source.take(chosen)
    assert 90 < inputs.mean() < 150  # photographs are neither dark nor white
    assert all(source.names[i].split("/")[0] == source.classes[label] for i, label in zip(chosen, labels, strict=True))


@pytest.mark.big_data
@needs_data
def test_the_same_photographs_out_of_an_archive(tmp_path):
    with tarfile.open(tmp_path / "sample.tar", "w") as archive:
        for folder in sorted((DATA / "imagenet-sample").iterdir())[:20]:
            archive.add(folder, folder.name)
    ours, theirs = ImageFolder(tmp_path / "sample.tar"), ImageFolder(DATA / "imagenet-sample")
    assert ours.classes == theirs.classes[:20]
    np.testing.assert_array_equal(ours.take(range(20))[0], theirs.take(range(20))[0])
