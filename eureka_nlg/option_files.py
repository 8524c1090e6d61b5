"""Options from YAML files, which may extend other YAML files, and from ``key=value`` overrides."""

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
        value: the value, as parsed by YAML.
        where: file and line, or the override, as the start of an error message.
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
        path: YAML file; if it does not exist, the file of the package with this path. It has to contain a
            mapping. The keys of nested mappings are joined by dots, and dashes in keys become underscores.
            The key ``base`` names another YAML file, relative to this one, whose options it extends.
        overrides: ``key=value``; the value is YAML, or else text.
        extra: the extra that installs PyYAML, for an error message.
        examples, override_example: a folder with examples of such files, and an example of an override, for
            error messages.

    Raises:
        UserError: a file is missing, is not YAML or not a mapping, a key is given twice, or an override is
            malformed; the message has file and line.
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
    """The value of an override; if it is not YAML, the text itself, which may be a path."""
    try:
        node = _composed(yaml, text, where)
        return None if node is None else _constructed(yaml, node)
    except (yaml.YAMLError, ValueError):
        return text


def _composed(yaml: Any, text: str, where: str) -> Any:
    """The root node of a document; None if it is empty.

    Raises:
        UserError: the document is too large or too deep for a file of options.
        YAMLError: the text is not YAML.
    """
    if len(text) > MOST_OPTION_BYTES:
        raise UserError(f"{where}: more than {MOST_OPTION_BYTES:,} bytes; that is no file of options")

    class Loader(yaml.SafeLoader):
        """Stops at the limits: for such documents PyYAML would take minutes or exceed its stack."""

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
        ValueError: it is invalid, such as an impossible date or an unknown tag.
    """
    try:
        return yaml.SafeLoader("").construct_document(node)
    except yaml.YAMLError as error:
        raise ValueError(getattr(error, "problem", None) or str(error)) from error
    # errors of PyYAML for values that do not fit their tags: `!!bool x`, `!!timestamp x`, `!!int ''`
    except (LookupError, AttributeError, TypeError, OverflowError) as error:
        raise ValueError(f"{str(node.value)[:40]!r} is no {node.tag.rpartition(':')[2]}") from error


def _too_much(where: str, node: Any) -> UserError:
    return UserError(
        f"{where}, line {node.start_mark.line + 1}: more than {MOST_OPTIONS:,} values, or more "
        f"than {DEEPEST} inside one another, aliases written out; that is no file of options"
    )


def _check_size(yaml: Any, root: Any, where: str) -> None:
    """Refuse documents that aliases make endless or too large; aliased values count each time."""
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
