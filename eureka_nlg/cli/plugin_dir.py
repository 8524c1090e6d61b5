"""Print the folder of the fairseq plug-in, for fairseq's --user-dir:

fairseq-train DIR --user-dir "$(eureka plugin-dir)" --criterion eureka ...
"""

from __future__ import annotations

import argparse

from eureka_nlg.dialogue.plugin import plugin_dir

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """No options."""


def run(args: argparse.Namespace) -> int:
    """Print the folder."""
    print(plugin_dir())
    return 0
