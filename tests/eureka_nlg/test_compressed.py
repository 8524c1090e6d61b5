"""Compressed input against what was packed, and archives that are refused."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
from pathlib import Path

import pytest

from eureka_nlg import compressed
from eureka_nlg.compressed import open_input, plain_name
from eureka_nlg.errors import UserError
from eureka_nlg.text_files import TextFile

TEXT = "".join(f"line {number} é\n" for number in range(30_000)).encode()


def zipped(**members: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


def zstd(content: bytes) -> bytes:
    return pytest.importorskip("pyarrow").compress(content, codec="zstd", asbytes=True)


def unpack(path: Path) -> None:
    with open_input(path) as file:
        while file.read(1 << 16):
            pass


PACK = {
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": zstd,
    ".zip": lambda content: zipped(**{"a/": b"", "a/.hidden": b"x", "__MACOSX/a": b"x", "a/x.txt": content}),
    "": bytes,
}


@pytest.mark.parametrize("ending", PACK)
def test_what_was_packed_comes_out(tmp_path: Path, ending: str) -> None:
    path = tmp_path / "no ending that tells"
    path.write_bytes(PACK[ending](TEXT))
    with open_input(path) as file:
        assert file.read(7) == TEXT[:7]
        assert file.readline() == TEXT[7 : TEXT.index(b"\n") + 1]
        assert file.read() == TEXT[TEXT.index(b"\n") + 1 :]
    assert list(TextFile(path)) == TEXT.decode().splitlines()


@pytest.mark.parametrize("ending", [".gz", ".bz2", ".xz", ".zst"])
def test_several_streams_in_a_file(tmp_path: Path, ending: str) -> None:
    path = tmp_path / "x"
    path.write_bytes(PACK[ending](TEXT) + PACK[ending](b"more\n"))
    with open_input(path) as file:
        assert file.read() == TEXT + b"more\n"


@pytest.mark.parametrize("ending", [".gz", ".bz2", ".xz", ".zst", ".zip"])
@pytest.mark.parametrize("damage", ["cut", "changed"])
def test_broken_files(tmp_path: Path, ending: str, damage: str) -> None:
    packed = bytearray(PACK[ending](TEXT))
    if damage == "cut":
        del packed[len(packed) // 2 :]
    else:
        packed[len(packed) // 3 : len(packed) // 2] = bytes(len(packed) // 2 - len(packed) // 3)
    path = tmp_path / "x"
    path.write_bytes(packed)
    with pytest.raises(UserError, match=r"x: cannot be unpacked as \w+ \("):
        unpack(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (zipped(a=b"x", b=b"y"), r"the zip archive holds 2 files \(a, b\); expected one"),
        (zipped(), r"the zip archive holds 0 files \(none\)"),
        (gzip.compress(bytes(257) + b"ustar" + bytes(250)), "is a tar archive: unpack it"),
        (bytes(257) + b"ustar" + bytes(250), "is a tar archive: unpack it"),
    ],
    ids=["zip of two", "zip of none", "packed tar", "tar"],  # the bytes hold the time, and would be the names
)
def test_archives_of_several_files(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "x"
    path.write_bytes(content)
    with pytest.raises(UserError, match=message), open_input(path) as file:
        file.read()


def test_a_real_tar_archive(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    with tarfile.open(tmp_path / "x.tgz", "w:gz") as archive:
        archive.add(tmp_path / "a", "a")
    with pytest.raises(UserError, match="is a tar archive"), open_input(tmp_path / "x.tgz") as file:
        file.read()


def test_a_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compressed, "ALWAYS_UNPACKED", 1 << 20)
    path = tmp_path / "x.gz"
    path.write_bytes(gzip.compress(bytes(1 << 23)))
    with pytest.raises(UserError, match="unpacks to more than 300 times its size"):
        unpack(path)


def test_plain_name() -> None:
    assert [plain_name(f"a/train.txt{ending}").name for ending in PACK] == ["train.txt"] * len(PACK)
    assert plain_name("train.v2").name == "train.v2"
