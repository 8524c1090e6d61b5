"""How a model was trained, as its fairseq checkpoint tells."""

from __future__ import annotations

import argparse
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from eureka_nlg.errors import UserError

__all__ = ["Provenance", "provenance"]

_SECTIONS = (
    "criterion",
    "task",
    "model",
    "optimizer",
    "lr_scheduler",
    "optimization",
    "dataset",
    "checkpoint",
)
_COMMON = ("seed", "fp16", "bf16", "cpu", "user_dir")  # of the section that is mostly about logging


@dataclass(frozen=True)
class Provenance:
    """Where a checkpoint comes from.

    Attributes:
        facts: label -> text.
        options: section of fairseq's configuration -> option -> value.
    """

    facts: dict[str, str]
    options: dict[str, dict[str, Any]]


def provenance(checkpoint: Path) -> Provenance:
    """Read the configuration and the state of the training, not the weights.

    Raises:
        UserError: not a checkpoint of fairseq.
    """
    try:
        with torch.serialization.safe_globals([argparse.Namespace]):
            state = torch.load(checkpoint, map_location="cpu", weights_only=True, mmap=True)
        options = _options(state["cfg"])
        facts = _facts(checkpoint, state)
    except (RuntimeError, pickle.UnpicklingError, EOFError, KeyError, TypeError, ValueError) as error:
        raise UserError(f"{checkpoint}: not a checkpoint of fairseq ({type(error).__name__})") from error
    return Provenance(facts, options)


def _facts(checkpoint: Path, state: Mapping[str, Any]) -> dict[str, str]:
    extra, config = state["extra_state"], state["cfg"]
    iterator = extra["train_iterator"]
    # at the end of an epoch fairseq stores the next one, of which nothing is done
    epoch = iterator["epoch"] - (iterator.get("iterations_in_epoch", 0) == 0)
    updates = state["optimizer_history"][-1]["num_updates"]
    facts = {"checkpoint": f"{checkpoint.name}, epoch {epoch}, {updates:,} updates"}
    if extra.get("best") is not None:
        facts["best validation"] = f"{config['checkpoint']['best_checkpoint_metric']} {extra['best']:g}"
    if "previous_training_time" in extra:
        facts["training time"] = _duration(extra["previous_training_time"])
    facts["parameters"] = f"{sum(tensor.numel() for tensor in state['model'].values()):,}"
    facts["seed"] = str(config["common"]["seed"])
    return facts


def _options(config: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    sections = {name: _mapping(config.get(name)) for name in _SECTIONS}
    # fairseq keeps the options of a model that has no dataclass together with all others
    others = {key for name in config if name != "model" for key in (name, *_mapping(config[name]))} - {
        "_name"
    }
    sections["model"] = {key: value for key, value in sections["model"].items() if key not in others}
    common = _mapping(config.get("common"))
    sections["common"] = {key: common[key] for key in _COMMON if key in common}
    return {
        name: {"name" if key == "_name" else key: options[key] for key in sorted(options)}
        for name, options in sections.items()
        if options
    }


def _mapping(section: Any) -> dict[str, Any]:
    if isinstance(section, argparse.Namespace):
        return vars(section)
    return dict(section) if isinstance(section, Mapping) else {}


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02d} min" if minutes >= 60 else f"{minutes} min"
