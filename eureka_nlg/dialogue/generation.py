"""Decode replies of a trained model with fairseq-generate."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

from eureka_nlg.dialogue.checkpoint import read_checkpoint
from eureka_nlg.dialogue.fairseq_options import parse_options
from eureka_nlg.dialogue.logit_adjustment import TRAINED_WITH_IT, LogitAdjustment
from eureka_nlg.dialogue.ngram_block import ngram_block_mended
from eureka_nlg.dialogue.no_code import check_options, no_code
from eureka_nlg.dialogue.plugin import plugin_dir
from eureka_nlg.dialogue.quiet import quiet
from eureka_nlg.dialogue.run_data import RunData
from eureka_nlg.errors import UserError, require
from eureka_nlg.metrics.text.generated import Generated, read_generated

__all__ = ["Run", "find_checkpoint", "generate", "other_data_error"]


# Options of the task in training that decide what the model reads, with fairseq's defaults.
_OF_TASK = {
    "source_lang": None,
    "target_lang": None,
    "truncate_source": False,
    "max_source_positions": 1024,
    "max_target_positions": 1024,
}
_TOO_LONG = "Size of sample #"


@dataclass(frozen=True)
class Run:
    """A trained model: its checkpoint, and the data and task it was trained on.

    Attributes:
        checkpoint: path of the checkpoint.
        data: fairseq's data folder, or several with ``:`` between them.
        task: arguments that choose fairseq's task and languages.
        criterion: name of the criterion that it was trained with; empty if the checkpoint does not say.
        adjustment: logit adjustment that decoding uses; None for none.
    """

    checkpoint: Path
    data: str
    task: tuple[str, ...]
    criterion: str = ""
    adjustment: LogitAdjustment | None = None

    @classmethod
    def load(cls, run: str | os.PathLike[str], data: str | None = None) -> Run:
        """Find the checkpoint of a run, and read its data folder and task from it.

        Args:
            run: folder with checkpoints (the best is taken, else the last), or one checkpoint.
            data: data folder; None for the one that the model was trained on.

        Raises:
            UserError: no checkpoint, a file that is not a checkpoint, or a data folder that does not exist.
        """
        checkpoint = find_checkpoint(run)
        sections = read_checkpoint(checkpoint).sections
        for options in sections.values():
            check_options(options, f"{checkpoint}: option ")
        task = sections.get("task")
        if not task:
            raise UserError(f"{checkpoint}: not a checkpoint of fairseq-train: it has no 'task'")
        folders = RunData.find(data or str(task.get("data") or ""))
        # `dialogue` is `translation` with this project's search, which is fairseq's in less time
        name = str(task.get("_name") or "translation")
        arguments = ["--task", "dialogue" if name == "translation" else name]
        for option, default in _OF_TASK.items():
            value = task.get(option)
            if value and value != default:
                name = "--" + option.replace("_", "-")
                arguments += [name] if value is True else [name, str(value)]
        criterion = str(sections.get("criterion", {}).get("_name") or "")
        return cls(checkpoint, str(folders), tuple(arguments), criterion)

    @property
    def folders(self) -> RunData:
        """The data folders."""
        return RunData.find(self.data)

    def adjusted(self, tau: float, again: bool = False) -> Run:
        """The same model with logit adjustment, by the counts of the training targets in its data folders.

        Args:
            tau: factor of the log-frequencies.
            again: adjust even a model that was trained with logit adjustment.

        Raises:
            UserError: the model was trained with logit adjustment and ``again`` is false, a bad tau, or data
                folders without training targets.
        """
        if self.criterion == TRAINED_WITH_IT and not again:
            raise UserError(
                f"{self.checkpoint}: was trained with logit adjustment, so its logits are already adjusted: "
                "leave --logit-adjustment out; `eureka generate --adjust-again` adjusts them all the same"
            )
        return replace(self, adjustment=LogitAdjustment(tau, self.folders.target_counts()))

    def check_split(self, split: str) -> None:
        """Raise UserError if the data have no such split."""
        self.folders.check_split(split)


def find_checkpoint(run: str | os.PathLike[str]) -> Path:
    """The checkpoint of a run: the given file, or the best checkpoint of a folder, or else its last one.

    Raises:
        UserError: there is none.
    """
    path = Path(run)
    if path.is_file():
        return path
    if not path.is_dir():
        raise UserError(
            f"run {path}: does not exist; expected a folder that fairseq-train wrote, or a checkpoint"
        )
    for name in ("checkpoint_best.pt", "checkpoint_last.pt"):
        if (path / name).is_file():
            return path / name
    if (path / "checkpoint.pt").is_file() or (path / "evaluation.json").is_file():
        raise UserError(f"run {path}: is a run of `eureka vision`, expected one of fairseq-train")
    raise UserError(
        f"run {path}: no checkpoint_best.pt or checkpoint_last.pt in it; was the training interrupted?"
    )


def generate(run: Run, split: str, options: Sequence[str] = ()) -> Generated:
    """Decode a split.

    Args:
        run: the model.
        split: name of the split in the data folder, such as ``"test"``. The training split of several data
            folders is decoded folder by folder.
        options: options of fairseq-generate (``--beam 5``, ``--sampling``, ``--no-repeat-ngram-size 3`` ...).

    Returns:
        One hypothesis for each example, in the order of the data.

    Raises:
        UserError: no such split, or an option that fairseq-generate does not take.
    """
    run.check_split(split)
    parts = [_generate(run, folder, split, options) for folder in run.folders.of_split(split)]
    hypotheses = [text for part in parts for text in part.hypotheses]
    return Generated(
        list(range(len(hypotheses))),
        _joined([part.sources for part in parts]),
        hypotheses,
        _joined([part.references for part in parts]),
    )


def _joined(parts: Sequence[list[str] | None]) -> list[str] | None:
    texts = [part for part in parts if part is not None]
    return [text for part in texts for text in part] if len(texts) == len(parts) else None


def other_data_error(run: Run, error: RuntimeError) -> UserError | None:
    """The error for a model that does not fit the dictionaries of its data; None for any other error."""
    if "size mismatch" not in str(error):
        return None
    return UserError(
        f"{run.checkpoint}: its dictionaries are not those of the data folder {run.data}: "
        "give the folder of the training, --data DIR"
    )


def _generate(run: Run, folder: Path, split: str, options: Sequence[str]) -> Generated:
    arguments = [str(folder), "--path", str(run.checkpoint), "--user-dir", plugin_dir(), *run.task]
    # fairseq's newer versions drop a last batch whose size is no multiple of this (8 unless told otherwise)
    arguments += ["--gen-subset", split, "--required-batch-size-multiple", "1", "--num-workers", "0"]
    if (run.folders.first / "sentencepiece.model").exists():
        arguments += ["--post-process", "sentencepiece"]
    with tempfile.TemporaryDirectory() as results:
        arguments += ["--results-path", results, *options]
        args = parse_options("generate", arguments, plugin_dir())
        adjusting = nullcontext() if run.adjustment is None else run.adjustment.of_loaded(args.temperature)
        with quiet(), no_code(), ngram_block_mended(), adjusting:
            main = require("fairseq_cli.generate", extra="fairseq").main
            try:
                main(args)
            except (AssertionError, RuntimeError, ValueError) as error:
                if isinstance(error, UserError):
                    raise
                known = other_data_error(run, error) if isinstance(error, RuntimeError) else None
                raise known or UserError(f"fairseq-generate: {error}") from error
            except Exception as error:  # fairseq raises this class itself
                if _TOO_LONG not in str(error):
                    raise
                raise UserError(
                    f"split {split}: an example is longer than the model was trained to read "
                    f"({str(error).partition(', skip')[0]}): prepare the data with --max-context-tokens, or "
                    "train with truncate_source=true"
                ) from error
        generated = read_generated(os.path.join(results, f"generate-{split}.txt"))
    if generated.ids != list(range(_num_examples(folder, split))):
        raise UserError(f"split {split}: fairseq-generate skipped examples; check its options")
    return generated


def _num_examples(folder: Path, split: str) -> int:
    with quiet():
        data_utils = require("fairseq.data.data_utils", extra="fairseq")
        index = min(folder.glob(f"{split}.*.idx"))
        return len(data_utils.load_indexed_dataset(str(index.with_suffix(""))))
