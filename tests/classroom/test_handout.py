"""Files are written all or none, and answers are not written over."""

from __future__ import annotations

from pathlib import Path

import pytest

from minidl.classroom.handout import pages_of, title_of, written

FILES = {"a.txt": "one\n", "pages/b.html": b"<p>"}


def test_files_are_written_with_their_folders(tmp_path: Path) -> None:
    paths = written(FILES, tmp_path / "new")
    assert [path.read_bytes() for path in paths] == [b"one\n", b"<p>"]


def test_the_same_again_is_no_error_but_answers_are_not_written_over(tmp_path: Path) -> None:
    written(FILES, tmp_path)
    written(FILES, tmp_path)
    (tmp_path / "a.txt").write_text("my answer")
    (tmp_path / "pages" / "b.html").unlink()
    with pytest.raises(FileExistsError, match=r"holds other files of these names, perhaps answers: a\.txt\. Choose"):
        written(FILES, tmp_path)
    assert (tmp_path / "a.txt").read_text() == "my answer"
    assert not (tmp_path / "pages" / "b.html").exists()
    written(FILES, tmp_path, force=True)
    assert (tmp_path / "a.txt").read_text() == "one\n"


def test_many_are_counted(tmp_path: Path) -> None:
    files = {f"{i}.txt": "x" for i in range(6)}
    for name in files:
        (tmp_path / name).write_text("y")
    with pytest.raises(FileExistsError, match=r"0\.txt, 1\.txt, 2\.txt and 3 more"):
        written(files, tmp_path)


def test_the_title_and_the_pages_of_a_tutorial(tmp_path: Path) -> None:
    assert title_of("# %% [markdown]\n# # 03. Tensors, backwards\n") == "Tensors, backwards"
    (tmp_path / "pages").mkdir()
    for name in ("03_a.html", "04_b.html"):
        (tmp_path / "pages" / name).write_text(name)
    assert pages_of("03_tensors", tmp_path / "03_tensors.py") == {"pages/03_a.html": b"03_a.html"}
