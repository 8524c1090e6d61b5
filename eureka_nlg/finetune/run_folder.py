"""The folder of a fine-tuning: where its weights are, and how they were trained."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from eureka_nlg import __version__
from eureka_nlg.errors import UserError, require
from eureka_nlg.files import read_json, write_json
from eureka_nlg.finetune.options import FinetuneOptions
from eureka_nlg.shapes_of_json import ANY, TEXT, WHOLE, each, misfit

__all__ = [
    *("RECORD", "TRAINER_STATE", "FinetuneFolder", "is_model_folder", "last_whole_checkpoint"),
    "check_record",
    "steps_done",
    "write_record",
]

RECORD = "finetune.json"
TRAINER_STATE = "trainer_state.json"
_ADAPTER = "adapter_config.json"
# those of transformers' TrainingArguments that decide the result
_ARGUMENTS = (
    *("learning_rate", "lr_scheduler_type", "warmup_steps", "weight_decay", "optim", "max_grad_norm"),
    *("num_train_epochs", "max_steps", "per_device_train_batch_size", "gradient_accumulation_steps"),
    *("seed", "data_seed", "bf16", "fp16", "gradient_checkpointing", "world_size", "label_smoothing_factor"),
)
# what may change when a training goes on: its length, how it is divided and computed, what is decoded
_FREE = frozenset(
    {
        *("num_train_epochs", "max_steps", "per_device_train_batch_size", "gradient_accumulation_steps"),
        *("bf16", "fp16", "gradient_checkpointing", "world_size", "fused", "decode_split", "max_new_tokens"),
    }
)


def check_record(options: FinetuneOptions, arguments: Any) -> None:
    """Refuse to go on in a folder whose training has other options.

    Raises:
        UserError: options that decide the result differ.
    """
    folder = Path(arguments.output_dir)
    before = _record(folder)
    if not before or not (_checkpoints(folder) or FinetuneFolder(folder).weights):
        return  # nothing was trained yet; target_counts.safetensors are no weights
    now = _made_record(options, arguments)
    changed = [
        f"{name} ({old!r} there, {now[section][name]!r} now)"
        for section in ("options", "arguments")
        for name, old in before.get(section, {}).items()
        if name not in _FREE and name in now[section] and now[section][name] != old
    ]
    if changed:
        raise UserError(
            f"{folder}: holds a training with other options: {', '.join(changed)}; give another output_dir, "
            "or remove the folder"
        )


def write_record(options: FinetuneOptions, arguments: Any) -> None:
    """Record in the folder what is trained there, and how."""
    write_json(Path(arguments.output_dir) / RECORD, _made_record(options, arguments))


def _made_record(options: FinetuneOptions, arguments: Any) -> dict[str, Any]:
    values = {name: getattr(arguments, name, None) for name in _ARGUMENTS}
    return {
        # absolute, so that it is found from any working directory
        "options": {**asdict(options), "data": os.path.abspath(options.data)},
        "arguments": {name: getattr(value, "value", value) for name, value in values.items()},
        "versions": {
            "eureka_nlg": __version__,
            **{name: require(name, extra="transformers").__version__ for name in ("transformers", "torch")},
        },
    }


def last_whole_checkpoint(folder: Path, remove_others: bool = False) -> Path | None:
    """The last complete checkpoint of the Trainer; None if there is none.

    The Trainer writes its state last. A kill or a full disk leaves a checkpoint without it, from which a
    training cannot go on.

    Args:
        folder: of the fine-tuning.
        remove_others: remove incomplete checkpoints.
    """
    whole = []
    for path in _checkpoints(folder):
        try:
            state = read_json(path / TRAINER_STATE)
        except UserError:
            state = None
        if isinstance(state, dict) and "global_step" in state:
            whole.append(path)
        elif remove_others:
            shutil.rmtree(path, ignore_errors=True)
    return whole[-1] if whole else None


def steps_done(checkpoint: Path) -> int:
    """Steps of the optimiser before a checkpoint of the Trainer, read from its name."""
    return int(checkpoint.name.partition("-")[2])


def _checkpoints(folder: Path) -> list[Path]:
    """Checkpoints of the Trainer, the first one first."""
    found = (path for path in folder.glob("checkpoint-*") if re.fullmatch(r"checkpoint-\d+", path.name))
    return sorted(found, key=steps_done)


def is_model_folder(path: str | os.PathLike[str]) -> bool:
    """Whether a folder holds a Hugging Face model, adapters, or a run of ``eureka finetune``."""
    folder = Path(path)
    return any((folder / name).is_file() for name in ("config.json", _ADAPTER, RECORD))


@dataclass(frozen=True)
class FinetuneFolder:
    """A trained model, or any other model in a folder.

    Attributes:
        folder: the folder of the weights; for a training that did not end, its last ``checkpoint-N``.
        record: what :func:`write_record` wrote; empty for any other model.
    """

    folder: Path
    record: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def find(cls, path: str | os.PathLike[str]) -> FinetuneFolder:
        """The folder itself, or its last checkpoint.

        Raises:
            UserError: no weights, or only pickled ones.
        """
        folder = Path(path)
        for candidate in (folder, *reversed(_checkpoints(folder))):
            if cls(candidate).weights:
                return cls(candidate, _record(folder) or _record(folder.parent))
        if any(folder.glob("*.bin")):
            raise UserError(
                f"run {folder}: its weights are pickled (*.bin), which can hold code; expected "
                "*.safetensors, as save_pretrained writes"
            )
        raise UserError(
            f"run {folder}: no *.safetensors in it or in its checkpoints; was the training interrupted?"
        )

    @property
    def weights(self) -> tuple[Path, ...]:
        """The files of the weights, or of the adapters."""
        pattern = "adapter_model*.safetensors" if self.is_adapter else "model*.safetensors"
        return tuple(sorted(self.folder.glob(pattern)))

    @property
    def is_adapter(self) -> bool:
        """Whether these are LoRA adapters on another model."""
        return (self.folder / _ADAPTER).is_file()

    @property
    def base(self) -> str:
        """The model that adapters were trained on, by name or folder."""
        return str(
            _shaped(self.folder / _ADAPTER, {"base_model_name_or_path": TEXT})["base_model_name_or_path"]
        )

    def option(self, name: str, default: Any = None) -> Any:
        """An option of the fine-tuning."""
        return self.record.get("options", {}).get(name, default)


def _record(folder: Path) -> dict[str, Any]:
    path = folder / RECORD
    if not path.is_file():
        return {}
    return _shaped(
        path,
        {"options": {"data?": TEXT, "max_length?": WHOLE}, "arguments?": each(ANY), "versions?": each(TEXT)},
    )


def _shaped(path: Path, shape: Mapping[str, Any]) -> dict[str, Any]:
    content = read_json(path)
    wrong = misfit(content, shape)
    if wrong:
        raise UserError(f"{path}: {wrong}; expected it as `eureka finetune` writes it")
    return dict(content)
