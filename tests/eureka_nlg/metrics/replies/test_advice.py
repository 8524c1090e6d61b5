"""Texts whose scores mean nothing are noticed, and others are not."""

from __future__ import annotations

from typing import Any

import pytest

from eureka_nlg.metrics import WordBands, compare, score_replies
from eureka_nlg.metrics.replies.advice import Advice

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
        (["no"] * 10 + [f"a {i}" for i in range(10)], ["a b"] * 20, "50 % of the replies are the same text"),
        (["a" * 60] * 20, ["b c"] * 20, f'"{"a" * 60}"'),
        (["a" * 61] * 20, ["b c"] * 20, f'"{"a" * 57}..."'),
        (["a.", "b."], TOKENISED[:2], "replies look raw"),  # a mark after the first character
        (["a_. b_."], TOKENISED[:1], "replies look raw"),
        (["! !"], RAW[:1], "replies look tokenised"),  # a mark that is the first character
        ([" ".join(["a ."] + ["a."] * 9)], TOKENISED[:1], "replies look raw"),  # one in ten stands alone
        ([" ".join(["a."] + ["a ."] * 9)], RAW[:1], "replies look tokenised"),
        (["i like 蜜蜂"], ["我喜欢abcdefg"], "30 % of the references is written without spaces"),
        (["ฉันชอบชา"], ["ฉันชอบดื่มชา"], "of the references is written without spaces"),
        (["A" + "b" * 99], ["b" * 100], "capital letters occur in the replies only"),  # just enough of both
        (["b" * 100], ["A" + "b" * 99], "capital letters occur in the references only"),
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
        (["我 喜欢 喝 茶 。"], ["他 喜欢 喝 茶 。"], {}),  # words of Chinese that are separated
        (["我 喜 欢"], ["他 喜 欢"], {}),
        (["ฉัน ชอบ ชา"], ["ฉัน ชอบ ดื่ม ชา"], {}),
        (["i like 蜜蜂 and tea and rowing"], ["we like 蜜蜂 and tea and rowing"], {}),
        (["THE BLACK CAT SAT ON THE MAT"] * 5, ["the black cat sat on the mat"] * 5, {"lowercase": True}),
        (["i see .", "i see ."], ["a b", "c"], {}),  # too few to judge
        (["i see ."] * 19, ["a b"] * 19, {}),
        (["no"] * 9 + [f"a {i}" for i in range(11)], ["a b"] * 20, {}),
        (["no ."], RAW[:1], {}),  # one mark tells nothing
        (["no."], TOKENISED[:1], {}),
        (['"a". "b".'], TOKENISED[:1], {}),  # marks after a quote
        ([" ".join(["a ."] * 2 + ["a."] * 8)], TOKENISED[:1], {}),  # in between
        ([" ".join(["a ."] * 8 + ["a."] * 2)], RAW[:1], {}),
        (["i like 蜜蜂"], ["我喜欢 abcdefgh"], {}),
        (["B" * 99], ["b" * 200], {}),  # too few letters on one side
        (["B" * 200], ["b" * 99], {}),
        (["B" + "b" * 199], ["b" * 200], {}),  # a name
        (["B" + "b" * 99], ["B" * 100], {}),  # on both sides
    ],
)
def test_nothing_to_notice(hypotheses: list[str], references: list[str], options: dict[str, Any]) -> None:
    assert warnings(hypotheses, references, **options) == []


def test_the_first_of_several_references_is_judged() -> None:
    (sentence,) = warnings(RAW, TOKENISED, more_references=[RAW[::-1]])
    assert "replies look raw" in sentence


class _Pairs:
    """What Advice reads of pairs."""

    def __init__(self, systems: list[list[str]], references: list[str]) -> None:
        self._systems, self._references = systems, references

    def __len__(self) -> int:
        return len(self._references)

    def raw_texts(self, most: int) -> tuple[list[list[str]], list[list[str]]]:
        return [texts[:most] for texts in self._systems], [self._references[:most]]


def test_pairs_that_come_in_parts_are_examined_up_to_a_thousand() -> None:
    advice = Advice("word", lowercase=False)
    advice.update(_Pairs([["no"] * 499 + [f"a {i}" for i in range(500)]], ["c"] * 999))
    assert advice.of() == []  # 499 of 999
    advice.update(_Pairs([["no"] * 500], ["c"] * 500))  # of which one is examined: 500 of 1,000
    (sentence,) = advice.of()
    assert 'of the first 1,000 replies are the same text, "no"' in sentence
    advice.update(_Pairs([["a b"] * 500], ["c"] * 500))
    assert advice.of() == [sentence]


def test_each_system_has_its_own_advice() -> None:
    advice = Advice("word", lowercase=False, num_systems=2)
    advice.update(_Pairs([RAW, TOKENISED], TOKENISED))
    assert "replies look raw" in advice.of()[0]
    assert advice.of(0) == advice.of()
    assert advice.of(1) == []


def test_training_data_written_in_another_way() -> None:
    bands = WordBands.from_counts({"thanks.": 3, "row.": 2, "i": 1})
    (sentence,) = warnings(TOKENISED, TOKENISED, bands=bands)
    assert "of the references' words do not occur in the training data" in sentence
    assert warnings(["i i i"], ["i i i"], bands=bands) == []
    for references in (["i i x x"], ["i i i x x"]):  # half of the words, and fewer
        assert warnings(["i"], references, bands=bands) == []
    (sentence,) = warnings(["i"], ["i i x x x"], bands=bands)
    assert sentence.startswith("60 % of the references' words")


def test_warnings_are_in_the_documents() -> None:
    result = score_replies(RAW, TOKENISED)
    assert result.to_dict()["warnings"] == result.warnings
    assert "warnings" not in score_replies(RAW, RAW).to_dict()
    found = compare({"raw": RAW, "tokenised": TOKENISED}, TOKENISED, ["micro_f"], num_resamples=5)
    assert found.warnings == {"raw": result.warnings}
    assert found.to_dict()["warnings"] == found.warnings
