"""figures/reproduction: the page is what the committed results make, and nothing else is said there."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import figures.reproduction
from figures.reproduction.__main__ import collected_in, main, remarks_in
from minidl.experiments.reproduce.collected import load
from minidl.experiments.reproduce.grids import not_at_their_best
from minidl.experiments.reproduce.page import as_markdown
from minidl.experiments.reproduce.report import QUESTION, pictures_of, report
from tests.experiments.reproduce.factory import write_runs

HERE = Path(figures.reproduction.__file__).parent


@pytest.fixture(scope="module")
def blocks():
    return report([load(path) for path in collected_in(HERE)], remarks_in(HERE))


def test_the_page_is_made_of_the_results_beside_it(blocks):
    assert (HERE / "README.md").read_text(encoding="utf-8") == as_markdown(blocks)


def test_every_picture_is_there_and_no_other(blocks):
    assert {path.stem for path in HERE.glob("*.png")} == {picture.name for picture in pictures_of(blocks)}


def test_all_is_small():
    for path in collected_in(HERE):
        assert path.stat().st_size < 1_000_000
    for path in HERE.glob("*.png"):
        assert path.stat().st_size < 200_000


def test_results_are_collected_and_told(tmp_path, capsys):
    write_runs(tmp_path / "run", "missing arms", seeds=1)
    (tmp_path / "report").mkdir()
    gone = "mnist-quick-curves-adagrad"  # of a run that is told of no longer
    (tmp_path / "report" / "README.md").write_text(f"# {QUESTION}\n\n![MNIST]({gone}.png)\n")
    for name in (f"{gone}.png", f"{gone}.json", f"{gone}-1.svg", "my-holiday.png", "resnet-paper-time.png"):
        (tmp_path / "report" / name).write_bytes(b"")
    assert main(["--collect", str(tmp_path / "run"), "--out", str(tmp_path / "report")]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("mnist-quick.json: 2 runs, 0 missing, 0 failed, 0 damaged\n")
    names = {path.name for path in (tmp_path / "report").iterdir()}
    assert {"README.md", "mnist-quick.json", "mnist-quick-ends.png"} <= names
    assert not any(name.endswith(".svg") or "adagrad" in name for name in names)
    assert {"my-holiday.png", "resnet-paper-time.png"} <= names


def collected_into(out, *words):
    """The ids of the runs that the command leaves in mnist-quick.json."""
    assert main(["--collect", *map(str, words), "--out", str(out)]) == 0
    return {run["id"] for run in load(out / "mnist-quick.json")["runs"]}


def test_results_are_added_to_those_that_are_there(tmp_path):
    first = {*write_runs(tmp_path / "a", "missing arms", seeds=1)}
    second = {*write_runs(tmp_path / "b", "missing arms", seeds=2, missing=first)}
    third = {*write_runs(tmp_path / "c", "missing arms", seeds=1, methods=("nesterov",))}
    assert collected_into(tmp_path, tmp_path / "a") == first
    assert collected_into(tmp_path, tmp_path / "b") == second
    assert collected_into(tmp_path, tmp_path / "c") == second | third
    (tmp_path / "at once").mkdir()
    assert collected_into(tmp_path / "at once", *(tmp_path / name for name in "abc")) == second | third
    assert collected_into(tmp_path, tmp_path / "a", "--anew") == first


def test_a_folder_of_something_else_or_of_other_settings_is_refused_and_nothing_changed(tmp_path, capsys):
    write_runs(tmp_path / "a", "missing arms", seeds=1)
    write_runs(tmp_path / "b", "missing arms", seeds=1)
    (tmp_path / "out").mkdir()
    plan = tmp_path / "b" / "plan.json"
    plan.write_text(plan.read_text().replace('"iterations": 1000, "seeds"', '"iterations": 70, "seeds"'))
    for folders, said in (
        (["a", "nothing"], "expected the folder of a reproduction"),
        (["a", "b"], "b cannot be added: expected two parts of one reproduction, mnist at the scale quick; got iter"),
    ):
        with pytest.raises(SystemExit):
            main(["--collect", *(str(tmp_path / name) for name in folders), "--out", str(tmp_path / "out")])
        assert said in capsys.readouterr().err
        assert list((tmp_path / "out").iterdir()) == []


def refused(capsys, *words):
    """What is said of a command that is refused, in one line beside how the command is used."""
    with pytest.raises(SystemExit) as caught:
        main([*map(str, words)])
    assert caught.value.code == 2
    [said] = [line for line in capsys.readouterr().err.splitlines() if "error: " in line]
    return said


@pytest.mark.parametrize("content", ["", "{", "[]", '{"format": 1}', b"\xff"])
def test_a_damaged_file_of_collected_results_is_named_with_what_to_do_and_nothing_changed(tmp_path, capsys, content):
    write_runs(tmp_path / "a", "missing arms", seeds=1)
    write_runs(tmp_path / "b", "missing arms", seeds=1, recipe="digits")
    out = tmp_path / "out"
    out.mkdir()
    path = out / "mnist-quick.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    for words in ([], ["--collect", tmp_path / "a"], ["--collect", tmp_path / "b"]):
        said = refused(capsys, *words, "--out", out)
        assert f"{path} is damaged: " in said
        assert said.endswith("Put back the file that was committed, or make it with --collect OUT --anew")
        assert list(out.iterdir()) == [path]
    assert main(["--collect", str(tmp_path / "a"), "--anew", "--out", str(out)]) == 0


def test_a_damaged_run_in_a_file_of_collected_results_is_named(tmp_path, capsys):
    write_runs(tmp_path / "a", "missing arms", seeds=1)
    (tmp_path / "out").mkdir()
    collected_into(tmp_path / "out", tmp_path / "a")
    path = tmp_path / "out" / "mnist-quick.json"
    whole = json.loads(path.read_text(encoding="utf-8"))
    for name in whole["runs"][0].keys() - {"flow"}:
        damaged = json.loads(json.dumps(whole))
        del damaged["runs"][0][name]
        path.write_text(json.dumps(damaged), encoding="utf-8")
        capsys.readouterr()
        assert f"{path} is damaged: " in refused(capsys, "--out", tmp_path / "out")


def test_a_folder_that_is_not_there_is_not_made_and_one_without_results_not_reported(tmp_path, capsys):
    write_runs(tmp_path / "a", "missing arms", seeds=1)
    for words in ([], ["--collect", tmp_path / "a"]):
        assert f"{tmp_path / 'typo'} is no folder: make it" in refused(capsys, *words, "--out", tmp_path / "typo")
    (tmp_path / "empty").mkdir()
    assert "empty holds no collected results" in refused(capsys, "--out", tmp_path / "empty")
    assert list((tmp_path / "empty").iterdir()) == []
    (tmp_path / "a" / "plan.json").write_text("{", encoding="utf-8")
    (tmp_path / "a" / "runs").rename(tmp_path / "runs")
    assert "its plan.json is damaged, and it has no" in refused(capsys, "--collect", tmp_path / "a", "--out", tmp_path)
    for nothing in (tmp_path / "typo", tmp_path / "empty", tmp_path / "a" / "plan.json"):
        said = refused(capsys, "--collect", nothing, "--out", tmp_path / "empty")
        assert f"expected the folder of a reproduction, with plan.json and runs/; got {nothing}" in said


def test_it_says_what_it_is_for():
    done = subprocess.run([sys.executable, "-m", "figures.reproduction", "--help"], capture_output=True, text=True,
                          check=False, cwd=HERE.parents[1])  # fmt: skip
    assert done.returncode == 0
    assert "--collect OUT" in done.stdout


def test_another_readme_is_not_written_over(tmp_path, capsys):
    write_runs(tmp_path / "run", "missing arms", seeds=1)
    (tmp_path / "README.md").write_text("# My holiday\n")
    said = refused(capsys, "--collect", tmp_path / "run", "--out", tmp_path)
    assert f"{tmp_path / 'README.md'} is no report of a reproduction, and would be written over" in said
    assert (tmp_path / "README.md").read_text() == "# My holiday\n"
    assert not list(tmp_path.glob("*.json"))


def test_notes_that_quote_the_question_are_not_a_report(tmp_path, capsys):
    write_runs(tmp_path / "run", "missing arms", seeds=1)
    (tmp_path / "report").mkdir()
    words = ["--collect", str(tmp_path / "run"), "--out", str(tmp_path / "report"), "--page"]
    assert main(words) == 0
    assert main(words) == 0  # its own it writes over
    for name, opening in (
        ("README.md", f"# Notes\n\n## {QUESTION}\n"),
        ("index.html", f"<p>{QUESTION}</p>"),
        ("findings.json", '[{"day": 1}]'),
    ):
        own = (tmp_path / "report" / name).read_bytes()
        (tmp_path / "report" / name).write_text(opening)
        assert "is no report of a reproduction" in refused(capsys, *words)
        (tmp_path / "report" / name).write_bytes(own)


def test_a_picture_of_somebody_else_is_not_written_over(tmp_path, capsys):
    write_runs(tmp_path / "run", "missing arms", seeds=1)
    (tmp_path / "report").mkdir()
    theirs = tmp_path / "report" / "mnist-quick-ends.png"
    theirs.write_bytes(b"mine")
    said = refused(capsys, "--collect", tmp_path / "run", "--out", tmp_path / "report")
    assert "mnist-quick-ends.png there, but of no report: move that away" in said
    assert [path.name for path in theirs.parent.iterdir()] == ["mnist-quick-ends.png"]
    assert theirs.read_bytes() == b"mine"


def test_what_a_remark_shows_is_not_removed(tmp_path):
    write_runs(tmp_path / "run", "missing arms", seeds=1)
    report = tmp_path / "report"
    report.mkdir()
    (report / "remarks.txt").write_text(
        "Before:\n\n![Our setup](photo.png)\n\n![all](mnist-quick.png)\n\n![seen](mnist-quick-ends-seen.png)\n"
    )
    for name in ("photo.png", "mnist-quick-ends-seen.png"):
        (report / name).write_bytes(b"mine")
    words = ["--collect", str(tmp_path / "run"), "--out", str(report)]
    assert main(words) == main(words) == main(words[2:]) == 0
    assert (report / "photo.png").read_bytes() == (report / "mnist-quick-ends-seen.png").read_bytes() == b"mine"
    assert (report / "mnist-quick.json").exists()


def test_a_report_that_was_lost_is_made_again(tmp_path):
    write_runs(tmp_path / "run", "missing arms", seeds=1)
    (tmp_path / "report").mkdir()
    words = ["--collect", str(tmp_path / "run"), "--out", str(tmp_path / "report")]
    assert main(words) == 0
    (tmp_path / "report" / "README.md").unlink()
    assert main(words[2:]) == 0
    with (tmp_path / "report" / "README.md").open("ab") as page:
        page.write(b"\ncaf\xe9\n")
    assert main(words[2:]) == 0


def test_anew_without_folders_is_refused(tmp_path, capsys):
    assert "give the folders too, --collect OUT" in refused(capsys, "--anew", "--out", tmp_path)


def test_a_file_under_another_experiments_name_is_refused(tmp_path, capsys):
    """It would count twice."""
    write_runs(tmp_path / "run", "missing arms", seeds=1)
    (tmp_path / "report").mkdir()
    assert main(["--collect", str(tmp_path / "run"), "--out", str(tmp_path / "report")]) == 0
    capsys.readouterr()
    shutil.copy(tmp_path / "report" / "mnist-quick.json", tmp_path / "report" / "cifar10-quick-quick.json")
    assert "holds mnist, quick, which belong into mnist-quick.json: move it away" in refused(
        capsys, "--out", tmp_path / "report"
    )


def test_results_that_are_left_out_are_named(tmp_path, capsys):
    names = write_runs(tmp_path / "run", "missing arms", seeds=1)
    (tmp_path / "run" / "runs" / names[0] / "result.json").write_text("{")
    (tmp_path / "report").mkdir()
    assert main(["--collect", str(tmp_path / "run"), "--out", str(tmp_path / "report")]) == 1
    assert f"{names[0]} is left out: result.json is no strict JSON" in capsys.readouterr().err
    assert (tmp_path / "report" / "README.md").exists()


def test_a_damaged_result_takes_no_good_ones_place(tmp_path, capsys):
    """What is collected already stays, and that the new one is damaged is said."""
    names = write_runs(tmp_path / "run", "missing arms", seeds=1)
    (tmp_path / "report").mkdir()
    words = ["--collect", str(tmp_path / "run"), "--out", str(tmp_path / "report")]
    assert main(words) == 0
    before = load(tmp_path / "report" / "mnist-quick.json")
    path = tmp_path / "run" / "runs" / names[0] / "result.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "mean_multiplier": "x"}))
    assert main(words) == 1
    assert "mean_multiplier: expected a number or null; got 'x'" in capsys.readouterr().err
    assert load(tmp_path / "report" / "mnist-quick.json")["runs"] == before["runs"]


def test_a_folder_that_says_nothing_of_its_experiment_is_refused(tmp_path, capsys):
    (tmp_path / "run" / "runs").mkdir(parents=True)
    said = refused(capsys, "--collect", tmp_path / "run", "--out", tmp_path)
    assert "neither a plan nor a result in it says which experiment it is" in said
    assert not list(tmp_path.glob("*.json"))


def test_a_reader_who_has_seen_enough_does_not_stop_it(tmp_path):
    """As `| head -1` does: what it prints then goes nowhere, and the page is written."""
    write_runs(tmp_path / "run", "missing arms", seeds=1)
    (tmp_path / "report").mkdir()
    reading, writing = os.pipe()
    os.close(reading)
    words = ["-m", "figures.reproduction", "--collect", tmp_path / "run", "--out", tmp_path / "report"]
    done = subprocess.run([sys.executable, *words], stdout=writing, stderr=subprocess.PIPE, text=True, check=False,
                          cwd=HERE.parents[1])  # fmt: skip
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "report" / "README.md").exists()


def test_remarks_are_paragraphs_and_may_be_missing(tmp_path):
    assert remarks_in(tmp_path) == []
    (tmp_path / "remarks.txt").write_text("Broken\nin two.\n\nAnother.\n", encoding="utf-8")
    assert remarks_in(tmp_path) == ["Broken in two.", "Another."]
    assert remarks_in(HERE)[0].startswith("The rules were written before")


def test_remarks_that_cannot_be_read_are_named_before_anything_is_written(tmp_path, capsys):
    write_runs(tmp_path / "run", "missing arms", seeds=1)
    out = tmp_path / "out"
    (out / "remarks.txt").mkdir(parents=True)
    for _ in range(2):
        said = refused(capsys, "--collect", tmp_path / "run", "--out", out)
        assert f"{out / 'remarks.txt'} could not be read as a text in UTF-8" in said
        assert [path.name for path in out.iterdir()] == ["remarks.txt"]
        if (out / "remarks.txt").is_dir():
            (out / "remarks.txt").rmdir()
        (out / "remarks.txt").write_bytes(b"caf\xe9")


def test_every_tuned_run_is_at_the_best_rate_of_its_grid():
    assert {path.name: not_at_their_best(load(path)) for path in collected_in(HERE)} == {
        path.name: {} for path in collected_in(HERE)
    }
