"""Compiled C that is called through ctypes."""

from __future__ import annotations

import ctypes
import importlib.util

__all__ = ["load", "load_file"]


def load(module: str, abi_version: int) -> ctypes.CDLL | None:
    """The library that was compiled where a module of this name would be; None if there is none.

    Args:
        module: dotted name, as in ``setup.py``.
        abi_version: what its ``abi_version()`` must answer: that of the signatures its caller knows.
    """
    spec = importlib.util.find_spec(module)
    return None if spec is None or spec.origin is None else load_file(spec.origin, abi_version)


def load_file(path: str, abi_version: int) -> ctypes.CDLL | None:
    """The library in a file; None if it cannot be loaded or was compiled from another state of the source."""
    try:
        library = ctypes.CDLL(path)
    except OSError:  # for one, torch's OpenMP is not there to be shared
        return None
    if not hasattr(library, "abi_version") or library.abi_version() != abi_version:
        return None
    return library
