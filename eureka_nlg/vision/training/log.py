"""What a run writes down while it trains: JSON lines, TensorBoard, a progress bar."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import TracebackType
from typing import Any

from eureka_nlg.errors import require
from eureka_nlg.vision.training.checkpoint import write_whole

__all__ = ["TrainingLog", "read_log"]

_SHOWN = ("loss", "accuracy.all", "AP")


class TrainingLog:
    """Log of a run, one entry per epoch; on a resume, entries from after the checkpoint are taken out.

    Args:
        folder: of the run: ``log.jsonl``, and ``tensorboard/``.
        step: of the checkpoint that the run goes on from.
        total_steps: of the whole run, for the progress bar.
        enabled: false in all processes but the first.
    """

    def __init__(self, folder: Path, step: int, total_steps: int, enabled: bool = True) -> None:
        self.enabled = enabled
        if not enabled:
            return
        self.path = folder / "log.jsonl"
        kept = [entry for entry in read_log(self.path) if entry["step"] <= step]
        text = "".join(json.dumps(entry) + "\n" for entry in kept)
        write_whole(self.path, lambda file: file.write(text.encode()))
        self._file = open(self.path, "a", encoding="utf-8")  # noqa: SIM115, closed in __exit__
        self._board = require("tensorboardX", extra="vision").SummaryWriter(
            str(folder / "tensorboard"), purge_step=step + 1 if step else None
        )
        self._bar = require("tqdm", extra="vision").tqdm(
            total=total_steps, initial=step, unit="step", dynamic_ncols=True, disable=None, file=sys.stderr
        )

    def __enter__(self) -> TrainingLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self.enabled:
            self._bar.close()
            self._board.close()
            self._file.close()

    def step(self) -> None:
        """A training step is done."""
        if self.enabled:
            self._bar.update()

    def epoch(self, entry: dict[str, Any]) -> None:
        """Write down an epoch: a flat entry with ``step`` and ``epoch``, numbers or None."""
        if not self.enabled:
            return
        self._file.write(json.dumps(entry) + "\n")
        self._file.flush()
        for key, value in entry.items():
            if isinstance(value, (int, float)) and key not in ("step", "epoch"):
                self._board.add_scalar(key.replace(".", "/"), value, entry["step"])
        shown = {key: f"{entry[key]:.4g}" for key in _SHOWN if entry.get(key) is not None}
        self._bar.set_postfix(epoch=entry["epoch"], **shown)
        if self._bar.disable:
            print(f"epoch {entry['epoch']}: " + ", ".join(f"{k} {v}" for k, v in shown.items()), flush=True)


def read_log(path: Path) -> list[dict[str, Any]]:
    """Entries of a log; a last line that was cut off is left out."""
    entries = []
    if path.is_file():
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                entries.append(json.loads(line))
            except json.JSONDecodeError:
                break
    return entries
