"""Sweeps over configs and seeds: train what is not finished, share common epochs, and summarise."""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
import signal
import statistics
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import FrameType
from typing import Any

import torch

from eureka_nlg.children import end_with_parent
from eureka_nlg.errors import UserError, require
from eureka_nlg.vision.classification.config import Config
from eureka_nlg.vision.classification.runs import (
    CHECKPOINT,
    RESULT,
    agrees_until,
    check_run_folder,
    read_result,
    train_run,
)
from eureka_nlg.vision.config_file import read_config
from eureka_nlg.vision.training import Interrupted
from eureka_nlg.vision.training.checkpoint import load_checkpoint

__all__ = ["SweepRun", "plan", "run_all", "summary", "summary_table"]

_SCORES = ("all", "many", "medium", "few", "natural")


@dataclasses.dataclass
class SweepRun:
    """One run of a sweep.

    Attributes:
        name: name of its config.
        config: the config with seed, folder and ``init_from`` filled in.
        arguments: the arguments of ``eureka vision train`` for this run.
        source: the run that it branches off, or whose features it uses.
        home: the ``save_dir`` that its file has, which other files name in their ``init_from``.
    """

    name: str
    config: Config
    arguments: list[str]
    source: SweepRun | None = None
    home: Path | None = None

    @property
    def folder(self) -> Path:
        """The folder of the run."""
        return Path(self.config.save_dir)

    @property
    def depth(self) -> int:
        """The number of runs that have to come before it."""
        return 0 if self.source is None else self.source.depth + 1

    @property
    def can_start(self) -> bool:
        """Whether the checkpoint that it starts from exists."""
        if self.source is None:
            return True
        if self.config.is_second_stage:
            return self.source.finished
        return Path(str(self.config.init_from)).is_file()

    @property
    def finished(self) -> bool:
        """Whether its scores exist."""
        return (self.folder / RESULT).is_file()

    def is_past(self, epoch: int) -> bool:
        """Whether it is finished, or would go on from the end of an epoch or later."""
        checkpoint = self.folder / CHECKPOINT
        return self.finished or (checkpoint.is_file() and load_checkpoint(checkpoint)["epoch"] > epoch)

    def starts_from(self, source: SweepRun, checkpoint: Path) -> None:
        """Set ``init_from`` to a checkpoint of another run of the sweep."""
        self.source = source
        self._give("init_from", str(checkpoint))

    def keeps(self, epoch: int) -> None:
        """Keep the checkpoint of an epoch, in addition to those of the config."""
        kept = sorted({*self.config.training.keep_epochs, epoch})
        self._give("training.keep_epochs", kept)

    def _give(self, key: str, value: Any) -> None:
        section, _, name = key.rpartition(".")
        if section:
            changed = dataclasses.replace(getattr(self.config, section), **{name: value})
            self.config = dataclasses.replace(self.config, **{section: changed})
        else:
            self.config = dataclasses.replace(self.config, **{name: value})
        self.arguments = [argument for argument in self.arguments if not argument.startswith(f"{key}=")]
        self.arguments.append(f"{key}={value}")


def plan(configs: Sequence[Path], seeds: Sequence[int], overrides: Sequence[str] = ()) -> list[SweepRun]:
    """The runs of a sweep: each config with each seed, in ``save_dir/seedN``.

    If there are several configs and ``save_dir`` is overridden, the folders are ``save_dir/NAME/seedN``.

    If the plain epochs of a deferred run equal the first epochs of another run of the sweep, it branches off
    the checkpoint of that run, which gives the same result. If ``init_from`` of a second stage is the last
    checkpoint of another config of the sweep, it uses the one with the same seed.

    Args:
        configs: YAML files.
        seeds: seeds of the runs.
        overrides: ``key=value`` for all runs.

    Raises:
        UserError: a config is invalid, or two runs have the same folder.
    """
    runs = []
    # save_dir=FOLDER given with several configs is the parent folder of all runs
    shared = len(configs) > 1 and any(override.startswith("save_dir=") for override in overrides)
    elsewhere = [override for override in overrides if not (shared and override.startswith("save_dir="))]
    for path in configs:
        base = read_config(Config, path, overrides)
        folder = f"{base.save_dir}/{path.stem}" if shared else base.save_dir
        home = Path(read_config(Config, path, elsewhere).save_dir)
        for seed in seeds:
            own = [*overrides, f"seed={seed}", f"save_dir={folder}/seed{seed}"]
            runs.append(SweepRun(path.stem, read_config(Config, path, own), [str(path), *own], home=home))
    folders = [run.folder for run in runs]
    twice = {str(folder) for folder in folders if folders.count(folder) > 1}
    if twice:
        raise UserError(
            f"two runs of the sweep have the folder {', '.join(sorted(twice))}: give each config, "
            "and each seed, once, and each config a save_dir of its own"
        )
    for run in runs:
        if run.config.is_second_stage:
            _second_stage(run, runs)
        else:
            _branch(run, runs)
    return runs


def _second_stage(run: SweepRun, runs: Sequence[SweepRun]) -> None:
    first_stage = Path(str(run.config.init_from))
    for other in runs:
        is_first = other.home is not None and first_stage == other.home / CHECKPOINT
        if is_first and run.config.seed == other.config.seed:
            run.starts_from(other, other.folder / CHECKPOINT)


def _branch(run: SweepRun, runs: Sequence[SweepRun]) -> None:
    epoch = run.config.plain_epochs
    if not epoch or run.config.init_from:
        return
    for other in runs:
        if other.config.plain_epochs or agrees_until(run.config, other.config, epoch) is not None:
            continue
        checkpoint = other.folder / f"epoch{epoch:03d}.pt"
        if not checkpoint.is_file() and other.is_past(epoch):
            continue  # it will never write this checkpoint
        other.keeps(epoch)
        run.starts_from(other, checkpoint)
        return


def run_all(runs: Sequence[SweepRun], jobs: int = 1) -> list[SweepRun]:
    """Train the runs that are not finished, each in a process of its own.

    Args:
        runs: the runs, from :func:`plan`.
        jobs: number of runs at the same time. If there are several, each has an equal share of the cores and
            writes its output to ``output.txt`` in its folder.

    Returns:
        The runs that failed, or whose source failed.

    Raises:
        UserError: a folder has a run with other options.
        KeyboardInterrupt: SIGINT or SIGTERM arrived, and the runs have written their checkpoints.
    """
    for run in runs:  # all of them, before the first is trained or a finished one is taken for this one
        check_run_folder(run.config)
    context = multiprocessing.get_context("spawn")
    children: list[Any] = []
    stopped = False

    def train(run: SweepRun) -> bool:
        if run.finished:
            return True
        if stopped:
            return False
        if not run.can_start:
            start = f"{run.folder}: cannot start, since there is no {run.config.init_from}"
            print(f"eureka vision sweep: {start}", file=sys.stderr, flush=True)
            return False
        print(f"eureka vision train {' '.join(run.arguments)}", flush=True)
        child = context.Process(target=_train, args=(run.config, jobs))
        children.append(child)
        child.start()
        child.join()
        return child.exitcode == 0

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal stopped
        stopped = True
        for child in children:
            if child.is_alive():
                child.terminate()

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    failed = []
    try:
        for depth in sorted({run.depth for run in runs}):  # a run waits for its source
            wave = [run for run in runs if run.depth == depth]
            with ThreadPoolExecutor(max_workers=jobs) as pool:
                failed += [run for run, ok in zip(wave, pool.map(train, wave)) if not ok]
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if stopped:
        raise KeyboardInterrupt
    return failed


def _train(config: Config, jobs: int) -> None:
    """Train a run in its own process; the exit status is 0 only if it finishes."""
    end_with_parent(multiprocessing.parent_process().pid)  # type: ignore[union-attr]
    if jobs > 1:
        folder = Path(config.save_dir)
        folder.mkdir(parents=True, exist_ok=True)
        output = os.open(folder / "output.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        os.dup2(output, sys.stdout.fileno())
        os.dup2(output, sys.stderr.fileno())
        torch.set_num_threads(max(torch.get_num_threads() // jobs, 1))
    try:
        train_run(config)
    except (UserError, Interrupted, OSError) as error:
        print(f"{config.save_dir}: {error}", file=sys.stderr)
        sys.exit(2)


def summary(runs: Sequence[SweepRun]) -> dict[str, Any]:
    """Mean and standard deviation over the seeds of each config, of the finished runs.

    Returns:
        Name of the config -> ``seeds``, and for each accuracy ``mean``, ``values`` and the sample
        ``standard_deviation``, which is None for a single seed.
    """
    result: dict[str, Any] = {}
    for name in dict.fromkeys(run.name for run in runs):
        finished = [run for run in runs if run.name == name and run.finished]
        scores = [read_result(run.folder)["accuracy"] for run in finished]
        row: dict[str, Any] = {"seeds": [run.config.seed for run in finished]}
        for key in _SCORES:
            values = [score[key] for score in scores if score[key] is not None]
            row[key] = {
                "mean": statistics.fmean(values) if values else None,
                "standard_deviation": statistics.stdev(values) if len(values) > 1 else None,
                "values": values,
            }
        result[name] = row
    return result


def summary_table(summed: Mapping[str, Any]) -> str:
    """The summary as a Markdown table, with accuracies in percent."""
    rows = []
    for name, row in summed.items():
        cells = []
        for key in _SCORES:
            mean, deviation = row[key]["mean"], row[key]["standard_deviation"]
            spread = "" if deviation is None else f" ± {deviation:.2f}"
            cells.append("-" if mean is None else f"{mean:.2f}{spread}")
        rows.append([name, len(row["seeds"]), *cells])
    tabulate = require("tabulate", extra="vision").tabulate
    return str(
        tabulate(rows, headers=["config", "seeds", *_SCORES], tablefmt="github", disable_numparse=True)
    )
