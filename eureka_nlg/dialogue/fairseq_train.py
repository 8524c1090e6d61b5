"""``python -m eureka_nlg.dialogue.fairseq_train``: fairseq-train, with ``--bf16`` for CPUs and GPUs.

fairseq's command takes ``--bf16`` for a request of a TPU and stops without one; its trainer knows better.
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

__all__ = ["main"]


def main() -> None:
    """Run fairseq-train with the arguments of the process."""
    from fairseq_cli import train

    parse = train.options.parse_args_and_arch

    def parse_without_tpu(*args: Any, **kwargs: Any) -> argparse.Namespace:
        namespace = parse(*args, **kwargs)
        namespace.tpu = "--tpu" in sys.argv
        return namespace

    train.options.parse_args_and_arch = parse_without_tpu
    train.cli_main()


if __name__ == "__main__":
    main()
