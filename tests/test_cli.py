"""The commands as a user calls them: help that teaches, errors in one line, results in one folder."""

import io
import os
import shutil
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout, suppress
from pathlib import Path

import pytest

from minidl import backend, cli
from minidl.cli import build_parser, main
from minidl.experiments.settings import Settings
from minidl.experiments.workers import ENDED
from minidl.files.arrays import load_arrays, save_arrays

QUICK = ["compare", "--lr", "0.5", "--epochs", "1", "--rates", "uniform,layer-specific", "--seeds", "1"]


@pytest.fixture(scope="module")
def said(tmp_path_factory):
    """(folder, stdout, stderr) of one comparison called with --quiet, at which many tests look."""
    folder = tmp_path_factory.mktemp("cli") / "run"
    with redirect_stdout(io.StringIO()) as output, redirect_stderr(io.StringIO()) as error:
        assert main([*QUICK, "--backend", backend.current(), "--out", str(folder), "--quiet"]) == 0
    return folder, output.getvalue(), error.getvalue()


@pytest.fixture(scope="module")
def quick(said):
    return said[0]


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
        (["--rates", ","], "--rates: expected at least one of uniform, "),
        (["--lr", "0.5", "--rates", "uniform,uniform-tuned"], "leave out one of the two"),
        (["--lr", "-1"], "expected a positive number"),
        (["--epochs", "0"], "--epochs: expected a whole number of at least 1"),
        (["--seeds", "0"], "--seeds"),
        (["--seeds", "99999999999"], "--seeds: expected at most 10000; got 99999999999"),
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


def test_quiet_prints_the_verdict_and_the_folder_only(said):
    _, output, error = said
    lines = output.strip().split("\n")
    assert lines[0] == "Does a rate for each layer help this network?"
    assert lines[1].startswith("sgd: No answer. No arm learned the task within the budget")
    assert lines[-1].startswith("Report: ")
    assert error == ""


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


@pytest.mark.parametrize("out", [".", "..", "folder"])
def test_plot_refuses_a_folder_as_its_output_before_any_work(monkeypatch, capsys, tmp_path, out):
    (tmp_path / "folder").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cli.plot, "draw", lambda *arguments: pytest.fail("it was drawn"))
    assert main(["plot", "race.npz", "race", "--out", out]) == 2
    assert "This is a folder; name the figure in it" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


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


# ---- output that is closed, full, or of few letters; names that are no text


def shell(command, *arguments, **environment):
    """What a shell makes of `command`, in which "$@" is `minidl` with its arguments: (status, stdout, stderr)."""
    variables = {name: value for name, value in os.environ.items() if name != "MINIDL_BACKEND"} | environment
    words = [sys.executable, "-m", "minidl", *arguments]
    done = subprocess.run(["bash", "-c", command, "bash", *words], capture_output=True, env=variables, timeout=100)
    return done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")


needs_bash = pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not there")
SMALL = ["compare", "--lr", "0.5", "--epochs", "1", "--rates", "uniform", "--seeds", "1"]


@needs_bash
@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-", "2>&1 | true; exit ${PIPESTATUS[0]}"])
def test_a_comparison_is_finished_with_its_output_closed(tmp_path, closed):
    status, _, error = shell(f'"$@" {closed}', *SMALL, "--out", str(tmp_path / "run"))
    assert (status, error) == (0, "") or closed == ">&-"
    assert "Traceback" not in error
    assert (tmp_path / "run" / "report.html").exists()


@needs_bash
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_output_that_is_lost_on_a_full_disk_is_said_to_be(tmp_path):
    status, _, error = shell('"$@" > /dev/full', *SMALL, "--quiet", "--out", str(tmp_path / "run"))
    assert status == 1
    assert error == "minidl: what was printed is lost: [Errno 28] No space left on device\n"
    assert (tmp_path / "run" / "report.html").exists()


@needs_bash
def test_a_terminal_of_few_letters_gets_the_results_with_backslashes(tmp_path):
    status, output, error = shell('"$@"', *SMALL, "--out", str(tmp_path / "r\u00fcn"), PYTHONIOENCODING="ascii")
    assert (status, "Traceback" in error) == (0, False)
    assert r"r\xfcn" in output


@needs_bash
@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a file name is always text")
def test_a_folder_whose_name_is_no_text_gets_a_whole_report(tmp_path):
    name = os.fsdecode(os.fsencode(tmp_path) + b"/run\xff\x1b[31m")
    status, output, _ = shell('"$@"', *SMALL, "--out", name)
    assert status == 0
    assert r"run\udcff\x1b[31m/report.html" in output
    page = (Path(name) / "report.html").read_text(encoding="utf-8")
    assert r"run\udcff\x1b[31m" in page
    assert "\x1b" not in page


@pytest.mark.parametrize(
    "arguments",
    [
        ["mnist", "--data", "\x1b[31mred", "--out", "x"],
        ["compare", "--out", "\x1b[31mfile"],
        ["compare", "\x1b[31m"],
        ["plot", "\x1b[31m.npz", "race"],
        ["plot", "\x1b[31mfile", "race"],
    ],
)
def test_control_characters_of_an_argument_do_not_reach_the_terminal(arguments, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "\x1b[31mfile").write_text("something else")
    with suppress(SystemExit):  # argparse's
        assert main(arguments) == 2
    captured = capsys.readouterr()
    assert r"\x1b[31m" in captured.err
    assert "\x1b" not in captured.out + captured.err


# ---- what the system ends, folders by default


def test_a_process_that_the_system_ended_is_said_with_how_to_go_on(tmp_path, monkeypatch, capsys):
    def ended(*arguments, **options):
        raise ChildProcessError(ENDED)

    monkeypatch.setattr(cli, "run_comparison", ended)
    assert main([*QUICK, "--out", str(tmp_path / "run")]) == 1
    error = capsys.readouterr().err
    assert error.startswith("minidl compare: a process was ended by the system (too little memory?); the finished runs")
    assert "To go on: minidl compare --model mlp" in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("raised", "status", "words"),
    [
        (MemoryError(), 2, "minidl plot: there is too little memory\n"),
        (MemoryError("big.npz needs 7 GB"), 2, "minidl plot: big.npz needs 7 GB\n"),
        (FloatingPointError("loss became nan"), 2, "minidl plot: loss became nan\n"),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_no_command_ends_in_a_traceback(raised, status, words, monkeypatch, capsys):
    def fail(*arguments):
        raise raised

    monkeypatch.setattr(cli.plot, "draw", fail)
    assert main(["plot", "run.npz", "race"]) == status
    assert capsys.readouterr().err == words


def test_two_runs_of_one_second_have_two_folders(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cli.time, "strftime", lambda form: form.replace("%Y%m%d-%H%M%S", "now"))
    names = [cli.new_folder("compare").as_posix() for _ in range(3)]
    assert names == ["runs/compare-now", "runs/compare-now-2", "runs/compare-now-3"]
    assert cli.new_folder("mnist").as_posix() == "runs/mnist-now"


def test_without_the_images_mnist_leaves_no_folder_behind(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["mnist", "--data", str(tmp_path)]) == 2
    assert list(tmp_path.iterdir()) == []
    assert f"--data {tmp_path} --download" in capsys.readouterr().err


def test_the_command_that_repeats_a_comparison_has_its_exact_rate(tmp_path):
    settings = Settings(lr=0.123456789, arms=("uniform",))
    words = cli._command_of(settings, tmp_path).split()
    assert float(words[words.index("--lr") + 1]) == settings.lr
