"""Find out which kind of run a path is."""

from __future__ import annotations

import os
from pathlib import Path

from eureka_nlg.errors import UserError
from eureka_nlg.finetune.run_folder import is_model_folder
from eureka_nlg.runs.base import Run
from eureka_nlg.runs.fairseq_run import FairseqRun
from eureka_nlg.runs.transformers_run import TransformersRun

__all__ = ["load_run"]


def load_run(path: str | os.PathLike[str], data: str | None = None) -> Run:
    """The run of fairseq-train, or the Hugging Face model, at a path.

    Args:
        path: folder of a training, a checkpoint of fairseq, or folder of a model.
        data: its data folder; None for the one that it was trained on.

    Raises:
        UserError: there is neither.
    """
    if is_model_folder(path):
        return TransformersRun(path, data)
    if Path(path).is_file() and Path(path).suffix in (".safetensors", ".gguf"):
        raise UserError(f"run {path}: is a file of weights; give its folder, which has config and tokenizer")
    return FairseqRun(path, data)
