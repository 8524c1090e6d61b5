"""Durations as people read them."""

from __future__ import annotations

__all__ = ["duration"]


def duration(seconds: float) -> str:
    """A duration, in the largest unit that says enough.

    >>> [duration(seconds) for seconds in (45.0, 720.0, 11_100.0)]
    ['45 s', '12 min', '3 h 05 min']
    """
    if seconds < 90:
        return f"{max(0.0, seconds):.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60:02} min"
