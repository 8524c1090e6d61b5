"""The sentences on top say what was tested, and no more."""

from __future__ import annotations

import pytest

from eureka_nlg.report.model import Report, Score, ScoreRow, ScoreTable, System
from eureka_nlg.report.outcome import outcome


def test_as_many_decimals_as_a_score_needs() -> None:
    for values, digits in (((0.2, 12.5), 2), ((0.2, 0.31), 3), ((0.0, 0.0), 2), ((0.0, 0.4), 3)):
        scores = {str(number): Score(value) for number, value in enumerate(values)}
        assert ScoreRow("score", "", scores).digits == digits


def row(key: str, ce: float, el: float, significant: bool, better: bool | None = True) -> ScoreRow:
    scores = {
        "ce": Score(ce),
        "el": Score(el, p_value=0.001 if significant else 0.4, significant=significant),
    }
    return ScoreRow(f"{key} (%)", "", scores, better, key)


def report(rows: list[ScoreRow], names: tuple[str, ...] = ("ce", "el")) -> Report:
    systems = [System(name, ["a"]) for name in names]
    return Report(
        "t", "test", "greedy", ["c"], ["r"], systems, ScoreTable(rows, "ce" if len(names) > 1 else None)
    )


def test_what_is_better_and_worse_with_the_values() -> None:
    rows = [
        row("macro_f", 3.0, 4.25, True),
        row("micro_f", 17.0, 16.0, True),
        row("copies", 9.0, 5.0, True, better=False),
        row("bleu", 2.0, 2.5, False),
        row("mean_length", 8.0, 9.0, True, better=None),
    ]
    (sentence,) = outcome(report(rows))
    assert sentence == (
        "el against ce, of 5 scores: better in 2 (macro_f (%) 3.00 → 4.25, copies (%) 9.00 → 5.00), "
        "worse in 1 (micro_f (%) 17.00 → 16.00), different in 1 (mean_length (%) 8.00 → 9.00); "
        "the other 1 may differ by chance."
    )


def test_no_difference_is_said_to_be_none() -> None:
    (sentence,) = outcome(report([row("macro_f", 3.0, 4.25, False)]))
    assert sentence == "el and ce: none of the 1 scores differs by more than chance."


def test_one_system_has_the_scores_of_the_paper() -> None:
    rows = [row("bleu", 2.0, 2.5, False), row("macro_f", 3.0, 4.25, False)]
    assert outcome(report(rows, ("ce",))) == ["ce: macro_f (%) 3.00."]


@pytest.mark.parametrize(
    ("key", "title"),
    [
        ("macro_f", "The scores of the paper"),
        ("diversity_4", "The scores of the paper"),
        ("diversity_2", "Variety"),
        ("macro_f_rarest third", "By training frequency of the words"),
        ("perplexity", "Likeness to the reference"),
        ("mean_length", "Other"),
        ("", "Other"),
    ],
)
def test_groups(key: str, title: str) -> None:
    ((found, _),) = ScoreTable([row(key, 1.0, 2.0, False)]).groups()
    assert found == title
