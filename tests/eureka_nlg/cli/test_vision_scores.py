"""What `eureka vision` prints at the end of a run: a table that says what its rows are."""

from __future__ import annotations

from pathlib import Path

import pytest

from eureka_nlg.cli.vision_scores import show_classification

pytest.importorskip("tabulate")


def test_groups_are_explained_below_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    result = {
        "epoch": 30,
        "accuracy": {"all": 50, "many": 60.5, "medium": None, "few": 0, "natural": 55},
        "calibration_error": {"all": 12.5},
        "likelihood": {"all": 40},
        "waiting_for_data": None,
    }
    show_classification(result, Path("runs/a"))
    *_, natural, legend = capsys.readouterr().out.splitlines()
    assert natural.split() == ["natural", "55.00", "-", "-"]
    assert legend == (
        "training count of the class: many > 100, medium 20 to 100, few < 20; "
        "natural: classes weighted by their training count"
    )
