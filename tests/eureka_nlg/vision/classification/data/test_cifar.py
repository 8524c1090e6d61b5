"""CIFAR's layouts: parquet, save_to_disk, torchvision's folder; and what is not one of them."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from eureka_nlg.errors import UserError
from eureka_nlg.vision.classification.config import DataConfig
from eureka_nlg.vision.classification.data import load_data
from eureka_nlg.vision.classification.data.cifar import read_cifar
from eureka_nlg.vision.classification.data.file_batches import _Images
from eureka_nlg.vision.classification.data.lists import FileList

datasets = pytest.importorskip("datasets")


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))


def test_saved_folder_and_parquet_hold_the_same(cifar_like: Path, tmp_path: Path) -> None:
    saved = datasets.load_from_disk(str(cifar_like))
    parquet = tmp_path / "parquet" / "plain_text"
    parquet.mkdir(parents=True)
    for split in saved:
        saved[split].to_parquet(str(parquet / f"{split}-00000-of-00001.parquet"))
    for train, test in (read_cifar(str(cifar_like)), read_cifar(str(parquet.parent))):
        assert train.labels.tolist() == saved["train"]["label"][:]
        assert len(test.labels) == 40
        expected = np.stack([np.asarray(image) for image in saved["train"]["img"][:]])
        assert np.array_equal(train.pixels().numpy(), expected)
        assert np.array_equal(train.pixels(torch.tensor([5, 2])).numpy(), expected[[5, 2]])


def test_torchvision_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cifar = pytest.importorskip("torchvision.datasets.cifar")
    monkeypatch.setattr(
        cifar.CIFAR100, "_check_integrity", lambda self: True
    )  # its checksums are of the real one
    folder = tmp_path / "cifar-100-python"
    folder.mkdir()
    flat = np.arange(2 * 3072, dtype=np.uint8).reshape(2, 3072)
    for name in ("train", "test"):
        (folder / name).write_bytes(pickle.dumps({"data": flat, "fine_labels": [3, 1]}))
    (folder / "meta").write_bytes(pickle.dumps({"fine_label_names": [str(i) for i in range(100)]}))
    monkeypatch.setattr(cifar, "check_integrity", lambda *arguments: True)
    for source in (tmp_path, folder):  # or the folder inside it, which is what the archive holds
        train, _ = read_cifar(str(source))
        assert train.labels.tolist() == [3, 1]
        assert np.array_equal(train.pixels().numpy()[1], flat[1].reshape(3, 32, 32).transpose(1, 2, 0))


def test_a_broken_torchvision_folder_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "cifar-10-batches-py").mkdir()
    for source in (tmp_path, tmp_path / "cifar-10-batches-py"):
        with pytest.raises(UserError, match=r"CIFAR10 is not complete: [^\n]*cifar-10-python.tar.gz"):
            read_cifar(str(source))


def test_what_is_no_data_set(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no such folder; give data.source"):
        read_cifar(str(tmp_path / "nowhere"))
    with pytest.raises(UserError, match=r"has neither train\*.parquet"):
        read_cifar(str(tmp_path))


def test_wrong_columns_and_splits(tmp_path: Path) -> None:
    wrong = datasets.Dataset.from_dict({"text": ["a"], "label": [0]})
    datasets.DatasetDict(train=wrong, test=wrong).save_to_disk(str(tmp_path / "columns"))
    with pytest.raises(UserError, match=r"has the columns text, label, expected one of img, image"):
        read_cifar(str(tmp_path / "columns"))
    datasets.DatasetDict(train=wrong).save_to_disk(str(tmp_path / "splits"))
    with pytest.raises(UserError, match="has the splits train, expected train and test"):
        read_cifar(str(tmp_path / "splits"))


def test_unreadable_images_are_counted_and_named(tmp_path: Path) -> None:
    features = datasets.Features({"img": datasets.Image(decode=False), "label": datasets.Value("int64")})
    rows = {"img": [{"bytes": b"no image", "path": None}] * 7, "label": [0, 1] * 3 + [0]}
    broken = datasets.Dataset.from_dict(rows, features=features).cast_column("img", datasets.Image())
    datasets.DatasetDict(train=broken, test=broken).save_to_disk(str(tmp_path / "broken"))
    train, _ = read_cifar(str(tmp_path / "broken"))
    with pytest.raises(UserError, match=r"broken train: 7 images cannot be read: row 0 \(.*, \.\.\.$"):
        train.pixels()


def test_long_tail_of_a_data_set(cifar_like: Path) -> None:
    data = load_data(DataConfig(source=str(cifar_like), imbalance_degree=4))
    assert data.class_counts.tolist() == [24, 15, 9, 6]  # 24 * 4 ** (-i / 3): 24, 15.1, 9.5, 6
    assert data.labels.bincount().tolist() == [10] * 4
    full = load_data(DataConfig(source=str(cifar_like), profile="full"))
    assert full.class_counts.tolist() == [24] * 4


def test_labels_are_checked_in_one_report(tmp_path: Path, cifar_like: Path) -> None:
    good = datasets.load_from_disk(str(cifar_like))

    def saved(name: str, train: list[object], test: list[object]) -> str:
        splits = {
            split: good[split].select(range(4)).remove_columns("label").add_column("label", labels)
            for split, labels in (("train", train), ("test", test))
        }
        datasets.DatasetDict(splits).save_to_disk(str(tmp_path / name))
        return str(tmp_path / name)

    source = saved("wrong", [-1, 0, 3, 2_000_000_000], [0, 1, 5, 3])
    with pytest.raises(UserError) as caught:
        load_data(DataConfig(source=source))
    assert str(caught.value) == (
        f"{source} train: 1999999998 classes of 0 to 2000000000 without a training image: 1, 2, 4, 5, 6, "
        f"...; 1 negative classes: -1; {source} test: 2 classes that no training image has: 1, 5"
    )
    for name, labels in (
        ("text", ["a", "b", "c", "d"]),
        ("none", [0, None, 1, 2]),
        ("float", [0.5, 1.0, 2.0, 3.0]),
    ):
        with pytest.raises(
            UserError, match=f"{name} train: column label holds .*, expected one whole number"
        ):
            load_data(DataConfig(source=saved(name, labels, [0, 1, 2, 3])))


def test_one_file_is_the_same_picture_in_parquet_and_in_a_list(tmp_path: Path) -> None:
    """A camera's EXIF orientation is applied in both: the stripe of the stored left side is on top."""
    from PIL import Image

    stored = np.zeros((8, 8, 3), np.uint8)
    stored[:, :2] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # the stored left is the top
    Image.fromarray(stored).save(tmp_path / "a.png", exif=exif)
    features = datasets.Features({"img": datasets.Image(decode=False), "label": datasets.Value("int64")})
    rows = {"img": [{"bytes": (tmp_path / "a.png").read_bytes(), "path": None}], "label": [0]}
    for split in ("train", "test"):
        datasets.Dataset.from_dict(rows, features=features).to_parquet(str(tmp_path / f"{split}.parquet"))
    from_parquet = read_cifar(str(tmp_path))[0].pixels()[0]
    from_list, _ = _Images(
        FileList("list", tmp_path, ["a.png"], torch.tensor([0])),
        lambda image: torch.from_numpy(np.asarray(image).copy()),
    )[(0, 0)]
    assert torch.equal(from_parquet, from_list)
    assert from_list[:2].min() == 255
    assert from_list[2:].max() == 0
