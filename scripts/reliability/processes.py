#!/usr/bin/env python
"""Two and four processes train what one does: the fairseq criterion, the loop of images, the Trainer's loss.

    sudo python scripts/reliability/processes.py
    sudo python scripts/reliability/processes.py fairseq --json processes.json

Each training is run on one, two and four processes (gloo) with the same examples in each step, and the
weights in the end are compared with those of one process. The processes of a training have a network of their
own, so that what they exchange is counted (that needs root): all bytes that go over its loopback device,
headers and the start among them, divided by the steps. Step times on a machine with fewer cores than
processes say little.
"""

from __future__ import annotations

import argparse
import ctypes
import fcntl
import json
import os
import re
import shutil
import socket
import struct
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import forked_commands
import tiny

from eureka_nlg.dialogue.no_code import loadable
from eureka_nlg.files import write_json

_NEW_NETWORK = 0x40000000  # CLONE_NEWNET of <sched.h>
_GET_FLAGS, _SET_FLAGS, _UP = 0x8913, 0x8914, 0x1  # SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP
_PORT = 29500
_STEPS = {"fairseq": 6, "images": 8, "trainer": 6}


def _fairseq(number: int, rank: int) -> list[str]:
    options = [
        f"batch_size={24 // number}",
        "dropout=0",
        "optimizer=sgd",
        "lr=0.5",
        "cpu=true",
        "curriculum=9",
    ]
    options += ["encouragement_start_epoch=1", f"max_update={_STEPS['fairseq']}", f"save_dir=fairseq{number}"]
    options += ["save_interval_updates=", "keep_interval_updates=", "no_epoch_checkpoints=true"]
    options += ["disable_validation=true"]
    if number > 1:
        options += [f"distributed_init_method=tcp://127.0.0.1:{_PORT}", f"distributed_rank={rank}"]
        options += [f"distributed_world_size={number}", "distributed_no_spawn=true"]
        options += ["distributed_backend=gloo", "ddp_backend=legacy_ddp"]
    return ["-m", "eureka_nlg.cli.main", "train", "dialogue.yaml", *options, "--verbose"]


def _images(number: int, rank: int) -> list[str]:
    # a second stage, whose batch statistics are frozen: those of a share of the images are others
    # and 64 images, because a last batch with fewer bundles than processes is left out
    options = ["method=fsa", "init_from=first/checkpoint.pt", "training.batch_size=64", "training.epochs=4"]
    options += ["fsa.confusing_classes=2", "fsa.specific_threshold=0.5", "sampling=class_balanced"]
    options += ["loss.class_balanced=true", "training.keep_epochs=[]", "training.milestones=[3]"]
    options += ["deferral.plain_epochs=0", f"save_dir=images{number}"]
    return ["-m", "eureka_nlg.cli.main", "vision", "train", "images.yaml", *options]


def _trainer(number: int, rank: int) -> list[str]:
    options = [f"per_device_train_batch_size={4 // number}", f"max_steps={_STEPS['trainer']}", "start_step=1"]
    options += ["save_strategy=no", "decode_split=", f"output_dir=trainer{number}", "optim=sgd"]
    return ["-m", "eureka_nlg.cli.main", "finetune", "finetune.yaml", *options]


TRAININGS = {"fairseq": _fairseq, "images": _images, "trainer": _trainer}


def run(name: str, number: int, folder: Path) -> dict[str, Any]:
    """Train on so many processes.

    Returns:
        Seconds and bytes a step.

    Raises:
        RuntimeError: a process failed; with the end of its output.
    """
    result = folder / f"{name}{number}.json"

    def in_own_network() -> None:
        _own_network()
        started = time.monotonic()
        processes = [
            forked_commands.fork(lambda rank=rank: _one(name, number, rank, folder)) for rank in range(number)
        ]
        statuses = [forked_commands.wait_for(process) for process in processes]
        seconds = time.monotonic() - started
        result.write_text(json.dumps({"statuses": statuses, "seconds": seconds, "bytes": _exchanged()}))

    forked_commands.wait_for(forked_commands.fork(in_own_network))
    found = json.loads(result.read_text())
    if any(found["statuses"]):
        logs = [(folder / f"{name}{number}.{rank}.log").read_text()[-1500:] for rank in range(number)]
        raise RuntimeError(f"{name} on {number} processes: {found['statuses']}\n" + "\n".join(logs))
    steps = _STEPS[name]
    return {"seconds_a_step": _step_time(name, number, folder), "bytes_a_step": found["bytes"] / steps}


def _one(name: str, number: int, rank: int, folder: Path) -> None:
    os.environ |= {"ACCELERATE_USE_CPU": "true"}
    if number > 1 and name != "fairseq":
        os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(number)}
        os.environ |= {"LOCAL_WORLD_SIZE": str(number), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(_PORT)}
    log = folder / f"{name}{number}.{rank}.log"
    log.touch()
    forked_commands.forked.become(TRAININGS[name](number, rank), folder, log, log)


def _own_network() -> None:
    if ctypes.CDLL(None, use_errno=True).unshare(_NEW_NETWORK):
        raise OSError(ctypes.get_errno(), "no network of its own (that needs root)")
    with socket.socket() as control:
        request = struct.pack("16sH14s", b"lo", 0, b"")
        flags = struct.unpack("16sH14s", fcntl.ioctl(control, _GET_FLAGS, request))[1]
        fcntl.ioctl(control, _SET_FLAGS, struct.pack("16sH14s", b"lo", flags | _UP, b""))


def _exchanged() -> int:
    """Bytes sent over the loopback device so far."""
    (line,) = re.findall(r"lo:\s*(\d+)", Path("/proc/self/net/dev").read_text())
    return int(line)


def _step_time(name: str, number: int, folder: Path) -> float | None:
    """Seconds of a step, as the training itself counts them; None if it does not say."""
    if name == "images":
        lines = (folder / f"images{number}" / "log.jsonl").read_text().splitlines()
        return min(float(json.loads(line)["seconds_per_step"]) for line in lines)
    if name == "fairseq":
        log = (folder / f"fairseq{number}" / "fairseq.log").read_text()
        (updates,) = re.findall(r"\| ups ([\d.]+)", log)[-1:] or ["0"]
        return 1 / float(updates) if float(updates) else None  # too quick for two digits
    log = (folder / f"{name}{number}.0.log").read_text()
    (runtime,) = re.findall(r"train_runtime'?: '?([\d.]+)", log)[-1:] or [None]
    return None if runtime is None else float(runtime) / _STEPS[name]


def weights(name: str, number: int, folder: Path) -> dict[str, Any]:
    """The weights at the end of a training."""
    import torch
    from safetensors.torch import load_file

    run_folder = folder / f"{name}{number}"
    if name == "trainer":
        return dict(load_file(run_folder / "model.safetensors"))
    file, key = ("checkpoint.pt", "network") if name == "images" else ("checkpoint_last.pt", "model")
    with loadable(argparse.Namespace):
        return dict(torch.load(run_folder / file, weights_only=True)[key])


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the trainings that are asked for; 1 if the weights are not the same to rounding."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("trainings", nargs="*", metavar="TRAINING", help=f"of {', '.join(TRAININGS)}")
    parser.add_argument("--json", type=Path, help="also write the numbers there")
    args = parser.parse_args(arguments)
    os.environ["OMP_NUM_THREADS"] = "1"
    forked_commands.import_everything()
    import torch

    print("| training | processes | s a step | kB exchanged a step | farthest weight |", flush=True)
    print("|---|---|---|---|---|", flush=True)
    results: dict[str, Any] = {}
    same = True
    with forked_commands.temporary_folder() as folder:
        tiny.make(folder)
        for name in args.trainings or TRAININGS:
            if name == "images":
                done = forked_commands.eureka(["vision", "train", "images.yaml", "save_dir=first"], folder)
                if done.status:
                    raise RuntimeError(done.errors)
            results[name] = {}
            for number in (1, 2, 4):
                found = run(name, number, folder)
                ours, one = weights(name, number, folder), weights(name, 1, folder)
                found["farthest"] = max(float((ours[key] - one[key]).abs().max()) for key in one)
                same &= all(torch.allclose(ours[key], one[key], rtol=1e-4, atol=1e-5) for key in one)
                results[name][number] = found
                seconds, exchanged = found["seconds_a_step"], found["bytes_a_step"] / 1000
                shown = "-" if seconds is None else f"{seconds:.3f}"
                print(
                    f"| {name} | {number} | {shown} | {exchanged:,.1f} | {found['farthest']:.1e} |",
                    flush=True,
                )
            shutil.rmtree(folder / f"{name}1", ignore_errors=True)
    if args.json is not None:
        write_json(args.json, results, indent=1)
    return int(not same)


if __name__ == "__main__":
    sys.exit(main())
