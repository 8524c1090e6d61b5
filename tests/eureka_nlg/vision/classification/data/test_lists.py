"""Lists of image files, and the report of what is wrong with them."""

from __future__ import annotations

import json
import re
import tracemalloc
from pathlib import Path
from typing import Any

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
from eureka_nlg.vision.data.problems import label_problems


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
        "eureka_nlg.vision.classification.data.check.picture_problem",
        lambda path: (decoded.append(path) or "", ""),
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


@pytest.mark.parametrize(
    ("format", "thing", "options"),
    [
        ("lists", "file", "data.train=LIST data.evaluation=LIST data.source=IMAGES"),
        ("inaturalist", "file", "data.train=JSON data.evaluation=JSON data.source=IMAGES"),
        (
            "image_folder",
            "folder",
            "data.source=FOLDER, and the names of folders in it: data.train=train data.evaluation=val",
        ),
    ],
)
def test_data_that_are_not_there(format: Any, thing: str, options: str, tmp_path: Path) -> None:
    """The message names all of them at once, and the options that say where they are."""
    train, evaluation = tmp_path / "train", tmp_path / "val"
    config = DataConfig(format=format, source=str(tmp_path), train=str(train), evaluation=str(evaluation))
    with pytest.raises(UserError) as caught:
        load_data(config)
    assert str(caught.value) == f"{train}, {evaluation}: no such {thing}; give {options}"


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
    [
        ("{", r"is no JSON \(.*line 1 column 2"),
        ('{"images": []}', "no list of annotations"),
        ("[]", "no annotations of"),
        ('{"images": {}, "annotations": []}', "no list of images"),
        ("[" * 100_000, "nested more than 100 deep"),
    ],
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


@pytest.mark.parametrize(
    "content",
    [
        "\ufeffa 1.jpg 0\nb.jpg 1\n",
        "a 1.jpg 0\r\nb.jpg 1\r\n",
        "a 1.jpg  0\n\n b.jpg 1",
        "a 1.jpg 0\nb.jpg 0001",
    ],
    ids=["byte order mark", "CRLF", "blanks", "leading zeros"],
)
def test_lists_of_other_programs(content: str, tmp_path: Path, root: Path) -> None:
    (tmp_path / "list.txt").write_bytes(content.encode())
    files = read_list(tmp_path / "list.txt", root)
    assert (files.paths, files.labels.tolist(), files.problems) == (["a 1.jpg", "b.jpg"], [0, 1], {})


def test_a_line_ends_where_it_ends(tmp_path: Path) -> None:
    """Python's splitlines would end it at a form feed or a Unicode line separator in a file's name too."""
    names = ["a\x0c.jpg", "b\u2028.jpg", "c\x1c.jpg", "d\x85.jpg"]
    lines = [f"{name} {label}" for label, name in enumerate(names)]
    (tmp_path / "list.txt").write_text("\n".join(lines), encoding="utf-8")
    files = read_list(tmp_path / "list.txt", tmp_path)
    assert (files.paths, files.labels.tolist()) == (names, [0, 1, 2, 3])


def test_huge_labels_are_told_in_bounded_memory(tmp_path: Path, root: Path) -> None:
    largest = 2**31 - 1
    lines = ["a 1.jpg 0", f"b.jpg {largest}", "c.png 2147483648", "d.jpg " + "9" * 5000, "d.jpg ٣"]
    files = read_list(listed(tmp_path / "l.txt", *lines), root)
    tracemalloc.start()
    with pytest.raises(UserError) as caught:
        check_lists([files], cache=tmp_path / "cache")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**22
    told = str(caught.value)
    assert f"{largest - 1} classes of 0 to {largest} without a training image: 1, 2, 3, 4, 5, ..." in told
    assert "2 classes above 2147483647: line 3: 'c.png 2147483648', line 4: 'd.jpg 999" in told
    assert "1 lines that are no `path label`: line 5" in told
    assert len(told) < 600


def test_label_problems_by_brute_force() -> None:
    random = np.random.default_rng(0)
    for _ in range(200):
        labels = torch.from_numpy(random.integers(-2, 9, random.integers(0, 12)))
        present = set(labels.tolist())
        problems = {kind: list(found[:99]) for kind, found in label_problems(labels).items()}
        if not present:
            assert problems == {"labels": ["none at all"]}
            continue
        largest = max(present)
        gaps = [str(c) for c in range(largest + 1) if c not in present]
        kind = f"classes of 0 to {largest} without a training image"
        assert problems.get(kind, []) == gaps[:5]
        assert len(label_problems(labels).get(kind, [])) == len(gaps)
        assert problems.get("negative classes", []) == [str(c) for c in sorted(present) if c < 0]


INATURALIST = {
    "an id twice": (
        {"images": [{"id": 0, "file_name": "other.jpg"}]},
        "1 image ids that occur twice: 0 (0.jpg, other.jpg)",
    ),
    "an id that is a list": (
        {"images": [{"id": [1], "file_name": "x.jpg"}]},
        "images without a whole id and a file_name",
    ),
    "no name": (
        {"images": [{"id": 5, "file_name": None}]},
        "images without a whole id and a file_name: number 4",
    ),
    "no object": (
        {"images": [3], "annotations": ["x"]},
        "annotations without a whole image_id: number 4: 'x'",
    ),
    "an image id that is a list": (
        {"annotations": [{"image_id": [1], "category_id": 0}]},
        "without a whole image_id",
    ),
    "a class that is a list": (
        {"annotations": [{"image_id": 0, "category_id": [0]}]},
        "1 categories that are no whole number: 0.jpg: [0]",
    ),
    "a class of many digits": (
        {"annotations": [{"image_id": 0, "category_id": 10**30}]},
        "1 classes above 2147483647: 0.jpg: 10",
    ),
    "far below zero": (
        {"annotations": [{"image_id": 0, "category_id": -(10**30)}]},
        "1 classes above 2147483647",
    ),
    "negative": ({"annotations": [{"image_id": 0, "category_id": -1}]}, "1 negative classes: -1"),
}


@pytest.mark.parametrize("case", INATURALIST)
def test_inaturalist_entries_that_cannot_be_used(case: str, tmp_path: Path) -> None:
    more, said = INATURALIST[case]
    for number in range(3):
        picture(tmp_path / f"{number}.jpg")
    images = [{"id": number, "file_name": f"{number}.jpg"} for number in range(3)]
    pairs = [{"image_id": number, "category_id": number} for number in range(3)]
    content = {"images": images + more.get("images", []), "annotations": pairs + more.get("annotations", [])}
    path = tmp_path / "a.json"
    path.write_text(json.dumps(content), encoding="utf-8-sig")  # the mark at its beginning is no problem
    with pytest.raises(UserError) as caught:
        check_lists([read_inaturalist(path, tmp_path)], cache=tmp_path / "cache")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_images_that_are_listed_twice_are_told(
    tmp_path: Path, root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    train = read_list(
        listed(tmp_path / "t.txt", "a 1.jpg 0", "b.jpg 1", "./b.jpg 1", "c.png 0", "c.png 1", "c.png 0"), root
    )
    test = read_list(listed(tmp_path / "v.txt", "d.jpg 0", "a 1.jpg 1"), root)
    check_lists([train, test], cache=tmp_path / "cache")
    first, second = (record.getMessage() for record in caplog.records)
    assert f"t.txt: 1 images that are listed several times: {root / 'b.jpg'}; " in first
    assert first.endswith(f"1 images that are listed with several classes: {root / 'c.png'} (0, 1)")
    assert second.endswith(f"v.txt: 1 images that are trained on too: {root / 'a 1.jpg'}")
    caplog.clear()
    check_lists([train, test], cache=tmp_path / "cache", tell=False)
    assert not caplog.records


def test_no_file_of_a_folder_is_left_out_in_silence(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever the ending of an image is called, it counts; what is none by its name is told."""
    train = tmp_path / "train"
    for number, ending in enumerate((".jpg", ".jfif", ".gif", ".JPEG", ".webp", ".tiff")):
        saved = picture(tmp_path / f"x{ending.replace('.jfif', '.jpg')}")
        (train / "b" / "deep").mkdir(parents=True, exist_ok=True)
        saved.rename(train / "b" / ("deep" if number % 2 else ".") / f"{number}{ending}")
    picture(train / "a" / "0.png")
    picture(train / ".ipynb_checkpoints" / "0.png")
    picture(train / "a" / ".trash" / "1.png")
    (train / "a" / "Thumbs.db").write_text("")
    (train / "a" / ".hidden.png").write_text("")
    picture(tmp_path / "val" / "a" / "0.png")
    options = DataConfig(format="image_folder", source=str(tmp_path), workers=0)
    data = load_data(options)
    assert data.class_counts.tolist() == [1, 6]
    [record] = caplog.records
    told = record.getMessage()
    assert told.startswith(f"{train}: 2 files that are no images by their names, left out: ")
    assert {"a/Thumbs.db", "a/.hidden.png"} <= set(re.split("[,;] |: ", told))
    assert told.endswith("2 hidden folders, left out: .ipynb_checkpoints, a/.trash")

    (train / "c").mkdir()
    with pytest.raises(UserError, match="1 folders of a class without an image: c"):
        load_data(options)
    with pytest.raises(UserError, match="no folder in it"):
        read_image_folder(train / "c")


def test_the_order_of_a_folder_is_torchvisions(tmp_path: Path) -> None:
    """So that a run begun by an earlier version, which read folders by torchvision, goes on."""
    folder = pytest.importorskip("torchvision.datasets.folder")
    for name in (
        "b/z/1.png",
        "b/0.png",
        "b/a/9.png",
        "b/a/10.png",
        "a/B.png",
        "a/a.png",
        "a/c/d/e.png",
        "10/x.png",
    ):
        picture(tmp_path / name)
    files, classes = read_image_folder(tmp_path)
    found, index_of = folder.find_classes(str(tmp_path))
    expected = folder.make_dataset(str(tmp_path), index_of, extensions=folder.IMG_EXTENSIONS)
    assert classes == found == ["10", "a", "b"]
    assert [(str(tmp_path / p), label) for p, label in zip(files.paths, files.labels.tolist())] == expected
