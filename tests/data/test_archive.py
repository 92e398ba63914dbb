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
from minidl.data import archive as archive_module
from minidl.data.archive import members_of
from tests.data.test_folder import as_folder, as_tar, as_zip, directory, png, random_picture
from tests.files.test_reading import needs_pipes

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
@pytest.mark.parametrize("damage", [b"?", bytes(100)])
def test_so_it_is_where_tarfile_does_not_ask_frombuf(tmp_path, monkeypatch, kind, damage):
    """As in Python's patch releases since issue 141707, which Ubuntu's 3.12.3 has taken over."""

    frombuf = tarfile.TarInfo.frombuf.__func__  # whatever a subclass has

    def fromtarfile(cls, archive):
        block = archive.fileobj.read(tarfile.BLOCKSIZE)
        info = frombuf(cls, block, archive.encoding, archive.errors)
        info.offset = archive.fileobj.tell() - tarfile.BLOCKSIZE
        return info._proc_member(archive)

    monkeypatch.setattr(tarfile.TarInfo, "fromtarfile", classmethod(fromtarfile))
    path = tmp_path / f"set.{kind}"
    path.write_bytes(PACKERS[kind](RAW))
    assert read(path) == FILES
    for content in (RAW[:SECOND] + damage + RAW[SECOND + len(damage) :], RAW[: SECOND + 300]):
        path.write_bytes(PACKERS[kind](content))
        with pytest.raises(ValueError, match="is damaged"):
            read(path)


@pytest.mark.parametrize("size", [-512, 2**40])
def test_a_header_of_any_size_takes_no_memory(tmp_path, size):
    """A negative one would read all there is."""
    info = tarfile.TarInfo("././@LongLink")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, size
    (tmp_path / "set.tar").write_bytes(info.tobuf(tarfile.GNU_FORMAT) + RAW)
    with pytest.raises(ValueError, match="is damaged"):
        read(tmp_path / "set.tar")


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


def sparse(name):
    """A tar of one file of 1.5 kB, of which the archive holds 512 bytes; the rest is a hole."""
    blocks = b"1\n1024\n512\n".ljust(512, b"\0") + np.random.default_rng(0).bytes(512)
    info = tarfile.TarInfo("GNUSparseFile/1")
    info.size = len(blocks)
    info.pax_headers = {
        "GNU.sparse.major": "1",
        "GNU.sparse.minor": "0",
        "GNU.sparse.name": name,
        "GNU.sparse.realsize": "1536",
    }
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        archive.addfile(info, io.BytesIO(blocks))
    return buffer.getvalue()


@EVERY_TAR
def test_a_sparse_file_in_a_tar_is_refused_unless_nobody_wants_it(tmp_path, kind):
    """Its holes can be of any size: three kilobytes were an image of gigabytes."""
    path = tmp_path / f"set.{kind}"
    path.write_bytes(PACKERS[kind](sparse("a/1.png")))
    with pytest.raises(
        ValueError, match=rf"set\.{kind} holds a/1\.png as a sparse file, .*Unpack it, and name the folder"
    ):
        read(path)
    path.write_bytes(PACKERS[kind](sparse("a/notes.txt")))
    assert read(path) == {}


@WRITERS
def test_a_file_of_more_bytes_than_a_bound_is_not_read(tmp_path, monkeypatch, write):
    path = write(tmp_path / "set", {**FILES, "c/large.png": bytes(701), "c/notes.txt": bytes(10_000)})
    monkeypatch.setattr(archive_module, "RATIO", 10_000)
    monkeypatch.setattr(archive_module, "MOST", 701)
    assert len(read(path)) == len(FILES) + 1
    monkeypatch.setattr(archive_module, "MOST", 700)
    with pytest.raises(ValueError, match=r"c/large\.png.* 701 bytes: (at most 700 are read|expected at most 700)"):
        read(path)


@pytest.mark.parametrize("kind", list(PACKERS)[1:])
def test_a_small_packed_tar_is_not_kept_beyond_a_bound(tmp_path, monkeypatch, kind):
    path = tmp_path / f"set.{kind}"
    path.write_bytes(PACKERS[kind](tarred(*((f"a/{i}.png", bytes(700)) for i in range(10)))))
    monkeypatch.setattr(archive_module, "RATIO", 0)
    monkeypatch.setattr(archive_module, "MOST", 7000)
    assert len(read(path)) == 10
    monkeypatch.setattr(archive_module, "MOST", 6999)
    with pytest.raises(ValueError, match=rf"set\.{kind} holds in its .* bytes images of more than 6,999\. Unpack it"):
        read(path)
    monkeypatch.setattr(archive_module, "RATIO", 100)  # an archive that is large itself may hold more
    assert len(read(path)) == 10


@EVERY_TAR
def test_a_header_of_more_bytes_than_a_bound_is_not_read(tmp_path, monkeypatch, kind):
    path, name = tmp_path / f"set.{kind}", f"a/{'long' * 500}.png"
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as archive:
        archive.addfile(tarfile.TarInfo(name))
    path.write_bytes(PACKERS[kind](buffer.getvalue()))
    assert read(path) == {name: b""}
    monkeypatch.setattr(archive_module, "HEADERS", 2000)
    with pytest.raises(ValueError, match=rf"set\.{kind} is damaged.*(a header of 2,0|more than 2,000 bytes)"):
        read(path)


def test_between_two_files_of_a_packed_tar_there_is_not_more_than_a_bound(tmp_path, monkeypatch):
    path = tmp_path / "set.tar.gz"
    path.write_bytes(gzip.compress(tarred(*FILES.items())))
    monkeypatch.setattr(archive_module, "HEADERS", -5000)  # one file and its header are less
    with pytest.raises(ValueError, match=r"set\.tar\.gz is damaged.*: there are more than .* bytes between two of its"):
        read(path)


@EVERY_TAR
def test_a_tar_whose_files_do_not_come_one_after_the_other_is_refused(tmp_path, monkeypatch, kind):
    """As one with a negative size would, which versions of Python read again and again."""
    path = tmp_path / f"set.{kind}"
    path.write_bytes(PACKERS[kind](tarred(*FILES.items())))
    advance = tarfile.TarFile.next

    def stay(archive):
        member = advance(archive)
        archive.offset = min(archive.offset, 1536)
        return member

    monkeypatch.setattr(tarfile.TarFile, "next", stay)
    with pytest.raises(ValueError, match=rf"set\.{kind} is damaged.*: .* ends before it begins"):
        read(path)


def test_a_file_in_a_tar_of_more_bytes_than_there_are_is_damage(tmp_path):
    info = tarfile.TarInfo("a/1.png")
    info.size = 2**62
    (tmp_path / "set.tar").write_bytes(info.tobuf(tarfile.GNU_FORMAT) + bytes(2048))
    with pytest.raises(ValueError, match=r"set\.tar is damaged.*: a/1\.png has 4,611,.* bytes, more than there are"):
        read(tmp_path / "set.tar")


@EVERY_TAR
def test_what_is_no_regular_file_in_a_tar_is_no_image(tmp_path, kind):
    info = tarfile.TarInfo("a/pipe.png")
    info.type = tarfile.FIFOTYPE
    path = tmp_path / f"set.{kind}"
    path.write_bytes(PACKERS[kind](tarred(*FILES.items(), info)))
    with pytest.raises(ValueError, match=rf"set\.{kind} holds a/pipe\.png, which is no regular file"):
        read(path)


@needs_pipes
def test_what_is_no_regular_file_in_a_folder_is_no_image(tmp_path):
    as_folder(tmp_path, {"a/1.png": png(random_picture(6, 8, 3))})
    os.mkfifo(tmp_path / "a" / "2.png")
    (tmp_path / "a" / "3.png").symlink_to("/dev/null")
    source = ImageFolder(tmp_path)
    for i, words in ((1, r"2\.png is a pipe"), (2, r"3\.png is a device")):
        with pytest.raises(ValueError, match=rf"\(image {i}\) cannot be decoded: .*{words}: expected a regular file"):
            source.take([i])


@pytest.mark.parametrize("name", ["cat/1.png", "cat/notes.txt", "other/cat/1.png"])
def test_a_flipped_bit_in_a_name_of_a_zips_directory_hides_no_image(tmp_path, name):
    path = as_zip(tmp_path / "set", {**FILES, "cat/1.png": b"1", "cat/notes.txt": b"2", "other/cat/1.png": b"3"})
    content = bytearray(path.read_bytes())
    content[content.rindex(name.encode()) + len(name) - 1] ^= 1
    path.write_bytes(content)
    for place in (path, path / "cat"):
        with pytest.raises(
            ValueError, match=r"set\.zip is damaged.*: its directory has '.*', where there is no file of"
        ):
            read(place)


def test_a_flipped_bit_in_a_name_that_stays_an_images_is_noticed_when_it_is_read(tmp_path):
    image = png(random_picture(6, 8, 3))
    path = as_zip(tmp_path / "set", {"cat/1.png": image, "cat/2.png": image})
    content = bytearray(path.read_bytes())
    content[content.rindex(b"cat/1.png")] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"bat/1\.png .*File name in directory"):
        ImageFolder(path)


def test_names_of_a_zip_in_other_letters_are_compared_rightly(tmp_path):
    files = {"ä/1.png": b"1", "ä/nötes.txt": b"2", "日/1.png": b"3", "日/本.txt": b"4"}
    assert read(as_zip(tmp_path / "set", files)) == {"ä/1.png": b"1", "日/1.png": b"3"}


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_lzma_in_a_zip_is_refused_and_other_methods_are_read(tmp_path, method):
    path = tmp_path / "set.zip"
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in FILES.items():
            archive.writestr(name, content)
    if method != zipfile.ZIP_LZMA:
        assert read(path) == FILES
        return
    with pytest.raises(ValueError, match=r"set\.zip holds a/0\.png, packed as zip's method 14\. Unpack it"):
        read(path)


@pytest.mark.parametrize("kind", ["w", "w:gz"])
def test_two_images_of_one_name_in_a_tar_are_refused(tmp_path, kind):
    path = tmp_path / ("set.tar" if kind == "w" else "set.tar.gz")
    with tarfile.open(path, kind) as archive:
        for name, content in (("a/1.png", b"one"), ("./a/1.png", b"other")):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    with pytest.raises(ValueError, match=r"set\.tar.* is damaged.*: two of its files are called a/1\.png"):
        read(path)


def test_two_images_of_one_name_in_a_zip_are_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        archive.writestr("a/1.png", b"one")
        archive.writestr("./a/1.png", b"other")
    with pytest.raises(ValueError, match=r"set\.zip is damaged.*: two of its files are called a/1\.png"):
        read(tmp_path / "set.zip")


@WRITERS
def test_too_little_memory_is_not_damage_and_is_told_with_the_file(tmp_path, monkeypatch, write):
    def full(*arguments):
        raise MemoryError

    path = write(tmp_path / "set", {"a/1.png": png(random_picture(6, 8, 3)), "b/2.png": png(random_picture(6, 8, 3))})
    source = ImageFolder(path)
    with monkeypatch.context() as patched:
        patched.setattr("PIL.Image.Image.convert", full)
        with pytest.raises(MemoryError) as caught:
            source.take([1])
    assert caught.value.__notes__ == [f"while {path / 'b/2.png'} was read, which takes 144 bytes"]


def test_what_pillow_calls_a_decoding_error_for_lack_of_memory_is_one(tmp_path, monkeypatch):
    def full(*arguments):
        raise OSError("out of memory when reading image file")

    source = ImageFolder(as_folder(tmp_path, {"a/1.png": png(random_picture(6, 8, 3))}))
    with monkeypatch.context() as patched:
        patched.setattr("PIL.Image.Image.convert", full)
        with pytest.raises(MemoryError, match="out of memory"):
            source.take([0])


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
