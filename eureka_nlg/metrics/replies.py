"""All dialogue scores of one system in one pass over its replies, with what defines the numbers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from eureka_nlg import __version__
from eureka_nlg.metrics.bleu import BleuStatistics
from eureka_nlg.metrics.diversity import DiversityStatistics
from eureka_nlg.metrics.f_score import FStatistics, Types, check_types
from eureka_nlg.metrics.parlai import ParlaiF1Statistics
from eureka_nlg.metrics.text import Reply, paired_chunks
from eureka_nlg.metrics.tokens import Tokeniser

__all__ = ["ReplyScores", "score_replies"]


@dataclass(frozen=True)
class ReplyScores:
    """The scores of one system.

    Attributes:
        scores: ``macro_f``, ``micro_f``, ``parlai_f1``, ``diversity_<n>``, ``bleu``: percentages, 0 to 100.
        num_pairs: pairs of reply and reference.
        num_types: word types that macro F averages over.
        num_hypothesis_words, num_reference_words: words on either side.
        signature: everything that defines the numbers besides the text itself.
    """

    scores: dict[str, float]
    num_pairs: int
    num_types: int
    num_hypothesis_words: int
    num_reference_words: int
    signature: dict[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """What goes into JSON."""
        return {
            "scores": self.scores,
            "num_pairs": self.num_pairs,
            "num_types": self.num_types,
            "signature": self.signature,
        }


def score_replies(
    hypotheses: Iterable[Reply],
    references: Iterable[Reply],
    *,
    types: Types = "reference",
    vocabulary: Iterable[str] | None = None,
    lowercase: bool = False,
    n: int = 4,
    names: tuple[str, str] = ("hypotheses", "references"),
) -> ReplyScores:
    """Score the replies of one system, streaming: memory grows with distinct words and n-grams only.

    Args:
        hypotheses: replies of the system, strings (split on white space) or token sequences.
        references: as many references, in the same order.
        types: the word types macro F averages over; see :func:`eureka_nlg.metrics.f_scores`.
        vocabulary: word types, for ``types="vocabulary"``.
        lowercase: lower the case of replies, references and vocabulary first.
        n: words per n-gram of the diversity.
        names: what a message calls the two sides, for example the names of their files.

    Raises:
        UserError: unequal lengths, an unknown ``types``, or a vocabulary that is asked for and not given.
        MissingExtraError: sacrebleu is not installed.
    """
    check_types(types, vocabulary)
    tokenise = Tokeniser(lowercase)
    f, diversity = FStatistics(tokenise.words), DiversityStatistics(n, tokenise.words)
    parlai, bleu = ParlaiF1Statistics(), BleuStatistics(lowercase)
    for hypothesis_chunk, reference_chunk in paired_chunks(hypotheses, references, names):
        tokens = tokenise(hypothesis_chunk)
        f.update(tokens, tokenise(reference_chunk))
        diversity.update(tokens)
        parlai.update(hypothesis_chunk, reference_chunk)
        bleu.update(hypothesis_chunk, reference_chunk)
    if vocabulary is not None and lowercase:
        vocabulary = map(str.lower, vocabulary)
    f_scores = f.compute(types, vocabulary)
    return ReplyScores(
        scores={
            "macro_f": f_scores.macro,
            "micro_f": f_scores.micro,
            "parlai_f1": parlai.compute(),
            f"diversity_{n}": diversity.compute(),
            "bleu": bleu.compute(),
        },
        num_pairs=parlai.num_pairs,
        num_types=f_scores.num_types,
        num_hypothesis_words=f.num_hypothesis_words,
        num_reference_words=f.num_reference_words,
        signature={
            "types": types,
            "n": n,
            "tokenisation": "whitespace",
            "lowercase": lowercase,
            "parlai_f1": "lower case, no punctuation, no a/an/the",
            "sacrebleu": bleu.signature(),
            "eureka_nlg": __version__,
        },
    )
