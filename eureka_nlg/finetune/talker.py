"""A Hugging Face model that answers messages, and scores the likelihood of answers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch

from eureka_nlg.finetune.conversations import Messages, examples_of, ids_of
from eureka_nlg.finetune.model import LoadedModel
from eureka_nlg.finetune.open_rows import can_continue, generate_open_rows
from eureka_nlg.finetune.shared_prompts import cache_of, chains

__all__ = ["ScoredTokens", "TransformersTalker"]

_TOKENS_AT_ONCE = 8192  # in a batch that is decoded, including padding


class ScoredTokens(NamedTuple):
    """Tokens of replies and their likelihoods, given the tokens before them.

    Attributes:
        ids: [N] int64.
        log_likelihoods: [N] float32, natural logarithms of the probabilities.
        correct: [N] bool, whether the model gives no other token a higher probability.
    """

    ids: torch.Tensor
    log_likelihoods: torch.Tensor
    correct: torch.Tensor


class TransformersTalker:
    """A loaded model that decodes and scores.

    Args:
        loaded: model and tokenizer.
    """

    def __init__(self, loaded: LoadedModel) -> None:
        self.loaded = loaded
        self._keeps_all = not loaded.is_encoder_decoder  # until the model's cache says otherwise

    @torch.inference_mode()
    def replies(
        self, conversations: Sequence[Messages], seed: int | None = None, **options: Any
    ) -> list[list[tuple[str, float]]]:
        """Decode replies.

        Args:
            conversations: the messages of each; the model replies to the last one.
            seed: of the sampling.
            **options: of ``generate``: ``num_beams``, ``num_return_sequences``, ``max_new_tokens`` ...

        Returns:
            For each conversation ``num_return_sequences`` replies, the best first, each with its score: mean
            log-likelihood of a token, in nats, after the length penalty; NaN without a search.
        """
        model, tokenizer = self.loaded.model, self.loaded.tokenizer
        room = int(options["max_new_tokens"])
        prompts = [self.prompt(messages, room) for messages in conversations]
        number, beams = int(options.get("num_return_sequences", 1)), int(options.get("num_beams", 1))
        shares = number == beams == 1 and self._keeps_all
        groups = [[each] for each in range(len(prompts))]
        if shares:
            groups = chains(prompts, _TOKENS_AT_ONCE)
        found: dict[int, list[tuple[str, float]]] = {}
        for batch in _batches([(len(group), len(prompts[group[-1]])) for group in groups], beams):
            chosen = [each for group in batch for each in groups[group]]
            inputs = self._padded([prompts[each] for each in chosen])
            if shares and self._keeps_all and len(chosen) > len(batch):
                chained = [[prompts[each] for each in groups[group]] for group in batch]
                cache = cache_of(model, chained, tokenizer.pad_token_id)
                self._keeps_all = cache is not None
                if cache is not None:
                    inputs[cache.name] = cache.values
            new, values = self._generated(inputs, seed, beams > 1, shares, options)
            texts = [" ".join(text.split()) for text in tokenizer.batch_decode(new, skip_special_tokens=True)]
            for place, each in enumerate(chosen):
                part = slice(place * number, (place + 1) * number)
                found[each] = list(zip(texts[part], values[part]))
        return [found[each] for each in range(len(prompts))]

    def _generated(
        self, inputs: dict[str, Any], seed: int | None, searched: bool, shares: bool, options: dict[str, Any]
    ) -> tuple[Any, list[float]]:
        """The new tokens of each reply to a batch, and their scores."""
        model = self.loaded.model
        if shares and self._keeps_all and len(inputs["input_ids"]) > 1 and can_continue(options):
            _seed(seed)
            found = generate_open_rows(model, dict(inputs), **options)
            if found is not None:
                return found, [float("nan")] * len(found)
            self._keeps_all = False
        _seed(seed)
        output = model.generate(**inputs, return_dict_in_generate=True, output_scores=searched, **options)
        new = output.sequences
        if not self.loaded.is_encoder_decoder:
            new = new[:, inputs["input_ids"].shape[1] :]
        scores = getattr(output, "sequences_scores", None)
        return new, [float("nan")] * len(new) if scores is None else scores.tolist()

    def prompt(self, messages: Messages, room: int = 0) -> list[int]:
        """Token ids that the model reads; the oldest messages are left out if there are too many.

        Args:
            messages: a conversation.
            room: number of tokens to leave room for, those of the reply.
        """
        longest = self.loaded.longest_prompt(room)
        system = [message for message in messages[:1] if message["role"] == "system"]
        said = messages[len(system) :]
        for start in range(max(len(said), 1)):
            if start and said[start]["role"] == "assistant":
                continue  # many templates demand that the user begins
            ids = ids_of(self.loaded.tokenizer, [*system, *said[start:]], True)
            if len(ids) <= longest:
                return ids
        return ids[-longest:]

    @torch.inference_mode()
    def score(self, messages: Messages, last_only: bool = False) -> ScoredTokens:
        """The likelihoods of the assistant's messages and their ends.

        Args:
            messages: a conversation.
            last_only: score only the last message, which is the assistant's.
        """
        loaded = self.loaded
        examples = examples_of(messages, loaded.tokenizer, loaded.is_encoder_decoder, loaded.max_length)
        parts = [self._score(example) for example in (examples[-1:] if last_only else examples)]
        if not parts:
            nothing = torch.zeros(0)
            return ScoredTokens(nothing.long(), nothing, nothing.bool())
        scored = ScoredTokens(*map(torch.cat, zip(*parts)))
        if last_only and not loaded.is_encoder_decoder:
            before = ids_of(loaded.tokenizer, messages[:-1], True)
            after = ids_of(loaded.tokenizer, messages, False)
            return ScoredTokens(*(part[-(len(after) - len(before)) :] for part in scored))
        return scored

    def _score(self, example: dict[str, list[int]]) -> ScoredTokens:
        model = self.loaded.model
        inputs = torch.tensor([example["input_ids"]], device=model.device)
        labels = torch.tensor(example["labels"], device=model.device)
        if self.loaded.is_encoder_decoder:
            logits = model(input_ids=inputs, labels=labels[None]).logits[0]
        else:
            logits, labels = model(input_ids=inputs).logits[0, :-1], labels[1:]
        counts = labels != -100
        logits, labels = logits[counts].float(), labels[counts]
        scores = torch.log_softmax(logits, dim=-1)
        return ScoredTokens(
            labels.cpu(),
            scores.gather(-1, labels[:, None]).squeeze(-1).cpu(),
            (scores.argmax(-1) == labels).cpu(),
        )

    def _padded(self, prompts: Sequence[list[int]]) -> dict[str, Any]:
        """Pad prompts: on the left for a decoder, which continues them on the right, else on the right."""
        longest, padding = max(map(len, prompts)), self.loaded.tokenizer.pad_token_id
        ids = torch.full((len(prompts), longest), padding)
        attended = torch.zeros_like(ids)
        for row, prompt in enumerate(prompts):
            left_out = longest - len(prompt)
            place = slice(len(prompt)) if self.loaded.is_encoder_decoder else slice(left_out, longest)
            ids[row, place] = torch.tensor(prompt)
            attended[row, place] = 1
        device = self.loaded.model.device
        return {"input_ids": ids.to(device), "attention_mask": attended.to(device)}


def _seed(seed: int | None) -> None:
    if seed is not None:
        torch.manual_seed(seed)


def _batches(groups: Sequence[tuple[int, int]], beams: int) -> Iterator[list[int]]:
    """Batches of groups of prompts of about equal lengths, the longest first.

    Args:
        groups: number of prompts and length of the longest, of each group.
        beams: number of beams that each prompt becomes.
    """
    batch: list[int] = []
    rows = longest = 0
    for group in sorted(range(len(groups)), key=lambda each: -groups[each][1]):
        number, length = groups[group]
        if batch and (rows + number) * longest * beams > _TOKENS_AT_ONCE:
            yield batch
            batch, rows = [], 0
        longest = longest if batch else length
        batch.append(group)
        rows += number
    if batch:
        yield batch
