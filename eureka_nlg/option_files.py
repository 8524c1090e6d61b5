"""YAML files of options that build on one another, and ``key=value`` on top: what was given, and where."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from eureka_nlg.bundled import find_bundled
from eureka_nlg.errors import UserError, require

__all__ = ["Given", "read_options"]


_MOST_NODES, _DEEPEST = 10_000, 20


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
        try:
            value = yaml.safe_load(text)
        except (yaml.YAMLError, ValueError, RecursionError):  # a date that is none, a number without end
            value = text
        values[_name(key)] = Given(value, f"override {override!r}")
    return values


def _name(key: str) -> str:
    return key.lstrip("-").replace("-", "_")


def _read(yaml: Any, path: Path, seen: tuple[Path, ...], examples: str) -> dict[str, Given]:
    if path.resolve() in seen:
        raise UserError(f"config {path}: is its own base")
    try:
        node = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not valid UTF-8"
        raise UserError(
            f"config {path}: {reason}; expected a YAML file such as those in {examples}"
        ) from error
    except (yaml.YAMLError, RecursionError) as error:
        raise UserError(f"config {path}: not valid YAML: {error}") from error
    values: dict[str, Given] = {}
    if node is not None:
        if not isinstance(node, yaml.MappingNode):
            raise UserError(f"config {path}: expected a mapping of options, such as `seed: 1`")
        _check_size(yaml, node, path)
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
            values[key] = Given(yaml.SafeLoader("").construct_document(value_node), where)
        except (yaml.YAMLError, ValueError, OverflowError) as error:
            reason = getattr(error, "problem", None) or str(error)
            raise UserError(f"{where}: {key}: not a value: {reason}") from error


def _check_size(yaml: Any, root: Any, path: Path) -> None:
    """Refuse what aliases make endless, or larger than any file of options; each counts where it stands."""
    left = _MOST_NODES
    nodes = [(root, 0)]
    while nodes:
        node, depth = nodes.pop()
        left -= 1
        if left < 0 or depth > _DEEPEST:
            raise UserError(
                f"config {path}, line {node.start_mark.line + 1}: more than {_MOST_NODES} values, or more "
                f"than {_DEEPEST} inside one another, aliases written out; that is no file of options"
            )
        if isinstance(node, yaml.MappingNode):
            nodes += [(inner, depth + 1) for pair in node.value for inner in pair]
        elif isinstance(node, yaml.SequenceNode):
            nodes += [(inner, depth + 1) for inner in node.value]
