"""Conversion of the losses' options to fields of fairseq's dataclasses, and back."""

import types
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Literal, Optional, TypeVar, Union, get_args, get_origin

from fairseq.dataclass import ChoiceEnum

from eureka_nlg.errors import UserError
from eureka_nlg.frequency import EncouragementOptions
from eureka_nlg.losses import options as losses
from eureka_nlg.losses.bonus import Bonus, eureka_options
from eureka_nlg.losses.options import same_as
from eureka_nlg.options import BadOption, Options

__all__ = ["eureka_options_of", "option_name", "options_of", "same_as", "with_options_of"]


@contextmanager
def _by_command_line_name() -> Iterator[None]:
    try:
        yield
    except BadOption as error:
        raise UserError(str(error.spelled(option_name(error.name)))) from error


T = TypeVar("T", bound=Options)


def _as_type(hint: Any) -> Any:
    """The type for fairseq's parser and OmegaConf, which support neither ``Literal`` nor ``float | None``."""
    if get_origin(hint) is Literal:
        return ChoiceEnum(list(get_args(hint)))
    if get_origin(hint) in (Union, types.UnionType):
        kind = next(kind for kind in get_args(hint) if kind is not types.NoneType)
        return Optional[kind]  # noqa: UP045
    return hint


with_options_of = partial(losses.with_options_of, as_type=_as_type)
"""Adds options of losses to a config; see :func:`eureka_nlg.losses.options.with_options_of`."""


def options_of(cfg: Any, cls: type[T], **names: str) -> T:
    """The options of a class, from a criterion's config.

    Raises:
        UserError: an option has an invalid value; the message has its name on the command line.
    """
    with _by_command_line_name():
        return losses.options_of(cfg, cls, defaults=None, **names)


def eureka_options_of(cfg: Any) -> tuple[EncouragementOptions, Bonus]:
    """The options of encouragement and bonus, from the preset and the options of a criterion's config.

    Raises:
        UserError: an option has an invalid value; the message has its name on the command line.
    """
    with _by_command_line_name():
        return eureka_options(cfg)


def option_name(field_name: str) -> str:
    """The name on the command line of a field."""
    return "--" + field_name.replace("_", "-")
