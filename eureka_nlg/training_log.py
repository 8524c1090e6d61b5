"""Training curves from fairseq's log, in its simple, tqdm and JSON formats."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from eureka_nlg.limits import parse_json

__all__ = ["TrainingLog", "find_log", "read_log", "parse_log"]

# "2026-01-31 12:00:00 | INFO | valid | message"; with fairseq's --log-file there is only the message
_PREFIX = re.compile(
    r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:,\d+)? \| [A-Z]+ \| (?P<tag>[^|]+) \| (?P<message>.*)$"
)
_SIMPLE = re.compile(r"^epoch (?P<epoch>\d+) \| (?:valid on '(?P<subset>[^']*)' subset \| )?(?P<stats>.+)$")

# values about the machine or the optimiser, not about the model
_BOOKKEEPING = {
    *("epoch", "update", "num_updates", "wps", "ups", "wpb", "bsz", "lr", "gnorm", "clip", "loss_scale"),
    *("train_wall", "wall", "gb_free", "oom", "total", "n_correct", "valid_wall"),
}


@dataclass
class TrainingLog:
    """The content of a log.

    Attributes:
        curves: measure -> split -> epoch -> value at the end of the epoch. The split is ``"train"`` or the
            name of the validation subset.
        command: the command line of fairseq-train, if it is in the log.
        versions: package -> version, if they are in the log.
    """

    curves: dict[str, dict[str, dict[int, float]]] = field(default_factory=dict)
    command: str | None = None
    versions: dict[str, str] = field(default_factory=dict)

    @property
    def num_epochs(self) -> int:
        """The last epoch in the log; 0 if there is none."""
        return max((max(curve) for curves in self.curves.values() for curve in curves.values()), default=0)


def find_log(run: str | os.PathLike[str]) -> Path | None:
    """The log with curves in a run folder or in the folder of a checkpoint, if there is one.

    It is ``fairseq.log``, which ``eureka train`` writes, or an output that was redirected to ``train.log`` in
    the folder or to ``RUN.log`` next to the folder.
    """
    folder = (Path(run).parent if Path(run).is_file() else Path(run)).resolve()
    candidates = (folder / "fairseq.log", folder / "train.log", folder.with_name(f"{folder.name}.log"))
    return next((path for path in candidates if path.is_file() and read_log(path).curves), None)


def read_log(path: str | os.PathLike[str]) -> TrainingLog:
    """Parse a log file; bytes that are not UTF-8 are replaced."""
    with open(path, encoding="utf-8", errors="replace") as lines:
        return parse_log(lines)


def parse_log(lines: Iterable[str]) -> TrainingLog:
    """Collect the end-of-epoch statistics of a log, and the command line.

    If a training was resumed or restarted, its log may have an epoch several times. The last record of an
    epoch counts, and it removes earlier records of later epochs.

    >>> log = parse_log(["2026-01-31 12:00:00 | INFO | train | epoch 001 | loss 5.0 | ppl 32 | wps 900"])
    >>> log.curves
    {'loss': {'train': {1: 5.0}}, 'ppl': {'train': {1: 32.0}}}
    """
    log = TrainingLog()
    for line in lines:
        line = line.strip()
        prefix = _PREFIX.match(line)
        tag, message = (prefix["tag"].strip(), prefix["message"]) if prefix else ("", line)
        if message.startswith("fairseq-train "):
            log.command = message
        elif message.startswith("versions {"):
            log.versions = _parse_json(message.removeprefix("versions "))
        elif record := _simple_record(tag, message) or _json_record(tag, message):
            _add(log, *record)
    return log


def _add(log: TrainingLog, split: str, epoch: int, stats: dict[str, float]) -> None:
    for curves in log.curves.values():
        curve = curves.get(split, {})
        for later in [known for known in curve if known > epoch]:
            del curve[later]
    for measure, value in stats.items():
        if measure not in _BOOKKEEPING and not measure.startswith(("best_", "cuda_")):
            log.curves.setdefault(measure, {}).setdefault(split, {})[epoch] = value


def _simple_record(tag: str, message: str) -> tuple[str, int, dict[str, float]] | None:
    match = _SIMPLE.match(message)
    if match is None:
        return None
    pairs = (entry.rpartition(" ") for entry in match["stats"].split(" | "))
    stats = _numbers({name.strip(): value for name, _, value in pairs})
    return (match["subset"] or tag or "train", int(match["epoch"]), stats) if stats else None


def _json_record(tag: str, message: str) -> tuple[str, int, dict[str, float]] | None:
    values = _parse_json(message)
    # records within an epoch have an "update", and names without the split
    if not isinstance(values.get("epoch"), int) or "update" in values:
        return None
    names = [name for name in values if name != "epoch"]
    # without a tag the split is the common prefix of all names; of a single name, all but its last part
    split = tag if tag and all(name.startswith(f"{tag}_") for name in names) else ""
    split = split or os.path.commonprefix(names).rpartition("_")[0].partition("_")[0]  # noqa: RUF071
    if not split:
        return None
    stats = _numbers({name.removeprefix(f"{split}_"): values[name] for name in names})
    return split, values["epoch"], stats


def _parse_json(text: str) -> dict[str, Any]:
    if not text.startswith("{"):
        return {}
    try:
        values = parse_json(text)
    except ValueError:
        return {}
    return values if isinstance(values, dict) else {}


def _numbers(values: dict[str, Any]) -> dict[str, float]:
    """The values that are finite numbers, given as numbers or as text."""
    numbers = {}
    for name, value in values.items():
        try:
            number = float(value)
        except (TypeError, ValueError):
            continue
        if math.isfinite(number):
            numbers[name] = number
    return numbers
