"""What a run writes down: read back as carefully as what a user wrote, and told when it cannot be written."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import pytest

from eureka_nlg.errors import UserError
from eureka_nlg.vision.training.log import TrainingLog, read_log

event_pb2 = pytest.importorskip("tensorboardX.proto.event_pb2")

ENTRY = '{"epoch": 1, "step": 10, "loss": 1.0}\n'


def write(folder: Path) -> None:
    with TrainingLog(folder, step=0, total_steps=30) as log:
        for epoch in (1, 2, 3):
            log.step()
            log.epoch({"epoch": epoch, "step": 10 * epoch, "loss": 1.0 / epoch, "accuracy.all": None})


def test_a_log_goes_on_where_the_checkpoint_stands(tmp_path: Path) -> None:
    write(tmp_path)
    with open(tmp_path / "log.jsonl", "a") as file:
        file.write('{"epoch": 4, "st')  # killed while it wrote
    with TrainingLog(tmp_path, step=20, total_steps=30, tensorboard=False) as log:
        log.epoch({"epoch": 3, "step": 30, "loss": 0.3})
    assert [(entry["step"], entry["loss"]) for entry in read_log(tmp_path / "log.jsonl")] == [
        (10, 1.0),
        (20, 0.5),
        (30, 0.3),
    ]


def test_an_entry_is_on_the_disk_when_it_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Checkpoint and result are; a disk that went away after them left a finished run without a log."""
    synced: list[str] = []
    monkeypatch.setattr(os, "fsync", lambda file: synced.append(os.readlink(f"/proc/self/fd/{file}")))
    with TrainingLog(tmp_path, step=0, total_steps=30, tensorboard=False) as log:
        for epoch in (1, 2):
            log.epoch({"epoch": epoch, "step": 10 * epoch, "loss": 0.3})
    assert synced[-2:] == [str(tmp_path / "log.jsonl")] * 2


def events(file: Path) -> list[object]:
    """TensorBoard's records: the length in eight bytes, its checksum in four, the event, its checksum."""
    content, read, found = file.read_bytes(), 0, []
    while read < len(content):
        (length,) = struct.unpack_from("<Q", content, read)
        found.append(event_pb2.Event.FromString(content[read + 12 : read + 12 + length]))
        read += length + 16
    return found


def test_tensorboard_gets_the_numbers(tmp_path: Path) -> None:
    write(tmp_path)
    [file] = (tmp_path / "tensorboard").iterdir()
    scalars = [(e.step, v.tag, v.simple_value) for e in events(file) for v in e.summary.value]
    assert scalars == [(10, "loss", 1.0), (20, "loss", 0.5), (30, "loss", pytest.approx(1 / 3))]
    file.unlink()
    with TrainingLog(tmp_path, step=20, total_steps=30) as log:
        log.epoch({"epoch": 3, "step": 30, "loss": 0.3})
    [file] = (tmp_path / "tensorboard").iterdir()
    assert [e.step for e in events(file) if e.session_log.status == event_pb2.SessionLog.START] == [21]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("[1, 2]", "no object"),
        ("{", "no JSON"),
        ("[" * 100_000, "no JSON"),
        ('{"epoch": 1}', "step is None"),
        ('{"epoch": "1", "step": 10}', "epoch is '1'"),
        ('{"epoch": true, "step": 10}', "epoch is True"),
        ('{"epoch": 1, "step": -3}', "step is -3"),
        ('{"epoch": 1, "step": 10, "loss": [1]}', r"loss is \[1\]"),
        ('{"epoch": 1, "step": 10, "seconds": NaN}', "seconds is nan"),
        (f'{{"epoch": 1, "step": {"9" * 5000}}}', "no JSON"),
    ],
)
def test_a_line_that_is_no_entry(line: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text(f"{ENTRY}{line}\n{ENTRY}")
    with pytest.raises(UserError, match=rf"^{path}: line 2: {said}, expected .*; remove the line$"):
        read_log(path)
    path.write_bytes(b"\xff\n")
    with pytest.raises(UserError, match="not valid UTF-8"):
        read_log(path)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device that is always full")
def test_a_full_disk_is_one_line(tmp_path: Path) -> None:
    with TrainingLog(tmp_path, step=0, total_steps=30) as log:
        (tmp_path / "log.jsonl").unlink()
        (tmp_path / "log.jsonl").symlink_to("/dev/full")
        with pytest.raises(UserError, match=r"log.jsonl: cannot be written: No space left on device"):
            log.epoch({"epoch": 1, "step": 10, "loss": 1.0})
    (tmp_path / "tensorboard").write_text("")  # a file where the folder is to be
    (tmp_path / "log.jsonl").unlink()
    with (
        TrainingLog(tmp_path, step=0, total_steps=30) as log,
        pytest.raises(UserError, match=r"log.jsonl: cannot be written: File exists"),
    ):
        log.epoch({"epoch": 1, "step": 10, "loss": 1.0})
