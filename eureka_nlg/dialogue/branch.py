"""Start a training with the epochs that another one has already run.

A deferred loss is plain cross-entropy before its first epoch. Runs that differ only in what comes after that
share these epochs. They are trained once, and the other runs begin with a checkpoint of the first.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from eureka_nlg.dialogue.checkpoint import Checkpoint, read_checkpoint
from eureka_nlg.errors import UserError, require
from eureka_nlg.files import write_whole

__all__ = ["branch_off", "plain_epochs"]

# What may differ: how long the run goes on, what is kept and shown, how validation is done.
_FREE_SECTIONS = {
    *("checkpoint", "common_eval", "criterion", "distributed_training", "eval_lm", "generation", "ema"),
    *("interactive", "job_logging_cfg", "bmuf", "scoring", "tokenizer", "bpe"),
}
_FREE = {
    *("criterion", "max_epoch", "max_update", "stop_time_hours", "stop_min_lr", "tpu", "no_progress_bar"),
    *("log_format", "log_interval", "log_file", "tensorboard_logdir", "wandb_project", "azureml_logging"),
    *("num_workers", "num_workers_valid", "data_buffer_size", "disable_validation", "fixed_validation_seed"),
}
_FREE_PREFIXES = (
    "eval_",
    "best_checkpoint_",
    "maximize_best_",
    "validate_",
    "batch_size_valid",
    "max_valid_",
)

# options of a criterion that cross-entropy has, too, with their defaults
_OF_PLAIN_EPOCHS: dict[str, Any] = {"label_smoothing": 0.0, "ignore_prefix_size": 0}
_PLAIN = ("cross_entropy", "label_smoothed_cross_entropy")
_START_EPOCHS = ("encouragement_start_epoch", "loss_start_epoch")


def branch_off(source: str | os.PathLike[str], args: argparse.Namespace) -> bool:
    """Make the checkpoint of one run the beginning of another: ``SAVE_DIR/checkpoint_last.pt``.

    The best checkpoint of the shared epochs becomes ``checkpoint_best.pt``, as it would be had the new run
    trained them. Where it is not beside the source, or was the best by another score, only the new run's own
    epochs count.

    Args:
        source: checkpoint written at the end of an epoch, or a folder with one for each epoch, from which the
            checkpoint of the new run's last plain epoch is taken.
        args: of the new run, as fairseq parses them.

    Returns:
        False if the new run already has a checkpoint to go on with; nothing is written then.

    Raises:
        UserError: not a checkpoint of fairseq, one from the middle of an epoch, or one of a run that differs
            from the new one before that point; the message names the options that differ.
    """
    target = Path(args.save_dir) / "checkpoint_last.pt"
    if target.exists():
        return False
    config = require("fairseq.dataclass.utils", extra="fairseq").convert_namespace_to_omegaconf(args)
    sections = require("omegaconf", extra="fairseq").OmegaConf.to_container(config, resolve=True)
    source = Path(source)
    if source.is_dir():
        plain = plain_epochs(_mapping(sections["criterion"]))
        if plain == float("inf"):
            raise UserError(
                f"--branch-from {source}: the new run is plain cross-entropy in all epochs, so it is not "
                f"known after which one it begins: give a checkpoint, such as {source / 'checkpoint5.pt'}"
            )
        source /= f"checkpoint{plain}.pt"
    checkpoint = read_checkpoint(source, needs=("last_optimizer_state", "optimizer_history", "extra_state"))
    state, num_epochs = checkpoint.state, checkpoint.num_epochs
    if checkpoint.in_epoch:
        raise UserError(f"{source}: is from the middle of an epoch; give the checkpointN.pt of a whole epoch")
    before = checkpoint.sections
    parts = before.get("criterion"), before.get("model"), state["optimizer_history"], state["extra_state"]
    if not all(parts):
        raise UserError(
            f"{source}: not a checkpoint of fairseq-train with its criterion, model and optimiser"
        )
    for criterion, where in ((before["criterion"], source), (sections["criterion"], "the new run")):
        plain = plain_epochs(_mapping(criterion))
        if plain < num_epochs:
            raise UserError(
                f"{where}: its loss is plain cross-entropy for {plain} epochs, but the checkpoint {source} "
                f"has {num_epochs}: give an earlier checkpoint"
            )
    differing = sorted(_differences(before, sections))
    if differing:
        shown = ", ".join(f"{name} ({old!r} there, {new!r} here)" for name, old, new in differing[:10])
        raise UserError(
            f"{source}: its run differs from this one up to epoch {num_epochs}: {shown}; "
            "train without --branch-from, or give the options of that run"
        )
    registry = require("fairseq.criterions", extra="fairseq").CRITERION_REGISTRY
    name = registry[args.criterion].__name__
    extra = state["extra_state"]
    best = _best(source, checkpoint) if _score(before) == _score(sections) else None
    if best is None:  # a score that no checkpoint has would keep every later one from being the best
        extra.pop("best", None)
    elif not args.no_save:
        _write(best.state, name, target.with_name("checkpoint_best.pt"))
    _write(state, name, target)  # at the end: with this file, the run has begun
    return True


def plain_epochs(criterion: Mapping[str, Any]) -> float:
    """For how many epochs a criterion is plain cross-entropy; infinity if it always is.

    Args:
        criterion: its options by name, and its own name as ``_name``.
    """
    name = criterion.get("_name")
    if name in _PLAIN or (name == "focal" and criterion.get("focal_gamma") == 0.0):
        return float("inf")
    starts = [int(criterion[option]) for option in _START_EPOCHS if option in criterion]
    return starts[0] - 1 if starts else 0


def _score(sections: Mapping[str, Mapping[str, Any]]) -> tuple[Any, ...]:
    """What fairseq's best checkpoint is the best by."""
    options = sections.get("checkpoint") or {}
    return tuple(options.get(name) for name in ("best_checkpoint_metric", "maximize_best_checkpoint_metric"))


def _best(source: Path, checkpoint: Checkpoint) -> Checkpoint | None:
    """The checkpoint with the best score of the epochs up to this one; None if it is not there."""
    best = checkpoint.state["extra_state"].get("best")
    if best is None:
        return None
    if checkpoint.state["extra_state"].get("val_loss") == best:
        return checkpoint
    for epoch in range(checkpoint.num_epochs - 1, 0, -1):  # the latest of equal ones, as fairseq
        path = source.with_name(f"checkpoint{epoch}.pt")
        if path.is_file():
            found = read_checkpoint(path, needs=("extra_state", "optimizer_history"))
            if (found.state["extra_state"] or {}).get("val_loss") == best:
                return found
    return None


def _write(state: dict[str, Any], criterion: str, target: Path) -> None:
    state["optimizer_history"][-1]["criterion_name"] = criterion
    with write_whole(target) as file:
        torch.save(state, file)


def _differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> set[tuple[str, Any, Any]]:
    """Name, old and new value of the options that decide the epochs before the branch."""
    before, after = _deciding(old), _deciding(new)
    return {
        (name, _shown(before[name]), _shown(after[name]))
        for name in before.keys() & after.keys()
        if _shown(before[name]) != _shown(after[name])
    }


def _deciding(config: Mapping[str, Any]) -> dict[str, Any]:
    of_criterion = _mapping(config["criterion"])
    known: dict[str, Any] = {name: of_criterion.get(name, value) for name, value in _OF_PLAIN_EPOCHS.items()}
    free = set(_FREE)
    for name, section in config.items():
        if name != "model" and section is not None:
            values = _mapping(section)
            if name in _FREE_SECTIONS:
                free |= values.keys()
            else:
                known |= values
    # The namespace of the model holds every option of the command line, its own among them.
    return {
        name: value
        for name, value in {**_mapping(config["model"]), **known}.items()
        if (name not in free or name in _OF_PLAIN_EPOCHS) and not name.startswith((*_FREE_PREFIXES, "_"))
    }


def _mapping(section: Any) -> dict[str, Any]:
    return dict(vars(section)) if isinstance(section, argparse.Namespace) else dict(section)


def _shown(value: Any) -> str:
    """Text, so that 1 and "1", a list and a tuple compare as fairseq's two parsers leave them."""
    return ",".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
