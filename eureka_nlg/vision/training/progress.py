"""The progress of a run: a bar in a terminal; elsewhere a line per minute, with the remaining time."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping

from eureka_nlg.errors import require

__all__ = ["Progress", "doing"]

_PAUSE = 60.0
"""Seconds between two lines if there is no bar."""


def doing(what: str) -> None:
    """Report work before or after the training steps."""
    print(f"{what} ...", file=sys.stderr, flush=True)


class Progress:
    """The progress of the training steps.

    Args:
        step: number of steps done before.
        total: number of steps of the whole run.
    """

    def __init__(self, step: int, total: int) -> None:
        self._first, self._step, self._total = step, step, total
        self._started = self._told = time.monotonic()
        self._bar = require("tqdm", extra="vision").tqdm(
            total=total, initial=step, unit="step", dynamic_ncols=True, disable=None, file=sys.stderr
        )

    def step(self) -> None:
        """Report that a step is done."""
        self._step += 1
        self._bar.update()
        now = time.monotonic()
        if self._bar.disable and now - self._told >= _PAUSE and self._step < self._total:
            self._told = now
            seconds = (now - self._started) / (self._step - self._first) * (self._total - self._step)
            print(f"step {self._step} of {self._total}, about {_duration(seconds)} left", flush=True)

    def doing(self, what: str) -> None:
        """Report other work, until the next step."""
        self._bar.set_description_str(what)

    def epoch(self, epoch: int, shown: Mapping[str, str]) -> None:
        """Report the end of an epoch, with some of its values."""
        self._bar.set_description_str("")
        self._bar.set_postfix(epoch=epoch, **shown)
        if self._bar.disable:
            print(
                f"epoch {epoch}: " + ", ".join(f"{name} {value}" for name, value in shown.items()), flush=True
            )

    def close(self) -> None:
        """Close the bar."""
        self._bar.close()


def _duration(seconds: float) -> str:
    """A duration for people: ``45 s``, ``12 min``, ``3 h 05 min``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60:02} min"
