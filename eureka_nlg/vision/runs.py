"""A run in its folder: started, gone on with, branched off another one, evaluated."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import eureka_nlg
from eureka_nlg.errors import UserError, require
from eureka_nlg.metrics.analysis import (
    analysis_document,
    corpus_block,
    encouragement_block,
    encouragement_label,
    system_block,
)
from eureka_nlg.metrics.bands import FrequencyBands
from eureka_nlg.vision.classification import Classification, classification
from eureka_nlg.vision.config import Config
from eureka_nlg.vision.config_file import config_from_dict, flat, read_config, to_yaml
from eureka_nlg.vision.data import load_data
from eureka_nlg.vision.evaluation import Predictions, evaluate, gold_likelihood
from eureka_nlg.vision.training import fit
from eureka_nlg.vision.training.checkpoint import load_checkpoint, write_json, write_whole
from eureka_nlg.vision.training.log import read_log

__all__ = ["train_run", "evaluate_run", "read_result", "agrees_until", "CHECKPOINT", "RESULT"]

CHECKPOINT = "checkpoint.pt"
CONFIG = "config.yaml"
ANALYSIS = "analysis.json"
"""Likelihood by group, in the layout that `eureka report` draws."""
RESULT = "evaluation.json"
"""Written last, so that a run that has it is finished."""

# Options that do not change what a run computes, or only where its files lie.
_FREE = {
    "data.source",
    "data.train",
    "data.evaluation",
    "data.workers",
    "data.check",
    "training.device",
    "training.evaluate_every",
    "training.checkpoint_every",
    "training.analyse_training_images",
    "training.keep_epochs",
    "save_dir",
    "init_from",
}
# Options of the phases, which a run and the one it branches off may differ in after the branch.
_OF_PHASES = ("loss.", "sampling", "deferral.")


def train_run(config: Config) -> dict[str, Any]:
    """Train the run of a config in its ``save_dir``, or go on with it; a finished one is left as it is.

    Returns:
        What ``evaluation.json`` holds.

    Raises:
        UserError: bad data, a folder of another config, a checkpoint that does not fit.
        Interrupted: by a signal; the same call goes on.
    """
    folder = Path(config.save_dir)
    accelerator = _accelerator(config)
    config = _resolved(config, accelerator.device)
    _check_folder(folder, config)
    if (folder / RESULT).is_file():
        return read_result(folder)
    with accelerator.main_process_first():  # the images are decoded and checked once
        data = load_data(config.data)
    state = _state(config, folder)
    task = classification(config, data, accelerator, resumed=state is not None)
    if accelerator.is_main_process:
        text = to_yaml(config)
        write_whole(folder / CONFIG, lambda file: file.write(text.encode()))
    fit(task, config, folder, accelerator, state)
    return _write_result(task, config, folder)


def evaluate_run(
    folder: Path, overrides: Sequence[str] = (), checkpoint: Path | None = None
) -> dict[str, Any]:
    """Evaluate a checkpoint of a run (default: its last) and return what ``evaluation.json`` would hold.

    Args:
        folder: of the run.
        overrides: ``key=value``, such as another ``data.source``.
        checkpoint: another file, such as ``epoch160.pt``.

    Raises:
        UserError: no run there, or a checkpoint that does not fit.
    """
    if not (folder / CONFIG).is_file():
        raise UserError(f"{folder}: holds no {CONFIG}; expected the folder of a run of `eureka vision train`")
    config = read_config(Config, folder / CONFIG, overrides)
    accelerator = _accelerator(config)
    state = load_checkpoint(checkpoint or folder / CHECKPOINT)
    data = load_data(config.data)
    task = classification(config, data, accelerator, resumed=True)
    try:
        task.network.load_state_dict(state["network"])
    except RuntimeError as error:
        raise UserError(f"{checkpoint or folder}: does not fit its config: {error}") from error
    task.network.to(accelerator.device)
    return _result(task, task.predict(), config, folder, state["epoch"] - 1)


def read_result(folder: Path) -> dict[str, Any]:
    """``evaluation.json`` of a finished run."""
    return dict(json.loads((folder / RESULT).read_text(encoding="utf-8")))


def agrees_until(config: Config, other: Config, epoch: int) -> str | None:
    """Whether two runs compute the same until the end of an epoch.

    Returns:
        None if they do, else the first option that differs.
    """
    first, second = flat(config), flat(other)
    for key, value in first.items():
        if key not in _FREE and not key.startswith(_OF_PHASES) and second[key] != value:
            return f"{key} ({second[key]} there, {value} here)"
    if config.uses_cosine_head != other.uses_cosine_head:
        return "the classifier, linear or cosine (model.head)"
    for number in range(1, epoch + 1):
        if config.phase(number) != other.phase(number):
            return f"the loss or the sampling of epoch {number}"
    return None


def _accelerator(config: Config) -> Any:
    accelerate = require("accelerate", extra="vision")
    # Autocast is the loop's, so that evaluation stays in float32 and the config alone decides.
    return accelerate.Accelerator(cpu=config.training.device == "cpu", mixed_precision="no")


def _resolved(config: Config, device: torch.device) -> Config:
    """``precision: auto`` as what it means here."""
    if config.training.precision != "auto":
        return config
    if device.type == "cuda":
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        fast = device.type == "cpu" and torch.cpu._is_avx512_bf16_supported()
    training = dataclasses.replace(config.training, precision="bfloat16" if fast else "float32")
    return dataclasses.replace(config, training=training)


def _check_folder(folder: Path, config: Config) -> None:
    if not (folder / CONFIG).is_file():
        return
    before = flat(read_config(Config, folder / CONFIG))
    free = _FREE - {"init_from"} if config.method in ("crt", "lws") else _FREE
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


def _state(config: Config, folder: Path) -> dict[str, Any] | None:
    if (folder / CHECKPOINT).is_file():
        return load_checkpoint(folder / CHECKPOINT)
    if config.init_from is None or config.method in ("crt", "lws"):
        return None
    path = Path(config.init_from)
    state = load_checkpoint(path)
    other = config_from_dict(Config, state["config"], f"checkpoint {path}")
    done = state["epoch"] - 1
    if state["step"] != done * state["steps_per_epoch"]:
        raise UserError(
            f"init_from {path}: was written in the middle of epoch {done + 1}, expected a whole epoch"
        )
    difference = agrees_until(config, other, done)
    if difference is not None:
        raise UserError(
            f"init_from {path}: is after {done} epochs of a run that is not the same until then: {difference}"
        )
    return state


def _write_result(task: Classification, config: Config, folder: Path) -> dict[str, Any]:
    predictions = task.predict()
    splits = {"test": predictions}
    if config.training.analyse_training_images:
        splits["train"] = task.predict(training_images=True)
    result = _result(task, predictions, config, folder, config.epochs)
    if task.accelerator.is_main_process:
        write_json(folder / ANALYSIS, _analysis(splits, config, task.data.class_counts))
        write_json(folder / RESULT, result)
    return result


def _analysis(splits: dict[str, Predictions], config: Config, class_counts: Tensor) -> dict[str, Any]:
    bands = FrequencyBands.by_count(class_counts)
    groups = {split: gold_likelihood(predictions, bands) for split, predictions in splits.items()}
    block = system_block(groups, checkpoint=str(Path(config.save_dir) / CHECKPOINT))
    encouragements = {}
    loss = config.loss
    if loss.name == "eureka" and loss.encouragement != "one":
        options = (loss.beta, loss.encouragement, loss.normalization)
        encouragements[encouragement_label(*options)] = encouragement_block(class_counts, *options)
    return analysis_document(
        bands,
        {config.save_dir: block},
        corpus=corpus_block(class_counts),
        encouragement=encouragements or None,
    )


def _result(
    task: Classification, predictions: Predictions, config: Config, folder: Path, epoch: int
) -> dict[str, Any]:
    scores = evaluate(predictions, task.data.class_counts)
    log = read_log(folder / "log.jsonl")
    seconds = sum(entry["seconds"] for entry in log)
    waited = sum(entry["seconds"] * entry["waiting_for_data"] for entry in log)
    return {
        **scores,
        "epoch": epoch,
        "training_seconds": seconds,
        "waiting_for_data": waited / seconds if seconds else None,
        "config": dataclasses.asdict(config),
        "versions": {"eureka_nlg": eureka_nlg.__version__, "torch": torch.__version__},
        "processes": task.accelerator.num_processes,
        "device": _device_name(task.accelerator.device),
    }


def _device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{device.type}, {torch.get_num_threads()} threads"
