"""`eureka configs` lists what there is, and copies it."""

from __future__ import annotations

from pathlib import Path

import pytest

from eureka_nlg.cli.main import main

ROOT = Path(__file__).resolve().parents[3]


def test_every_config_is_listed_with_what_it_is_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["configs"]) == 0
    lines = capsys.readouterr().out.splitlines()
    paths, purposes = lines[::2], lines[1::2]
    runs = [path for path in (ROOT / "configs").rglob("*.yaml") if path.name != "base.yaml"]
    assert paths == sorted(str(path.relative_to(ROOT)) for path in runs)
    assert all(len(purpose.strip()) > 10 for purpose in purposes)


def test_a_part_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    for folder in ("dialogue/sample", "configs/dialogue/sample"):
        assert main(["configs", folder]) == 0
        listed = capsys.readouterr().out.splitlines()[::2]
        assert listed == ["configs/dialogue/sample/ce.yaml", "configs/dialogue/sample/el.yaml"]


def test_an_unknown_part_names_those_that_are_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["configs", "dialogue/convai3"]) == 2
    families = "dialogue/convai2, dialogue/convai2_small, dialogue/dailydialog, dialogue/sample"
    assert f"expected one of {families}" in capsys.readouterr().err


def test_a_copy_is_whole_and_nothing_is_overwritten(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "mine"
    assert main(["configs", "dialogue", "--copy", str(out)]) == 0
    assert (out / "sample/base.yaml").read_bytes() == (
        ROOT / "configs/dialogue/sample/base.yaml"
    ).read_bytes()
    capsys.readouterr()
    assert main(["configs", "dialogue", "--copy", str(out)]) == 2
    assert str(out) in capsys.readouterr().err
