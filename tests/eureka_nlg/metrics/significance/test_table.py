"""The table of a comparison whose numbers are written down here."""

from __future__ import annotations

from dataclasses import replace

import pytest

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


def test_marks_what_is_significant_and_says_which_way() -> None:
    lines = significance_table(made_up((0.001, 0.3))).splitlines()
    assert [cell.strip() for cell in lines[0].split("  ") if cell] == [
        *("metric", "CE", "Eureka", "difference", "p")
    ]
    assert lines[2].split("  ")[0] == "macro F (%)"
    assert "1.23 [1.10, 1.30]" in lines[2]
    assert lines[2].endswith("2.50 [2.25, 2.75]  +1.00 [+0.50, +1.50]  0.001 ▲")
    assert lines[3].startswith("4-gram diversity (%)")
    assert lines[3].rstrip().endswith("11.00 [10.00, 12.00]  +1.00 [+0.50, +1.50]  0.300")
    assert "500 pairs" in lines[4]
    assert "▲ better, ▼ worse, * different from CE with p < 0.05 by approximate randomisation" in lines[4]
    assert "999 resamples, seed 3" in lines[4]
    assert lines[5].startswith("not corrected for 2 comparisons: ")
    assert lines[6] == "meteor: METEOR needs WordNet"
    assert len(lines) == 7


@pytest.mark.parametrize(
    ("metric", "difference", "mark"),
    [("macro_f", -1, "▼"), ("copies", 1, "▼"), ("copies", -1, "▲"), ("mean_length", 1, "*")],
)
def test_direction(metric: str, difference: float, mark: str) -> None:
    comparison = made_up((0.001, 0.3))
    scores = {metric: comparison.scores["macro_f"]}
    found = Difference(difference, difference - 0.5, difference + 0.5, 0.5, p_randomisation=0.001)
    lines = significance_table(replace(comparison, scores=scores, differences={metric: {"Eureka": found}}))
    assert lines.splitlines()[2].endswith(f"0.001 {mark}")


def test_narrow_intervals_have_more_digits() -> None:
    comparison = made_up((0.001, 0.3))
    scores = {"macro_f": {"CE": Estimate(0.1416, 0.1391, 0.1432), "Eureka": Estimate(0.1422, 0.1412, 0.1451)}}
    found = Difference(0.0006, -0.0004, 0.0016, 0.5, p_randomisation=0.2)
    table = significance_table(replace(comparison, scores=scores, differences={"macro_f": {"Eureka": found}}))
    assert "0.1416 [0.1391, 0.1432]" in table
    assert "+0.0006 [-0.0004, +0.0016]" in table


def test_holm_takes_marks_away() -> None:
    comparison = made_up((0.04, 0.03))
    assert significance_table(comparison).count("▲") == 3  # the legend has one
    corrected = significance_table(comparison, "holm")
    assert corrected.count("▲") == 1
    assert corrected.count("  0.060") == 2
    assert "Holm's correction" in corrected
    assert "not corrected" not in corrected


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
    assert "better" not in table
    assert table.splitlines()[0].split() == ["metric", "CE"]


def test_three_systems_stand_below_each_other() -> None:
    comparison = made_up((0.001, 0.3))
    scores = {
        metric: {**by_system, "third": Estimate(0.5, 0.25, 0.75)}
        for metric, by_system in comparison.scores.items()
    }
    differences = {
        metric: {**by_system, "third": Difference(-1.0, -1.5, -0.5, p_resampling=0.5, p_randomisation=0.002)}
        for metric, by_system in comparison.differences.items()
    }
    three = replace(comparison, scores=scores, differences=differences, systems=("CE", "Eureka", "third"))
    lines = significance_table(three).splitlines()
    cells = [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in lines[:8]]
    assert cells[0] == ["metric", "system", "score", "difference", "p"]
    assert len(lines[1].split()) == 5  # no sixth column
    assert cells[2] == ["macro F (%)", "CE", "1.23 [1.10, 1.30]"]
    assert cells[3] == ["Eureka", "2.50 [2.25, 2.75]", "+1.00 [+0.50, +1.50]", "0.001 ▲"]
    assert cells[4] == ["third", "0.50 [0.25, 0.75]", "-1.00 [-1.50, -0.50]", "0.002 ▼"]
    assert cells[5][:2] == ["4-gram diversity (%)", "CE"]
    assert max(map(len, lines[:8])) < 100
    assert "not corrected for 4 comparisons" in significance_table(three)


def only(metric: str, difference: Difference, **signature: object) -> Comparison:
    """A comparison of one metric."""
    comparison = made_up((0.5, 0.5), SIGNATURE | signature)
    scores = {metric: comparison.scores["macro_f"]}
    return replace(comparison, scores=scores, differences={metric: {"Eureka": difference}})


@pytest.mark.parametrize(
    ("confidence", "p_value", "mark"), [(50, 0.5, ""), (50, 0.499, "▲"), (95, 0.0505, ""), (95, 0.0495, "▲")]
)
def test_a_p_value_is_significant_below_the_level(confidence: float, p_value: float, mark: str) -> None:
    found = Difference(1.0, 0.5, 1.5, p_resampling=0.9, p_randomisation=p_value)
    row = significance_table(only("macro_f", found, confidence=confidence)).splitlines()[2]
    assert row.rstrip().endswith(f"{p_value:.3f} {mark}".rstrip())


def test_a_metric_without_a_name_has_its_key_and_no_better_direction() -> None:
    found = Difference(1.0, 0.5, 1.5, p_resampling=0.9, p_randomisation=0.001)
    row = significance_table(only("my_metric", found)).splitlines()[2]
    assert row.split()[0] == "my_metric"
    assert row.endswith("0.001 *")


def test_no_difference_is_neither_better_nor_worse() -> None:
    found = Difference(0.0, 0.0, 0.0, p_resampling=0.9, p_randomisation=0.001)
    assert (
        significance_table(only("macro_f", found)).splitlines()[2].endswith("+0.00 [+0.00, +0.00]  0.001 *")
    )


def test_a_single_comparison_needs_no_correction() -> None:
    found = Difference(1.0, 0.5, 1.5, p_resampling=0.9, p_randomisation=0.001)
    assert "not corrected" not in significance_table(only("macro_f", found))


@pytest.mark.parametrize(
    ("width", "shown"),
    [
        (2.0, "1.00 [1.00, 3.00]"),
        (0.09, "1.000 [1.000, 1.090]"),
        (0.002, "1.0000 [1.0000, 1.0020]"),
        (0.0003, "1.00000 [1.00000, 1.00030]"),
        (0.0000004, "1.00000 [1.00000, 1.00000]"),
        (0.0, "1.00 [1.00, 1.00]"),
    ],
)
def test_digits_show_two_of_the_narrowest_interval(width: float, shown: str) -> None:
    scores = {"macro_f": {"CE": Estimate(1.0, 1.0, 1.0 + width), "Eureka": Estimate(1.0, 1.0, 1.0)}}
    found = Difference(1.0, 1.0, 1.0 + 3 * width, p_resampling=0.9, p_randomisation=0.9)
    table = significance_table(replace(only("macro_f", found), scores=scores))
    assert shown in table.splitlines()[2]
