"""The scores of an image run as `eureka vision` prints them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from eureka_nlg.errors import require

__all__ = ["groups", "show_classification", "show_detection"]


def groups() -> str:
    """What the rows or columns of accuracies are, besides all images."""
    from eureka_nlg.metrics.classes.bands import FrequencyBands

    return f"{FrequencyBands.by_count([1]).rule}; natural: classes weighted by their training count"


def show_classification(result: dict[str, Any], folder: Path) -> None:
    tabulate = require("tabulate", extra="vision").tabulate
    rows = [
        [
            name,
            *(
                _percent(value)
                for value in (
                    result["accuracy"][name],
                    result["calibration_error"].get(name),
                    result["likelihood"].get(name),
                )
            ),
        ]
        for name in result["accuracy"]
    ]
    tau = result.get("logit_adjustment")
    adjusted = "" if tau is None else f", logit adjustment {tau:g} afterwards"
    exact = ", exact batch statistics" if result.get("exact_batch_norm") else ""
    print(f"{folder}, epoch {result['epoch']}{adjusted}{exact}, in percent:")
    print(
        tabulate(
            rows,
            headers=["images", "accuracy", "calibration error", "likelihood of the right class"],
            disable_numparse=True,
        )
    )
    print(groups())
    _show_waiting(result)


def show_detection(result: dict[str, Any], folder: Path) -> None:
    tabulate = require("tabulate", extra="vision").tabulate
    overall = result["overall"]
    names = [name for name in overall if name.startswith("AP")]
    print(f"{folder}, update {result['updates']}, in percent:")
    print(tabulate([[_percent(overall[name]) for name in names]], headers=names, disable_numparse=True))
    rows = [
        [
            row["name"],
            _percent(row["AP"]),
            _percent(row["AP50"]),
            row["training_boxes"],
            row["evaluation_boxes"],
        ]
        for row in sorted(result["classes"], key=lambda row: -row["training_boxes"])
    ]
    rows += [
        [f"{name} ({group['classes']} classes)", _percent(group["AP"]), "", "", ""]
        for name, group in result["groups"].items()
    ]
    headers = ["class", "AP", "AP50", "training boxes", "evaluation boxes"]
    print("\n" + str(tabulate(rows, headers=headers, disable_numparse=True)))
    _show_waiting(result)


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _show_waiting(result: dict[str, Any]) -> None:
    if result["waiting_for_data"] is not None:
        print(f"{100 * result['waiting_for_data']:.2f} % of the training time was waiting for data")
