"""Dialogue corpus -> fairseq data folder."""

from __future__ import annotations

import argparse
from pathlib import Path

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    for s in ("train", "valid", "test"):
        parser.add_argument(f"--{s}", nargs="+", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--history-turns", type=int)
    parser.add_argument("--max-context-tokens", type=int)
    parser.add_argument("--min-count", type=int, default=1)
    parser.add_argument("--workers", type=int, default=1)
    for b, d in (("persona", True), ("speaker-tokens", True), ("lowercase", True), ("both-sides", False), ("overwrite", False)):
        parser.add_argument(f"--{b}", action=argparse.BooleanOptionalAction, default=d)


def run(args: argparse.Namespace) -> int:
    from eureka_nlg.dialogue.prepare import prepare

    sources = {s: getattr(args, s) for s in ("train", "valid", "test") if getattr(args, s)}
    print(prepare(sources, args.out, args, args.overwrite, args.workers))
    return 0
