"""``eureka analyse`` on finished runs of image models, whose analyses are only put together."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eureka_nlg.analysis import analysis_document, corpus_block, encouragement_block, system_block
from eureka_nlg.cli.main import main
from eureka_nlg.files import alone, exclusive
from eureka_nlg.frequency import EncouragementOptions
from eureka_nlg.metrics.classes.bands import FrequencyBands
from eureka_nlg.metrics.classes.likelihood import group_likelihood

COUNTS = np.array([500, 60, 4])
LABELS = np.array([0, 0, 1, 1, 2, 2])


def image_run(folder: Path, likelihoods: list[float], counts: Any = COUNTS, **more: Any) -> str:
    """A folder with what `eureka vision train` leaves: the test images twice as likely in training."""
    bands = FrequencyBands.by_count(counts)
    p = np.array(likelihoods)
    splits = {
        "test": group_likelihood(LABELS, np.log(p), p > 0.4, bands),
        "train": group_likelihood(LABELS, np.log(np.minimum(2 * p, 1.0)), p > 0.1, bands),
    }
    document = analysis_document(
        bands, {str(folder): system_block(splits, checkpoint="x")}, corpus_block(counts), **more
    )
    folder.mkdir()
    (folder / "analysis.json").write_text(json.dumps(document), encoding="utf-8")
    (folder / "evaluation.json").write_text("{}", encoding="utf-8")
    return str(folder)


@pytest.mark.parametrize(
    "option",
    [
        ["--bands", "count:1000,10"],
        ["--splits", "train"],
        ["--data", "nowhere"],
        ["--train-sample", "7"],
        ["--seed", "3"],
        ["--cpu"],
    ],
)
def test_options_of_dialogue_are_refused(
    option: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ce = image_run(tmp_path / "ce", [0.9, 0.8, 0.5, 0.3, 0.2, 0.05])
    assert main(["analyse", ce, *option]) == 2
    assert f"{option[0]}: is for dialogue models" in capsys.readouterr().err


def test_side_by_side(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    weights = {"beta 0.99": encouragement_block(COUNTS, EncouragementOptions(0.99))}
    ce = image_run(tmp_path / "ce", [0.9, 0.8, 0.5, 0.3, 0.2, 0.05])
    el = image_run(tmp_path / "el", [0.9, 0.7, 0.5, 0.45, 0.5, 0.2], encouragement=weights)
    out, figures = tmp_path / "both.json", tmp_path / "figures"
    assert main(["analyse", ce, el, "--names", "CE", "EL", "--out", str(out), "--figures", str(figures)]) == 0
    printed = capsys.readouterr().out
    test_table = [line.split() for line in printed.partition("train  ")[0].splitlines() if line.strip()]
    few = {row[0]: row[-2:] for row in test_table if "few" in row}
    # (0.2 + 0.05) / 2 and (0.5 + 0.2) / 2; right: none of two, and one of two
    assert few["likelihood"] == ["0.1250", "0.3500"]
    assert few["accuracy"] == ["0.00", "50.00"]
    # on the training data one of two is right with CE, both with EL
    gaps = [line.split()[-2:] for line in printed.splitlines() if line.startswith("accuracy, points")]
    assert ["+50.00", "+50.00"] in gaps
    assert "564 examples of 3 classes, imbalance ratio 125" in printed
    document = json.loads(out.read_text(encoding="utf-8"))
    assert list(document["systems"]) == ["CE", "EL"]
    assert document["encouragement"] == weights
    drawn = {path.stem for path in figures.glob("*.png")}
    assert {"likelihood_histograms", "likelihood_by_group", "train_test_gap", "class_frequency"} <= drawn


@pytest.mark.parametrize("command", ["analyse", "report"])
def test_a_second_command_with_the_same_output_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    ce = image_run(tmp_path / "ce", [0.9, 0.8, 0.5, 0.3, 0.2, 0.05])
    out, figures = tmp_path / "out", tmp_path / "figures"
    arguments = [command, ce, "--out", str(out), "--figures", str(figures)]
    with alone(out):
        assert main(arguments) == 2
    assert "out: another process is writing it" in capsys.readouterr().err
    with exclusive(figures):
        assert main(arguments) == 2
    assert "figures: another process is writing it" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["ce"]


def test_other_training_data(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ce = image_run(tmp_path / "ce", [0.9, 0.8, 0.5, 0.3, 0.2, 0.05])
    other = image_run(tmp_path / "other", [0.9, 0.8, 0.5, 0.3, 0.2, 0.05], counts=np.array([500, 60, 5]))
    assert main(["analyse", ce, other]) == 2
    assert "other was trained on other data than ce" in capsys.readouterr().err
