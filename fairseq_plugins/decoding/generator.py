"""fairseq's beam search for the project's dialogue model, without what fairseq does for all others."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from fairseq.search import BeamSearch
from fairseq.sequence_generator import SequenceGenerator
from torch import Tensor

from eureka_nlg.dialogue.logit_adjustment import AdjustedLikelihoods
from fairseq_plugins.decoding.decoder import PackedDecoder, StepwiseDecoder
from fairseq_plugins.kernels.native import MOST_WORDS, Rules, best_words, is_available
from fairseq_plugins.models.parallel_decoder import ParallelLSTMDecoder

__all__ = ["ReplyGenerator"]

Hypothesis = dict[str, Tensor]


class ReplyGenerator(SequenceGenerator):
    """Greedy and beam search as fairseq has them, the same replies in about half of the time or less.

    This serves one :class:`.ParallelLSTMDecoder` in float32 on the CPU, and plain beam search (with one beam
    it is greedy), where the kernels are compiled. Its hypotheses have no attention. fairseq's own code does
    the rest: sampling, constraints, prefixes, banned n-grams, several models, other decoders. Takes the
    arguments of fairseq's generator.
    """

    _packed: PackedDecoder | None = None

    def _generate(
        self,
        sample: dict[str, Any],
        prefix_tokens: Tensor | None = None,
        constraints: Tensor | None = None,
        bos_token: int | None = None,
    ) -> list[list[Hypothesis]]:
        """See fairseq's generator: for each sentence its hypotheses, best first."""
        if prefix_tokens is None and constraints is None and self._is_plain(sample):
            with torch.no_grad():
                found = _Search(self, sample["net_input"], self.eos if bos_token is None else bos_token).run()
            if found is not None:
                return found
        return super()._generate(sample, prefix_tokens, constraints, bos_token)

    def packed(self, decoder: ParallelLSTMDecoder) -> PackedDecoder:
        """The weights of the decoder, packed anew where they have changed since the last batch."""
        if self._packed is None or not self._packed.is_of(decoder):
            self._packed = PackedDecoder(decoder)
        return self._packed

    def _is_plain(self, sample: dict[str, Any]) -> bool:
        model = self.model.single_model
        decoder = getattr(model, "decoder", None)
        return (
            is_available()
            and self.model.models_size == 1
            and type(decoder) is ParallelLSTMDecoder
            and decoder.adaptive_softmax is None
            and decoder.embed_tokens.weight.dtype == torch.float32
            and decoder.embed_tokens.weight.device.type == "cpu"
            and _is_softmax(vars(model).get("get_normalized_probs"))
            and not any(getattr(module, "apply_during_inference", False) for module in model.modules())
            and not torch.is_autocast_enabled("cpu")
            and type(self.search) is BeamSearch
            and self.lm_model is None
            and self.repeat_ngram_blocker is None
            and self.token_indices_to_suppress is None
            and not self.match_source_len
            and not math.isnan(self.unk_penalty)
            # so that there are always as many words to go on with as there are beams
            and 2 * self.beam_size <= min(MOST_WORDS, self.vocab_size - 4)
            and "src_tokens" in sample["net_input"]
        )


def _is_softmax(replaced: Any) -> bool:
    """Whether likelihoods are the softmax of the logits, as they are or adjusted once."""
    return replaced is None or (isinstance(replaced, AdjustedLikelihoods) and replaced.of_own_softmax)


class _Search:
    """One batch. Rows are beams, those of a sentence together; sentences that are done are left out."""

    def __init__(self, generator: ReplyGenerator, net_input: dict[str, Any], start: int) -> None:
        self.generator = generator
        self.beams = generator.beam_size
        num_sentences, source_length = net_input["src_tokens"].shape
        longest = int(generator.max_len_a * source_length + generator.max_len_b)
        self.max_len = min(longest, generator.max_len - 1)
        assert generator.min_len <= self.max_len, (
            "min_len cannot be larger than max_len, please adjust these!"
        )
        model = generator.model.single_model
        self.adjusted: AdjustedLikelihoods | None = vars(model).get("get_normalized_probs")
        states, hidden, cell, padding = model.encoder.forward_torchscript(net_input)
        if model.decoder.encoder_hidden_proj is not None:
            hidden, cell = model.decoder.encoder_hidden_proj(hidden), model.decoder.encoder_cell_proj(cell)
        self.decoder = StepwiseDecoder(generator.packed(model.decoder), states, hidden, cell, padding)
        self.sentences = np.arange(num_sentences)  # which are left
        self.words = np.full(
            (num_sentences, self.max_len + 2), generator.pad
        )  # of each row, from the start on
        self.words[:, 0] = start
        self.scores = np.zeros((num_sentences, self.max_len + 2), np.float32)  # after each word
        self.found: list[list[Hypothesis]] = [[] for _ in range(num_sentences)]

    def run(self) -> list[list[Hypothesis]] | None:
        """The hypotheses; None where the model's logits are no distribution."""
        for step in range(self.max_len + 1):
            logits = self.decoder.step(torch.from_numpy(self.words[:, step].copy()))
            if self.generator.temperature != 1.0:
                logits.div_(self.generator.temperature)
            if self.adjusted is not None:
                self.adjusted.change_logits(logits)
            scores = self.scores[:, step].reshape(len(self.sentences), -1)
            best = best_words(logits, scores, 2 * self.beams, self._rules(step))
            if best is None:
                return None
            rows = best.beams + np.arange(len(self.sentences))[:, None] * scores.shape[1]
            is_end = (best.words == self.generator.eos) & (best.scores > -np.inf)
            self._keep_ended(step, rows, best.scores, is_end)
            if not self._go_on(step, rows, best.words, best.scores, is_end):
                break
        # fairseq's order, and of equal ones the first that was found
        return [sorted(found, key=lambda one: -one["score"].item()) for found in self.found]

    def _rules(self, step: int) -> Rules:
        generator = self.generator
        return Rules(
            generator.pad,
            generator.unk,
            generator.unk_penalty,
            banned=generator.eos if step < generator.min_len else -1,
            only=generator.eos if step >= self.max_len else -1,
        )

    def _keep_ended(self, step: int, rows: np.ndarray, scores: np.ndarray, is_end: np.ndarray) -> None:
        """Hypotheses that end among the best of their sentence, as many as there are beams."""
        generator = self.generator
        positions, places = np.nonzero(is_end[:, : self.beams])
        ended, totals = rows[positions, places], scores[positions, places]
        words = self.words[ended, 1 : step + 2]
        words[:, step] = generator.eos
        after = self.scores[ended, : step + 2]
        after[:, step + 1] = totals
        if generator.normalize_scores:
            totals = totals / np.float32((step + 1) ** generator.len_penalty)
        arrays = (words, totals, after[:, 1:] - after[:, :-1])
        for sentence, *parts in zip(self.sentences[positions].tolist(), *map(torch.from_numpy, arrays)):
            if len(self.found[sentence]) < self.beams:
                tokens, score, positional = parts
                nothing = torch.empty(0)
                self.found[sentence].append(
                    {
                        "tokens": tokens,
                        "score": score,
                        "attention": nothing,
                        "alignment": nothing,
                        "positional_scores": positional,
                    }
                )

    def _go_on(
        self, step: int, rows: np.ndarray, words: np.ndarray, scores: np.ndarray, is_end: np.ndarray
    ) -> bool:
        """Take the best that do not end to the next word; False if no sentence is left."""
        if step == self.max_len:
            return False
        is_left = np.array([len(self.found[sentence]) < self.beams for sentence in self.sentences])
        if not is_left.any():
            return False
        places = np.argsort(is_end, axis=1, kind="stable")[:, : self.beams]
        rows, words, scores = (
            np.take_along_axis(array, places, 1)[is_left].ravel() for array in (rows, words, scores)
        )
        if len(rows) != len(self.words) or (rows != np.arange(len(rows))).any():
            sentences = None if is_left.all() else torch.from_numpy(np.flatnonzero(is_left))
            self.decoder.reorder(torch.from_numpy(rows), sentences)
            self.words, self.scores = self.words[rows], self.scores[rows]
        self.sentences = self.sentences[is_left]
        self.words[:, step + 1] = words
        self.scores[:, step + 1] = scores
        return True
