"""``python -m eureka_nlg.dialogue.fairseq_train``: fairseq-train that keeps its log with the checkpoints.

What fairseq logs is appended to ``SAVE_DIR/fairseq.log`` as well, whatever the format of the progress bar,
after the command and the versions of the software: ``eureka report`` draws its curves from there. fairseq's
own --log-file repeats every line once more with each epoch.

``--bf16`` works on CPUs and GPUs: fairseq's command takes it for a request of a TPU and stops without one.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.metadata
import json
import logging
import os
import platform
import shlex
import sys
from typing import Any

import eureka_nlg

__all__ = ["main", "train_with_log"]

LOG = "fairseq.log"

_LOGGER = logging.getLogger("eureka_nlg.dialogue.fairseq_train")  # not __name__, which is __main__ here


def main() -> None:
    """Run fairseq-train with the arguments of the process."""
    from fairseq_cli import train

    parse = train.options.parse_args_and_arch

    def parse_without_tpu(*args: Any, **kwargs: Any) -> argparse.Namespace:
        namespace = parse(*args, **kwargs)
        namespace.tpu = "--tpu" in sys.argv
        return namespace

    train.options.parse_args_and_arch = parse_without_tpu
    call = train.distributed_utils.call_main
    train.distributed_utils.call_main = lambda config, _, **kwargs: call(config, train_with_log, **kwargs)
    train.cli_main()


def train_with_log(config: Any, **kwargs: Any) -> None:
    """Train in the process of one device, as ``fairseq_cli.train.main`` does; the first one keeps the log."""
    from fairseq_cli import train

    if config.checkpoint.no_save or not train.distributed_utils.is_master(config.distributed_training):
        train.main(config, **kwargs)
        return
    os.makedirs(config.checkpoint.save_dir, exist_ok=True)
    handler = logging.FileHandler(os.path.join(config.checkpoint.save_dir, LOG), encoding="utf-8")
    handler.setFormatter(
        logging.Formatter("%(asctime)s | %(levelname)s | %(name)s | %(message)s", "%Y-%m-%d %H:%M:%S")
    )
    _LOGGER.setLevel(logging.INFO)
    _LOGGER.propagate = False  # the terminal has seen the command
    loggers = (logging.getLogger(), _LOGGER)
    for logger in loggers:
        logger.addHandler(handler)
    try:
        _LOGGER.info(shlex.join(["fairseq-train", *sys.argv[1:]]))
        _LOGGER.info("versions %s", json.dumps(_versions()))
        train.main(config, **kwargs)
    finally:
        for logger in loggers:
            logger.removeHandler(handler)
        handler.close()


def _versions() -> dict[str, str]:
    versions = {"eureka-nlg": eureka_nlg.__version__, "Python": platform.python_version()}
    for package in ("torch", "fairseq", "fairseq-fixed", "numpy"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[package] = importlib.metadata.version(package)
    return versions


if __name__ == "__main__":
    main()
