"""From files to a trained network: folder, mean image, crop, mirror, processes, and the middle crop afterwards."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import minidl as md
from minidl.data import ImageFolder, Loader, Mapped
from minidl.data import transforms as T

CLASSES, EACH, SIDE, CROP = 4, 3, 36, 32


@pytest.fixture
def photographs(tmp_path):
    """A dozen JPEGs of smooth patches, in four classes that nothing but memory tells apart."""
    rng = np.random.default_rng(0)
    for i in range(CLASSES * EACH):
        rough = Image.fromarray(rng.integers(0, 256, (5, 5, 3), np.uint8))
        folder = tmp_path / "train" / f"class{i % CLASSES}"
        folder.mkdir(parents=True, exist_ok=True)
        rough.resize((SIDE, SIDE), Image.Resampling.BICUBIC).save(folder / f"{i}.jpg", quality=90)
    return ImageFolder(tmp_path / "train")


def overfitted(source, mean, crop, model, rate, steps, **scale):
    """How a network does on the middle of the images it was trained with, of which it saw windows and mirror images."""
    augment = T.Compose([mean, T.RandomCrop(crop), T.RandomHorizontalFlip(), *scale.values()])
    loader = Loader(source, len(source), seed=0, transform=augment, workers=2, processes=True)
    validation = Mapped(source, T.Compose([mean, T.CenterCrop(crop), *scale.values()]))
    before = md.evaluate(model, validation)
    md.fit(model, md.optim.Adam(model, lr=rate), loader, steps=steps, progress=False)
    loader.close()
    return before, md.evaluate(model, validation)


def test_a_small_alexnet_learns_a_dozen_photographs_by_heart(photographs, tmp_path):
    md.seed(0)
    mean = T.MeanImage.of(photographs, file=tmp_path / "mean.npz")
    model = md.models.alexnet_32(CLASSES)
    before, after = overfitted(photographs, mean, CROP, model, 1e-3, steps=45, scale=T.Normalize(0.0, 64.0))
    assert before.accuracy < 0.6
    assert after.accuracy == 1.0
    assert after.loss < 0.4


@pytest.mark.big_data
@pytest.mark.skipif("MINIDL_DATA" not in os.environ, reason="needs MINIDL_DATA")
def test_alexnet_at_full_size_learns_eight_real_photographs_by_heart(tmp_path):
    for folder in sorted(Path(os.environ["MINIDL_DATA"], "imagenet-sample").iterdir())[::125]:
        (tmp_path / "train").mkdir(exist_ok=True)
        (tmp_path / "train" / folder.name).symlink_to(folder)
    md.seed(0)
    source = ImageFolder(tmp_path / "train", size=256)
    mean = T.MeanImage.of(source, file=tmp_path / "mean.npz")
    _, after = overfitted(source, mean, 227, md.models.alexnet(len(source)), 1e-4, steps=60)
    assert after.accuracy == 1.0
