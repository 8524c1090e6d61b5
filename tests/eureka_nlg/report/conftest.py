"""A small report with everything in it that a page can trip over."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip("matplotlib")
pytest.importorskip("jinja2")

from eureka_nlg.report.model import RareWords, Report, Score, ScoreRow, ScoreTable, System
from eureka_nlg.report.page import render
from eureka_nlg.training_log import parse_log

NASTY = (
    "</script><script>throw 1</script><!-- <img src=x onerror=alert(1)> & "
    "\"quoted\" 'single' \u2028 {{ 7*7 }}"
)
NUM_EXAMPLES = 130

LOG = """\
fairseq-train data --lr 0.1 --note '</pre><b>'
2026-01-01 10:00:00 | INFO | valid | epoch 001 | valid on 'valid' subset | loss 6.0 | ppl 64 | macro_f 0.5
2026-01-01 10:00:00 | INFO | train | epoch 001 | loss 7.0 | ppl 128 | wps 10
2026-01-01 10:01:00 | INFO | valid | epoch 002 | valid on 'valid' subset | loss 5.0 | ppl 32 | macro_f 0.7
2026-01-01 10:01:00 | INFO | train | epoch 002 | loss 5.5 | ppl 45.3 | wps 10
"""


def group(count: int, accuracy: float, first: int) -> dict[str, Any]:
    """Statistics of a frequency group, the histogram in two bins."""
    return {
        "count": count,
        "mean_likelihood": accuracy / 100,
        "perplexity": 300 - accuracy,
        "accuracy": accuracy,
        "share_above_half": accuracy / 2,
        "histogram": [first, *[0] * 18, count - first],
    }


def empty_group() -> dict[str, Any]:
    """A group without examples, as `eureka analyse` writes it."""
    numbers = dict.fromkeys(("mean_likelihood", "perplexity", "accuracy", "share_above_half"))
    return {"count": 0, **numbers, "histogram": [0] * 20}


@pytest.fixture(scope="session")
def analysis() -> dict[str, Any]:
    """A document of `eureka analyse` for two systems."""

    def splits(shift: float) -> dict[str, Any]:
        return {
            "test": {
                "head": group(60, 40 + shift, 30),
                "tail": group(40, 2 + shift, 39),
                "unseen": empty_group(),
                "all": group(100, 25 + shift, 69),
            },
            "train": {"head": group(60, 50, 20), "tail": group(40, 30, 20), "all": group(100, 42, 40)},
        }

    return {
        "version": 1,
        "groups": {"rule": "by <b>hand</b>", "names": ["head", "tail"], "classes": {"head": 2, "tail": 5}},
        "systems": {name: {"splits": splits(shift)} for name, shift in (("CE", 0.0), ("A & <B>", 3.0))},
        "corpus": {
            "counts": [50, 10, 5, 1],
            "ranks": [1, 2, 3, 4],
            "num_types": 4,
            "num_tokens": 66,
            "imbalance_ratio": 50.0,
        },
        "encouragement": {"beta 0.9": {"counts": [1, 5, 50], "weights": [3.0, 1.0, 0.4]}},
    }


@pytest.fixture(scope="session")
def make_report(analysis: dict[str, Any]) -> Callable[..., Report]:
    """A report of two systems on 130 examples; keyword arguments replace its fields."""

    def make(**changes: Any) -> Report:
        names = ("CE", "A & <B>")
        replies = {
            "CE": [f"reply {index % 3}" for index in range(NUM_EXAMPLES)],
            "A & <B>": [f"quokka {NASTY}", *[f"reply number {index}" for index in range(1, NUM_EXAMPLES)]],
        }
        systems = [
            System(
                name,
                replies[name],
                {"checkpoint": "checkpoint_best.pt", "note": NASTY},
                {"criterion": {"name": name, "beta": 0.9}, "common": {"seed": 1}},
                parse_log(LOG.splitlines()),
            )
            for name in names
        ]
        scores = {"CE": Score(0.5, 0.4, 0.6), "A & <B>": Score(0.7, 0.61, 0.8, 0.0004, True)}
        lengths = {"CE": Score(9.0), "A & <B>": Score(8.0, None, None, 0.01, True)}
        fields: dict[str, Any] = {
            "title": "A <title>",
            "split": "test",
            "decoding": "greedy",
            "contexts": [
                f"<persona> i like zebras . <partner> hello {index} ?" for index in range(NUM_EXAMPLES)
            ],
            "references": [
                f"zebra {NASTY}" if index == 7 else f"reply {index}" for index in range(NUM_EXAMPLES)
            ],
            "systems": systems,
            "scores": ScoreTable(
                [
                    ScoreRow("macro F (%)", "mean", scores),
                    ScoreRow("length (words)", "of a reply", lengths, None),
                ],
                "CE",
                "By hand.",
                {"seed": 1},
            ),
            "rare": RareWords({"quokka": 3, "zebra": 25}, frozenset({"quokka", "zebra", "reply"}), "by hand"),
            "analysis": analysis,
            "manifest": {"note": NASTY},
            "missing": {"configuration": [f"Something: {NASTY}"]},
        }
        return Report(**{**fields, **changes})

    return make


@pytest.fixture(scope="session")
def report(make_report: Callable[..., Report]) -> Report:
    """The report as it is."""
    return make_report()


@pytest.fixture(scope="session")
def html(report: Report) -> str:
    """The page of the report."""
    return render(report)
