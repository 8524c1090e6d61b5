"""Replies of a trained model, through fairseq-generate."""

from __future__ import annotations

import argparse
import os
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from eureka_nlg.dialogue.plugin import plugin_dir
from eureka_nlg.dialogue.quiet import quiet
from eureka_nlg.errors import UserError, require
from eureka_nlg.metrics.text.generated import Generated, read_generated

__all__ = ["Run", "find_checkpoint", "generate"]

# The progress bar stays; fairseq's log goes, which is at DEBUG if nobody sets up the logging before it.
_FAIRSEQ_GENERATE = """
import logging, runpy
logging.basicConfig(level=logging.WARNING)
runpy.run_module("fairseq_cli.generate", run_name="__main__")
"""


@dataclass(frozen=True)
class Run:
    """A trained model: its checkpoint, and the data folder and task it was trained on.

    Attributes:
        checkpoint: path of the checkpoint.
        data: fairseq data folder.
        task: arguments that choose fairseq's task and languages.
    """

    checkpoint: Path
    data: str
    task: tuple[str, ...]

    @classmethod
    def load(cls, run: str | os.PathLike[str], data: str | None = None) -> Run:
        """Find the checkpoint of a run and read from it what else is needed.

        Args:
            run: folder with checkpoints (the best is taken, else the last), or one checkpoint.
            data: data folder, where it is not the one of the training any more.

        Raises:
            UserError: no checkpoint, a file that is none, or a data folder that is not there.
        """
        checkpoint = find_checkpoint(run)
        task = _task_config(checkpoint)
        folder = data or str(task.get("data") or "")
        if not os.path.isdir(folder.split(os.pathsep)[0]):
            raise UserError(f"data folder {folder or 'of the training'}: not there; give --data DIR")
        arguments = ["--task", str(task.get("_name") or "translation")]
        for option in ("source_lang", "target_lang"):
            if task.get(option):
                arguments += ["--" + option.replace("_", "-"), str(task[option])]
        return cls(checkpoint, folder, tuple(arguments))

    def check_split(self, split: str) -> None:
        """Raise UserError if the data folder has no such split."""
        folder = self.data.split(os.pathsep)[0]
        if not any(name.startswith(f"{split}.") and name.endswith(".idx") for name in os.listdir(folder)):
            raise UserError(f"split {split}: not in the data folder {folder}")


def find_checkpoint(run: str | os.PathLike[str]) -> Path:
    """The checkpoint that a run stands for: the file itself, or the best, else the last of a folder.

    Raises:
        UserError: there is none.
    """
    path = Path(run)
    if path.is_file():
        return path
    if not path.is_dir():
        raise UserError(f"run {path}: not there; expected a folder that fairseq-train wrote, or a checkpoint")
    for name in ("checkpoint_best.pt", "checkpoint_last.pt"):
        if (path / name).is_file():
            return path / name
    raise UserError(
        f"run {path}: no checkpoint_best.pt or checkpoint_last.pt in it; was the training interrupted?"
    )


def generate(run: Run, split: str, options: Sequence[str] = ()) -> Generated:
    """Decode a split.

    Args:
        run: the model.
        split: name of the split in the data folder, such as ``"test"``.
        options: options of fairseq-generate (``--beam 5``, ``--sampling``, ``--no-repeat-ngram-size 3`` ...).

    Returns:
        One hypothesis for each example, in the order of the data.

    Raises:
        UserError: no such split, or fairseq-generate failed.
    """
    with tempfile.TemporaryDirectory() as folder:
        generated = read_generated(_fairseq_generate(run, split, options, folder))
    if generated.ids != list(range(_num_examples(run, split))):
        raise UserError(f"split {split}: fairseq-generate left examples out; check its options")
    return generated


def _fairseq_generate(run: Run, split: str, options: Sequence[str], folder: str) -> str:
    with quiet():
        require("fairseq", extra="fairseq")
    run.check_split(split)
    command = [sys.executable, "-c", _FAIRSEQ_GENERATE, run.data, "--path", str(run.checkpoint)]
    command += ["--user-dir", plugin_dir(), *run.task, "--gen-subset", split, "--results-path", folder]
    # fairseq's newer versions drop a last batch whose size is no multiple of this (8 unless told otherwise)
    command += ["--required-batch-size-multiple", "1"]
    if os.path.exists(os.path.join(run.data, "sentencepiece.model")):
        command += ["--post-process", "sentencepiece"]
    status = subprocess.call([*command, *options], env={**os.environ, "PYTHONWARNINGS": "ignore"})
    if status != 0:
        raise UserError(f"fairseq-generate failed with status {status}; what it said stands above")
    return os.path.join(folder, f"generate-{split}.txt")


def _num_examples(run: Run, split: str) -> int:
    with quiet():
        data_utils = require("fairseq.data.data_utils", extra="fairseq")
        index = min(Path(run.data).glob(f"{split}.*.idx"))
        return len(data_utils.load_indexed_dataset(str(index.with_suffix(""))))


def _task_config(checkpoint: Path) -> dict[str, Any]:
    try:
        with torch.serialization.safe_globals([argparse.Namespace]):
            state = torch.load(checkpoint, map_location="cpu", weights_only=True, mmap=True)
        config = state["cfg"]["task"]
        return dict(vars(config) if isinstance(config, argparse.Namespace) else config)
    except (RuntimeError, pickle.UnpicklingError, EOFError, KeyError, TypeError, ValueError) as error:
        raise UserError(f"{checkpoint}: not a checkpoint of fairseq ({type(error).__name__})") from error
