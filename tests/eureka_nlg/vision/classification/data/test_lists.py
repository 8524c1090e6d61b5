"""Lists of image files, and the report of what is wrong with them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from eureka_nlg.errors import UserError
from eureka_nlg.vision.classification.config import DataConfig
from eureka_nlg.vision.classification.data import load_data
from eureka_nlg.vision.classification.data.check import check_lists
from eureka_nlg.vision.classification.data.lists import (
    FileList,
    read_image_folder,
    read_inaturalist,
    read_list,
)


def picture(path: Path, shade: int = 100, mode: str = "RGB") -> Path:
    """A picture of 40 x 30 pixels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(shade).integers(0, 60, (30, 40, 3)) + shade
    Image.fromarray(noise.astype(np.uint8)).convert(mode).save(path)
    return path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("a 1.jpg", "b.jpg", "c.png", "d.jpg"):
        picture(tmp_path / "images" / name)
    return tmp_path / "images"


def cut_off(path: Path) -> None:
    """Leave the header and most of the image."""
    path.write_bytes(path.read_bytes()[:-100])
    with Image.open(path) as image:
        assert image.size == (40, 30)


def listed(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n")
    return path


def test_a_list_of_paths_and_labels(tmp_path: Path, root: Path) -> None:
    files = read_list(listed(tmp_path / "list.txt", "a 1.jpg 0", "b.jpg 2", "", "c.png 1"), root)
    assert files.paths == ["a 1.jpg", "b.jpg", "c.png"]
    assert files.labels.tolist() == [0, 2, 1]
    check_lists([files], cache=tmp_path / "cache")


def test_everything_wrong_in_one_report(tmp_path: Path, root: Path) -> None:
    cut_off(root / "b.jpg")
    (root / "d.jpg").write_bytes(b"")
    train = listed(
        tmp_path / "train.txt",
        "a 1.jpg 0",
        "b.jpg 0",
        "c.png",
        "c.png -1",
        "d.jpg 3",
        "gone.jpg 0",
        "lost.jpg 3",
    )
    test = listed(tmp_path / "test.txt", "c.png 7")
    with pytest.raises(UserError) as caught:
        check_lists([read_list(train, root), read_list(test, root)], cache=tmp_path / "cache")
    report = str(caught.value)
    assert "\n" not in report
    assert "train.txt: 2 lines that are no `path label`: line 3: 'c.png', line 4: 'c.png -1'" in report
    assert "2 classes of 0 to 3 without a training image: 1, 2" in report
    assert "2 missing images: gone.jpg, lost.jpg" in report
    assert "1 empty files: d.jpg" in report
    assert "1 unreadable images: b.jpg (" in report
    assert "test.txt: 1 classes that no training image has: 7" in report


def test_a_truncated_image_is_found_and_named(tmp_path: Path, root: Path) -> None:
    whole = read_list(listed(tmp_path / "l.txt", "a 1.jpg 0", "b.jpg 0", "d.jpg 0"), root)
    check_lists([whole], cache=tmp_path / "cache")
    cut_off(root / "b.jpg")
    with pytest.raises(UserError, match=r"1 unreadable images: b.jpg \(.*truncated"):
        check_lists([whole], cache=tmp_path / "cache")
    check_lists([whole], decode=False, cache=tmp_path / "cache")  # looks for missing files only


def test_a_list_found_whole_is_not_decoded_again(
    tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = read_list(listed(tmp_path / "l.txt", "a 1.jpg 0", "b.jpg 0"), root)
    check_lists([files], cache=tmp_path / "cache")
    decoded: list[Path] = []
    monkeypatch.setattr(
        "eureka_nlg.vision.classification.data.check._decoding_error", lambda path: decoded.append(path) or ""
    )
    check_lists([files], cache=tmp_path / "cache")
    assert decoded == []
    picture(root / "b.jpg", shade=150)  # another file of the same name
    check_lists([files], cache=tmp_path / "cache")
    assert len(decoded) == 2


def test_only_five_are_named(tmp_path: Path) -> None:
    files = FileList("list", tmp_path, [f"{i}.jpg" for i in range(9)], torch.zeros(9, dtype=torch.int64))
    with pytest.raises(
        UserError,
        match=r"9 images, all of them, missing below .*: 0.jpg, 1.jpg, 2.jpg, 3.jpg, 4.jpg, \.\.\.$",
    ):
        check_lists([files], cache=tmp_path)


def test_a_list_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="No such file"):
        read_list(tmp_path / "none.txt", tmp_path)
    with pytest.raises(UserError, match="holds no image"):
        read_list(listed(tmp_path / "empty.txt", ""), tmp_path)


def annotations(path: Path, **content: object) -> Path:
    path.write_text(json.dumps(content))
    return path


def test_inaturalist_annotations(tmp_path: Path) -> None:
    images = [{"id": 7, "file_name": "x/7.jpg"}, {"id": 9, "file_name": "x/9.jpg"}]
    pairs = [{"image_id": 9, "category_id": 0}, {"image_id": 7, "category_id": 1}]
    files = read_inaturalist(annotations(tmp_path / "a.json", images=images, annotations=pairs), tmp_path)
    assert (files.paths, files.labels.tolist()) == (["x/9.jpg", "x/7.jpg"], [0, 1])
    assert files.problems == {}

    pairs = [{"image_id": 9, "category_id": 0}, {"image_id": 8, "category_id": 1}]
    files = read_inaturalist(annotations(tmp_path / "b.json", images=images, annotations=pairs), tmp_path)
    assert files.problems == {
        "annotations to no image": ["image id 8"],
        "images without a category": ["x/7.jpg"],
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [("{", "line 1: not valid JSON"), ('{"images": []}', "lacks 'annotations'"), ("[]", "no annotations of")],
)
def test_json_of_another_kind(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(UserError, match=message):
        read_inaturalist(tmp_path / "a.json", tmp_path)


def test_image_folders(tmp_path: Path) -> None:
    for split, names in {"train": ["ant", "bee", "cat"], "val": ["bee", "cat"]}.items():
        for name in names:
            for number in range(2):
                picture(tmp_path / split / name / f"{number}.png")
    data = load_data(DataConfig(format="image_folder", source=str(tmp_path), workers=0))
    assert data.class_counts.tolist() == [2, 2, 2]
    assert data.labels.tolist() == [1, 1, 2, 2]  # by the training folder's classes

    picture(tmp_path / "val" / "dog" / "0.png")
    with pytest.raises(UserError, match="the classes dog are not in the training folder"):
        load_data(DataConfig(format="image_folder", source=str(tmp_path), workers=0))
    with pytest.raises(UserError, match="expected a folder with one folder of images per class"):
        read_image_folder(tmp_path / "nowhere")
