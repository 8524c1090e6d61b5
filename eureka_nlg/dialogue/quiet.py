"""Import and use fairseq without its side effects: a root logger at level DEBUG, and warnings about torch."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["quiet"]


@contextmanager
def quiet() -> Iterator[None]:
    """While fairseq is imported or used, keep the logging of the process as it is, and show no warnings."""
    root = logging.getLogger()
    handlers, level, disabled = list(root.handlers), root.level, root.manager.disable
    try:
        logging.disable(logging.INFO)  # fairseq lowers the level of the root logger on the way
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
        logging.disable(disabled)
