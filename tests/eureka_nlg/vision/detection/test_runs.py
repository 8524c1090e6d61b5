"""Detection runs: exact resumption, what a run leaves, and what stops one before it starts."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from eureka_nlg.errors import MissingExtraError, UserError
from eureka_nlg.vision.config_file import read_config
from eureka_nlg.vision.training import Interrupted
from eureka_nlg.vision.training.checkpoint import load_checkpoint
from eureka_nlg.vision.training.log import TrainingLog, read_log

pytest.importorskip("torchvision")
pycocotools_coco = pytest.importorskip("pycocotools.coco")
pycocotools_eval = pytest.importorskip("pycocotools.cocoeval")

from eureka_nlg.vision.detection.config import DetectionConfig, DetectionDataConfig  # noqa: E402
from eureka_nlg.vision.detection.runs import evaluate_detection_run, train_detection_run  # noqa: E402

ROOT = Path(__file__).resolve().parents[4]
SHAPES = ROOT / "configs" / "vision" / "coco_shapes"
STEPS = 3  # of a round

MakeConfig = Callable[..., DetectionConfig]


@pytest.fixture
def make_config(shapes_config: DetectionDataConfig, tmp_path: Path) -> MakeConfig:
    """A run of two rounds of three updates of four images; options on top."""
    data = [f"data.{name}={value}" for name, value in vars(shapes_config).items()]
    training = {
        "updates": 6,
        "round_updates": STEPS,
        "batch_size": 4,
        "warmup_updates": 2,
        "milestones": [4],
        "precision": "float32",
        "device": "cpu",
        "evaluate_every": 1,
    }

    def make(*options: str, name: str = "fl") -> DetectionConfig:
        own = [f"training.{key}={value}" for key, value in training.items()]
        folder = f"save_dir={tmp_path / 'run'}"
        return read_config(DetectionConfig, SHAPES / f"{name}.yaml", [*data, *own, folder, *options])

    return make


def interrupt_after(monkeypatch: pytest.MonkeyPatch, steps: int) -> None:
    """Send this process a signal when so many steps are done."""
    done = 0
    plain = TrainingLog.step

    def step(self: TrainingLog) -> None:
        nonlocal done
        plain(self)
        done += 1
        if done == steps:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(TrainingLog, "step", step)


def weights(folder: str | Path) -> dict[str, torch.Tensor]:
    return dict(load_checkpoint(Path(folder) / "checkpoint.pt")["network"])


def momenta(folder: str | Path) -> list[torch.Tensor]:
    state = load_checkpoint(Path(folder) / "checkpoint.pt")["optimizer"]["state"]
    return [entry["momentum_buffer"] for entry in state.values()]


def scores(folder: str | Path) -> list[dict[str, Any]]:
    """The log without what the clock says."""
    clock = {"seconds", "seconds_per_step", "waiting_for_data"}
    return [
        {key: value for key, value in entry.items() if key not in clock}
        for entry in read_log(Path(folder) / "log.jsonl")
    ]


@pytest.mark.parametrize(
    ("steps", "name", "options"),
    [
        (1, "el_capped", ["training.precision=bfloat16"]),
        (STEPS, "fl", ["training.accumulate=2"]),  # the round is over, but not yet logged
        (STEPS + 2, "fl_hfl", ["model.norm=group"]),
    ],
)
def test_interrupted_and_resumed_is_the_same_bit_for_bit(
    steps: int,
    name: str,
    options: list[str],
    make_config: MakeConfig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = make_config(*options, f"save_dir={tmp_path / 'whole'}", name=name)
    train_detection_run(whole)
    config = make_config(*options, name=name)
    with monkeypatch.context() as patch:
        interrupt_after(patch, steps)
        with pytest.raises(Interrupted, match=f"after step {steps}; the same command goes on"):
            train_detection_run(config)
    torch.manual_seed(99)  # whatever the new process drew before
    train_detection_run(config)
    ours, expected = weights(config.save_dir), weights(whole.save_dir)
    assert ours.keys() == expected.keys()
    assert all(torch.equal(ours[key], expected[key]) for key in ours)
    for one, other in zip(momenta(config.save_dir), momenta(whole.save_dir), strict=True):
        assert torch.equal(one, other)
    assert scores(config.save_dir) == scores(whole.save_dir)
    assert [entry["step"] for entry in scores(config.save_dir)] == [STEPS, 2 * STEPS]
    detections = [Path(folder) / "detections.json" for folder in (config.save_dir, whole.save_dir)]
    assert detections[0].read_bytes() == detections[1].read_bytes()


def test_without_matplotlib_a_run_ends_all_the_same(
    make_config: MakeConfig, caplog: pytest.LogCaptureFixture
) -> None:
    def draw(*args: object) -> None:
        raise MissingExtraError("matplotlib is not installed")

    config = make_config()
    train_detection_run(config, draw=draw)
    assert (Path(config.save_dir) / "evaluation.json").is_file()
    assert "detections.png is not drawn: matplotlib is not installed" in caplog.text


def test_a_run_leaves_what_it_found(make_config: MakeConfig, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib")
    from eureka_nlg.report.detections import draw_detections

    config = make_config("model.score_threshold=0.0")  # so that an untrained network has detections
    result = train_detection_run(config, draw=draw_detections)
    folder = Path(config.save_dir)
    assert {path.name for path in folder.iterdir()} == {
        "checkpoint.pt",
        "config.yaml",
        "detections.json",
        "detections.png",
        "evaluation.json",
        "log.jsonl",
        "tensorboard",
    }
    assert result == json.loads((folder / "evaluation.json").read_text())
    assert (result["updates"], result["training_images"], result["evaluation_images"]) == (6, 40, 20)
    rates = [entry["learning_rate"] for entry in scores(folder)]
    assert rates == pytest.approx([config.training.learning_rate, 0.1 * config.training.learning_rate])

    truth = pycocotools_coco.COCO(config.data.evaluation_annotations)
    evaluation = pycocotools_eval.COCOeval(truth, truth.loadRes(str(folder / "detections.json")), "bbox")
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    measured = [-1 if value is None else value / 100 for value in result["overall"].values()]
    assert measured == pytest.approx(list(evaluation.stats))

    again = evaluate_detection_run(folder)
    assert (again["overall"], again["classes"]) == (result["overall"], result["classes"])
    fewer = evaluate_detection_run(folder, ["model.score_threshold=1.0"])
    assert fewer["overall"]["AR_100"] == 0

    written = (folder / "checkpoint.pt").stat().st_mtime_ns
    assert train_detection_run(config) == result  # finished: not trained again
    assert (folder / "checkpoint.pt").stat().st_mtime_ns == written


def test_a_folder_of_another_run_is_left_alone(make_config: MakeConfig, tmp_path: Path) -> None:
    train_detection_run(make_config("training.updates=3"))
    with pytest.raises(UserError, match=r"run with other options: loss.focal_gamma \(2.0 there, 1.0 now\)"):
        train_detection_run(make_config("training.updates=3", "loss.focal_gamma=1"))
    with pytest.raises(UserError, match=r"holds no config.yaml; expected the folder of a run of `eureka vis"):
        evaluate_detection_run(tmp_path / "nowhere")
    with pytest.raises(UserError, match="does not fit its config"):
        evaluate_detection_run(tmp_path / "run", ["model.norm=group"])


def test_workers_change_nothing(make_config: MakeConfig, tmp_path: Path) -> None:
    for workers in (0, 2):
        train_detection_run(make_config(f"data.workers={workers}", f"save_dir={tmp_path / str(workers)}"))
    ours, expected = weights(tmp_path / "0"), weights(tmp_path / "2")
    assert all(torch.equal(ours[key], expected[key]) for key in ours)


def test_pretrained_weights_are_read_only_at_the_start(
    make_config: MakeConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = pytest.importorskip("torchvision.models")
    path = tmp_path / "resnet50.pt"
    torch.save(models.resnet50().state_dict(), path)
    config = make_config(
        "model.backbone=resnet50",
        f"model.pretrained={path}",
        "model.norm=frozen_batch",
        "training.updates=2",
        "training.batch_size=2",
    )
    with monkeypatch.context() as patch:
        interrupt_after(patch, 1)
        with pytest.raises(Interrupted):
            train_detection_run(config)
    path.unlink()
    train_detection_run(config)
    assert evaluate_detection_run(Path(config.save_dir))["updates"] == 2
