"""minidl/data/text.py: a text as numbers, and back."""

import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl as md
from minidl.data import characters
from tests.factory import examples
from tests.files.test_reading import needs_pipes

ANY_TEXT = st.text(st.characters(exclude_categories=()), min_size=2, max_size=60)


@examples(100)
@given(ANY_TEXT, st.data())
def test_each_label_is_the_character_after_its_input(text, data):
    length = data.draw(st.integers(1, len(text) - 1))
    dataset = characters(text, length)
    assert "".join(dataset.classes) == "".join(sorted(set(text)))
    assert dataset.inputs.dtype == dataset.labels.dtype == np.int64
    pieces = (len(text) - 1) // length
    assert dataset.inputs.shape == dataset.labels.shape == (pieces, length)
    for i in range(pieces):
        assert dataset.decode(dataset.inputs[i]) == text[i * length : (i + 1) * length]
        assert dataset.decode(dataset.labels[i]) == text[i * length + 1 : (i + 1) * length + 1]
    assert dataset.decode(dataset.encode(text)) == text


def test_numbers_are_places_in_the_vocabulary():
    dataset = characters("hello world", 10)
    assert "".join(dataset.classes) == " dehlorw"
    assert dataset.encode("hold").tolist() == [3, 5, 4, 1]
    assert dataset.decode([3, 5, 4, 1]) == "hold"
    assert dataset.encode("").shape == (0,)
    assert dataset.decode(np.zeros(0, int)) == ""


def test_another_text_in_the_same_vocabulary():
    train = characters("hello world", 4)
    test = characters("hold", 3, vocabulary=train.classes)
    assert test.classes == train.classes
    assert test.inputs.tolist() == [[3, 5, 4]]
    assert characters("abba", 3, vocabulary="ba").inputs.tolist() == [[1, 0, 0]]  # the order is the caller's


def test_it_is_a_dataset():
    dataset = characters("hello world, hello", 4)
    assert isinstance(dataset, md.data.Dataset)
    inputs, labels = next(iter(md.data.Loader(dataset, batch_size=2)))
    assert inputs.shape == labels.shape == (2, 4)
    first, rest = dataset.split(1, 3)
    assert first.decode(first.inputs[0]) in {"hell", "o wo", "rld,", " hel"}
    assert len(rest) == 3


def test_inputs_and_labels_share_no_memory():
    dataset = characters("hello world", 2)
    assert not np.shares_memory(dataset.inputs, dataset.labels)


def test_a_path_is_read_as_utf8(tmp_path):
    path = tmp_path / "text.txt"
    path.write_bytes("\ufeffGrüße,\r\n€".encode())
    dataset = characters(path, 7)
    assert dataset.decode(dataset.inputs[0]) == "Grüße,\n"
    assert dataset.decode(dataset.labels[0]) == "rüße,\n€"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ValueError, match=r"text\.txt is not a text in UTF-8"):
        characters(path, 1)
    with pytest.raises(FileNotFoundError):
        characters(tmp_path / "none.txt", 1)


@pytest.mark.parametrize("content", [b"", b"\xef\xbb\xbf", b"abc"], ids=["empty", "a mark alone", "short"])
def test_a_file_of_too_short_a_text_is_named(tmp_path, content):
    (tmp_path / "text.txt").write_bytes(content)
    with pytest.raises(ValueError, match=r"text\.txt: expected a text of more than 3 characters; it has [03]$"):
        characters(tmp_path / "text.txt", 3)


def test_a_file_with_unknown_characters_is_named(tmp_path):
    (tmp_path / "text.txt").write_text("hello")
    with pytest.raises(ValueError, match=r"text\.txt: 1 not in the vocabulary: 'h'"):
        characters(tmp_path / "text.txt", 3, vocabulary="elo")


@needs_pipes
def test_a_pipe_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ValueError, match="pipe is a pipe: expected a regular file"):
        characters(tmp_path / "pipe", 3)


def test_unknown_characters_are_named():
    dataset = characters("hello", 2)
    with pytest.raises(ValueError, match=r"2 not in the vocabulary: 'a' \(first at 1\), 'ü' \(first at 3\)$"):
        dataset.encode("halü")
    with pytest.raises(ValueError, match=r"26 not in the vocabulary: .*'J' \(first at 9\), \.\.\.$"):
        characters("ABCDEFGHIJKLMNOPQRSTUVWXYZ", 2, vocabulary="abc")


@pytest.mark.parametrize("numbers", [[0, 4], [-1], [[0]], 0, [1.0]])
def test_only_rows_of_numbers_in_the_vocabulary_are_decoded(numbers):
    with pytest.raises(ValueError, match="expected a row of numbers from 0 to 3"):
        characters("hello", 2).decode(numbers)


@pytest.mark.parametrize("vocabulary", ["aab", ["ab", "c"], [1, 2], [""]])
def test_a_vocabulary_is_of_single_different_characters(vocabulary):
    with pytest.raises(ValueError, match="single, different characters"):
        characters("aab", 1, vocabulary=vocabulary)


def test_a_text_must_fill_one_piece():
    with pytest.raises(ValueError, match=r"expected a text of more than 5 characters; it has 5$"):
        characters("hello", 5)
    with pytest.raises(ValueError, match=r"it has 150$"):
        characters("\N{GRINNING FACE}" * 150, 150)  # more bytes than the name of a file can have
    for length in (0, 1.0, True):
        with pytest.raises(ValueError, match="expected a length of at least 1"):
            characters("hello", length)


@pytest.mark.parametrize("length", [2, 30])
def test_the_name_of_a_file_is_not_taken_for_a_text(tmp_path, monkeypatch, length):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.txt").write_text("hello")
    with pytest.raises(ValueError, match=r"'a\.txt' is a file: to read a file, pass its Path"):
        characters("a.txt", length)


@pytest.mark.parametrize("text", [b"hello", None, ["h", "i"]])
def test_what_is_no_text_is_refused(text):
    with pytest.raises(TypeError, match="expected a text, a str, or a file of text, a Path; got "):
        characters(text, 2)


def test_the_name_of_a_file_that_is_not_there_is_not_taken_for_a_text():
    with pytest.raises(ValueError, match=r"'shakespeare\.txt' looks like the name of a file, .*: to read a file, pass"):
        characters("shakespeare.txt", 12)
    assert len(characters("I read it in a.txt", 6)) == 2  # a sentence about one
