"""Arrays and checkpoints."""

from __future__ import annotations

import argparse
import io
import pickle
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from targets.base import HOSTILE, One, Target, file_target, mutated_bytes, mutated_tree

__all__ = ["TARGETS"]

_COUNTS = [0, 0, 9, 1, 4, 3, 2]
_NPY_WORDS = (
    *(
        "\0",
        "'descr': '<i8'",
        "'|O'",
        "'<f8'",
        "'shape': (7,)",
        "(999999999999,)",
        "True",
        "(" * 50,
        "open('hacked','w')",
    ),
    *("\x93NUMPY", "}", ",", "'<U9'", "-7", "(7,7)", "'>u8'", "'<M8'", "[('a','<i8')]"),
)


class _Dictionary:
    """As much of fairseq's as counts need."""

    nspecial, count = 4, [1] * 7

    def __len__(self) -> int:
        return 7

    def pad(self) -> int:
        return 1

    def eos(self) -> int:
        return 2

    def unk(self) -> int:
        return 3


def _array(pick: random.Random) -> bytes:
    import numpy as np

    buffer = io.BytesIO()
    kind = pick.choice(
        (np.int64, np.int64, np.int32, np.uint64, np.float32, np.bool_, np.complex64, "U3", "M8[s]")
    )
    array = np.array(_COUNTS, dtype=np.int64).astype(kind)
    shape = pick.choice((array, array, array, array[:3], array.reshape(1, 7), array[:0], array[3]))
    np.save(buffer, shape)
    return mutated_bytes(pick, [buffer.getvalue()], _NPY_WORDS) if pick.random() < 0.9 else buffer.getvalue()


def _text_of_counts(pick: random.Random) -> bytes:
    words = (*" \n\0-0129.", "²", "٣", "9" * 30, "9" * 5000, "é", "nan", "1_0", "\ufeff", "\u2028")
    return mutated_bytes(pick, ["0\n0\n9\n1\n4\n3\n2\n"], words)


def _counts(path: Path) -> object:
    from fairseq_plugins.criterions.class_counts import class_counts

    task = argparse.Namespace(target_dictionary=_Dictionary())
    return class_counts(str(path), task, "train")


class _Attack:
    def __reduce__(self) -> Any:
        return open, ("hacked", "w")


def _of_fairseq() -> dict[str, Any]:
    import torch

    return {
        "cfg": {"common": {"seed": 1}, "model": {"arch": "lstm"}, "task": {"_name": "dialogue", "data": "d"}},
        "extra_state": {"train_iterator": {"epoch": 4, "iterations_in_epoch": 0}, "best": 3.0},
        "optimizer_history": [{"num_updates": 7}, {"num_updates": 12}],
        "model": {"weight": torch.zeros(2, 3), "bias": torch.zeros(2)},
        "args": None,
    }


def _of_images() -> dict[str, Any]:
    import torch

    from eureka_nlg.vision.training.checkpoint import FORMAT, random_state

    return {
        "format": FORMAT,
        "network": {"weight": torch.zeros(2, 3)},
        "optimizer": {"state": {}, "param_groups": [{"lr": 0.1}]},
        "step": 3,
        "epoch": 2,
        "steps_per_epoch": 3,
        "signature": "x",
        "loss_sum": torch.zeros(()),
        "random": random_state(),
        "config": {"seed": 1},
    }


def _checkpoint(
    content: Callable[[], dict[str, Any]], read: Callable[[Path], object]
) -> Callable[[Path], One]:
    def prepare(folder: Path) -> One:
        import torch

        folder.mkdir()
        seed = content()
        whole = io.BytesIO()
        torch.save(seed, whole)
        hostile = (
            *HOSTILE,
            torch.zeros(2),
            torch.zeros(1, dtype=torch.uint8),
            torch.zeros(0),
            [torch.zeros(1)],
        )

        def one(pick: random.Random) -> object:
            path = Path.cwd() / "checkpoint.pt"
            kind = pick.random()
            if kind < 0.5:
                path.write_bytes(
                    mutated_bytes(pick, [whole.getvalue()], ["PK\x03\x04", "\0", "c__builtin__\neval\n"])
                )
            elif kind < 0.9:
                tree = mutated_tree(pick, seed, hostile)
                if isinstance(tree, dict) and pick.random() < 0.3:
                    tree = {**tree, "cfg": argparse.Namespace(**{"model": tree.get("cfg")})}
                torch.save(tree, path)
            elif kind < 0.95:
                torch.save({**seed, pick.choice(list(seed)): _Attack()}, path)
            else:
                path.write_bytes(
                    pickle.dumps(pick.choice((_Attack(), {**seed, "model": _Attack()}, [1], "x")))
                )
            return read(path)

        return one

    return prepare


def _read_images(path: Path) -> object:
    from eureka_nlg.vision.training.checkpoint import load_checkpoint

    return load_checkpoint(path)


def _read_fairseq(path: Path) -> object:
    from eureka_nlg.dialogue.checkpoint import read_checkpoint

    found = read_checkpoint(path, needs=("model",))
    return found.num_parameters, found.num_epochs


def _predictions(pick: random.Random) -> bytes:
    import numpy as np

    labels = np.arange(3).repeat(4)
    arrays: dict[str, Any] = {
        "predicted": np.roll(labels, 1).astype(np.int32),
        "confidence": np.full(12, 0.75, dtype=np.float32),
        "likelihood": np.linspace(0, 1, 12, dtype=np.float32),
        "labels": labels.astype(np.int32),
        "class_counts": np.array([300, 40, 5], dtype=np.int32),
    }
    whole = dict(arrays)
    for _ in range(pick.choice((0, 1, 1, 2))):
        name = pick.choice(list(arrays))
        if pick.random() < 0.2:
            del arrays[name]
            continue
        same, array = whole[name].dtype, whole[name].astype(np.float64)
        kind = pick.choice((same, same, np.int64, np.uint64, np.float64, np.bool_, "U3", "M8[s]"))
        value = pick.choice((0, 1, -1, 3, 2**31 - 1, 0.5, 7))
        changed = (array, array[:-1], array[:0], array.reshape(1, -1), array + value, array * value)
        chosen = pick.choice(changed)
        arrays[name] = (chosen.astype(np.int64) if kind == "M8[s]" else chosen).astype(kind)
        if arrays[name].dtype.kind == "f" and arrays[name].size and pick.random() < 0.5:
            arrays[name].flat[0] = pick.choice((float("nan"), float("inf"), -1.0, 1e300))
    buffer = io.BytesIO()
    pick.choice((np.savez, np.savez_compressed))(buffer, **arrays)
    content = buffer.getvalue()
    return mutated_bytes(pick, [content], (*_NPY_WORDS, "PK\x03\x04")) if pick.random() < 0.4 else content


def _read_predictions(path: Path) -> object:
    from eureka_nlg.metrics.significance.comparison import Resamples
    from eureka_nlg.vision.predictions_file import compare_runs

    return compare_runs({"A": path, "again": path}, Resamples(3))


TARGETS = [
    file_target(
        "predictions", "of classifiers, compared", 20, 40, _predictions, _read_predictions, ("input.npz",)
    ),
    file_target("counts.npy", "class counts as an array", 30, 60, _array, _counts, ("input.npy",)),
    file_target("counts", "class counts as text", 30, 30, _text_of_counts, _counts),
    Target("checkpoint", "of fairseq-train", 20, 80, _checkpoint(_of_fairseq, _read_fairseq)),
    Target("image checkpoint", "of eureka vision", 20, 80, _checkpoint(_of_images, _read_images)),
]
