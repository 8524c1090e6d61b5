"""Read from the folder of a Hugging Face model how it was fine-tuned."""

from __future__ import annotations

import math
from collections import defaultdict
from pathlib import Path
from typing import Any

from eureka_nlg.durations import duration
from eureka_nlg.errors import UserError, require
from eureka_nlg.files import read_json
from eureka_nlg.finetune.run_folder import FinetuneFolder
from eureka_nlg.runs.base import Provenance
from eureka_nlg.shapes_of_json import NUMBER, SCORE, WHOLE, misfit
from eureka_nlg.training_log import TrainingLog

__all__ = ["provenance", "trainer_log"]

_STATE = "trainer_state.json"
# the Trainer's name of a measure -> its name in fairseq's log, whose "loss" is in other units
_TRAINING = {"likelihood": "likelihood", "bonus": "bonus", "reward": "reward"}

_STATE_SHAPE = {
    "epoch?": SCORE,
    "global_step?": WHOLE,
    "log_history?": [
        {
            "epoch?": SCORE,
            **dict.fromkeys(("loss?", "eval_loss?", "nll?", "likelihood?", "bonus?", "reward?"), NUMBER),
            "train_runtime?": SCORE,
        }
    ],
}


def provenance(found: FinetuneFolder) -> Provenance:
    """The facts and options that a folder holds about its training."""
    state, _ = _state(found)
    epoch, steps = state.get("epoch"), state.get("global_step")
    facts = {"checkpoint": ", ".join(path.name for path in found.weights)}
    if epoch is not None and steps is not None:
        facts["checkpoint"] += f", epoch {epoch:g}, {steps:,} updates"
    if found.is_adapter:
        facts["adapters on"] = found.base
    elif found.option("model"):
        facts["began as"] = str(found.option("model"))
    losses = [entry["eval_loss"] for entry in state.get("log_history", []) if "eval_loss" in entry]
    if losses:
        facts["best validation"] = f"loss {min(losses):.4g} nats"
    seconds = [entry["train_runtime"] for entry in state.get("log_history", []) if entry.get("train_runtime")]
    if seconds:
        facts["training time"] = duration(sum(seconds))
    facts["parameters"] = f"{_num_parameters(found):,}"
    arguments = dict(found.record.get("arguments", {}))
    if "seed" in arguments:
        facts["seed"] = str(arguments["seed"])
    versions = found.record.get("versions", {})
    facts["software"] = ", ".join(f"{name} {version}" for name, version in versions.items()) or "not recorded"
    options = {"finetune": dict(found.record.get("options", {})), "training arguments": arguments}
    return Provenance(facts, {name: values for name, values in options.items() if values})


def trainer_log(found: FinetuneFolder) -> tuple[Path, TrainingLog] | None:
    """What the Trainer logged, by epoch: the mean over an epoch in training, the last value in validation."""
    state, path = _state(found)
    curves: dict[str, dict[str, dict[int, list[float]]]] = defaultdict(lambda: defaultdict(dict))
    for entry in state.get("log_history", []):
        if entry.get("epoch") is None:
            continue
        epoch = max(1, math.ceil(entry["epoch"] - 1e-6))
        if "eval_loss" in entry:
            curves["ppl"]["valid"][epoch] = [math.exp(min(entry["eval_loss"], 700))]
        elif "loss" in entry:
            # for cross-entropy the loss is the negative log-likelihood; for others that is logged beside it
            nats = entry.get("nll", entry["loss"])
            curves["ppl"]["train"].setdefault(epoch, []).append(nats)
            for name, measure in _TRAINING.items():
                if name in entry:
                    curves[measure]["train"].setdefault(epoch, []).append(entry[name])
    if not curves or path is None:
        return None
    log = TrainingLog()
    for measure, splits in curves.items():
        for split, epochs in splits.items():
            means = {epoch: sum(values) / len(values) for epoch, values in epochs.items()}
            if (measure, split) == ("ppl", "train"):
                means = {epoch: math.exp(min(value, 700)) for epoch, value in means.items()}
            log.curves.setdefault(measure, {})[split] = means
    versions = found.record.get("versions", {})
    log.versions.update({str(name): str(version) for name, version in versions.items()})
    return path, log


def _state(found: FinetuneFolder) -> tuple[dict[str, Any], Path | None]:
    path = found.folder / _STATE
    if not path.is_file():
        return {}, None
    state = read_json(path)
    wrong = misfit(state, _STATE_SHAPE)
    if wrong:
        raise UserError(f"{path}: not the state of a Trainer: {wrong}")
    return state, path


def _num_parameters(found: FinetuneFolder) -> int:
    """The number of parameters in the files of weights, which hold a table that two layers share once."""
    open_file = require("safetensors", extra="transformers").safe_open
    total = 0
    for path in found.weights:
        with open_file(str(path), framework="pt") as file:
            total += sum(math.prod(file.get_slice(name).get_shape()) for name in file.keys())  # noqa: SIM118
    return total
