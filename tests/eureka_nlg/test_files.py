"""A file or folder is there whole, or not at all."""

from __future__ import annotations

import errno
import json
import os
import stat
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from full_disk import largest_file

from eureka_nlg import files
from eureka_nlg.errors import UserError
from eureka_nlg.files import (
    alone,
    exclusive,
    files_of,
    folders,
    full_disk,
    new_folder,
    output_file,
    partial,
    read_json,
    sha256,
    write_json,
    write_lines,
    write_text,
    write_whole,
)


def test_a_file_appears_when_the_block_ends(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b.txt"
    with write_whole(path) as file:
        file.write(b"x")
        file.flush()
        assert not path.exists()
    assert path.read_bytes() == b"x"
    assert [entry.name for entry in path.parent.iterdir()] == ["b.txt"]
    plain = tmp_path / "plain"
    plain.touch()
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)


def test_what_the_writers_write(tmp_path: Path) -> None:
    write_lines(tmp_path / "lines", ["one", "", "two\u2028"])
    assert (tmp_path / "lines").read_bytes() == "one\n\ntwo\u2028\n".encode()
    write_json(tmp_path / "json", {"ä": [1, None]})
    assert json.loads((tmp_path / "json").read_bytes()) == {"ä": [1, None]} == read_json(tmp_path / "json")
    with pytest.raises(ValueError, match="Out of range"):
        write_json(tmp_path / "json", float("nan"))
    assert read_json(tmp_path / "json") == {"ä": [1, None]}


def test_a_full_disk_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    write_json(path, [1])
    with (
        largest_file(100_000),
        pytest.raises(UserError, match=r"x\.json: cannot be written: File too large"),
    ):
        write_text(path, "x" * 1_000_000)
    assert read_json(path) == [1]
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_under_torch_and_matplotlib(tmp_path: Path) -> None:
    """Writers that turn the system's error into one of their own, without its reason."""
    torch = pytest.importorskip("torch")
    path = tmp_path / "x.pt"
    torch.save({"weight": 1}, path)
    with (
        largest_file(100_000),
        pytest.raises(UserError, match=r"x\.pt: cannot be written: File too large"),
        write_whole(path) as file,
    ):
        torch.save({"weight": torch.zeros(1_000_000)}, file)
    assert torch.load(path, weights_only=True) == {"weight": 1}
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [KeyboardInterrupt, KeyError])
def test_an_error_of_the_caller_leaves_the_old_file(tmp_path: Path, error: type[BaseException]) -> None:
    path = tmp_path / "x"
    path.write_text("old")

    def write_and_fail() -> None:
        with write_whole(path) as file:
            file.write(b"new")
            raise error

    with pytest.raises(error):
        write_and_fail()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_cannot_be_written_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(tempfile, "mkstemp", refuse)
    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    with pytest.raises(UserError, match="x: cannot be written: Read-only file system"):
        write_text(tmp_path / "x", "x")
    with pytest.raises(UserError, match=r"--out .*x: cannot be written: Read-only file system"):
        output_file(tmp_path / "x", "--out")


def test_a_link_stays_a_link_and_permissions_stay(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    target, link = tmp_path / "real" / "file", tmp_path / "link"
    target.write_text("old")
    target.chmod(0o600)
    link.symlink_to(Path("real") / "file")
    write_text(link, "new")
    assert link.is_symlink()
    assert target.read_text() == "new"
    assert stat.S_IMODE(target.stat().st_mode) == 0o600


def test_a_pipe_is_written_to(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    assert output_file(pipe, "--out", "JSON", holds=("scores",)) == pipe
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()))
    reader.start()
    write_text(pipe, "through")
    reader.join()
    assert read == [b"through"]
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_standard_output_goes_on_where_it_is_a_file(tmp_path: Path) -> None:
    """Opened by its name it would be cut off, or replaced by a file that nobody sees."""
    code = (
        "from eureka_nlg.files import output_file, write_text\n"
        "print('before'); write_text(output_file('/dev/stdout', '--out'), 'result\\n'); print('after')"
    )
    (tmp_path / "out").symlink_to("/dev/stdout")
    for name in ("/dev/stdout", "out"):
        with open(tmp_path / "redirected", "w") as out:
            subprocess.run(
                [sys.executable, "-c", code.replace("/dev/stdout", name)],
                stdout=out,
                check=True,
                cwd=tmp_path,
                env={**os.environ, "PYTHONPATH": str(Path(files.__file__).parents[2])},
            )
        assert (tmp_path / "redirected").read_text() == "before\nresult\nafter\n"


def test_a_name_as_long_as_the_file_system_allows(tmp_path: Path) -> None:
    for name in ("x" * 255, "ä" * 127):
        write_text(tmp_path / name, "x")
        assert (tmp_path / name).read_text() == "x"
        with new_folder(tmp_path / "d" / name):
            pass


PNG, ZIP, PICKLE = b"\x89PNG\r\n\x1a\n0000", b"PK\x03\x04....", b"\x80\x04K\x01."


@pytest.mark.parametrize(
    ("kind", "name", "content", "found"),
    [
        ("JSON", "checkpoint.pt", ZIP, "a zip archive, as checkpoints are"),
        ("JSON", "checkpoint.pt", PICKLE, "a pickle"),
        ("text", "counts.npy", b"\x93NUMPY\x01\x00", "a NumPy array"),
        ("text", "scores.png", PNG, "PNG"),
        ("text", "train.bin", bytes(range(256)), "binary"),
        ("text", "corpus.gz", b"\x1f\x8b\x08\x00", "gzip"),
        ("text", "analysis.json", b' {"a": [1, 2]}\n', "JSON"),
        ("text", "report.html", b"<!DOCTYPE html>\n<p>", "HTML"),
        ("text", "figure.svg", b"<?xml version='1.0'?><svg/>", "SVG"),
        ("text", "ce.yaml", b"lr: [3]\n", "YAML"),
        ("text", "fairseq.log", b"epoch 1\n", "a log"),
        ("JSON", "replies.txt", b"hello .\n", "text"),
        ("HTML", "replies.txt", b"hello .\n", "text"),
        ("HTML", "analysis.json", b"{}", "JSON"),
    ],
)
def test_a_file_of_another_kind_is_not_replaced(
    tmp_path: Path, kind: files.Kind, name: str, content: bytes, found: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(UserError, match=rf"--out .*{name}: exists and is {found}.*, not {kind}: give"):
        output_file(path, "--out", kind)


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("JSON", b'{"scores": 1}'),
        ("JSON", b'{"CE": {"scores": 1}, "EL": {"scores": 2}}'),
        ("JSON", b""),
        ("text", b"[ silence ] and so on\n"),
        ("text", b"42\n"),
        ("text", ("a" * (2**16 - 1) + "ä").encode()),  # a character across the end of what is looked at
        ("HTML", b"<!doctype html>"),
    ],
)
def test_a_file_of_the_same_kind_is(tmp_path: Path, kind: files.Kind, content: bytes) -> None:
    path = tmp_path / "x"
    path.write_bytes(content)
    assert output_file(path, "--out", kind, holds=("scores",)) == path
    assert path.read_bytes() == content


@pytest.mark.parametrize("content", ['{"groups": {}}', "[1]", '{"a": {"scores": 1}, "b": 2}', "{}"])
def test_json_of_something_else_is_not_replaced(tmp_path: Path, content: str) -> None:
    (tmp_path / "x.json").write_text(content)
    with pytest.raises(UserError, match="exists and is JSON of something else"):
        output_file(tmp_path / "x.json", "--json", "JSON", holds=("scores",))


def test_no_place_for_an_output(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"--out .*: is a folder, expected a file name"):
        output_file(tmp_path, "--out")
    with pytest.raises(UserError, match=r"--out .*: there is no folder .*no, make it first"):
        output_file(tmp_path / "no" / "x", "--out")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"{", "is no JSON"),
        (b"\xff", "byte 1 is not valid UTF-8"),
        (b"[" * 100_000, "nested more than 100 deep"),
    ],
)
def test_what_is_no_json(tmp_path: Path, content: bytes, reason: str) -> None:
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(UserError, match=f"x: .*(?:{reason})"):
        read_json(tmp_path / "x")
    with pytest.raises(UserError, match="absent: cannot be read: No such file"):
        read_json(tmp_path / "absent")


def test_what_a_killed_process_left_goes_with_the_next_write(tmp_path: Path) -> None:
    code = (
        "import os, signal\nfrom pathlib import Path\n"
        "from eureka_nlg.files import new_folder, write_whole\n"
        "with write_whole('file') as file, new_folder(Path('folder')):\n"
        "    file.write(b'half')\n    os.kill(os.getpid(), signal.SIGKILL)"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(files.__file__).parents[2])}
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, check=False)
    left = list(tmp_path.iterdir())
    assert len(left) == 2
    assert all(path.name.endswith(".partial") for path in left)
    other = tmp_path / ".file.other.12345678.partial"  # of a file "file.other"
    other.touch()
    write_text(tmp_path / "file", "whole")
    with new_folder(tmp_path / "folder"):
        pass
    assert sorted(path.name for path in tmp_path.iterdir()) == [other.name, "file", "folder"]


def test_two_at_once(tmp_path: Path) -> None:
    """Two locks in one process are as much apart as those of two processes."""
    busy = "run: another process is writing it"
    with new_folder(tmp_path / "run") as building:
        (building / "x").touch()
        os.utime(building, (0, 0))
        with pytest.raises(UserError, match=busy), new_folder(tmp_path / "run"):
            pass
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["x"]
    with exclusive(tmp_path / "run"):
        with pytest.raises(UserError, match=busy), exclusive(tmp_path / "run"):
            pass
        with exclusive(tmp_path / "other"):
            pass
    with exclusive(tmp_path / "run"):
        pass
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run"]


def test_what_is_taken_for_a_leftover_before_it_is_locked_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between its making and its lock a neighbour looks like what a killed process left."""
    path, flock, removed = tmp_path / "x", partial.fcntl.flock, []

    def flock_late(descriptor: int, how: int) -> None:
        if len(removed) < 2 and not how & partial.fcntl.LOCK_NB:
            (name,) = tmp_path.iterdir()
            removed.append(name)
            assert not partial.remove_leftovers(path)
            assert not name.exists()
        flock(descriptor, how)

    monkeypatch.setattr(partial.fcntl, "flock", flock_late)
    write_text(path, "x")
    assert path.read_text() == "x"
    path.unlink()
    with new_folder(path):
        pass
    assert list(tmp_path.iterdir()) == [path]
    assert len(removed) == 2


def test_where_there_are_no_locks_only_what_is_old_is_a_leftover(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(partial.fcntl, "flock", refuse)
    young, old = tmp_path / ".x.11111111.partial", tmp_path / ".x.22222222.partial"
    young.touch()
    old.touch()
    os.utime(old, (time.time() - 200_000,) * 2)
    write_text(tmp_path / "x", "x")
    assert sorted(path.name for path in tmp_path.iterdir()) == [young.name, "x"]
    with exclusive(tmp_path), exclusive(tmp_path):
        pass


def test_one_command_makes_an_output(tmp_path: Path) -> None:
    path = tmp_path / "replies.txt"
    with alone(path):
        with pytest.raises(UserError, match=r"replies\.txt: another process is writing it"), alone(path):
            pass
        with alone(tmp_path / "other"):
            write_text(path, "x")
    with alone(path):
        pass
    assert [entry.name for entry in tmp_path.iterdir()] == ["replies.txt"]
    with alone("/dev/stdout"), alone("/dev/stdout"):
        pass


def test_a_folder_that_stayed_empty_is_not_left_behind(tmp_path: Path) -> None:
    with exclusive(tmp_path / "run"):
        pass
    assert not list(tmp_path.iterdir())
    with exclusive(tmp_path / "run"):
        (tmp_path / "run" / "x").touch()
    assert (tmp_path / "run" / "x").exists()


def test_forked_processes_do_not_hold_on(tmp_path: Path) -> None:
    """A worker may live longer than the process that was killed."""
    read, write = os.pipe()
    started = os.pipe()
    with exclusive(tmp_path), alone(tmp_path / "x"):
        child = os.fork()
        if child == 0:
            os.write(started[1], b"x")
            os.close(write)
            os.read(read, 1)  # until the parent closes its end
            os._exit(0)
        os.read(started[0], 1)
    try:
        with exclusive(tmp_path), alone(tmp_path / "x"):
            pass
    finally:
        for end in (write, read, *started):
            os.close(end)
        os.waitpid(child, 0)


def test_the_files_of_a_folder_come_together_and_whole(tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("kept")
    (tmp_path / "model").write_text("old")
    with files_of(tmp_path) as folder:
        (folder / "sub").mkdir()
        (folder / "sub" / "x").touch()
        (folder / "model").write_text("new")
        assert (tmp_path / "model").read_text() == "old"
    assert (tmp_path / "model").read_text() == "new"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kept", "model", "sub"]
    with (
        largest_file(100),
        pytest.raises(UserError, match=r"cannot be written: File too large"),
        files_of(tmp_path) as folder,
    ):
        (folder / "model").write_text("x" * 1000)
    assert (tmp_path / "model").read_text() == "new"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kept", "model", "sub"]


@pytest.mark.parametrize("make", [files_of, new_folder, write_whole])
def test_files_are_on_the_disk_before_they_take_their_places(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Any
) -> None:
    """Else a disk that goes away leaves their names, and empty files, or takes back what is in its place."""
    done: list[str] = []
    fsync, replace, rename = os.fsync, os.replace, os.rename

    def note(what: str) -> None:
        done.append(what)

    def synced(descriptor: int) -> None:
        note(Path(os.readlink(f"/proc/self/fd/{descriptor}")).name)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", lambda *names: (note("place"), replace(*names)))
    monkeypatch.setattr(os, "rename", lambda *names: (note("place"), rename(*names)))
    with make(tmp_path / "outer" / "run") as made:
        if make is write_whole:
            made.write(b"x")
        else:
            (made / "sub").mkdir()
            for name in ("a", "sub/b"):
                (made / name).write_text("x")
    before, after = done[: done.index("place")], done[done.index("place") :]
    assert len(before) == 1 if make is write_whole else {"a", "sub", "b"} < set(before)
    assert after[-1] == ("sub" if make is files_of else "outer")


def test_what_the_system_said_of_a_full_disk_is_found() -> None:
    full = OSError(errno.ENOSPC, "No space left on device", "x.pt")
    hidden = RuntimeError("[enforce fail] PytorchStreamWriter failed writing file data/0")
    hidden.__context__ = KeyError("x")
    rust = ValueError("Error while serializing: I/O error: No space left on device (os error 28)")
    assert full_disk(full) == "x.pt: cannot be written: No space left on device"
    assert full_disk(hidden) == "a checkpoint cannot be written (is the disk full?)"
    assert full_disk(rust) == "a file cannot be written: No space left on device"
    caused = RuntimeError("failed")
    caused.__cause__ = full
    assert full_disk(caused) == full_disk(full)
    for other in (
        KeyError("x"),
        FileNotFoundError(errno.ENOENT, "No such file", "x"),
        ValueError("(os error 2)"),
    ):
        assert full_disk(other) is None


def test_a_child_holds_the_folder_when_its_parent_is_gone(tmp_path: Path) -> None:
    sleep = [sys.executable, "-c", "import time; time.sleep(60)"]
    with exclusive(tmp_path) as descriptor:
        child = subprocess.Popen(sleep, pass_fds=[descriptor])
    try:
        with pytest.raises(UserError, match="another process"), exclusive(tmp_path):
            pass
    finally:
        child.kill()
        child.wait()
    with exclusive(tmp_path):
        pass


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
    monkeypatch.setattr(folders, "exchange", lambda *_: False)  # as where the system cannot

    def failing(source: Path, target: Path) -> None:
        if str(source).endswith(".partial"):
            raise OSError("no")
        rename(source, target)

    monkeypatch.setattr(os, "rename", failing)
    with pytest.raises(UserError, match="out: cannot be written: no"), new_folder(out, overwrite=True):
        pass
    assert [path.name for path in out.iterdir()] == ["old"]
    assert list(tmp_path.iterdir()) == [out]


def test_a_folder_is_replaced_in_one_step(tmp_path: Path) -> None:
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).touch()
    if not partial.exchange(tmp_path / "old", tmp_path / "new"):
        pytest.skip("no renameat2 here")
    assert [path.name for path in (tmp_path / "old").iterdir()] == ["new"]
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["old"]


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
