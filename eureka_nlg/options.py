"""An option, once: its name, type, default, bounds and help, in one field of a frozen dataclass.

Functions, modules, the criterions of fairseq and the configs of images take their options from such classes
(:mod:`eureka_nlg.losses.options`), so that default, bounds and help cannot differ between them.
"""

from __future__ import annotations

import math
import numbers
from dataclasses import Field, field, fields
from typing import Any, ClassVar, NamedTuple, get_args

__all__ = ["BadOption", "Options", "Rule", "option", "option_fields"]


class BadOption(ValueError):
    """The value of an option cannot work.

    Attributes:
        name: of the option; each surface spells it in its own way (``threshold``, ``--bonus-threshold``).
        expected: what was expected, as it follows "must be".
        got: the value that was given.
    """

    def __init__(self, name: str, expected: str, got: Any) -> None:
        super().__init__(f"{name} must be {expected}, got {_shown(got)}")
        self.name, self.expected, self.got = name, expected, got

    def spelled(self, name: str) -> BadOption:
        """The same error under the name that the option has where it was given."""
        return BadOption(name, self.expected, self.got)

    def __reduce__(self) -> Any:
        return BadOption, (self.name, self.expected, self.got)


def _shown(value: Any) -> str:
    """The value in one line, of arrays and tensors the shape."""
    shape = getattr(value, "shape", ())
    return f"{type(value).__name__} of shape {list(shape)}" if shape else repr(value)


class Rule(NamedTuple):
    """Which values an option can have.

    Attributes:
        choices: these alone; empty for a number.
        low, high: bounds of a number; infinite for none.
        low_is_in, high_is_in: whether the bounds themselves are allowed.
        or_none: None is allowed too.
        is_flag: True or False alone.
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
        """What follows "must be"."""
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
        """Whether an option can have this value."""
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
        default: value where nothing is given; with None, None is allowed.
        help: what the option does, one line, without its bounds.
        choices: a ``Literal`` of the allowed words.
        above, at_least, below, at_most: bounds of a number; numbers are finite in any case.
        name: of the option where those of all losses stand side by side, as on a command line; that of the
            field by default.
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
    """Base of the frozen dataclasses whose fields are made by :func:`option`; values are checked when made.

    Raises:
        BadOption: a value that its option cannot have, by the name of the field.
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
    """The fields of a class of options, under the names that they have side by side with others."""
    return {one.metadata["name"] or one.name: one for one in fields(cls)}  # type: ignore[arg-type]
