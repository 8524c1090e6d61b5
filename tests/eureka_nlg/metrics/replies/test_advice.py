"""Texts whose scores mean nothing are noticed, and others are not."""

from __future__ import annotations

from typing import Any

import pytest

from eureka_nlg.metrics import WordBands, compare, score_replies

RAW = ["i'm good, thanks.", "do you sail?", "no, i row."]
TOKENISED = ["i 'm good , thanks .", "do you sail ?", "no , i row ."]


def warnings(hypotheses: list[str], references: list[str], **options: Any) -> list[str]:
    return score_replies(hypotheses, references, metrics=["micro_f"], **options).warnings


@pytest.mark.parametrize(
    ("hypotheses", "references", "expected"),
    [
        (RAW[:1], TOKENISED[:1], "replies look raw and the references tokenised"),
        (TOKENISED, RAW, "replies look tokenised and the references raw"),
        (["我喜欢蜜蜂。"], ["早上好"], "100 % of the references is written without spaces"),
        (
            ["THE BLACK CAT SAT ON THE MAT"] * 5,
            ["the black cat sat on the mat"] * 5,
            "capital letters occur in the replies only",
        ),
        (
            ["the black cat sat on the mat"] * 5,
            ["The Black Cat sat on the mat"] * 5,
            "capital letters occur in the references only",
        ),
        (["i see ."] * 15 + ["no"] * 5, ["a b"] * 20, '75 % of the replies are the same text, "i see ."'),
        ([""] * 19 + ["no"], ["a b"] * 20, "95 % of the replies are empty"),
        (["no"] * 900 + ["a b"] * 300, ["b"] * 1200, "90 % of the first 1,000 replies are the same text"),
    ],
)
def test_noticed(hypotheses: list[str], references: list[str], expected: str) -> None:
    (sentence,) = warnings(hypotheses, references)
    assert expected in sentence


@pytest.mark.parametrize(
    ("hypotheses", "references", "options"),
    [
        (RAW, RAW[::-1], {}),
        (TOKENISED, TOKENISED[::-1], {}),
        (["no", "yes"], TOKENISED[:2], {}),  # without marks nothing can be told
        (["no .", "3.5 e.g. a.b"], ["3.5", "e.g. a . b"], {}),
        (["我喜欢蜜蜂。"], ["早上好"], {"unit": "character"}),
        (["i like 蜜蜂 and tea and rowing"], ["we like 蜜蜂 and tea and rowing"], {}),
        (["THE BLACK CAT SAT ON THE MAT"] * 5, ["the black cat sat on the mat"] * 5, {"lowercase": True}),
        (["i see .", "i see ."], ["a b", "c"], {}),  # too few to judge
    ],
)
def test_nothing_to_notice(hypotheses: list[str], references: list[str], options: dict[str, Any]) -> None:
    assert warnings(hypotheses, references, **options) == []


def test_training_data_written_in_another_way() -> None:
    bands = WordBands.from_counts({"thanks.": 3, "row.": 2, "i": 1})
    (sentence,) = warnings(TOKENISED, TOKENISED, bands=bands)
    assert "of the references' words do not occur in the training data" in sentence
    assert warnings(["i i i"], ["i i i"], bands=bands) == []


def test_warnings_are_in_the_documents() -> None:
    result = score_replies(RAW, TOKENISED)
    assert result.to_dict()["warnings"] == result.warnings
    assert "warnings" not in score_replies(RAW, RAW).to_dict()
    found = compare({"raw": RAW, "tokenised": TOKENISED}, TOKENISED, ["micro_f"], num_resamples=5)
    assert found.warnings == {"raw": result.warnings}
    assert found.to_dict()["warnings"] == found.warnings
