"""`eureka configs` lists what there is, and copies it."""

from __future__ import annotations

from pathlib import Path

import pytest

from eureka_nlg.cli.main import main
from eureka_nlg.option_files import read_options

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


@pytest.mark.parametrize("folder", ["dialogue/dailydialog", "vision/cifar100_lt", "dialogue"])
def test_copies_can_be_used(folder: str, tmp_path: Path) -> None:
    """Also of a family whose base is in another one; the copy is not changed by the original any more."""
    out = tmp_path / "mine"
    assert main(["configs", folder, "--copy", str(out)]) == 0
    for path in out.rglob("*.yaml"):
        original = ROOT / "configs" / folder / path.relative_to(out)
        if not original.exists():
            continue
        options = {"extra": "fairseq", "examples": "configs", "override_example": "a=1"}
        copied, wanted = (read_options(one, **options) for one in (path, original))
        assert {key: given.value for key, given in copied.items()} == {
            key: given.value for key, given in wanted.items()
        }
        assert all(str(out) in given.where for given in copied.values())


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
