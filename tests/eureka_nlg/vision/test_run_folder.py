"""The folder of a run: held by one command, read back with care, and its files never replaced by others."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from eureka_nlg.errors import UserError
from eureka_nlg.files import exclusive
from eureka_nlg.vision.classification import runs
from eureka_nlg.vision.detection import runs as detection_runs
from eureka_nlg.vision.run_folder import make_accelerator, own_output, task_of_run

CLASSIFICATION = {
    "epoch": 3,
    "accuracy": {"all": 50, "many": 60.5, "medium": None, "few": 0, "natural": 55},
    "calibration_error": {"all": 3.5},
    "likelihood": {"all": 40},
    "waiting_for_data": None,
    "config": {},
}
DETECTION = {
    "updates": 3,
    "overall": {"AP": 5.5},
    "classes": [{"name": "cat", "AP": None, "AP50": 4, "training_boxes": 3, "evaluation_boxes": 0}],
    "groups": {"rare": {"AP": None, "classes": 2}},
    "waiting_for_data": 0.1,
    "config": {},
}


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The way to every value inside."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, item in inner for place in places(item, (*path, key)))]


@pytest.mark.parametrize(
    ("read", "good"), [(runs.read_result, CLASSIFICATION), (detection_runs.read_result, DETECTION)]
)
def test_a_result_is_checked_before_it_is_used(read: Any, good: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "evaluation.json"
    path.write_text(json.dumps(good))
    assert read(tmp_path) == good
    wrong: list[Any] = ["text", [[]], True, float("nan"), {"x": []}]
    refused = 0
    for place in places(good):
        if "config" in place:
            continue
        for value in wrong:
            changed: Any = {"root": copy.deepcopy(good)}
            target = changed
            for key in ("root", *place)[:-1]:
                target = target[key]
            target[("root", *place)[-1]] = value
            path.write_text(json.dumps(changed["root"]))
            if place[-1:] == ("name",) and value == "text":
                assert read(tmp_path)
                continue
            with pytest.raises(
                UserError, match=rf"^{path}: .*; `eureka vision` did not write this file: remove it"
            ):
                read(tmp_path)
            refused += 1
    assert refused > 50
    path.write_text("{")
    with pytest.raises(UserError, match=f"{path}: is no JSON"):
        read(tmp_path)


def test_scores_never_take_the_place_of_something_else(tmp_path: Path) -> None:
    for name in ("checkpoint.pt", "config.yaml", "evaluation.json", "analysis.json", "log.jsonl"):
        with pytest.raises(UserError, match=rf"--json .*{name}: is one of the run's own files"):
            own_output(tmp_path / name, tmp_path)
    with pytest.raises(UserError, match=r"--predictions .*predictions.npz: is one of the run's own files"):
        own_output(tmp_path / "predictions.npz", tmp_path, "--predictions", "predictions")
    (tmp_path / "epoch001.pt").write_bytes(b"PK\x03\x04...")
    with pytest.raises(UserError, match=r"epoch001.pt: exists and is a zip archive"):
        own_output(tmp_path / "epoch001.pt", tmp_path)
    (tmp_path / "other.json").write_text('{"a": 1}')
    with pytest.raises(UserError, match="is JSON of something else"):
        own_output(tmp_path / "other.json", tmp_path)
    (tmp_path / "scores.json").write_text(json.dumps(CLASSIFICATION))
    own_output(tmp_path / "scores.json", tmp_path)
    own_output(tmp_path / "new.json", tmp_path)
    own_output(None, tmp_path)


def test_a_second_command_in_a_folder_is_refused(make_config: Any, tmp_path: Path) -> None:
    config = make_config()
    with exclusive(config.save_dir), pytest.raises(UserError, match="another process is writing it"):
        runs.train_run(config)
    assert not Path(config.save_dir).exists()  # nothing was written, so it went with its lock
    bad = make_config(f"data.source={tmp_path / 'nowhere'}")
    with pytest.raises(UserError, match="no such folder"):
        runs.train_run(bad)
    assert not Path(config.save_dir).exists()  # nothing was written


def test_the_task_of_a_run(tmp_path: Path) -> None:
    assert task_of_run(tmp_path) == "classification"
    (tmp_path / "config.yaml").write_text("task: detection\nseed: 1\n")
    assert task_of_run(tmp_path) == "detection"
    (tmp_path / "config.yaml").write_text("task: [\n")
    with pytest.raises(UserError, match="not valid YAML"):
        task_of_run(tmp_path)


def test_trackers_of_accelerate(make_config: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    tracking = pytest.importorskip("accelerate.tracking")
    with pytest.raises(UserError, match=r"training.trackers: paper, expected some of aim, .*, wandb"):
        make_accelerator(make_config("training.trackers=[paper]").training)
    monkeypatch.setattr(tracking, "_available_trackers", [])
    with pytest.raises(UserError, match=r"training.trackers: wandb is not installed: pip install wandb"):
        make_accelerator(make_config("training.trackers=[wandb]").training)

    told: list[Any] = []

    class Noted(tracking.GeneralTracker):  # type: ignore[misc, name-defined]
        name = "wandb"
        requires_logging_directory = False

        def __init__(self, run_name: str, **more: Any) -> None:
            super().__init__()
            told.append(run_name)

        @property
        def tracker(self) -> Any:
            return self

        def start(self) -> None:
            pass

        def store_init_configuration(self, values: dict[str, Any]) -> None:
            told.append(values["training.batch_size"])

        def log(self, values: dict[str, Any], step: int | None = None, **more: Any) -> None:
            told.append((step, values["epoch"], "accuracy.all" in values))

        def finish(self) -> None:
            told.append("end")

    accelerator_module = pytest.importorskip("accelerate.accelerator")
    for module in (tracking, accelerator_module):
        monkeypatch.setitem(module.LOGGER_TYPE_TO_CLASS, "wandb", Noted)
    monkeypatch.setattr(tracking, "_available_trackers", [tracking.LoggerType.WANDB])
    config = make_config("training.trackers=[wandb]")
    runs.train_run(config)
    assert told == ["eureka-nlg", 16, (4, 1, False), (8, 2, True), "end"]
    assert not (Path(config.save_dir) / "tensorboard").exists()
