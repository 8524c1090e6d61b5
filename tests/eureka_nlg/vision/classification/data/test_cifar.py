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
    train, _ = read_cifar(str(tmp_path))
    assert train.labels.tolist() == [3, 1]
    assert np.array_equal(train.pixels().numpy()[1], flat[1].reshape(3, 32, 32).transpose(1, 2, 0))


def test_a_broken_torchvision_folder_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "cifar-10-batches-py").mkdir()
    with pytest.raises(UserError, match="CIFAR10 is not whole there"):
        read_cifar(str(tmp_path))


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
