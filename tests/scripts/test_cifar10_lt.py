"""Tables and figures of the pages on image runs come from the JSON beside them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("matplotlib")

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS, RESULTS = ROOT / "scripts" / "cifar10_lt", ROOT / "docs" / "results"
COLLECTED = RESULTS / "cifar10_lt_short" / "runs.json"


@pytest.mark.parametrize(
    ("page", "collected", "methods"),
    [
        ("cifar10_lt.md", RESULTS / "cifar10_lt" / "epoch170.json", 8),
        ("cifar10_lt.md", RESULTS / "cifar10_lt" / "epoch180.json", 2),
        ("cifar10_lt_short.md", COLLECTED, 21),
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


def test_figures(load_script: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["", "cifar10_lt", str(COLLECTED), "--out", str(tmp_path)])
    load_script(SCRIPTS.parent / "draw_results.py").main()
    for name in ("accuracy_by_class", "training_loss"):
        assert (tmp_path / f"{name}.png").stat().st_size > 5000
