"""The archive of ConvAI2: a small one made here, from a server on the loopback device."""

from __future__ import annotations

import functools
import http.server
import io
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from eureka_nlg.dialogue.convai2 import MEMBERS, fetch_convai2
from eureka_nlg.errors import UserError
from eureka_nlg.files import sha256

pytest.importorskip("pooch")


def make_archive(path: Path, prefix: str = "", leave_out: str = "", link: bool = False) -> str:
    with tarfile.open(path, "w:gz") as tar:
        for name in (*MEMBERS.values(), "other.txt"):
            if name == leave_out:
                continue
            member = tarfile.TarInfo(prefix + name)
            content = f"1 {name}\tyes\n".encode()
            member.size = len(content)
            if link and name in MEMBERS.values():
                member.type, member.linkname, member.size = tarfile.SYMTYPE, "/etc/hostname", 0
            tar.addfile(member, io.BytesIO(content))
    return sha256(path)


class Handler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None: ...


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder, and the address under which its files are served."""
    folder = tmp_path / "served"
    folder.mkdir()
    with http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Handler, directory=str(folder))
    ) as serving:
        thread = threading.Thread(target=serving.serve_forever)
        thread.start()
        yield folder, f"http://127.0.0.1:{serving.server_port}"
        serving.shutdown()
        thread.join()


def test_fetched_once_and_unpacked(server: tuple[Path, str], tmp_path: Path) -> None:
    folder, address = server
    digest = make_archive(folder / "a.tgz", prefix="./some/where/")
    cache = tmp_path / "cache"
    files = fetch_convai2(cache, f"{address}/a.tgz", digest)
    assert {split: path.read_text() for split, path in files.items()} == {
        split: f"1 {name}\tyes\n" for split, name in MEMBERS.items()
    }
    (folder / "a.tgz").unlink()
    assert fetch_convai2(cache, f"{address}/a.tgz", digest) == files
    assert not [path for path in cache.rglob("*") if path.name == "other.txt" or path.name.startswith(".")]


def test_wrong_hash_keeps_nothing(server: tuple[Path, str], tmp_path: Path) -> None:
    folder, address = server
    make_archive(folder / "a.tgz")
    with pytest.raises(UserError, match="does not have the SHA-256 000"):
        fetch_convai2(tmp_path / "cache", f"{address}/a.tgz", "0" * 64)
    assert list((tmp_path / "cache").iterdir()) == []


def test_file_put_there_by_hand(tmp_path: Path) -> None:
    digest = make_archive(tmp_path / "a.tgz")
    assert fetch_convai2(tmp_path, "http://127.0.0.1:9/a.tgz", digest)["train"].exists()
    with pytest.raises(UserError, match=f"a.tgz: the SHA-256 is {digest}; expected 000"):
        fetch_convai2(tmp_path, "http://127.0.0.1:9/a.tgz", "0" * 64)


def test_offline_says_where_to_put_the_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"put it at .*cache/a\.tgz") as caught:
        fetch_convai2(tmp_path / "cache", "http://127.0.0.1:9/a.tgz", "0" * 64)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("options", [{"prefix": "../"}, {"prefix": "/tmp/x/../../../"}, {"link": True}])
def test_unsafe_members_are_refused(tmp_path: Path, options: dict) -> None:
    cache = tmp_path / "a" / "b"
    cache.mkdir(parents=True)
    digest = make_archive(cache / "a.tgz", **options)
    with pytest.raises(UserError, match="not unpacked"):
        fetch_convai2(cache, "http://127.0.0.1:9/a.tgz", digest)
    assert [path.name for path in tmp_path.rglob("*") if path.is_file() or path.is_symlink()] == ["a.tgz"]


def test_member_missing(tmp_path: Path) -> None:
    digest = make_archive(tmp_path / "a.tgz", leave_out=MEMBERS["valid"])
    with pytest.raises(UserError, match=f"the archive has no {MEMBERS['valid']}"):
        fetch_convai2(tmp_path, "http://127.0.0.1:9/a.tgz", digest)
    assert [path.name for path in tmp_path.iterdir()] == ["a.tgz"]
