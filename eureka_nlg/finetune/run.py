"""Load a model, fine-tune it and save it."""

from __future__ import annotations

import math
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from eureka_nlg.errors import UserError, require
from eureka_nlg.files import files_of, full_disk
from eureka_nlg.finetune.conversations import file_of_split, load_split, tokenised
from eureka_nlg.finetune.model import load_pretrained
from eureka_nlg.finetune.options import FinetuneOptions
from eureka_nlg.finetune.run_folder import (
    TRAINER_STATE,
    check_record,
    last_whole_checkpoint,
    steps_done,
    write_record,
)
from eureka_nlg.frequency import EncouragementOptions
from eureka_nlg.integrations.transformers import EurekaTrainerLoss, add_fused_loss, count_targets
from eureka_nlg.integrations.transformers.trainer_loss import num_outputs, shifts_labels
from eureka_nlg.losses.bonus import Bonus
from eureka_nlg.losses.objectives import SCALAR_LOSSES
from eureka_nlg.losses.options import options_of
from eureka_nlg.progress import Progress, doing

__all__ = ["finetune"]


def finetune(options: FinetuneOptions, arguments: Any) -> dict[str, float]:
    """Train a model and save it in its folder. If there is a checkpoint, go on from the last one.

    Args:
        options: our options.
        arguments: transformers' ``TrainingArguments``.

    Returns:
        The Trainer's metrics.

    Raises:
        UserError: the model or the data cannot be loaded, options do not fit them, or the disk is full.
    """
    transformers = require("transformers", extra="transformers")
    if not sys.stderr.isatty():
        _without_bars(arguments)
    train = load_split(options.data, "train")
    if options.decode_split:
        file_of_split(options.data, options.decode_split)  # before hours of training, not after
    transformers.set_seed(arguments.seed)
    model, tokenizer = load_pretrained(options.model, options.gguf_file)
    valid = None
    if str(arguments.eval_strategy.value) != "no":
        valid = load_split(options.data, "valid")
    is_encoder_decoder = bool(model.config.is_encoder_decoder)
    if arguments.process_index == 0:
        doing(f"tokenising {len(train):,} conversations")
    with arguments.main_process_first(desc="tokenising"):
        train, valid = (
            None if data is None else tokenised(data, tokenizer, is_encoder_decoder, options.max_length)
            for data in (train, valid)
        )
    if options.lora_rank:
        peft = require("peft", extra="transformers")
        kind = "SEQ_2_SEQ_LM" if is_encoder_decoder else "CAUSAL_LM"
        model = peft.get_peft_model(
            model,
            peft.LoraConfig(
                r=options.lora_rank,
                lora_alpha=options.lora_alpha,
                target_modules="all-linear",
                task_type=kind,
            ),
        )
    if arguments.process_index == 0:
        check_record(options, arguments)
        write_record(options, arguments)
    loss = _loss(options, model, train, Path(arguments.output_dir), arguments.label_smoothing_factor)
    if loss is not None:
        arguments.label_smoothing_factor = 0.0  # the loss has it; the Trainer would leave it out
    if loss is not None and options.fused:
        try:
            add_fused_loss(model, loss)
        except UserError as error:
            raise UserError(f"{error}; in a config that is fused=false") from error
    try:
        trainer = transformers.Trainer(
            model=model,
            args=arguments,
            train_dataset=train,
            eval_dataset=valid,
            data_collator=transformers.DataCollatorForSeq2Seq(tokenizer, model=model),
            processing_class=tokenizer,
        )
    except ValueError as error:  # options that contradict each other, or weights that cannot be trained
        raise UserError(f"transformers' Trainer: {error}") from error
    if loss is not None:
        loss.attach(trainer)
    if arguments.disable_tqdm and arguments.process_index == 0:
        trainer.add_callback(_time_left(transformers))
    folder = Path(arguments.output_dir)
    is_first = arguments.process_index == 0
    try:
        with arguments.main_process_first(desc="finding the last checkpoint"):
            last = last_whole_checkpoint(folder, remove_others=is_first)
        if last is not None and steps_done(last) >= _steps(trainer, arguments):
            # the Trainer would train one more step
            trainer._load_from_checkpoint(str(last))
            trainer.state = transformers.TrainerState.load_from_json(str(last / TRAINER_STATE))
            best = trainer.state.best_model_checkpoint
            if arguments.load_best_model_at_end and best is not None and Path(best).is_dir():
                trainer._load_from_checkpoint(best)
            metrics = {"train_runtime": 0.0}
        else:
            metrics = dict(trainer.train(resume_from_checkpoint=last and str(last)).metrics)
        # where weights are sharded over the processes, each may write its part
        is_spread = trainer.is_deepspeed_enabled or trainer.is_fsdp_enabled
        with nullcontext(folder) if is_spread or not is_first else files_of(folder) as whole:
            trainer.save_model(str(whole))
            if is_first:
                trainer.state.save_to_json(str(whole / TRAINER_STATE))
    except Exception as error:
        full = full_disk(error)
        if full is None:
            raise
        if is_first:
            last_whole_checkpoint(folder, remove_others=True)
        raise UserError(f"{full}; the same command goes on from the last checkpoint that is whole") from error
    return metrics


def _without_bars(arguments: Any) -> None:
    """Show no bars, which would fill a file or a pipe."""
    arguments.disable_tqdm = True
    require("datasets", extra="transformers").disable_progress_bars()
    require("transformers.utils.logging", extra="transformers").disable_progress_bar()


def _time_left(transformers: Any) -> Any:
    """A ``TrainerCallback`` that prints a line per minute with the remaining time."""

    class TimeLeft(transformers.TrainerCallback):
        def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            self.progress = Progress(state.global_step, state.max_steps, bar=False)

        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            self.progress.step()

    return TimeLeft()


def _steps(trainer: Any, arguments: Any) -> int:
    """The number of steps of the whole training, as the Trainer counts them."""
    if arguments.max_steps > 0:
        return int(arguments.max_steps)
    of_epoch = max(1, math.ceil(len(trainer.get_train_dataloader()) / arguments.gradient_accumulation_steps))
    return math.ceil(arguments.num_train_epochs * of_epoch)


def _loss(
    options: FinetuneOptions, model: Any, train: Any, folder: Path, label_smoothing: float
) -> EurekaTrainerLoss | None:
    if options.loss == "cross_entropy" and not options.fused:
        return None
    start = {name: getattr(options, name) for name in ("start_epoch", "start_step")}
    start["label_smoothing"] = label_smoothing
    if options.loss in SCALAR_LOSSES:
        loss = options_of(options, SCALAR_LOSSES[options.loss])
        return EurekaTrainerLoss.for_model(model, loss=loss, **start)
    shared = {**options_of(options, Bonus).values(), "form": options.form, **start}
    if options.form == "paper":
        shared["likelihood_cap"] = None
    weights = options_of(options, EncouragementOptions)
    if options.encouragement == "one":
        return EurekaTrainerLoss.for_model(model, weights.scale, **shared)
    counted = count_targets(train, num_outputs(model), shift=shifts_labels(model))
    folder.mkdir(parents=True, exist_ok=True)
    counted.save(folder / "target_counts.safetensors")
    return EurekaTrainerLoss.from_target_counts(counted, model, **weights.values(), **shared)
