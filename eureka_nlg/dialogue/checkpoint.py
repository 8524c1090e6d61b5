"""Read a checkpoint of fairseq-train without running any code that is in it."""

from __future__ import annotations

import argparse
import os
import pickle
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eureka_nlg.dialogue.no_code import loadable
from eureka_nlg.errors import UserError

if TYPE_CHECKING:  # its import takes seconds, which a command that reads no checkpoint need not wait
    import torch

__all__ = ["Checkpoint", "is_whole", "read_checkpoint"]

_PLAIN = (str, int, float)  # fairseq keeps a name among the sections


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint holds, and how far its training had come.

    Attributes:
        path: of the file.
        state: as fairseq saved it. The weights are memory-mapped: they are read when they are used.
        sections: fairseq's configuration, section -> option -> value. For a model without a dataclass, its
            section holds the whole command line.
        num_epochs: epochs that are done; where ``in_epoch`` is true, the last of them only in part.
        in_epoch: whether the checkpoint is from the middle of an epoch.
        num_updates: steps of the optimiser.
    """

    path: Path
    state: dict[str, Any]
    sections: dict[str, dict[str, Any]]
    num_epochs: int
    in_epoch: bool
    num_updates: int

    @property
    def num_parameters(self) -> int:
        """Number of trained parameters. A table that two layers share counts once, however it was saved."""
        counted: list[torch.Tensor] = []
        for name, tensor in self.state["model"].items():
            if not tensor.is_floating_point() or name.endswith("_float_tensor"):  # fairseq's markers
                continue
            # saved from a GPU, what is shared is there twice; only tables are large enough to be shared
            if not any(tensor.shape == other.shape and _is_same(tensor, other) for other in counted):
                counted.append(tensor)
        return sum(tensor.numel() for tensor in counted)


def read_checkpoint(path: Path, needs: Sequence[str] = ()) -> Checkpoint:
    """Read a checkpoint, weights only: a pickle with code in it is refused.

    Args:
        path: of the file.
        needs: keys that must be in it besides ``cfg``, ``extra_state`` and ``optimizer_history``.

    Raises:
        UserError: the file does not exist, is incomplete, or is not a checkpoint of fairseq-train.
    """
    import torch

    with _well_formed(path):
        state = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        for key in needs:
            state[key]
        if not all(isinstance(tensor, torch.Tensor) for tensor in state.get("model", {}).values()):
            raise TypeError("expected tensors by name")
        config = _options(state["cfg"])
        sections = {name: _options(config[name]) for name in config if not isinstance(config[name], _PLAIN)}
        extra = state.get("extra_state") or {}
        position = extra.get("train_iterator") or {"epoch": 1}
        history = state.get("optimizer_history") or [{}]
        epoch, in_epoch = int(position["epoch"]), bool(position.get("iterations_in_epoch"))
        return Checkpoint(
            path,
            dict(state),
            sections,
            epoch if in_epoch else epoch - 1,  # at the end of an epoch fairseq notes the next one
            in_epoch,
            int(history[-1].get("num_updates", 0)),
        )


def is_whole(path: str | os.PathLike[str]) -> bool:
    """Whether a file is a complete zip archive; a checkpoint that was cut short is not."""
    return zipfile.is_zipfile(path)


@contextmanager
def _well_formed(path: Path) -> Iterator[None]:
    try:
        with loadable(argparse.Namespace):
            yield
    except OSError as error:
        raise UserError(
            f"{path}: {error.strerror or error}; expected a checkpoint of fairseq-train"
        ) from error
    except pickle.UnpicklingError as error:
        raise UserError(
            f"{path}: not a checkpoint of fairseq-train: it holds more than weights and options"
        ) from error
    except KeyError as error:
        raise UserError(f"{path}: not a checkpoint of fairseq-train: it has no {error}") from error
    except (
        RuntimeError,
        EOFError,
        TypeError,
        ValueError,
        AttributeError,
        IndexError,
        OverflowError,
    ) as error:
        raise UserError(f"{path}: not a checkpoint of fairseq-train ({type(error).__name__})") from error


def _options(section: Any) -> dict[str, Any]:
    if section is None:
        return {}
    if isinstance(section, argparse.Namespace):
        return dict(vars(section))
    if isinstance(section, Mapping) and all(isinstance(name, str) for name in section):
        return dict(section)
    raise TypeError(f"expected options by name, got a {type(section).__name__}")


def _is_same(first: torch.Tensor, second: torch.Tensor) -> bool:
    import torch

    if first.data_ptr() == second.data_ptr():
        return True
    return first.dim() > 1 and first.dtype == second.dtype and bool(torch.equal(first, second))
