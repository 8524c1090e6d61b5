"""Checkpoints that ``torch.load(..., weights_only=True)`` reads, and files that are whole or not there."""

from __future__ import annotations

import json
import os
import pickle
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import torch

from eureka_nlg.errors import UserError

__all__ = [
    "save_checkpoint",
    "load_checkpoint",
    "write_whole",
    "write_json",
    "random_state",
    "set_random_state",
]

FORMAT = 1
"""Of the checkpoint's layout; a reader that does not know it says so."""


def save_checkpoint(path: Path, content: dict[str, Any]) -> None:
    """Write a checkpoint in one piece.

    Args:
        path: where to.
        content: tensors, numbers, strings, and lists and dictionaries of these.
    """
    write_whole(path, lambda file: torch.save({"format": FORMAT, **content}, file))


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint onto the CPU.

    Raises:
        UserError: it is not there, not whole, or not one of this program's.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise UserError(f"checkpoint {path}: no such file") from None
    except (RuntimeError, EOFError, pickle.UnpicklingError, zipfile.BadZipFile) as error:
        raise UserError(f"checkpoint {path}: cannot be read: {error}") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise UserError(f"checkpoint {path}: is not one of `eureka vision train`")
    return content


def write_whole(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Write to a neighbour, then take its name: readers see the old file or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".partial", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, 0o666 & ~_umask())  # mkstemp's are for the owner only
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def write_json(path: Path, content: Any) -> None:
    """Write JSON in one piece."""
    text = json.dumps(content, indent=1, allow_nan=False) + "\n"
    write_whole(path, lambda file: file.write(text.encode()))


def random_state() -> dict[str, Any]:
    """State of torch's global generators, for what a network draws (dropout)."""
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    return {"cpu": torch.get_rng_state(), "cuda": cuda}


def set_random_state(state: dict[str, Any]) -> None:
    """Put the generators where :func:`random_state` found them; GPUs only if their number is the same."""
    torch.set_rng_state(state["cpu"])
    if len(state["cuda"]) == (torch.cuda.device_count() if torch.cuda.is_available() else 0):
        torch.cuda.set_rng_state_all(state["cuda"])


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
