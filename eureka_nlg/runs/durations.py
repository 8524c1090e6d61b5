"""Durations as people read them."""

from __future__ import annotations

__all__ = ["duration"]


def duration(seconds: float) -> str:
    """A duration in hours and minutes.

    >>> duration(90.0), duration(7500.0)
    ('2 min', '2 h 05 min')
    """
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02d} min" if minutes >= 60 else f"{minutes} min"
