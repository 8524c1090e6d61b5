"""The exchanges of a split as text files: tokens for fairseq, and readable text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from eureka_nlg.dialogue.exchanges import ContextOptions, exchanges
from eureka_nlg.dialogue.formats import Dialogue
from eureka_nlg.dialogue.tokenizers import Tokenizer, WordTokenizer, normalize

__all__ = ["CONTEXT", "REPLY", "SIDES", "SplitText"]

CONTEXT, REPLY = SIDES = ("context", "reply")  # fairseq's source and target language
# Folder of each side's readable text; replies are what decoded ones are compared with.
_READABLE = {CONTEXT: "contexts", REPLY: "references"}


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
        self, dialogues: Iterable[Dialogue], options: ContextOptions, lowercase: bool, both_sides: bool
    ) -> None:
        """Write every exchange of the dialogues, and count exchanges and tokens."""

        def tokenize(text: str) -> list[str]:
            return self.tokenizer.tokenize(normalize(text, lowercase))

        with ExitStack() as stack:
            files = {}
            for side in SIDES:
                paths = self.paths(side)
                for path in paths:
                    path.parent.mkdir(exist_ok=True)
                files[side] = [
                    stack.enter_context(open(path, "w", encoding="utf-8", newline="\n")) for path in paths
                ]
            for dialogue in dialogues:
                self.dialogues += 1
                for exchange in exchanges(dialogue, tokenize, options, both_sides):
                    self.exchanges += 1
                    for side, tokens in ((CONTEXT, exchange.context), (REPLY, exchange.reply)):
                        encoded, *readable = files[side]
                        encoded.write(" ".join(tokens) + "\n")
                        for file in readable:
                            file.write(self.tokenizer.detokenize(tokens) + "\n")
                        self.longest[side] = max(self.longest[side], len(tokens))
                        self.tokens.update(tokens)
