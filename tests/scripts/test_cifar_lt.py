"""Tables and figures of the pages on image runs come from the JSON beside them."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("matplotlib")

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS, RESULTS = ROOT / "scripts" / "cifar_lt", ROOT / "docs" / "results"
COLLECTED = RESULTS / "cifar10_lt_short" / "runs.json"


@pytest.mark.parametrize(
    ("page", "collected", "methods"),
    [
        ("cifar10_lt.md", RESULTS / "cifar10_lt" / "epoch170.json", 13),
        ("cifar10_lt.md", RESULTS / "cifar10_lt" / "exact.json", 5),
        ("cifar10_lt_short.md", COLLECTED, 21),
        ("cifar100_lt.md", RESULTS / "cifar100_lt" / "epoch170.json", 9),
        ("cifar100_lt.md", RESULTS / "cifar100_lt" / "epoch180.json", 5),
        ("cifar100_lt.md", RESULTS / "cifar100_lt" / "exact.json", 4),
        ("methods_lt.md", RESULTS / "methods_lt" / "cifar10_lt.json", 8),
        ("methods_lt.md", RESULTS / "methods_lt" / "cifar100_lt.json", 7),
    ],
)
def test_the_results_page_has_the_table(
    load_script: Any,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    page: str,
    collected: Path,
    methods: int,
) -> None:
    monkeypatch.setattr(sys, "argv", ["tables.py", str(collected)])
    load_script(SCRIPTS / "tables.py").main()
    rows = capsys.readouterr().out.splitlines()
    assert len(rows) == 2 + methods
    assert set(rows) <= set((RESULTS / page).read_text(encoding="utf-8").splitlines())


def test_seeds_of_several_places_are_joined(load_script: Any) -> None:
    join = load_script(SCRIPTS / "tables.py").join
    runs = {
        name: [{"config": {"seed": seed}, "from": place} for seed in seeds]
        for place, name, seeds in (("a", "cb_deferred", (2,)), ("a", "ce", (1, 2)))
    }
    later = {
        "ce": [{"config": {"seed": 2}, "from": "b"}],
        "cb_deferred": [{"config": {"seed": 1}, "from": "b"}],
    }
    joined = {
        name: [(r["config"]["seed"], r["from"]) for r in found] for name, found in join([runs, later]).items()
    }
    assert list(joined.items()) == [("ce", [(1, "a"), (2, "b")]), ("cb_deferred", [(1, "b"), (2, "a")])]


def test_the_course_of_two_runs_is_that_of_their_logs() -> None:
    page = (RESULTS / "cifar10_lt.md").read_text(encoding="utf-8")
    for epoch in (170, 180, 190, 200):
        runs = json.loads((RESULTS / "cifar10_lt" / f"epoch{epoch}.json").read_text(encoding="utf-8"))
        cells = [str(epoch)]
        for name in ("cb_deferred", "el_cb_deferred_released"):
            run = runs[name][0]
            assert run["epoch"] == epoch
            cells += [f"{run['accuracy'][group]:.2f}" for group in ("all", "medium", "natural")]
            cells.append(f"{run['calibration_error']['all']:.2f}")
        cells.append(f"{float(cells[5]) - float(cells[1]):+.2f}")
        assert f"| {' | '.join(cells)} |" in page.splitlines()


@pytest.mark.parametrize(
    ("data", "seed"),
    [
        (path.parent.name, int(path.stem.removeprefix("compared_seed")))
        for path in sorted(RESULTS.glob("cifar*/compared_seed*.json"))
    ],
)
def test_the_differences_are_those_of_the_comparisons(data: str, seed: int) -> None:
    page = (RESULTS / f"{data}.md").read_text(encoding="utf-8").splitlines()
    names = {"CE": "CE", "EL": "EL†, released", "EL_CB": "EL + CB†, released"}
    path = RESULTS / data / f"compared_seed{seed}.json"
    compared = json.loads(path.read_text(encoding="utf-8"))
    assert compared["baseline"] == "CB"
    for name, shown in names.items():
        cells = [shown, str(seed)]
        for metric in ("accuracy_all", "accuracy_natural", "calibration_error"):
            found = compared["differences"][metric][name]
            p_value = found["p_randomisation"]
            p_shown = "<0.001" if p_value < 0.001 else f"{p_value:.3f}"
            interval = f"[{found['low']:+.2f}, {found['high']:+.2f}]"
            cells.append(f"{found['value']:+.2f} {interval}, p {p_shown}")
        assert f"| {' | '.join(cells)} |" in page


@pytest.mark.parametrize(
    ("source", "classes"),
    [
        ("cifar10_lossless", 10),
        ("cifar-10-batches-py", 10),
        ("cifar100", 100),
        ("cifar-100-python", 100),
        ("mine", None),
    ],
)
def test_the_papers_numbers_are_of_the_same_data(load_script: Any, source: str, classes: int | None) -> None:
    """Logs do not say how many classes there are; the folder's name does, or nobody."""
    tables = load_script(SCRIPTS / "tables.py")
    assert tables.num_classes_of(source) == classes
    accuracy = dict.fromkeys(("all", "many", "medium", "few", "natural"), 50.0)
    data = {"source": source, "imbalance_degree": 100}
    run = {"accuracy": accuracy, "calibration_error": {"all": 1.0}, "config": {"data": data}}
    last = tables.table({"cb_deferred": [run]}).splitlines()[-1]
    assert last.split("|")[-2].strip() == {10: "76.34", 100: "41.51", None: ""}[classes]


def test_figures(load_script: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["", "cifar_lt", str(COLLECTED), "--out", str(tmp_path)])
    load_script(SCRIPTS.parent / "draw_results.py").main()
    for name in ("accuracy_by_class", "training_loss"):
        assert (tmp_path / f"{name}.png").stat().st_size > 5000
