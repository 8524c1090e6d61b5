"""From a dialogue corpus to a fairseq data folder with a manifest: the work behind ``eureka prepare``."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from eureka_nlg.dialogue.binarize import SideCounts, binarize, build_dictionary
from eureka_nlg.dialogue.exchanges import RESERVED
from eureka_nlg.dialogue.formats import Dialogue, Source
from eureka_nlg.dialogue.manifest import provenance, read_corpus, tell_findings, write_manifest
from eureka_nlg.dialogue.options import PrepareOptions
from eureka_nlg.dialogue.progress import Progress
from eureka_nlg.dialogue.texts import CONTEXT, REPLY, SIDES, SplitText
from eureka_nlg.dialogue.tokenizers import (
    SentencePieceTokenizer,
    Tokenizer,
    WordTokenizer,
    character_tokenizer,
    nltk_tokenizer,
    normalize,
    train_sentencepiece,
)
from eureka_nlg.dialogue.unit import CHARACTER, WORD, Blanks
from eureka_nlg.dialogue.vectors import check_vectors, write_vectors
from eureka_nlg.errors import UserError, require
from eureka_nlg.limits import MOST_WORKERS

__all__ = ["prepare", "tokenizer_of"]

SENTENCEPIECE_MODEL = "sentencepiece.model"


def prepare(
    sources: Mapping[str, Sequence[Source]],
    folder: Path,
    options: PrepareOptions,
    *,
    vectors: str | None = None,
    vector_dim: int | None = None,
    cache_dir: Path | None = None,
    workers: int = 1,
    progress: Progress | None = None,
    tell: Callable[[str], object] = lambda line: None,
) -> dict[str, Any]:
    """Fill a folder with fairseq data, reference and context texts and a manifest.

    Memory holds the vocabulary, never the corpus. The same input and options give the same bytes, regardless
    of the folder and the number of workers.

    Args:
        sources: split -> its parts, from ``find_sources``.
        folder: an empty folder; ``new_folder`` makes one that appears only when it is whole.
        options: how contexts, tokens and dictionary are made.
        vectors: file or torchtext name of word vectors to write as ``vectors.txt``.
        vector_dim: dimensions of these vectors; None for those of the source.
        cache_dir: where torchtext keeps its downloads.
        workers: number of processes that tokenise and binarise.
        progress: shows how far the work is.
        tell: called with lines about entries that were skipped, or read in a way that is worth knowing.

    Returns:
        The content of ``manifest.json``.

    Raises:
        UserError: malformed input, by file and line; a split without any exchange; an option for messages;
            see ``write_vectors``.
    """
    if not 1 <= workers <= MOST_WORKERS:
        raise UserError(f"--workers {workers}: expected a number from 1 to {MOST_WORKERS:,}")
    if options.detokenize:
        raise UserError("--detokenize: is for --format-out messages; data for fairseq are split into tokens")
    if vectors is not None:
        check_vectors(vectors, vector_dim)
    progress = progress or Progress()
    corpus = read_corpus(sources, options.skip_bad)
    work = folder / "work"
    work.mkdir()
    pieces = options.tokenizer == "sentencepiece"
    sentences: dict[str, int] | None = None
    if pieces:
        dialogues = progress.over(corpus["train"], "read train", "dialogues")
        sentences = _train_sentencepiece(dialogues, options, work, folder / SENTENCEPIECE_MODEL, progress)
    tokenizer = tokenizer_of(options, folder)

    texts = {split: SplitText(split, folder, tokenizer, work) for split in corpus}
    for split, text in texts.items():
        both_sides = options.both_sides and split == "train"
        dialogues = progress.over(corpus[split], split, "dialogues")
        text.write(dialogues, options.context, options.lowercase, both_sides, workers)
        if not text.exchanges:
            locations = ", ".join(part.location for part in sources[split])
            raise UserError(
                f"{locations}: no exchange for the split {split}; a dialogue needs a turn and a reply"
            )

    blanks = Blanks(texts["train"].tokens, pieces)
    unit = CHARACTER if options.tokenizer == "char" or not blanks.part_words else WORD
    dictionary = build_dictionary(texts["train"].tokens, folder, options.min_count)
    coverage = None
    if vectors is not None:
        words = zip(dictionary.symbols[dictionary.nspecial :], dictionary.count[dictionary.nspecial :])
        occurring = {word: count for word, count in words if count and word not in RESERVED}
        total = sum(count for word, count in texts["train"].tokens.items() if word not in RESERVED)
        coverage = write_vectors(
            vectors, occurring, folder / "vectors.txt", vector_dim, total=total, cache_dir=cache_dir
        )
    counts = {
        (split, side): binarize(
            texts[split].paths(side)[0], dictionary, folder / f"{split}.{CONTEXT}-{REPLY}.{side}", workers
        )
        for split, side in progress.over(
            [(split, side) for split in texts for side in SIDES], "binarise", "files"
        )
    }
    shutil.rmtree(work)

    manifest = {
        **provenance(sources, fairseq=require("fairseq", extra="fairseq").__version__),
        "options": asdict(options),
        "unit": unit,
        "vocabulary": {"size": len(dictionary), "types_in_training": len(texts["train"].tokens)},
        "splits": {
            split: {
                "dialogues": text.dialogues,
                "exchanges": text.exchanges,
                **({"skipped": corpus[split].findings.num_bad} if options.skip_bad else {}),
                **{side: _side_summary(counts[split, side], text.longest[side]) for side in SIDES},
            }
            for split, text in texts.items()
        },
    }
    if coverage is not None:
        manifest["vectors"] = asdict(coverage)
    if sentences is not None:
        manifest["sentencepiece"] = sentences
        if sentences["used"] < sentences["sentences"]:
            tell(
                f"note: SentencePiece was trained on {sentences['used']:,} equally spaced sentences of "
                f"{sentences['sentences']:,}, and has a piece for every character of the others"
            )
    if not blanks.part_words and not pieces and options.tokenizer != "char":
        tell(
            f"warning: the text has {blanks.characters_per_word:.0f} characters between two spaces, so that "
            "whole sentences count as words: use --tokenizer char or --tokenizer sentencepiece"
        )
    write_manifest(manifest, folder)
    for split_dialogues in corpus.values():
        tell_findings(split_dialogues, tell)
    return manifest


def tokenizer_of(options: PrepareOptions, folder: Path) -> Tokenizer:
    """The tokenizer of a prepared folder, which holds the SentencePiece model if one is used."""
    if options.tokenizer == "sentencepiece":
        return SentencePieceTokenizer(folder / SENTENCEPIECE_MODEL)
    return _WORDS[options.tokenizer]()


_WORDS: dict[str, Callable[[], Tokenizer]] = {
    "whitespace": WordTokenizer,
    "nltk": nltk_tokenizer,
    "char": character_tokenizer,
}


def _train_sentencepiece(
    dialogues: Iterable[Dialogue], options: PrepareOptions, work: Path, model: Path, progress: Progress
) -> dict[str, int]:
    """Train the model on every persona sentence and every turn, once each; count all and those it used."""
    sentences, count = work / "sentences", 0
    with open(sentences, "w", encoding="utf-8", newline="\n") as file:
        for dialogue in dialogues:
            for sentence in (*dialogue["persona"], *dialogue["partner_persona"], *dialogue["turns"]):
                if sentence:
                    file.write(normalize(sentence, options.lowercase) + "\n")
                    count += 1
    assert options.vocab_size is not None  # PrepareOptions sees to it
    progress.line(f"train SentencePiece on {count:,} sentences")
    return {"sentences": count, "used": train_sentencepiece(sentences, count, options.vocab_size, model)}


def _side_summary(counts: SideCounts, longest: int) -> dict[str, Any]:
    return {
        "tokens": counts.tokens,
        "mean_length": round(counts.tokens / counts.sentences, 4),
        "longest": longest,
        "unknown_share": round(counts.unknown / counts.tokens, 6),
    }
