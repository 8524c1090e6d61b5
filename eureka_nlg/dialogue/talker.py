"""A fairseq model in this process that replies to text that a user types."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import torch

from eureka_nlg.dialogue.fairseq_options import parse_options
from eureka_nlg.dialogue.generation import Run
from eureka_nlg.dialogue.loaded import load_model
from eureka_nlg.dialogue.ngram_block import ngram_block_mended
from eureka_nlg.dialogue.no_code import no_code
from eureka_nlg.dialogue.own_text import Preparation
from eureka_nlg.dialogue.plugin import plugin_dir
from eureka_nlg.dialogue.quiet import quiet
from eureka_nlg.dialogue.tokenizers import WordTokenizer
from eureka_nlg.errors import UserError

__all__ = ["Hypothesis", "FairseqTalker"]

_AT_ONCE = 32

Hypothesis = tuple[str, float]
"""A reply as tokens separated by spaces, and its score: mean log-likelihood of a token, in nats, after the
length penalty."""


class FairseqTalker:
    """A model with its dictionaries, and the preparation of its text.

    Args:
        run: the model; its data folder must come from ``eureka prepare``, so that it says how text is
            prepared.
        cpu: run on the CPU even if there is a GPU.

    Attributes:
        preparation: how typed text becomes tokens.

    Raises:
        UserError: a data folder that does not come from ``eureka prepare`` or does not fit the model.
    """

    def __init__(self, run: Run, cpu: bool = False) -> None:
        self.preparation = Preparation.of(run.folders)
        self._run = run
        self._loaded = load_model(run, cpu)
        task = self._loaded.task
        self._source, self._target = task.source_dictionary, task.target_dictionary
        self._is_sentencepiece = (run.folders.first / "sentencepiece.model").is_file()

    def is_known(self, token: str) -> bool:
        """Whether a token is in the model's source dictionary."""
        return bool(self._source.index(token) != self._source.unk())

    def context(self, turns: Sequence[str], persona: Sequence[str] = ()) -> list[str]:
        """Tokens that the model reads; the oldest are cut off where there are more than it takes."""
        tokens = self.preparation.context(turns, persona, self.is_known)
        return tokens[-(self._longest(0) - 1) :]

    def replies(self, contexts: Sequence[list[str]], options: Sequence[str]) -> list[list[Hypothesis]]:
        """Decode.

        Args:
            contexts: the tokens of each context.
            options: options of fairseq-generate.

        Returns:
            For each context ``--nbest`` replies, the best first.

        Raises:
            UserError: an option that fairseq-generate does not take.
        """
        arguments = [self._run.data, "--path", str(self._run.checkpoint), *self._run.task]
        args = parse_options("generate", [*arguments, "--user-dir", plugin_dir(), *options], plugin_dir())
        task, device = self._loaded.task, self._loaded.device
        post_process = "sentencepiece" if self._is_sentencepiece else args.post_process
        found: dict[int, list[Hypothesis]] = {}
        seed = None if args.no_seed_provided else args.seed
        model, adjustment = self._loaded.model, self._run.adjustment
        adjusting = nullcontext() if adjustment is None else adjustment.of_model(model, args.temperature)
        with (
            quiet(),
            no_code(),
            ngram_block_mended(),
            _seeded(seed, device),
            torch.inference_mode(),
            adjusting,
        ):
            try:
                search = getattr(model, "search_class", None)  # of the plug-in's models
                generator = task.build_generator([model], args, search)
                for batch in self._batches(contexts, args.batch_size or _AT_ONCE):
                    output = task.inference_step(generator, [self._loaded.model], batch)
                    for number, hypotheses in zip(batch["id"].tolist(), output):
                        found[number] = [
                            (
                                self._target.string(hypothesis["tokens"].int().cpu(), post_process),
                                float(hypothesis["score"]),
                            )
                            for hypothesis in hypotheses[: args.nbest]
                        ]
            except (AssertionError, ValueError) as error:
                if isinstance(error, UserError):
                    raise
                raise UserError(f"fairseq-generate: {error}") from error
        return [found[number] for number in range(len(contexts))]

    @torch.inference_mode()
    def likelihoods(self, context: list[str], reply: str) -> list[tuple[str, float]]:
        """The likelihood of each token of a reply.

        Args:
            context: tokens of the context.
            reply: text as :meth:`replies` gives it.

        Returns:
            Each token of the reply and its end, ``</s>``, with the natural logarithm of its probability.
        """
        from fairseq import utils

        are_words = isinstance(self.preparation.tokenizer, WordTokenizer)
        tokens = reply.split() if are_words else self.preparation.tokenize(reply)
        target = self._ids(self._target, tokens[: self._longest(1) - 1])
        (batch,) = self._batches([context], 1)
        shifted = torch.cat([target[-1:], target[:-1]])[None].to(self._loaded.device)  # as fairseq trains
        inputs = utils.move_to_cuda(batch) if self._loaded.device.type == "cuda" else batch
        model = self._loaded.model
        output = model(**inputs["net_input"], prev_output_tokens=shifted)
        scores = model.get_normalized_probs(output, log_probs=True, sample=inputs)[0]
        found = scores.gather(-1, target.to(scores.device)[:, None]).squeeze(-1)
        return list(zip([self._target[number] for number in target.tolist()], found.tolist()))

    def _batches(self, contexts: Sequence[list[str]], size: int) -> Iterator[dict[str, Any]]:
        from fairseq import utils

        encoded = [self._ids(self._source, context) for context in contexts]
        lengths = torch.tensor([len(ids) for ids in encoded])
        dataset = self._loaded.task.build_dataset_for_inference(encoded, lengths)
        order = sorted(range(len(encoded)), key=lambda number: -len(encoded[number]))
        for start in range(0, len(order), size):
            batch = dataset.collater([dataset[number] for number in order[start : start + size]])
            batch["net_input"].pop("prev_output_tokens", None)
            yield utils.move_to_cuda(batch) if self._loaded.device.type == "cuda" else batch

    def _longest(self, side: int) -> int:
        from fairseq.utils import resolve_max_positions

        model, task = self._loaded.model, self._loaded.task
        return int(resolve_max_positions(task.max_positions(), model.max_positions())[side])

    @staticmethod
    def _ids(dictionary: Any, tokens: list[str]) -> torch.Tensor:
        return torch.tensor([*map(dictionary.index, tokens), dictionary.eos()])


@contextmanager
def _seeded(seed: int | None, device: torch.device) -> Iterator[None]:
    """Seed the random numbers inside the block, if a seed is given; afterwards they are as before."""
    if seed is None:
        yield
        return
    with torch.random.fork_rng([torch.cuda.current_device()] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield
