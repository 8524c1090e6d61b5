"""A classification run in its folder: starting, resuming, branching off another run, evaluation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.optim.swa_utils import update_bn

from eureka_nlg.analysis import (
    analysis_document,
    corpus_block,
    encouragement_block,
    encouragement_label,
    system_block,
)
from eureka_nlg.errors import UserError
from eureka_nlg.files import write_json
from eureka_nlg.frequency import LogitAdjustmentOptions, log_prior
from eureka_nlg.losses.bonus import eureka_options
from eureka_nlg.metrics.classes.bands import FrequencyBands
from eureka_nlg.metrics.classes.likelihood import GroupLikelihood
from eureka_nlg.options import BadOption
from eureka_nlg.progress import doing
from eureka_nlg.shapes_of_json import SCORE, WHOLE, each
from eureka_nlg.vision import run_folder
from eureka_nlg.vision.classification.config import Config
from eureka_nlg.vision.classification.data import load_data
from eureka_nlg.vision.classification.evaluation import evaluate, gold_likelihood
from eureka_nlg.vision.classification.methods.catalogue import classification
from eureka_nlg.vision.classification.methods.first_stage import check_first_stage
from eureka_nlg.vision.classification.task import Classification
from eureka_nlg.vision.config_file import config_from_dict, flat
from eureka_nlg.vision.predictions_file import PREDICTIONS
from eureka_nlg.vision.run_folder import (
    CHECKPOINT,
    FREE_OPTIONS,
    RESULT,
    check_folder,
    check_keep_epochs,
    load_network,
    make_accelerator,
    read_run_config,
    run_record,
    running,
    with_precision,
    write_config,
)
from eureka_nlg.vision.training import fit
from eureka_nlg.vision.training.checkpoint import load_checkpoint

__all__ = [
    "train_run",
    "evaluate_run",
    "check_run_folder",
    "read_result",
    "agrees_until",
    "CHECKPOINT",
    "RESULT",
]

ANALYSIS = "analysis.json"
"""Likelihood by group, in the format that `eureka report` reads."""

_RESULT_SHAPE = {
    "epoch": WHOLE,
    "accuracy": dict.fromkeys(("all", "many", "medium", "few", "natural"), SCORE),
    "calibration_error": each(SCORE),
    "likelihood": each(SCORE),
    "waiting_for_data": SCORE,
}

# Options that do not change the results of a run, but for rounding.
_FREE = FREE_OPTIONS | {
    "data.source",
    "data.train",
    "data.evaluation",
    "training.analyse_training_images",
    "init_from",
}
# Options of the phases, in which a run may differ from the run that it branches off, after the branch.
_OF_PHASES = ("loss.", "sampling", "deferral.", "mbj.")


def train_run(config: Config) -> dict[str, Any]:
    """Train the run of a config in its ``save_dir``, or resume it; a finished run is not changed.

    Returns:
        The content of ``evaluation.json``.

    Raises:
        UserError: the data are invalid, the folder has a run with other options, or a checkpoint does not
            fit.
        Interrupted: a signal arrived; the same call resumes the run.
    """
    folder = Path(config.save_dir)
    accelerator = make_accelerator(config.training)
    config = with_precision(config, accelerator.device)
    check_run_folder(config)
    if (folder / RESULT).is_file():
        return read_result(folder)
    check_keep_epochs(config)
    if config.is_second_stage and not (folder / CHECKPOINT).is_file():
        check_first_stage(config)
    with running(folder, config, accelerator):
        tell = doing if accelerator.is_main_process else lambda what: None
        tell(f"reading and checking the images of {config.data.source}")
        with accelerator.main_process_first():  # so that the images are decoded and checked only once
            data = load_data(config.data, accelerator.is_main_process, config.check_images)
        state = _state(config, folder)
        task = classification(config, data, accelerator, resumed=state is not None)
        if accelerator.is_main_process:
            write_config(folder, config)
        fit(task, config, folder, accelerator, state)
        tell("scoring the images to evaluate on")
        return _write_result(task, config, folder)


def check_run_folder(config: Config) -> None:
    """Raise UserError if the folder of a run has one whose options give other results."""
    free = _FREE - {"init_from"} if config.is_second_stage else _FREE
    if config.training.precision == "auto":  # what it became there is only known where the run is trained
        free = free | {"training.precision"}
    check_folder(Path(config.save_dir), config, free)


def evaluate_run(
    folder: Path,
    overrides: Sequence[str] = (),
    checkpoint: Path | None = None,
    *,
    logit_adjustment: float | None = None,
    adjust_again: bool = False,
    predictions_path: Path | None = None,
    exact_batch_norm: bool = False,
) -> dict[str, Any]:
    """Evaluate a checkpoint of a run, and return the scores as in ``evaluation.json``.

    Args:
        folder: the folder of the run.
        overrides: ``key=value``, such as another ``data.source``.
        checkpoint: the checkpoint, such as ``epoch160.pt``; default: the last one.
        logit_adjustment: factor of post-hoc logit adjustment (Menon et al. 2021): this times the
            log-frequency of each class is subtracted from its logit. The result contains it. None for no
            adjustment.
        adjust_again: whether to allow it for a run that was trained with logit adjustment.
        predictions_path: file for the predictions, for `eureka vision compare`; None to keep none.
        exact_batch_norm: whether batch normalisation takes the mean statistics of an epoch of training
            batches (Wu & Johnson 2021), instead of the running ones, which depend on the last batches.
            The result says so.

    Raises:
        UserError: there is no run, the checkpoint does not fit, the logits have been adjusted before, or
            exact batch statistics are not possible.
    """
    config = read_run_config(Config, folder, overrides)
    if logit_adjustment is not None:
        _check_adjustment(config, folder, logit_adjustment, adjust_again)
    elif adjust_again:
        raise UserError("--adjust-again: is for --logit-adjustment")
    accelerator = make_accelerator(config.training)
    task = classification(
        config, load_data(config.data, tell=accelerator.is_main_process), accelerator, resumed=True
    )
    epoch = load_network(task.network, checkpoint or folder / CHECKPOINT, accelerator.device)
    if exact_batch_norm:
        _exact_batch_norm(task, config, folder)
    counts = task.data.class_counts
    offset = None if logit_adjustment is None else -log_prior(counts, logit_adjustment, dtype=torch.float32)
    predictions = task.predict(offset=offset)
    if predictions_path is not None and accelerator.is_main_process:
        predictions.write(predictions_path, counts)
    adjusted: dict[str, Any] = {} if logit_adjustment is None else {"logit_adjustment": logit_adjustment}
    if exact_batch_norm:
        adjusted["exact_batch_norm"] = True
    return {**adjusted, **evaluate(predictions, counts), **run_record(config, folder, accelerator, epoch)}


def _exact_batch_norm(task: Classification, config: Config, folder: Path) -> None:
    if config.method != "plain":
        raise UserError(
            f"{folder}: was trained with method={config.method}: --exact-batch-norm is for method=plain"
        )
    if task.accelerator.num_processes > 1:
        raise UserError("--exact-batch-norm: needs one process, got several")
    doing("computing batch statistics from an epoch of training images")
    batches = (part.images for parts in task.batches(config.epochs + 1, 0) for part in parts)
    update_bn(batches, task.network)


def _check_adjustment(config: Config, folder: Path, tau: float, again: bool) -> None:
    try:
        LogitAdjustmentOptions(tau)
    except BadOption as error:
        raise UserError(str(error.spelled("--logit-adjustment"))) from None
    if config.loss.name == "logit_adjusted" and not again:
        raise UserError(
            f"{folder}: was trained with logit adjustment, so its logits are adjusted already: leave "
            "--logit-adjustment out, or give --adjust-again as well"
        )


def read_result(folder: Path) -> dict[str, Any]:
    """The content of ``evaluation.json`` of a finished run.

    Raises:
        UserError: the file cannot be read, or was not written by this program.
    """
    return run_folder.read_result(folder, _RESULT_SHAPE)


def agrees_until(config: Config, other: Config, epoch: int) -> str | None:
    """Whether two runs compute the same results until the end of an epoch.

    Returns:
        None if they do; otherwise the first option that differs, as text for a message.
    """
    first, second = flat(config), flat(other)
    if {config.method, other.method} == {"plain", "mbj"}:
        del first["method"]  # both have the same network; the phases say whether there is a memory
    for key, value in first.items():
        if key not in _FREE and not key.startswith(_OF_PHASES) and second[key] != value:
            return f"{key} ({second[key]} there, {value} here)"
    if config.cosine_scale != other.cosine_scale:
        return "the classifier, linear or cosine (model.head), or its scale (loss.scale)"
    for number in range(1, epoch + 1):
        here, there = config.phase(number), other.phase(number)
        if here.memory != there.memory:
            return f"the memory (mbj) of epoch {number}"
        if here != there:
            return f"the loss or the sampling of epoch {number}"
    return None


def _state(config: Config, folder: Path) -> dict[str, Any] | None:
    if (folder / CHECKPOINT).is_file():
        return load_checkpoint(folder / CHECKPOINT)
    if config.init_from is None or config.is_second_stage:
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
    bands = FrequencyBands.by_count(task.data.class_counts)
    predictions = task.predict()
    likelihood = {"test": gold_likelihood(predictions, bands)}
    if config.training.analyse_training_images:
        likelihood["train"] = gold_likelihood(task.predict(training_images=True), bands)
    scores = evaluate(predictions, task.data.class_counts, likelihood=likelihood["test"])
    result = {**scores, **run_record(config, folder, task.accelerator, config.epochs)}
    if task.accelerator.is_main_process:
        predictions.write(folder / PREDICTIONS, task.data.class_counts)
        write_json(folder / ANALYSIS, _analysis(likelihood, bands, config, task.data.class_counts))
        write_json(folder / RESULT, result)
    return result


def _analysis(
    groups: Mapping[str, dict[str, GroupLikelihood]],
    bands: FrequencyBands,
    config: Config,
    class_counts: Tensor,
) -> dict[str, Any]:
    block = system_block(groups, checkpoint=str(Path(config.save_dir) / CHECKPOINT))
    encouragements = {}
    loss = config.loss
    options, _ = eureka_options(loss)
    if loss.name == "eureka" and options.measure != "one":
        encouragements[encouragement_label(options)] = encouragement_block(class_counts, options)
    return analysis_document(
        bands,
        {config.save_dir: block},
        corpus=corpus_block(class_counts),
        encouragement=encouragements or None,
    )
