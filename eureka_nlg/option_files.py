"""YAML files of options that build on one another, and ``key=value`` on top: what was given, and where."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from eureka_nlg.bundled import find_bundled
from eureka_nlg.errors import UserError, require
from eureka_nlg.limits import DEEPEST, MOST_DIGITS, MOST_OPTION_BYTES, MOST_OPTIONS

__all__ = ["Given", "read_options"]
_SURROGATE = re.compile("[\ud800-\udfff]")


class Given(NamedTuple):
    """The value of an option.

    Attributes:
        value: what YAML makes of it.
        where: file and line, or the override; begins an error's message.
    """

    value: Any
    where: str


def read_options(
    path: str | os.PathLike[str],
    overrides: Sequence[str] = (),
    *,
    extra: str,
    examples: str,
    override_example: str,
) -> dict[str, Given]:
    """Read options: the file's ``base`` first, then the file, then the overrides.

    Args:
        path: YAML file, or one that comes with the package if it is not there. A mapping; nested ones become
            dotted keys, dashes in keys underscores. Its key ``base`` names another file, relative to it, that
            it builds on.
        overrides: ``key=value``; the value is YAML, or text where it is none.
        extra: that brings PyYAML.
        examples, override_example: a folder of such files and an override, for messages.

    Raises:
        UserError: no such file, not YAML, no mapping, a key given twice, a bad override; with file and line.
    """
    yaml = require("yaml", extra=extra)
    values = _read(yaml, find_bundled(path), (), examples)
    for override in overrides:
        key, separator, text = override.partition("=")
        if not separator or not key:
            raise UserError(f"override {override!r}: expected key=value, such as {override_example}")
        shown = override if len(override) <= 80 else f"{override[:80]}..."
        where = f"override {shown!r}"
        values[_name(key)] = Given(_value_or_text(yaml, text, where), where)
    return values


def _name(key: str) -> str:
    return key.lstrip("-").replace("-", "_")


def _read(yaml: Any, path: Path, seen: tuple[Path, ...], examples: str) -> dict[str, Given]:
    if path.resolve() in seen:
        raise UserError(f"config {path}: is its own base")
    try:
        with open(path, "rb") as file:
            content = file.read(MOST_OPTION_BYTES + 1)
        node = _composed(yaml, content.decode(), f"config {path}")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not valid UTF-8"
        raise UserError(
            f"config {path}: {reason}; expected a YAML file such as those in {examples}"
        ) from error
    except yaml.YAMLError as error:
        raise UserError(f"config {path}: not valid YAML: {error}") from error
    values: dict[str, Given] = {}
    if node is not None:
        if not isinstance(node, yaml.MappingNode):
            raise UserError(f"config {path}: expected a mapping of options, such as `seed: 1`")
        _flatten(yaml, node, "", path, values)
    base = values.pop("base", None)
    if base is None:
        return values
    if not isinstance(base.value, str):
        raise UserError(f"{base.where}: base: {base.value!r}, expected the name of a YAML file")
    return {**_read(yaml, path.parent / base.value, (*seen, path.resolve()), examples), **values}


def _flatten(yaml: Any, node: Any, prefix: str, path: Path, values: dict[str, Given]) -> None:
    for key_node, value_node in node.value:
        where = f"config {path}, line {key_node.start_mark.line + 1}"
        if not isinstance(key_node, yaml.ScalarNode):
            raise UserError(f"{where}: expected the name of an option before the colon")
        key = f"{prefix}{_name(key_node.value)}"
        if isinstance(value_node, yaml.MappingNode):
            _flatten(yaml, value_node, f"{key}.", path, values)
            continue
        if key in values:
            raise UserError(f"{where}: {key} is given twice")
        try:
            values[key] = Given(_constructed(yaml, value_node), where)
        except ValueError as error:
            raise UserError(f"{where}: {key}: not a value: {error}") from error


def _value_or_text(yaml: Any, text: str, where: str) -> Any:
    """The value of an override; what is no YAML is text, a path perhaps."""
    try:
        node = _composed(yaml, text, where)
        return None if node is None else _constructed(yaml, node)
    except (yaml.YAMLError, ValueError):
        return text


def _composed(yaml: Any, text: str, where: str) -> Any:
    """The root of a document, or None of an empty one.

    Raises:
        UserError: larger or deeper than any file of options.
        YAMLError: no YAML.
    """
    if len(text) > MOST_OPTION_BYTES:
        raise UserError(f"{where}: more than {MOST_OPTION_BYTES:,} bytes; that is no file of options")

    class Loader(yaml.SafeLoader):
        """Counts before it reads on: PyYAML takes minutes, and its stack, for what is refused here."""

        made, depth = 0, 0

        def compose_node(self, parent: Any, index: Any) -> Any:
            self.made, self.depth = self.made + 1, self.depth + 1
            if self.made > MOST_OPTIONS or self.depth > DEEPEST:
                raise _too_much(where, self.peek_event())
            node = super().compose_node(parent, index)
            self.depth -= 1
            return node

    root = yaml.compose(text, Loader=Loader)
    _check_size(yaml, root, where)
    return root


def _constructed(yaml: Any, node: Any) -> Any:
    """The value of a node.

    Raises:
        ValueError: a date that is none, a tag that is unknown, ...
    """
    try:
        return yaml.SafeLoader("").construct_document(node)
    except yaml.YAMLError as error:
        raise ValueError(getattr(error, "problem", None) or str(error)) from error
    # what PyYAML lets out for a value that is not of its tag, such as `!!bool x` and `!!timestamp x`
    except (KeyError, AttributeError, TypeError, OverflowError) as error:
        raise ValueError(f"{str(node.value)[:40]!r} is no {node.tag.rpartition(':')[2]}") from error


def _too_much(where: str, node: Any) -> UserError:
    return UserError(
        f"{where}, line {node.start_mark.line + 1}: more than {MOST_OPTIONS:,} values, or more "
        f"than {DEEPEST} inside one another, aliases written out; that is no file of options"
    )


def _check_size(yaml: Any, root: Any, where: str) -> None:
    """Refuse what aliases make endless, or too much; each counts where it stands."""
    left = MOST_OPTIONS
    nodes = [] if root is None else [(root, 0)]
    while nodes:
        node, depth = nodes.pop()
        left -= 1
        if left < 0 or depth > DEEPEST:
            raise _too_much(where, node)
        if isinstance(node, yaml.ScalarNode):
            _check_scalar(node, where)
        if isinstance(node, yaml.MappingNode):
            nodes += [(inner, depth + 1) for pair in node.value for inner in pair]
        elif isinstance(node, yaml.SequenceNode):
            nodes += [(inner, depth + 1) for inner in node.value]


def _check_scalar(node: Any, where: str) -> None:
    where = f"{where}, line {node.start_mark.line + 1}"
    if node.tag == "tag:yaml.org,2002:int" and len(node.value) > MOST_DIGITS:
        raise UserError(f"{where}: a number of {len(node.value):,} digits, expected at most {MOST_DIGITS}")
    if half := _SURROGATE.search(node.value):
        raise UserError(f"{where}: \\u{ord(half[0]):04x} is half of a character, expected a whole one")
