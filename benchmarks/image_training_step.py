"""Step time of the real training loop for ResNet-32 in its numeric formats, and what waiting for data takes.

    python benchmarks/image_training_step.py --out benchmarks/results/image_training_step.csv

Each round trains every variant in turn for `--epochs` short epochs on made-up 32 x 32 images, batch 128,
through `eureka_nlg.vision.training.fit`: augmentation, warm-up, SGD, checkpoints and log included.
`median_ms` is over the steps of the last epoch; `start_s` is how much longer the first epoch took, which is
mostly compilation. `ratio` is to float32 in the same round. Takes about 5 minutes on 2 cores.
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
import tempfile
from pathlib import Path
from typing import Any

import torch
from measure import append, environment

from eureka_nlg.errors import require
from eureka_nlg.vision.classification.config import Config, DataConfig
from eureka_nlg.vision.classification.data import ImageData
from eureka_nlg.vision.classification.methods.catalogue import classification
from eureka_nlg.vision.training import fit
from eureka_nlg.vision.training.log import read_log

VARIANTS: dict[str, dict[str, Any]] = {
    "float32": {"precision": "float32", "channels_last": False},
    "float32, channels_last": {"precision": "float32", "channels_last": True},
    "bfloat16": {"precision": "bfloat16", "channels_last": False},
    "bfloat16, channels_last": {"precision": "bfloat16", "channels_last": True},
    "bfloat16, channels_last, compiled": {"precision": "bfloat16", "channels_last": True, "compile": True},
}


def main() -> None:
    """Measure all variants."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=20, help="of an epoch")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--out", help="CSV file to append to")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    measured: dict[str, list[dict[str, float]]] = {name: [] for name in VARIANTS}
    for number in range(args.rounds):
        for name in list(VARIANTS)[:: 1 if number % 2 else -1]:
            measured[name].append(train(VARIANTS[name], args))
    rows = []
    for name, rounds in measured.items():
        pairs = zip(rounds, measured["float32"])
        rows.append(
            {
                "variant": name,
                "batch_size": args.batch_size,
                "median_ms": round(statistics.median(run["ms"] for run in rounds), 1),
                "ratio": round(statistics.median(mine["ms"] / other["ms"] for mine, other in pairs), 3),
                "start_s": round(max(run["start"] for run in rounds), 1),
                "waiting_percent": round(statistics.median(run["waiting"] for run in rounds), 2),
                "rounds": args.rounds,
                "steps": args.steps,
                **environment("cuda" if torch.cuda.is_available() else "cpu"),
            }
        )
        print(", ".join(f"{key} {value}" for key, value in list(rows[-1].items())[:6]), flush=True)
    if args.out:
        append(args.out, rows)


def train(variant: dict[str, Any], args: argparse.Namespace) -> dict[str, float]:
    """One training; milliseconds a step and percent of waiting in the last epoch, seconds of starting."""
    config = Config(data=DataConfig(profile="full"))
    options = {
        "epochs": args.epochs,
        "batch_size": args.batch_size,
        "milestones": [],
        "warmup_epochs": 1.0,
        "evaluate_every": args.epochs,
        **variant,
    }
    config = dataclasses.replace(config, training=dataclasses.replace(config.training, **options))
    accelerator = require("accelerate", extra="vision").Accelerator(mixed_precision="no")
    generator = torch.Generator().manual_seed(1)
    number = args.steps * args.batch_size
    images = torch.randint(256, (number, 32, 32, 3), dtype=torch.uint8, generator=generator)
    labels = torch.arange(number) % 10
    data = ImageData(config.data, (images, labels), (images[:10], labels[:10]))
    torch.compiler.reset()
    with tempfile.TemporaryDirectory() as folder:
        fit(classification(config, data, accelerator, resumed=False), config, Path(folder), accelerator, None)
        log = read_log(Path(folder) / "log.jsonl")
    return {
        "ms": 1000 * log[-1]["seconds_per_step"],
        "waiting": 100 * log[-1]["waiting_for_data"],
        "start": log[0]["seconds"] - log[-1]["seconds"],
    }


if __name__ == "__main__":
    main()
