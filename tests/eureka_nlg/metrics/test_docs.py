"""``docs/metrics.md``: its examples, and its table of facts, are what the code computes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from eureka_nlg.metrics import count_ngrams, find_metric, score_replies
from eureka_nlg.metrics.replies.catalogue import all_metrics

TEXT = (Path(__file__).parents[3] / "docs" / "metrics.md").read_text(encoding="utf-8")
KNOW = ["i do not know .", "i do not know .", "i sail .", "no ."]


@pytest.mark.parametrize(
    ("key", "replies", "references"),
    [
        ("macro_f", ["i like tea"], ["i like green tea"]),
        ("micro_f", ["i like tea"], ["i like green tea"]),
        ("parlai_f1", ["The cat!", "yes"], ["a black cat", "no"]),
        ("bleu", ["a b c d e"], ["a b c d f"]),
        ("chrf", ["abc"], ["ab"]),
        ("rouge_l", ["i drink tea"], ["I like green tea!"]),
        ("diversity_2", ["a b a b"], [""]),
        ("reply_diversity_1", ["no no no no", "oh well"], ["", ""]),
        ("ead_1", ["a b", "a"], ["a", "b"]),
        ("entropy_1", ["a b a b"], [""]),
        ("novelty_2", ["a b c", "a b"], ["", ""]),
        ("mean_length", KNOW, KNOW),
        ("copies", KNOW, KNOW),
    ],
)
def test_examples(key: str, replies: list[str], references: list[str]) -> None:
    seen = count_ngrams(["x a b"], 2) if key.startswith("novelty") else None
    value = score_replies(replies, references, metrics=[key], training_ngrams=seen).scores[key]
    for text in (*replies, *references):
        assert text in TEXT
    metric = find_metric(key)
    assert metric is not None
    assert re.search(rf"= {value:.2f}{' %' if metric.unit == '%' else ''}(?![.\d])", TEXT), value


def test_facts() -> None:
    rows = [line.strip("| ").split(" | ") for line in TEXT.splitlines() if line.startswith("| `")]
    found = {}
    for keys, _, unit, span, better, resampling in rows[:15]:
        for key in re.findall("`(.+?)`", keys):
            if "BAND" not in key:
                found[key] = unit, span, better, resampling
    described = {}
    for key in all_metrics(novelty=4):
        metric = find_metric(key)
        assert metric is not None
        span = "0 upwards" if metric.most == float("inf") else f"0 to {metric.most:.0f}"
        name = key if metric.n is None else f"{metric.family}_N"
        described[name] = metric.unit, span, metric.better or "neither", metric.resampling
    assert found == described
