"""The table of a comparison whose numbers are written down here."""

from __future__ import annotations

from eureka_nlg.metrics.significance import Comparison, Difference, Estimate, significance_table

SIGNATURE = {"num_resamples": 999, "seed": 3, "confidence": 95, "p_randomisation": "said"}


def made_up(p_values: tuple[float, float], signature: dict[str, object] = SIGNATURE) -> Comparison:
    """Two metrics, two systems."""
    scores = {
        "macro_f": {"CE": Estimate(1.234, 1.1, 1.3), "Eureka": Estimate(2.5, 2.25, 2.75)},
        "diversity_4": {"CE": Estimate(10, 9, 11), "Eureka": Estimate(11, 10, 12)},
    }
    differences = {
        metric: {"Eureka": Difference(1.0, 0.5, 1.5, p_resampling=0.5, p_randomisation=p_value)}
        for metric, p_value in zip(scores, p_values)
    }
    resampling = dict.fromkeys(scores, "jackknife")
    unavailable = {"meteor": "METEOR needs WordNet"}
    return Comparison(scores, differences, ("CE", "Eureka"), "CE", resampling, 500, signature, unavailable)


def test_marks_what_is_significant() -> None:
    lines = significance_table(made_up((0.001, 0.3))).splitlines()
    assert [cell.strip() for cell in lines[0].split("  ") if cell] == ["metric", "CE", "Eureka", "p"]
    assert lines[2].split("  ")[0] == "macro F"
    assert "1.23 [1.10, 1.30]" in lines[2]
    assert lines[2].endswith("2.50 [2.25, 2.75]  0.001 *")
    assert lines[3].startswith("4-gram diversity")
    assert lines[3].rstrip().endswith("11.00 [10.00, 12.00]  0.300")
    assert "500 pairs" in lines[4]
    assert "* differs from CE with p < 0.05 by approximate randomisation" in lines[4]
    assert "999 resamples, seed 3" in lines[4]
    assert lines[5] == "meteor: METEOR needs WordNet"
    assert len(lines) == 6


def test_holm_takes_marks_away() -> None:
    comparison = made_up((0.04, 0.03))
    assert significance_table(comparison).count("*") == 3  # the legend has one
    corrected = significance_table(comparison, "holm")
    assert corrected.count("*") == 1
    assert corrected.count("  0.060") == 2
    assert "Holm's correction" in corrected


def test_without_randomisation_the_resampling_test_marks() -> None:
    signature = SIGNATURE | {"p_randomisation": None}
    comparison = made_up((0.01, 0.01), signature)
    for by_system in comparison.differences.values():
        by_system["Eureka"] = Difference(1.0, 0.5, 1.5, p_resampling=0.2, p_randomisation=None)
    table = significance_table(comparison)
    assert table.count("  0.200") == 2
    assert "by the paired resampling test" in table


def test_one_system() -> None:
    comparison = made_up((0.01, 0.01))
    alone = Comparison(
        {metric: {"CE": by_system["CE"]} for metric, by_system in comparison.scores.items()},
        {metric: {} for metric in comparison.scores},
        *(("CE",), "CE", comparison.resampling, 500, SIGNATURE, {}),
    )
    table = significance_table(alone)
    assert "differs" not in table
    assert table.splitlines()[0].split() == ["metric", "CE"]
