"""`eureka report` on runs of `eureka vision train`: from the files that a finished run leaves."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("matplotlib")
pytest.importorskip("jinja2")
pytest.importorskip("accelerate")
pytest.importorskip("scipy")

from scipy import stats

from eureka_nlg.analysis import analysis_document, corpus_block, system_block
from eureka_nlg.cli.main import main
from eureka_nlg.errors import UserError
from eureka_nlg.metrics.classes.bands import FrequencyBands
from eureka_nlg.report import images
from eureka_nlg.report.images import image_report
from eureka_nlg.vision.classification.config import Config
from eureka_nlg.vision.classification.evaluation import Predictions, evaluate, gold_likelihood
from eureka_nlg.vision.config_file import to_yaml
from eureka_nlg.vision.predictions_file import compare_runs

COUNTS = torch.tensor([500, 300, 60, 4])
LABELS = torch.arange(4).repeat_interleave(10)


def saved_predictions(right: tuple[int, ...]) -> Predictions:
    """So many of the ten test images of each class are right, the others go to class 0."""
    logits = torch.zeros(40, 4)
    for label, number in enumerate(right):
        for image in range(10):
            logits[10 * label + image, label if image < number else int(label == 0)] = 2.0
    return Predictions.of_logits(logits, LABELS)


def save_run(folder: Path, right: tuple[int, ...], counts: torch.Tensor = COUNTS) -> str:
    """A finished run of an older version, which kept no predictions."""
    predictions = saved_predictions(right)
    folder.mkdir(parents=True)
    config = Config(save_dir=str(folder))
    record = {
        "epoch": 2,
        "training_seconds": 90.0,
        "waiting_for_data": 0.01,
        "config": dataclasses.asdict(config),
        "versions": {"eureka_nlg": "0", "torch": "0"},
        "processes": 1,
        "device": "cpu, 1 thread",
    }
    (folder / "config.yaml").write_text(to_yaml(config))
    (folder / "evaluation.json").write_text(json.dumps({**evaluate(predictions, counts), **record}))
    log = [
        {"epoch": e, "step": e, "loss": 2.0 / e, "accuracy.all": 30.0 * e, "seconds": 45.0} for e in (1, 2)
    ]
    (folder / "log.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in log))
    bands = FrequencyBands.by_count(counts)
    block = system_block({"test": gold_likelihood(predictions, bands)}, checkpoint="x")
    document = analysis_document(bands, {str(folder): block}, corpus_block(np.asarray(counts)))
    (folder / "analysis.json").write_text(json.dumps(document))
    return str(folder)


@pytest.fixture
def runs(tmp_path: Path) -> list[str]:
    return [save_run(tmp_path / "ce", (10, 8, 2, 0)), save_run(tmp_path / "el", (9, 8, 5, 3))]


def test_the_page(runs: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "report.html"
    assert main(["report", *runs, "--names", "CE", "Eu<r>eka", "--out", str(out)]) == 0
    assert str(out) in capsys.readouterr().out
    page = out.read_text(encoding="utf-8")
    # (10 + 8) of the twenty images of the two many classes, and so on: worked by hand from `right` above
    (outcome,) = re.findall(r'<p class="outcome">(Eu.*?)</p>', page)
    for change in ("all 50.00 → 62.50", "many 90.00 → 85.00", "medium 20.00 → 50.00", "few 0.00 → 30.00"):
        assert change in outcome
    assert "Eu&lt;r&gt;eka" in page
    assert "<r>" not in page
    assert page.count('id="classes"') == 1
    assert 'id="replies"' not in page
    for title in ("Accuracy of each class", "Training curves", "How well each frequency group is predicted"):
        assert title in page
    assert "training loss (nats per image)" in page
    assert "rank of the class, log scale" in page
    assert "Solid lines with marks are test data" in page
    for word in ("validation", "rank of the word", "-0.00", "1 threads"):
        assert word not in page
    assert "2 min on cpu, 1 thread" in page
    assert not re.search(r'(src|href)="(?!#|data:)', page), "nothing is loaded"


def test_runs_that_keep_their_predictions_are_tested(runs: list[str]) -> None:
    """With predictions of all runs there are p-values; with those of one there are none."""
    without = image_report(runs).scores
    assert without is not None
    assert all(score.p_value is None for row in without.metrics for score in row.scores.values())
    for run, right in zip(runs, ((10, 8, 2, 0), (9, 8, 5, 3))):
        assert image_report(runs).scores == without
        saved_predictions(right).write(Path(run) / "predictions.npz", COUNTS)
    scores = image_report(runs).scores
    assert scores is not None
    assert [row.key for row in scores.metrics] == [row.key for row in without.metrics]
    rows = {row.key: row.scores for row in scores.metrics}
    expected = compare_runs({"ce": runs[0], "el": runs[1]})
    for metric, key in (
        ("accuracy_all", "accuracy_all"),
        ("accuracy_natural", "natural"),
        ("likelihood", "likelihood_all"),
    ):
        assert rows[key]["el"].p_value == expected.p_values("holm")[metric]["el"]
        assert rows[key]["el"].low == expected.scores[metric]["el"].low
        assert rows[key]["ce"].p_value is None
    assert rows["likelihood_few"]["el"].p_value is None  # of all images only
    for row, before in zip(scores.metrics, without.metrics):
        for name, score in row.scores.items():
            assert score.value == pytest.approx(before.scores[name].value, abs=1e-4)
    assert "Wilson's interval (1927); each other interval holds 95 % of 1,000 resamples of the 40 images" in (
        scores.method
    )
    assert "p is the probability" in scores.method


def test_intervals_are_wilsons(runs: list[str]) -> None:
    report = image_report(runs)
    assert report.scores is not None
    score = next(row for row in report.scores.metrics if row.key == "accuracy_few").scores["el"]
    wanted = stats.binomtest(3, 10).proportion_ci(0.95, method="wilson")
    assert (score.low, score.high) == pytest.approx((100 * wanted.low, 100 * wanted.high), rel=1e-6)
    natural = next(row for row in report.scores.metrics if row.key == "natural").scores["ce"].value
    assert natural == pytest.approx((500 * 100 + 300 * 80 + 60 * 20 + 4 * 0) / 864)


@pytest.mark.parametrize(("percent", "bound", "printed"), [(0.0, "low", "0.00"), (100.0, "high", "100.00")])
def test_intervals_end_where_shares_do(percent: float, bound: str, printed: str) -> None:
    """Computed as it stands, Wilson's bound of 0 of 2,000 is -1e-17, which prints as -0.00."""
    assert f"{getattr(images._score(percent, 2000), bound):.2f}" == printed


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda run: (run / "evaluation.json").unlink(), "is not finished"),
        (lambda run: (run / "config.yaml").write_text("task: detection\n"), "a run of detection"),
        (lambda run: (run / "config.yaml").unlink(), "not a run of `eureka vision`"),
    ],
    ids=["unfinished", "detection", "no run of images"],
)
def test_other_folders_are_refused(
    runs: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], spoil: Any, message: str
) -> None:
    (Path(runs[1]) / "checkpoint.pt").write_bytes(b"")
    spoil(Path(runs[1]))
    assert main(["report", *runs, "--out", str(tmp_path / "report.html")]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("class_counts", None, "class_counts is None, expected a list"),
        ("class_counts", [1, 2], "class_counts and accuracy_of_class differ in length"),
        ("accuracy", {"all": 1}, "accuracy has no many"),
        ("test_images", {}, "test_images has no all"),
        ("training_seconds", {"a": 1}, "training_seconds is {'a': 1}, expected a number or null"),
        ("accuracy_of_class", [1, 2, 3, 101], "item 4, is 101, expected a number from 0 to 100 or null"),
        ("versions", {"torch": 2}, "torch is 2, expected text"),
        ("config", [], "config is [], expected an object"),
    ],
)
def test_scores_of_another_shape_are_refused(runs: list[str], key: str, value: Any, said: str) -> None:
    path = Path(runs[0]) / "evaluation.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), key: value}))
    with pytest.raises(UserError) as caught:
        image_report(runs)
    assert str(caught.value).startswith(f"{path}: ")
    assert said in str(caught.value)


def test_other_data_and_options_of_dialogue_are_refused(
    runs: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = ["--out", str(tmp_path / "report.html")]
    other = save_run(tmp_path / "other", (9, 8, 5, 3), torch.tensor([500, 300, 61, 4]))
    assert main(["report", runs[0], other, *out]) == 2
    assert "training images by class differ from those of" in capsys.readouterr().err
    for option, value in (("--beam", "5"), ("--logit-adjustment", "1"), ("--logit-adjustment", "0")):
        assert main(["report", *runs, option, value, *out]) == 2
        assert f"{option}: is for dialogue models" in capsys.readouterr().err


def test_a_log_and_an_analysis_that_are_gone_are_told(runs: list[str]) -> None:
    (Path(runs[0]) / "log.jsonl").unlink()
    (Path(runs[1]) / "analysis.json").unlink()
    report = image_report(runs)
    assert report.analysis is None
    assert "ce" in report.missing["training"][0]
    assert "analysis.json" in report.missing["likelihood"][0]
