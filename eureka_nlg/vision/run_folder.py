"""The folder of a run, whatever the task: its files, when it may be gone on with, what a result tells."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence, Set
from pathlib import Path
from typing import Any, Protocol, TypeVar

import torch
from torch import nn

import eureka_nlg
from eureka_nlg.errors import UserError, require
from eureka_nlg.vision.config_file import flat, read_config, to_yaml
from eureka_nlg.vision.loop_config import LoopConfig
from eureka_nlg.vision.training.checkpoint import load_checkpoint, write_whole
from eureka_nlg.vision.training.log import read_log

__all__ = [
    "CHECKPOINT",
    "CONFIG",
    "RESULT",
    "FREE_OPTIONS",
    "make_accelerator",
    "with_precision",
    "check_folder",
    "check_keep_epochs",
    "write_config",
    "read_run_config",
    "read_result",
    "task_of_run",
    "load_network",
    "run_record",
]

CHECKPOINT = "checkpoint.pt"
CONFIG = "config.yaml"
RESULT = "evaluation.json"
"""Written last, so that a run that has it is finished."""

FREE_OPTIONS = frozenset(
    {
        "data.workers",
        "data.check",
        "training.device",
        "training.evaluate_every",
        "training.checkpoint_every",
        "training.keep_epochs",
        "save_dir",
    }
)
"""Options of every task that do not change what a run computes, or only where its files lie."""


class _Config(Protocol):
    @property
    def training(self) -> LoopConfig: ...
    @property
    def epochs(self) -> int: ...


AnyConfig = TypeVar("AnyConfig", bound=_Config)


def make_accelerator(training: LoopConfig) -> Any:
    """Hugging Face's accelerator for a run, for one process or several."""
    accelerate = require("accelerate", extra="vision")
    # Autocast is the loop's, so that evaluation stays in float32 and the config alone decides.
    return accelerate.Accelerator(cpu=training.device == "cpu", mixed_precision="no")


def with_precision(config: AnyConfig, device: torch.device) -> AnyConfig:
    """The config with ``precision: auto`` as what it means here."""
    if config.training.precision != "auto":
        return config
    if device.type == "cuda":
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        fast = device.type == "cpu" and torch.cpu._is_avx512_bf16_supported()
    training = dataclasses.replace(config.training, precision="bfloat16" if fast else "float32")
    return dataclasses.replace(config, training=training)  # type: ignore[type-var]


def check_folder(folder: Path, config: Any, free: Set[str]) -> None:
    """Raise UserError if the folder has a run with other options than the config, ``free`` ones aside."""
    if not (folder / CONFIG).is_file():
        return
    before = flat(read_config(type(config), folder / CONFIG))
    changed = [
        f"{key} ({before[key]} there, {value} now)"
        for key, value in flat(config).items()
        if key not in free and before[key] != value
    ]
    if changed:
        raise UserError(
            f"{folder}: holds a run with other options: {', '.join(changed)}; "
            "give another save_dir, or remove it"
        )


def check_keep_epochs(config: _Config) -> None:
    """Raise UserError for a checkpoint to keep that the run never comes to."""
    never = [epoch for epoch in config.training.keep_epochs if not 1 <= epoch <= config.epochs]
    if never:
        raise UserError(
            f"training.keep_epochs: {', '.join(map(str, never))}, expected 1 to {config.epochs}, the epochs "
            "of this run (they are counted after training.schedule_scale)"
        )


def write_config(folder: Path, config: Any) -> None:
    """Write down what the run is made of."""
    text = to_yaml(config)
    write_whole(folder / CONFIG, lambda file: file.write(text.encode()))


def read_run_config(
    cls: type[AnyConfig], folder: Path, overrides: Sequence[str], command: str = "train"
) -> AnyConfig:
    """The config of a run, with options on top.

    Raises:
        UserError: no run there, or a bad option.
    """
    if not (folder / CONFIG).is_file():
        raise UserError(
            f"{folder}: holds no {CONFIG}; expected the folder of a run of `eureka vision {command}`"
        )
    return read_config(cls, folder / CONFIG, overrides)


def task_of_run(folder: Path) -> str:
    """``classification`` or ``detection``, as the run's config says; the former if there is no run."""
    if not (folder / CONFIG).is_file():
        return "classification"
    tree = require("yaml", extra="vision").safe_load((folder / CONFIG).read_text(encoding="utf-8"))
    return str(tree.get("task", "classification")) if isinstance(tree, dict) else "classification"


def read_result(folder: Path) -> dict[str, Any]:
    """``evaluation.json`` of a finished run."""
    return dict(json.loads((folder / RESULT).read_text(encoding="utf-8")))


def load_network(network: nn.Module, checkpoint: Path, device: torch.device) -> int:
    """Give a network the weights of a checkpoint, on a device.

    Returns:
        Number of whole epochs that it was trained for.

    Raises:
        UserError: the checkpoint cannot be read, or does not fit.
    """
    state = load_checkpoint(checkpoint)
    try:
        network.load_state_dict(state["network"])
    except RuntimeError as error:
        raise UserError(f"{checkpoint}: does not fit its config: {error}") from error
    network.to(device)
    return int(state["epoch"]) - 1


def run_record(config: Any, folder: Path, accelerator: Any, epoch: int) -> dict[str, Any]:
    """What every result tells of its run: how long, with which options, versions and machine."""
    log = read_log(folder / "log.jsonl")
    seconds = sum(entry["seconds"] for entry in log)
    waited = sum(entry["seconds"] * entry["waiting_for_data"] for entry in log)
    return {
        "epoch": epoch,
        "training_seconds": seconds,
        "waiting_for_data": waited / seconds if seconds else None,
        "config": dataclasses.asdict(config),
        "versions": {"eureka_nlg": eureka_nlg.__version__, "torch": torch.__version__},
        "processes": accelerator.num_processes,
        "device": _device_name(accelerator.device),
    }


def _device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{device.type}, {torch.get_num_threads()} threads"
