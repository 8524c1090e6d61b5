"""How far a long piece of work is: a bar for somebody who watches, now and then a line for a log."""

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
    """Tells how far the work is.

    Args:
        bar: show a bar on stderr.
        tell: called with a line after two seconds of silence and then every ten, where there is no bar.
    """

    def __init__(self, bar: bool = False, tell: Callable[[str], object] | None = None) -> None:
        self._bar, self._tell = bar, tell
        self._last, self._patience = time.monotonic(), _FIRST

    def over(self, items: Iterable[T], doing: str, unit: str) -> Iterator[T]:
        """The items one by one, as they are worked on.

        Args:
            items: anything; nothing is read ahead.
            doing: what is done, for example ``"train"``.
            unit: what an item is, in the plural.
        """
        if self._bar:
            yield from require("tqdm", extra="data").tqdm(items, desc=doing, unit=f" {unit}", leave=False)
            return
        for number, item in enumerate(items):
            if number % _LOOK == 0:
                self.line(f"{doing}: {number:,} {unit}" if number else doing)
            yield item

    def line(self, text: str) -> None:
        """Say what is being done, if nothing was said for a while."""
        if self._tell is not None and not self._bar and time.monotonic() - self._last >= self._patience:
            self._tell(text)
            self._last, self._patience = time.monotonic(), _LATER
