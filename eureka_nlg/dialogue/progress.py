"""Show how far a long piece of work is: a bar on a terminal, or a line now and then in a log."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from eureka_nlg.errors import require

__all__ = ["Progress"]

T = TypeVar("T")

_FIRST, _LATER = 2.0, 10.0  # seconds of silence
_LOOK = 64  # items between two looks at the clock


class Progress:
    """Shows how far the work is.

    Args:
        bar: show a bar on stderr.
        tell: where there is no bar, called with a line after two seconds and then every ten.
    """

    def __init__(self, bar: bool = False, tell: Callable[[str], object] | None = None) -> None:
        self._bar, self._tell = bar, tell
        self._last, self._patience = time.monotonic(), _FIRST

    def over(self, items: Iterable[T], doing: str, unit: str) -> Iterator[T]:
        """Yield the items one by one, and show how many are done.

        Args:
            items: any iterable; nothing is read ahead.
            doing: name of the work, for example ``"train"``.
            unit: what the items are called, in the plural.
        """
        if self._bar:
            yield from require("tqdm", extra="data").tqdm(items, desc=doing, unit=f" {unit}", leave=False)
            return
        for number, item in enumerate(items):
            if number % _LOOK == 0:
                self.line(f"{doing}: {number:,} {unit}" if number else doing)
            yield item

    def line(self, text: str) -> None:
        """Show a line, unless the last one is only a moment ago."""
        if self._tell is not None and not self._bar and time.monotonic() - self._last >= self._patience:
            self._tell(text)
            self._last, self._patience = time.monotonic(), _LATER
