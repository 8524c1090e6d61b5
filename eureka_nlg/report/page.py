"""Render a report as one self-contained HTML page, with SVG, CSS, script and replies inside."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import eureka_nlg
from eureka_nlg.errors import require
from eureka_nlg.files import write_text
from eureka_nlg.metrics.replies.parlai_f1 import ParlaiF1
from eureka_nlg.metrics.replies.setting import Metric, Setting
from eureka_nlg.metrics.text.pairs import Pairs
from eureka_nlg.page import LOOK
from eureka_nlg.report.model import ImageReport, Report
from eureka_nlg.report.outcome import outcome
from eureka_nlg.report.sections import Drawing, drawings
from eureka_nlg.report.tables import group_table, training_table
from eureka_nlg.report.theme import inline_svg, write_figure

__all__ = ["render", "write_page", "write_figures"]

_TEMPLATES = Path(__file__).parent / "templates"
_SCRIPTS = ((LOOK, "theme.js"), (_TEMPLATES, "report.js"))


@dataclass(frozen=True)
class _Figure:
    """A figure in the page, drawn for a wide and for a narrow screen."""

    name: str
    title: str
    caption: str
    wide: str
    narrow: str
    half: bool


def render(report: Report) -> str:
    """The page as HTML that loads nothing else.

    Raises:
        MissingExtraError: jinja2 or matplotlib is not installed.
    """
    jinja2 = require("jinja2", extra="report")
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader([_TEMPLATES, LOOK]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.policies["json.dumps_kwargs"] = {"ensure_ascii": False, "separators": (",", ":")}
    environment.filters["number"] = _number
    environment.filters["shown"] = _shown
    environment.filters["json"] = _json
    figures: dict[str, list[_Figure]] = {}
    for drawing in drawings(report):
        figures.setdefault(drawing.section, []).append(_inline(drawing))
    template = "images.html" if isinstance(report, ImageReport) else "report.html"
    # The content security policy of the page allows this script only, should any data get past the escaping.
    script = "\n".join((folder / name).read_text(encoding="utf-8") for folder, name in _SCRIPTS)
    page: str = environment.get_template(template).render(
        report=report,
        version=eureka_nlg.__version__,
        script=script,
        script_sha256=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        markup=jinja2.utils.markupsafe.Markup,
        figures=figures,
        training=training_table(report),
        groups=group_table(report),
        options=_options(report),
        replies=replies_data(report),
        outcome=outcome(report),
    )
    return page


def write_page(report: Report, path: str | os.PathLike[str]) -> None:
    """Render the page into a file, whole or not at all."""
    write_text(path, render(report))


def write_figures(report: Report, folder: str | os.PathLike[str]) -> list[Path]:
    """Write every figure of the page as SVG and PNG; return the paths."""
    return [
        path
        for drawing in drawings(report)
        for path in write_figure(drawing.draw(title=drawing.title), folder, drawing.name)
    ]


def replies_data(report: Report) -> dict[str, Any]:
    """The data that the script of the page shows and searches.

    Returns:
        ``names``, those of the systems; ``rows``, each with context, reference and replies; ``f1``, the
        ParlAI F1 (%) of each reply; ``copies``, how often the system gave that reply; ``rare``, word ->
        training count; and ``unseen``, the words that are not in the training data.
    """
    replies = [system.replies for system in report.systems]
    copies = [Counter(texts) for texts in replies]
    words = {word for texts in (report.references, *replies) for text in texts for word in text.split()}
    rare, unseen = {}, []
    if report.rare is not None:
        rare = {word: report.rare.counts[word] for word in sorted(words) if word in report.rare.counts}
        unseen = sorted(word for word in words if word not in report.rare.known and not _is_mark(word))
    return {
        "names": [system.name for system in report.systems],
        "rows": [list(row) for row in zip(report.contexts, report.references, *replies)],
        "f1": _f1_by_pair(replies, report.references),
        "copies": [[count[text] for count, text in zip(copies, row)] for row in zip(*replies)],
        "rare": rare,
        "unseen": unseen,
    }


def _f1_by_pair(replies: Sequence[Sequence[str]], references: Sequence[str]) -> list[list[int]]:
    """ParlAI F1 in whole percent, ``[pair][system]``."""
    metric, pairs = ParlaiF1([Metric("parlai_f1")], Setting()), Pairs(replies, [references])
    fractions = [metric.fractions(pairs, system) for system in range(len(replies))]
    columns = [np.rint(100 * above / np.maximum(below, 1)).astype(int).tolist() for above, below in fractions]
    return [list(row) for row in zip(*columns)]


def _inline(drawing: Drawing) -> _Figure:
    name = re.sub(r"[^a-z0-9]+", "-", drawing.name)
    alternative = f"{drawing.title}. {drawing.caption}"
    return _Figure(
        name,
        drawing.title,
        drawing.caption,
        inline_svg(drawing.draw(title=""), name, alternative),
        inline_svg(drawing.draw(title="", narrow=True), f"{name}-narrow", alternative),
        drawing.half,
    )


def _options(report: Report) -> dict[str, list[tuple[str, list[str], bool]]]:
    """Section -> (option, its value in each system, whether they differ)."""
    sections: dict[str, dict[str, None]] = {}
    for system in report.systems:
        for section, values in system.options.items():
            sections.setdefault(section, {}).update(dict.fromkeys(values))
    table = {}
    for section, options in sections.items():
        rows = []
        for option in options:
            shown = [_option(system.options.get(section, {}), option) for system in report.systems]
            rows.append((option, shown, len(set(shown)) > 1))
        table[section] = rows
    return table


def _option(options: Mapping[str, Any], name: str) -> str:
    if name not in options:
        return ""
    value = options[name]
    return value if isinstance(value, str) else _json(value, indent=None)


def _is_mark(word: str) -> bool:
    """Whether a token is a mark like ``<unk>`` and not a word."""
    return word.startswith("<") and word.endswith(">")


def _json(value: Any, indent: int | None = 2) -> str:
    return json.dumps(value, ensure_ascii=False, indent=indent, default=str)


def _number(value: float) -> str:
    return f"{value:,}"


def _shown(value: float, digits: int = 2) -> str:
    return f"{value:,.{digits}f}"
