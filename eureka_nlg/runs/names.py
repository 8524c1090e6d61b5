"""Names of runs in tables and figures."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from eureka_nlg.errors import UserError

__all__ = ["named_path", "run_names"]


def run_names(paths: Sequence[str], names: Sequence[str] | None = None) -> list[str]:
    """A name for each run: the given one, or as much of the end of its path as tells the runs apart.

    >>> run_names(["runs/ce", "runs/el"]), run_names(["runs/ce/seed1", "runs/el/seed1"])
    (['ce', 'el'], ['ce/seed1', 'el/seed1'])

    Args:
        paths: folders of runs, or checkpoints, which are named by their folder and their file.
        names: one for each run, all different.

    Raises:
        UserError: a different number of names than of runs, or two equal names.
    """
    if names:
        found = list(names)
    else:
        resolved = [Path(path).resolve() for path in paths]
        ends = [path.parent / path.stem if path.is_file() else path for path in resolved]
        for length in range(1, max(len(end.parts) for end in ends)):
            found = [
                "/".join(end.parts[-max(length, 1 + path.is_file()) :]) for end, path in zip(ends, resolved)
            ]
            if len(set(found)) == len(found):
                break
    if len(found) != len(paths) or len(set(found)) != len(found):
        raise UserError(
            f"names are {', '.join(found)}: expected one for each run, all different: give --names"
        )
    return found


def named_path(argument: str) -> tuple[str | None, str]:
    """``NAME=PATH`` -> name and path; None for no name.

    >>> named_path("CE=runs/ce"), named_path("runs/ce")
    (('CE', 'runs/ce'), (None, 'runs/ce'))
    """
    name, equals, path = argument.partition("=")
    if not equals or not name or os.path.exists(argument):  # a path may hold a "=" itself
        return None, argument
    return name, path
