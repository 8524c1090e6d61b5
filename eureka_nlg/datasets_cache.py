"""A folder in which Hugging Face's ``datasets`` can keep its copies."""

from __future__ import annotations

import atexit
import contextlib
import functools
import os
import shutil
import tempfile
from pathlib import Path

__all__ = ["cache_dir"]


@functools.cache
def cache_dir() -> str | None:
    """The ``cache_dir`` for ``datasets``: None for its own folder, a temporary one where that cannot be.

    Its own folder is in the user's home, which may not exist or may be read-only.
    """
    from datasets import config

    own = Path(config.HF_DATASETS_CACHE)
    with contextlib.suppress(OSError):
        own.mkdir(parents=True, exist_ok=True)
        if os.access(own, os.W_OK):
            return None
    folder = tempfile.mkdtemp(prefix="eureka-nlg-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder
