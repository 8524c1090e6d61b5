"""The folder of a run of any task: its files, the checks before resuming, and the record of a result."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence, Set
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Protocol, TypeVar

import torch
from torch import nn

import eureka_nlg
from eureka_nlg.errors import UserError, require
from eureka_nlg.files import Kind, exclusive, output_file, read_json, write_text
from eureka_nlg.option_files import read_options
from eureka_nlg.shapes_of_json import misfit
from eureka_nlg.vision.config_file import flat, read_config, to_yaml
from eureka_nlg.vision.loop_config import LoopConfig
from eureka_nlg.vision.predictions_file import PREDICTIONS
from eureka_nlg.vision.training.checkpoint import load_checkpoint
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
    "own_output",
    "running",
    "task_of_run",
    "load_network",
    "run_record",
]

CHECKPOINT = "checkpoint.pt"
CONFIG = "config.yaml"
RESULT = "evaluation.json"
"""Written last: a run that has this file is finished."""

FREE_OPTIONS = frozenset(
    {
        "data.workers",
        "data.check",
        "training.device",
        "training.channels_last",
        "training.compile",
        "training.evaluate_every",
        "training.checkpoint_every",
        "training.keep_epochs",
        "training.trackers",
        "save_dir",
    }
)
"""Options that do not change the results of a run, but for rounding. Tasks add their own."""


class _Config(Protocol):
    @property
    def training(self) -> LoopConfig: ...
    @property
    def epochs(self) -> int: ...


AnyConfig = TypeVar("AnyConfig", bound=_Config)


def make_accelerator(training: LoopConfig) -> Any:
    """The ``Accelerator`` of Hugging Face accelerate for a run, with one process or several.

    Raises:
        UserError: accelerate does not know a tracker, or the tracker's package is not installed.
    """
    accelerate = require("accelerate", extra="vision")
    trackers = [name for name in training.trackers if name != "tensorboard"]
    tracking = require("accelerate.tracking", extra="vision")
    known = sorted({*tracking.LOGGER_TYPE_TO_CLASS, "tensorboard"})
    for name in trackers:
        if name not in known:
            raise UserError(f"training.trackers: {name}, expected some of {', '.join(known)}")
        if name not in map(str, tracking.get_available_trackers()):
            raise UserError(f"training.trackers: {name} is not installed: pip install {name}")
    # The loop does the autocast, so that evaluation is in float32 and the config alone decides.
    return accelerate.Accelerator(
        cpu=training.device == "cpu", mixed_precision="no", log_with=trackers or None
    )


@contextmanager
def running(folder: Path, config: Any, accelerator: Any) -> Iterator[None]:
    """Lock the folder of a run for this command, and start and end the trackers.

    Raises:
        UserError: another process trains in the folder, or a tracker cannot be reached.
    """
    with ExitStack() as stack:
        if accelerator.is_main_process:
            stack.enter_context(exclusive(folder))
        if accelerator.log_with:
            try:
                accelerator.init_trackers("eureka-nlg", config=flat(config))
            except Exception as error:  # each tracker raises errors of its own
                reason = str(error).splitlines()[0] if str(error) else type(error).__name__
                raise UserError(
                    f"training.trackers: {', '.join(config.training.trackers)}: {reason}"
                ) from error
            stack.callback(accelerator.end_training)
        yield


def with_precision(config: AnyConfig, device: torch.device) -> AnyConfig:
    """The config with ``precision: auto`` replaced by the format for this device."""
    if config.training.precision != "auto":
        return config
    if device.type == "cuda":
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        fast = device.type == "cpu" and torch.cpu._is_avx512_bf16_supported()
    training = dataclasses.replace(config.training, precision="bfloat16" if fast else "float32")
    return dataclasses.replace(config, training=training)  # type: ignore[type-var]


def check_folder(folder: Path, config: Any, free: Set[str]) -> None:
    """Raise UserError if the folder has a run whose options differ, except for those in ``free``."""
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
            "give another save_dir, or remove the folder"
        )


def check_keep_epochs(config: _Config) -> None:
    """Raise UserError if ``training.keep_epochs`` has an epoch that the run does not reach."""
    never = [epoch for epoch in config.training.keep_epochs if not 1 <= epoch <= config.epochs]
    if never:
        raise UserError(
            f"training.keep_epochs: {', '.join(map(str, never))}, expected 1 to {config.epochs}, the epochs "
            "of this run (they are counted after training.schedule_scale)"
        )


def write_config(folder: Path, config: Any) -> None:
    """Write the options of the run into its folder."""
    write_text(folder / CONFIG, to_yaml(config))


def read_run_config(
    cls: type[AnyConfig], folder: Path, overrides: Sequence[str], command: str = "train"
) -> AnyConfig:
    """The config of a run, with options that override it.

    Raises:
        UserError: there is no run in the folder, or an option is invalid.
    """
    if not (folder / CONFIG).is_file():
        raise UserError(
            f"{folder}: holds no {CONFIG}; expected the folder of a run of `eureka vision {command}`"
        )
    return read_config(cls, folder / CONFIG, overrides)


def task_of_run(folder: Path) -> str:
    """``classification`` or ``detection``, from the run's config; the former if there is no run.

    Raises:
        UserError: the config cannot be read.
    """
    if not (folder / CONFIG).is_file():
        return "classification"
    given = read_options(
        folder / CONFIG, extra="vision", examples="configs/vision", override_example="training.epochs=60"
    )
    return str(given["task"].value) if "task" in given else "classification"


def read_result(folder: Path, shape: Any) -> dict[str, Any]:
    """``evaluation.json`` of a finished run.

    Args:
        folder: the folder of the run.
        shape: the expected shape of the document; see :func:`eureka_nlg.shapes_of_json.misfit`.

    Raises:
        UserError: the file cannot be read, or has another shape.
    """
    path = folder / RESULT
    result = read_json(path)
    wrong = misfit(result, shape)
    if wrong:
        raise UserError(
            f"{path}: {wrong}; `eureka vision` did not write this file: remove it, and give the command again"
        )
    return dict(result)


def own_output(path: Path | None, folder: Path, option: str = "--json", kind: Kind = "JSON") -> None:
    """Check before the work that scores can be written to the file of an option.

    Raises:
        UserError: it is a file of another kind or one of the run's files, or it cannot be written.
    """
    if path is None:
        return
    if path.name in _OWN_FILES and path.resolve().parent == folder.resolve():
        raise UserError(f"{option} {path}: is one of the run's own files, expected another name")
    output_file(path, option, kind, holds=("epoch", "config"))


_OWN_FILES = {CHECKPOINT, CONFIG, RESULT, PREDICTIONS, "analysis.json", "detections.json", "log.jsonl"}


def load_network(network: nn.Module, checkpoint: Path, device: torch.device) -> int:
    """Load the weights of a checkpoint into a network, and move it to a device.

    Returns:
        The number of whole epochs that the network was trained for.

    Raises:
        UserError: the checkpoint cannot be read, or does not fit the network.
    """
    state = load_checkpoint(checkpoint)
    try:
        network.load_state_dict(state["network"])
    except RuntimeError as error:
        raise UserError(f"{checkpoint}: does not fit its config: {error}") from error
    network.to(device)
    return int(state["epoch"]) - 1


def run_record(config: Any, folder: Path, accelerator: Any, epoch: int) -> dict[str, Any]:
    """The part of a result that describes its run: duration, options, versions, machine."""
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
    threads = torch.get_num_threads()
    return f"{device.type}, {threads} thread{'s' if threads > 1 else ''}"
