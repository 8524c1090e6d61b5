"""The options of the losses as functions, modules, criterions and configs show them.

Each option is declared once, in a class of :mod:`eureka_nlg.options`: those of a loss beside its formula in
:mod:`.objectives`, those of class weights in :mod:`eureka_nlg.frequency`. Here are the closed sets, the
arguments that all losses share, and what a config with the options of several losses is made of.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable, Collection, Mapping
from enum import Enum
from typing import Any, Literal, TypeVar, get_type_hints

import torch
from torch import Tensor
from typing_extensions import TypedDict

from eureka_nlg.options import BadOption, Options, option, option_fields

__all__ = [
    "BadOption",
    "Impl",
    "LabelSmoothing",
    "Options",
    "Reduction",
    "SharedArguments",
    "SigmoidArguments",
    "built",
    "check_shared",
    "checked",
    "option",
    "options_of",
    "refuse_unknown",
    "same_as",
    "shows_arguments_of",
    "with_options_of",
]

Impl = Literal["auto", "fused", "reference"]
Reduction = Literal["none", "mean", "sum"]

_MISSING: Any = object()

T = TypeVar("T", bound=Options)
C = TypeVar("C", bound=type)
F = TypeVar("F", bound=Callable[..., Any])


# -- arguments that all losses share -------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class LabelSmoothing(Options):
    """What of a loss becomes cross-entropy against the uniform distribution."""

    label_smoothing: float = option(
        0.0, "share of the target that goes to all classes alike; torch's definition", at_least=0, at_most=1
    )


@dataclasses.dataclass(frozen=True)
class _Shared(LabelSmoothing):
    reduction: Reduction = option("mean", "of the losses of the rows", choices=Reduction)
    impl: Impl = option("auto", "how the loss is computed", choices=Impl)


class SigmoidArguments(TypedDict, total=False):
    """Keyword arguments of every module of a sigmoid loss; see :func:`.sigmoid_focal_loss`."""

    alpha: float
    reduction: Reduction
    ignore_index: int | None


class SharedArguments(TypedDict, total=False):
    """Keyword arguments of every module of a loss of logits; see :func:`eureka_nlg.losses.eureka_loss`."""

    weight: Tensor | None
    ignore_index: int
    reduction: Reduction
    label_smoothing: float
    impl: Impl


def check_shared(label_smoothing: float = 0.0, reduction: Reduction = "mean", impl: Impl = "auto") -> None:
    """Raise BadOption if one of the options that losses share is invalid."""
    checked(_Shared, label_smoothing, reduction, impl)


def checked(cls: Callable[..., T], *values: Any) -> T:
    """``cls(*values)``; the checks of values that were there before are not made again at each call."""
    if torch.compiler.is_compiling():
        return cls(*values)
    try:
        return _made(cls, *values)
    except TypeError:  # a value that cannot be hashed, which its own check tells better
        return cls(*values)


@functools.lru_cache(maxsize=256, typed=True)  # typed, as True is no number here
def _made(cls: Callable[..., T], *values: Any) -> T:
    return cls(*values)


# -- functions that take options as keyword arguments of another --------------------------------------------


def shows_arguments_of(
    source: Callable[..., Any],
    *,
    defaults: Mapping[str, Any] | None = None,
    without: Collection[str] = ("input", "target"),
) -> Callable[[F], F]:
    """Let the signature of a function with ``**options`` show them one by one, with their defaults.

    The function itself stays as it is: this is for ``inspect.signature``, and so for ``help()``, notebooks
    and the reference. Type checkers read the ``TypedDict`` that the function unpacks.

    Args:
        source: the function or class whose arguments they are; those that the function names itself are not
            taken from it.
        defaults: what differs from the defaults there.
        without: names that the function does not take; by default what a module gets in its forward pass.
    """

    def show(function: F) -> F:
        signature = inspect.signature(function)
        own = [one for one in signature.parameters.values() if one.kind is not one.VAR_KEYWORD]
        hidden = {one.name for one in own} | set(without)
        taken = [
            one.replace(kind=one.KEYWORD_ONLY, default=(defaults or {}).get(one.name, one.default))
            for one in inspect.signature(source).parameters.values()
            if one.name not in hidden
        ]
        function.__signature__ = signature.replace(parameters=own + taken)  # type: ignore[attr-defined]
        return function

    return show


def built(cls: type[T], taker: str, options: Mapping[str, Any]) -> T:
    """The options of a class, from what a function or class of the name ``taker`` got as ``**options``."""
    refuse_unknown(taker, options, cls.names())
    return cls(**options)


def refuse_unknown(taker: str, given: Collection[str], known: Collection[str]) -> None:
    """Raise TypeError, as Python itself does, for a keyword argument that is not known."""
    for name in given:
        if name not in known:
            raise TypeError(f"{taker}() got an unexpected keyword argument {name!r}")


# -- the options of several losses side by side --------------------------------------------------------------


def same_as(cls: type[Options], name: str, **changes: Any) -> Any:
    """A dataclass field with the default and the help of an option.

    Args:
        cls: where the option is declared.
        name: of the option, as it stands beside those of other losses.
        changes: what differs here, ``default`` or ``help``.
    """
    original = option_fields(cls)[name]
    metadata = {"help": changes.get("help", original.metadata["help"])}
    return dataclasses.field(default=changes.get("default", original.default), metadata=metadata)


def with_options_of(
    *classes: type[Options],
    defaults: Mapping[str, Any] | None = None,
    without: tuple[str, ...] = (),
    as_type: Callable[[Any], Any] = lambda hint: hint,
) -> Callable[[C], C]:
    """Give a class the options of others, each under the name that it has beside those of other losses.

    The decorator stands below ``@dataclass``. Fields of the class itself stay as they are.

    Args:
        classes: where the options are declared.
        defaults: what differs from the declared default.
        without: names that are left out.
        as_type: makes of a type what the reader of the config understands.
    """

    def give(target: C) -> C:
        annotations = dict(inspect.get_annotations(target))
        added: dict[str, Any] = {}
        for cls in classes:
            hints = get_type_hints(cls)
            for name, declared in option_fields(cls).items():
                if name not in (*annotations, *without):
                    added[name] = as_type(hints[declared.name])
                    changes = {"default": defaults[name]} if defaults and name in defaults else {}
                    setattr(target, name, same_as(cls, name, **changes))
        target.__annotations__ = annotations | added
        return target

    return give


def options_of(config: Any, cls: type[T], *, defaults: Mapping[str, Any] | None = None, **names: str) -> T:
    """The options of a class, from a config that has them under the names that :func:`with_options_of` gives.

    Args:
        config: an object with an attribute for each option, or a mapping; options that it lacks keep their
            default.
        cls: where the options are declared.
        defaults: values by the names in the config, for options that have their declared default there.
        names: fields of the class that have another name in the config.

    Raises:
        BadOption: a value that the option cannot have, by the name in the config.
    """
    declared = {one.name: one.default for one in option_fields(cls).values()}
    where = {one.name: name for name, one in option_fields(cls).items()} | names
    given = {}
    for field, name in where.items():
        value = config.get(name, _MISSING) if isinstance(config, Mapping) else getattr(config, name, _MISSING)
        if value is not _MISSING:
            given[field] = value.value if isinstance(value, Enum) else value
        if defaults and name in defaults and given.get(field, declared[field]) == declared[field]:
            given[field] = defaults[name]
    try:
        return cls(**given)
    except BadOption as error:
        raise error.spelled(where[error.name]) from None
