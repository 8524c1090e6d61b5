"""``manifest.json``, which says what a prepared folder holds and how it was made."""

from __future__ import annotations

import importlib.metadata
import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import eureka_nlg
from eureka_nlg.dialogue.corpus import Dialogues
from eureka_nlg.dialogue.formats import HUB, Findings, Source
from eureka_nlg.files import sha256

__all__ = ["MANIFEST", "provenance", "read_corpus", "tell_findings", "write_manifest"]

MANIFEST = "manifest.json"


def read_corpus(sources: Mapping[str, Sequence[Source]], skip_bad: bool) -> dict[str, Dialogues]:
    """The dialogues of each split, streamed."""
    return {split: Dialogues(parts, Findings(skip_bad)) for split, parts in sources.items()}


def tell_findings(dialogues: Dialogues, tell: Callable[[str], object]) -> None:
    """Tell the user which entries were skipped, and which were read in a way that is worth knowing."""
    findings = dialogues.findings
    for what, (count, first) in findings.notes.items():
        others = f" and {count - 1:,} more" if count > 1 else ""
        tell(f"note: {first}{others}: {what}")
    if findings.num_bad:
        entries = "bad entry was" if findings.num_bad == 1 else "bad entries were"
        tell(f"note: {findings.num_bad:,} {entries} skipped:")
        for message in findings.bad:
            tell(f"  {message}")
        if findings.num_bad > len(findings.bad):
            tell("  ...")


def provenance(sources: Mapping[str, Sequence[Source]], **versions: str) -> dict[str, Any]:
    """The part of a manifest that names the inputs and the versions of the software."""
    if any(part.format == HUB for parts in sources.values() for part in parts):
        versions["datasets"] = importlib.metadata.version("datasets")
    return {
        "versions": {"eureka_nlg": eureka_nlg.__version__, **versions},
        "inputs": {split: [_fingerprint(part) for part in parts] for split, parts in sources.items()},
    }


def write_manifest(manifest: Mapping[str, Any], folder: Path) -> None:
    """Write ``manifest.json``."""
    with open(folder / MANIFEST, "w", encoding="utf-8", newline="\n") as file:
        file.write(json.dumps(manifest, indent=2, ensure_ascii=False) + "\n")


def _fingerprint(source: Source) -> dict[str, Any]:
    if source.format == HUB:
        return {"name": source.location, "format": source.format, "split": source.split}
    entry = _file_fingerprint(source.location, source.format)
    return (
        entry
        if source.partner is None
        else {**entry, "replies": _file_fingerprint(source.partner, source.format)}
    )


def _file_fingerprint(file: str, format: str) -> dict[str, Any]:
    return {
        "name": os.path.basename(file),
        "format": format,
        "sha256": sha256(Path(file)),
        "bytes": os.path.getsize(file),
    }
