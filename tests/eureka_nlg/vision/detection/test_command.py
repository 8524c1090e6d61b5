"""`eureka vision detect` as a user runs it: from drawn images to scores, and with several processes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from forked import Forked

from eureka_nlg.cli.main import main

pytest.importorskip("torchvision")
pytest.importorskip("pycocotools")

from coco_shapes.data_set import draw_data_set
from eureka_nlg.vision.detection.config import DetectionDataConfig

SHAPES = Path(__file__).resolve().parents[4] / "configs" / "vision" / "coco_shapes"


def data_options(folder: Path) -> list[str]:
    annotations = folder / "annotations"
    return [
        f"data.train_images={folder / 'train'}",
        f"data.train_annotations={annotations / 'instances_train.json'}",
        f"data.evaluation_images={folder / 'evaluation'}",
        f"data.evaluation_annotations={annotations / 'instances_evaluation.json'}",
        "data.workers=0",
        "training.device=cpu",
        "training.precision=float32",
    ]


@pytest.mark.slow
def test_drawn_shapes_are_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The whole path, scored on images that were not trained on: without a gradient its AP50 is 0.0.

    The fewest updates after which it is surely above that; a quarter of a minute on a core of its own.
    """
    draw_data_set(tmp_path / "shapes", train=60, evaluation=20, size=64, objects=2, imbalance=4)
    options = [
        *data_options(tmp_path / "shapes"),
        "data.min_size=64",
        "data.max_size=64",
        "training.batch_size=4",
        "training.learning_rate=0.02",
        "training.warmup_updates=20",
        "training.schedule_scale=0.07",
        f"save_dir={tmp_path / 'run'}",
    ]
    assert main(["vision", "detect", str(SHAPES / "fl_hfl.yaml"), *options]) == 0
    result = json.loads((tmp_path / "run" / "evaluation.json").read_text())
    shown = capsys.readouterr().out
    assert f"{result['overall']['AP']:.2f}" in shown
    assert "rare (3 classes)" in shown
    assert result["overall"]["AP50"] > 2
    assert result["overall"]["AP"] > 0.5
    assert (tmp_path / "run" / "detections.png").stat().st_size > 10_000

    assert main(["vision", "evaluate", str(tmp_path / "run"), "--json", str(tmp_path / "again.json")]) == 0
    again = capsys.readouterr().out
    assert again.startswith(str(tmp_path / "run"))
    table, wrote, _ = again.partition(f"wrote {tmp_path / 'again.json'}\nnext: eureka configs vision/coco, ")
    assert wrote
    following = (
        f"next: look at {tmp_path / 'run' / 'detections.png'}; then train another loss to compare it with, "
        "one of eureka configs vision/coco_shapes\n"
    )
    assert shown.endswith(table + following)  # but for the progress
    assert json.loads((tmp_path / "again.json").read_text())["overall"] == result["overall"]
    assert main(["vision", "evaluate", str(tmp_path / "run"), "--predictions", str(tmp_path / "x.npz")]) == 2
    assert "is a run of detection: --predictions is for classification" in capsys.readouterr().err


@pytest.mark.slow
def test_two_processes_learn_what_one_does(
    shapes_config: DetectionDataConfig, tmp_path: Path, python: Forked
) -> None:
    """On gloo; the test of the image classifiers starts torchrun itself.

    Group normalisation has no statistics of a batch, so the weights agree to rounding. Batches of 5 images
    are shared unevenly, and so are 20 images to evaluate on in the end.
    """
    options = [
        *data_options(Path(shapes_config.train_images).parent),
        "data.min_size=64",
        "data.max_size=64",
        "model.norm=group",
        "model.score_threshold=0.0",
        "training.updates=4",
        "training.batch_size=5",
        "training.learning_rate=0.01",
        "training.warmup_updates=0",
    ]
    command = ["detect", str(SHAPES / "el_capped.yaml"), *options]
    assert main(["vision", *command, f"save_dir={tmp_path / 'one'}"]) == 0
    first, second = python.ranks(
        "-m", "eureka_nlg.cli.main", "vision", *command, f"save_dir={tmp_path / 'two'}"
    )
    assert first.returncode == 0, first.stderr[-2000:]
    assert second.returncode == 0, second.stderr[-2000:]
    assert (first.stdout.count("AP75"), second.stdout.count("AP75")) == (1, 0)  # one process speaks
    results = [json.loads((tmp_path / name / "evaluation.json").read_text()) for name in ("one", "two")]
    assert [result["processes"] for result in results] == [1, 2]
    one, two = (
        torch.load(tmp_path / name / "checkpoint.pt", weights_only=True)["network"] for name in ("one", "two")
    )
    torch.testing.assert_close(two, one, rtol=1e-3, atol=1e-4)
    for name in (name for name in one if name.endswith(".1.bias")):  # those of normalisation: zero at first
        assert (two[name] - one[name]).norm() < 1e-2 * one[name].norm(), name
    found = [json.loads((tmp_path / name / "detections.json").read_text()) for name in ("one", "two")]
    images = [[detection["image_id"] for detection in detections] for detections in found]
    assert images[0] == images[1]
    assert len(set(images[0])) == 20


def test_bad_config_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["vision", "detect", str(SHAPES / "fl.yaml"), "training.update=3"]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "did you mean training.updates?" in err


def test_options_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["vision", "options", "detection"]) == 0
    out = capsys.readouterr().out
    assert "training.milestones=[60000, 80000]\n" in out
    assert "loss.halted=positive\n" in out
    assert "model.pretrained=None\n" in out
