"""The drawn data set: the same bytes again, what was asked for, and whole by pycocotools' reading."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from coco_shapes.data_set import CATEGORY_IDS, class_counts, draw_data_set
from coco_shapes.shapes import SHAPES, draw_image
from eureka_nlg.errors import UserError

ROOT = Path(__file__).resolve().parents[4]
SMALL = {"train": 40, "evaluation": 20, "size": 64, "objects": 3, "imbalance": 10.0}


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_the_script_draws_the_same_bytes_again(tmp_path: Path, shapes_folder: Path, python: Any) -> None:
    options = [f"--{name}={value}" for name, value in SMALL.items()]
    script = ROOT / "scripts" / "draw_coco_shapes.py"
    ended = python(script, "--out", tmp_path / "again", "--seed", 3, *options)
    assert ended.returncode == 0, ended.stderr
    assert contents(tmp_path / "again") == contents(shapes_folder)
    # 120 in the ratio 1 : 10 ** -0.2 : ... : 10 ** -1 are 47.3, 29.8, 18.8, 11.9, 7.5 and 4.7
    assert ended.stdout.splitlines() == [
        "train: 47 disc, 30 square, 19 triangle, 12 ring, 7 cross, 5 star",
        "evaluation: 10 disc, 10 square, 10 triangle, 10 ring, 10 cross, 10 star",
    ]
    again = python(script, "--out", tmp_path / "again")
    assert again.returncode == 2
    assert again.stderr.endswith(f"{tmp_path / 'again'}: exists already: give another folder, or remove it\n")
    assert again.stderr.count("\n") == 1


def test_another_seed_draws_others(tmp_path: Path, shapes_folder: Path) -> None:
    draw_data_set(tmp_path / "other", seed=4, **SMALL)  # type: ignore[arg-type]
    ours, others = contents(tmp_path / "other"), contents(shapes_folder)
    assert not set(ours.values()) & set(others.values())


@pytest.mark.parametrize(("split", "images", "objects"), [("train", 40, 120), ("evaluation", 20, 60)])
def test_what_was_asked_for(shapes_folder: Path, split: str, images: int, objects: int) -> None:
    coco = COCO(str(shapes_folder / "annotations" / f"instances_{split}.json"))
    assert len(coco.imgs) == images
    assert sorted(coco.cats) == list(CATEGORY_IDS)
    assert [coco.cats[number]["name"] for number in CATEGORY_IDS] == list(SHAPES)
    profile = "long_tailed" if split == "train" else "balanced"
    counts = [len(coco.getAnnIds(catIds=[number], iscrowd=False)) for number in CATEGORY_IDS]
    assert counts == class_counts(objects, profile, 10.0)  # type: ignore[arg-type]
    assert sum(counts) == objects
    empty = [number for number in coco.imgs if not coco.getAnnIds(imgIds=number)]
    assert len(empty) == images // 20
    crowds = coco.loadAnns(coco.getAnnIds(iscrowd=True))
    assert len(crowds) == len({crowd["image_id"] for crowd in crowds}) == images // 20
    assert 0 not in coco.anns
    for number, stated in coco.imgs.items():
        with Image.open(shapes_folder / split / stated["file_name"]) as image:
            assert image.size == (stated["width"], stated["height"])
        assert 48 <= min(image.size) <= max(image.size) == 64
        drawn = coco.loadAnns(coco.getAnnIds(imgIds=number))
        masks = [coco.annToMask(entry) for entry in drawn]
        assert (
            sum(masks, np.zeros((stated["height"], stated["width"]))).max(initial=0) <= 1
        )  # what is in front
        for entry, mask in zip(drawn, masks):
            packed = coco_mask.encode(np.asfortranarray(mask))
            assert coco_mask.toBbox(packed).tolist() == entry["bbox"]
            assert coco_mask.area(packed) == entry["area"] >= 16


def test_masks_are_where_the_shapes_are() -> None:
    """Without its shapes the same picture would be ground and noise; the masks say where it differs."""
    for label, name in enumerate(SHAPES):
        pixels, [drawn] = draw_image(np.random.default_rng([1, label]), [label], 96)
        bare, _ = draw_image(np.random.default_rng([1, label]), [], 96)
        differs = np.abs(pixels.astype(int) - bare).sum(axis=2)
        # the noise differs everywhere, the shape's colour by at least 110 over the three channels on average
        assert differs[drawn.mask].mean() > 2 * differs[~drawn.mask].mean(), name


def test_shapes_are_what_they_are_called() -> None:
    grid = np.linspace(-1, 1, 801)
    u, v = np.meshgrid(grid, grid)
    areas = {name: inside(u, v).mean() * 4 for name, inside in SHAPES.items()}
    tips = np.where(np.arange(10) % 2, 0.42, 1) * np.exp(1j * np.pi * np.arange(10) / 5)
    star = 0.5 * np.sum((tips.conj() * np.roll(tips, -1)).imag)  # the shoelace formula
    expected = {
        "disc": np.pi * 0.9**2,
        "square": 1.44**2,
        "triangle": 3 * np.sqrt(3) / 4,
        "ring": np.pi * (0.92**2 - 0.52**2),
        "cross": 2 * 0.52 * 1.84 - 0.52**2,
        "star": star,
    }
    assert areas == pytest.approx(expected, rel=0.01)


def test_class_counts() -> None:
    counts = class_counts(10_000, "long_tailed", 50)
    assert sum(counts) == 10_000
    assert counts[0] / counts[-1] == pytest.approx(50, rel=0.01)
    ratios = [a / b for a, b in itertools.pairwise(counts)]
    assert ratios == pytest.approx([50 ** (1 / 5)] * 5, rel=0.01)
    assert class_counts(60, "balanced", 50) == [10] * 6
    with pytest.raises(UserError, match="none of the rarest"):
        class_counts(30, "long_tailed", 100)


def test_nothing_half_drawn_is_left(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no room for"):
        draw_data_set(tmp_path / "full", **{**SMALL, "objects": 40})  # type: ignore[arg-type]
    with pytest.raises(UserError, match="train: 3, expected 10 or more"):
        draw_data_set(tmp_path / "few", **{**SMALL, "train": 3})  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_the_balance_of_the_evaluation_images_is_an_option(tmp_path: Path) -> None:
    counts = draw_data_set(tmp_path / "tail", evaluation_profile="long_tailed", **SMALL)  # type: ignore[arg-type]
    content = json.loads((tmp_path / "tail" / "annotations" / "instances_evaluation.json").read_text())
    kinds = [entry["category_id"] for entry in content["annotations"] if not entry["iscrowd"]]
    assert [kinds.count(number) for number in CATEGORY_IDS] == counts["evaluation"]
    assert counts["evaluation"] == class_counts(60, "long_tailed", 10)
