"""A folder is there whole, or not at all."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from eureka_nlg.dialogue import files
from eureka_nlg.dialogue.files import new_folder, sha256
from eureka_nlg.errors import UserError


def test_appears_when_the_block_ends(tmp_path: Path) -> None:
    out = tmp_path / "a" / "b"
    with new_folder(out) as building:
        (building / "x").write_text("x")
        assert building.parent == out.parent
        assert not out.exists()
    assert [path.name for path in out.parent.iterdir()] == ["b"]
    assert [path.name for path in out.iterdir()] == ["x"]
    plain = tmp_path / "plain"
    plain.mkdir()
    assert stat.S_IMODE(out.stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_nothing_stays_after_an_error(tmp_path: Path, error: type[BaseException]) -> None:
    def write_and_fail() -> None:
        with new_folder(tmp_path / "out") as building:
            (building / "x").write_text("x")
            raise error

    with pytest.raises(error):
        write_and_fail()
    assert list(tmp_path.iterdir()) == []


def test_full_disk_names_the_folder(tmp_path: Path) -> None:
    error = OSError(errno.ENOSPC, "No space left on device")
    with (
        pytest.raises(UserError, match=r"out: cannot be written: No space left"),
        new_folder(tmp_path / "out"),
    ):
        raise error
    assert list(tmp_path.iterdir()) == []


def test_errors_of_other_files_pass(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="absent"), new_folder(tmp_path / "out"):
        (tmp_path / "absent").read_text()


def test_old_folder_stays_until_the_new_is_whole(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "old").touch()
    with pytest.raises(UserError, match=r"out: the folder is not empty; .*--overwrite"), new_folder(out):
        pass
    with pytest.raises(RuntimeError), new_folder(out, overwrite=True):
        raise RuntimeError
    assert [path.name for path in out.iterdir()] == ["old"]
    with new_folder(out, overwrite=True) as building:
        (building / "new").touch()
        assert (out / "old").exists()
    assert [path.name for path in out.iterdir()] == ["new"]
    assert list(tmp_path.iterdir()) == [out]


def test_old_folder_comes_back_if_the_new_cannot_be_moved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "old").touch()
    rename = os.rename

    def failing(source: Path, target: Path) -> None:
        if str(source).endswith(".partial"):
            raise OSError("no")
        rename(source, target)

    monkeypatch.setattr(files.os, "rename", failing)
    with pytest.raises(UserError, match="out: cannot be written: no"), new_folder(out, overwrite=True):
        pass
    assert [path.name for path in out.iterdir()] == ["old"]
    assert list(tmp_path.iterdir()) == [out]


def test_empty_folder_is_taken(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with new_folder(tmp_path / "out") as building:
        (building / "x").touch()
    assert (tmp_path / "out" / "x").exists()
    assert len(list(tmp_path.iterdir())) == 1


def test_file_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "out").touch()
    with pytest.raises(UserError, match="is no folder"), new_folder(tmp_path / "out", overwrite=True):
        pass
    assert (tmp_path / "out").is_file()


def test_sha256_of_the_standard(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")  # the example of FIPS 180
    assert sha256(tmp_path / "abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
