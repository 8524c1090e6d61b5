"""Configs and the sample corpus, which the package contains under the same paths as a clone."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["BUNDLED", "bundled_root", "find_bundled"]

# Folders of the repository that the wheel contains; setup.py copies them into eureka_nlg/_bundled.
BUNDLED = ("configs", "data/sample")

_PACKAGE = Path(__file__).resolve().parent


def bundled_root() -> Path:
    """The folder with ``configs`` and ``data/sample``: in the installed package, or the clone."""
    installed = _PACKAGE / "_bundled"
    return installed if installed.is_dir() else _PACKAGE.parent


def find_bundled(path: str | os.PathLike[str]) -> Path:
    """The path itself if it exists, otherwise the file of the package with this path, if there is one.

    So ``configs/dialogue/sample/ce.yaml`` can be used in any folder. A path outside of :data:`BUNDLED` is
    returned unchanged.
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
