"""Images decoded once: the same pixels out of the cache, and a cache that is damaged or of other images is not used."""

import numpy as np
import pytest
from PIL import Image

from minidl.data import ImageFolder
from minidl.experiments.reproduce.decoded import decoded


@pytest.fixture
def images(tmp_path):
    """A folder of eight images of two classes."""
    rng = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (tmp_path / "images" / name).mkdir(parents=True)
        for i in range(4):
            pixels = rng.integers(0, 256, (6, 6, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / "images" / name / f"{i}.png")
    return tmp_path / "images"


def test_what_is_kept_is_what_was_decoded(images, tmp_path, monkeypatch):
    plain = ImageFolder(images).load()
    first = decoded(images, tmp_path / "cache", "some")
    monkeypatch.setattr(ImageFolder, "load", lambda *_, **__: pytest.fail("decoded again"))
    again = decoded(images, tmp_path / "cache", "some")
    for found in (first, again):
        assert np.array_equal(found.inputs, plain.inputs)
        assert np.array_equal(found.labels, plain.labels)
        assert found.classes == ("cat", "dog")
    assert sorted(path.suffix for path in (tmp_path / "cache").iterdir()) == [".json", ".npy"]


def test_without_a_cache_nothing_is_kept(images, tmp_path):
    assert len(decoded(images, None, "some")) == 8
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("suffix", [".npy", ".json"])
@pytest.mark.parametrize("damage", ["changed", "cut"])
def test_a_damaged_cache_is_said_and_made_again(images, tmp_path, suffix, damage):
    plain = decoded(images, tmp_path / "cache", "some").inputs.copy()
    path = next((tmp_path / "cache").glob(f"*{suffix}"))
    content = bytearray(path.read_bytes())
    content[-30] ^= 1
    path.write_bytes(content if damage == "changed" else content[:20])
    with pytest.warns(UserWarning, match="the images are decoded again"):
        assert np.array_equal(decoded(images, tmp_path / "cache", "some").inputs, plain)
    assert np.array_equal(decoded(images, tmp_path / "cache", "some").inputs, plain)  # and now it is whole


def test_other_images_are_decoded_anew(images, tmp_path):
    decoded(images, tmp_path / "cache", "some")
    Image.fromarray(np.zeros((6, 6, 3), np.uint8)).save(images / "dog" / "9.png")
    assert len(decoded(images, tmp_path / "cache", "some")) == 9
