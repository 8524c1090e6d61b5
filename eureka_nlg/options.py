"""The declaration of an option: name, type, default, bounds and help text in one field of a frozen dataclass.

Functions, modules, the criterions of fairseq and the configs of image runs take their options from such
classes (:mod:`eureka_nlg.losses.options`), so that defaults, bounds and help texts cannot differ.
"""

from __future__ import annotations

import math
import numbers
from dataclasses import Field, field, fields
from typing import Any, ClassVar, NamedTuple, get_args

__all__ = ["BadOption", "Options", "Rule", "option", "option_fields"]


class BadOption(ValueError):
    """An option has an invalid value.

    Attributes:
        name: name of the option, in the spelling of the place where it was given (``threshold``,
            ``--bonus-threshold``).
        expected: what was expected, as text that can follow "must be".
        got: the value that was given.
    """

    def __init__(self, name: str, expected: str, got: Any) -> None:
        super().__init__(f"{name} must be {expected}, got {_shown(got)}")
        self.name, self.expected, self.got = name, expected, got

    def spelled(self, name: str) -> BadOption:
        """The same error with the name in the spelling of the place where the option was given."""
        return BadOption(name, self.expected, self.got)

    def __reduce__(self) -> Any:
        return BadOption, (self.name, self.expected, self.got)


def _shown(value: Any) -> str:
    """The value in one line; for arrays and tensors, the shape."""
    shape = getattr(value, "shape", ())
    return f"{type(value).__name__} of shape {list(shape)}" if shape else repr(value)


class Rule(NamedTuple):
    """The valid values of an option.

    Attributes:
        choices: the allowed words; empty if the value is a number.
        low, high: bounds of a number; infinite if there is none.
        low_is_in, high_is_in: whether the bounds themselves are allowed.
        or_none: whether None is allowed, too.
        is_flag: whether the value is True or False.
    """

    choices: tuple[str, ...] = ()
    low: float = -math.inf
    high: float = math.inf
    low_is_in: bool = False
    high_is_in: bool = False
    or_none: bool = False
    is_flag: bool = False

    @property
    def expected(self) -> str:
        """The valid values, as text that can follow "must be"."""
        if self.is_flag:
            return "True or False"
        if self.choices:
            text = ", ".join(map(repr, self.choices[:-1])) + f" or {self.choices[-1]!r}"
        elif math.isfinite(self.low) and math.isfinite(self.high):
            left, right = "[" if self.low_is_in else "(", "]" if self.high_is_in else ")"
            text = f"a number in {left}{self.low:g}, {self.high:g}{right}"
        elif math.isfinite(self.low):
            text = f"a finite number {f'from {self.low:g} on' if self.low_is_in else f'above {self.low:g}'}"
        else:
            text = "a finite number"
        return f"{text}, or None" if self.or_none else text

    def allows(self, value: Any) -> bool:
        """Whether the value is valid."""
        if value is None:
            return self.or_none
        if self.is_flag:
            return isinstance(value, bool)
        if self.choices:
            return value in self.choices
        if isinstance(value, bool) or not isinstance(value, numbers.Real):
            return False
        number: Any = value
        if not -math.inf < number < math.inf:  # not isfinite, which torch.compile cannot trace for any number
            return False
        above = number >= self.low if self.low_is_in else number > self.low
        below = number <= self.high if self.high_is_in else number < self.high
        return above and below


def option(
    default: Any,
    help: str,
    *,
    choices: Any = None,
    above: float | None = None,
    at_least: float | None = None,
    below: float | None = None,
    at_most: float | None = None,
    name: str | None = None,
) -> Any:
    """A field of an :class:`Options` class.

    Args:
        default: the default. If it is None, None is a valid value.
        help: what the option does, in one line, without its bounds.
        choices: a ``Literal`` of the allowed words.
        above, at_least, below, at_most: bounds of a number, which has to be finite in any case.
        name: name of the option in places with the options of all losses, such as a command line; by default
            the name of the field.
    """
    rule = Rule(
        choices=() if choices is None else get_args(choices),
        low=next((bound for bound in (above, at_least) if bound is not None), -math.inf),
        high=next((bound for bound in (below, at_most) if bound is not None), math.inf),
        low_is_in=at_least is not None,
        high_is_in=at_most is not None,
        or_none=default is None,
        is_flag=isinstance(default, bool),
    )
    return field(default=default, metadata={"help": help, "rule": rule, "name": name})


class Options:
    """Base of frozen dataclasses whose fields are made by :func:`option`; they check their values when made.

    Raises:
        BadOption: a value is invalid; the error has the name of the field.
    """

    _rules: ClassVar[dict[str, Rule]] = {}

    def __init_subclass__(cls) -> None:
        own = {name: value for name, value in vars(cls).items() if isinstance(value, Field)}
        cls._rules = cls._rules | {
            name: value.metadata["rule"] for name, value in own.items() if "rule" in value.metadata
        }

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """Names of the fields."""
        return tuple(cls._rules)

    def values(self) -> dict[str, Any]:
        """The options by the names of their fields."""
        return {name: getattr(self, name) for name in self._rules}

    def __post_init__(self) -> None:
        for name, rule in self._rules.items():
            if not rule.allows(getattr(self, name)):
                raise BadOption(name, rule.expected, getattr(self, name))


def option_fields(cls: type[Options]) -> dict[str, Field[Any]]:
    """The fields of a class of options, by their names in places with the options of all losses."""
    return {one.metadata["name"] or one.name: one for one in fields(cls)}  # type: ignore[arg-type]
