"""What is wrong with data, as one line for a report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

__all__ = ["described_problems"]

_NAMED = 5
"""How many of each kind of problem a report names."""


def described_problems(problems: Mapping[str, Sequence[str]]) -> str:
    """Kind -> what was found, as one line with numbers and examples; a kind that lists nothing is missing."""
    parts = []
    for kind, found in problems.items():
        named = ", ".join(found[:_NAMED]) + (", ..." if len(found) > _NAMED else "")
        parts.append(f"{len(found)} {kind}: {named}" if found else f"no {kind}")
    return "; ".join(parts)
