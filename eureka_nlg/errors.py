"""Errors that a user can fix, and the import of optional packages."""

from __future__ import annotations

import importlib
from types import ModuleType

__all__ = ["UserError", "MissingExtraError", "require"]


class UserError(ValueError):
    """Invalid input. The message is one line: where, what was given, what was expected, and what to do.

    The command line prints the message without a traceback and exits with status 2.
    """


class MissingExtraError(UserError, ImportError):
    """An optional dependency is not installed; the message names the extra that installs it."""


def require(module: str, extra: str) -> ModuleType:
    """Import ``module``, or say which extra of eureka-nlg installs it.

    Args:
        module: dotted name of the module, for example ``"sacrebleu"``.
        extra: the extra in setup.cfg that depends on it, for example ``"metrics"``.

    Raises:
        MissingExtraError: the package is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != module.partition(".")[0]:
            raise  # the package is installed, but one of its own dependencies is missing
        raise MissingExtraError(
            f"this needs the package {module.partition('.')[0]}, which is not installed: "
            f"pip install 'eureka-nlg[{extra}]'"
        ) from error
