"""What pages take from its source instead of repeating it: formulas, curves, numbers, the help of commands.

Registered by `docs/conf.py`. A name that its source does not have ends the build.
"""

from __future__ import annotations

import argparse
import importlib
import os
import re
import runpy
from pathlib import Path
from typing import Any

from breaks import set_breaks
from docutils import nodes
from docutils.parsers.rst import directives
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from tables import rows_of, table

from eureka_nlg.cli.intermixed import IntermixedParser
from eureka_nlg.cli.main import COMMANDS
from eureka_nlg.report.loss_figures import loss_curves
from eureka_nlg.report.theme import inline_svg

DOCS = Path(__file__).resolve().parents[1]


class _FromMarkdown(SphinxDirective):
    """Parses Markdown that it makes, in the place where it stands."""

    has_content = True

    def parsed(self, lines: list[str]) -> list[nodes.Node]:
        holder = nodes.Element()
        self.state.nested_parse(StringList(lines, source=self.get_source_info()[0]), 0, holder)
        return holder.children

    def source(self, path: str) -> str:
        """Text of a page, on which this one depends from now on."""
        self.env.note_dependency(str(DOCS / path))
        return (DOCS / path).read_text(encoding="utf-8")

    def link(self, path: str) -> str:
        """From this page to another."""
        return os.path.relpath(DOCS / path, (DOCS / self.env.docname).parent)

    def moved(self, text: str, path: str) -> str:
        """Text of another page with its links as they are from here."""

        def target(match: re.Match[str]) -> str:
            file, _, anchor = match[1].partition("#")
            if ":" in file:
                return match[0]
            there = (DOCS / path).parent / file if file else DOCS / path
            here = os.path.relpath(there, (DOCS / self.env.docname).parent)
            return f"]({here}{'#' + anchor if anchor else ''})"

        return re.sub(r"\]\(([^)\s]+)\)", target, text)


class Formulas(_FromMarkdown):
    """Rows of the tables of losses and of class weights in `losses.md`, by their first cells."""

    option_spec = {"table": directives.unchanged}  # noqa: RUF012 - docutils' protocol

    def run(self) -> list[nodes.Node]:
        try:
            head, rows = rows_of(self.source("losses.md"), self.options.get("table", "loss"))
            chosen = [row for name in self.content for row in rows[name]]
        except LookupError as error:
            raise self.error(f"losses.md: {error}") from None
        moved = [[self.moved(cell, "losses.md") for cell in row] for row in chosen]
        return self.parsed(table(head, moved))


class Measured(_FromMarkdown):
    """Rows of a table of a page of results: the page, columns, and after a blank line the first cells.

    ``first`` is the head of the table's first column; ``after`` a text that stands before the table.
    """

    required_arguments = 1
    option_spec = {  # noqa: RUF012
        "first": directives.unchanged_required,
        "after": directives.unchanged,
        "columns": directives.unchanged_required,
    }

    def run(self) -> list[nodes.Node]:
        path = self.arguments[0]
        text = self.source(path)
        title = re.match(r"# (.*)\n", text)
        assert title is not None
        try:
            start = text.index(self.options.get("after", ""))
            head, rows = rows_of(text[start:], self.options["first"])
            places = [0, *(head.index(name.strip()) for name in self.options["columns"].split(";"))]
            chosen = [[row[place] for place in places] for name in self.content for row in rows[name]]
        except (LookupError, ValueError) as error:
            raise self.error(f"{path}: {error}") from None
        lines = table([head[place] for place in places], chosen)
        return self.parsed([*lines, f"From [{title[1]}]({self.link(path)}), where it says what was run.", ""])


class Curves(SphinxDirective):
    """Loss and likelihood gradient of losses by the names that `scripts/figure_losses.py` has for them."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        drawn = runpy.run_path(str(DOCS.parent / "scripts/figure_losses.py"))
        objectives = {**drawn["RIVALS"], **drawn["PAPER"]}
        curves = {name: drawn["as_function"](objectives[name]) for name in self.content}
        text = f"Loss and likelihood gradient over the likelihood of the target: {', '.join(curves)}"
        page = self.env.docname.replace("/", "-")
        drawings = [
            f'<div class="drawing {width}">'
            + inline_svg(loss_curves(curves, title="", narrow=width == "narrow"), f"{width}-{page}", text)
            + "</div>"
            for width in ("wide", "narrow")  # the style sheet shows the one that fits
        ]
        return [nodes.raw("", "".join(drawings), format="html")]


class CommandHelp(SphinxDirective):
    """What `eureka COMMAND --help` prints."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        name = self.arguments[0]
        command = importlib.import_module(f"eureka_nlg.cli.{COMMANDS[name][0]}")
        parser = IntermixedParser(
            prog=f"eureka {name}",
            description=command.__doc__,
            formatter_class=lambda prog: argparse.RawDescriptionHelpFormatter(prog, width=100),
        )
        command.add_arguments(parser)
        text = parser.format_help()
        return [nodes.literal_block(text, text, language="none")]


def setup(app: Sphinx) -> dict[str, Any]:
    """Sphinx calls this."""
    for name, directive in (
        ("formulas", Formulas),
        ("measured", Measured),
        ("curves", Curves),
        ("command-help", CommandHelp),
    ):
        app.add_directive(name, directive)
    app.connect("doctree-resolved", set_breaks)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
