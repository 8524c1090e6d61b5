"""The log of a run: JSON lines, and the same numbers for TensorBoard."""

from __future__ import annotations

import json
import math
import os
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from eureka_nlg.errors import UserError, require
from eureka_nlg.files import write_text
from eureka_nlg.limits import parse_json
from eureka_nlg.progress import Progress

__all__ = ["TrainingLog", "read_log"]

_SHOWN = ("loss", "accuracy.all", "AP")


class TrainingLog:
    """Log of a run, with one entry per epoch; a resumed run removes entries after its checkpoint.

    Args:
        folder: folder of the run, for ``log.jsonl`` and ``tensorboard/``.
        step: step of the checkpoint that the run resumes from; 0 for a new run.
        total_steps: number of steps of the whole run, for the progress bar.
        enabled: False in all processes but the first.
        tensorboard: whether to write for TensorBoard, too.

    Raises:
        UserError: an old log cannot be read; or, here and in :meth:`epoch`, the log cannot be written.
    """

    def __init__(
        self, folder: Path, step: int, total_steps: int, enabled: bool = True, tensorboard: bool = True
    ) -> None:
        self.enabled = enabled
        if not enabled:
            return
        self.path = folder / "log.jsonl"
        kept = [entry for entry in read_log(self.path) if entry["step"] <= step]
        write_text(self.path, "".join(json.dumps(entry) + "\n" for entry in kept))
        self._board = _Board(folder / "tensorboard", step) if tensorboard else None
        self._progress = Progress(step, total_steps)

    def __enter__(self) -> TrainingLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self.enabled:
            self._progress.close()

    def step(self) -> None:
        """Report that a training step is done."""
        if self.enabled:
            self._progress.step()

    def doing(self, what: str) -> None:
        """Report work other than training steps, such as an evaluation."""
        if self.enabled:
            self._progress.doing(what)

    def epoch(self, entry: dict[str, Any]) -> None:
        """Write the entry of an epoch: name -> number or None; it has to have ``step`` and ``epoch``."""
        if not self.enabled:
            return
        try:
            with open(self.path, "a", encoding="utf-8") as file:
                file.write(json.dumps(entry) + "\n")
                file.flush()
                os.fsync(file.fileno())  # as durable as the checkpoint and the result
            if self._board is not None:
                self._board.write(entry)
        except OSError as error:
            raise UserError(f"{self.path}: cannot be written: {error.strerror or error}") from error
        shown = {key: f"{entry[key]:.4g}" for key in _SHOWN if entry.get(key) is not None}
        self._progress.epoch(entry["epoch"], shown)


class _Board:
    """TensorBoard's event file, written in this thread.

    tensorboardX writes in a thread of its own, in which a full disk would cause a traceback.
    """

    def __init__(self, folder: Path, step: int) -> None:
        self._event = require("tensorboardX.proto.event_pb2", extra="vision")
        self._scalar = require("tensorboardX.summary", extra="vision").scalar
        self._folder, self._purged = folder, step + 1 if step else None
        self._file: Any = None

    def write(self, entry: dict[str, Any]) -> None:
        if self._file is None:
            self._folder.mkdir(parents=True, exist_ok=True)
            writer = require("tensorboardX.event_file_writer", extra="vision").EventsWriter
            self._file = writer(str(self._folder / "events"))
            if self._purged is not None:  # resumed: TensorBoard drops what was written after the checkpoint
                start = self._event.SessionLog(status=self._event.SessionLog.START)
                self._file.write_event(self._event.Event(step=self._purged, session_log=start))
        for key, value in entry.items():
            if isinstance(value, (int, float)) and key not in ("step", "epoch"):
                summary = self._scalar(key.replace(".", "/"), value)
                event = self._event.Event(step=entry["step"], wall_time=time.time(), summary=summary)
                self._file.write_event(event)
        self._file.flush()


def read_log(path: Path) -> list[dict[str, Any]]:
    """Entries of a log, without a last line that is incomplete.

    Raises:
        UserError: the file cannot be read, or a line is not an entry; the message has its number.
    """
    if not path.is_file():
        return []
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not valid UTF-8"
        raise UserError(f"{path}: cannot be read: {reason}") from error
    entries = []
    for number, line in enumerate(lines, start=1):
        if number == len(lines):
            break  # empty or incomplete: a complete entry ends with a line end
        try:
            entry = parse_json(line)
            wrong = _wrong(entry)
        except ValueError:
            wrong = "no JSON"
        if wrong:
            raise UserError(
                f"{path}: line {number}: {wrong}, expected the entry of an epoch as `eureka vision` writes "
                "it; remove the line"
            )
        entries.append(entry)
    return entries


def _wrong(entry: Any) -> str:
    """What is wrong with an entry; empty if nothing is."""
    if not isinstance(entry, dict):
        return "no object"
    for key in ("step", "epoch"):
        if type(entry.get(key)) is not int or entry[key] < 0:
            return f"{key} is {entry.get(key)!r}"
    for key, value in entry.items():
        if value is not None and not (type(value) in (int, float) and math.isfinite(value)):
            return f"{key} is {repr(value)[:40]}"
    return ""
