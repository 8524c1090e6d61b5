"""The commands that are killed or run out of disk, and how to judge what they leave behind."""

from __future__ import annotations

import argparse
import json
import re
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import forked_commands
import tiny

from eureka_nlg.dialogue.no_code import loadable

# What says when, or how long it took, and what is a log of what happened.
_TIMES = re.compile(
    r"seconds|seconds_per_step|waiting_for_data|training_seconds|\w+_runtime|\w+_per_second|metrics"
    r"|previous_training_time|timestamp"
    r"|train_loss"  # of transformers: a mean over what this process trained
)
_LOGS = re.compile(r"(.*/)?(fairseq\.log|tensorboard/.*|events\.out.*|runs/.*)")
_GROWING = re.compile(r"run/(checkpoint-\d+/.*|log\.jsonl|trainer_state\.json)")


@dataclass(frozen=True)
class Case:
    """A command that is killed.

    Attributes:
        arguments: of ``eureka``; of ``python`` if they begin with ``-m``.
        needs: what it reads.
        trained: whether a dialogue model of two epochs stands in ``run``.
    """

    arguments: tuple[str, ...]
    needs: tuple[str, ...]
    trained: bool = False

    def run(self, cwd: Path, kill_after: float | None = None) -> forked_commands.Done:
        run = forked_commands.python if self.arguments[0] == "-m" else forked_commands.eureka
        return run(self.arguments, cwd, kill_after)


def _fairseq_train() -> tuple[str, ...]:
    options = dict(line.split(": ", 1) for line in tiny.DIALOGUE.splitlines())
    words = [options.pop("data"), "--user-dir", str(tiny.ROOT / "fairseq_plugins")]
    for name, value in {**options, "update_epoch_batch_itr": "True"}.items():
        words += ["--" + name.replace("_", "-"), *([] if value == "true" else [value])]
    return ("-m", "fairseq_cli.train", *words)


CASES = {
    "train": Case(("train", "dialogue.yaml"), ("data", "dialogue.yaml")),
    "fairseq-train": Case(_fairseq_train(), ("data",)),
    "prepare": Case(("prepare", "corpus", "--out", "out", "--history-turns", "2"), ("corpus",)),
    "vision": Case(("vision", "train", "images.yaml"), ("images", "images.yaml")),
    "finetune": Case(("finetune", "finetune.yaml"), ("model", "messages", "finetune.yaml")),
    "generate": Case(
        ("generate", "run", "--split", "valid", "--perplexity", "--max-len-b", "8"), ("data",), True
    ),
    "analyse": Case(("analyse", "run", "--out", "analysis.json", "--figures", "figures"), ("data",), True),
    "report": Case(("report", "run", "--out", "report.html", "--figures", "figures"), ("data",), True),
}


def _files(folder: Path) -> dict[str, Path]:
    """All files except logs, by their paths."""
    found = {str(path.relative_to(folder)): path for path in sorted(folder.rglob("*")) if path.is_file()}
    return {name: path for name, path in found.items() if not _LOGS.fullmatch(name)}


def _content(path: Path) -> Any:
    """The content of a file without the times in it.

    Raises:
        Exception: it is not whole.
    """
    import torch

    if path.suffix in (".pt", ".pth"):
        with loadable(*_harmless()):
            return dict(_leaves(torch.load(path, map_location="cpu", weights_only=True)))
    if path.suffix == ".json":
        return dict(_leaves(json.loads(path.read_bytes())))
    if path.suffix == ".jsonl" and path.parent.name == "run":
        return dict(_leaves([json.loads(line) for line in path.read_bytes().splitlines()]))
    return path.read_bytes()


def _harmless() -> list[Any]:
    """What transformers' state of the random generators is made of."""
    import numpy

    kinds = [type(numpy.dtype(kind)) for kind in (numpy.uint32, numpy.float64)]
    return [argparse.Namespace, numpy._core.multiarray._reconstruct, numpy.ndarray, numpy.dtype, *kinds]


def _leaves(value: Any, at: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, argparse.Namespace):
        value = vars(value)
    if isinstance(value, dict):
        for key, inner in value.items():
            if key == "optimizer_history":  # of fairseq: an entry for each process that trained
                inner = inner[-1]
            if not _TIMES.fullmatch(str(key)):
                yield from _leaves(inner, f"{at}.{key}")
    elif isinstance(value, (list, tuple)):
        yield f"{at}.length", len(value)
        for number, inner in enumerate(value):
            yield from _leaves(inner, f"{at}.{number}")
    elif hasattr(value, "tobytes") or hasattr(value, "untyped_storage"):
        array = value.detach().contiguous().view(-1).numpy() if hasattr(value, "detach") else value
        yield at, (str(array.dtype), tuple(value.shape), array.tobytes())
    else:
        yield at, repr(value)


def differences(found: Path, expected: Path) -> list[str]:
    """The differences between two folders, in words."""
    ours, theirs = _files(found), _files(expected)
    said = [f"{name}: left over" for name in ours.keys() - theirs.keys()]
    said += [f"{name}: missing" for name in theirs.keys() - ours.keys()]
    for name in ours.keys() & theirs.keys():
        try:
            one, other = _content(ours[name]), _content(theirs[name])
        except Exception as error:
            said.append(f"{name}: {type(error).__name__}: {str(error).splitlines()[0]}")
            continue
        if isinstance(one, dict):
            keys = sorted(key for key in one.keys() | other.keys() if one.get(key) != other.get(key))
            said += [f"{name}: {', '.join(keys[:5])} and so on ({len(keys)})"] if keys else []
        elif one != other:
            said.append(f"{name}: other bytes")
    return sorted(said)


def halves(found: Path, expected: Path) -> list[str]:
    """Outputs that exist but are incomplete."""
    said = []
    theirs = _files(expected)
    for name, path in _files(found).items():
        if path.name.endswith(".partial") or ".partial/" in name or _GROWING.fullmatch(name):
            continue
        try:
            content = _content(path)
            if isinstance(content, bytes) and name in theirs and content != theirs[name].read_bytes():
                raise ValueError("other bytes than in the end")
        except Exception as error:
            said.append(f"{name}: {type(error).__name__}: {str(error).splitlines()[0]}")
    return said


class Places:
    """A folder that every command runs in, always at the same path, and what undisturbed ones left.

    Args:
        folder: with what :meth:`make` made, and for what is kept.
        place: the folder to run in, where it is elsewhere.
    """

    def __init__(self, folder: Path, place: Path | None = None) -> None:
        self.world, self.place = folder, place or folder / "place"

    def make(self, names: Iterable[str]) -> None:
        """Make the inputs of these commands."""
        tiny.make(self.world)
        if not any(CASES[name].trained for name in names):
            return
        done = forked_commands.eureka(
            ["train", "dialogue.yaml", "max_epoch=2", "encouragement_start_epoch=2"], self.world
        )
        if done.status:
            raise RuntimeError(f"train: {done.errors}")

    def fresh(self, case: Case) -> Path:
        """The folder with what the command reads, and nothing else."""
        shutil.rmtree(self.place, ignore_errors=True)
        self.place.mkdir()
        for name in (*case.needs, *(("run",) if case.trained else ())):
            source = self.world / name
            copy = shutil.copytree if source.is_dir() else shutil.copy2
            copy(source, self.place / name)
        return self.place

    def undisturbed(self, name: str) -> tuple[Path, float]:
        """What the command leaves, from one of two runs that leave the same, and its seconds."""
        case, kept = CASES[name], self.world / "undisturbed" / name
        for _ in range(2):
            done = case.run(self.fresh(case))
            if done.status:
                raise SystemExit(
                    f"{name}: ends with {done.status}: {done.errors[-2000:]}{done.output[-500:]}"
                )
            if kept.exists() and (differ := differences(self.place, kept)):
                raise SystemExit(f"{name}: two undisturbed runs differ: {'; '.join(differ)}")
            shutil.rmtree(kept, ignore_errors=True)
            shutil.copytree(self.place, kept)
        return kept, done.seconds
