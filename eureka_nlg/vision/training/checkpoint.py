"""Checkpoints that ``torch.load(..., weights_only=True)`` reads."""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from eureka_nlg.errors import UserError
from eureka_nlg.files import write_whole

__all__ = ["save_checkpoint", "load_checkpoint", "random_state", "set_random_state"]

FORMAT = 1
"""Version of the layout of checkpoints; other versions are refused."""


def save_checkpoint(path: Path, content: dict[str, Any]) -> None:
    """Write a checkpoint. The file at ``path`` is replaced only once the new one is complete.

    Args:
        path: the file to write.
        content: tensors, numbers, strings, and lists and dictionaries of these.

    Raises:
        UserError: it cannot be written; an old file is unchanged.
    """
    with write_whole(path) as file:
        torch.save({"format": FORMAT, **content}, file)


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint onto the CPU.

    Raises:
        UserError: the file is missing, is incomplete, or is not a checkpoint of this program.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise UserError(f"checkpoint {path}: no such file") from None
    except OSError as error:
        raise UserError(f"checkpoint {path}: cannot be read: {error.strerror or error}") from error
    except (
        *(RuntimeError, EOFError, pickle.UnpicklingError, zipfile.BadZipFile, ValueError, TypeError),
        *(KeyError, IndexError, AttributeError, AssertionError, OverflowError, MemoryError),
    ) as error:  # torch's reader raises any of these for truncated or changed files
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f"checkpoint {path}: cannot be read: {reason}") from error
    if not isinstance(content, dict) or type(content.get("format")) is not int or content["format"] != FORMAT:
        raise UserError(f"checkpoint {path}: is not one of `eureka vision train`")
    for key, (is_good, expected) in _FIELDS.items():
        if not is_good(content.get(key)):
            found = type(content[key]).__name__ if key in content else "none"
            raise UserError(
                f"checkpoint {path}: is not whole: {key}: {found}, expected {expected}; take another one"
            )
    return content


def _names_to_tensors(value: Any) -> bool:
    return isinstance(value, dict) and all(
        isinstance(k, str) and isinstance(v, Tensor) for k, v in value.items()
    )


def _random(value: Any) -> bool:
    return isinstance(value, dict) and all(
        isinstance(state, Tensor) and state.dtype == torch.uint8
        for state in (value.get("cpu"), *_listed(value.get("cuda")))
    )


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _whole(least: int) -> Callable[[Any], bool]:
    return lambda value: type(value) is int and value >= least


_FIELDS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "network": (_names_to_tensors, "tensors by name"),
    "optimizer": (lambda value: isinstance(value, dict), "the state of an optimizer"),
    "step": (_whole(0), "steps done"),
    "epoch": (_whole(1), "an epoch from 1 on"),
    "steps_per_epoch": (_whole(1), "a number from 1 on"),
    "signature": (lambda value: isinstance(value, str), "text"),
    "loss_sum": (lambda value: isinstance(value, Tensor) and value.numel() == 1, "a number"),
    "random": (_random, "states of generators"),
    "config": (lambda value: isinstance(value, dict), "options by name"),
}
"""The entries of a checkpoint that the loop writes: check, and description for errors."""


def random_state() -> dict[str, Any]:
    """State of torch's global random generators, which networks use (dropout)."""
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    return {"cpu": torch.get_rng_state(), "cuda": cuda}


def set_random_state(state: dict[str, Any]) -> None:
    """Restore the state that :func:`random_state` returned; of GPUs only if their number is the same."""
    torch.set_rng_state(state["cpu"])
    if len(state["cuda"]) == (torch.cuda.device_count() if torch.cuda.is_available() else 0):
        torch.cuda.set_rng_state_all(state["cuda"])
