"""The progress of a training: a bar in a terminal; elsewhere a line per minute, with the remaining time."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping

from eureka_nlg.durations import duration
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
        bar: whether to show a bar in a terminal; without one there are lines in any case.
    """

    def __init__(self, step: int, total: int, bar: bool = True) -> None:
        self._first, self._step, self._total = step, step, total
        self._started = self._told = time.monotonic()
        self._bar = require("tqdm", extra="vision").tqdm(
            total=total,
            initial=step,
            unit="step",
            dynamic_ncols=True,
            file=sys.stderr,
            disable=None if bar else True,
        )

    def step(self) -> None:
        """Report that a step is done."""
        self._step += 1
        self._bar.update()
        now = time.monotonic()
        if self._bar.disable and now - self._told >= _PAUSE and self._step < self._total:
            self._told = now
            seconds = (now - self._started) / (self._step - self._first) * (self._total - self._step)
            print(f"step {self._step} of {self._total}, about {duration(seconds)} left", flush=True)

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
