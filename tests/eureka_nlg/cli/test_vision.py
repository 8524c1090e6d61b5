"""`eureka vision`: which configs it names for a comparison."""

from __future__ import annotations

from pathlib import Path

import pytest

from eureka_nlg.bundled import bundled_root
from eureka_nlg.cli.vision import _detectors


@pytest.mark.parametrize(
    ("path", "family"),
    [
        ("configs/vision/coco_shapes/el.yaml", "coco_shapes"),
        ("configs/vision/coco/el.yaml", "coco"),
        ("runs/coco_shapes/fl", "coco_shapes"),
        ("my.yaml", "coco"),
        ("elsewhere/fl", "coco"),
    ],
)
def test_other_detectors_are_those_of_the_same_data(path: str, family: str) -> None:
    assert _detectors(Path(path)) == f"eureka configs vision/{family}"
    assert (bundled_root() / "configs/vision" / family).is_dir()
