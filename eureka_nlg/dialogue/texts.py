"""The exchanges of a split as text files: tokens for fairseq, and readable text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from eureka_nlg.dialogue.exchanges import ContextOptions, exchanges
from eureka_nlg.dialogue.formats import Dialogue
from eureka_nlg.dialogue.tokenizers import Tokenizer, WordTokenizer, normalize
from eureka_nlg.dialogue.workers import mapped

__all__ = ["CONTEXT", "REPLY", "SIDES", "SplitText"]

CONTEXT, REPLY = SIDES = ("context", "reply")  # fairseq's source and target language
# Folder of each side's readable text; replies are what decoded ones are compared with.
_READABLE = {CONTEXT: "contexts", REPLY: "references"}
_TOGETHER = 128  # dialogues


@dataclass
class SplitText:
    """The text files of one split, and what was counted while they were written.

    Attributes:
        split: name of the split.
        folder: the folder to fill; readable text goes to ``contexts/`` and ``references/``.
        tokenizer: how utterances become tokens.
        work: folder for tokens that differ from the readable text.
        dialogues: number of dialogues read.
        exchanges: number of exchanges written, one per line.
        longest: side -> tokens of the longest line.
        tokens: how often each token was written, on either side.
    """

    split: str
    folder: Path
    tokenizer: Tokenizer
    work: Path
    dialogues: int = 0
    exchanges: int = 0
    longest: dict[str, int] = field(default_factory=lambda: dict.fromkeys(SIDES, 0))
    tokens: Counter[str] = field(default_factory=Counter)

    def paths(self, side: str) -> list[Path]:
        """The file of tokens, and the file of readable text if that is another one."""
        readable = self.folder / _READABLE[side] / f"{self.split}.txt"
        if isinstance(self.tokenizer, WordTokenizer):
            return [readable]
        return [self.work / f"{self.split}.{side}", readable]

    def write(
        self,
        dialogues: Iterable[Dialogue],
        options: ContextOptions,
        lowercase: bool,
        both_sides: bool,
        workers: int = 1,
    ) -> None:
        """Write every exchange of the dialogues, and count exchanges and tokens.

        Args:
            dialogues: of the split.
            options, both_sides: as for :func:`.exchanges`.
            lowercase: whether to convert text to lower case.
            workers: processes that tokenise; what is written does not depend on it.

        Raises:
            UserError: a process ended before its work was done.
        """
        lines = _LinesOf(self.tokenizer, options, lowercase, both_sides)
        with ExitStack() as stack:
            files = {}
            for side in SIDES:
                paths = self.paths(side)
                for path in paths:
                    path.parent.mkdir(exist_ok=True)
                files[side] = [
                    stack.enter_context(open(path, "w", encoding="utf-8", newline="\n")) for path in paths
                ]
            for found in stack.enter_context(mapped(lines, _batches(dialogues), workers)):
                self.dialogues += found.dialogues
                self.exchanges += found.exchanges
                for side in SIDES:
                    for file, text in zip(files[side], found.texts[side]):
                        file.write(text)
                    self.longest[side] = max(self.longest[side], found.longest[side])
                self.tokens.update(found.tokens)


def _batches(dialogues: Iterable[Dialogue]) -> Iterator[list[Dialogue]]:
    """Dialogues that are tokenised together, so that handing them over costs little."""
    iterator = iter(dialogues)
    while batch := list(islice(iterator, _TOGETHER)):
        yield batch


class _Lines(NamedTuple):
    """What becomes of some dialogues: for each side the lines of its files, and counts as in SplitText."""

    dialogues: int
    exchanges: int
    texts: dict[str, list[str]]
    longest: dict[str, int]
    tokens: Counter[str]


@dataclass(frozen=True)
class _LinesOf:
    """Turns dialogues into lines."""

    tokenizer: Tokenizer
    options: ContextOptions
    lowercase: bool
    both_sides: bool

    def _tokens(self, text: str) -> list[str]:
        return self.tokenizer.tokenize(normalize(text, self.lowercase))

    def __call__(self, dialogues: Sequence[Dialogue]) -> _Lines:
        found: dict[str, list[list[str]]] = {side: [] for side in SIDES}
        tokens = Counter[str]()
        for dialogue in dialogues:
            for exchange in exchanges(dialogue, self._tokens, self.options, self.both_sides):
                for side, words in ((CONTEXT, exchange.context), (REPLY, exchange.reply)):
                    found[side].append(words)
                    tokens.update(words)
        is_readable = isinstance(self.tokenizer, WordTokenizer)
        ways = (" ".join,) if is_readable else (" ".join, self.tokenizer.detokenize)
        return _Lines(
            len(dialogues),
            len(found[REPLY]),
            {side: ["".join(f"{join(line)}\n" for line in found[side]) for join in ways] for side in SIDES},
            {side: max(map(len, found[side]), default=0) for side in SIDES},
            tokens,
        )
