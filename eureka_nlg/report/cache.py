"""Keep results that take long to compute in a file, and reuse them if they belong to the same inputs."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from eureka_nlg.errors import UserError
from eureka_nlg.files import read_json, write_json

__all__ = ["cached"]


def cached(path: str | os.PathLike[str], key: dict[str, Any], compute: Callable[[], Any]) -> Any:
    """Return the result in a file if it was computed for this key; else compute it and write the file.

    Key and result are in one file that is replaced as a whole, so they always belong together. A file that is
    damaged, or was not written by this function, is ignored. If the folder cannot be written to, nothing is
    kept.

    Args:
        path: JSON file; its folder is made.
        key: everything that the result depends on, in values that JSON can hold.
        compute: returns the result, in values that JSON can hold.
    """
    path = Path(path)
    with contextlib.suppress(UserError):
        stored = read_json(path)
        if isinstance(stored, dict) and stored.get("key") == key and "result" in stored:
            return stored["result"]
    result = compute()
    with contextlib.suppress(UserError):  # a folder that others share may be read-only: nothing depends on it
        write_json(path, {"key": key, "result": result}, indent=None)
    return result
