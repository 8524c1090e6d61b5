"""Arguments in any order: ``key=value`` may also follow an option."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

__all__ = ["IntermixedParser"]


class IntermixedParser(argparse.ArgumentParser):
    """A parser that takes its positional arguments from between and behind the options.

    argparse does so by ``parse_intermixed_args``, but not for the parsers of subcommands.
    """

    _inside = False

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: Any = None
    ) -> tuple[Any, list[str]]:
        """See :meth:`argparse.ArgumentParser.parse_known_args`."""
        plain = any(action.nargs in (argparse.PARSER, argparse.REMAINDER) for action in self._actions)
        if plain or self._inside:
            return super().parse_known_args(args, namespace)
        self._inside = True
        try:
            return self.parse_known_intermixed_args(args, namespace)
        finally:
            self._inside = False
