"""How functions, modules, criterions and configs present the options of the losses.

Each option is declared once, as a field of an ``Options`` class (:mod:`eureka_nlg.options`): the options of a
loss beside its formula in :mod:`.objectives`, those of class weights in :mod:`eureka_nlg.frequency`. This
file has the arguments that all losses share, and the tools that build signatures and configs from such
classes.
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
    """The share of a loss that is replaced by cross-entropy against the uniform distribution."""

    label_smoothing: float = option(
        0.0, "share of the target spread evenly over all classes, as torch defines it", at_least=0, at_most=1
    )


@dataclasses.dataclass(frozen=True)
class _Shared(LabelSmoothing):
    reduction: Reduction = option("mean", "reduction of the losses of the rows", choices=Reduction)
    impl: Impl = option("auto", "implementation of the loss", choices=Impl)


class SigmoidArguments(TypedDict, total=False):
    """Keyword arguments of the modules of all sigmoid losses; see :func:`.sigmoid_focal_loss`."""

    alpha: float
    reduction: Reduction
    ignore_index: int | None


class SharedArguments(TypedDict, total=False):
    """Keyword arguments of the modules of all losses of logits; see :func:`eureka_nlg.losses.eureka_loss`."""

    weight: Tensor | None
    ignore_index: int
    reduction: Reduction
    label_smoothing: float
    impl: Impl


def check_shared(label_smoothing: float = 0.0, reduction: Reduction = "mean", impl: Impl = "auto") -> None:
    """Raise BadOption if one of the options that losses share is invalid."""
    checked(_Shared, label_smoothing, reduction, impl)


def checked(cls: Callable[..., T], *values: Any) -> T:
    """``cls(*values)``; cached, so that the same values are checked only once."""
    if torch.compiler.is_compiling():
        return cls(*values)
    try:
        return _made(cls, *values)
    except TypeError:  # a value cannot be hashed: its own check raises a better error
        return cls(*values)


@functools.lru_cache(maxsize=256, typed=True)  # typed, since True equals 1 but is no valid number
def _made(cls: Callable[..., T], *values: Any) -> T:
    return cls(*values)


# -- functions that take options as keyword arguments of another --------------------------------------------


def shows_arguments_of(
    source: Callable[..., Any],
    *,
    defaults: Mapping[str, Any] | None = None,
    without: Collection[str] = ("input", "target"),
) -> Callable[[F], F]:
    """Decorator: the signature of a function with ``**options`` lists these options with their defaults.

    It changes what ``inspect.signature`` returns, and thereby ``help()``, notebooks and the API reference;
    the function itself is unchanged. Type checkers read the ``TypedDict`` that the function unpacks.

    Args:
        source: the function or class that has the options as arguments. Arguments that the decorated function
            names itself are not taken from it.
        defaults: defaults that differ from those of ``source``.
        without: arguments of ``source`` that the function does not have; by default the arguments that a
            module takes in its forward pass.
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
    """The options of a class, from the ``**options`` that a function or class called ``taker`` received."""
    refuse_unknown(taker, options, cls.names())
    return cls(**options)


def refuse_unknown(taker: str, given: Collection[str], known: Collection[str]) -> None:
    """Raise TypeError, in Python's own words, for an unknown keyword argument."""
    for name in given:
        if name not in known:
            raise TypeError(f"{taker}() got an unexpected keyword argument {name!r}")


# -- the options of several losses side by side --------------------------------------------------------------


def same_as(cls: type[Options], name: str, **changes: Any) -> Any:
    """A dataclass field with the default and the help text of an option.

    Args:
        cls: the class that declares the option.
        name: the option's name in configs with the options of several losses.
        changes: ``default`` or ``help``, to replace them.
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
    """Class decorator: add the options of other classes as fields, under their names in common configs.

    The decorator is applied before ``@dataclass``, so it is written below it. Fields that the class defines
    itself are not changed.

    Args:
        classes: the classes that declare the options.
        defaults: defaults that differ from the declared ones, by name.
        without: names of options to leave out.
        as_type: converts the type of an option to one that the reader of the config understands.
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
    """The options of a class, from a config with the fields that :func:`with_options_of` adds.

    Args:
        config: an object with an attribute for each option, or a mapping. An option that is missing keeps its
            default.
        cls: the class that declares the options.
        defaults: values by name in the config, for options that have their declared default there.
        names: field of the class -> its name in the config, if that differs.

    Raises:
        BadOption: an option has an invalid value; the error has the name from the config.
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
