"""Conversion of YAML files and ``key=value`` overrides to a tree of dataclasses, and back."""

from __future__ import annotations

import difflib
import logging
import os
import types
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, asdict, fields, is_dataclass
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from eureka_nlg.errors import UserError, require
from eureka_nlg.option_files import Given, read_options
from eureka_nlg.options import BadOption

__all__ = ["RenamedOptions", "read_config", "config_from_dict", "flat", "to_yaml", "described_options"]

T = TypeVar("T")

RenamedOptions = Mapping[str, Mapping[str | None, str]]
"""Old names of options: old name -> value of the section's ``name`` (None: any value) -> new name."""

_log = logging.getLogger(__name__)


def read_config(cls: type[T], path: str | os.PathLike[str], overrides: Sequence[str] = ()) -> T:
    """Read a config: the file's ``base`` first, then the file, then the overrides.

    Args:
        cls: the dataclass at the root of the tree.
        path: YAML file. Its key ``base`` names another YAML file, relative to this one, whose options it
            extends.
        overrides: ``key=value`` with dots between section and option, as in ``training.epochs=60``; the value
            is YAML.

    Raises:
        UserError: a file is missing or is not YAML, a key is unknown, or a value has the wrong type; the
            message has file and line.
    """
    values = read_options(
        path,
        overrides,
        extra="vision",
        examples="configs/vision",
        override_example="training.epochs=60",
    )
    return _build(cls, values)


def config_from_dict(cls: type[T], tree: Mapping[str, Any], where: str) -> T:
    """The config from a nested dictionary, as of ``dataclasses.asdict``; ``where``: its name in errors."""
    return _build(cls, {key: Given(value, where) for key, value in flat(tree).items()})


def flat(tree: Any, prefix: str = "") -> dict[str, Any]:
    """The values by dotted keys: ``{"training.epochs": 60, ...}``."""
    tree = asdict(tree) if is_dataclass(tree) and not isinstance(tree, type) else tree
    result: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping):
            result |= flat(value, f"{prefix}{key}.")
        else:
            result[f"{prefix}{key}"] = value
    return result


def to_yaml(config: Any) -> str:
    """The config as YAML that :func:`read_config` reads back."""
    return str(require("yaml", extra="vision").safe_dump(asdict(config), sort_keys=False))


def described_options(cls: type) -> Iterator[tuple[str, str, str, str]]:
    """Key, type, default and help of every option."""
    for key, (hint, default, help) in _leaves(cls).items():
        yield key, _shown(hint), str(default), help


def _leaves(cls: type, prefix: str = "") -> dict[str, tuple[Any, Any, str]]:
    hints = get_type_hints(cls)
    result: dict[str, tuple[Any, Any, str]] = {}
    for field in fields(cls):
        hint = hints[field.name]
        if is_dataclass(hint):
            result |= _leaves(hint, f"{prefix}{field.name}.")  # type: ignore[arg-type]
        else:
            made = field.default_factory() if field.default_factory is not MISSING else field.default
            result[f"{prefix}{field.name}"] = (hint, made, field.metadata.get("help", ""))
    return result


def _build(cls: type[T], values: Mapping[str, Given]) -> T:
    known = _leaves(cls)
    values = _with_new_names(cls, values)
    for key, value in values.items():
        if key in known:
            continue
        inside = [name for name in known if name.startswith(f"{key}.")]
        if inside:
            raise UserError(
                f"{value.where}: {key} is a section, expected one of its keys, such as {inside[0]}"
            )
        close = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
        hint = f"; did you mean {close[0]}?" if close else "; `eureka vision options` lists all"
        raise UserError(f"{value.where}: unknown option {key}{hint}")
    return _make(cls, "", values)


def _make(cls: type[T], prefix: str, values: Mapping[str, Given]) -> T:
    hints = get_type_hints(cls)
    arguments = {}
    for field in fields(cls):  # type: ignore[arg-type]
        key, hint = f"{prefix}{field.name}", hints[field.name]
        if is_dataclass(hint):
            arguments[field.name] = _make(hint, f"{key}.", values)  # type: ignore[arg-type]
        elif key in values:
            arguments[field.name] = _converted(hint, key, values[key])
    try:
        return cls(**arguments)
    except BadOption as error:
        key = f"{prefix}{error.name}"
        where = f"{values[key].where}: " if key in values else ""
        raise UserError(f"{where}{key}: {error.got!r}, expected {error.expected}") from error


def _with_new_names(cls: type, values: Mapping[str, Given], prefix: str = "") -> dict[str, Given]:
    """The values with the old names of options replaced, with a warning."""
    found = dict(values)
    for field in fields(cls):
        if is_dataclass(hint := get_type_hints(cls)[field.name]):
            found = _with_new_names(hint, found, f"{prefix}{field.name}.")  # type: ignore[arg-type]
    renamed: RenamedOptions = getattr(cls, "RENAMED", {})
    if not any(f"{prefix}{old}" in found for old in renamed):
        return found
    given = found.get(f"{prefix}name")
    name: Any = given.value if given else next(one.default for one in fields(cls) if one.name == "name")
    for old, by_name in renamed.items():
        value = found.pop(f"{prefix}{old}", None)
        if value is None:
            continue
        new = by_name.get(name) or by_name.get(None)
        if new is None:
            _log.warning("%s: %s%s is not used by loss %s", value.where, prefix, old, name)
            continue
        key = f"{prefix}{new}"
        if key in found:
            raise UserError(
                f"{value.where}: {prefix}{old} is the old name of {key}, which is given, too "
                f"({found[key].where}): give only the new one"
            )
        _log.warning("%s: %s%s is now called %s", value.where, prefix, old, key)
        if value.value is not None or types.NoneType in get_args(get_type_hints(cls)[new]):
            found[key] = value
    return found


def _converted(hint: Any, key: str, given: Given) -> Any:
    try:
        return _as(hint, given.value)
    except (TypeError, ValueError):
        raise UserError(f"{given.where}: {key}: {given.value!r}, expected {_shown(hint)}") from None


def _as(hint: Any, value: Any) -> Any:
    origin, choices = get_origin(hint), get_args(hint)
    if origin is Literal:
        if value not in choices or isinstance(value, bool):
            raise ValueError
        return value
    if origin in (Union, types.UnionType):  # only `X | None` is used
        return None if value is None else _as(next(c for c in choices if c is not types.NoneType), value)
    if origin is list:
        if isinstance(value, (str, Mapping)):
            raise TypeError
        return [_as(choices[0], item) for item in value]
    if hint is bool or isinstance(value, bool):
        if hint is not bool or not isinstance(value, bool):
            raise TypeError
        return value
    if hint is int and (isinstance(value, str) or value != int(value)):
        raise TypeError
    if hint is str and not isinstance(value, (str, int, float)):
        raise TypeError
    return hint(value)  # float("2e-4"), for example, which YAML reads as text


def _shown(hint: Any) -> str:
    origin, choices = get_origin(hint), get_args(hint)
    if origin is Literal:
        return " | ".join(map(str, choices))
    if origin in (Union, types.UnionType):
        return " | ".join("null" if choice is types.NoneType else _shown(choice) for choice in choices)
    if origin is list:
        return f"list of {_shown(choices[0])}"
    return {"str": "text", "int": "whole number", "float": "number", "bool": "true | false"}[hint.__name__]
