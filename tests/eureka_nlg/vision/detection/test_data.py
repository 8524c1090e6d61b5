"""COCO-format splits: what is read, against pycocotools' own reading, and the report of what is wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from pycocotools.coco import COCO

from eureka_nlg.errors import UserError
from eureka_nlg.vision.detection.config import DetectionDataConfig
from eureka_nlg.vision.detection.data import CocoSplit, load_detection_data
from eureka_nlg.vision.detection.evaluation import evaluate
from eureka_nlg.vision.detection.instances import read_instances

CATEGORIES = [{"id": 3, "name": "cat"}, {"id": 7, "name": "dog"}]

WriteSplit = Callable[..., Path]


def image(number: int, width: int = 40, height: int = 30) -> dict[str, Any]:
    return {"id": number, "file_name": f"{number}.png", "width": width, "height": height}


def annotation(number: int, image_id: int, category: int = 3, **more: Any) -> dict[str, Any]:
    return {
        "id": number,
        "image_id": image_id,
        "category_id": category,
        "bbox": [1, 2, 10, 8],
        "area": 80,
        "iscrowd": 0,
    } | more


def config(train: Path, evaluation: Path, **options: Any) -> DetectionDataConfig:
    """Options that read what ``write_split`` wrote: images lie in a folder named as the JSON."""
    return DetectionDataConfig(
        train_images=str(train.with_suffix("")),
        train_annotations=str(train),
        evaluation_images=str(evaluation.with_suffix("")),
        evaluation_annotations=str(evaluation),
        **options,
    )


@pytest.fixture
def good(write_split: WriteSplit) -> DetectionDataConfig:
    train = write_split("train", [image(1)], [annotation(1, 1)], CATEGORIES)
    return config(train, write_split("val", [image(2)], [annotation(1, 2)], CATEGORIES))


def report(options: DetectionDataConfig) -> str:
    with pytest.raises(UserError) as caught:
        load_detection_data(options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("part", ["train", "evaluation"])
def test_the_same_as_pycocotools_reads(part: str, shapes_config: DetectionDataConfig) -> None:
    data = load_detection_data(replace(shapes_config, check="decode"))
    split: CocoSplit = getattr(data, part)
    coco = COCO(str(split.annotations_path))
    assert split.image_ids == sorted(coco.getImgIds())
    assert data.categories.ids == sorted(coco.getCatIds())
    assert data.categories.names == [cat["name"] for cat in coco.loadCats(data.categories.ids)]
    folder = split.annotations_path.parents[1] / part
    for index, image_id in enumerate(split.image_ids):
        pixels, target = split[index]
        [stated] = coco.loadImgs(image_id)
        with Image.open(folder / stated["file_name"]) as opened:
            assert np.array_equal(pixels.permute(1, 2, 0).numpy(), np.asarray(opened.convert("RGB")))
        truth = coco.loadAnns(coco.getAnnIds(imgIds=image_id, iscrowd=False))
        expected = [(*a["bbox"][:2], a["bbox"][0] + a["bbox"][2], a["bbox"][1] + a["bbox"][3]) for a in truth]
        assert target["image_id"] == image_id
        assert target["boxes"].dtype == torch.float32
        assert target["boxes"].tolist() == [list(map(float, box)) for box in expected]
        assert [data.categories.ids[label] for label in target["labels"]] == [a["category_id"] for a in truth]
    if part == "train":
        counts = [len(coco.getAnnIds(catIds=[k], iscrowd=False)) for k in data.categories.ids]
        assert data.class_counts.tolist() == counts


def test_crowds_and_empty_images(write_split: WriteSplit) -> None:
    annotations = [
        annotation(1, 9, category=7),
        annotation(2, 4, iscrowd=1),  # of this image nothing else
        annotation(3, 9, iscrowd=1),
        annotation(4, 2, bbox=[0, 0, 40, 30]),
        annotation(5, 9, bbox=[3.5, 0.25, 2, 4]),
    ]
    train = write_split("train", [image(9), image(2), image(4), image(5)], annotations, CATEGORIES)
    evaluation = write_split("val", [image(4), image(5)], [annotation(2, 4, iscrowd=1)], CATEGORIES)
    data = load_detection_data(config(train, evaluation))
    assert data.train.image_ids == [2, 5, 9]  # 4 is neither empty nor has a box
    targets = [data.train[index][1] for index in range(3)]
    assert [len(target["boxes"]) for target in targets] == [1, 0, 2]
    assert targets[1]["boxes"].shape == (0, 4)
    assert targets[2]["boxes"].tolist() == [[1, 2, 11, 10], [3.5, 0.25, 5.5, 4.25]]
    assert targets[2]["labels"].tolist() == [1, 0]
    assert data.class_counts.tolist() == [2, 1]
    assert data.evaluation.image_ids == [4, 5]
    assert len(data.evaluation[0][1]["boxes"]) == 0
    without = load_detection_data(config(train, evaluation, empty_images="skip"))
    assert without.train.image_ids == [2, 9]
    assert without.train[1][1]["boxes"].tolist() == targets[2]["boxes"].tolist()
    assert without.signature != data.signature


def test_the_signature_is_of_what_is_trained_on(good: DetectionDataConfig) -> None:
    before = load_detection_data(good).signature
    assert load_detection_data(good).signature == before
    path = Path(good.train_annotations)
    content = json.loads(path.read_text())
    content["info"] = "more"
    path.write_text(json.dumps(content))
    assert load_detection_data(good).signature == before
    content["annotations"][0]["category_id"] = 7
    path.write_text(json.dumps(content))
    assert load_detection_data(good).signature != before


# What to change in a good pair of files (training images, annotations, categories), and what is said of it.
BAD_ENTRIES = {
    "outside": (
        [],
        [annotation(2, 1, bbox=[30, 2, 14, 8])],
        [],
        "1 boxes outside their image (data.invalid_boxes=clip cuts them, and drops what has no area): "
        "annotation 2 ([30, 2, 14, 8] in 1.png of 40 x 30)",
    ),
    "left of it": ([], [annotation(2, 1, bbox=[-3, 2, 9, 8])], [], "1 boxes outside their image"),
    "no area": ([], [annotation(2, 1, bbox=[3, 2, 9, 0])], [], "1 boxes without area"),
    "negative": ([], [annotation(2, 1, bbox=[3, 2, -2, 5])], [], "1 boxes without area"),
    "three numbers": (
        [],
        [annotation(2, 1, bbox=[3, 2, 5])],
        [],
        "1 annotations with a field missing or malformed: id 2 (bbox [3, 2, 5])",
    ),
    "not a number": ([], [annotation(2, 1, bbox=[3, 2, float("nan"), 5])], [], "id 2 (bbox [3, 2, nan, 5])"),
    "text": ([], [annotation(2, 1, bbox="3 2 4 5")], [], "id 2 (bbox '3 2 4 5')"),
    "no category": ([], [{"id": 2, "image_id": 1, "bbox": [1, 1, 2, 2]}], [], "id 2 (no category_id)"),
    "no object": ([], [17], [], "1 annotations with a field missing or malformed: number 2 (no object)"),
    "unknown image": (
        [],
        [annotation(2, 8)],
        [],
        "1 annotations of an image that is not listed: annotation 2 (image_id 8)",
    ),
    "unknown category": (
        [],
        [annotation(2, 1, category=4)],
        [],
        "1 annotations of a category that is not listed: annotation 2 (category_id 4)",
    ),
    "annotation twice": ([], [annotation(1, 1)], [], "1 annotation ids that occur twice: 1"),
    "image twice": ([image(1)], [], [], "1 image ids that occur twice: 1"),
    "image of no size": (
        [{"id": 5, "file_name": "5.png"}],
        [],
        [],
        "1 images with a field missing or malformed: id 5 (no width, no height)",
    ),
    "text for an id": (
        [image(1) | {"id": "1"}],
        [],
        [],
        "1 images with a field missing or malformed: id '1' (id '1')",
    ),
    "category twice": ([], [], [{"id": 3, "name": "cow"}], "1 category ids that occur twice: 3 (cat, cow)"),
    "name twice": ([], [], [{"id": 9, "name": "cat"}], "1 category names that occur twice: cat"),
    "category without name": (
        [],
        [],
        [{"id": 9}],
        "categories with a field missing or malformed: number 3 (no name)",
    ),
}


@pytest.mark.parametrize("case", BAD_ENTRIES)
def test_bad_entries(case: str, write_split: WriteSplit) -> None:
    images, annotations, categories, said = BAD_ENTRIES[case]
    train = write_split(
        "train", [image(1), *images], [annotation(1, 1), *annotations], [*CATEGORIES, *categories]
    )
    evaluation = write_split("val", [image(2)], [annotation(1, 2)], CATEGORIES)
    told = report(config(train, evaluation))
    assert told.startswith(f"{train}: ")
    assert said in told


def test_files_of_images(good: DetectionDataConfig, write_split: WriteSplit) -> None:
    images = [image(number) for number in range(1, 6)]
    train = write_split("train", images, [annotation(1, 1)], CATEGORIES)
    folder = train.with_suffix("")
    (folder / "2.png").unlink()
    (folder / "3.png").write_text("no image")
    Image.new("RGB", (30, 40)).save(folder / "4.png")
    whole = (folder / "5.png").read_bytes()
    (folder / "5.png").write_bytes(whole[:-25])
    options = config(train, Path(good.evaluation_annotations))
    told = report(options)
    assert "1 missing images: 2.png" in told
    assert "1 unreadable images: 3.png (cannot identify image file" in told
    assert "1 images of another size than the file says: 4.png (30 x 40, not 40 x 30)" in told
    assert "5.png" not in told  # its header is whole
    assert "2 unreadable images: 3.png (" in report(replace(options, check="decode"))
    assert f"5 images, all of them, missing below {folder / 'no'} (give data.train_images=FOLDER)" in report(
        replace(good, train_images=str(folder / "no"))
    )


def test_everything_in_both_files_in_one_report(write_split: WriteSplit) -> None:
    many = [annotation(number, 1, bbox=[35, 0, 10, 10]) for number in range(10, 17)]
    train = write_split(
        "train",
        [image(1), image(1), image(6)],
        [annotation(1, 1), *many, annotation(2, 1, bbox=[0, 0, 0, 3]), annotation(3, 5), annotation(4, 1, 5)],
        CATEGORIES,
    )
    (train.with_suffix("") / "6.png").unlink()
    evaluation = write_split(
        "val",
        [image(2)],
        [
            annotation(0, 2),
            annotation(8, 77),
            annotation(3, 2, area="4", iscrowd=[0]),
        ],
        [{"id": 3, "name": "hat"}, {"id": 7, "name": "dog"}, {"id": 8, "name": "cow"}],
    )
    told = report(config(train, evaluation))
    ours, theirs = told.split(f"; {evaluation}: ")
    assert ours.startswith(f"{train}: ")
    for said in (
        "1 image ids that occur twice: 1",
        "7 boxes outside their image (",
        "1 boxes without area (",
        "1 annotations of an image that is not listed: annotation 3 (image_id 5)",
        "1 annotations of a category that is not listed: annotation 4 (category_id 5)",
        "1 missing images: 6.png",
    ):
        assert said in ours
    assert "annotation 14 (" in ours  # the fifth of the seven
    assert "annotation 15 (" not in ours
    for said in (
        "1 annotation with id 0, whose detections pycocotools counts as wrong (count from 1): 0",
        "1 annotations of an image that is not listed: annotation 8 (image_id 77)",
        "1 annotations with a field missing or malformed: id 3 (area '4', iscrowd [0])",
        "2 categories other than in train.json: id 3 (hat here, cat there), id 8 (cow here, none there)",
    ):
        assert said in theirs


def test_pycocotools_counts_the_match_of_annotation_0_as_wrong(write_split: WriteSplit) -> None:
    """Why such a file is refused."""
    from pycocotools.cocoeval import COCOeval

    precision = []
    for number in (0, 1):
        truth = COCO(str(write_split(f"n{number}", [image(2)], [annotation(number, 2)], CATEGORIES)))
        found = [{"image_id": 2, "category_id": 3, "bbox": [1, 2, 10, 8], "score": 0.9}]
        evaluation = COCOeval(truth, truth.loadRes(found), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
        precision.append(evaluation.stats[0])
    assert precision == pytest.approx([0.0, 1.0])


def test_clipped_boxes(write_split: WriteSplit) -> None:
    boxes = [[-5, 2, 20, 40], [30.5, 5, 10, 10], [41, 5, 10, 10], [3, 3, 4, 0], [39.6, 5, 1.0, 2]]
    annotations = [annotation(number, 1, bbox=box) for number, box in enumerate(boxes, 1)]
    train = write_split("train", [image(1)], annotations, CATEGORIES)
    options = config(train, write_split("val", [image(2)], [annotation(1, 2)], CATEGORIES))
    told = report(options)
    # half a pixel over the border is rounding
    assert "2 boxes outside their image" in told
    assert "annotation 1 (" in told
    assert "annotation 3 (" in told
    assert "2 boxes without area" in told  # the third has none inside its image
    kept = load_detection_data(replace(options, invalid_boxes="clip")).train[0][1]["boxes"]
    expected = torch.tensor([[0, 2, 15, 30], [30.5, 5, 40, 15], [39.6, 5, 40, 7]])
    torch.testing.assert_close(kept, expected)


def test_nothing_to_train_on(good: DetectionDataConfig, write_split: WriteSplit) -> None:
    evaluation = Path(good.evaluation_annotations)
    told = report(config(write_split("empty", [image(1)], [], CATEGORIES), evaluation))
    assert "no boxes to train on" in told
    told = report(config(Path(good.train_annotations), write_split("none", [], [], CATEGORIES)))
    assert told.endswith("none.json: no images")


def test_no_instances_at_all(good: DetectionDataConfig, tmp_path: Path) -> None:
    expected = "expected a COCO instances JSON: lists of images, annotations and categories"
    broken, other = tmp_path / "broken.json", tmp_path / "other.json"
    broken.write_text('{"images": [],\n')
    other.write_text('{"images": [], "annotations": {}}')
    told = report(replace(good, train_annotations=str(broken), evaluation_annotations=str(other)))
    assert told.startswith(f"{broken}: is no JSON (")
    assert "line 2" in told
    assert told.endswith(f"{other}: has no list of annotations and of categories; {expected}")
    other.write_bytes(b"\xff\xfe\x00\x01")
    assert "not valid" in report(replace(good, train_annotations=str(other)))
    assert f"{tmp_path}: cannot be read: Is a directory" in report(
        replace(good, train_annotations=str(tmp_path))
    )


def test_a_newcomer_without_data_learns_what_to_do(good: DetectionDataConfig, tmp_path: Path) -> None:
    none = tmp_path / "none.json"
    assert report(replace(good, train_annotations=str(none))) == (
        f"{none}: no such file; give data.train_annotations=JSON data.train_images=FOLDER "
        "data.evaluation_annotations=JSON data.evaluation_images=FOLDER, or try "
        "configs/vision/coco_shapes first, whose images "
        "`python scripts/draw_coco_shapes.py --out data/shapes` draws"
    )
    told = report(replace(good, train_annotations=str(none), evaluation_annotations=str(none / "below")))
    assert told.startswith(f"{none}, {none / 'below'}: no such file; give data.train_annotations=JSON ")


def test_an_image_that_changes_later(good: DetectionDataConfig) -> None:
    data = load_detection_data(good)
    path = Path(good.train_images) / "1.png"
    Image.new("RGB", (41, 30)).save(path)
    with pytest.raises(UserError, match=r"1.png: 41 x 30 pixels, expected 40 x 30 as in .*train.json"):
        data.train[0]
    path.unlink()
    with pytest.raises(UserError, match=r"1.png: cannot be read"):
        data.train[0]


def test_gaps_in_category_ids_are_told(good: DetectionDataConfig, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", logger="eureka_nlg"):
        load_detection_data(good)
    assert "category ids 3 to 7, 3 of them unused" in caplog.text


def test_grey_and_transparent_images_are_rgb(good: DetectionDataConfig) -> None:
    path = Path(good.train_images) / "1.png"
    for mode in ("L", "RGBA", "P"):
        Image.new(mode, (40, 30)).save(path)
        assert load_detection_data(good).train[0][0].shape == (3, 30, 40)


def test_tolerance_and_smallest_side_by_brute_force(write_split: WriteSplit) -> None:
    random = np.random.default_rng(0)
    boxes = [[float(v) for v in random.integers(-6, 44, 4) / 2] for _ in range(200)]
    annotations = [annotation(number, 1, bbox=box) for number, box in enumerate(boxes, 1)]
    path = write_split("train", [image(1, 20, 16)], annotations, CATEGORIES)
    read = read_instances(path)
    outside, empty, inside = 0, 0, []
    for x, y, w, h in boxes:
        outside += min(x, y, x + w, y + h) < -1 or x + w > 21 or y + h > 17 or x > 21 or y > 17
        left, right = (min(max(v, 0), 20) for v in (x, x + w))
        top, bottom = (min(max(v, 0), 16) for v in (y, y + h))
        if right > left and bottom > top:
            inside.append([left, top, right, bottom])
        else:
            empty += 1
    kinds = {kind.split(" (")[0]: len(found) for kind, found in read.problems.items()}
    assert kinds == {"boxes outside their image": outside, "boxes without area": empty}
    assert read.boxes[read.has_area].tolist() == inside
    assert 0 < len(inside) < 200


def test_numbers_as_other_tools_write_them(write_split: WriteSplit) -> None:
    """A width of 640.0 is 640; areas and iscrowd may be missing; a byte order mark is skipped."""
    images = [{**image(number), "width": 40.0, "height": 30.0} for number in (1, 2)]
    bare = {"id": 1, "image_id": 1, "category_id": 3, "bbox": [1, 2, 10, 8]}
    write_split("val", [image(1), image(2)], [], CATEGORIES)
    path = write_split("val", images, [bare], CATEGORIES)
    path.write_text(path.read_text(), encoding="utf-8-sig")
    data = load_detection_data(config(path, path))
    assert data.evaluation[0][1]["boxes"].tolist() == [[1, 2, 11, 10]]
    truth = write_split("whole", images, [{**bare, "area": 80, "iscrowd": 0}], CATEGORIES)
    found = [{"image_id": 1, "category_id": 3, "bbox": [1, 2, 10, 8], "score": 0.9}]
    bare_scores, whole_scores = (
        evaluate(file, found, data.categories, data.class_counts) for file in (path, truth)
    )
    assert bare_scores == whole_scores
    assert bare_scores.overall["AP"] == pytest.approx(100)
    assert bare_scores.overall["AP_small"] == pytest.approx(100)  # 10 x 8 is below 32 x 32
    told = report(config(path, write_split("v", [image(2)], [annotation(1, 2, area=-1)], CATEGORIES)))
    assert "id 1 (area -1)" in told
    told = report(
        config(path, write_split("w", [{**image(2), "width": 40.5}], [annotation(1, 2)], CATEGORIES))
    )
    assert "id 2 (width 40.5)" in told


def test_boxes_in_shares_of_the_image_are_refused(good: DetectionDataConfig, write_split: WriteSplit) -> None:
    boxes = [annotation(number, 1, bbox=[0.1, 0.2, 0.3, 0.8]) for number in (1, 2)]
    told = report(config(write_split("s", [image(1)], boxes, CATEGORIES), Path(good.evaluation_annotations)))
    assert (
        "2 boxes in shares of the image's sides, expected pixels: annotation 1 ([0.1, 0.2, 0.3, 0.8])" in told
    )


def test_boxes_are_those_of_the_upright_picture(good: DetectionDataConfig) -> None:
    """An EXIF orientation of 6 stores a picture of 40 x 30 as 30 x 40; its box is where one sees it."""
    path = Path(good.train_images) / "1.png"
    upright = np.zeros((30, 40, 3), dtype=np.uint8)
    upright[2:10, 1:11] = 255  # the box of annotation 1
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.rot90(upright)).save(path, exif=exif)
    pixels, target = load_detection_data(good).train[0]
    left, top, right, bottom = map(int, target["boxes"][0].tolist())
    assert pixels[:, top:bottom, left:right].min() == 255
    assert pixels.float().mean() == pytest.approx(255 * 80 / 1200)
    Image.fromarray(upright).save(path, exif=exif)
    told = report(good)
    assert (
        "another size than the file says: 1.png (30 x 40, upright by its EXIF orientation, not 40 x 30)"
        in told
    )


def test_files_that_are_listed_twice_are_told(
    write_split: WriteSplit, caplog: pytest.LogCaptureFixture
) -> None:
    images = [image(1), {**image(2), "file_name": "1.png"}]
    train = write_split("train", images, [annotation(1, 1), annotation(2, 2)], CATEGORIES)
    options = config(train, train)
    load_detection_data(options)
    name = train.with_suffix("") / "1.png"
    assert [record.getMessage() for record in caplog.records if record.levelname == "WARNING"] == [
        f"{train}: 1 files that several images have: {name}",
        f"{train}: 1 files that several images have: {name}; 1 files that are trained on too: {name}",
    ]


def test_small_jpegs_are_decoded(good: DetectionDataConfig, write_split: WriteSplit) -> None:
    train = write_split("small", [image(1, 7, 40)], [annotation(1, 1, bbox=[0, 0, 5, 9])], CATEGORIES)
    content = json.loads(train.read_text())
    content["images"][0]["file_name"] = "1.jpg"
    train.write_text(json.dumps(content))
    Image.new("RGB", (7, 40)).save(train.with_suffix("") / "1.jpg")
    data = load_detection_data(replace(config(train, Path(good.evaluation_annotations)), check="decode"))
    assert data.train[0][0].shape == (3, 40, 7)
