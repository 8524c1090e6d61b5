"""Read from a fairseq checkpoint how its model was trained."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from eureka_nlg.dialogue.checkpoint import Checkpoint, read_checkpoint
from eureka_nlg.durations import duration
from eureka_nlg.runs.base import Provenance

__all__ = ["provenance"]

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
_COMMON = ("seed", "fp16", "bf16", "cpu", "user_dir")  # the rest of that section is about logging


def provenance(checkpoint: Path) -> Provenance:
    """Read the configuration and the state of the training, but not the weights.

    Raises:
        UserError: not a checkpoint of fairseq-train.
    """
    read = read_checkpoint(checkpoint, needs=("model",))
    return Provenance(_facts(read), _options(read.sections))


def _facts(checkpoint: Checkpoint) -> dict[str, str]:
    extra, sections = checkpoint.state.get("extra_state") or {}, checkpoint.sections
    epoch = checkpoint.num_epochs
    facts = {"checkpoint": f"{checkpoint.path.name}, epoch {epoch}, {checkpoint.num_updates:,} updates"}
    if _is_number(extra.get("best")):
        measure = sections.get("checkpoint", {}).get("best_checkpoint_metric", "")
        facts["best validation"] = f"{measure} {extra['best']:g}"
    if _is_number(extra.get("previous_training_time")):
        facts["training time"] = duration(extra["previous_training_time"])
    facts["parameters"] = f"{checkpoint.num_parameters:,}"
    if "seed" in sections.get("common", {}):
        facts["seed"] = str(sections["common"]["seed"])
    return facts


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float))


def _options(config: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    sections = {name: dict(config.get(name, {})) for name in _SECTIONS}
    # fairseq keeps the options of a model that has no dataclass together with all others
    others = {key for name in config if name != "model" for key in (name, *config[name])} - {"_name"}
    sections["model"] = {key: value for key, value in sections["model"].items() if key not in others}
    common = config.get("common", {})
    sections["common"] = {key: common[key] for key in _COMMON if key in common}
    return {
        name: {"name" if key == "_name" else key: options[key] for key in sorted(options)}
        for name, options in sections.items()
        if options
    }
