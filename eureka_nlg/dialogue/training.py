"""Turn a YAML file of ``configs/dialogue`` into arguments of ``fairseq-train``, and run that."""

from __future__ import annotations

import argparse
import contextlib
import os
import shlex
import shutil
import signal
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from eureka_nlg.children import call, child_environment
from eureka_nlg.dialogue.checkpoint import is_whole, read_checkpoint
from eureka_nlg.dialogue.decay import with_total_num_update
from eureka_nlg.dialogue.fairseq_options import parse_options
from eureka_nlg.dialogue.no_code import check_options
from eureka_nlg.dialogue.plugin import user_dir
from eureka_nlg.dialogue.run_data import RunData
from eureka_nlg.dialogue.training_display import SHOWN
from eureka_nlg.dialogue.workers import check_shared_memory
from eureka_nlg.errors import UserError
from eureka_nlg.files import write_whole
from eureka_nlg.limits import check_seed
from eureka_nlg.option_files import read_options

__all__ = [
    "check_arguments",
    "fairseq_arguments",
    "is_first_process",
    "mend_last_checkpoint",
    "read_config",
    "shown_command",
    "slow_bfloat16",
    "train",
]

Config = dict[str, Any]

_OF_TORCHRUN = ("MASTER_ADDR", "MASTER_PORT", "WORLD_SIZE", "RANK")

# Options whose defaults differ from those of fairseq.
_DEFAULTS = {
    # A run that is interrupted and goes on must give the same result as one that is not. For this, fairseq
    # must be told to order the examples of every epoch anew, and each process must read the checkpoint.
    "update_epoch_batch_itr": "True",
    "load_checkpoint_on_all_dp_ranks": True,
    # In each epoch fairseq starts a process that loads data, and it keeps those of earlier epochs. Batches of
    # text are quick to load, and a thread loads them ahead of the training.
    "num_workers": 0,
}


def read_config(path: str | os.PathLike[str], overrides: Sequence[str] = ()) -> Config:
    """Read a flat YAML mapping of fairseq options, with ``key=value`` overrides on top.

    Keys are the options of fairseq-train, with underscores or dashes. ``data`` is its positional argument,
    and ``base`` names another such file, relative to this one, whose options this one adds to or replaces. An
    override ``key=`` removes the key.

    Raises:
        UserError: a file does not exist, or is not a flat YAML mapping; or an override is not ``key=value``.
    """
    given = read_options(
        path,
        overrides,
        extra="fairseq",
        examples="configs/dialogue",
        override_example="max_epoch=16",
    )
    for key, (_, where) in given.items():
        if "." in key:
            raise UserError(f"{where}: {key.partition('.')[0]}: expected one value or a list, got a mapping")
    return {key: value for key, (value, _) in given.items()}


def fairseq_arguments(config: Mapping[str, Any]) -> list[str]:
    """Arguments of fairseq-train: ``data`` first, then the options in the order of the config.

    True becomes the bare flag, False and None are left out, and the values of a list are joined by commas.
    ``decay_epochs`` becomes ``--total-num-update``, by the size of the data.

    Raises:
        UserError: no ``data``, or ``decay_epochs`` that cannot be turned into updates.
    """
    if not config.get("data"):
        raise UserError("no data folder: give data=DIR (made by `eureka prepare ... --out DIR`)")
    config = with_total_num_update(_with_processes(config))
    data = config.pop("data")
    arguments = [str(data)]
    config = {"user_dir": config.pop("user_dir", None) or user_dir(), **config}
    config |= {key: value for key, value in _DEFAULTS.items() if key not in config}
    for key, value in config.items():
        if value is None or value is False:
            continue
        arguments.append("--" + key.replace("_", "-"))
        if isinstance(value, list):
            arguments.append(",".join(map(str, value)))
        elif value is not True:
            arguments.append(str(value))
    return arguments


def _with_processes(config: Mapping[str, Any]) -> Config:
    """The config with the number of processes that torchrun started.

    fairseq's default is the number of this machine's GPUs, and with one it does not look at the environment:
    machines with a GPU each would train one model each, all in the same folder.
    """
    named = config.keys() & {"distributed_world_size", "distributed_init_method"}
    if named or not all(name in os.environ for name in _OF_TORCHRUN):
        return dict(config)
    return {**config, "distributed_world_size": _number_in("WORLD_SIZE")}


def _number_in(name: str) -> int:
    value = os.environ.get(name, "1")
    if not value.isdecimal() or int(value) < 1:
        raise UserError(f"the environment variable {name} is {value!r}, expected the number of processes")
    return int(value)


def _check_processes(args: argparse.Namespace) -> None:
    """Refuse several processes that fairseq would not let train one model together."""
    if args.distributed_init_method is not None:
        return
    if args.distributed_world_size > 1 and all(name in os.environ for name in _OF_TORCHRUN):
        import torch

        if args.cpu or not torch.cuda.is_available():
            raise UserError(
                "torchrun: fairseq needs a GPU for each of its processes; on CPUs start each process with "
                "distributed_init_method=tcp://HOST:PORT distributed_world_size=N distributed_rank=R "
                "distributed_no_spawn=true distributed_backend=gloo ddp_backend=legacy_ddp"
            )
    tasks = _number_in("SLURM_STEP_NUM_TASKS")
    if args.distributed_world_size == 1 and tasks > 1:
        raise UserError(
            f"srun started {tasks} processes, which fairseq would let train a model each: give "
            f"distributed_world_size={tasks} distributed_port=29500 (as many as there are GPUs)"
        )


def shown_command(arguments: Sequence[str], program: str = "fairseq-train") -> str:
    """The equivalent shell command on one line."""
    return shlex.join([program, *arguments])


def check_arguments(arguments: Sequence[str]) -> argparse.Namespace:
    """Let fairseq parse the arguments, and find mistakes that it would notice only after a minute of loading.

    Raises:
        UserError: an unknown option, a bad value, a path that is not a data folder or not a checkpoint, or a
            save folder that cannot be written to.
    """
    args = parse_options("train", arguments, arguments[arguments.index("--user-dir") + 1])
    check_options(vars(args), "--")
    check_seed("seed", args.seed)
    _check_processes(args)
    _check_data_folder(args.data)
    _check_save_folder(args.save_dir)
    if args.num_workers > 0:
        check_shared_memory(f"num_workers={args.num_workers}", "num_workers=0")
    if os.path.exists(args.restore_file) and not is_whole(args.restore_file):
        raise UserError(f"restore_file {args.restore_file}: not a checkpoint of torch, or an incomplete one")
    return args


def slow_bfloat16(parsed: argparse.Namespace) -> str | None:
    """What to tell who trains in bfloat16 on a CPU that cannot multiply in it; None for everybody else.

    Args:
        parsed: from :func:`check_arguments`.
    """
    import torch

    if not parsed.bf16 or (torch.cuda.is_available() and not parsed.cpu):
        return None
    # torch without oneDNN has no such question, and no fast product either
    if torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported():
        return None
    return (
        "--bf16: this CPU has no instructions for bfloat16, and training takes several times as long as in "
        "float32: give bf16=false"
    )


def mend_last_checkpoint(save_dir: str | os.PathLike[str]) -> Path | None:
    """Replace an incomplete ``checkpoint_last.pt`` by the newest complete checkpoint.

    fairseq does not write its checkpoints atomically: a full disk or a kill leaves an incomplete file.

    Returns:
        The checkpoint that was copied; None if nothing was wrong.

    Raises:
        UserError: there is no complete checkpoint.
    """
    last = Path(save_dir) / "checkpoint_last.pt"
    if not last.exists() or is_whole(last):
        return None
    found: list[tuple[int, float, Path]] = []
    for path in Path(save_dir).glob("checkpoint*.pt"):
        if is_whole(path):
            with contextlib.suppress(UserError):  # zipped, but something else
                checkpoint = read_checkpoint(path, needs=("last_optimizer_state", "model"))
                found.append((checkpoint.num_updates, path.stat().st_mtime, path))
    if not found:
        raise UserError(
            f"{last}: is incomplete, and there is no complete checkpoint beside it to go on from: remove it "
            "to start again, or give another save_dir"
        )
    newest = max(found)[2]
    with open(newest, "rb") as source, write_whole(last) as target:
        shutil.copyfileobj(source, target)
    return newest


def is_first_process(args: argparse.Namespace) -> bool:
    """Whether this is the first, or the only, of the commands that train one model.

    Args:
        args: as fairseq parsed them; torchrun and Slurm number processes in the environment.
    """
    numbers = [os.environ.get("RANK"), os.environ.get("SLURM_PROCID"), str(args.distributed_rank or 0)]
    return next(number for number in numbers if number) == "0"


def train(arguments: Sequence[str], held: int | None = None, verbose: bool = False) -> int:
    """Run fairseq-train in a process of its own, which ends with this one.

    Args:
        arguments: of fairseq-train.
        held: descriptor of :func:`eureka_nlg.files.exclusive`, which the new process inherits and holds.
        verbose: show fairseq's own log instead of :mod:`eureka_nlg.dialogue.training_display`.

    Returns:
        The exit status.

    Raises:
        UserError: a signal ended the process.
        KeyboardInterrupt: Ctrl-C was pressed.
    """
    environment = child_environment()
    if not verbose:
        environment |= {SHOWN: "1", "PYTHONWARNINGS": os.environ.get("PYTHONWARNINGS", "ignore")}
    command = [sys.executable, "-m", "eureka_nlg.dialogue.fairseq_train", *arguments]
    status = call(command, environment, () if held is None else (held,))
    if status < 0:
        memory = " (the system sends it when memory runs out)" if status == -signal.SIGKILL else ""
        raise UserError(
            f"the training was ended by {signal.Signals(-status).name}{memory}; "
            "the same command goes on from the last checkpoint"
        )
    return status


def _check_data_folder(data: str) -> None:
    for folder in RunData.find(data, "make it with `eureka prepare ... --out DIR`").folders:
        if not any(folder.glob("dict.*")):
            raise UserError(
                f"data folder {folder}: holds no dict.*.txt; make it with `eureka prepare ... --out DIR`"
            )


def _check_save_folder(save_dir: str) -> None:
    try:
        os.makedirs(save_dir, exist_ok=True)
        tempfile.TemporaryFile(dir=save_dir).close()
    except OSError as error:
        raise UserError(
            f"save_dir {save_dir}: cannot write there ({error.strerror}); give another save_dir"
        ) from error
