"""Where lines of a page may break: at the joints of a long name in a table, not before a percent sign."""

from __future__ import annotations

import re
from collections.abc import Iterator

from docutils import nodes
from sphinx.application import Sphinx

__all__ = ["set_breaks"]

_JOINT = re.compile(r"(?<=[/_=(,])(?=[\w\"'])|(?<=\.)(?=[^\W\d])")
_WHOLE = 12
"""Characters of code in a table that stay on one line."""
_WHOLE_OPTION = 24
"""Characters of an option that stay on one line, since browsers break after each of its hyphens."""


def set_breaks(app: Sphinx | None, document: nodes.document, name: str = "") -> None:
    """Change the text of a page; called by Sphinx for each one that it writes."""
    if app is not None and app.builder.format != "html":
        return
    for text in list(document.findall(nodes.Text)):
        if not isinstance(text.parent, (nodes.literal, nodes.FixedTextElement, nodes.raw)):
            text.parent.replace(text, nodes.Text(re.sub(r"(?<=\d) %", "\u00a0%", text)))
    for table in document.findall(nodes.table):
        for code in list(table.findall(nodes.literal)):
            code.children = list(_parts(code.astext()))


def _parts(code: str) -> Iterator[nodes.Node]:
    for word in re.split(r"( +)", code):
        if not word.strip():
            yield nodes.Text(word)
        elif len(word) <= (_WHOLE_OPTION if word.startswith("--") else _WHOLE):
            yield from (_html('<span class="whole">'), nodes.Text(word), _html("</span>"))
        else:
            first, *others = _JOINT.split(word)
            yield nodes.Text(first)
            for part in others:
                yield from (_html("<wbr>"), nodes.Text(part))


def _html(text: str) -> nodes.raw:
    return nodes.raw("", text, format="html")
