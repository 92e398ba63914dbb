"""minidl/data/archive.py: what is damaged or linked is refused, and other processes may read as well."""

import bz2
import gzip
import io
import lzma
import os
import pickle
import sys
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest

from minidl.data import ImageFolder
from minidl.data.archive import members_of
from tests.data.test_folder import as_folder, as_tar, as_zip, directory, png, random_picture

PACKERS = {"tar": lambda raw: raw, "tar.gz": gzip.compress, "tar.bz2": bz2.compress, "tar.xz": lzma.compress}
EVERY_TAR = pytest.mark.parametrize("kind", list(PACKERS))
FILES = {f"{folder}/{i}.png": np.random.default_rng(i).bytes(700) for i in range(3) for folder in "ab"}
WRITERS = pytest.mark.parametrize("write", [as_folder, as_zip, as_tar(""), as_tar("gz")])


def tarred(*members):
    """An uncompressed tar of (name, content) and of TarInfos."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for member in members:
            if isinstance(member, tuple):
                info = tarfile.TarInfo(member[0])
                info.size = len(member[1])
                archive.addfile(info, io.BytesIO(member[1]))
            else:
                archive.addfile(member)
    return buffer.getvalue()


def link(name, target, kind):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def read(path):
    """The contents of all images in a folder or archive, by name."""
    members = members_of(path, lambda name: name.endswith(".png"))
    return {name: members.read(place) for name, place in members.places.items()}


RAW = tarred(*FILES.items())
SECOND = 512 + 1024  # where the header of the second file begins


@EVERY_TAR
def test_every_cut_is_refused(tmp_path, kind):
    whole, path = PACKERS[kind](RAW), tmp_path / f"set.{kind}"
    path.write_bytes(whole)
    assert read(path) == FILES
    for length in range(0, len(RAW.rstrip(b"\0")) if kind == "tar" else len(whole), 61):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=rf"set\.{kind} is damaged, cut off"):
            read(path)


@pytest.mark.parametrize("kind", list(PACKERS)[1:])
def test_every_flipped_bit_in_what_is_compressed_is_noticed_or_harmless(tmp_path, kind):
    whole, path = PACKERS[kind](RAW), tmp_path / f"set.{kind}"
    messages = []
    for position in range(0, len(whole), 23):
        damaged = bytearray(whole)
        damaged[position] ^= 1 << position % 8
        path.write_bytes(damaged)
        try:
            assert read(path) == FILES  # such as the date that gzip notes
        except ValueError as error:
            messages.append(str(error))
    assert len(messages) > len(whole) / 23 * 0.9
    assert all(f"set.{kind} is damaged" in message for message in messages)


def test_the_checksum_at_the_end_of_what_is_compressed_is_compared(tmp_path):
    (tmp_path / "set.tgz").write_bytes(gzip.compress(RAW)[:-8] + bytes(8))
    with pytest.raises(ValueError, match="CRC check failed"):
        read(tmp_path / "set.tgz")


@pytest.mark.parametrize(
    ("kind", "damage"),
    [(kind, damage) for kind in PACKERS for damage in (b"?", bytes(100))] + [("tar", bytes(512))],
)
def test_a_damaged_header_is_not_the_end(tmp_path, kind, damage):
    path = tmp_path / f"set.{kind}"
    path.write_bytes(PACKERS[kind](RAW[:SECOND] + damage + RAW[SECOND + len(damage) :]))
    with pytest.raises(ValueError, match="is damaged"):
        read(path)


@EVERY_TAR
@pytest.mark.parametrize(
    "one",
    [
        link("a/hard.png", "a/1.png", tarfile.LNKTYPE),
        link("a/soft.png", "../b/2.png", tarfile.SYMTYPE),
        link("c", "b", tarfile.SYMTYPE),
    ],
    ids=["hard", "soft", "folder"],
)
def test_a_link_in_a_tar_is_refused_by_name(tmp_path, kind, one):
    """Left out in silence it would be an image less, or a class less and other numbers for the rest."""
    path = tmp_path / f"set.{kind}"
    path.write_bytes(PACKERS[kind](tarred(*FILES.items(), one)))
    with pytest.raises(ValueError, match=f"holds a link, {one.name}: links are followed in folders only. Unpack it"):
        read(path)


def test_a_link_in_a_zip_is_refused_and_one_beside_the_path_does_not_matter(tmp_path):
    path = tmp_path / "set.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in FILES.items():
            archive.writestr(f"train/{name}", content)
        info = zipfile.ZipInfo("test/bee")
        info.create_system, info.external_attr = 3, 0o120777 << 16
        archive.writestr(info, "../pool/bee")
    with pytest.raises(ValueError, match="holds a link, test/bee"):
        read(path)
    assert read(path / "train") == FILES


def test_a_link_in_a_folder_that_leads_back_is_not_followed(tmp_path):
    as_folder(tmp_path, FILES)
    (tmp_path / "a" / "self").symlink_to(tmp_path / "a")
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    (tmp_path / "c").symlink_to(tmp_path / "b")
    assert set(read(tmp_path)) == {*FILES, "c/0.png", "c/1.png", "c/2.png"}


def test_a_sparse_file_in_a_tar_is_filled_up(tmp_path):
    content, hole = np.random.default_rng(0).bytes(512), bytes(1024)
    blocks = f"1\n{len(hole)}\n512\n".encode().ljust(512, b"\0") + content
    info = tarfile.TarInfo("GNUSparseFile/1.png")
    info.size = len(blocks)
    info.pax_headers = {
        "GNU.sparse.major": "1",
        "GNU.sparse.minor": "0",
        "GNU.sparse.name": "a/1.png",
        "GNU.sparse.realsize": str(512 + len(hole)),
    }
    with tarfile.open(tmp_path / "set.tar", "w", format=tarfile.PAX_FORMAT) as archive:
        archive.addfile(info, io.BytesIO(blocks))
    assert read(tmp_path / "set.tar") == {"a/1.png": hole + content}


@WRITERS
def test_a_class_without_images_is_refused_in_an_archive_too(tmp_path, write):
    image = png(random_picture(6, 8, 3))
    path = write(tmp_path / "set", {"a/1.png": image, "b/notes.txt": b"", "c/1.png": image})
    with pytest.raises(ValueError, match="expected images in every class folder; b has none"):
        ImageFolder(path)


def test_an_empty_folder_in_an_archive_is_a_class_too(tmp_path):
    (tmp_path / "set.tar").write_bytes(tarred(*FILES.items(), directory("c")))
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        for name, content in {**FILES, "c/": b""}.items():
            archive.writestr(name, content)
    for name in ("set.tar", "set.zip"):
        with pytest.raises(ValueError, match="c has none"):
            ImageFolder(tmp_path / name)


@WRITERS
def test_a_folder_around_the_classes_is_not_taken_for_the_only_class(tmp_path, write):
    image = png(random_picture(6, 8, 3))
    path = write(tmp_path / "set", {"set/a/1.png": image, "set/b/1.png": image})
    with pytest.raises(ValueError, match=rf"got a single one.*, the path is {path / 'set'}"):
        ImageFolder(path)
    assert ImageFolder(path / "set").classes == ("a", "b")


def test_absolute_names_are_read_as_they_would_be_unpacked(tmp_path):
    (tmp_path / "set.tar").write_bytes(tarred(*((f"/{name}", content) for name, content in FILES.items())))
    assert read(tmp_path / "set.tar") == FILES


def test_zip_files_of_windows_have_folders_as_well(tmp_path):
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        for name, content in FILES.items():
            info = zipfile.ZipInfo(name)
            info.filename = name.replace("/", "\\")
            archive.writestr(info, content)
    assert read(tmp_path / "set.zip") == FILES


def test_a_zip_file_is_known_by_its_beginning(tmp_path):
    path = as_zip(tmp_path / "set", FILES).rename(tmp_path / "set.tar")
    assert read(path) == FILES


def flipped(path):
    """In the middle of the last member."""
    content = bytearray(path.read_bytes())
    content[content.rindex(b"PK\3\4") + 300] ^= 1
    return content


def encrypted(path):
    """The flag alone, in the local and in the central header of each member."""
    content = bytearray(path.read_bytes())
    for mark, flags in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        for start in (i for i in range(len(content)) if content.startswith(mark, i)):
            content[start + flags] |= 1
    return content


@pytest.mark.parametrize(("damage", "words"), [(flipped, "Bad CRC-32|Error -3"), (encrypted, "is encrypted")])
def test_a_member_of_a_zip_file_that_cannot_be_read_is_named(tmp_path, damage, words):
    image = png(random_picture(20, 20, 3))
    path = as_zip(tmp_path / "set", {"a/1.png": image, "b/1.png": image})
    path.write_bytes(damage(path))
    source = ImageFolder(path, size=4) if damage is encrypted else ImageFolder(path)
    with pytest.raises(ValueError, match=rf"b/1\.png \(image 1\) cannot be decoded: .*({words})"):
        source.take([1])


def test_what_the_system_says_is_not_taken_for_damage(tmp_path, monkeypatch):
    def fail(path, *others):
        raise PermissionError(13, "Permission denied", str(path))

    path = as_zip(tmp_path / "set", FILES)
    monkeypatch.setattr("minidl.data.archive._beginning", fail)
    monkeypatch.setattr("minidl.data.archive._in_zip", fail)
    with pytest.raises(PermissionError):
        read(path)


@WRITERS
def test_it_can_be_sent_to_another_process(tmp_path, write):
    members = members_of(write(tmp_path / "set", FILES), lambda name: name.endswith(".png"))
    sent = pickle.loads(pickle.dumps(members))
    assert {name: sent.read(place) for name, place in sent.places.items()} == FILES


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no fork")
@WRITERS
def test_forked_processes_may_read_at_once(tmp_path, write):
    path = write(tmp_path / "set", FILES)
    members = members_of(path, lambda name: name.endswith(".png"))

    def all_well():
        return all(members.read(place) == FILES[name] for _ in range(100) for name, place in members.places.items())

    children = []
    for _ in range(3):
        child = os.fork()
        if child == 0:
            code = 1
            try:
                code = 0 if all_well() else 1
            finally:
                os._exit(code)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0, 0, 0]


def test_home_is_understood(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    as_folder(tmp_path / "set", {"a/1.png": png(random_picture(6, 8, 3))})
    assert ImageFolder(Path("~") / "set").path == tmp_path / "set"
