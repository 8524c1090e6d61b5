"""Configs and the sample corpus, which come with the package, under the paths that a clone has them at."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["BUNDLED", "bundled_root", "find_bundled"]

# Folders of the repository that the wheel carries; setup.py copies them into eureka_nlg/_bundled.
BUNDLED = ("configs", "data/sample")

_PACKAGE = Path(__file__).resolve().parent


def bundled_root() -> Path:
    """The folder that holds ``configs`` and ``data/sample``: inside the installed package, or the clone."""
    installed = _PACKAGE / "_bundled"
    return installed if installed.is_dir() else _PACKAGE.parent


def find_bundled(path: str | os.PathLike[str]) -> Path:
    """The path as it is if something is there, otherwise what the package has under this path, if anything.

    So ``configs/dialogue/sample/ce.yaml`` can be given in any folder. A path outside of :data:`BUNDLED` is
    returned as it is.
    """
    given = Path(path)
    if given.exists() or given.is_absolute():
        return given
    name = os.path.normpath(given)
    if not any(
        name == folder or name.startswith(folder + os.sep) for folder in map(os.path.normpath, BUNDLED)
    ):
        return given
    carried = bundled_root() / name
    return carried if carried.exists() else given
