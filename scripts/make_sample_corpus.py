"""Write the bundled sample corpus: persona-style chit-chat in ParlAI text format, from a grammar.

    python scripts/make_sample_corpus.py --out data/sample

The same options give the same bytes on every Python from 3.10 on. This needs only the standard library and
this package.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from sample_corpus.dialogue import Dialogue, write_dialogue
from sample_corpus.grammar import Draw, read_topics

from eureka_nlg.errors import UserError
from eureka_nlg.files import write_whole

__all__ = ["main", "make_corpus"]

DIALOGUES = {"train": 600, "valid": 48, "test": 48}
TOPICS = Path(__file__).resolve().parent / "sample_corpus" / "topics"


def make_corpus(sizes: dict[str, int], seed: int) -> dict[str, list[Dialogue]]:
    """Dialogues of each split.

    Args:
        sizes: name of the split -> number of dialogues.
        seed: of the random choices.

    Returns:
        name of the split -> its dialogues. No two dialogues of the corpus have the same set of persona lines.
    """
    draw = Draw(seed)
    topics, common = read_topics(TOPICS)
    personas: set[frozenset[str]] = set()
    corpus: dict[str, list[Dialogue]] = {split: [] for split in sizes}
    for split, size in sizes.items():
        while len(corpus[split]) < size:
            dialogue = write_dialogue(draw, topics, common)
            if frozenset(dialogue.persona) not in personas:
                personas.add(frozenset(dialogue.persona))
                corpus[split].append(dialogue)
    return corpus


def describe(corpus: dict[str, list[Dialogue]]) -> str:
    """A few statistics of the corpus, one per line."""
    types = {split: _count_types(dialogues) for split, dialogues in corpus.items()}
    exchanges = {split: _exchanges(dialogues) for split, dialogues in corpus.items()}
    lines = [
        f"{split:<6}{len(corpus[split]):>6,} dialogues{len(exchanges[split]):>7,} exchanges"
        f"{sum(types[split].values()):>8,} tokens{len(types[split]):>7,} types"
        for split in corpus
    ]
    train = types["train"]
    reply_types = {word for _, reply in exchanges["train"] for word in reply.split()}
    rare = sum(count <= 5 for count in train.values())
    lines.append(f"types in all splits: {len(set().union(*types.values())):,}")
    lines.append(f"types in the training replies: {len(reply_types):,}")
    lines.append(f"training types that occur at most 5 times: {rare / len(train):.1%}")
    known = set(exchanges["train"])
    for split in ("valid", "test"):
        unknown = sum(count for word, count in types[split].items() if word not in train)
        unknown_share = unknown / sum(types[split].values())
        known_share = sum(exchange in known for exchange in exchanges[split]) / len(exchanges[split])
        lines.append(
            f"{split}: {unknown_share:.2%} of the tokens are unknown to train, "
            f"{known_share:.1%} of the exchanges are in train word for word"
        )
    return "\n".join(lines)


def _exchanges(dialogues: Sequence[Dialogue]) -> list[tuple[str, str]]:
    return [exchange for dialogue in dialogues for exchange in dialogue.exchanges]


def _count_types(dialogues: Sequence[Dialogue]) -> Counter[str]:
    texts = [line for dialogue in dialogues for line in dialogue.persona]
    texts += [text for exchange in _exchanges(dialogues) for text in exchange]
    return Counter(word for text in texts for word in text.split())


def write_corpus(corpus: dict[str, list[Dialogue]], folder: Path) -> None:
    """Write ``SPLIT.txt`` for every split; the old files stay as they are until all new ones are complete."""
    with contextlib.ExitStack() as files:
        for split, dialogues in corpus.items():
            file = files.enter_context(write_whole(folder / f"{split}.txt"))
            file.write("".join(dialogue.to_parlai() for dialogue in dialogues).encode("ascii"))
            file.flush()  # a full disk shows here, before any file takes its name


def main(argv: Sequence[str] | None = None) -> int:
    """Write the corpus, print its statistics, return the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--out", type=Path, required=True, help="folder for train.txt, valid.txt and test.txt"
    )
    parser.add_argument(
        "--seed", type=int, default=1, help="seed of all random choices (default: %(default)s)"
    )
    for split, size in DIALOGUES.items():
        parser.add_argument(
            f"--{split}-dialogues",
            type=_size,
            default=size,
            metavar="N",
            help=f"number of dialogues in {split}.txt (default: {size})",
            dest=split,
        )
    args = parser.parse_args(argv)
    corpus = make_corpus({split: getattr(args, split) for split in DIALOGUES}, args.seed)
    try:
        write_corpus(corpus, args.out)
    except UserError as error:
        print(f"{parser.prog}: error: {error}", file=sys.stderr)
        return 2
    print(describe(corpus))
    return 0


def _size(text: str) -> int:
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of dialogues, expected 1 or more")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
