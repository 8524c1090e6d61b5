"""A dialogue corpus to a fairseq data folder with a manifest: the work behind ``eureka prepare``."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eureka_nlg.dialogue.binarize import CONTEXT, REPLY, binarize, build_dictionary
from eureka_nlg.dialogue.corpus import load_dialogues
from eureka_nlg.dialogue.exchanges import ContextOptions, exchanges
from eureka_nlg.dialogue.files import new_folder
from eureka_nlg.dialogue.formats import Dialogue
from eureka_nlg.dialogue.tokenizers import Tokenizer, WordTokenizer

__all__ = ["prepare"]


def prepare(sources: Mapping[str, Sequence[Path]], out: Path, options: Any, overwrite: bool = False, workers: int = 1) -> dict:
    dialogues = load_dialogues(sources)
    tokenizer = WordTokenizer(options.lowercase)
    context_options = ContextOptions(options.history_turns, options.persona, options.speaker_tokens, options.max_context_tokens)
    manifest: dict[str, Any] = {}
    with new_folder(out, overwrite) as folder:
        for name in ("contexts", "references"):
            (folder / name).mkdir()
        text = folder / "text"
        text.mkdir()
        for split, dataset in dialogues.items():
            n = 0
            with open(text / f"{split}.context", "w") as c, open(text / f"{split}.reply", "w") as r:
                for dialogue in dataset:
                    for e in exchanges(dialogue, tokenizer.tokenize, context_options, options.both_sides and split == "train"):
                        c.write(" ".join(e.context) + "\n")
                        r.write(" ".join(e.reply) + "\n")
                        n += 1
            manifest[split] = n
        dictionary = build_dictionary(text, folder, options.min_count, workers)
        for split in dialogues:
            manifest[split] = {k: vars(v) for k, v in binarize(text, split, folder, dictionary, workers).items()}
            (text / f"{split}.context").rename(folder / "contexts" / f"{split}.txt")
            (text / f"{split}.reply").rename(folder / "references" / f"{split}.txt")
        text.rmdir()
        (folder / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n")
    return manifest
