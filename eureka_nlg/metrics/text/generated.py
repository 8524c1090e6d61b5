"""Reading what fairseq-generate writes: its results file, or its redirected output."""

from __future__ import annotations

import re
from typing import NamedTuple

from eureka_nlg.errors import UserError
from eureka_nlg.text_files import PathLike, TextFile

__all__ = ["Generated", "read_generated"]

# S source, T reference, H hypothesis in the model's tokens, D hypothesis detokenised. All other lines are log
# output or not needed here: P scores per token, A alignment, I steps, E history.
_RECORD = re.compile(r"[STHD]-")
_FORM = {"S": "S-ID<TAB>SOURCE", "T": "T-ID<TAB>REFERENCE"}
_FORM |= {tag: f"{tag}-ID<TAB>SCORE<TAB>HYPOTHESIS" for tag in "HD"}


class Generated(NamedTuple):
    """The output of fairseq-generate, ordered by id, which is the position in the data set.

    Attributes:
        ids: id of each example, in ascending order.
        sources: the contexts, or None if the file has none.
        hypotheses: the best hypothesis of each example, detokenised if the file has that form.
        references: the references, or None if the file has none.
    """

    ids: list[int]
    sources: list[str] | None
    hypotheses: list[str]
    references: list[str] | None


def read_generated(path: PathLike | TextFile) -> Generated:
    """Read ``generate-SPLIT.txt`` (fairseq-generate ``--results-path``) or a log of its standard output.

    If an id has several hypotheses (``--nbest``), the first one is taken, which has the best score. D- lines
    are preferred to H- lines, since references are detokenised, too. fairseq-generate writes an unknown word
    as <unk> in hypotheses and as <<unk>> in references, so that it never matches.

    Args:
        path: the file.

    Raises:
        UserError: a record is malformed; an id has two sources or references, or lacks a hypothesis, source
            or reference that other ids have; or there is no hypothesis at all.
    """
    file = path if isinstance(path, TextFile) else TextFile(path, holds="one record of fairseq-generate")
    records: dict[str, dict[int, str]] = {tag: {} for tag in _FORM}
    for line in file:
        if not _RECORD.match(line):
            continue
        tag = line[0]
        identifier, text = _parse(line, f"{file.path}:{file.num_lines}")
        if tag in "ST" and identifier in records[tag]:
            raise UserError(
                f"{file.path}:{file.num_lines}: a second {tag}-{identifier}, expected the output of one run"
            )
        records[tag].setdefault(identifier, text)
    if not records["H"] and not records["D"]:
        raise UserError(
            f"{file.path}: no line starts with H- or D-, expected output of fairseq-generate without --quiet"
        )
    ids = sorted(set().union(*records.values()))

    def column(tag: str) -> list[str]:
        missing = next((identifier for identifier in ids if identifier not in records[tag]), None)
        if missing is not None:
            raise UserError(
                f"{file.path}: id {missing} has no {tag}- line, but other ids have one: "
                "the output was cut short, decode again"
            )
        return [records[tag][identifier] for identifier in ids]

    return Generated(
        ids,
        sources=column("S") if records["S"] else None,
        hypotheses=column("D" if records["D"] else "H"),
        references=column("T") if records["T"] else None,
    )


def _parse(line: str, where: str) -> tuple[int, str]:
    tag = line[0]
    head, *fields = line.split("\t", 1 if tag in "ST" else 2)
    try:
        if tag in "HD":
            float(fields[0])
        # int() alone would take "1_0" and " 1"
        if not head[2:].isdecimal() or len(fields) != (1 if tag in "ST" else 2):
            raise ValueError
        return int(head[2:]), fields[-1]
    except (ValueError, IndexError):
        raise UserError(f"{where}: malformed record {line[:40]!r}, expected {_FORM[tag]}") from None
