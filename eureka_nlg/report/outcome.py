"""The outcome of a comparison, in a few sentences."""

from __future__ import annotations

from eureka_nlg.report.model import ImageReport, Report, ScoreRow, ScoreTable

__all__ = ["outcome"]


def outcome(report: Report) -> list[str]:
    """The sentences at the top of the page: one for each system that is compared with the baseline.

    They name only differences that were tested and are significant.
    """
    table = report.scores
    if table is None:
        return []
    if isinstance(report, ImageReport) and len(report.systems) > 1:
        return _of_images(report, table)
    main = table.groups()[0][1] if table.metrics else []
    first = report.systems[0].name
    if len(report.systems) == 1 or table.baseline is None:
        shown = ", ".join(f"{row.label} {_value(row, first)}" for row in main if first in row.scores)
        return [f"{first}: {shown}."] if shown else []
    others = [system.name for system in report.systems if system.name != table.baseline]
    return [_compared(table, name, table.baseline) for name in others]


def _of_images(report: ImageReport, table: ScoreTable) -> list[str]:
    """The scores of each run beside those of the first; nothing is tested."""
    first, *others = (system.name for system in report.systems)
    accuracy, _, calibration = (rows for _, rows in table.groups())
    sentences = []
    for name in others:
        parts = [f"{row.label} {_value(row, first)} → {_value(row, name)}" for row in accuracy]
        error = next(row for row in calibration if row.label == "all")
        sentences.append(
            f"{name} against {first}: accuracy {', '.join(parts)}; calibration error "
            f"{_value(error, first)} → {_value(error, name)}."
        )
    return [*sentences, "There is one run of each: with another seed, small differences may be reversed."]


def _compared(table: ScoreTable, name: str, baseline: str) -> str:
    tested = [row for row in table.metrics if name in row.scores and row.scores[name].p_value is not None]
    real = [row for row in tested if row.scores[name].significant]
    better = [row for row in real if row.is_better(name, baseline)]
    worse = [row for row in real if row.is_better(name, baseline) is False]
    other = [row for row in real if row.is_better(name, baseline) is None]
    if not real:
        sentence = f"{name} and {baseline}: none of the {len(tested)} scores differs by more than chance"
    else:
        parts = [
            f"{word} in {len(rows)} ({_named(rows, name, baseline)})"
            for word, rows in (("better", better), ("worse", worse), ("different", other))
            if rows
        ]
        rest = len(tested) - len(real)
        sentence = f"{name} against {baseline}, of {len(tested)} scores: {', '.join(parts)}"
        sentence += f"; the other {rest} may differ by chance" if rest else ""
    return f"{sentence}."


def _named(rows: list[ScoreRow], name: str, baseline: str, most: int = 3) -> str:
    """The first few rows with their values; the table begins with the most important ones."""
    shown = ", ".join(f"{row.label} {_value(row, baseline)} → {_value(row, name)}" for row in rows[:most])
    return f"{shown} …" if len(rows) > most else shown


def _value(row: ScoreRow, name: str) -> str:
    return f"{row.scores[name].value:,.{row.digits}f}"
