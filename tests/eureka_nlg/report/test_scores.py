"""The table of scores shows what the comparison says."""

from __future__ import annotations

import pytest

from eureka_nlg.metrics.significance import compare
from eureka_nlg.report.model import Score, ScoreRow
from eureka_nlg.report.scores import perplexity_row, score_table_of

REFERENCES = [f"the answer is {index} of {index + 1}" for index in range(40)]
SYSTEMS = {
    "same": ["the answer is"] * 40,
    "better": [*REFERENCES[:39], "no"],
    "again": ["the answer is"] * 40,
}


def test_values_intervals_and_marks() -> None:
    comparison = compare(SYSTEMS, REFERENCES, ["micro_f", "mean_length", "copies"], num_resamples=200)
    table = score_table_of(comparison)
    assert [metric.label for metric in table.metrics] == ["micro F (%)", "mean length (words)", "copies (%)"]
    micro, length, copies = table.metrics
    # 40 replies of 3 words, all in the references of 6: 2 * 120 / (120 + 240)
    assert micro.scores["same"].value == pytest.approx(100 * 240 / 360)
    assert micro.scores["better"].low < micro.scores["better"].value
    assert micro.scores["better"].significant
    assert micro.best == "better"
    assert micro.is_better("better", table.baseline) is True
    assert not micro.scores["again"].significant
    assert micro.scores["same"].p_value is None
    assert length.is_better("better", "same") is None
    assert length.best is None
    assert copies.best == "better"  # fewer copies are better
    assert "95 % of 200 resamples of the 40 pairs" in table.method
    assert {name: len(sentences) for name, sentences in table.warnings.items()} == {"same": 1, "again": 1}
    assert "are the same text" in table.warnings["same"][0]


def test_best_needs_a_difference() -> None:
    assert ScoreRow("m", "", {"a": Score(1.0), "b": Score(1.0)}).best is None
    assert ScoreRow("m", "", {"a": Score(1.0)}).best is None
    assert ScoreRow("m", "", {"a": Score(1.0), "b": Score(2.0)}, higher_is_better=False).best == "a"


def test_perplexity_from_the_analysis(analysis: dict) -> None:
    row = perplexity_row(analysis, "test")
    assert {name: score.value for name, score in row.scores.items()} == {"CE": 275.0, "A & <B>": 272.0}
    assert row.best == "A & <B>"
    assert perplexity_row(analysis, "valid") is None
