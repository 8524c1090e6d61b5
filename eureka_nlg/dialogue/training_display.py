"""What a training shows: a line of progress, a line for each epoch, and at the end the best epoch.

fairseq's own log, with its warnings, goes to the file beside the checkpoints and not to the terminal.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TextIO

from eureka_nlg.durations import duration

__all__ = ["SHOWN", "Progress"]

SHOWN = "EUREKA_TRAIN_SHOWS_PROGRESS"
"""Environment variable by which ``eureka train`` asks for this in place of fairseq's log."""

Statistics = Callable[[], Mapping[str, Any]]

_TERMINAL_EVERY, _PIPE_EVERY = 0.5, 60.0  # seconds between two lines
_WIDTH = 100
# name in fairseq's statistics -> label and format; in this order
_MEASURES = {
    "ppl": ("perplexity", ".2f"),
    "macro_f": ("macro F", ".2f"),
    "micro_f": ("micro F", ".2f"),
    "diversity_4": ("diversity", ".1f"),
    "reward": ("reward", ".3f"),
}


class Progress:
    """The display of one training.

    Args:
        max_epoch: epochs of the training; 0 for no limit.
        max_update: updates of the training; 0 for no limit.
        measure: the validation measure that chooses the best checkpoint, such as ``"ppl"``.
        maximize: whether a higher value of it is better.
        out: where to write; a terminal gets one line that is overwritten, anything else a line per minute.
    """

    def __init__(
        self, max_epoch: int, max_update: int, measure: str, maximize: bool, out: TextIO | None = None
    ) -> None:
        self._limits = (max_epoch, max_update)
        self._measure, self._maximize = measure, maximize
        self._out = sys.stderr if out is None else out
        self._moves = self._out.isatty()
        self._every = _TERMINAL_EVERY if self._moves else _PIPE_EVERY
        self._start = self._shown = time.monotonic()
        self._first: float | None = None
        self.best: tuple[float, int] | None = None

    def wrap(self, bar: Any, epoch: int, validates: bool, statistics: Statistics) -> Any:
        """Wrap fairseq's progress bar of an epoch or a validation, so that it updates this display.

        Args:
            bar: fairseq's progress bar, with its own log.
            epoch: number of the epoch, from 1 on.
            validates: whether the bar shows a validation.
            statistics: returns the statistics of the current epoch of training.
        """
        return (_ValidationBar if validates else _TrainingBar)(bar, self, epoch, statistics)

    def step(self, epoch: int, part: float, statistics: Statistics) -> None:
        """Show how far the training is, unless the last line is only a moment ago.

        Args:
            epoch: number of the current epoch.
            part: how much of it is done, from 0 to 1.
            statistics: returns the statistics of the epoch.
        """
        now = time.monotonic()
        if self._first is not None and now - self._shown < self._every:
            return
        found = statistics()
        done = self._done(epoch, part, _number(found.get("num_updates")))
        if self._first is None:
            self._first = done if done is not None else 0.0
            self._start = self._shown = now
            return
        self._shown = now
        parts = [f"{self._epoch(epoch)}  {part:4.0%}"]
        parts += [f"{label} {value:{form}}" for label, value, form in _chosen(found, ("loss", "ppl"))]
        if done is not None and done > self._first:
            left = (now - self._start) * (1 - done) / (done - self._first)
            parts.append(f"{duration(left)} left")
        self._write("  ".join(parts))

    def validated(self, epoch: int, training: Mapping[str, Any], validation: Mapping[str, Any]) -> None:
        """Show the line of an epoch, with the statistics of training and validation."""
        parts = [self._epoch(epoch)]
        if (value := _number(training.get("ppl"))) is not None:
            parts.append(f"train perplexity {value:.2f}")
        parts += [f"{label} {value:{form}}" for label, value, form in _chosen(validation, tuple(_MEASURES))]
        value = _number(validation.get(self._measure))
        if value is not None:
            sign = 1 if self._maximize else -1
            if self.best is None or sign * value > sign * self.best[0]:
                self.best = (value, epoch)
                parts.append("best so far")
        parts.append(f"after {duration(time.monotonic() - self._start)}")
        self._line("  ".join(parts))

    def end(self) -> None:
        """Show the best epoch."""
        if self._moves:
            self._write("")
        if self.best is not None:
            value, epoch = self.best
            self._line(f"best {self._measure} {value:.4g}, in epoch {epoch}")

    def _done(self, epoch: int, part: float, updates: float | None) -> float | None:
        """The part of the training that is done, by the limit that is reached first."""
        max_epoch, max_update = self._limits
        parts = [(epoch - 1 + part) / max_epoch] if max_epoch else []
        parts += [updates / max_update] if max_update and updates is not None else []
        return min(1.0, max(parts)) if parts else None

    def _epoch(self, epoch: int) -> str:
        max_epoch = self._limits[0]
        return f"epoch {epoch}/{max_epoch}" if max_epoch else f"epoch {epoch}"

    def _write(self, text: str) -> None:
        if self._moves:
            self._out.write(f"\r{text[:_WIDTH]:<{_WIDTH}}" if text else f"\r{'':<{_WIDTH}}\r")
        else:
            self._out.write(f"{text}\n")
        self._out.flush()

    def _line(self, text: str) -> None:
        self._out.write(f"\r{text:<{_WIDTH}}\n" if self._moves else f"{text}\n")
        self._out.flush()


class _Bar:
    """A wrapper around fairseq's progress bar."""

    def __init__(self, bar: Any, progress: Progress, epoch: int, statistics: Statistics) -> None:
        self._bar, self._progress, self._epoch, self._statistics = bar, progress, epoch, statistics

    def __iter__(self) -> Iterator[Any]:
        return iter(self._bar)

    def __len__(self) -> int:
        return len(self._bar)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._bar, name)


class _TrainingBar(_Bar):
    """Updates the display with each batch."""

    def __iter__(self) -> Iterator[Any]:
        size = max(1, len(self._bar))
        done = int(getattr(self._bar, "n", 0) or 0)  # of an epoch that was resumed in its middle
        for item in self._bar:
            yield item
            done += 1
            self._progress.step(self._epoch, min(1.0, done / size), self._statistics)


class _ValidationBar(_Bar):
    """Shows the line of the epoch when fairseq prints the statistics of the validation."""

    def print(self, stats: Mapping[str, Any], tag: str | None = None, step: int | None = None) -> None:
        self._bar.print(stats, tag=tag, step=step)
        self._progress.validated(self._epoch, self._statistics(), stats)


def _chosen(statistics: Mapping[str, Any], names: tuple[str, ...]) -> list[tuple[str, float, str]]:
    found = []
    for name in names:
        value = _number(statistics.get(name))
        if value is not None:
            label, form = _MEASURES.get(name, (name, ".3f"))
            found.append((label, value, form))
    return found


def _number(value: Any) -> float | None:
    """The value of fairseq's meters and formatted numbers, if it is finite."""
    for name in ("avg", "val"):
        if hasattr(value, name):
            value = getattr(value, name)
            break
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None
