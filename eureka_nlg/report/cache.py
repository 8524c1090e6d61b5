"""Results that took long, kept in a file and used again only if they belong to the same inputs."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

__all__ = ["cached"]


def cached(path: str | os.PathLike[str], key: dict[str, Any], compute: Callable[[], Any]) -> Any:
    """The result in a file if it was computed for this key, else a new one, which then is in the file.

    Key and result are in one file that is replaced as a whole, so they cannot come apart. A file that is not
    from here, or is damaged, counts as none. If the folder cannot be written to, nothing is kept.

    Args:
        path: JSON file; its folder is made.
        key: everything that the result depends on, in values that JSON can hold.
        compute: makes the result, in values that JSON can hold.
    """
    path = Path(path)
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        if stored["key"] == key:
            return stored["result"]
    except (OSError, ValueError, KeyError, TypeError):
        pass
    result = compute()
    temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(json.dumps({"key": key, "result": result}, ensure_ascii=False), encoding="utf-8")
        os.replace(temporary, path)
    except OSError:
        pass  # a folder that others share may be read-only; the report does not depend on it
    finally:
        if temporary.exists():
            temporary.unlink()
    return result
