"""minidl/experiments/choose.py: the two numbers by which the default network was chosen."""

from minidl.experiments import choose
from minidl.experiments import settings as settings_module
from tests.experiments.conftest import small_settings


def test_a_depth_is_measured_and_the_table_says_whether_it_meets_the_criterion(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(settings_module.GRIDS, "sgd", (0.5,))
    monkeypatch.setattr(choose, "DEPTHS", (1,))
    quick = {"lr": None, "epochs": 1, "seeds": 1, "backend": "numpy"}  # in processes of their own
    monkeypatch.setattr(choose, "Settings", lambda **options: small_settings(**quick, **options))
    choose.main(tmp_path)
    head, row = capsys.readouterr().out.splitlines()
    assert head.split() == ["hidden", "layers", "decades", "a", "layer", "best", "tuned", "accuracy", "criterion"]
    depth, slope, accuracy, *verdict = row.split()
    assert depth == "1"
    assert 0.5 < float(slope) < 1.5
    assert 0 < float(accuracy.rstrip("%")) < 90  # after one epoch
    assert verdict == ["not", "met"]
