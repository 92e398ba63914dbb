"""The commands as a user calls them: help that teaches, errors in one line, results in one folder."""

import pytest

from minidl import backend
from minidl.cli import build_parser, main
from minidl.files.arrays import load_arrays, save_arrays

QUICK = ["compare", "--lr", "0.5", "--epochs", "1", "--rates", "uniform,layer-specific", "--seeds", "1"]


@pytest.fixture(scope="module")
def quick(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cli") / "run"
    assert main([*QUICK, "--backend", backend.current(), "--out", str(folder), "--quiet"]) == 0
    return folder


@pytest.mark.parametrize("arguments", [["--help"], ["compare", "--help"], ["plot", "--help"]])
def test_help_teaches_with_examples(arguments, capsys):
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 0
    assert "minidl compare" in capsys.readouterr().out or arguments[0] == "plot"


def test_without_a_command_it_says_what_there_is(capsys):
    assert main([]) == 2
    assert "minidl compare" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--methods", "lion"], "--methods: unknown 'lion'; choose from sgd"),
        (["--rates", "constant"], "add layer-specific"),
        (["--lr", "0.5", "--rates", "uniform,uniform-tuned"], "leave out one of the two"),
        (["--lr", "-1"], "expected a positive number"),
        (["--epochs", "0"], "--epochs: expected a whole number of at least 1"),
        (["--seeds", "0"], "--seeds"),
        (["--backend", "tpu"], "numpy, cupy"),
    ],
)
def test_a_wrong_call_is_one_line_on_stderr(arguments, words, capsys, tmp_path):
    assert main(["compare", *arguments, "--out", str(tmp_path / "run")]) == 2
    captured = capsys.readouterr()
    assert words in captured.err
    assert captured.err.startswith("minidl compare: ")
    assert captured.err.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_quiet_prints_the_verdict_and_the_folder_only(capsys, tmp_path):
    assert main([*QUICK, "--backend", backend.current(), "--out", str(tmp_path / "r"), "--quiet"]) == 0
    captured = capsys.readouterr()
    lines = captured.out.strip().split("\n")
    assert lines[0].startswith("Verdict. sgd: undecided. No arm learned the task within the budget")
    assert lines[-1].startswith("Report: ")
    assert captured.err == ""


def test_calling_it_again_finds_the_finished_runs(quick, capsys):
    before = {p: p.stat().st_mtime_ns for p in (quick / "runs").iterdir()}
    assert main([*QUICK, "--backend", backend.current(), "--out", str(quick), "--quiet"]) == 0
    assert {p: p.stat().st_mtime_ns for p in (quick / "runs").iterdir()} == before


@pytest.mark.parametrize("change", ["missing", "another shape"])
def test_a_recording_of_another_version_is_one_line_that_names_the_file(quick, capsys, tmp_path, change):
    arrays, _ = load_arrays(quick / "race-sgd.npz", kind="race")
    seconds = arrays.pop("seconds")
    if change == "another shape":
        arrays["seconds"] = seconds[..., :1]
    save_arrays(tmp_path / "race.npz", arrays, kind="race")
    assert main(["plot", str(tmp_path / "race.npz"), "race"]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"minidl plot: {tmp_path / 'race.npz'} cannot be read as a race: ")
    assert "'seconds'" in error
    assert error.count("\n") == 1


def test_plot_draws_again_from_a_recording(quick, capsys, tmp_path):
    recording = quick / "flow-sgd-uniform.npz"
    assert main(["plot", str(recording), "flow_profile", "--out", str(tmp_path / "profile.png")]) == 0
    assert (tmp_path / "profile.png").exists()
    assert "decades" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("recording", "figure", "words"),
    [
        ("flow-sgd-uniform.npz", "pie_chart", "flow_profile"),
        ("flow-sgd-uniform.npz", "race", "flow-sgd-uniform.npz"),
        ("nothing.npz", "race", "nothing.npz"),
        ("results.json", "race", "results.json"),
    ],
)
def test_plot_says_what_it_cannot_draw(quick, recording, figure, words, capsys):
    assert main(["plot", str(quick / recording), figure]) == 2
    assert words in capsys.readouterr().err


def test_the_report_names_the_command_that_repeats_it(quick):
    page = (quick / "report.html").read_text()
    assert "minidl compare --model mlp --methods sgd --rates uniform,layer-specific --seeds 1 --epochs 1" in page


def test_paths_may_begin_in_the_home_of_the_user_and_must_not_be_empty(monkeypatch, tmp_path, capsys):
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(tmp_path))
    for command in (["compare", "--out=~/run"], ["mnist", "--out=~/run", "--data=~/run"], ["plot", "~/run", "race"]):
        options = build_parser().parse_args(command)
        found = {getattr(options, "out", None), getattr(options, "data", None), *getattr(options, "recordings", [])}
        assert found - {None} == {tmp_path / "run"}
    with pytest.raises(SystemExit):
        build_parser().parse_args(["mnist", "--out", ""])
    assert "argument --out: expected the path of a file or folder; got ''" in capsys.readouterr().err
