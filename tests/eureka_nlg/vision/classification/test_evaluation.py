"""Scores against torchmetrics and against counting by hand."""

from __future__ import annotations

import json

import pytest
import torch

from eureka_nlg.metrics.classes.bands import FrequencyBands
from eureka_nlg.vision.classification.evaluation import (
    Predictions,
    calibration_error,
    evaluate,
    group_confusion,
)

COUNTS = torch.tensor([500, 200, 50, 3])


def test_calibration_error_is_torchmetrics() -> None:
    classification = pytest.importorskip("torchmetrics.classification")
    logits, labels = torch.randn(3000, 4) * 2, torch.randint(4, (3000,))
    logits[torch.arange(1500), labels[:1500]] += 2
    predictions = Predictions.of_logits(logits, labels)
    metric = classification.MulticlassCalibrationError(4, n_bins=15, norm="l1")
    expected = 100 * metric(logits.softmax(1), labels).item()
    ours = calibration_error(predictions.confidence, predictions.predicted == labels)
    assert ours == pytest.approx(expected, abs=1e-3)


def test_calibration_error_by_hand() -> None:
    confidence = torch.tensor([0.95, 0.85, 0.55, 0.55], dtype=torch.float64)
    right = torch.tensor([True, False, True, False])
    # two bins of width 0.5: all four in the upper one, |2/4 - 0.725|
    assert calibration_error(confidence, right, bins=2) == pytest.approx(22.5)
    # ten bins: 0.05, 0.85, and |1/2 - 0.55| twice
    assert calibration_error(confidence, right, bins=10) == pytest.approx(100 * (0.05 + 0.85 + 0.1) / 4)
    assert calibration_error(confidence[:0], right[:0]) is None


def test_predictions_of_logits() -> None:
    logits = torch.log(torch.tensor([[0.5, 0.3, 0.1, 0.1], [0.2, 0.2, 0.25, 0.35]]))
    predictions = Predictions.of_logits(logits, torch.tensor([1, 3]))
    assert predictions.predicted.tolist() == [0, 3]
    assert predictions.confidence.tolist() == pytest.approx([0.5, 0.35])
    assert predictions.gold_log_likelihood.exp().tolist() == pytest.approx([0.3, 0.35])
    parts = [
        (torch.tensor([1]), Predictions.of_logits(logits[1:], torch.tensor([3]))),
        (torch.tensor([0]), Predictions.of_logits(logits[:1], torch.tensor([1]))),
    ]
    assert Predictions.merged(parts).predicted.tolist() == [0, 3]


@pytest.fixture
def predictions() -> Predictions:
    """Ten images: classes 0 and 1 are many, 2 is medium, 3 is few."""
    labels = torch.tensor([0, 0, 0, 0, 1, 1, 2, 2, 3, 3])
    predicted = torch.tensor([0, 0, 1, 3, 1, 1, 2, 0, 1, 2])
    return Predictions(predicted, torch.full((10,), 0.9), torch.linspace(0, 0.9, 10).log(), labels)


def test_confusion_of_groups(predictions: Predictions) -> None:
    sixth = 100 / 6
    confusion = group_confusion(predictions, FrequencyBands.by_count(COUNTS))
    assert confusion["many"] == pytest.approx(
        {"right": 4 * sixth, "wrong_many": sixth, "wrong_medium": 0, "wrong_few": sixth}
    )
    assert confusion["medium"] == {"right": 50, "wrong_many": 50, "wrong_medium": 0, "wrong_few": 0}
    assert confusion["few"] == {"right": 0, "wrong_many": 50, "wrong_medium": 50, "wrong_few": 0}


def test_all_scores(predictions: Predictions) -> None:
    scores = evaluate(predictions, COUNTS)
    natural = (500 * 0.5 + 200 * 1 + 50 * 0.5 + 3 * 0) / 753
    assert scores["accuracy"] == pytest.approx(
        {"all": 50, "many": 400 / 6, "medium": 50, "few": 0, "natural": 100 * natural}
    )
    assert scores["accuracy_of_class"] == [50, 100, 50, 0]
    assert scores["likelihood"] == pytest.approx({"all": 45, "many": 25, "medium": 65, "few": 85}, abs=1e-4)
    assert scores["test_images"] == {"all": 10, "many": 6, "medium": 2, "few": 2}
    assert scores["calibration_error"]["few"] == pytest.approx(90, abs=1e-4)


def test_a_group_without_images_is_null_in_json(predictions: Predictions) -> None:
    scores = json.loads(
        json.dumps(evaluate(predictions, torch.tensor([500, 200, 500, 300])), allow_nan=False)
    )
    for score in ("accuracy", "likelihood", "calibration_error"):
        assert scores[score]["few"] is None
        assert scores[score]["all"] is not None
    assert scores["confusion_of_groups"]["few"]["right"] is None
