"""The options of ``eureka finetune``: its own, and all of transformers' ``TrainingArguments``."""

from __future__ import annotations

import difflib
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NoReturn

from eureka_nlg.errors import UserError, require
from eureka_nlg.frequency import EncouragementOptions
from eureka_nlg.integrations.token_loss import SAFE_NORMALIZATION
from eureka_nlg.limits import check_seed
from eureka_nlg.losses.bonus import CAPPED, Bonus
from eureka_nlg.losses.objectives import SCALAR_LOSSES
from eureka_nlg.losses.options import options_of, with_options_of
from eureka_nlg.option_files import read_options
from eureka_nlg.options import BadOption, Options

__all__ = ["FinetuneOptions", "read_finetune_config"]

LOSS_NAMES = ("eureka", *SCALAR_LOSSES)
LOSS_OPTIONS: tuple[type[Options], ...] = (EncouragementOptions, Bonus, *SCALAR_LOSSES.values())
if TYPE_CHECKING:
    LossName = str
else:
    LossName = Literal[LOSS_NAMES]


def _help(text: str) -> dict[str, str]:
    return {"help": text}


# HfArgumentParser reads the types of the fields.
@dataclass
@with_options_of(
    *LOSS_OPTIONS,
    defaults={"encouragement_normalization": SAFE_NORMALIZATION, **CAPPED},
    without=("encouragement_measure",),
)
class FinetuneOptions:
    """The options that transformers' Trainer does not have.

    Raises:
        BadOption: an invalid value of an option of the loss.
    """

    model: str = field(metadata=_help("name on the hub or folder of a causal or encoder-decoder model"))
    data: str = field(
        metadata=_help("folder of `eureka prepare --format-out messages`, or of such JSONL files")
    )
    gguf_file: str | None = field(
        default=None, metadata=_help("name of the GGUF file in the folder that holds the model")
    )
    max_length: int = field(
        default=512, metadata=_help("tokens of a conversation at most; the oldest are cut off")
    )
    lora_rank: int = field(
        default=0, metadata=_help("rank of LoRA adapters on all linear layers; 0 trains all weights")
    )
    lora_alpha: int = field(default=16, metadata=_help("scale of the LoRA adapters"))
    loss: LossName = field(
        default="eureka", metadata=_help("the training loss; all but eureka are without a reward")
    )
    encouragement: Literal["counts", "one"] = field(
        default="counts", metadata=_help("weight of the bonus: by the training targets' counts, or one")
    )
    form: Literal["capped", "paper"] = field(
        default="capped", metadata=_help("capped: a bonus with a bounded slope; paper: the exact loss")
    )
    start_epoch: int | None = field(
        default=None, metadata=_help("first epoch with the reward, counted from 1; cross-entropy before")
    )
    start_step: int | None = field(
        default=None, metadata=_help("first step with the reward, counted from 1; cross-entropy before")
    )
    fused: bool = field(
        default=True, metadata=_help("compute the loss in the output layer, without holding the logits")
    )
    decode_split: str | None = field(
        default=None, metadata=_help("decode this split after the training, and write replies and references")
    )
    max_new_tokens: int = field(default=64, metadata=_help("longest reply when decoding"))

    def __post_init__(self) -> None:
        for options in LOSS_OPTIONS:
            options_of(self, options)
        cap = options_of(self, Bonus).likelihood_cap
        if self.form == "paper" and cap not in (None, CAPPED["likelihood_cap"]):
            raise BadOption("likelihood_cap", "left out with form=paper, which has no cap", cap)


def read_finetune_config(
    path: str | os.PathLike[str], overrides: Sequence[str] = ()
) -> tuple[FinetuneOptions, Any]:
    """Read a flat YAML file of options, and replace those that are given as ``key=value``.

    Returns:
        Our options, and transformers' ``TrainingArguments``.

    Raises:
        UserError: no such file, an unknown option or a bad value.
    """
    transformers = require("transformers", extra="transformers")
    given = read_options(
        path,
        overrides,
        extra="transformers",
        examples="configs/finetune",
        override_example="num_train_epochs=2",
    )
    parser = transformers.HfArgumentParser((FinetuneOptions, transformers.TrainingArguments))
    parser.error = _refuse
    known = {option[2:] for action in parser._actions for option in action.option_strings}
    arguments: list[str] = []
    for key, (value, where) in given.items():
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            nearest = f"; did you mean {near[0]}?" if near else ""
            raise UserError(
                f"{where}: unknown option {key} (with transformers {transformers.__version__}){nearest}"
            )
        if value is None:
            continue
        if value is False and key.endswith("_strategy"):
            value = "no"  # YAML reads this word as false
        values = value if isinstance(value, list) else [value]
        # "=" because a value may begin with a dash
        arguments += [f"--{key}={values[0]}"] if len(values) == 1 else [f"--{key}", *map(str, values)]
    try:
        options, training = parser.parse_args_into_dataclasses(arguments)
    except (ValueError, ImportError) as error:
        raise UserError(f"config {path}: {error}") from error
    for name in ("seed", "data_seed"):
        if (seed := getattr(training, name)) is not None:
            check_seed(name, seed)
    return options, training


def _refuse(message: str) -> NoReturn:
    raise UserError(message)
