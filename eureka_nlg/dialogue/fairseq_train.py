"""``python -m eureka_nlg.dialogue.fairseq_train``: fairseq-train that keeps its log with the checkpoints.

The command, the versions of the software and everything that fairseq logs are also appended to
``SAVE_DIR/fairseq.log``, whatever the format of the progress bar. ``eureka report`` draws its curves from
that file. (With fairseq's own --log-file, every epoch adds one more copy of each line.)

``--bf16`` works on CPUs and GPUs, where fairseq's own command asks for a TPU and stops without one.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.metadata
import json
import logging
import logging.handlers
import os
import platform
import shlex
import sys
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import eureka_nlg
from eureka_nlg.children import end_with_parent
from eureka_nlg.dialogue.no_code import forbid_code, no_code
from eureka_nlg.dialogue.training_display import SHOWN, Progress
from eureka_nlg.errors import UserError
from eureka_nlg.files import full_disk

__all__ = ["main", "train_with_log"]

LOG = "fairseq.log"

_LOGGER = logging.getLogger("eureka_nlg.dialogue.fairseq_train")  # not __name__, which is __main__ here
_WARNINGS = logging.getLogger("py.warnings")


def main() -> int:
    """Run fairseq-train with the arguments of the process; return its exit status."""
    end_with_parent()
    try:
        _fairseq_train()
    except UserError as error:
        return _fail(str(error))
    except KeyboardInterrupt:
        return _fail("interrupted; the same command goes on from the last checkpoint", status=130)
    except Exception as error:
        full = full_disk(error)
        if full is None:
            raise
        return _fail(f"{full}; the same command goes on from the last checkpoint that is whole")
    return 0


def _fairseq_train() -> None:
    _WARNINGS.setLevel(logging.DEBUG)
    _WARNINGS.propagate = False
    never = logging.CRITICAL + 1
    early = logging.handlers.MemoryHandler(capacity=10_000, flushLevel=never, flushOnClose=False)
    shows_progress = bool(os.environ.get(SHOWN))
    if shows_progress:
        logging.captureWarnings(True)  # those of the imports too go into the log, which is not open yet
        warnings.simplefilter("default")
        _WARNINGS.addHandler(early)
    from fairseq_cli import train

    forbid_code()
    parse = train.options.parse_args_and_arch

    def parse_without_tpu(*args: Any, **kwargs: Any) -> argparse.Namespace:
        namespace = parse(*args, **kwargs)
        forbid_code()  # for the plug-in too, which is there now
        namespace.tpu = "--tpu" in sys.argv
        return namespace

    train.options.parse_args_and_arch = parse_without_tpu
    call = train.distributed_utils.call_main
    train.distributed_utils.call_main = lambda config, _, **kwargs: call(config, train_with_log, **kwargs)
    train.cli_main()


def train_with_log(config: Any, **kwargs: Any) -> None:
    """Train as ``fairseq_cli.train.main`` does, in the process of one device; the first one keeps the log."""
    from fairseq_cli import train

    if config.checkpoint.no_save or not train.distributed_utils.is_master(config.distributed_training):
        with no_code():  # a process that fairseq has spawned begins anew
            train.main(config, **kwargs)
        return
    os.makedirs(config.checkpoint.save_dir, exist_ok=True)
    handler = _LogFile(os.path.join(config.checkpoint.save_dir, LOG), encoding="utf-8")
    handler.setFormatter(
        logging.Formatter("%(asctime)s | %(levelname)s | %(name)s | %(message)s", "%Y-%m-%d %H:%M:%S")
    )
    _LOGGER.setLevel(logging.INFO)
    _LOGGER.propagate = False  # the terminal has seen the command
    loggers = (logging.getLogger(), _LOGGER, _WARNINGS)
    for logger in loggers:
        logger.addHandler(handler)
    try:
        _LOGGER.info(shlex.join(["fairseq-train", *sys.argv[1:]]))
        _LOGGER.info("versions %s", json.dumps(_versions()))
        for early in _WARNINGS.handlers:
            if isinstance(early, logging.handlers.MemoryHandler):
                early.setTarget(handler)
                early.flush()
        with no_code(), _progress(config) if os.environ.get(SHOWN) else contextlib.nullcontext():
            train.main(config, **kwargs)
    finally:
        for logger in loggers:
            logger.removeHandler(handler)
        handler.close()


class _LogFile(logging.FileHandler):
    """A log file that warns once if it cannot be written, and lets the training go on."""

    _is_told = False

    def handleError(self, record: logging.LogRecord) -> None:
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            super().handleError(record)
        elif not self._is_told:
            self._is_told = True
            print(
                f"eureka train: warning: {self.baseFilename}: cannot be written: {error.strerror}; "
                "the training goes on, and its log will have a gap",
                file=sys.stderr,
            )

    def close(self) -> None:
        with contextlib.suppress(OSError):  # what could not be written is tried once more
            super().close()


@contextlib.contextmanager
def _progress(config: Any) -> Iterator[None]:
    """Show the progress of the training instead of fairseq's log."""
    from fairseq.logging import metrics, progress_bar

    progress = Progress(
        config.optimization.max_epoch or 0,
        config.optimization.max_update or 0,
        config.checkpoint.best_checkpoint_metric,
        config.checkpoint.maximize_best_checkpoint_metric,
    )
    make = progress_bar.progress_bar

    def statistics() -> Mapping[str, Any]:
        try:
            return metrics.get_smoothed_values("train")
        except KeyError:  # nothing was trained yet
            return {}

    def make_wrapped(*args: Any, **kwargs: Any) -> Any:
        if kwargs.get("log_format") is None:
            kwargs["log_format"] = "simple"  # a bar of fairseq's own would be a second one
        return progress.wrap(make(*args, **kwargs), kwargs.get("epoch") or 1, "prefix" in kwargs, statistics)

    consoles = [
        handler
        for handler in logging.getLogger().handlers
        if isinstance(handler, logging.StreamHandler) and not isinstance(handler, logging.FileHandler)
    ]
    progress_bar.progress_bar = make_wrapped
    try:
        for handler in consoles:
            handler.addFilter(_is_shown)
        yield
        progress.end()
    finally:
        progress_bar.progress_bar = make
        for handler in consoles:
            handler.removeFilter(_is_shown)


def _is_shown(record: logging.LogRecord) -> bool:
    """Which log records are shown besides the progress: errors, and warnings of our plug-in."""
    least = logging.WARNING if record.name.startswith("fairseq_plugins") else logging.ERROR
    return record.levelno >= least


def _fail(message: str, status: int = 2) -> int:
    print(f"eureka train: error: {' '.join(message.split())}", file=sys.stderr)
    return status


def _versions() -> dict[str, str]:
    versions = {"eureka-nlg": eureka_nlg.__version__, "Python": platform.python_version()}
    for package in ("torch", "fairseq", "fairseq-fixed", "numpy"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[package] = importlib.metadata.version(package)
    return versions


if __name__ == "__main__":
    sys.exit(main())
