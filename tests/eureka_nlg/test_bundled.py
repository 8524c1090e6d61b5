"""Configs and corpus are found under the paths of a clone, wherever the package is installed."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

import eureka_nlg.bundled
from eureka_nlg.bundled import BUNDLED, bundled_root, find_bundled
from eureka_nlg.dialogue.training import read_config

ROOT = Path(__file__).resolve().parents[2]
CONFIG = "configs/dialogue/sample/ce.yaml"


def test_in_a_clone_they_are_the_clones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert bundled_root() == ROOT
    assert find_bundled(CONFIG) == ROOT / CONFIG
    assert read_config(CONFIG)["save_dir"] == "runs/sample/ce"


def test_installed_they_are_in_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed = tmp_path / "site-packages" / "eureka_nlg"
    (installed / "_bundled" / "data" / "sample").mkdir(parents=True)
    monkeypatch.setattr(eureka_nlg.bundled, "_PACKAGE", installed)
    monkeypatch.chdir(tmp_path)
    assert find_bundled("data/sample") == installed / "_bundled" / "data" / "sample"


def test_what_is_there_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "configs/dialogue/sample").mkdir(parents=True)
    (tmp_path / CONFIG).write_text("lr: 1\n")
    assert find_bundled(CONFIG) == Path(CONFIG)


@pytest.mark.parametrize(
    "path", ["configs/dialogue/none.yaml", "setup.cfg", "configs/../setup.cfg", "/configs"]
)
def test_nothing_else_is_found(path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_bundled(path) == Path(path)


def test_the_wheel_carries_what_is_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    setuptools = pytest.importorskip("setuptools")
    monkeypatch.setattr(setuptools, "setup", lambda **kwargs: None)
    assert runpy.run_path(str(ROOT / "setup.py"))["_BUNDLED"] == BUNDLED
