"""The report as files."""

import json
import re

from PIL import Image

from minidl.experiments.reproduce.collected import collect, load
from minidl.experiments.reproduce.writing import write, write_report
from tests.experiments.reproduce.factory import write_runs


def test_a_finished_reproduction_gets_its_results_page_and_pictures(tmp_path):
    write_runs(tmp_path, "missing arms", seeds=5)
    write(collect(tmp_path), tmp_path)
    folder = tmp_path / "report"
    names = {path.name for path in folder.iterdir()}
    assert {"README.md", "index.html", "findings.json", "mnist-quick.json", "mnist-quick-curves-sgd.png",
            "mnist-quick-curves-sgd-1.svg", "mnist-quick-curves-sgd.json"} <= names  # fmt: skip
    assert load(tmp_path / "results.json") == load(folder / "mnist-quick.json")
    text = (folder / "README.md").read_text(encoding="utf-8")
    for link in re.findall(r"\]\(([^)#:]+)\)", text):
        assert (folder / link).exists()
    with Image.open(folder / "mnist-quick-curves-sgd.png") as image:
        assert image.width <= 1700
    numbers = json.loads((folder / "mnist-quick-curves-sgd.json").read_text())
    assert numbers["numbers"]["wrong"]["ln"]["median"]

    page = (folder / "index.html").read_text(encoding="utf-8")
    assert page.count("<svg ") == len(list(folder.glob("*.svg")))
    assert len(page) < 1_000_000
    ids = re.findall(r' id="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r"url\(#([^)]+)\)", page)) <= set(ids)
    assert not re.search(r'(src|href)="https?://(?!arxiv\.org|www\.w3\.org)', page)

    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    again = write_report([load(tmp_path / "results.json")], tmp_path / "again")
    assert {path.name: path.read_bytes() for path in again} == {path.name: before[path.name] for path in again}
