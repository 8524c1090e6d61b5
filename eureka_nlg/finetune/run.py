"""Load, train, save, decode: one fine-tuning from its options to its folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from eureka_nlg.errors import UserError, require
from eureka_nlg.files import write_lines
from eureka_nlg.finetune.conversations import PLAIN_TEMPLATE, load_split, tokenised
from eureka_nlg.finetune.options import FinetuneOptions
from eureka_nlg.frequency import EncouragementOptions
from eureka_nlg.integrations.transformers import EurekaTrainerLoss, add_fused_loss, count_targets
from eureka_nlg.integrations.transformers.trainer_loss import num_outputs, shifts_labels
from eureka_nlg.losses.objectives import Bonus
from eureka_nlg.losses.options import options_of

__all__ = ["finetune"]


def finetune(options: FinetuneOptions, arguments: Any) -> dict[str, float]:
    """Train a model, going on from the last checkpoint of its folder, and save it there.

    Args:
        options: ours.
        arguments: transformers' ``TrainingArguments``.

    Returns:
        The Trainer's metrics.

    Raises:
        UserError: a model, data or options that do not fit.
    """
    transformers = require("transformers", extra="transformers")
    train = load_split(options.data, "train")
    transformers.set_seed(arguments.seed)
    model, tokenizer = _load(options)
    valid = None
    if str(arguments.eval_strategy.value) != "no":
        valid = load_split(options.data, "valid")
    is_encoder_decoder = bool(model.config.is_encoder_decoder)
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
    loss = _loss(options, model, train, Path(arguments.output_dir))
    if loss is not None and options.fused:
        add_fused_loss(model, loss)
    trainer = transformers.Trainer(
        model=model,
        args=arguments,
        train_dataset=train,
        eval_dataset=valid,
        data_collator=transformers.DataCollatorForSeq2Seq(tokenizer, model=model),
        processing_class=tokenizer,
    )
    if loss is not None:
        loss.attach(trainer)
    last = None
    if Path(arguments.output_dir).is_dir():
        last = transformers.trainer_utils.get_last_checkpoint(arguments.output_dir)
    metrics = dict(trainer.train(resume_from_checkpoint=last).metrics)
    trainer.save_model()
    trainer.save_state()
    if options.decode_split and trainer.is_world_process_zero():
        _decode(trainer, tokenizer, options, Path(arguments.output_dir))
    return metrics


def _load(options: FinetuneOptions) -> tuple[Any, Any]:
    transformers = require("transformers", extra="transformers")
    extra = {} if options.gguf_file is None else {"gguf_file": options.gguf_file}
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(options.model, **extra)
        config = transformers.AutoConfig.from_pretrained(options.model, **extra)
        kind = "AutoModelForSeq2SeqLM" if config.is_encoder_decoder else "AutoModelForCausalLM"
        model = getattr(transformers, kind).from_pretrained(options.model, dtype=torch.float32, **extra)
    except ModuleNotFoundError as error:
        raise UserError(
            f"transformers cannot import this model ({error}); where torchaudio is installed that may "
            "be why: pip uninstall -y torchaudio"
        ) from error
    except (OSError, ValueError) as error:
        raise UserError(f"model {options.model}: {error}") from error
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    if tokenizer.chat_template is None:
        tokenizer.chat_template = PLAIN_TEMPLATE
    return model, tokenizer


def _loss(options: FinetuneOptions, model: Any, train: Any, folder: Path) -> EurekaTrainerLoss | None:
    if options.loss == "cross_entropy":
        return None
    shared = {
        **options_of(options, Bonus).values(),
        **{name: getattr(options, name) for name in ("form", "start_epoch", "start_step")},
    }
    weights = options_of(options, EncouragementOptions)
    if options.encouragement == "one":
        return EurekaTrainerLoss.for_model(model, weights.scale, **shared)
    counted = count_targets(train, num_outputs(model), shift=shifts_labels(model))
    folder.mkdir(parents=True, exist_ok=True)
    counted.save(folder / "target_counts.safetensors")
    return EurekaTrainerLoss.from_target_counts(counted, model, **weights.values(), **shared)


@torch.inference_mode()
def _decode(trainer: Any, tokenizer: Any, options: FinetuneOptions, folder: Path) -> None:
    """Greedy replies to every conversation of a split, and what was said there."""
    model = trainer.accelerator.unwrap_model(trainer.model).eval()
    replies, references = [], []
    for row in load_split(options.data, str(options.decode_split)):
        *before, last = row["messages"]
        text = tokenizer.apply_chat_template(before, tokenize=False, add_generation_prompt=True)
        ids = tokenizer(text, add_special_tokens=False, return_tensors="pt")["input_ids"]
        ids = ids[:, -options.max_length :].to(model.device)
        output = model.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=options.max_new_tokens,
            do_sample=False,
            pad_token_id=tokenizer.pad_token_id,
        )[0]
        new = output if model.config.is_encoder_decoder else output[ids.shape[1] :]
        replies.append(" ".join(tokenizer.decode(new, skip_special_tokens=True).split()))
        references.append(" ".join(last["content"].split()))
    write_lines(folder / f"replies.{options.decode_split}.txt", replies)
    write_lines(folder / f"references.{options.decode_split}.txt", references)
    (folder / "decoding.json").write_text(
        json.dumps({"split": options.decode_split, "max_new_tokens": options.max_new_tokens}) + "\n"
    )
