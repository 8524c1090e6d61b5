"""Names of metrics: those that exist, groups of them, and what they need."""

from __future__ import annotations

from typing import Any

import pytest

from eureka_nlg.errors import UserError
from eureka_nlg.metrics import default_metrics, find_metric, select_metrics
from eureka_nlg.metrics.replies.catalogue import GROUPS, all_metrics

KNOWN: dict[str, Any] = {"bands": ("head", "tail"), "novelty": 3}


def test_every_name_is_described() -> None:
    for key in all_metrics(**KNOWN):
        metric = find_metric(key)
        assert metric is not None
        assert metric.key == key
        assert metric.label
        assert metric.description
        assert "{" not in metric.label + metric.description
    assert set(default_metrics(**KNOWN)) <= set(all_metrics(**KNOWN))


def test_names_with_a_number_or_a_band() -> None:
    metric = find_metric("reply_diversity_12")
    assert metric is not None
    assert (metric.family, metric.n, metric.band) == ("reply_diversity", 12, None)
    metric = find_metric("micro_f_band_2")
    assert metric is not None
    assert (metric.family, metric.n, metric.band) == ("micro_f", None, "band_2")


@pytest.mark.parametrize("key", ["", "f", "diversity", "diversity_0", "diversity_x", "recall", "ppl", "BLEU"])
def test_other_names_are_none(key: str) -> None:
    assert find_metric(key) is None


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["bleu", "macro_f", "bleu"], ["bleu", "macro_f"]),
        (["diversity"], ["diversity_1", "diversity_2", "diversity_3", "diversity_4"]),
        (["entropy_2", "entropy"], ["entropy_2", "entropy_1", "entropy_3", "entropy_4"]),
        (
            ["bands", "recall_unseen"],
            ["macro_f_head", "macro_f_tail", "micro_f_head", "micro_f_tail", "recall_tail", "recall_unseen"],
        ),
        (["novelty"], ["novelty_3"]),
    ],
)
def test_selection(names: list[str], expected: list[str]) -> None:
    assert select_metrics(names, **KNOWN) == expected


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("distinct-2", "diversity_2"),
        ("dist-1", "diversity_1"),
        ("Dist_3", "diversity_3"),
        ("intra-dist-2", "reply_diversity_2"),
        ("ent-4", "entropy_4"),
        ("ROUGE-L", "rouge_l"),
        ("rougeL", "rouge_l"),
        ("BLEU", "bleu"),
        ("chrF2", "chrf"),
        ("macro-F", "macro_f"),
        ("macro_f_head", "macro_f_head"),
    ],
)
def test_names_of_the_field(name: str, key: str) -> None:
    assert select_metrics([name, key], **KNOWN) == [key]


def test_names_of_the_field_for_groups() -> None:
    assert select_metrics(["distinct"]) == select_metrics(["diversity"])


def test_a_band_may_have_any_name() -> None:
    assert select_metrics(["macro_f_Top-10"], bands=("Top-10", "rest")) == ["macro_f_Top-10"]


def test_facts() -> None:
    facts = {key: find_metric(key) for key in ("copies", "mean_length", "entropy_2", "novelty_3", "macro_f")}
    assert {
        key: (metric.unit, metric.better, metric.resampling) for key, metric in facts.items() if metric
    } == {
        "copies": ("%", "less", "jackknife"),
        "mean_length": ("words", None, "bootstrap"),
        "entropy_2": ("nats", "more", "jackknife"),
        "novelty_3": ("%", None, "bootstrap"),
        "macro_f": ("%", "more", "jackknife"),
    }
    assert {key for key in all_metrics() if find_metric(key).most > 100} == {  # type: ignore[union-attr]
        "mean_length",
        *(f"{family}_{n}" for family in ("ead", "entropy") for n in range(1, 5)),
    }


def test_all() -> None:
    assert select_metrics(["all"], **KNOWN) == all_metrics(**KNOWN)
    for group in GROUPS:
        assert set(select_metrics([group], **KNOWN)) <= set(all_metrics(**KNOWN))
    assert "novelty_3" not in select_metrics(["all"])


@pytest.mark.parametrize(
    ("names", "known", "message"),
    [
        (["macro"], {}, "no metric 'macro' .did you mean macro_f.., expected some of: macro_f, micro_f"),
        (["self-bleu"], {}, "no metric 'self-bleu' .replies that repeat one another are what copies"),
        (["bleurt"], {}, "no metric 'bleurt' .did you mean bleu.., expected some of"),
        (["macro_f_torso"], KNOWN, "no metric 'macro_f_torso' .*expected some of: .*macro_f_head"),
        (["macro_f_head"], {}, "'macro_f_head' needs training counts"),
        (["bands"], {}, "'bands' needs training counts"),
        (["novelty_4"], {}, "'novelty_4' needs the training targets"),
        (["novelty"], {}, "'novelty' needs the training targets"),
        (["novelty_4"], KNOWN, "'novelty_4' needs other n-grams than the given 3-grams"),
    ],
)
def test_bad_selection(names: list[str], known: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        select_metrics(names, **known)
