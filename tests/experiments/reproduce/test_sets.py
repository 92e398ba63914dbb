"""The recipes' data: what is held out, what the network is fed, and an error that says where data come from."""

import re

import numpy as np
import pytest
from PIL import Image

import minidl as md
from minidl import backend
from minidl.data import Dataset, Loader
from minidl.data.dataset import DataSplits
from minidl.experiments.reproduce import sets
from minidl.experiments.reproduce.recipes import RECIPES
from minidl.experiments.reproduce.sets import READERS, Sets, Subset, read, without_last


@pytest.fixture(autouse=True)
def _nothing_kept(monkeypatch, tmp_path):
    """No data of another test, of this user or of this machine."""
    sets._read.cache_clear()
    monkeypatch.delenv("MINIDL_DATA", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    yield
    sets._read.cache_clear()


def labelled(labels):
    labels = np.array(labels)
    names = tuple(map(str, range(labels.max() + 1)))
    return Dataset(np.arange(len(labels), dtype=np.uint8)[:, None], labels, classes=names)


def test_the_last_of_each_class_are_held_out():
    train, held_out = without_last(labelled([0, 1, 1, 0, 0, 1, 2, 1]), 2)
    assert train.chosen.tolist() == [0, 1, 2]
    assert held_out.chosen.tolist() == [3, 4, 5, 6, 7]
    assert held_out.labels.tolist() == [0, 0, 1, 2, 1]
    assert held_out.take([4, 0])[0].ravel().tolist() == [7, 3]


def test_a_look_may_be_at_some_evenly_spaced_examples():
    data = labelled([0, 1] * 50)
    made = Sets("some", data, data, data, transform=lambda x, rng: x * 2.0)
    shown = made.shown(made.test, 5)
    assert shown.take(np.arange(5))[0].ravel().tolist() == [0, 50, 100, 148, 198]
    assert len(made.shown(made.test)) == len(made.shown(made.test, 1_000)) == 100
    assert isinstance(Sets("some", data, data, data).shown(data, 5), Subset)


def test_other_data_have_another_fingerprint():
    one, other = labelled([0, 1, 1]), labelled([0, 1, 0])
    assert Sets("x", one, one, one).fingerprint() == Sets("y", one, one, one).fingerprint()
    assert Sets("x", one, one, one).fingerprint() != Sets("x", one, one, other).fingerprint()


def test_mnist_is_bytes_over_256_and_its_last_5000_are_held_out(monkeypatch):
    rng = np.random.default_rng(0)
    bytes_ = rng.integers(0, 256, (6_000, 1, 28, 28)).astype(np.uint8)
    everything = Dataset(bytes_.astype(np.float32) / 255, rng.integers(0, 10, 6_000), classes=tuple("0123456789"))
    asked = []

    def mnist(root, validation):
        asked.append((root, validation))
        parts = everything[:1_000], everything[1_000:], everything[:10]
        return DataSplits(*(Dataset(*part, classes=everything.classes) for part in parts))

    monkeypatch.setattr(sets, "mnist", mnist)
    made = read("mnist")
    assert asked == [(None, 5_000)]
    assert np.array_equal(made.train.inputs, bytes_[:1_000])  # not a bit is lost
    fed, _ = next(iter(Loader(made.train, 8, shuffle=False, transform=made.transform)))
    assert fed.dtype == np.float32
    assert np.array_equal(backend.to_numpy(fed), bytes_[:8].astype(np.float32) / 256)
    assert read("mnist") is made  # a process reads it once
    assert asked == [(None, 5_000)]


def picture_folder(folder, classes, count, size):
    rng = np.random.default_rng(0)
    for name in classes:
        (folder / name).mkdir(parents=True)
        for i in range(count):
            Image.fromarray(rng.integers(0, 256, (size, size, 3)).astype(np.uint8)).save(folder / name / f"{i:03}.png")


def test_cifar10_comes_out_of_a_folder_of_images_less_their_mean(tmp_path):
    for part, count in (("train", 20), ("test", 3)):
        picture_folder(tmp_path / "data" / "cifar10-jpeg" / part, ("cat", "dog"), count, 32)
    made = read("cifar10", tmp_path / "data", tmp_path / "cache")
    assert (len(made.train), len(made.validation), len(made.test)) == (36, 4, 6)
    assert made.name == "CIFAR-10, recompressed as JPEG"
    assert made.classes == 2
    shown = made.shown(made.train).take(np.arange(36))[0]
    assert shown.shape == (36, 3, 32, 32)
    assert np.abs(shown.mean(axis=0)).max() < 1e-4  # of the images trained on, and no others
    assert np.abs(made.shown(made.validation).take(np.arange(4))[0].mean(axis=0)).max() > 1
    sets._read.cache_clear()
    assert read("cifar10", tmp_path / "data", tmp_path / "cache").fingerprint() == made.fingerprint()


def test_imagenet32_is_standardised_and_in_training_mirrored_and_shifted(tmp_path):
    for part, count in (("train", 20), ("val", 2)):
        picture_folder(tmp_path / "tiny-imagenet-32" / part, ("n01", "n02"), count, 32)
    made = read("imagenet32", tmp_path, tmp_path / "cache")
    shown = made.shown(made.train).take(np.arange(36))[0]
    assert np.abs(shown.mean(axis=(0, 2, 3))).max() < 0.05
    assert shown.std(axis=(0, 2, 3)) == pytest.approx(np.ones(3), abs=0.05)
    loaders = [Loader(made.train, 8, seed=seed, transform=made.transform) for seed in (3, 3, 4)]
    batches = [backend.to_numpy(next(iter(loader))[0]) for loader in loaders]
    assert np.array_equal(batches[0], batches[1])
    assert not np.array_equal(batches[0], batches[2])


def test_imagenet_is_cropped_out_of_its_files(tmp_path):
    for part in ("train", "val"):
        picture_folder(tmp_path / "imagenet" / part, ("n01", "n02"), 2, 256)
    made = read("imagenet", tmp_path, tmp_path / "cache")
    assert (tmp_path / "cache" / "imagenet-mean.npz").exists()  # a million images are not averaged once a run
    assert (len(made.train), len(made.validation), len(made.test)) == (2, 2, 4)
    fed, _ = next(iter(Loader(made.train, 2, seed=0, transform=made.transform, workers=made.workers)))
    assert fed.shape == made.shown(made.test, 2).take(np.arange(2))[0].shape == (2, 3, 227, 227)


@pytest.mark.parametrize("data", [name for name in READERS if name != "digits"])
def test_missing_data_are_said_to_be_missing_and_where_they_come_from(data, tmp_path):
    (tmp_path / "empty").mkdir()
    for folder in (tmp_path / "empty", None):
        with pytest.raises(FileNotFoundError, match=r"found no") as caught:
            read(data, folder)
        where = {"mnist": "download=True", "cifar10": "download=True", "imagenet32": "http", "imagenet": "http"}
        assert where[data] in str(caught.value)
        if data != "mnist":
            assert re.search(r"DIR/[\w-]+/train/CLASS/NAME", str(caught.value))


def test_every_recipes_data_can_be_read():
    assert {recipe.data for recipe in RECIPES.values()} == set(READERS)


def test_the_digits_come_with_minidl():
    made = read("digits")
    assert (len(made.train), len(made.validation), len(made.test)) == (1_077, 360, 360)
    assert made.shown(made.test) is made.test
    assert np.array_equal(made.test.inputs, md.data.digits().test.inputs)
