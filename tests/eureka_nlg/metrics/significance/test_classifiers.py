"""Comparisons of classifiers against the scores of resampled predictions and tests of scipy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from eureka_nlg.errors import UserError
from eureka_nlg.metrics import compare_classifiers, group_accuracy, significance_table
from eureka_nlg.metrics.significance import classifiers
from eureka_nlg.vision.classification.evaluation import calibration_error

stats = pytest.importorskip("scipy.stats")

COUNTS = [400, 150, 60, 20, 7, 0]
RNG = np.random.default_rng(5)
LABELS = RNG.integers(len(COUNTS), size=600)


def made_up(accuracy: float, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Predicted classes, confidences, likelihoods of the true class."""
    rng = np.random.default_rng(seed)
    right = rng.random(len(LABELS)) < accuracy - 0.06 * LABELS
    predicted = np.where(right, LABELS, (LABELS + rng.integers(1, 6, len(LABELS))) % 6)
    confidence = rng.uniform(1 / 6, 1, len(LABELS))
    return predicted, confidence, np.where(right, confidence, (1 - confidence) * rng.random(len(LABELS)))


A, B = made_up(0.9, seed=1), made_up(0.82, seed=2)


def compared(**options: Any) -> Any:
    return compare_classifiers(
        {"A": A[0], "B": B[0]},
        LABELS,
        COUNTS,
        confidences={"A": A[1], "B": B[1]},
        likelihoods={"A": A[2], "B": B[2]},
        **options,
    )


def test_the_scores_are_those_of_each_metric() -> None:
    comparison = compared(num_resamples=10)
    for name, (predicted, confidence, likelihood) in {"A": A, "B": B}.items():
        expected = {
            f"accuracy_{group}": value
            for group, value in group_accuracy(predicted, LABELS, COUNTS)._asdict().items()
        }
        expected["likelihood"] = 100 * likelihood.mean()
        right = torch.from_numpy(predicted == LABELS)
        expected["calibration_error"] = calibration_error(torch.from_numpy(confidence), right)
        found = {key: scores[name].value for key, scores in comparison.scores.items()}
        assert found == pytest.approx(expected, abs=1e-5)
    assert list(comparison.scores)[:5] == [
        f"accuracy_{name}" for name in group_accuracy([0], [0], [1])._fields
    ]
    assert comparison.unavailable == {}


def test_a_resample_has_the_scores_of_its_images(monkeypatch: pytest.MonkeyPatch) -> None:
    """The matrices that are resampled, with images that are taken several times or not at all."""
    seen: list[Any] = []
    compare_matrices = classifiers.compare_matrices

    def noted(values: Any, matrices: Any, *arguments: Any, **options: Any) -> Any:
        seen.extend(matrices)
        return compare_matrices(values, matrices, *arguments, **options)

    monkeypatch.setattr(classifiers, "compare_matrices", noted)
    compared(num_resamples=1)
    draws = [RNG.integers(len(LABELS), size=len(LABELS)) for _ in range(5)] + [RNG.permutation(600)[:150]]
    lone = np.flatnonzero((LABELS == 1) & (A[0] == 1))[
        :1
    ]  # of a class that is there once; others are not there
    draws += [np.concatenate([np.flatnonzero(LABELS == 0), lone])]
    weights = np.stack([np.bincount(draw, minlength=600) for draw in draws], axis=1).astype(np.int32)
    for system, (predicted, confidence, likelihood) in enumerate((A, B)):
        found: dict[str, Any] = {}
        for one in seen:
            found |= one.score(one.totals(system, weights))
        for number, draw in enumerate(draws):
            for group, value in group_accuracy(predicted[draw], LABELS[draw], COUNTS)._asdict().items():
                if np.isnan(value):  # a group that is not in the draw
                    continue
                assert found[f"accuracy_{group}"][number] == pytest.approx(value, abs=1e-9)
            assert found["likelihood"][number] == pytest.approx(100 * likelihood[draw].mean(), abs=1e-5)
            right = torch.from_numpy(predicted[draw] == LABELS[draw])
            expected = calibration_error(torch.from_numpy(confidence[draw]), right)
            assert found["calibration_error"][number] == pytest.approx(expected, abs=1e-5)


def test_intervals_and_p_values_of_accuracy_are_those_of_the_textbook() -> None:
    """Wilson's interval of a share, and the exact test of McNemar, which swaps predictions as well."""
    num_resamples = 20_000
    comparison = compared(num_resamples=num_resamples, confidence=90)
    for name, (predicted, *_) in {"A": A, "B": B}.items():
        for key, chosen in (("accuracy_all", LABELS >= 0), ("accuracy_few", LABELS >= 4)):
            right = int((predicted == LABELS)[chosen].sum())
            expected = stats.binomtest(right, int(chosen.sum())).proportion_ci(0.9, method="wilson")
            found = comparison.scores[key][name]
            assert (found.low, found.high) == pytest.approx(
                (100 * expected.low, 100 * expected.high), rel=1e-9
            )
    better, worse = (A[0] == LABELS) & (B[0] != LABELS), (A[0] != LABELS) & (B[0] == LABELS)
    exact = stats.binomtest(int(better.sum()), int((better | worse).sum())).pvalue
    difference = comparison.differences["accuracy_all"]["B"]
    spread = 4 * np.sqrt(exact * (1 - exact) / num_resamples) + 1 / num_resamples
    assert 0.0005 < exact < 0.2
    assert difference.p_randomisation == pytest.approx(exact, abs=spread)
    assert difference.p_resampling == pytest.approx(exact, rel=0.5)
    both = np.sqrt((better.mean() + worse.mean() - (better.mean() - worse.mean()) ** 2) / len(LABELS))
    assert difference.high - difference.low == pytest.approx(2 * 1.645 * 100 * both, rel=0.03)


def test_what_is_the_same_is_no_difference() -> None:
    comparison = compare_classifiers({"A": A[0], "again": A[0]}, LABELS, COUNTS, num_resamples=99)
    for differences in comparison.differences.values():
        assert differences["again"].value == 0
        assert differences["again"].p_randomisation == 1


def test_the_fewest_images_and_the_ends_of_likelihoods() -> None:
    two = compare_classifiers(
        {"A": [0, 1]}, [0, 0], [9, 9], likelihoods={"A": [0.0, 1 + 1e-6]}, num_resamples=9
    )
    assert two.scores["likelihood"]["A"].value == pytest.approx(50, abs=1e-3)
    assert two.signature["seed"] == 1
    ten = compare_classifiers({"A": [0] * 10 + [1]}, [0] * 10 + [1], [500, 50])
    assert list(ten.scores) == ["accuracy_all", "accuracy_many", "accuracy_natural"]
    assert ten.signature["num_resamples"] == 1000


def test_the_borders_of_the_groups() -> None:
    labels = np.arange(4).repeat(10)
    comparison = compare_classifiers(
        {"A": np.where(labels % 2, 0, labels)}, labels, [101, 100, 20, 19], num_resamples=9
    )
    found = {key: scores["A"].value for key, scores in comparison.scores.items()}
    expected = {"accuracy_many": 100, "accuracy_medium": 50, "accuracy_few": 0}
    assert {key: found[key] for key in expected} == expected
    assert comparison.scores["accuracy_few"]["A"].high == pytest.approx(27.75, abs=0.01)  # of ten images


def test_groups_with_few_images_have_no_interval() -> None:
    labels, counts = [0] * 40 + [1] * 9, [500, 5]
    comparison = compare_classifiers({"A": labels}, labels, counts, num_resamples=50)
    assert list(comparison.scores) == ["accuracy_all", "accuracy_many", "accuracy_natural"]
    assert comparison.unavailable == {"accuracy_few": "9 test images, expected 10 or more"}
    assert "accuracy_few: 9 test images" in significance_table(comparison)
    # classes that training lacks are among the few, and have no weight in natural accuracy
    unseen = compare_classifiers({"A": [0] * 20}, [1] * 20, [500, 0], num_resamples=50)
    assert list(unseen.scores) == ["accuracy_all", "accuracy_few"]


def test_the_table_names_images_and_which_direction_is_better() -> None:
    table = significance_table(compared(num_resamples=99, baseline="B"))
    lines = table.splitlines()
    assert "600 images, 95 % confidence intervals" in table
    assert lines[0].split("  ")[0] == "metric"
    assert "▲" in next(line for line in lines if line.startswith("accuracy (%)"))
    error = compare_classifiers(
        {"sure": A[0], "right": LABELS},
        LABELS,
        COUNTS,
        confidences={"sure": np.ones(600), "right": np.ones(600)},
        num_resamples=99,
    )
    row = next(
        line for line in significance_table(error).splitlines() if line.startswith("calibration error")
    )
    assert "▲" in row  # lower is better
    document = error.to_dict()
    assert document["num_images"] == 600
    assert document["signature"]["p_randomisation"].startswith("two-sided, predictions swapped")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"predictions": {}}, "there is no classifier to compare"),
        ({"predictions": {"A": A[0][:-1]}}, "A: 599 predictions and 600 targets"),
        ({"predictions": {"A": A[0] + 1}}, "A: prediction .* expected 0 to 5"),
        ({"targets": [1], "predictions": {"A": [1]}}, "there are 1 test images, expected 2 or more"),
        ({"confidences": {"B": A[1]}}, "confidences: none of A"),
        ({"confidences": {"A": A[1][:5]}}, r"confidences of A: shape \[5\], expected \[600\]"),
        ({"likelihoods": {"A": np.where(LABELS == 2, np.nan, 0.5)}}, "likelihoods of A: entry .* is nan"),
        ({"likelihoods": {"A": A[1] + 1}}, "likelihoods of A: entry 0 is .*, expected 0 to 1"),
        ({"num_resamples": 0}, "num_resamples is 0"),
        ({"baseline": "C"}, "there is no system 'C', expected one of: A"),
    ],
)
def test_bad_input(change: dict[str, Any], message: str) -> None:
    arguments: dict[str, Any] = {"predictions": {"A": A[0]}, "targets": LABELS, "class_counts": COUNTS}
    with pytest.raises(UserError, match=message):
        compare_classifiers(**{**arguments, **change})


def test_tensors() -> None:
    likelihood = torch.tensor(A[2], dtype=torch.bfloat16)
    comparison = compare_classifiers(
        {"A": torch.tensor(A[0])},
        torch.tensor(LABELS),
        torch.tensor(COUNTS),
        likelihoods={"A": likelihood},
        num_resamples=20,
    )
    expected = 100 * likelihood.double().mean().item()
    assert comparison.scores["likelihood"]["A"].value == pytest.approx(expected, abs=1e-5)
