"""Turn a dialogue corpus into a data folder for fairseq-train.

SOURCE is a folder with files named train*, valid* (or val*, dev*) and perhaps test*; such files
themselves; a JSON file that holds all splits; the name of a data set on the Hugging Face hub; or
`convai2`, which is downloaded (a folder of that name is given as ./convai2). Instead, --train,
--valid and --test name the files of each split. The formats of ParlAI, DailyDialog, DialoGPT,
ShareGPT, PersonaChat, chat messages and many others are recognised, compressed or not:
docs/corpora.md.

    eureka prepare data/sample --out prepared
    eureka prepare --train a.txt b.txt --valid c.txt --out prepared --history-turns 3
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import shlex
import sys
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from eureka_nlg.bundled import find_bundled
from eureka_nlg.dialogue.formats import FILE_FORMATS
from eureka_nlg.dialogue.manifest import MANIFEST
from eureka_nlg.dialogue.messages import MESSAGES, check_options, prepare_messages
from eureka_nlg.dialogue.options import PrepareOptions, option_name
from eureka_nlg.dialogue.prepare import prepare
from eureka_nlg.dialogue.progress import Progress
from eureka_nlg.dialogue.sources import SPLITS, find_sources
from eureka_nlg.dialogue.workers import check_shared_memory
from eureka_nlg.errors import UserError
from eureka_nlg.files import new_folder

__all__ = ["ConfigFamily", "add_arguments", "configs_for", "run"]

FAIRSEQ = "fairseq"


class ConfigFamily(NamedTuple):
    """Configs that the suggested commands name.

    Attributes:
        folder: of the configs.
        names: of the baseline and of the model with the Eureka loss.
        batch: exchanges per batch of both.
    """

    folder: str
    names: tuple[str, ...]
    batch: int


_SAMPLE = "data/sample"
_OF_SAMPLE = ConfigFamily("configs/dialogue/sample", ("ce", "el"), 24)
# smaller than the paper's model, but one that uses its context on a small corpus: docs/results/convai2.md
_OF_OTHERS = ConfigFamily("configs/dialogue/convai2_small", ("ce", "el_capped"), 32)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``eureka prepare``; those of the data itself are the fields of ``PrepareOptions``."""
    parser.add_argument(
        "sources", nargs="*", metavar="SOURCE", help="corpus whose splits can be told by name"
    )
    for split in SPLITS:
        parser.add_argument(
            f"--{split}", nargs="+", default=[], metavar="FILE", help=f"files of the {split} split"
        )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="the folder to write")
    parser.add_argument(
        "--overwrite", action="store_true", help="replace the folder --out, once the new one is complete"
    )
    parser.add_argument(
        "--format",
        metavar="NAME",
        help=f"format of the files: {', '.join(FILE_FORMATS)} (default: detected for each file)",
    )
    parser.add_argument(
        "--format-out",
        choices=[FAIRSEQ, *MESSAGES],
        default=FAIRSEQ,
        help="what to write: binarised data for fairseq-train, or conversations as `messages`, which chat "
        "templates take, in JSON lines or parquet (default: %(default)s)",
    )
    parser.add_argument(
        "--cache-dir", type=Path, metavar="DIR", help="folder for downloads (default: the user's cache)"
    )
    parser.add_argument(
        "--workers",
        type=int,
        default=1,
        metavar="N",
        help="processes that tokenise and binarise (default: %(default)s)",
    )
    data = parser.add_argument_group("what the prepared data hold")
    types = typing.get_type_hints(PrepareOptions)
    for option in dataclasses.fields(PrepareOptions):
        settings: dict[str, Any] = {"default": option.default, "help": option.metadata["help"]}
        if types[option.name] is bool:
            settings["action"] = argparse.BooleanOptionalAction
        elif types[option.name] is str:
            settings["choices"] = option.metadata["choices"]
        else:
            settings |= {"type": int, "metavar": "N"}
        data.add_argument(option_name(option.name), **settings)
    data.add_argument(
        "--vectors",
        metavar="FILE",
        help="word vectors to begin with: a text file of GloVe or word2vec, or a name that torchtext knows",
    )
    data.add_argument(
        "--vector-dim", type=int, metavar="D", help="dimensions of the vectors (default: those of the file)"
    )


def run(args: argparse.Namespace) -> int:
    """Prepare, then show what came out and what to do with it."""
    if args.vector_dim is not None and args.vectors is None:
        raise UserError(f"--vector-dim {args.vector_dim}: needs --vectors FILE")
    options = PrepareOptions.from_values(vars(args))
    if args.format_out != FAIRSEQ:
        if args.vectors is not None:
            raise UserError(
                f"--vectors {args.vectors}: is for fairseq data, not for --format-out {args.format_out}"
            )
        check_options(options, args.format_out)
    if args.workers > 1:
        check_shared_memory(f"--workers {args.workers}", "--workers 1")
    explicit = {split: getattr(args, split) for split in SPLITS}
    progress = Progress(bar=sys.stderr.isatty(), tell=_tell)
    with new_folder(args.out, args.overwrite, MANIFEST) as folder:
        sources = find_sources(args.sources, explicit, args.format, args.cache_dir, warn=_tell)
        if args.format_out != FAIRSEQ:
            manifest = prepare_messages(
                sources, folder, options, args.format_out, progress=progress, tell=_tell
            )
        else:
            manifest = prepare(
                sources,
                folder,
                options,
                vectors=args.vectors,
                vector_dim=args.vector_dim,
                cache_dir=args.cache_dir,
                workers=args.workers,
                progress=progress,
                tell=_tell,
            )
    if "format_out" in manifest:
        print(_messages_summary(manifest, args.out))
    else:
        print(_summary(manifest, args.out, configs_for(args.sources)))
    return 0


def configs_for(sources: Sequence[str]) -> ConfigFamily:
    """The configs that fit a corpus."""
    is_sample = [find_bundled(source).resolve() for source in sources] == [find_bundled(_SAMPLE).resolve()]
    return _OF_SAMPLE if is_sample else _OF_OTHERS


def _tell(line: str) -> None:
    print(f"eureka prepare: {line}", file=sys.stderr)


def _summary(manifest: Mapping[str, Any], out: Path, family: ConfigFamily) -> str:
    row = "{:<8}{:>10}{:>11}{:>16}{:>9}{:>14}{:>9}".format
    lines = [row("split", "dialogues", "exchanges", "context tokens", "<unk> %", "reply tokens", "<unk> %")]
    for split, counts in manifest["splits"].items():
        numbers = [counts["dialogues"], counts["exchanges"]]
        sides = [
            text
            for side in (counts["context"], counts["reply"])
            for text in (f"{side['tokens']:,}", f"{100 * side['unknown_share']:.2f}")
        ]
        lines.append(row(split, *(f"{number:,}" for number in numbers), *sides))
    lines.append(f"vocabulary: {manifest['vocabulary']['size']:,} types")
    for split, parts in manifest["inputs"].items():
        if len(parts) > 1:
            lines.append(f"{split}: {len(parts)} files: {', '.join(part['name'] for part in parts)}")
    if "test" not in manifest["splits"]:
        lines.append(
            "note: no test split was given: give generate and report --split valid, analyse --splits valid"
        )
    if "vectors" in manifest:
        vectors = manifest["vectors"]
        lines.append(
            f"vectors: {vectors['width']} dimensions for {vectors['types']:,} types, "
            f"{100 * vectors['types_share']:.1f} % of the types and "
            f"{100 * vectors['tokens_share']:.1f} % of the training tokens"
        )
        if vectors["width"] < vectors["source_width"]:
            lines.append(
                f"vectors: reduced from {vectors['source_width']} dimensions, "
                f"{100 * vectors['explained_variance']:.1f} % of the variance kept"
            )
    updates = math.ceil(manifest["splits"]["train"]["exchanges"] / family.batch)
    plural = "s" if updates > 1 else ""
    lines.append(f"training: {updates:,} update{plural} an epoch in batches of {family.batch}")
    commands = _next_commands(manifest, out, family)
    lines += [f"wrote {out}", "", "next:", *(f"  {command}" for command in commands)]
    return "\n".join(lines)


def _messages_summary(manifest: Mapping[str, Any], out: Path) -> str:
    row = "{:<8}{:>10}{:>15}{:>11}  {}".format
    lines = [row("split", "dialogues", "conversations", "exchanges", "file")]
    for split, counts in manifest["splits"].items():
        numbers = [f"{counts[name]:,}" for name in ("dialogues", "conversations", "exchanges")]
        lines.append(row(split, *numbers, f"{split}{MESSAGES[manifest['format_out']]}"))
    following = f"eureka finetune configs/finetune/smollm2.yaml model=FOLDER {shlex.join([f'data={out}'])}"
    return "\n".join([*lines, f"wrote {out}", "", "next:", f"  {following}"])


def _next_commands(manifest: Mapping[str, Any], out: Path, family: ConfigFamily) -> list[str]:
    """Commands that train a baseline and a model with Eureka on the folder, in any working directory."""
    options = [f"data={out}"]
    if "vectors" in manifest:
        width = manifest["vectors"]["width"]
        options += [f"encoder_embed_path={out / 'vectors.txt'}"]
        options += [f"encoder_embed_dim={width}", f"encoder_hidden_size={width}"]
    return [
        shlex.join(
            ["eureka", "train", f"{family.folder}/{name}.yaml", *options, f"save_dir=runs/{out.name}/{name}"]
        )
        for name in family.names
    ]
