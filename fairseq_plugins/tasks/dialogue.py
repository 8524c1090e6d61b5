"""``--task dialogue``: the translation task, with replies decoded and scored at every validation."""

import logging
import time
from argparse import Namespace
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple, Optional

import numpy as np
import torch
from fairseq import utils
from fairseq.data import LanguagePairDataset, data_utils
from fairseq.distributed import utils as distributed_utils
from fairseq.logging import metrics
from fairseq.tasks import register_task
from fairseq.tasks.translation import TranslationConfig, TranslationTask
from omegaconf import II

from eureka_nlg.errors import UserError
from eureka_nlg.metrics import ReplyScores, score_replies
from eureka_nlg.metrics.replies.advice import UNSPACED
from eureka_nlg.text_files import TextFile
from eureka_nlg.units import unspaced_share
from fairseq_plugins.model_output import unwrapped
from fairseq_plugins.tasks.own_replies import OwnReplies, check_own_replies

__all__ = ["DialogueConfig", "DialogueTask"]

logger = logging.getLogger(__name__)

SCORES = ("macro_f", "micro_f", "diversity_4")
_SAMPLE_SEED = 1


# fairseq reads the types of the fields at run time, so annotations are not postponed and have no `int |
# None`.
@dataclass
class DialogueConfig(TranslationConfig):
    """Options of ``--task dialogue``: those of ``translation``, of validation, and of unlikelihood."""

    eval_replies: int = field(
        default=512,
        metadata={
            "help": "number of validation examples to decode for macro_f, micro_f and diversity_4, the same "
            "every time; 0 for none, -1 for all"
        },
    )
    eval_replies_beam: int = field(default=1, metadata={"help": "beam size of this decoding; 1 is greedy"})
    eval_replies_max_len: int = field(
        default=200, metadata={"help": "longest reply in tokens, the --max-len-b of fairseq-generate"}
    )
    sequence_unlikelihood: str = field(
        default="",
        metadata={
            "help": "in training, penalise what the model over-uses in its own replies: a comma-separated "
            "list of repetition (n-grams that the reply has before), context (n-grams of the context) and "
            "vocabulary (words that it has used more often than the training targets do)"
        },
    )
    sequence_unlikelihood_alpha: float = field(
        default=1.0, metadata={"help": "factor of this penalty, relative to the criterion's loss per token"}
    )
    sequence_unlikelihood_rate: float = field(
        default=0.5, metadata={"help": "share of the updates that decode replies for it"}
    )
    sequence_unlikelihood_ngram: int = field(
        default=4, metadata={"help": "length of the n-grams of repetition and context"}
    )
    sequence_unlikelihood_max_len: int = field(
        default=40, metadata={"help": "longest reply in tokens that is decoded for it"}
    )
    train_subset: str = II("dataset.train_subset")
    seed: int = II("common.seed")
    best_checkpoint_metric: str = II("checkpoint.best_checkpoint_metric")
    maximize_best_checkpoint_metric: bool = II("checkpoint.maximize_best_checkpoint_metric")


class _Split(NamedTuple):
    """A split that is about to be validated, and fairseq's limits of its batches."""

    dataset: LanguagePairDataset
    max_tokens: Optional[int]  # noqa: UP045
    max_sentences: Optional[int]  # noqa: UP045
    max_positions: Any
    ignore_invalid_inputs: bool


@register_task("dialogue", dataclass=DialogueConfig)
class DialogueTask(TranslationTask):
    """Translation from contexts to replies that logs macro F, micro F and 4-gram diversity on validation.

    Replies are decoded once per validation of a split, before its first batch, in separate batches. From
    validation batches, fairseq collects only sums of numbers, also between processes; macro F and diversity
    are not sums, and collecting other objects with fairseq needs a GPU. So each process decodes its share,
    and the replies are gathered once. Then all processes have the same scores, which the choice of the best
    checkpoint requires.

    Attributes:
        scores: percentages of the last decoding, under the names of ``eureka evaluate``.
    """

    def __init__(self, cfg: DialogueConfig, src_dict: Any, tgt_dict: Any) -> None:
        super().__init__(cfg, src_dict, tgt_dict)
        self.scores: dict[str, float] = {}
        self._to_decode: Optional[_Split] = None  # noqa: UP045
        self._own_replies = OwnReplies(cfg, self) if cfg.sequence_unlikelihood else None
        self._folder = Path(utils.split_paths(cfg.data)[0])  # validation data are in the first folder
        is_sentencepiece = (self._folder / "sentencepiece.model").is_file()
        self._post_process = "sentencepiece" if is_sentencepiece else None

    def begin_epoch(self, epoch: int, model: Any) -> None:
        """Check the options before the first batch; raises UserError."""
        super().begin_epoch(epoch, model)
        _check(self.cfg)
        if self._own_replies is not None:
            self._own_replies.check(model)

    def train_step(
        self,
        sample: dict[str, Any],
        model: Any,
        criterion: Any,
        optimizer: Any,
        update_num: int,
        *args: Any,
        **kwargs: Any,
    ) -> tuple[Any, Any, dict[str, Any]]:
        """Train on a batch and, in some updates, on the model's own replies to its contexts."""
        if self._own_replies is not None and self._own_replies.are_due(update_num):
            criterion = self._own_replies.beside(criterion)
        return super().train_step(sample, model, criterion, optimizer, update_num, *args, **kwargs)

    def get_batch_iterator(
        self,
        dataset: Any,
        max_tokens: Optional[int] = None,  # noqa: UP045
        max_sentences: Optional[int] = None,  # noqa: UP045
        max_positions: Any = None,
        ignore_invalid_inputs: bool = False,
        *args: Any,
        **kwargs: Any,
    ) -> Any:
        """See ``FairseqTask``; called at the start of every validation, it notes which split is validated."""
        limits = (max_tokens, max_sentences, max_positions, ignore_invalid_inputs)
        if self.cfg.eval_replies:
            self._to_decode = _Split(dataset, *limits)
        return super().get_batch_iterator(dataset, *limits, *args, **kwargs)

    def build_generator(
        self, models: Any, args: Any, seq_gen_cls: Any = None, *others: Any, **named: Any
    ) -> Any:
        """See ``FairseqTask``. A model that has a search of its own is searched with it."""
        if seq_gen_cls is None and not getattr(args, "print_alignment", False):
            seq_gen_cls = getattr(models[0], "search_class", None)
        return super().build_generator(models, args, seq_gen_cls, *others, **named)

    def valid_step(
        self, sample: dict[str, Any], model: Any, criterion: Any, **kwargs: Any
    ) -> tuple[Any, Any, dict[str, Any]]:
        """Validate a batch; before the first batch of a split, decode replies."""
        if self._to_decode is not None:
            self.scores = self._decode_and_score(model, self._to_decode)
            self._to_decode = None
        return super().valid_step(sample, model, criterion, **kwargs)

    def reduce_metrics(self, logging_outputs: list[dict[str, Any]], criterion: Any) -> None:
        """Log the values of the criterion and, on validation, the scores of the replies."""
        super().reduce_metrics(logging_outputs, criterion)
        if criterion.training and self._own_replies is not None:
            self._own_replies.log(logging_outputs)
        if not criterion.training:
            for name, score in self.scores.items():
                metrics.log_scalar(name, score, weight=0, round=4)  # weight 0: the latest value, no average

    def _decode_and_score(self, model: Any, split: _Split) -> dict[str, float]:
        start = time.monotonic()
        batches = self._batches(split)
        group = distributed_utils.get_data_parallel_group()
        rank, num_processes = 0, 1
        if group is not None:
            rank, num_processes = distributed_utils.get_rank(group), distributed_utils.get_world_size(group)
        references = self._references(split.dataset)
        generator = self.build_generator(
            [unwrapped(model)],
            Namespace(beam=self.cfg.eval_replies_beam, max_len_b=self.cfg.eval_replies_max_len),
        )
        replies: list[str] = []
        wanted: list[str] = []
        for indices in batches[rank::num_processes]:
            replies += self._replies(generator, split.dataset, indices)
            wanted += [references(index) for index in indices]
        if num_processes > 1:
            gathered: list[Any] = [None] * num_processes
            torch.distributed.all_gather_object(gathered, (replies, wanted), group=group)
            replies, wanted = (list(chain.from_iterable(texts)) for texts in zip(*gathered))
        found = score(replies, wanted)
        logger.info(
            f"decoded {len(replies):,} replies in {time.monotonic() - start:.1f} s; "
            f"macro_f is over {found.num_types:,} reference types ({found.signature['tokenisation']})"
        )
        return found.scores

    def _batches(self, split: _Split) -> list[Any]:
        """Indices of the examples to decode, the same in every process and at every validation.

        They are sorted by length and batched as in fairseq, but without ``--required-batch-size-multiple``,
        which may drop the last batch.
        """
        dataset, limits = split.dataset, (split.max_positions, split.ignore_invalid_inputs)
        with data_utils.numpy_seed(_SAMPLE_SEED):  # examples of equal length are shuffled
            indices = dataset.ordered_indices()
        if split.max_positions is not None:
            indices = self.filter_indices_by_size(indices, dataset, *limits)
        if 0 < self.cfg.eval_replies < len(indices):
            draw = np.random.default_rng(_SAMPLE_SEED)
            sample = draw.choice(len(dataset), size=len(dataset), replace=False)
            sample = sample[np.isin(sample, indices)][: self.cfg.eval_replies]
            indices = indices[np.isin(indices, sample)]
        return list(
            dataset.batch_by_size(indices, max_tokens=split.max_tokens, max_sentences=split.max_sentences)
        )

    def _replies(self, generator: Any, dataset: LanguagePairDataset, indices: Any) -> list[str]:
        batch = dataset.collater([dataset[index] for index in indices])
        parameter = next(generator.model.parameters())
        if parameter.is_cuda:
            batch = utils.move_to_cuda(batch, parameter.device)
        hypotheses = self.inference_step(generator, generator.model.models, batch)
        # collating sorts by length, and the references are in the order of the indices
        position = {number: row for row, number in enumerate(batch["id"].tolist())}
        return [self._text(hypotheses[position[index]][0]["tokens"]) for index in indices]

    def _references(self, dataset: LanguagePairDataset) -> Any:
        """Index of an example -> its reference, as originally written if ``eureka prepare`` has stored it."""
        name = next((name for name, known in self.datasets.items() if known is dataset), "")
        path = self._folder / "references" / f"{name}.txt"
        if not path.is_file():
            return lambda index: self._text(dataset[index]["target"], escape_unk=True)
        lines = list(TextFile(path, holds="one reference"))
        if len(lines) != len(dataset):
            raise UserError(
                f"{path}: {len(lines)} lines for the {len(dataset)} examples of the split {name}: "
                f"prepare {self._folder} again, or remove the file"
            )
        return lines.__getitem__

    def _text(self, tokens: torch.Tensor, escape_unk: bool = False) -> str:
        """Words of a reply without its end; an unknown word of a reference is escaped and never matches."""
        return self.tgt_dict.string(tokens.int().cpu(), self._post_process, escape_unk=escape_unk)


def score(replies: list[str], references: list[str]) -> ReplyScores:
    """The scores of a validation; of characters if the references are in a script without spaces."""
    share = unspaced_share("\n".join(references))
    return score_replies(
        replies, references, metrics=SCORES, unit="character" if share >= UNSPACED else "word"
    )


def _check(cfg: DialogueConfig) -> None:
    """Raise UserError, with the name on the command line, if an option has an invalid value."""
    if cfg.eval_replies < -1:
        raise UserError(f"--eval-replies {cfg.eval_replies}: expected a number, 0 for none or -1 for all")
    if cfg.eval_replies_beam < 1:
        raise UserError(f"--eval-replies-beam must be positive, got {cfg.eval_replies_beam}")
    if cfg.eval_replies_max_len < 1:
        raise UserError(f"--eval-replies-max-len must be positive, got {cfg.eval_replies_max_len}")
    if cfg.sequence_unlikelihood:
        check_own_replies(cfg)
    if cfg.best_checkpoint_metric in SCORES:
        given = f"--best-checkpoint-metric {cfg.best_checkpoint_metric}"
        if not cfg.maximize_best_checkpoint_metric:
            raise UserError(f"{given}: more is better, so give --maximize-best-checkpoint-metric as well")
        if cfg.eval_replies == 0:
            raise UserError(f"{given} needs decoded replies: give --eval-replies a number, or -1 for all")
