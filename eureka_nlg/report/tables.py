"""Make the tables of a report from the data that it holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from eureka_nlg.report.model import Report

__all__ = ["GroupRow", "TrainingTable", "group_table", "groups_of", "training_table"]


@dataclass(frozen=True)
class TrainingTable:
    """Validation and training perplexity by epoch.

    Attributes:
        systems: the systems that have a log.
        rows: epoch -> (validation, training) of each system; None where it was not logged.
        best: system -> epoch of lowest validation perplexity.
    """

    systems: list[str]
    rows: dict[int, list[tuple[float | None, float | None]]]
    best: dict[str, int]


@dataclass(frozen=True)
class GroupRow:
    """Statistics of one system, split and frequency group."""

    system: str
    split: str
    group: str
    statistics: Mapping[str, Any]


def training_table(report: Report) -> TrainingTable | None:
    """The perplexity of each epoch, if anything was logged."""
    logs = {system.name: system.log for system in report.systems if system.log and "ppl" in system.log.curves}
    curves = {name: log.curves["ppl"] for name, log in logs.items()}
    valid = {name: curve[subset] for name, curve in curves.items() if (subset := _valid_subset(curve))}
    epochs = sorted({epoch for curve in curves.values() for points in curve.values() for epoch in points})
    if not epochs:
        return None
    rows = {
        epoch: [
            (valid.get(name, {}).get(epoch), curve.get("train", {}).get(epoch))
            for name, curve in curves.items()
        ]
        for epoch in epochs
    }
    return TrainingTable(
        list(curves), rows, {name: min(curve, key=curve.__getitem__) for name, curve in valid.items()}
    )


def group_table(report: Report) -> list[GroupRow]:
    """The statistics of every system, split and frequency group of the analysis."""
    if report.analysis is None:
        return []
    return [
        GroupRow(name, split, group, groups[group])
        for name, system in report.analysis["systems"].items()
        for split, groups in system["splits"].items()
        for group in groups_of(report.analysis)
        if group in groups
    ]


def groups_of(analysis: Mapping[str, Any]) -> list[str]:
    """The frequency groups that a document of :mod:`eureka_nlg.analysis` has numbers for, in its order."""
    present = {
        group
        for system in analysis["systems"].values()
        for groups in system["splits"].values()
        for group in groups
    }
    return [group for group in (*analysis["groups"]["names"], "unseen", "all") if group in present]


def _valid_subset(curves: Mapping[str, Mapping[int, float]]) -> str | None:
    """The validation subset that is shown: ``valid``, else the first that is not training data."""
    subsets = [split for split, points in curves.items() if split != "train" and points]
    return "valid" if "valid" in subsets else next(iter(subsets), None)
