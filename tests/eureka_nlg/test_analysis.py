"""The analysis document: its blocks against plain formulas, and what is refused when it is read."""

from __future__ import annotations

import copy
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eureka_nlg.analysis import (
    analysis_document,
    check_analysis,
    corpus_block,
    encouragement_block,
    encouragement_label,
    read_analysis,
    system_block,
)
from eureka_nlg.errors import UserError
from eureka_nlg.frequency import EncouragementOptions
from eureka_nlg.metrics.classes.bands import FrequencyBands
from eureka_nlg.metrics.classes.likelihood import group_likelihood

COUNTS = [7, 400, 0, 60, 1, 7]


def document() -> dict[str, Any]:
    bands = FrequencyBands.by_count(COUNTS)
    groups = group_likelihood([1, 3], np.log([0.9, 0.25]), [True, False], bands)
    systems = {"CE": system_block({"test": groups}, checkpoint="ce.pt")}
    curves = {"beta 0.9": encouragement_block(COUNTS, EncouragementOptions(0.9))}
    return analysis_document(bands, systems, corpus_block(COUNTS), curves)


def test_the_document_survives_json(tmp_path: Path) -> None:
    path = tmp_path / "analysis.json"
    path.write_text(json.dumps(document(), allow_nan=False))
    found = read_analysis(path)
    assert found == document()
    assert found["version"] == 1
    assert found["groups"]["names"] == ["many", "medium", "few"]
    assert found["groups"]["classes"] == {"many": 1, "medium": 1, "few": 3}
    system = found["systems"]["CE"]
    assert system["checkpoint"] == "ce.pt"
    assert system["splits"]["test"]["many"]["mean_likelihood"] == pytest.approx(0.9)
    assert system["splits"]["test"]["medium"]["perplexity"] == pytest.approx(4.0)
    assert system["splits"]["test"]["few"] == {
        "count": 0,
        "mean_likelihood": None,
        "perplexity": None,
        "accuracy": None,
        "share_above_half": None,
        "histogram": [0] * 20,
    }
    assert system["splits"]["test"]["all"]["count"] == 2


def test_corpus() -> None:
    assert corpus_block(COUNTS) == {
        "counts": [400, 60, 7, 7, 1],
        "ranks": [1, 2, 3, 4, 5],
        "num_types": 5,
        "num_tokens": 475,
        "imbalance_ratio": 400.0,
    }


def test_a_long_tail_is_thinned_out() -> None:
    counts = np.arange(1, 50_001)
    found = corpus_block(np.random.default_rng(0).permutation(counts))
    assert found["num_types"] == 50_000
    assert found["num_tokens"] == counts.sum()
    assert found["ranks"][:3] == [1, 2, 3]
    assert found["ranks"][-1] == 50_000
    assert 500 < len(found["ranks"]) <= 1000
    assert found["counts"] == [50_001 - rank for rank in found["ranks"]]


@pytest.mark.parametrize("normalization", ["mean_measure", "mean_weight"])
def test_encouragement(normalization: Any) -> None:
    found = encouragement_block(COUNTS, EncouragementOptions(0.9, normalization=normalization))
    sizes = {count: (1 - 0.9**count) / (1 - 0.9) for count in (1, 7, 60, 400)}
    occurring = [sizes[count] for count in COUNTS if count]
    factor = (
        math.fsum(occurring) / 5
        if normalization == "mean_measure"
        else 5 / math.fsum(1 / size for size in occurring)
    )
    assert found["counts"] == [1, 7, 60, 400]
    assert found["weights"] == pytest.approx([factor / size for size in sizes.values()], rel=1e-6)
    thrice = encouragement_block(COUNTS, EncouragementOptions(0.9, normalization=normalization, scale=3.0))
    assert thrice["weights"] == pytest.approx([3 * factor / size for size in sizes.values()], rel=1e-6)


def test_labels() -> None:
    mean_weight = EncouragementOptions(0.9999, normalization="mean_weight")
    assert encouragement_label(mean_weight) == "beta 0.9999, mean_weight"
    assert encouragement_label(EncouragementOptions(measure="count")) == "count, mean_measure"
    halved = EncouragementOptions(measure="count", scale=0.5)
    assert encouragement_label(halved) == "count, mean_measure, times 0.5"


def change(path: str, value: Any) -> Any:
    def apply(found: dict[str, Any]) -> None:
        *parents, last = path.split("/")
        for parent in parents:
            found = found[parent]
        found[last] = value

    return apply


@pytest.mark.parametrize(
    ("apply", "message"),
    [
        (change("version", 2), "version is 2, expected 1"),
        (change("groups", []), "groups is list, expected a dict"),
        (change("groups/names", "many"), r"groups\.names is str, expected a list"),
        (change("systems/CE", {}), r"systems\.CE\.splits is nothing"),
        (
            change("systems/CE/splits/test/few/histogram", [1, 2]),
            r"test\.few\.histogram has 2 bins, expected 20",
        ),
        (change("systems/CE/splits/test/few/count", None), r"few\.count is NoneType, expected a int"),
        (change("corpus/ranks", [1]), r"corpus\.counts and corpus\.ranks are not equally long"),
        (change("encouragement/beta 0.9/weights", None), r"beta 0\.9\.weights is NoneType"),
        (change("encouragement", [1]), "encouragement is list, expected a dict"),
        (change("systems/CE/splits/test", [1]), r"splits\.test is list, expected a dict"),
        (change("systems/CE/splits/test/few", "x"), r"few\.count is nothing"),
        (change("systems/CE/splits/test/few/perplexity", "x"), r"few\.perplexity is 'x', expected a number"),
        (
            change("systems/CE/splits/test/few/histogram", ["x"] * 20),
            r"few\.histogram holds .x., expected",
        ),
        (change("corpus/counts", [None]), r"corpus\.counts holds None"),
        (change("corpus/num_types", None), r"corpus\.num_types is None, expected a number"),
        (change("groups/names", [1]), r"groups\.names: expected texts"),
    ],
)
def test_what_is_refused(apply: Any, message: str) -> None:
    found = copy.deepcopy(document())
    apply(found)
    with pytest.raises(UserError, match=f"^here: .*{message}"):
        check_analysis(found, "here")


def test_what_is_no_document(tmp_path: Path) -> None:
    path = tmp_path / "analysis.json"
    for text, message in (("[1]", "version is None"), ("{", "is no JSON")):
        path.write_text(text)
        with pytest.raises(UserError, match=message):
            read_analysis(path)


def test_nothing_counted() -> None:
    with pytest.raises(UserError, match="zero for all of the 2 classes"):
        corpus_block([0, 0])
