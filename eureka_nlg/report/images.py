"""Collect a report on image classifiers from the files that `eureka vision train` leaves in their folders.

from eureka_nlg.report.images import image_report
from eureka_nlg.report.page import write_page
write_page(image_report(["runs/cifar10_lt/ce", "runs/cifar10_lt/el"]), "report.html")
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from eureka_nlg.analysis import Document, merged_analysis, read_analysis
from eureka_nlg.durations import duration
from eureka_nlg.errors import UserError
from eureka_nlg.metrics.classes.shares import wilson_interval
from eureka_nlg.report.model import ImageReport, Score, ScoreRow, ScoreTable, System
from eureka_nlg.report.scores import score_table_of
from eureka_nlg.runs.names import run_names
from eureka_nlg.shapes_of_json import ANY, PERCENT, SCORE, TEXT, WHOLE, each
from eureka_nlg.training_log import TrainingLog
from eureka_nlg.vision.classification.runs import ANALYSIS
from eureka_nlg.vision.predictions_file import PREDICTIONS, compare_runs
from eureka_nlg.vision.run_folder import CHECKPOINT, CONFIG, RESULT, read_result, task_of_run
from eureka_nlg.vision.training.log import read_log

__all__ = ["image_report", "is_image_run"]

_GROUPS = {
    "all": "all classes",
    "many": "more than 100 training images",
    "medium": "20 to 100",
    "few": "below 20",
}
_BOOKKEEPING = {"epoch", "step", "learning_rate", "seconds", "seconds_per_step", "waiting_for_data"}
_LAST = "All scores are of the last epoch, on the test images."
_METHOD = (
    f"{_LAST} The intervals are Wilson's 95 % intervals for these test images; they say nothing about other "
    "seeds. There are no p-values, because not all of these runs have kept their predictions."
)
_ROWS = {  # metric of a comparison -> row
    "accuracy_natural": "natural",
    "likelihood": "likelihood_all",
    "calibration_error": "calibration_error_all",
}


_RESULT_SHAPE = {
    "epoch": WHOLE,
    "accuracy": dict.fromkeys((*_GROUPS, "natural"), PERCENT),
    "likelihood": each(PERCENT),
    "calibration_error": each(PERCENT),
    "test_images": dict.fromkeys(_GROUPS, WHOLE),
    "class_counts": [WHOLE],
    "accuracy_of_class": [PERCENT],
    "confusion_of_groups": each(each(PERCENT)),
    "training_seconds": SCORE,
    "device": TEXT,
    "versions": each(TEXT),
    "config": each(ANY),
}


def is_image_run(path: str | os.PathLike[str]) -> bool:
    """Whether a folder is a run of `eureka vision`, finished or not."""
    return (Path(path) / CONFIG).is_file() and any(
        (Path(path) / name).is_file() for name in (CHECKPOINT, RESULT)
    )


def image_report(
    runs: Sequence[str | os.PathLike[str]],
    names: Sequence[str] | None = None,
    title: str = "Image classifiers compared",
) -> ImageReport:
    """Read finished runs of `eureka vision train`; the others are compared with the first.

    Args:
        runs: their folders.
        names: names of the runs on the page; None for those of their folders.
        title: of the page.

    Raises:
        UserError: a run that is not finished, is one of detection, or was trained or tested on other images
            than the first.
    """
    paths = dict(zip(run_names([os.fspath(run) for run in runs], names), map(Path, runs)))
    results = {name: _result(path) for name, path in paths.items()}
    first = next(iter(results))
    for name, result in results.items():
        for key, what in (("class_counts", "training images"), ("test_images", "test images")):
            if result[key] != results[first][key]:
                raise UserError(
                    f"run {paths[name]}: its {what} by class differ from those of {paths[first]}; expected "
                    "runs on the same data"
                )
    missing: dict[str, list[str]] = {}
    scores = ScoreTable(list(_scores(results)), method=_METHOD)
    if all((path / PREDICTIONS).is_file() for path in paths.values()):
        scores = _tested(scores, paths)
    return ImageReport(
        title=title,
        split="test",
        decoding="",
        contexts=(),
        references=(),
        systems=[_system(name, path, results[name], missing) for name, path in paths.items()],
        scores=scores,
        analysis=_analysis(paths, missing),
        missing=missing,
        class_counts=results[first]["class_counts"],
        accuracy_of_class={name: result["accuracy_of_class"] for name, result in results.items()},
        confusion={name: result["confusion_of_groups"] for name, result in results.items()},
    )


def _result(path: Path) -> dict[str, Any]:
    if not is_image_run(path):
        raise UserError(
            f"run {path}: not a run of `eureka vision`, as others are: give one kind of run per report"
        )
    if task_of_run(path) != "classification":
        raise UserError(
            f"run {path}: is a run of detection, which has no report: its scores are in {path / RESULT}"
        )
    if not (path / RESULT).is_file():
        raise UserError(
            f"run {path}: has no {RESULT}, so it is not finished: give its command `eureka vision train` "
            "again"
        )
    result = read_result(path, _RESULT_SHAPE)
    if len(result["class_counts"]) != len(result["accuracy_of_class"]):
        raise UserError(f"{path / RESULT}: class_counts and accuracy_of_class differ in length")
    return result


def _system(name: str, path: Path, result: Mapping[str, Any], missing: dict[str, list[str]]) -> System:
    config, versions = result["config"], result["versions"]
    facts = {
        "checkpoint": str(path / CHECKPOINT),
        "epochs": str(result["epoch"]),
        "training": f"{duration(result['training_seconds'] or 0)} on {result['device']}",
        "software": ", ".join(f"{package} {version}" for package, version in versions.items()),
    }
    curves: dict[str, dict[str, dict[int, float]]] = {}
    for entry in read_log(path / "log.jsonl"):
        for key, value in entry.items():
            if key not in _BOOKKEEPING and value is not None:
                measure, split = ("training_loss", "train") if key == "loss" else (key, "test")
                curves.setdefault(measure, {}).setdefault(split, {})[entry["epoch"]] = value
    if not curves:
        missing.setdefault("training", []).append(
            f"No training curves of {name}: {path / 'log.jsonl'} is empty."
        )
    return System(name, (), facts, _sections(config), TrainingLog(curves) if curves else None)


def _sections(config: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The options by section; those outside of any section are in ``"run"``."""
    sections: dict[str, dict[str, Any]] = {"run": {}}
    for key, value in config.items():
        if isinstance(value, Mapping):
            sections[key] = dict(value)
        else:
            sections["run"][key] = value
    return sections


def _scores(results: Mapping[str, Mapping[str, Any]]) -> list[ScoreRow]:
    rows = []
    for key, title, better in (
        ("accuracy", "Accuracy (%)", True),
        ("likelihood", "Mean likelihood of the right class (%)", True),
        ("calibration_error", "Expected calibration error (%)", False),
    ):
        for group, meaning in _GROUPS.items():
            scores = {
                name: _score(result[key][group], result["test_images"][group] if key == "accuracy" else 0)
                for name, result in results.items()
                if result[key].get(group) is not None
            }
            if scores:
                rows.append(ScoreRow(group, meaning, scores, better, f"{key}_{group}", title))
        if key == "accuracy":
            natural = {name: Score(result[key]["natural"]) for name, result in results.items()}
            rows.append(
                ScoreRow("natural", "weighted by training frequency", natural, True, "natural", title)
            )
    return rows


def _tested(table: ScoreTable, paths: Mapping[str, Path]) -> ScoreTable:
    """The table with intervals and p-values from the predictions for the single images."""
    tested = score_table_of(compare_runs(paths))
    by_key = {_ROWS.get(row.key, row.key): row.scores for row in tested.metrics}
    rows = [replace(row, scores=by_key.get(row.key, row.scores)) for row in table.metrics]
    return replace(tested, metrics=rows, method=f"{_LAST} {tested.method}")


def _score(percent: float, num_images: int) -> Score:
    """A score with the interval of a share of so many images; without an interval for 0."""
    if num_images == 0:
        return Score(percent)
    return Score(percent, *wilson_interval(percent, num_images))


def _analysis(paths: Mapping[str, Path], missing: dict[str, list[str]]) -> Document | None:
    try:
        return merged_analysis({name: read_analysis(path / ANALYSIS) for name, path in paths.items()})
    except (UserError, OSError) as error:
        for section in ("likelihood", "frequency"):
            missing.setdefault(section, []).append(f"No likelihoods by group: {error}.")
        return None
